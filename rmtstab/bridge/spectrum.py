"""Spectra of a network's Hessian by autograd: the witness of the closed-form curvature."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import nn
from torch.func import functional_call, grad, vjp

from rmtstab._results import FloatArray
from rmtstab.bridge.factors import Data, free_parameters
from rmtstab.bridge.losses import Loss


def largest_hessian_eigenvalue(
    model: nn.Module,
    loss: Loss,
    data: Data,
    *,
    parameters: Iterable[str] | None = None,
    tolerance: float = 1e-10,
) -> float:
    """Largest eigenvalue of the loss's Hessian in the weights, by Hessian-vector products.

    Uses nothing but the network, its loss and differentiation of its gradient,
    so it witnesses `rmtstab.curvature.cnn_gram` independently:
    at an interpolator the largest eigenvalue of ``K/n`` is the same number.

    Parameters
    ----------
    model : torch.nn.Module
    loss : callable
        ``loss(outputs, targets)`` → scalar, averaged over the samples.
    data : tuple of tensors
        Inputs and targets.
    parameters : iterable of str, optional
        Names of the parameters to differentiate; default all that require gradients.
    tolerance : float, default 1e-10
        Relative accuracy asked of Lanczos.

    Returns
    -------
    float
        In the units of the loss per squared weight.

    Raises
    ------
    scipy.sparse.linalg.ArpackNoConvergence
        If Lanczos does not reach the tolerance.

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
    inputs, targets = data
    free, fixed = free_parameters(model, parameters)
    sizes = [p.numel() for p in free.values()]
    reference = next(iter(free.values()))

    def objective(free: dict[str, torch.Tensor]) -> torch.Tensor:
        return loss(functional_call(model, {**fixed, **free}, (inputs,)), targets)

    # The Hessian is symmetric: pulling a vector back through the gradient multiplies by it.
    pull = vjp(grad(objective), free)[1]

    def product(vector: FloatArray) -> FloatArray:
        flat = torch.as_tensor(vector.ravel(), dtype=reference.dtype, device=reference.device)
        parts = zip(free, torch.split(flat, sizes), strict=True)
        tangent = {name: part.reshape(free[name].shape) for name, part in parts}
        (slopes,) = pull(tangent)
        result: FloatArray = torch.cat([slopes[name].flatten() for name in free]).cpu().numpy()
        return result

    size = sum(sizes)
    if size < 3:
        columns = [product(row) for row in np.eye(size)]
        return float(np.linalg.eigvalsh(np.stack(columns))[-1])
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)
    return float(eigsh(operator, k=1, which="LA", tol=tolerance, v0=start)[0][0])
