"""Per-sample curvature: factors, coherence, and the closed form of the two-layer ReLU CNN."""

from rmtstab.curvature.cnn import cnn_gram, cnn_outputs, kink_margin

__all__ = ["cnn_gram", "cnn_outputs", "kink_margin"]
