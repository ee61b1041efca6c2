"""Samplers: a generator in, arrays out."""

from rmtstab.ensembles import extremal
from rmtstab.ensembles.signal_plus_noise import SignalPlusNoise

__all__ = ["SignalPlusNoise", "extremal"]
