"""Trace and diagonal of a curvature operator by random probes, with error bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.sparse.linalg import LinearOperator

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import Estimate, FloatArray


@dataclass(frozen=True, repr=False)
class DiagonalEstimate(Record):
    """An estimated diagonal.

    Attributes
    ----------
    values : ndarray, shape (d,), float64
    standard_errors : ndarray, shape (d,), float64
        From the spread over probes.
    """

    dimensions: ClassVar = {
        "values": ("coordinate",),
        "standard_errors": ("coordinate",),
    }

    values: FloatArray
    standard_errors: FloatArray


def check_operator(operator: Any) -> int:
    """Dimension of a square linear operator, or raise."""
    shape = getattr(operator, "shape", None)
    if not callable(getattr(operator, "matvec", None)) or not isinstance(shape, tuple):
        raise TypeError(f"operator must be a LinearOperator, got {type(operator).__name__}")
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"operator must be square, got shape {shape}")
    return int(shape[0])


def trace_estimate(
    operator: LinearOperator, n_products: int = 60, *, rng: np.random.Generator | int = 0
) -> Estimate:
    r"""Trace of a symmetric operator: exact on a sketched range, by probes on the rest (Hutch++).

    ``tr A = tr QᵀAQ + E[gᵀ(1−QQᵀ)A(1−QQᵀ)g]`` with Q a basis of ``A S``, S random signs: a
    third of the products each for ``A S``, ``A Q`` and the probes g.

    Parameters
    ----------
    operator : scipy.sparse.linalg.LinearOperator
    n_products : int, default 60
        At least 6; with ``3 d`` or more the trace is exact.
    rng : numpy.random.Generator or int, default 0

    Returns
    -------
    Estimate
        Value and standard error; the error is 0 where the sketch spans the range.

    References
    ----------
    Meyer, Musco, Musco and Woodruff, arXiv:2010.09649, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse.linalg import aslinearoperator
    >>> from rmtstab import bridge
    >>> operator = aslinearoperator(np.diag([5.0, 3.0] + 98 * [0.0]))
    >>> round(bridge.trace_estimate(operator, 12).value, 9)
    8.0
    """
    d = check_operator(operator)
    n_products = _checks.integer("n_products", n_products, low=6)
    rng = _checks.generator("rng", rng)
    third = min(n_products // 3, d)
    signs = rng.choice([-1.0, 1.0], (d, third))
    basis = np.linalg.qr(_columns(operator, signs))[0]
    exact = float(np.einsum("dk,dk->", basis, _columns(operator, basis)))
    if third == d:
        return Estimate(exact, 0.0)
    probes = rng.choice([-1.0, 1.0], (d, n_products - 2 * third))
    probes -= basis @ (basis.T @ probes)
    draws = np.einsum("dk,dk->k", probes, _columns(operator, probes))
    return Estimate(exact + float(draws.mean()), float(draws.std(ddof=1) / np.sqrt(len(draws))))


def diagonal_estimate(
    operator: LinearOperator, n_products: int = 60, *, rng: np.random.Generator | int = 0
) -> DiagonalEstimate:
    r"""Diagonal of a symmetric operator by random signs: ``E[g ∘ (A g)] = diag A``.

    The variance of entry i is ``Σ_{j≠i} A_ij²/n_products``.

    Parameters
    ----------
    operator : scipy.sparse.linalg.LinearOperator
    n_products : int, default 60
        At least 2.
    rng : numpy.random.Generator or int, default 0

    Returns
    -------
    DiagonalEstimate

    References
    ----------
    Bekas, Kokiopoulou and Saad, Appl. Numer. Math. 57, 1214 (2007).

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse.linalg import aslinearoperator
    >>> from rmtstab import bridge
    >>> bridge.diagonal_estimate(aslinearoperator(np.diag([1.0, 2.0])), 4).values
    array([1., 2.])
    """
    d = check_operator(operator)
    n_products = _checks.integer("n_products", n_products, low=2)
    rng = _checks.generator("rng", rng)
    mean, spread = np.zeros(d), np.zeros(d)
    for count in range(1, n_products + 1):  # Welford: nothing of size d × n_products
        signs = rng.choice([-1.0, 1.0], d)
        draw = signs * operator.matvec(signs)
        change = draw - mean
        mean += change / count
        spread += change * (draw - mean)
    return DiagonalEstimate(mean, np.sqrt(spread / (n_products - 1) / n_products))


def _columns(operator: LinearOperator, columns: FloatArray) -> FloatArray:
    return np.stack([operator.matvec(column) for column in columns.T], axis=1)
