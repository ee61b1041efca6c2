"""From observed outliers back to the spikes, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab.laws.base import FloatArray


@dataclass(frozen=True, repr=False)
class SpikeEstimate(Record):
    """Spikes estimated from outliers, in the order given.

    Attributes
    ----------
    law : Spiked
        The model with these spikes, in units of its scale.
    spikes : ndarray, shape (n_outliers,), float64
        Population eigenvalues, strengths θ or singular values, scale included.
    standard_errors : ndarray, shape (n_outliers,), float64
    intervals : ndarray, shape (n_outliers, 2), float64
        Lower and upper limits.
    overlaps : ndarray, shape (n_outliers,), float64
        Estimated squared cosine of each eigenvector with its spike's direction.
    confidence : float
        Of each interval.
    """

    dimensions: ClassVar = {
        "spikes": ("outlier",),
        "standard_errors": ("outlier",),
        "intervals": ("outlier", "side"),
        "overlaps": ("outlier",),
    }

    law: Any
    spikes: FloatArray
    standard_errors: FloatArray
    intervals: FloatArray
    overlaps: FloatArray
    confidence: float


def estimate(
    cls: Callable[..., Any],
    eigenvalues: Any,
    n_samples: Any,
    n_features: Any,
    kind: str,
    scale: Any,
    confidence: Any,
    dyson_index: int,
) -> SpikeEstimate:
    """Invert the outliers; the arguments are those of `Spiked.from_outliers`."""
    values = _checks.array("eigenvalues", eigenvalues, ndim=1)
    n = _checks.integer("n_samples", n_samples, low=1)
    p = _checks.integer("n_features", n_features, low=values.size + 1)
    variance = _checks.real("scale", scale, low=0.0, low_open=True)
    level = _checks.real("confidence", confidence, low=0, high=1, low_open=True, high_open=True)
    dyson_index = _checks.choice("dyson_index", dyson_index, (1, 2))
    _checks.ratio("eigenvalues", values, "scale", variance)
    if values.any() and variance > 1e70 * float(np.abs(values).max()):
        raise ValueError(f"scale must be at most 1e+70 of the eigenvalues, got {variance!r}")
    if kind == "covariance" and (values <= 0.0).any():
        raise ValueError(f"eigenvalues must be > 0, got {float(values.min())!r}")
    gamma = 1.0 if kind == "wigner" else (p - values.size) / n
    unit = math.sqrt(variance) if kind in ("wigner", "rectangular") else variance
    seen = values / (unit if kind == "wigner" else variance)
    spikes = _inverse(seen, gamma, kind)
    if kind == "covariance":
        for _ in range(20):  # Lawley's repulsion depends on the spikes: a contraction
            spikes = _inverse(seen - _repulsion(spikes) / n, gamma, kind)
    law = cls(gamma, spikes, kind, variance)
    slope = np.array([_slope(s, gamma, kind) for s in spikes])
    spread = law.fluctuation(dyson_index) / (unit if kind == "wigner" else variance)
    errors = spread / (math.sqrt(n) * slope)
    z = float(special.ndtri(0.5 + 0.5 * level))
    if kind == "covariance":
        factor = np.exp(z * errors / spikes)
        intervals = np.column_stack([spikes / factor, spikes * factor])
    else:
        intervals = np.column_stack([spikes - z * errors, spikes + z * errors])
    return SpikeEstimate(law, unit * spikes, unit * errors, unit * intervals, law.overlaps(), level)


def _inverse(seen: FloatArray, gamma: float, kind: str) -> FloatArray:
    """Spikes whose outliers these are, in units of the scale."""
    root = math.sqrt(gamma)
    low, high = (-2.0, 2.0) if kind == "wigner" else ((1.0 - root) ** 2, (1.0 + root) ** 2)
    inside = (seen >= low) & (seen <= high)
    if kind in ("additive", "rectangular") or (kind == "covariance" and gamma >= 1.0):
        inside |= seen <= high
    if inside.any():
        raise ValueError(
            f"eigenvalues must lie beyond the bulk's edge {high:g} (in units of the scale), "
            f"got {float(seen[inside][0])!r}: test first which are outliers"
        )
    sign = np.where(seen > 0.5 * (low + high), 1.0, -1.0)
    if kind == "wigner":  # θ + 1/θ
        return np.asarray(0.5 * (seen + sign * np.sqrt((seen - 2.0) * (seen + 2.0))))
    # (1 + m)(1 + γ/m) = seen
    middle = seen - 1.0 - gamma
    m = 0.5 * (middle + sign * np.sqrt((seen - low) * (seen - high)))
    if kind == "covariance":
        return np.asarray(np.where(sign > 0.0, 1.0 + m, seen * m / (m + gamma)))
    return np.asarray(m + gamma if kind == "additive" else np.sqrt(m))


def _slope(spike: float, gamma: float, kind: str) -> float:
    """Derivative of the outlier in the spike."""
    if kind == "wigner":
        return 1.0 - 1.0 / spike**2
    m = {"covariance": spike - 1.0, "additive": spike - gamma, "rectangular": spike**2}[kind]
    inner = 1.0 - gamma / m**2
    return 2.0 * spike * inner if kind == "rectangular" else inner


def _repulsion(spikes: FloatArray) -> FloatArray:
    """``Σ_j l_i l_j/(l_i − l_j)``, left out between spikes too close for the expansion."""
    gaps = np.subtract.outer(spikes, spikes)
    product = np.multiply.outer(spikes, spikes)
    close = np.abs(gaps) < 0.2 * np.sqrt(np.abs(product))
    return np.asarray(np.where(close, 0.0, product / np.where(close, 1.0, gaps)).sum(axis=1))
