"""Deterministic laws of random-matrix spectra, with SciPy's method names."""

from rmtstab.laws.base import Law, SpectralLaw
from rmtstab.laws.descent_ascent import DescentAscent
from rmtstab.laws.fit import SpectrumFit
from rmtstab.laws.free_convolution import FreeProduct, FreeSum
from rmtstab.laws.generalized_marchenko_pastur import GeneralizedMarchenkoPastur
from rmtstab.laws.jacobi import Jacobi
from rmtstab.laws.marchenko_pastur import MarchenkoPastur
from rmtstab.laws.population import PopulationFit, PopulationIntervals
from rmtstab.laws.roys_root import RoysRoot
from rmtstab.laws.semicircle import Semicircle
from rmtstab.laws.singular_values import SingularValues
from rmtstab.laws.spacing import Spacing, gap_probability
from rmtstab.laws.spike_estimate import SpikeEstimate
from rmtstab.laws.spike_tests import (
    ParallelAnalysis,
    PattersonTest,
    SpikeCount,
    number_of_spikes,
    parallel_analysis,
    patterson_tw,
)
from rmtstab.laws.spiked import Spiked
from rmtstab.laws.thresholds import optimal_threshold, shrink_singular_values
from rmtstab.laws.tracy_widom import TracyWidom
from rmtstab.laws.wachter import Wachter
from rmtstab.laws.wishart_max import WishartMax, WishartMin

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
    # spacings in the bulk
    "Spacing",
    "gap_probability",
    # the same at finite n
    "WishartMax",
    "WishartMin",
    "RoysRoot",
    # decisions about data
    "number_of_spikes",
    "parallel_analysis",
    "patterson_tw",
    "optimal_threshold",
    "shrink_singular_values",
    # what fits and decisions return
    "ParallelAnalysis",
    "PattersonTest",
    "PopulationFit",
    "PopulationIntervals",
    "SpectrumFit",
    "SpikeCount",
    "SpikeEstimate",
]
