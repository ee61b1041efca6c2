"""Deterministic laws of random-matrix spectra, with SciPy's method names."""

from rmtstab.laws.base import Law, SpectralLaw
from rmtstab.laws.descent_ascent import DescentAscent
from rmtstab.laws.generalized_marchenko_pastur import GeneralizedMarchenkoPastur
from rmtstab.laws.marchenko_pastur import MarchenkoPastur
from rmtstab.laws.tracy_widom import TracyWidom

__all__ = [
    "Law",
    "SpectralLaw",
    "MarchenkoPastur",
    "GeneralizedMarchenkoPastur",
    "DescentAscent",
    "TracyWidom",
]
