"""Samplers: a generator in, arrays out."""
