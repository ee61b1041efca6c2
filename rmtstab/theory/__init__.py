"""Closed forms: thresholds, bounds and limits as functions of numbers and small arrays."""

from rmtstab.theory import (
    cnn,
    coherence_bounds,
    descent_ascent,
    escape,
    high_dimensional,
    mean,
    noise,
    rayleigh,
    reduced,
    signal_plus_noise,
    sufficient,
    volterra,
    wachter,
)

__all__ = [
    "cnn",
    "coherence_bounds",
    "descent_ascent",
    "escape",
    "high_dimensional",
    "mean",
    "noise",
    "rayleigh",
    "reduced",
    "signal_plus_noise",
    "sufficient",
    "volterra",
    "wachter",
]
