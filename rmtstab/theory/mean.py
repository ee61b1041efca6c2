"""Mean dynamics: what gradient descent–ascent does without mini-batch noise."""

from __future__ import annotations

from typing import Any

import numpy as np

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
        Largest stable step size; 0 if an eigenvalue is ≤ 0, ``inf`` for an empty range.

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
    if not mu.size:
        return float("inf")
    return 0.0 if mu.min() <= 0 else float(2.0 / mu.max())
