"""Train a network to interpolation: gradient descent, then Gauss–Newton in sample space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray
from rmtstab.bridge.factors import Data, sample_factors
from rmtstab.bridge.losses import half_squared_error


@dataclass(frozen=True)
class Interpolation(Record):
    """How far training got.

    Attributes
    ----------
    loss : float
        ``½ mean (f − y)²`` at the end.
    steps : int
        Steps taken.
    converged : bool
        Whether the loss fell below the tolerance.
    """

    loss: float
    steps: int
    converged: bool


def gradient_descent(
    model: nn.Module, data: Data, *, step_size: float, steps: int, tolerance: float = 1e-3
) -> Interpolation:
    """Minimise ``½ mean (f − y)²`` by full-batch gradient descent, in place.

    Parameters
    ----------
    model : torch.nn.Module
        Scalar outputs (n,); changed in place.
    data : tuple of tensors
        Inputs and targets (n,).
    step_size : float
        > 0, in inverse units of the sharpness.
    steps : int
        At most so many steps.
    tolerance : float, default 1e-3
        Stop once the loss is below.

    Returns
    -------
    Interpolation

    Raises
    ------
    ValueError
        If a parameter is outside its range.
    FloatingPointError
        If the loss stops being finite: the step size is too large.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 1, dtype=torch.float64), torch.nn.Flatten(0))
    >>> x, y = torch.eye(2, dtype=torch.float64), torch.tensor([1.0, -1.0], dtype=torch.float64)
    >>> bridge.gradient_descent(model, (x, y), step_size=0.5, steps=500).converged
    True
    """
    step_size = _checks.real("step_size", step_size, low=0.0, low_open=True)
    steps = _checks.integer("steps", steps, low=0)
    tolerance = _checks.real("tolerance", tolerance, low=0.0)
    inputs, targets = _read(model, data)
    # By hand: torch.optim imports the compiler stack, seconds in every worker process.
    weights = [p for p in model.parameters() if p.requires_grad]
    value = float("nan")
    for step in range(steps + 1):
        loss = half_squared_error(model(inputs), targets)
        value = float(loss.detach())
        if not np.isfinite(value):
            raise FloatingPointError(
                f"the loss is not finite after {step} steps at step_size={step_size:g}; lower it"
            )
        if value < tolerance or step == steps:
            return Interpolation(value, step, value < tolerance)
        slopes = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, slope in zip(weights, slopes, strict=True):
                weight.sub_(slope, alpha=step_size)
    raise AssertionError("unreachable: the last pass of the loop returns")


def gauss_newton(
    model: nn.Module, data: Data, *, tolerance: float = 1e-20, max_steps: int = 50
) -> Interpolation:
    r"""Polish a network to interpolation by Gauss–Newton steps in sample space, in place.

    ``δw = Jᵀ K⁺ (y − f)`` with ``K = J Jᵀ`` (n × n), the smallest step that
    interpolates to first order, halved until the loss falls.

    Parameters
    ----------
    model : torch.nn.Module
        Scalar outputs (n,); changed in place.
    data : tuple of tensors
        Inputs and targets (n,).
    tolerance : float, default 1e-20
        Stop once ``½ mean (f − y)²`` is below.
    max_steps : int, default 50

    Returns
    -------
    Interpolation
        ``converged`` is False where the samples cannot be interpolated from
        here (``y − f`` outside the range of K).

    Raises
    ------
    ValueError
        If ``max_steps`` or ``tolerance`` is outside its range.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> model = bridge.TwoLayerReLUCNN(dim=30, filters=4)
    >>> x = torch.randn(5, 2, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> bridge.gauss_newton(model, (x, torch.ones(5, dtype=torch.float64))).loss < 1e-20
    True
    """
    tolerance = _checks.real("tolerance", tolerance, low=0.0, low_open=True)
    max_steps = _checks.integer("max_steps", max_steps, low=0)
    inputs, targets = _read(model, data)
    weights = [p for p in model.parameters() if p.requires_grad]

    def residual() -> FloatArray:
        with torch.no_grad():
            gap: FloatArray = (targets - model(inputs)).cpu().numpy()
        return gap

    gap = residual()
    loss = 0.5 * float(np.mean(gap**2))
    for step in range(max_steps):
        if loss < tolerance:
            return Interpolation(loss, step, True)
        jacobian = sample_factors(model, half_squared_error, data)[:, 0]
        change = jacobian.T @ np.linalg.lstsq(jacobian @ jacobian.T, gap, rcond=1e-13)[0]
        start = parameters_to_vector(weights).detach().clone()
        direction = torch.as_tensor(change, dtype=start.dtype, device=start.device)
        for halvings in range(30):
            vector_to_parameters(start + 0.5**halvings * direction, weights)
            gap = residual()
            new_loss = 0.5 * float(np.mean(gap**2))
            if new_loss < loss:
                break
        else:
            vector_to_parameters(start, weights)
            return Interpolation(loss, step, False)
        loss = new_loss
    return Interpolation(loss, max_steps, loss < tolerance)


def _read(model: Any, data: Any) -> tuple[Any, Any]:
    """Inputs and targets, or raise."""
    _checks.instance("model", model, nn.Module)
    inputs, targets = _checks.items("data", data, 2)
    for part in (inputs, targets):
        _checks.instance("data", part, torch.Tensor)
    return inputs, targets
