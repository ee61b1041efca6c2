"""Plain SGD's sufficient thresholds, from two sharpnesses: in step, sharpness and batch."""

from __future__ import annotations

import math

from rmtstab import _checks
from rmtstab.sampling import Scheme
from rmtstab.theory.input_checks import check_coherence, check_mean_sharpness
from rmtstab.theory.noise import least_batch

__all__ = ["sgd_batch_size", "sgd_sharpness", "sgd_step_size"]


def sgd_step_size(
    sharpness: float, sample_sharpness: float, n: int, batch_size: float, sampling: str
) -> float:
    r"""Operator bound of plain SGD (α = 0) in two numbers: a sufficient step size.

    Bernoulli ``2/(λ + (1−B/n)ℓ/B)``; fixed-size ``2/(λ + κ(ℓ − λ))`` with
    ``κ = (n−B)/(B(n−1))`` without and ``1/B`` with replacement.

    Parameters
    ----------
    sharpness : float
        λ = λ_max(H), in ``[ℓ/n, ℓ]``.
    sample_sharpness : float
        ℓ = max_i λ_max(H_i).
    n : int
    batch_size : float
        In [1, n]; real and in (0, n] for Bernoulli.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    float
        ρ ≤ 1 for every step size up to it; ``inf`` without curvature.

    Raises
    ------
    ValueError
        If an argument is outside its range or the sharpnesses are inconsistent.

    References
    ----------
    Derived in docs/theory/bounds; exact on equal orthogonal groups.

    Examples
    --------
    >>> from rmtstab.theory.sufficient import sgd_step_size
    >>> sgd_step_size(1.0, 1.0, 4, 4, "bernoulli")
    2.0
    """
    noise = _sgd_noise(sharpness, sample_sharpness, n, batch_size, sampling)
    return 2.0 / (sharpness + noise) if sharpness > 0.0 else math.inf


def sgd_sharpness(
    coherence: float, step_size: float, n: int, batch_size: float, sampling: str
) -> float:
    r"""Sharpness up to which SGD is stable, for data of coherence σ (Dexter et al., Theorem 2).

    Bernoulli ``(2/η) σ/(n/B + σ − 1)``; fixed-size ``(2/η)/(1 + κ(n/σ − 1))``.
    It holds for equal orthogonal groups, where σ = nλ/ℓ, with equality.

    Parameters
    ----------
    coherence : float
        σ, in [1, n].
    step_size : float
        η > 0.
    n, batch_size, sampling
        As in `sgd_step_size`.

    Returns
    -------
    float
        λ_max(H), in inverse units of η.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    As a sufficient condition for any data it needs ``ℓ ≤ nλ/σ``, which the block-norm
    inequality gives only in the other direction (``λ ≤ σℓ/n``): on data of uneven
    samples use `sgd_step_size`.

    References
    ----------
    Dexter et al., arXiv:2401.12332, Theorem 2.

    Examples
    --------
    >>> from rmtstab.theory.sufficient import sgd_sharpness
    >>> round(sgd_sharpness(3.0, 1.0, 12, 2, "bernoulli"), 12)
    0.75
    """
    eta = _checks.real("step_size", step_size, low=0.0, low_open=True)
    coherence = check_coherence("coherence", coherence, n, 1)
    ratio = n / max(coherence, 1.0)  # ℓ/λ
    return 2.0 / (eta * (1.0 + _sgd_noise(1.0, ratio, n, batch_size, sampling)))


def sgd_batch_size(
    sharpness: float, sample_sharpness: float, n: int, step_size: float, sampling: str
) -> float:
    r"""Batch size from which the operator bound calls plain SGD stable; NaN if none does.

    Parameters
    ----------
    sharpness, sample_sharpness, n
        As in `sgd_step_size`.
    step_size : float
        η > 0.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    float
        A real number; at least 1 for the fixed-size schemes.

    Raises
    ------
    ValueError
        If an argument is outside its range or the sharpnesses are inconsistent.

    References
    ----------
    Derived in docs/theory/bounds.

    Examples
    --------
    >>> from rmtstab.theory.sufficient import sgd_batch_size
    >>> sgd_batch_size(1.0, 4.0, 4, 1.0, "bernoulli")
    2.0
    """
    eta = _checks.real("step_size", step_size, low=0.0, low_open=True)
    _sgd_noise(sharpness, sample_sharpness, n, n, sampling)
    scheme = Scheme.named(sampling)
    kappa, offset = scheme.inverse_batch(n)
    excess = sample_sharpness - (sharpness if scheme.fixed_size else 0.0)
    slope = 0.5 * eta * kappa * n * excess
    return least_batch(1.0 - 0.5 * eta * sharpness + slope * offset, slope, [n], sampling)


def _sgd_noise(sharpness: float, sample: float, n: int, batch_size: float, sampling: str) -> float:
    """``λ_max`` of the bound on ``Q₂`` relative to D, at α = 0."""
    sample = _checks.real("sample_sharpness", sample, low=0.0)
    scheme = Scheme.named(sampling)
    n = _checks.integer("n", n, low=1)
    c, e = scheme.coefficients(n, scheme.check_batch("batch_size", batch_size, n))
    sharpness = check_mean_sharpness("sharpness", sharpness, sample, n)
    return c * n * max(sample - (sharpness if e else 0.0), 0.0)
