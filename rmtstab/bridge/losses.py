"""Losses of theory, and what the bridge calls a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.func import vmap
from torch.nn import functional

from rmtstab import _checks
from rmtstab.bridge.sample_loss import OutputRoots, SampleLoss

__all__ = [
    "Loss",
    "OutputRoots",
    "SampleLoss",
    "half_squared_error",
    "logistic",
    "per_sample",
]

Loss = Callable[[Tensor, Any], Tensor]


def half_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """``½ mean_i ‖f_i − y_i‖²``: output Hessian 1, the theory's MSE.

    Parameters
    ----------
    outputs, targets : Tensor, of one shape

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge import half_squared_error
    >>> half_squared_error(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0]))
    tensor(1.)
    """
    _check_alike(outputs, targets)
    return 0.5 * (outputs - targets).square().sum() / len(outputs)


def logistic(outputs: Tensor, targets: Tensor) -> Tensor:
    """``mean_i log(1 + exp(−y_i f_i))`` for labels ±1: output Hessian p(1 − p).

    Parameters
    ----------
    outputs, targets : Tensor, of one shape

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge import logistic
    >>> logistic(torch.zeros(2), torch.ones(2))
    tensor(0.6931)
    """
    _check_alike(outputs, targets)
    return -functional.logsigmoid(targets * outputs).mean()


def per_sample(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """Evaluate ``loss`` on batches of one: shape (n,), whatever its reduction over samples."""
    values: Tensor = vmap(lambda output, target: loss(output[None], target[None]))(outputs, targets)
    return values


def _check_alike(outputs: Tensor, targets: Tensor) -> None:
    _checks.instance("outputs", outputs, Tensor)
    _checks.instance("targets", targets, Tensor)
    if outputs.shape != targets.shape:  # broadcasting would compare every pair
        raise ValueError(
            f"targets must have the outputs' shape {tuple(outputs.shape)}, "
            f"got {tuple(targets.shape)}"
        )
