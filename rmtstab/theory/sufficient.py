r"""Sufficient conditions: where they hold, the second moment contracts.

Φ is positive, so ``Φ(P) ⪯ λP`` gives ρ ≤ λ. With ``D' = D + λ_wd``,

    Φ(P) = I − 2ηD' + η²[D'² + Q₂],   Q₂ = Σ_s a_s²(c_s Σ H_i² − e_s n_s H_s²),

and `one_step` asks for ``λ_max(Φ(P)) ≤ 1``. `operator` replaces ``D'²`` by
``λ_max(D')D'`` and ``Q₂`` by ``Q = Σ_s a_s² c_s Σ λ_max(H_i) H_i``: weaker, and in
closed form in a few numbers for plain SGD (`sgd_step_size`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab.theory.matrix_tops import matrix_pair, top_value, two_over_top
from rmtstab.theory.one_step import OneStepBound, one_step, one_step_growth
from rmtstab.theory.sgd import sgd_batch_size, sgd_sharpness, sgd_step_size

__all__ = [
    "OneStepBound",
    "one_step",
    "one_step_growth",
    "operator",
    "operator_growth",
    "sgd_batch_size",
    "sgd_sharpness",
    "sgd_step_size",
]


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
    Derived in docs/theory/bounds; exact on equal orthogonal groups under Bernoulli
    sampling, where it is Dexter et al., arXiv:2401.12332, Theorem 2.

    Examples
    --------
    >>> from rmtstab.theory import sufficient
    >>> round(sufficient.operator([[2.0]], [[2.0]]), 12)
    0.666666666667
    """
    d, q = matrix_pair(mix_hessian, weighted, "weighted")
    top = float(np.linalg.eigvalsh(d)[-1]) if d.size else 0.0
    if not math.isfinite(top * float(np.abs(d).max(initial=0.0))):
        raise ValueError(f"mix_hessian must have a finite square, got eigenvalue {top:g}")
    return two_over_top(top * d + q, d)


def operator_growth(mix_hessian: Any, weighted: Any, step_size: float) -> float:
    r"""Upper bound on ρ: ``λ_max(I − 2ηD + η²(λ_max(D) D + Q))``, D ⪰ 0.

    It lies above `one_step_growth`, as ``D² ⪯ λ_max(D) D`` for ``D ⪰ 0`` and ``Q₂ ⪯ Q``.

    Parameters
    ----------
    mix_hessian, weighted : array_like, shape (r, r)
        D(α) and Q, as for `operator`.
    step_size : float
        η ≥ 0.

    Returns
    -------
    float
        Per step; NaN where D has a negative eigenvalue, ``−inf`` for an empty range.

    Raises
    ------
    ValueError
        On shapes that do not fit, NaN or infinities, or a negative step size.

    References
    ----------
    Derived in docs/theory/bounds.

    Examples
    --------
    >>> from rmtstab.theory import sufficient
    >>> sufficient.operator_growth([[2.0]], [[1.0]], 0.5)
    0.25
    """
    d, q = matrix_pair(mix_hessian, weighted, "weighted")
    eta = _checks.real("step_size", step_size, low=0.0)
    values = np.linalg.eigvalsh(d)
    if values.size and values[0] < 0.0:
        return math.nan
    top = float(values[-1]) if values.size else 0.0
    if not math.isfinite(eta * eta * max(top * top, float(np.abs(q).max(initial=0.0)))):
        raise ValueError(f"step_size must leave the second moment finite, got {eta:g}")
    return top_value(np.eye(len(d)) + (eta * eta * top - 2.0 * eta) * d + eta * eta * q)
