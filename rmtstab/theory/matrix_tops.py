"""Top eigenvalues of matrix pairs, and the step sizes that they bound."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.linalg

from rmtstab import _checks
from rmtstab._results import FloatArray

__all__ = ["matrix_pair", "top_value", "two_over_top"]


def top_value(matrix: FloatArray, metric: FloatArray | None = None) -> float:
    """Largest λ with ``matrix v = λ metric v``, metric ≻ 0; −inf for an empty matrix.

    All eigenvalues by divide and conquer: LAPACK's route to one of them gives up on
    multiples of the identity.

    Parameters
    ----------
    matrix : ndarray, shape (r, r)
        Symmetric.
    metric : ndarray, shape (r, r), optional
        Positive definite; default the identity.

    Returns
    -------
    float
    """
    if not len(matrix):
        return -math.inf
    if len(matrix) == 1:  # LAPACK's driver asks for more room there than SciPy 1.11 gives it
        return float(matrix[0, 0] / (1.0 if metric is None else metric[0, 0]))
    driver = "evd" if metric is None else "gvd"
    return float(scipy.linalg.eigh(matrix, metric, eigvals_only=True, driver=driver)[-1])


def matrix_pair(first: Any, second: Any, label: str = "noise") -> tuple[Any, Any]:
    """Return D and another matrix as arrays, square and of one size, or raise.

    Parameters
    ----------
    first, second : array_like, shape (r, r)
        The mix-Hessian, and what a message calls ``label``.
    label : str, default "noise"

    Returns
    -------
    ndarray, ndarray, shape (r, r), float64
    """
    d = _checks.array("mix_hessian", first, ndim=2)
    q = _checks.array(label, second, ndim=2)
    if d.shape != q.shape or d.shape[0] != d.shape[1]:
        raise ValueError(
            f"mix_hessian and {label} must be square and alike, got {d.shape} and {q.shape}"
        )
    return d, q


def two_over_top(a: Any, d: Any) -> float:
    """``2/λ_max(a, d)``, or 0 where d is not positive definite to rounding.

    Parameters
    ----------
    a, d : ndarray, shape (r, r)
        Symmetric; inf for empty ones.

    Returns
    -------
    float
    """
    if not d.size:
        return float("inf")
    values = np.linalg.eigvalsh(d)
    if values[0] <= 1e-13 * max(abs(values[-1]), 1e-300):
        return 0.0
    return 2.0 / top_value(a, d)
