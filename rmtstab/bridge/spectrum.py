"""Eigenpairs of curvature operators, each with its residual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import nn

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray
from rmtstab.bridge.estimates import check_operator
from rmtstab.bridge.operators import CurvatureOperator, hessian_operator

Which = Literal["top", "bottom", "both"]
_ARPACK = {"top": "LA", "bottom": "SA", "both": "BE"}
DENSE = 64  # sides up to which the operator is written out


@dataclass(frozen=True, repr=False)
class Eigenpairs(Record):
    """Eigenvalues and vectors of a symmetric operator, and how far each is from being one.

    Attributes
    ----------
    values : ndarray, shape (k,), float64
        In falling order.
    vectors : ndarray, shape (d, k), float64
        Orthonormal columns.
    residuals : ndarray, shape (k,), float64
        ``‖A v − λ v‖``, computed from a further product: within this of each value lies an
        eigenvalue of the operator, up to the rounding of its products.
    converged : bool
        Whether every residual is below the tolerance asked.
    n_products : int
        Products with the operator, those for the residuals included.
    """

    dimensions: ClassVar = {
        "values": ("pair",),
        "vectors": ("coordinate", "pair"),
        "residuals": ("pair",),
    }

    values: FloatArray
    vectors: FloatArray
    residuals: FloatArray
    converged: bool
    n_products: int


def extreme_eigenpairs(
    operator: LinearOperator,
    k: int = 1,
    *,
    which: Which = "top",
    tolerance: float | None = None,
    max_products: int | None = None,
    seed: int = 0,
) -> Eigenpairs:
    r"""Eigenpairs at the ends of a symmetric operator's spectrum, with certified residuals.

    Restarted Lanczos that keeps its basis orthogonal (no ghosts), then one product an
    eigenvector to measure what it left.

    Parameters
    ----------
    operator : scipy.sparse.linalg.LinearOperator
        Symmetric, of real numbers, such as those of `hessian_operator`.
    k : int, default 1
        Number of eigenpairs, in [1, d].
    which : {"top", "bottom", "both"}, default "top"
        Largest; smallest; or half from either end (one more from the top if k is odd).
    tolerance : float, optional
        Largest residual relative to the largest eigenvalue in size; default 1e-8, or 1e-4
        where the operator's products are made in less than double precision.
    max_products : int, optional
        Stop there, with ``converged`` False; default ``10 d``.
    seed : int, default 0
        Seed of the starting vector.

    Returns
    -------
    Eigenpairs
        With fewer than k pairs where Lanczos stopped early.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    Residual bound: Parlett, *The Symmetric Eigenvalue Problem* (1998), Theorem 4.5.1.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse.linalg import aslinearoperator
    >>> from rmtstab import bridge
    >>> operator = aslinearoperator(np.diag([3.0, 1.0, -2.0]))
    >>> found = bridge.extreme_eigenpairs(operator, 2, which="both")
    >>> found.values.round(12), bool(found.converged)
    (array([ 3., -2.]), True)
    """
    d = check_operator(operator)
    k = _checks.integer("k", k, low=1, high=d, high_label="d")
    _checks.choice("which", which, tuple(_ARPACK))
    is_double = getattr(getattr(operator, "network", None), "dtype", torch.float64).itemsize > 4
    wanted = (1e-8 if is_double else 1e-4) if tolerance is None else tolerance
    wanted = _checks.real("tolerance", wanted, low=0.0, low_open=True)
    seed = _checks.seed("seed", seed)
    if max_products is not None:
        max_products = _checks.integer("max_products", max_products, low=1)
    counted = _Counted(operator)
    if d <= max(DENSE, k + 1):
        values, vectors = np.linalg.eigh(_symmetric(counted @ np.eye(d)))
        chosen = _ends(d, k, which)
        values, vectors = values[chosen], vectors[:, chosen]
    else:
        start = np.random.default_rng(seed).standard_normal(d)
        size = min(d, max(2 * k + 1, 20))
        most = 10 * d if max_products is None else max_products
        try:
            values, vectors = eigsh(
                counted.operator,
                k=k,
                which=_ARPACK[which],
                v0=start,
                ncv=size,
                tol=0.1 * wanted,
                maxiter=max(1, most // size),
            )
        except ArpackNoConvergence as error:
            values, vectors = error.eigenvalues, error.eigenvectors
    order = np.argsort(values)[::-1]
    values, vectors = values[order], vectors[:, order]
    residuals = np.array(
        [
            np.linalg.norm(counted.product(v) - value * v)
            for value, v in zip(values, vectors.T, strict=True)
        ]
    )
    largest = float(np.abs(values).max(initial=0.0))
    converged = len(values) == k and bool((residuals <= wanted * largest).all())
    return Eigenpairs(values, vectors, residuals, converged, counted.n_products)


def largest_hessian_eigenvalue(
    model: nn.Module,
    loss: Any,
    data: Any,
    *,
    parameters: Any = None,
    output: Any = None,
    preconditioner: Any = None,
    device: str | torch.device | None = None,
    check_deterministic: bool = True,
    tolerance: float = 1e-10,
) -> float:
    """Largest eigenvalue of the loss's Hessian in the weights, by Hessian-vector products.

    Uses nothing but the network, its loss and differentiation of its gradient,
    so it witnesses `rmtstab.curvature.cnn_gram` independently:
    at an interpolator the largest eigenvalue of ``K/n`` is the same number.

    Parameters
    ----------
    model : torch.nn.Module
        As for `rmtstab.bridge.problem`.
    loss : callable
        ``loss(outputs, targets)`` → scalar; it need not be convex.
    data : pair (inputs, targets), Dataset or DataLoader
    parameters, output, preconditioner, device, check_deterministic
        As for `rmtstab.bridge.problem`; with a preconditioner, of ``P^{1/2} H P^{1/2}``.
    tolerance : float, default 1e-10
        Relative accuracy asked of Lanczos; 0 asks for all that doubles give.

    Returns
    -------
    float
        In the units of the loss per squared weight.

    Raises
    ------
    TypeError, ValueError
        If model, loss or data cannot be read rightly, as for `rmtstab.bridge.problem`.
    scipy.sparse.linalg.ArpackNoConvergence
        If Lanczos does not reach the tolerance.

    See Also
    --------
    extreme_eigenpairs : vectors and residuals too, at either end.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> model = torch.nn.Linear(3, 1, bias=False, dtype=torch.float64)
    >>> x = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    >>> value = bridge.largest_hessian_eigenvalue(model, bridge.half_squared_error, (x, x[:, :1]))
    >>> round(value, 9)  # 9 / 3 samples
    3.0
    """
    tolerance = _checks.real("tolerance", tolerance, low=0.0)
    operator: CurvatureOperator = hessian_operator(
        model,
        loss,
        data,
        parameters=parameters,
        output=output,
        preconditioner=preconditioner,
        device=device,
        check_deterministic=check_deterministic,
    )
    d = operator.shape[0]
    if d < 3:
        return float(np.linalg.eigvalsh(_symmetric(operator @ np.eye(d)))[-1])
    start = np.random.default_rng(0).standard_normal(d)
    return float(eigsh(operator, k=1, which="LA", tol=tolerance, v0=start)[0][0])


class _Counted:
    """An operator that counts its products."""

    def __init__(self, operator: LinearOperator) -> None:
        self.n_products, self._inner = 0, operator
        self.operator = LinearOperator(operator.shape, matvec=self.product, dtype=np.float64)

    def product(self, vector: FloatArray) -> FloatArray:
        self.n_products += 1
        result: FloatArray = self._inner.matvec(np.ravel(vector))
        return result

    def __matmul__(self, columns: FloatArray) -> FloatArray:
        return np.stack([self.product(column) for column in columns.T], axis=1)


def _symmetric(matrix: FloatArray) -> FloatArray:
    result: FloatArray = 0.5 * (matrix + matrix.T)
    return result


def _ends(d: int, k: int, which: Which) -> list[int]:
    """Places of the wanted eigenvalues in rising order."""
    if which == "top":
        return list(range(d - k, d))
    if which == "bottom":
        return list(range(k))
    low = k // 2
    return [*range(low), *range(d - (k - low), d)]
