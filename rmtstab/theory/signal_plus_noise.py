"""Signal-plus-noise Gram matrices: coherence, bulk and outlier against the signal-to-noise ratio.

The model is ``K = s 11ᵀ + ΞΞᵀ`` with n noise rows of dimension ``dim`` and
unit variance (multiply by σ_p² for other noise), ``s = SNR² dim``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from rmtstab import _checks
from rmtstab._results import FloatArray


@dataclass(frozen=True)
class SpectralBounds:
    """Where the eigenvalues of a signal-plus-noise Gram matrix lie.

    Attributes
    ----------
    bulk : (float, float)
        Marchenko–Pastur edges, asymptotic.
    outlier : float
        Asymptotic position of the top eigenvalue if it leaves the bulk, else NaN.
    bulk_interval : (float, float)
        Holds every eigenvalue but the largest with probability at least ``1 − delta``.
    top_interval : (float, float)
        Holds the largest eigenvalue, on the same event.
    delta : float
    """

    bulk: tuple[float, float]
    outlier: float
    bulk_interval: tuple[float, float]
    top_interval: tuple[float, float]
    delta: float


def coherence(n: int, dim: int, snr: float) -> float:
    r"""Expected coherence σ of the signal-plus-noise Gram matrix.

    ``σ ≈ [1 + SNR² + (n−1) E|SNR² + g/√dim|] / (SNR² + E max_i ‖ξ_i‖²/dim)``
    with ``g ~ N(0, 1)``: ``1 + n√(2/(π dim))`` as SNR → 0, n as SNR → ∞.

    Parameters
    ----------
    n, dim : int
        Number of samples, dimension of a patch.
    snr : float
        ‖μ‖/(σ_p√dim), ≥ 0.

    Returns
    -------
    float
        In [1, n], up to the approximation.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    1–4 % from sampled values at n = 60–300 with dim ≥ n; fails for dim ≪ n,
    where ``|K|`` has no dominating Perron direction of ones.

    References
    ----------
    Derived in docs/theory (folded-normal mean and χ² maximum).

    Examples
    --------
    >>> from rmtstab.theory.signal_plus_noise import coherence
    >>> round(coherence(60, 150, 0.0), 1), round(coherence(60, 150, 20.0), 1)
    (3.8, 59.8)
    """
    n, dim, snr = _check(n, dim, snr)
    row = 1.0 + snr**2 + (n - 1) * folded_normal_mean(snr**2, 1.0 / math.sqrt(dim))
    return row / (snr**2 + expected_maximum(n, lambda x: special.gammainc(dim / 2, dim * x / 2)))


def spectral_bounds(n: int, dim: int, snr: float, delta: float) -> SpectralBounds:
    r"""Marchenko–Pastur bulk, outlier, and intervals of probability ``1 − δ``.

    With ``c = n/dim`` and ``θ = n SNR²``: bulk ``dim·(1 ± √c)²`` and, if
    ``θ > c + √c``, one outlier at ``dim·[θ + θ/(θ − c)]``. Non-asymptotically,
    with ``t = √(2 log(2/δ))``, all singular values of Ξ lie in
    ``[(√dim' − √n − t)₊, √dim' + √n + t]``, ``dim' = dim − 1``; Weyl's
    inequalities for the rank-one shift ``θ·dim`` do the rest.

    Parameters
    ----------
    n, dim : int
        Number of samples and dimension of a patch (the noise has dim − 1).
    snr : float
        ‖μ‖/(σ_p√dim), ≥ 0.
    delta : float
        Probability of failure, in (0, 1).

    Returns
    -------
    SpectralBounds
        In units of σ_p².

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    Hypotheses: Gaussian noise, independent rows, labels ±1 divided out. The
    intervals hold at every n and dim; for n > dim' the smallest n − dim'
    eigenvalues but for one are 0.

    References
    ----------
    Davidson & Szarek 2001, Theorem II.13, for the singular values; Benaych-Georges
    & Nadakuditi 2011 for the outlier.

    Examples
    --------
    >>> from rmtstab.theory.signal_plus_noise import spectral_bounds
    >>> bounds = spectral_bounds(60, 150, 1.0, delta=0.05)
    >>> round(bounds.outlier), [round(edge) for edge in bounds.bulk]
    (9151, [20, 400])
    """
    n, dim, snr = _check(n, dim, snr)
    delta = _checks.real("delta", delta, low=0, high=1, low_open=True, high_open=True)
    c, theta = n / dim, n * snr**2
    root = math.sqrt(c)
    edges = (dim * (1.0 - root) ** 2 if c < 1 else 0.0, dim * (1.0 + root) ** 2)
    outlier = dim * (theta + theta / (theta - c)) if theta > c + root else math.nan
    t = math.sqrt(2.0 * math.log(2.0 / delta))
    low = max(math.sqrt(dim - 1) - math.sqrt(n) - t, 0.0) ** 2
    high = (math.sqrt(dim - 1) + math.sqrt(n) + t) ** 2
    shift = theta * dim
    return SpectralBounds(edges, outlier, (low, high), (shift + low, shift + high), delta)


def folded_normal_mean(mean: float, deviation: float) -> float:
    """``E|mean + deviation·g|`` for a standard normal g."""
    if deviation == 0.0:
        return abs(mean)
    ratio = mean / deviation
    density = math.sqrt(2.0 / math.pi) * math.exp(-0.5 * ratio * ratio)
    return deviation * density + mean * math.erf(ratio / math.sqrt(2.0))


def expected_maximum(n: int, cdf: Callable[[FloatArray], FloatArray]) -> float:
    """``E max`` of n independent copies of a non-negative variable: ``∫₀^∞ (1 − Fⁿ)``.

    Quadrature on the bracket in which Fⁿ moves from 1e-17 to 1 − 1e-16.
    """

    def power(x: float) -> float:
        return float(cdf(np.array([x]))[0]) ** n

    def crossing(level: float, low: float, high: float) -> float:
        for _ in range(200):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if power(middle) > level else (middle, high)
        return high

    upper = 1.0
    while power(upper) < 1.0 - 1e-16:
        upper *= 2.0
    low, high = crossing(1e-17, 0.0, upper), crossing(1.0 - 1e-16, 0.0, upper)
    nodes, weights = special.roots_legendre(400)
    x = low + 0.5 * (high - low) * (nodes + 1.0)
    return float(low + 0.5 * (high - low) * np.sum(weights * (1.0 - cdf(x) ** n)))


def _check(n: Any, dim: Any, snr: Any) -> tuple[int, int, float]:
    return (
        _checks.integer("n", n, low=2),
        _checks.integer("dim", dim, low=2),
        _checks.real("snr", snr, low=0.0, high=1e100),
    )
