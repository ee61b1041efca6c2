"""Volterra threshold through a law's Stieltjes transform, and what the family shares."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray, Threshold
from rmtstab.laws import Spiked
from rmtstab.laws.base import SpectralLaw
from rmtstab.sampling import Scheme

INTERIOR = "interior"
BULK = "mean-limited: at 2/edge the mean overshoots before the noise diverges"
OUTLIER = "mean-limited: at 2/outlier the mean overshoots along a spike"


def noise_scale(n: int, batch_size: float, sampling: str) -> tuple[float, float]:
    """``(κ, δ)`` of the equation ``κη tr[H(2 − δηH)⁻¹] = 1``.

    Parameters
    ----------
    n : int
        Number of samples, at least 1.
    batch_size : float
        In [1, n]; real and in (0, n] for Bernoulli.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    (float, float)
        ``κ = n c`` and ``δ = 1 − n e``: ``(1 − B/n)/B`` and 1 for Bernoulli;
        ``κ = (n − B)/(B(n − 1))`` without and ``1/B`` with replacement, ``δ = 1 − κ``.

    Raises
    ------
    ValueError
        If the batch size is outside its range or the sampling unknown.

    Examples
    --------
    >>> from rmtstab.theory.volterra import noise_scale
    >>> noise_scale(9, 3, "without_replacement")
    (0.25, 0.75)
    """
    n, scheme = _checks.integer("n", n, low=1), Scheme.named(sampling)
    c, e = scheme.coefficients(n, scheme.check_batch("batch_size", batch_size, n))
    return n * c, 1.0 - n * e


def law_step_size(
    law: SpectralLaw, size: int, n: int, batch_size: float, sampling: str
) -> Threshold:
    r"""Volterra threshold from the law of the curvature's spectrum, by its Stieltjes transform.

    ``F(z) = size·(−z m(z) − 1)``, and for each spike of a `rmtstab.laws.Spiked` law its
    share ``z (d/dz) log(1 + z(1 − 1/ℓ) m)`` (covariance) or ``z (d/dz) log(1 + θm)``
    (additive); the root of ``F(z) = N`` gives ``η = 2/(δz)``, capped at ``2/edge`` or
    ``2/outlier``.

    Parameters
    ----------
    law : SpectralLaw
        Of the eigenvalues of H, in its units: ``MarchenkoPastur``,
        ``GeneralizedMarchenkoPastur``, ``Spiked`` or any other on the positive axis.
    size : int
        How many eigenvalues the law describes (the side of its matrix).
    n : int
        Number of samples.
    batch_size : float
        In [1, n]; real and in (0, n] for Bernoulli.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    Threshold
        In inverse units of the law's eigenvalues.

    Raises
    ------
    TypeError
        If the law has no Stieltjes transform.
    ValueError
        If an argument is outside its range, or the law reaches below zero.

    References
    ----------
    Derived in docs/theory/volterra.

    Examples
    --------
    >>> from rmtstab.laws import MarchenkoPastur
    >>> from rmtstab.theory import volterra
    >>> found = volterra.law_step_size(MarchenkoPastur(2.0), 800, 400, 40, "without_replacement")
    >>> round(float(found), 6)
    0.094862
    """
    if not isinstance(law, SpectralLaw):
        raise TypeError(f"law must be a spectral law of rmtstab.laws, got {type(law).__name__}")
    size = _checks.integer("size", size, low=1)
    kappa, damping = noise_scale(n, batch_size, sampling)
    low, edge = law.support()
    if low < 0.0:
        raise ValueError(f"law must have its support at or above 0, got {low:g}")
    spikes, outliers = np.zeros(0), np.zeros(0)
    if isinstance(law, Spiked):
        if law.kind not in ("covariance", "additive") or law.population is not None:
            raise ValueError(
                "law must be Spiked of kind 'covariance' or 'additive' on a Marchenko–Pastur bulk, "
                f"got {law!r}"
            )
        spikes, outliers = np.array(law.spikes), law.outliers()
        if law.kind == "covariance":
            check_spikes(spikes)
    edge = max([edge, *(location for location, _ in law.atoms())])
    top = float(outliers[np.isfinite(outliers)].max(initial=edge))
    limit = BULK if top == edge else OUTLIER
    if damping == 0.0:
        return capped(2.0 / (kappa * _trace(law, size, spikes)), 2.0 / top, 1.0, limit)

    def excess(u: float) -> float:  # in u = 1/z
        return kappa * (_bulk(law, size, u) + _spike_share(law, spikes, u)) - damping

    highest = damping / top
    inside = highest * (1.0 - 1e-12)
    if kappa == 0.0 or excess(inside) <= 0.0:
        return Threshold(2.0 / top, 0.0, True, limit)
    u = root(excess, 0.0, inside)
    alone = kappa * _bulk(law, size, inside) > damping
    return Threshold(min(2.0 * u / damping, 2.0 / top), 0.0, True, INTERIOR if alone else limit)


def _bulk(law: SpectralLaw, size: int, u: float) -> float:
    """``size·(−z m(z) − 1)`` at ``z = 1/u``; by moments where the difference would cancel."""
    if u == 0.0:
        return 0.0
    if u * law.support()[1] > 1e-3:
        return float(size * (-law.stieltjes(1.0 / u) / u - 1.0))
    return size * sum(law.moment(k) * u**k for k in range(1, 7))


def _trace(law: SpectralLaw, size: int, spikes: FloatArray) -> float:
    """Trace of the matrix, spikes included."""
    trace = size * law.mean()
    if isinstance(law, Spiked) and spikes.size:
        offset = 1.0 if law.kind == "covariance" else 0.0
        trace += law.scale * float(np.sum(spikes - offset))
    return trace


def _spike_share(law: SpectralLaw, spikes: FloatArray, u: float) -> float:
    """``z (d/dz) log det`` of the finite-rank part at ``z = 1/u``: what spikes add to F."""
    if not spikes.size or not isinstance(law, Spiked) or u == 0.0:
        return 0.0
    gamma, x = law.aspect_ratio, 1.0 / (u * law.scale)
    m = float(law.bulk.stieltjes(1.0 / u)) * law.scale
    # γxm² + (x+γ−1)m + 1 = 0, differentiated
    slope = -(gamma * m * m + m) / (2.0 * gamma * x * m + x + gamma - 1.0)
    if law.kind == "additive":
        share = spikes * slope / (1.0 + spikes * m)
    else:
        a = 1.0 - 1.0 / spikes
        share = a * (m + x * slope) / (1.0 + a * x * m)
    return float(x * np.sum(share))


def capped(value: float, cap: float, scale: float, limit: str) -> Threshold:
    """The smaller of a noise threshold and the mean's cap, with the status that says which.

    Parameters
    ----------
    value, cap : float
    scale : float
        Unit by which the threshold is divided.
    limit : str
        Status where the cap is the smaller.

    Returns
    -------
    Threshold
    """
    status = INTERIOR if value < cap else limit
    return Threshold(min(value, cap) / scale, 0.0, True, status)


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Bracketed root to the last digits.

    Parameters
    ----------
    function : callable
    low, high : float
        The function changes sign between them.

    Returns
    -------
    float
    """
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=1e-300, rtol=1e-14, maxiter=500))


def check_spikes(spikes: FloatArray) -> None:
    """Raise unless all are at least 1.

    Parameters
    ----------
    spikes : ndarray, shape (n_spikes,)

    Raises
    ------
    ValueError
        If one is below 1.
    """
    if spikes.size and spikes.min() < 1.0:
        raise ValueError(
            f"spikes must be >= 1, the bulk's population eigenvalue, got {spikes.min():g}; "
            "smaller ones belong in population_step_size"
        )
