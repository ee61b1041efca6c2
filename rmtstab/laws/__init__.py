"""Deterministic laws of random-matrix spectra, with SciPy's method names."""

from rmtstab.laws.base import Law, SpectralLaw
from rmtstab.laws.descent_ascent import DescentAscent
from rmtstab.laws.free_convolution import FreeProduct, FreeSum
from rmtstab.laws.generalized_marchenko_pastur import GeneralizedMarchenkoPastur
from rmtstab.laws.jacobi import Jacobi
from rmtstab.laws.marchenko_pastur import MarchenkoPastur
from rmtstab.laws.semicircle import Semicircle
from rmtstab.laws.singular_values import SingularValues
from rmtstab.laws.spiked import Spiked
from rmtstab.laws.tracy_widom import TracyWidom
from rmtstab.laws.wachter import Wachter

__all__ = [
    # what they share
    "Law",
    "SpectralLaw",
    # spectra
    "MarchenkoPastur",
    "GeneralizedMarchenkoPastur",
    "DescentAscent",
    "Semicircle",
    "Wachter",
    "Jacobi",
    "FreeSum",
    "FreeProduct",
    "SingularValues",
    # the largest eigenvalue
    "TracyWidom",
    "Spiked",
]
