"""The frozen diagonal preconditioner of an adaptive optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def diagonal(
    preconditioner: Any, model: nn.Module, weights: Mapping[str, Tensor]
) -> dict[str, Tensor] | None:
    r"""Read a positive diagonal P, one tensor a moving weight.

    With second moments held, Adam and AdamW step along ``P m̂`` with
    ``P = 1/(√v̂ + ε)``, ``v̂ = v/(1 − β₂^t)`` (the running maximum under ``amsgrad``);
    RMSprop with ``P = 1/(√v + ε)`` (v centred where it is). Groups of another learning rate
    are scaled by its ratio to the first group's, so that ``step_size`` is the first's.

    Parameters
    ----------
    preconditioner : dict of Tensor or float, Adam, AdamW or RMSprop, or None
        Of each moving weight by name.
    model : torch.nn.Module
    weights : mapping of str to Tensor
        The moving weights.

    Returns
    -------
    dict of Tensor, or None

    Raises
    ------
    TypeError, ValueError
        If an entry is missing, unknown, of another shape, or not positive and finite; if the
        optimizer is of another kind, holds other weights, or has not stepped yet.
    """
    if preconditioner is None:
        return None
    if isinstance(preconditioner, torch.optim.Optimizer):
        given: Mapping[str, Any] = _of_optimizer(preconditioner, model, weights)
    elif isinstance(preconditioner, Mapping):
        given = preconditioner
    else:
        raise TypeError(
            "preconditioner must be a dict of tensors or a torch Adam, AdamW or RMSprop "
            f"optimizer, got {type(preconditioner).__name__}"
        )
    unknown = sorted(set(given) - set(weights))
    missing = sorted(set(weights) - set(given))
    if unknown or missing:
        wrong = f"unknown {unknown[0]!r}" if unknown else f"nothing for {missing[0]!r}"
        raise ValueError(f"preconditioner must have one entry a moving weight, got {wrong}")
    found = {}
    for name, weight in weights.items():
        value = torch.as_tensor(given[name]).detach().to(weight.device, weight.dtype)
        if value.ndim and value.shape != weight.shape:
            raise ValueError(
                f"preconditioner[{name!r}] must have shape {tuple(weight.shape)}, "
                f"got {tuple(value.shape)}"
            )
        if not bool((value.isfinite() & (value > 0)).all()):
            raise ValueError(
                f"preconditioner[{name!r}] must be positive and finite, got {float(value.min())!r}"
            )
        found[name] = value.expand(weight.shape)
    return found


def _of_optimizer(
    optimizer: torch.optim.Optimizer, model: nn.Module, weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    kind = type(optimizer).__name__
    if kind not in ("Adam", "AdamW", "RMSprop"):
        raise TypeError(
            f"preconditioner must be Adam, AdamW, RMSprop or a dict of tensors, got {kind}; "
            "pass its diagonal as a dict"
        )
    names = {id(p): name for name, p in model.named_parameters()}
    rate = float(optimizer.param_groups[0]["lr"])
    found: dict[str, Tensor] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = names.get(id(parameter))
            if name is None or name not in weights:
                continue
            state = optimizer.state.get(parameter, {})
            if not state:
                raise ValueError(
                    "preconditioner must have second moments, got an optimizer "
                    f"({kind}) that never stepped {name!r}"
                )
            root = _second_moment(kind, state, group).double().sqrt()
            found[name] = float(group["lr"]) / rate / (root + group["eps"])
    missing = [name for name in weights if name not in found]
    if missing:
        raise ValueError(
            f"preconditioner must hold every moving weight, got an optimizer ({kind}) "
            f"without {missing[0]!r}; build it on this model's parameters, or restrict parameters="
        )
    return found


def _second_moment(kind: str, state: Mapping[str, Any], group: Mapping[str, Any]) -> Tensor:
    if kind == "RMSprop":
        square: Tensor = state["square_avg"]
        return (square - state["grad_avg"] ** 2).clamp(min=0.0) if group["centered"] else square
    raw: Tensor = state["max_exp_avg_sq"] if group["amsgrad"] else state["exp_avg_sq"]
    corrected: Tensor = raw / (1.0 - group["betas"][1] ** float(state["step"]))
    return corrected
