"""Per-sample curvature: factors, coherence, and the closed form of the two-layer ReLU CNN."""

from rmtstab.curvature.coherence import coherence_matrix, per_sample, top_eigenvalue
from rmtstab.curvature.factors import ReducedFactors

__all__ = ["ReducedFactors", "coherence_matrix", "per_sample", "top_eigenvalue"]
