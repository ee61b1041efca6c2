r"""Coherence of a signal-plus-noise Gram matrix with its corrections and its intervals.

``σ = λ_max(|K|)/max_i K_ii``, ``K = s 11ᵀ + ΞΞᵀ``, Ξ of n rows in ``p = dim − 1``
dimensions, ``s = SNR² dim``. Three facts carry the interval, derived in
docs/theory/signal_plus_noise:

- ``√λ_max(|K|)`` is 1-Lipschitz in Ξ, whatever s, n and p, so it is within t of its mean
  up to a probability ``e^{-t²/2}`` on each side;
- ``E λ_max(|K|)`` lies between ``E 1ᵀ|K|1/n`` and ``E max K_ii + (E tr O⁴)^{1/4}``, O the
  matrix without its diagonal; both are one-dimensional integrals;
- ``max_i K_ii = s + max_i χ²_p`` has an exact law.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray
from rmtstab.theory.extremes import chi, expected_maximum, folded_normal_mean


@dataclass(frozen=True)
class CoherenceInterval(Record):
    """Coherence of signal-plus-noise data: what to expect, and how far it strays.

    Attributes
    ----------
    mean : float
        With the second-order correction of the numerator and the extreme value of the
        denominator; asymptotic, error about ``n^{-3/2}``.
    without_extreme : float
        The same over the typical instead of the largest ``K_ii``: what the extreme-value
        correction divides by ``mean``.
    interval : (float, float)
        Holds σ with probability at least ``1 − delta`` at every n, dim and SNR.
    asymptotic : (float, float)
        Holds σ with probability tending to ``1 − delta``, ``delta/2`` on each side.
    delta : float
    numerator, numerator_deviation : float
        Mean and standard deviation of ``λ_max(|K|)``, asymptotic, in units of σ_p².
    numerator_mean_bounds : (float, float)
        Between which ``E λ_max(|K|)`` lies at every n, dim and SNR.
    """

    mean: float
    without_extreme: float
    interval: tuple[float, float]
    asymptotic: tuple[float, float]
    delta: float
    numerator: float
    numerator_deviation: float
    numerator_mean_bounds: tuple[float, float]


def coherence_interval(n: int, dim: int, snr: float, delta: float = 0.05) -> CoherenceInterval:
    r"""Coherence σ with corrections, a non-asymptotic and an asymptotic interval.

    With ``t = √(2 log(4/δ))``, L and U the bounds of ``E λ_max(|K|)`` and m₋, m₊ the
    ``δ/4`` and ``1 − δ/4`` quantiles of ``max_i K_ii``,

    ``(√(L−1) − t)₊²/m₊ ≤ σ ≤ (√U + t)²/m₋``.

    Parameters
    ----------
    n, dim : int
        Number of samples, dimension of a patch (the noise has dim − 1).
    snr : float
        ‖μ‖/(σ_p√dim), ≥ 0.
    delta : float, default 0.05
        Probability of failure, in (0, 1).

    Returns
    -------
    CoherenceInterval

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    Hypotheses: Gaussian noise, independent rows, labels ±1 divided out. The
    non-asymptotic interval is conservative: fluctuations of ``√λ_max(|K|)`` are 0.03–0.4
    where the Lipschitz bound allows 1. The asymptotic one treats the numerator as
    Gaussian and independent of the maximum, n and dim both large.

    References
    ----------
    Derived in docs/theory/signal_plus_noise, from Gaussian concentration (Boucheron,
    Lugosi & Massart 2013, Theorem 5.6) and Füredi & Komlós 1981 for the second order.

    See Also
    --------
    coherence : the leading order alone.

    Examples
    --------
    >>> from rmtstab.theory.signal_plus_noise import coherence_interval
    >>> found = coherence_interval(60, 150, 0.0)
    >>> round(found.mean, 2), [round(v, 2) for v in found.interval + found.asymptotic]
    (3.8, [2.63, 5.42, 3.4, 4.17])
    """
    n = _checks.integer("n", n, low=2)
    dim = _checks.integer("dim", dim, low=2)
    snr = _checks.real("snr", snr, low=0.0, high=1e30)
    delta = _checks.real("delta", delta, low=0, high=1, low_open=True, high_open=True)
    if delta < 1e-15:  # tail levels meet rounding
        raise ValueError(f"delta must be at least 1e-15, got {delta:g}")
    p, s = dim - 1, snr**2 * dim
    r, weights = chi(p)
    moments = _Moments(s, p, r, weights)
    low_mean = s + p + (n - 1) * moments.first
    largest = s + p * expected_maximum(n, lambda x: special.gammainc(p / 2, p * x / 2))
    high_mean = largest + moments.fourth_trace(n) ** 0.25

    spread = moments.variance
    tilt = math.sqrt(2.0 * p / math.pi) * math.exp(-0.5 * s * s / p)  # r d/dr E|s + rg|
    numerator = low_mean + (spread + n * tilt**2 / (2.0 * p)) / moments.first
    deviation = math.sqrt(2.0 * spread + (2.0 * p + 2.0 * (n - 1) * tilt) ** 2 / (2.0 * p * n))

    t = math.sqrt(2.0 * math.log(4.0 / delta))
    below = max(math.sqrt(max(low_mean - 1.0, 0.0)) - t, 0.0) ** 2
    above = (math.sqrt(high_mean) + t) ** 2
    interval = (
        min(max(below / _largest_quantile(n, p, s, 1.0 - delta / 4), 1.0), float(n)),
        min(above / _largest_quantile(n, p, s, delta / 4), float(n)),
    )
    levels = (delta / 2, 1.0 - delta / 2)
    asymptotic = [_ratio_quantile(n, p, s, numerator, deviation, level) for level in levels]
    return CoherenceInterval(
        numerator / largest,
        numerator / (s + p),
        interval,
        (min(max(asymptotic[0], 1.0), float(n)), min(max(asymptotic[1], 1.0), float(n))),
        delta,
        numerator,
        deviation,
        (low_mean, high_mean),
    )


class _Moments:
    """Expectations of ``O_ik = |s + ξ_i·ξ_k|`` over independent rows, exact or bounded above."""

    def __init__(self, s: float, p: int, r: FloatArray, weights: FloatArray) -> None:
        self.s, self.p = s, p
        # Hermite coefficients of |s + r g|: the mean, the slope, and the rest's squared norm
        a0 = np.array([folded_normal_mean(s, float(x)) for x in r])
        a1 = r * special.erf(s / (r * math.sqrt(2.0)))
        rest = np.maximum(r * r - (a0 - s) * (a0 + s) - a1**2, 0.0)  # without cancelling s²
        excess = float(weights @ (a0 - s))
        self.first = s + excess
        self.variance = max(p - excess * (self.first + s), 0.0)
        # h(ξ₁, ξ₃) = E[O₁₂O₂₃ | ξ₁, ξ₃] = Σ a_k a_k' c^k, c their cosine; in E h² the even
        # terms' slack covers the odd ones' cross term (docs/theory/signal_plus_noise)
        cross = float(weights @ (a0 * np.sqrt(rest)))
        linear = float(weights @ a1**2) ** 2 + 2.0 * cross**2
        quadratic = 3.0 / (p * (p + 2.0)) * float(weights @ rest) ** 2
        self.cycle = float(weights @ a0**2) ** 2 + linear / p + quadratic

    def fourth_trace(self, n: int) -> float:
        """Upper bound of ``E tr O⁴``: closed walks through 4, 3 and 2 rows."""
        s2, p = self.s**2, self.p
        second = p * (p + 2.0)
        three = s2 * s2 + 2.0 * s2 * p + second
        two = s2 * s2 + 6.0 * s2 * p + 3.0 * second
        return n * (n - 1.0) * ((n - 2.0) * ((n - 3.0) * self.cycle + 2.0 * three) + two)


def _largest_quantile(n: int, p: int, s: float, level: float) -> float:
    """Quantile of ``s + max of n χ²_p``, exact: ``F(x)ⁿ = level``."""
    tail = -math.expm1(math.log(level) / n)
    return s + 2.0 * float(special.gammainccinv(p / 2, tail))


def _ratio_quantile(n: int, p: int, s: float, mean: float, deviation: float, level: float) -> float:
    """Quantile of a Gaussian numerator over the largest ``K_ii``, taken as independent."""
    x, weights = special.roots_legendre(120)
    grid = np.array([_largest_quantile(n, p, s, float(u)) for u in 0.5 * (x + 1.0)])

    def probability(ratio: float) -> float:
        return float(0.5 * weights @ special.ndtr((ratio * grid - mean) / deviation)) - level

    low = max(mean - 12.0 * deviation, 0.0) / float(grid[-1]) * (1.0 - 1e-9)
    high = (mean + 12.0 * deviation) / float(grid[0]) * (1.0 + 1e-9)
    if probability(low) >= 0.0:  # few samples: the Gaussian reaches below zero
        return low
    from scipy.optimize import brentq

    return float(brentq(probability, low, high, xtol=1e-300, rtol=1e-12))
