r"""Volterra threshold of SGD (α = 0): from a spectrum, or from the population alone.

The equation ``κη tr[H(2 − δηH)⁻¹] = 1`` of
`volterra_step_size` reads, at ``z = 2/(δη)`` and
with ``N = δ/κ``,

    F(z) = Σ_i λ_i/(z − λ_i) = N .

For gradients of population covariance Σ with eigenvalues ``t_j``, the companion
transform ``y`` of the spectrum of ``H = (1/n) Σ z_i z_iᵀ`` makes both sides explicit:

    F = Σ_j t_j y/(1 − t_j y),    z = (1 + F/n)/y,

so that the threshold is ``η = 2y/(δ(1 + N/n))`` with y read off the population.
Everything is derived in docs/theory/volterra.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import Threshold
from rmtstab.laws import Spiked
from rmtstab.theory.volterra_law import (
    BULK,
    INTERIOR,
    OUTLIER,
    capped,
    check_spikes,
    law_step_size,
    noise_scale,
    root,
)

__all__ = [
    "isotropic_step_size",
    "law_step_size",
    "noise_scale",
    "population_step_size",
    "spiked_step_size",
    "volterra_step_size",
]


def volterra_step_size(eigenvalues: Any, n: int, batch_size: float, sampling: str) -> float:
    r"""Critical step size of SGD (α = 0) whose samples all see the mean curvature alike.

    The root η of ``κη tr[H(2 − (1−κ)ηH)⁻¹] = 1`` with ``κ = (n − B)/(B(n − 1))``
    (``1/B`` with replacement); Bernoulli
    ``(1 − B/n)(η/B) tr[H(2 − ηH)⁻¹] = 1``; capped at ``2/λ_max``.

    Parameters
    ----------
    eigenvalues : array_like, shape (r,)
        Spectrum of the mean curvature H, ≥ 0.
    n : int
        Number of samples.
    batch_size : float
        In [1, n]; real and in (0, n] for Bernoulli.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    float
        In inverse units of the eigenvalues; ``inf`` where H = 0. With the actual
        spectrum an upper bound on the exact threshold when all samples have rank one
        (C = 1) and equal ``‖z_i‖²`` (a Rayleigh quotient), and its limit as n grows with
        d/n fixed for isotropic gradients (error about 1/n).

    Raises
    ------
    ValueError
        If an eigenvalue is negative or not finite, or the batch size is outside its range.

    Notes
    -----
    Samples of higher rank make less noise than their trace says: two alike samples of
    rank 2 under Bernoulli batches of 1 allow 1.333 where this gives 1.

    References
    ----------
    Derived in docs/theory/volterra; compare Paquette et al., arXiv:2102.04396.

    See Also
    --------
    population_step_size : the same from the population alone.

    Examples
    --------
    >>> from rmtstab.theory.volterra import volterra_step_size
    >>> volterra_step_size([1.0, 1.0], 2, 2, "without_replacement")
    2.0
    >>> round(volterra_step_size([0.5, 0.5], 2, 1, "without_replacement"), 12)
    2.0
    """
    values = _checks.array("eigenvalues", eigenvalues, ndim=1)
    kappa, damping = noise_scale(n, batch_size, sampling)
    if values.size and values.min() < 0:
        raise ValueError(f"eigenvalues must be >= 0, got {values.min():g}")
    top = float(values.max(initial=0.0))
    if top == 0.0:
        return float("inf")
    cap = 2.0 / top

    def excess(eta: float) -> float:
        return kappa * eta * float(np.sum(values / (2.0 - damping * eta * values))) - 1.0

    inside = cap * (1.0 - 1e-12)
    if kappa == 0.0 or excess(inside) <= 0.0:
        return cap
    return root(excess, 0.0, inside)


def isotropic_step_size(
    n: int, dim: int, batch_size: float, sampling: str, *, scale: float = 1.0
) -> Threshold:
    r"""Volterra threshold for isotropic gradients, explicit.

    ``η = 2x/(δ(1+x)(1+γx))`` with ``x = N/dim = δ/(κ dim)`` and ``γ = dim/n``,
    capped at ``2/(1+√γ)²``; ``2/(κ dim)`` where δ = 0 (one sample a batch).
    Mean-limited from about ``x > 1/√γ``, ``B > √(dim·n)/(1+√γ)`` for Bernoulli.

    Parameters
    ----------
    n, dim : int
        Number of samples; dimension of a gradient.
    batch_size : float
        In [1, n]; real and in (0, n] for Bernoulli.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}
    scale : float, default 1.0
        Variance of a gradient's entries, > 0.

    Returns
    -------
    Threshold
        In units of 1/scale; the status says whether the noise or the mean limits.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    Limit of dim, n → ∞ at fixed ratio. Relative error 1/n where the noise
    limits, n^{-2/3} where the mean does. Fails where the samples' norms differ.

    References
    ----------
    Derived in docs/theory/volterra; compare Paquette et al., arXiv:2102.04396.

    See Also
    --------
    rmtstab.UnlearningProblem.critical_step_size : the exact threshold of given gradients.

    Examples
    --------
    >>> from rmtstab.theory import volterra
    >>> found = volterra.isotropic_step_size(400, 800, 40, "without_replacement")
    >>> round(float(found), 6), found.status
    (0.094862, 'interior')
    >>> volterra.isotropic_step_size(400, 800, 400, "bernoulli").status[:12]
    'mean-limited'
    """
    n, dim, scale = _sizes(n, dim, scale)
    kappa, damping = noise_scale(n, batch_size, sampling)
    gamma = dim / n
    cap = 2.0 / (1.0 + math.sqrt(gamma)) ** 2
    if damping == 0.0:
        return capped(2.0 / (kappa * dim), cap, scale, BULK)
    if kappa * dim * math.sqrt(gamma) <= 0.0 or damping / (kappa * dim) >= 1.0 / math.sqrt(gamma):
        return Threshold(cap / scale, 0.0, True, BULK)
    x = damping / (kappa * dim)
    return capped(2.0 * x / (damping * (1.0 + x) * (1.0 + gamma * x)), cap, scale, BULK)


def spiked_step_size(
    n: int, dim: int, spikes: Any, batch_size: float, sampling: str, *, scale: float = 1.0
) -> Threshold:
    r"""Volterra threshold for a population with spikes ``ℓ_k`` over a bulk at 1.

    The root in y of

    ``dim·y/(1−y) + [y(1−y+γy)/((1−y)²−γy²)] Σ_k (ℓ_k−1)/(1−ℓ_k y) = N``,

    ``z = 1/y + γ/(1−y)``, ``η = 2/(δz)``, capped at ``2/max(edge, outliers)``.
    The sum is each spike's share of the trace, of order 1 against N of order n:
    **spikes move the threshold by O(1/n) only, until the bulk's threshold meets
    the cap 2/outlier**; within ``n^{-1/2}`` of that corner, by ``n^{-1/2}``.

    Parameters
    ----------
    n, dim : int
        Number of samples; dimension of a gradient.
    spikes : array_like, shape (n_spikes,)
        Population eigenvalues beside the bulk's, in units of it, ≥ 1.
    batch_size : float
        In [1, n]; real and in (0, n] for Bernoulli.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}
    scale : float, default 1.0
        The bulk's population eigenvalue, > 0.

    Returns
    -------
    Threshold
        In units of 1/scale.

    Raises
    ------
    ValueError
        If an argument is outside its range, or there are more spikes than dimensions.

    Notes
    -----
    Limit of dim, n → ∞ with spikes of order 1. A Gaussian spike of order dim makes
    the samples' norms differ and the threshold too high; a signal of one length,
    as in `rmtstab.theory.signal_plus_noise`, does not.

    References
    ----------
    Derived in docs/theory/volterra.

    Examples
    --------
    >>> from rmtstab.theory import volterra
    >>> found = volterra.spiked_step_size(400, 800, [8.0], 40, "without_replacement")
    >>> round(float(found), 6), found.status
    (0.093559, 'interior')
    >>> volterra.spiked_step_size(400, 800, [60.0], 40, "without_replacement").status
    'mean-limited: at 2/outlier the mean overshoots along a spike'
    """
    n, dim, scale = _sizes(n, dim, scale)
    values = _checks.array("spikes", spikes, ndim=1)
    if values.size > dim:
        raise ValueError(f"spikes must be at most dim={dim}, got {values.size}")
    check_spikes(values)
    kappa, damping = noise_scale(n, batch_size, sampling)
    gamma = dim / n
    outliers = Spiked(gamma, values).outliers() if values.size else np.zeros(0)
    separate = outliers[np.isfinite(outliers)]
    edge = (1.0 + math.sqrt(gamma)) ** 2
    top = float(separate.max(initial=edge))
    limit = BULK if top == edge else OUTLIER
    if damping == 0.0:
        trace = dim + float(np.sum(values - 1.0))
        return capped(2.0 / (kappa * trace), 2.0 / top, scale, limit)

    def excess(y: float) -> float:
        rate = y * (1.0 - y + gamma * y) / ((1.0 - y) ** 2 - gamma * y * y)
        spiked = rate * float(np.sum((values - 1.0) / (1.0 - values * y)))
        return kappa * (dim * y / (1.0 - y) + spiked) - damping

    # y of the cap: z(y) = top/δ, on the branch that starts at y = 0
    far = top / damping
    b = far + 1.0 - gamma
    highest = 2.0 / (b + math.sqrt(max(b * b - 4.0 * far, 0.0)))
    inside = highest * (1.0 - 1e-12)
    if kappa == 0.0 or excess(inside) <= 0.0:
        return Threshold(2.0 / top / scale, 0.0, True, limit)
    y = root(excess, 0.0, inside)
    status = INTERIOR if _bulk_limits(kappa, damping, dim, highest) else limit
    z = 1.0 / y + gamma / (1.0 - y)
    return Threshold(min(2.0 / (damping * z), 2.0 / top) / scale, 0.0, True, status)


def population_step_size(
    n: int, eigenvalues: Any, batch_size: float, sampling: str, *, counts: Any = None
) -> Threshold:
    r"""Volterra threshold for gradients of any population covariance.

    ``η = 2y/(δ(1 + N/n))`` with y the root of ``Σ_j t_j y/(1 − t_j y) = N`` in
    ``(0, 1/t_max)``; capped at ``2/edge``, the edge of the generalised
    Marchenko–Pastur law at ``(1/n) Σ_j (t_j y/(1 − t_j y))² = 1``.

    Parameters
    ----------
    n : int
        Number of samples.
    eigenvalues : array_like, shape (k,)
        Population eigenvalues ``t_j``, ≥ 0, one of them positive.
    batch_size : float
        In [1, n]; real and in (0, n] for Bernoulli.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}
    counts : array_like, shape (k,), optional
        How many dimensions have each eigenvalue, > 0; 1 when not given.

    Returns
    -------
    Threshold
        In inverse units of the eigenvalues.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    Limit of dim, n → ∞ with a fixed population law. An eigenvalue of finite
    multiplicity far above the rest belongs to `spiked_step_size`: here its cap is the
    edge of a bulk of its own, ``O(n^{-1/2})`` above the outlier.

    References
    ----------
    Derived in docs/theory/volterra; the law is Marchenko & Pastur's, 1967.

    Examples
    --------
    >>> from rmtstab.theory import volterra
    >>> found = volterra.population_step_size(
    ...     400, [1.0, 4.0], 40, "without_replacement", counts=[400, 400]
    ... )
    >>> round(float(found), 6), found.status
    (0.037233, 'interior')
    """
    n = _checks.integer("n", n, low=1)
    t = _checks.array("eigenvalues", eigenvalues, ndim=1)
    weights = np.ones(t.size) if counts is None else _checks.array("counts", counts, ndim=1)
    if weights.shape != t.shape:
        raise ValueError(
            f"counts must have one entry an eigenvalue, shape {t.shape}, got {weights.shape}"
        )
    if not t.size or t.min() < 0.0 or t.max() == 0.0:
        seen = f"{t.min():g}…{t.max():g}" if t.size else "none"
        raise ValueError(f"eigenvalues must be >= 0 and one of them > 0, got {seen}")
    if weights.min() <= 0.0:
        raise ValueError(f"counts must be > 0, got {weights.min():g}")
    kappa, damping = noise_scale(n, batch_size, sampling)
    unit = float(t.max())
    t = t / unit

    def trace(y: float) -> float:
        return float(np.sum(weights * t * y / (1.0 - t * y)))

    def spread(y: float) -> float:
        return float(np.sum(weights * (t * y / (1.0 - t * y)) ** 2)) / n - 1.0

    at_edge = root(spread, 0.0, 1.0 - 1e-15)
    cap = 2.0 * at_edge / (1.0 + trace(at_edge) / n)
    if damping == 0.0:
        return capped(2.0 / (kappa * float(np.sum(weights * t))), cap, unit, BULK)
    if kappa * trace(at_edge) <= damping:
        return Threshold(cap / unit, 0.0, True, BULK)
    y = root(lambda y: kappa * trace(y) - damping, 0.0, at_edge)
    return capped(2.0 * y / (damping * (1.0 + damping / (kappa * n))), cap, unit, BULK)


def _bulk_limits(kappa: float, damping: float, dim: int, y: float) -> bool:
    """Whether the bulk alone reaches the noise's threshold before the cap."""
    return kappa * dim * y / (1.0 - y) > damping


def _sizes(n: Any, dim: Any, scale: Any) -> tuple[int, int, float]:
    return (
        _checks.integer("n", n, low=1),
        _checks.integer("dim", dim, low=1),
        _checks.real("scale", scale, low=0.0, low_open=True),
    )
