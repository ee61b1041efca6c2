"""Mean dynamics: what gradient descent–ascent does without mini-batch noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from rmtstab import _checks


def growth(eigenvalues: Any, step_size: float) -> float:
    r"""Squared growth of the mean, ``max_p (1 − ημ_p)²``: a lower bound on ρ.

    Parameters
    ----------
    eigenvalues : array_like, shape (r,)
        Eigenvalues μ_p of the mix-Hessian D(α) on the range (weight decay added, if any).
    step_size : float
        η ≥ 0, in inverse units of the eigenvalues.

    Returns
    -------
    float
        Per step; 1 for an empty range.

    Raises
    ------
    ValueError
        If an eigenvalue is not finite or the step size is negative.

    References
    ----------
    Jensen: ``E‖w_k‖² ≥ ‖E w_k‖²``; derived in docs/theory.

    Examples
    --------
    >>> from rmtstab.theory import mean
    >>> mean.growth([1.0, 3.0], step_size=1.0)
    4.0
    """
    mu = _checks.array("eigenvalues", eigenvalues, ndim=1)
    eta = _checks.real("step_size", step_size, low=0.0)
    with np.errstate(over="ignore"):  # growth beyond 1.8e308 is infinite
        return float(np.max((1.0 - eta * mu) ** 2)) if mu.size else 1.0


def critical_step_size(eigenvalues: Any) -> float:
    r"""Gradient descent's ``2/λ_max``, or 0 where the mean ascends.

    Parameters
    ----------
    eigenvalues : array_like, shape (r,)
        Eigenvalues of the mix-Hessian on the range.

    Returns
    -------
    float
        Largest stable step size; 0 if an eigenvalue is negative beyond rounding (a null one
        neither contracts nor grows), ``inf`` without curvature.

    Raises
    ------
    ValueError
        If an eigenvalue is not finite.

    References
    ----------
    Textbook; derived in docs/theory.

    Examples
    --------
    >>> from rmtstab.theory import mean
    >>> mean.critical_step_size([1.0, 4.0])
    0.5
    """
    mu = _checks.array("eigenvalues", eigenvalues, ndim=1)
    if not mu.size or not mu.any():
        return float("inf")
    return 0.0 if mu.min() < -1e-13 * np.abs(mu).max() else float(2.0 / mu.max())


def critical_alpha(retain: Any, forget: Any) -> float:
    r"""Largest mixing with ``D(α) ⪰ 0``: ``1/(1 + b)``, ``b = λ_max(H_F, H_R)``.

    Parameters
    ----------
    retain, forget : array_like, shape (r, r)
        H_R and H_F on the range, symmetric positive semidefinite.

    Returns
    -------
    float
        In [0, 1]; 0 where retain misses a direction of forget (every over-parameterised
        network), 1 for a forget set without curvature.

    Raises
    ------
    ValueError
        On shapes that do not fit, NaN or infinities, or an indefinite matrix.

    References
    ----------
    ``D(α) ⪰ 0`` iff ``α H_F ⪯ (1−α) H_R``; derived in docs/theory/bounds.

    Examples
    --------
    >>> from rmtstab.theory import mean
    >>> mean.critical_alpha([[1.0]], [[3.0]])
    0.25
    """
    r = _checks.array("retain", retain, ndim=2)
    f = _checks.array("forget", forget, ndim=2)
    if r.shape != f.shape or r.shape[0] != r.shape[1]:
        raise ValueError(f"retain and forget must be square and alike, got {r.shape} and {f.shape}")
    if not f.any():
        return 1.0
    rounding = len(r) * np.finfo(np.float64).eps
    values, vectors = np.linalg.eigh(r)
    for name, tops in (("retain", values), ("forget", np.linalg.eigvalsh(f))):
        if tops[0] < -1e-10 * np.abs(tops).max():
            raise ValueError(f"{name} must be positive semi-definite, got eigenvalue {tops[0]:g}")
    seen = values > rounding * max(values[-1], 0.0)
    missed = vectors[:, ~seen]
    if missed.shape[1] and np.abs(f @ missed).max() > rounding * np.abs(f).max():
        return 0.0
    q = vectors[:, seen] / np.sqrt(values[seen])
    b = float(scipy.linalg.eigvalsh(q.T @ f @ q)[-1])
    return 1.0 / (1.0 + b)
