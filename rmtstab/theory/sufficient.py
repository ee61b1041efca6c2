"""Sufficient conditions: step sizes below which the second moment contracts."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from rmtstab import _checks


def one_step(mix_hessian: Any, noise: Any) -> float:
    r"""Largest η with ``λ_max(Φ(P)) ≤ 1``: ``2/λ_max(D² + Q₂, D)``.

    Φ is positive, so ``Φ(P) ⪯ λP`` gives ρ ≤ λ; and
    ``Φ(P) = (I − ηD)² + η²Q₂`` with ``Q₂ = Σ_s a_s²(c_s Σ H_i² − e_s n_s H_s²)``.

    Parameters
    ----------
    mix_hessian : array_like, shape (r, r)
        D(α) on the range, symmetric.
    noise : array_like, shape (r, r)
        Q₂, symmetric positive semidefinite; independent of η.

    Returns
    -------
    float
        A step size below which ρ < 1; 0 where D is not positive definite.

    Raises
    ------
    ValueError
        On shapes that do not fit, NaN or infinities.

    References
    ----------
    Derived in docs/theory.

    Examples
    --------
    >>> from rmtstab.theory import sufficient
    >>> round(sufficient.one_step([[2.0]], [[0.0]]), 12)
    1.0
    """
    d, q = _pair(mix_hessian, noise)
    return _two_over_top(d @ d + q, d)


def operator(mix_hessian: Any, weighted: Any) -> float:
    r"""Largest η of the operator bound: ``2/λ_max(λ_max(D) D + Q, D)``, D ≻ 0.

    ``Q = Σ_s a_s² c_s Σ_i λ_max(H_i) H_i`` bounds ``Q₂`` from above with one
    number a sample; valid, and conservative for fixed-size batches.

    Parameters
    ----------
    mix_hessian : array_like, shape (r, r)
        D(α) on the range, symmetric.
    weighted : array_like, shape (r, r)
        Q.

    Returns
    -------
    float
        A step size below which ρ < 1; 0 where D is not positive definite.

    Raises
    ------
    ValueError
        On shapes that do not fit, NaN or infinities.

    References
    ----------
    Derived in docs/theory; exact on equal orthogonal groups under Bernoulli
    sampling, where it is Dexter et al., arXiv:2401.12332, Theorem 2.

    Examples
    --------
    >>> from rmtstab.theory import sufficient
    >>> round(sufficient.operator([[2.0]], [[2.0]]), 12)
    0.666666666667
    """
    d, q = _pair(mix_hessian, weighted)
    top = float(np.linalg.eigvalsh(d)[-1]) if d.size else 0.0
    return _two_over_top(top * d + q, d)


def _pair(first: Any, second: Any) -> tuple[Any, Any]:
    d = _checks.array("mix_hessian", first, ndim=2)
    q = _checks.array("noise", second, ndim=2)
    if d.shape != q.shape or d.shape[0] != d.shape[1]:
        raise ValueError(
            f"mix_hessian and noise must be square and alike, got {d.shape} and {q.shape}"
        )
    return d, q


def _two_over_top(a: Any, d: Any) -> float:
    """``2/λ_max(a, d)``, or 0 where d is not positive definite to rounding."""
    if not d.size:
        return float("inf")
    values = np.linalg.eigvalsh(d)
    if values[0] <= 1e-13 * max(abs(values[-1]), 1e-300):
        return 0.0
    last = len(d) - 1
    top = scipy.linalg.eigh(a, d, eigvals_only=True, subset_by_index=[last, last])[0]
    return float(2.0 / top)
