"""Samplers: a generator in, arrays out."""

from rmtstab.ensembles import extremal
from rmtstab.ensembles.classical import Gaussian, Jacobi, Wishart, gaussian_entries
from rmtstab.ensembles.signal_plus_noise import SignalPlusNoise
from rmtstab.ensembles.spiked import SpikedMatrix, correlated_entries, heavy_tailed_entries
from rmtstab.ensembles.spiked_wishart import SpikedWishart

__all__ = [
    "SignalPlusNoise",
    "extremal",
    "Gaussian",
    "Wishart",
    "Jacobi",
    "SpikedMatrix",
    "SpikedWishart",
    "gaussian_entries",
    "heavy_tailed_entries",
    "correlated_entries",
]
