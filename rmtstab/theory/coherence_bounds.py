"""Necessary conditions: lower bounds on the growth factor ρ from a few numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab.theory.noise import weighted_sets


def direction(
    retain: Any,
    forget: Any,
    *,
    step_size: float,
    batch_size: tuple[float, float],
    alpha: float,
    sampling: str,
    weight_decay: float = 0.0,
) -> float:
    r"""Rayleigh quotient of Φ at ``vvᵀ``, for one unit vector v.

    ``(1 − ηvᵀDv)² + η² Σ_s a_s² [c_s Σ h_i² − e_s n_s h̄_s²]``.

    Parameters
    ----------
    retain, forget : array_like, shape (n_retain,), (n_forget,)
        Curvatures ``h_i = vᵀH_iv ≥ 0`` along one unit vector v of the range.
    step_size : float
        η ≥ 0.
    batch_size : (float, float)
        Retain and forget batch sizes.
    alpha : float
        Mixing in [0, 1].
    sampling : {"bernoulli", "without_replacement", "with_replacement"}
    weight_decay : float, default 0
        Added to ``vᵀDv``.

    Returns
    -------
    float
        A lower bound on ρ.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    Φ is self-adjoint (docs/theory); at α = 0 this is Mulayoff & Michaeli,
    arXiv:2306.07850, (15).

    Examples
    --------
    >>> from rmtstab.theory import coherence_bounds
    >>> coherence_bounds.direction([2.0, 0.0], [], step_size=1.0, batch_size=(1, 1), alpha=0.0,
    ...                            sampling="without_replacement")
    1.0
    """
    curvatures = [_checks.array(k, v, ndim=1) for k, v in (("retain", retain), ("forget", forget))]
    eta = _checks.real("step_size", step_size, low=0.0)
    sizes = (curvatures[0].size, curvatures[1].size)
    drift = _checks.real("weight_decay", weight_decay, low=0.0)
    noise = 0.0
    for index, a, c, e, n in weighted_sets(alpha, sizes, batch_size, sampling):
        h = curvatures[index]
        drift += a * h.mean() if index == 0 else -a * h.mean()
        noise += a * a * _spread(h, c, e, n)
    return float((1.0 - eta * drift) ** 2 + eta * eta * noise)


def _spread(h: Any, c: float, e: float, n: int) -> float:
    """``c Σh² − e n h̄²``, without cancellation where e = c."""
    if e == c:
        return float(c * np.sum((h - h.mean()) ** 2))
    return float(c * np.sum(h**2) - e * n * h.mean() ** 2)


def trace(
    eigenvalues: Any,
    sample_squares: tuple[float, float],
    set_squares: tuple[float, float],
    *,
    sizes: tuple[int, int],
    step_size: float,
    batch_size: tuple[float, float],
    alpha: float,
    sampling: str,
) -> float:
    r"""Rayleigh quotient of Φ at the range's projector: ``tr Φ(P)/r``.

    Parameters
    ----------
    eigenvalues : array_like, shape (r,)
        Eigenvalues of D(α) on the range (weight decay added, if any).
    sample_squares : (float, float)
        ``Σ_i tr H_i²`` over retain and over forget.
    set_squares : (float, float)
        ``tr H_R²`` and ``tr H_F²`` of the mean curvatures.
    sizes : (int, int)
        Set sizes.
    step_size, batch_size, alpha, sampling
        As in `direction`.

    Returns
    -------
    float
        A lower bound on ρ.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    Derived in docs/theory; at α = 0 Mulayoff & Michaeli, arXiv:2306.07850, (16).

    Examples
    --------
    >>> from rmtstab.theory import coherence_bounds
    >>> coherence_bounds.trace([1.0], (2.0, 0.0), (1.0, 0.0), sizes=(2, 0), step_size=1.0,
    ...                        batch_size=(1, 1), alpha=0.0, sampling="without_replacement")
    0.0
    """
    mu = _checks.array("eigenvalues", eigenvalues, ndim=1)
    eta = _checks.real("step_size", step_size, low=0.0)
    if not mu.size:
        return 1.0
    noise = sum(
        a * a * (c * sample_squares[i] - e * n * set_squares[i])
        for i, a, c, e, n in weighted_sets(alpha, sizes, batch_size, sampling)
    )
    return float((np.sum((1.0 - eta * mu) ** 2) + eta * eta * noise) / mu.size)


def single_sample(
    sharpness: Any,
    set_sharpness: tuple[float, float],
    *,
    sizes: tuple[int, int],
    step_size: float,
    batch_size: tuple[float, float],
    alpha: float,
    sampling: str,
) -> float:
    r"""One heavy sample: ``max_s η² a_s² c_s ℓ_s²`` under Bernoulli sampling.

    Fixed-size batches: ``max_s η² a_s² c_s n/(n−1) (ℓ_s − λ_max(H_s))₊²``.

    Parameters
    ----------
    sharpness : (float, float)
        ``ℓ_s = max_i λ_max(H_i)`` of each set.
    set_sharpness : (float, float)
        ``λ_max(H_R)`` and ``λ_max(H_F)``; not used by Bernoulli sampling.
    sizes, step_size, batch_size, alpha, sampling
        As in `trace`.

    Returns
    -------
    float
        A lower bound on ρ.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    Derived in docs/theory.

    Examples
    --------
    >>> from rmtstab.theory import coherence_bounds
    >>> coherence_bounds.single_sample((2.0, 0.0), (1.0, 0.0), sizes=(2, 0), step_size=1.0,
    ...                                batch_size=(1, 1), alpha=0.0, sampling="bernoulli")
    1.0
    """
    eta = _checks.real("step_size", step_size, low=0.0)
    best = 0.0
    for i, a, c, e, n in weighted_sets(alpha, sizes, batch_size, sampling):
        if e == 0.0:
            value = c * sharpness[i] ** 2
        elif n > 1:
            value = c * n / (n - 1.0) * max(sharpness[i] - set_sharpness[i], 0.0) ** 2
        else:
            value = 0.0
        best = max(best, eta * eta * a * a * value)
    return float(best)


def coherence(
    mean_sharpness: float,
    unlearning_coherence: float,
    *,
    sizes: tuple[int, int],
    step_size: float,
    batch_size: tuple[float, float],
    alpha: float,
    sampling: str,
) -> float:
    r"""Unlearning-coherence bound: ``η² q λ_max(H̄)²/σ_u²``, ``q = min_s(n_s/B_s − 1)``.

    Fixed-size batches: ``η² λ_max(H̄)² min_s c_s n_s/(n_s − 1) (n_s/σ_u − 1)₊²``.

    Parameters
    ----------
    mean_sharpness : float
        ``λ_max((1−α)H_R + αH_F)``.
    unlearning_coherence : float
        σ_u(α) ≥ 1.
    sizes, step_size, batch_size, alpha, sampling
        As in `trace`.

    Returns
    -------
    float
        A lower bound on ρ; Bernoulli at α = 0 diverges above the threshold of
        Dexter et al.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    Vacuous where one weighted set is taken whole (q = 0).

    References
    ----------
    Dexter et al., arXiv:2401.12332, Theorem 1 at α = 0; otherwise derived in docs/theory.

    Examples
    --------
    >>> from rmtstab.theory import coherence_bounds
    >>> coherence_bounds.coherence(1.0, 1.0, sizes=(4, 0), step_size=1.0, batch_size=(1, 1),
    ...                            alpha=0.0, sampling="bernoulli")
    3.0
    """
    eta = _checks.real("step_size", step_size, low=0.0)
    sharpness = _checks.real("mean_sharpness", mean_sharpness, low=0.0)
    # σ_u is 0/0 for vanishing curvature; any value ≥ 1 gives the bound 0 then.
    sigma = _checks.real("unlearning_coherence", unlearning_coherence, low=1.0 - 1e-9)
    factors = []
    for _, _, c, e, n in weighted_sets(alpha, sizes, batch_size, sampling):
        if e == 0.0:
            factors.append(c * n * n / sigma**2)
        elif n > 1:
            factors.append(c * n / (n - 1.0) * max(n / sigma - 1.0, 0.0) ** 2)
        else:
            factors.append(0.0)
    return float(eta * eta * sharpness**2 * min(factors))
