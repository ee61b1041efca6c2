"""Figures: data and axes in, axes out; matplotlib loads when one is drawn."""
