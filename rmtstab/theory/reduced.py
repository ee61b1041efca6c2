r"""Reduced bound: keep of every set's noise only what its mean curvature carries.

By Cauchy–Schwarz ``Σ_i tr(H_i M H_i M) ≥ (n²/N) ⟨H_s, M⟩²`` with ``N = Σ_i C_i``
columns in the set, so Φ dominates, as a self-adjoint operator::

    Φ_red = 𝒥' + Σ_s |F_s⟩⟨F_s|,   F_s = η a_s n_s √(c_s/N_s) H_s,
    𝒥' = J⊗J − η² Σ_s a_s² e_s n_s H_s⊗H_s,

and ``ρ ≥ λ_max(Φ_red)``: the largest λ at which ``T_st(λ) = ⟨F_s, (λ − 𝒥')^{-1} F_t⟩``
has the eigenvalue 1. Where 𝒥' is elementwise in D's eigenbasis (Bernoulli batches, or
one weighted set) this is a secular equation of a 2×2 matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray

__all__ = ["growth"]


def growth(elementwise: Any, sources: Any) -> float:
    r"""Largest λ with ``λ_max(T(λ)) = 1``, ``T_st = Σ_pq F_s F_t/(λ − W)``.

    Parameters
    ----------
    elementwise : array_like, shape (r, r)
        W, the diagonal of 𝒥' on matrices: ``j_p j_q``, less ``η² e n μ_p μ_q`` for
        fixed-size batches of one set.
    sources : array_like, shape (k, r, r)
        F_s of each weighted set in the same basis, k ≤ 2.

    Returns
    -------
    float
        A lower bound on ρ, to 1e-14 relative; at least ``max W``.

    Raises
    ------
    ValueError
        On shapes that do not fit.

    References
    ----------
    Derived in docs/theory/bounds.

    Examples
    --------
    >>> from rmtstab.theory import reduced
    >>> reduced.growth([[0.25]], [[[0.5]]])
    0.5
    """
    w = _checks.array("elementwise", elementwise, ndim=2)
    f = _checks.array("sources", sources, ndim=3)
    if f.shape[1:] != w.shape or w.shape[0] != w.shape[1]:
        raise ValueError(
            f"sources must have shape (k, r, r) and elementwise (r, r), got {f.shape} and {w.shape}"
        )
    return secular(w.ravel(), f.reshape(len(f), -1))


def secular(poles: FloatArray, sources: FloatArray) -> float:
    """Largest eigenvalue of ``diag(poles) + Σ_s |f_s⟩⟨f_s|``, k ≤ 2 sources.

    ``1/λ_max(T(λ))`` is nearly linear: a bracketing root-finder needs about ten steps.

    Parameters
    ----------
    poles : ndarray, shape (m,)
    sources : ndarray, shape (k, m)
        k ≤ 2.

    Returns
    -------
    float
    """
    from scipy.optimize import brentq

    floor = float(poles.max(initial=-np.inf))
    total = float(np.einsum("sk,sk->", sources, sources)) if sources.size else 0.0
    if total == 0.0:
        return floor

    def excess(level: float) -> float:
        t = (sources / (level - poles)) @ sources.T
        return 1.0 / float(np.linalg.eigvalsh(t)[-1]) - 1.0

    low = floor + 1e-15 * max(abs(floor), total)
    if excess(low) >= 0.0:
        return floor
    high = floor + total  # λ_max of a sum is at most the sum
    if excess(high) <= 0.0:
        return high
    return float(brentq(excess, low, high, xtol=1e-300, rtol=1e-14))
