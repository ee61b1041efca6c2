"""Per-sample curvature: coherence, and the closed form of the two-layer ReLU CNN."""

from rmtstab.curvature.cnn import cnn_gram, cnn_outputs, kink_margin
from rmtstab.curvature.coherence import coherence, coherence_matrix

__all__ = ["cnn_gram", "cnn_outputs", "coherence", "coherence_matrix", "kink_margin"]
