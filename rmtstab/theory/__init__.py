"""Closed forms: thresholds, bounds and limits as functions of numbers and small arrays."""

from rmtstab.theory import (
    cnn,
    coherence_bounds,
    high_dimensional,
    mean,
    noise,
    rayleigh,
    reduced,
    signal_plus_noise,
    sufficient,
)

__all__ = [
    "cnn",
    "coherence_bounds",
    "high_dimensional",
    "mean",
    "noise",
    "rayleigh",
    "reduced",
    "signal_plus_noise",
    "sufficient",
]
