"""Closed forms: thresholds, bounds and limits as functions of numbers and small arrays."""

from rmtstab.theory import (
    cnn,
    coherence_bounds,
    descent_ascent,
    escape,
    finite_horizon,
    high_dimensional,
    mean,
    measured_masks,
    mirror,
    rayleigh,
    reduced,
    resistance,
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
    "finite_horizon",
    "high_dimensional",
    "mean",
    "measured_masks",
    "mirror",
    "rayleigh",
    "reduced",
    "resistance",
    "signal_plus_noise",
    "sufficient",
    "volterra",
    "wachter",
]
