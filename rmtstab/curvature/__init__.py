"""Per-sample curvature: factors, coherence, and the closed form of the two-layer ReLU CNN."""

from rmtstab.curvature.cnn import cnn_gram, cnn_outputs, kink_margin
from rmtstab.curvature.coherence import coherence_matrix, per_sample, top_eigenvalue
from rmtstab.curvature.coherence_map import CoherenceMap
from rmtstab.curvature.factors import ReducedFactors

__all__ = [
    "CoherenceMap",
    "ReducedFactors",
    "cnn_gram",
    "cnn_outputs",
    "coherence_matrix",
    "kink_margin",
    "per_sample",
    "top_eigenvalue",
]
