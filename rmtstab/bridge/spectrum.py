"""Spectra of a network's Hessian by autograd: the witness of the closed-form curvature."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn
from torch.func import grad, vjp

from rmtstab._results import FloatArray
from rmtstab.bridge.reading import read
from rmtstab.bridge.untouched import untouched


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
    model, parameters, output, preconditioner, device, check_deterministic
        As for `rmtstab.bridge.problem`; with a preconditioner, of ``P^{1/2} H P^{1/2}``.
    loss : callable
        ``loss(outputs, targets)`` → scalar; it need not be convex.
    data : pair (inputs, targets), Dataset or DataLoader
    tolerance : float, default 1e-10
        Relative accuracy asked of Lanczos.

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
    reading = read(
        model,
        loss,
        data,
        parameters=parameters,
        output=output,
        preconditioner=preconditioner,
        device=device,
        check_deterministic=check_deterministic,
        names=("data", "data"),
    )
    network, (samples, _), (batch_loss, _) = reading.network, reading.samples, reading.losses
    scale = torch.ones(()) if network.scale is None else network.scale

    def objective(weights: dict[str, Tensor]) -> Tensor:
        return batch_loss.batch(network.apply(weights, samples.inputs), samples.targets)

    def product(vector: FloatArray) -> FloatArray:
        flat = torch.as_tensor(vector.ravel(), dtype=network.dtype, device=network.device)
        with untouched(model), network.differentiable():
            (slopes,) = pull(network.unflatten(flat * scale))
        result: FloatArray = (network.flatten(slopes) * scale).double().cpu().numpy()
        return result

    # The Hessian is symmetric: pulling a vector back through the gradient multiplies by it.
    with untouched(model), network.differentiable():
        pull = vjp(grad(objective), network.weights)[1]
    size = network.n_parameters
    if size < 3:
        columns = [product(row) for row in np.eye(size)]
        return float(np.linalg.eigvalsh(np.stack(columns))[-1])
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)
    return float(eigsh(operator, k=1, which="LA", tol=tolerance, v0=start)[0][0])
