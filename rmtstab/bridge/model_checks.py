"""What a model must be before it is read, and which tensor of its result is the output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from rmtstab import _checks

WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, torch.jit.ScriptModule)


class OutputError(ValueError):
    """``output=`` does not choose a tensor of what the model returns."""


def check_model(model: Any) -> None:
    """Refuse what is not a module, has no weights, or has weights that are not finite."""
    if isinstance(model, Mapping):
        raise TypeError(
            "model must be a torch.nn.Module, got a state dict; build the model, then "
            "model.load_state_dict(torch.load(path, weights_only=True))"
        )
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if isinstance(model, WRAPPERS):
        raise TypeError(
            f"model must be a plain torch.nn.Module, got a {type(model).__name__}; pass the model "
            "that it was made of"
        )
    if torch.is_inference_mode_enabled():
        raise ValueError(
            "model must be read outside torch.inference_mode(), which turns derivatives off; "
            "use torch.no_grad()"
        )
    state = [*model.named_parameters(), *model.named_buffers()]
    for name, value in state:
        if is_lazy(value):
            raise ValueError(
                f"model must have initialised weights, got lazy {name!r}; call it on a batch first"
            )
    places = sorted({str(value.device) for _, value in state})
    if len(places) > 1 or places == ["meta"]:
        raise ValueError(
            f"model must lie on one device that holds data, got {', '.join(places)}; "
            "use model.to(device) with its weights loaded"
        )
    for name, value in state:
        if value.is_floating_point() and not bool(value.detach().isfinite().all()):
            kind = "NaN" if bool(value.detach().isnan().any()) else "infinite"
            raise ValueError(f"model must have finite weights, got {kind} weights in {name!r}")


def check_order(model: Any, loss: Any) -> None:
    """Refuse a loss in the network's place and the network in its own."""
    if isinstance(model, nn.Module) and isinstance(loss, nn.Module):
        weights = [next(module.parameters(), None) for module in (model, loss)]
        if weights[0] is None and weights[1] is not None:
            raise TypeError(
                f"model and loss must be given in this order, got {type(model).__name__} without "
                f"weights and {type(loss).__name__} with some; swap them"
            )


def check_tensor(name: str, value: Any, axes: int, *, whole: bool = False) -> Tensor:
    """Return a tensor of some number of axes, of integers or of real numbers, or raise."""
    _checks.instance(name, value, Tensor)
    if value.ndim != axes:
        raise ValueError(f"{name} must have {axes} axes, got shape {tuple(value.shape)}")
    if whole and (value.is_floating_point() or value.is_complex()):
        raise TypeError(f"{name} must hold integers, got {value.dtype}")
    result: Tensor = value
    return result


def select_output(result: Any, output: str | Callable[[Any], Tensor] | None) -> Tensor:
    """Pick the output tensor out of what a model returned."""
    if callable(output):
        result = output(result)
    elif output is not None and isinstance(result, Tensor):
        raise OutputError(f"output must be None where the model returns one tensor, got {output!r}")
    elif output is not None:
        found = result.get(output) if isinstance(result, Mapping) else getattr(result, output, None)
        if found is None:
            raise OutputError(f"output must be one of {_keys(result)}, got {output!r}")
        result = found
    elif isinstance(result, Mapping) and "logits" in result:
        result = result["logits"]
    elif not isinstance(result, Tensor) and isinstance(getattr(result, "logits", None), Tensor):
        result = result.logits
    elif isinstance(result, Mapping | tuple | list) and len(result) == 1:
        result = next(iter(result.values() if isinstance(result, Mapping) else result))
    if not isinstance(result, Tensor):
        raise OutputError(
            f"output must choose one tensor of what the model returns, {_keys(result)}; pass a "
            "key, or a function of the model's result"
        )
    return result


def _keys(result: Any) -> str:
    if isinstance(result, Mapping):
        return ", ".join(repr(key) for key in result)
    if isinstance(result, tuple | list):
        return f"a {type(result).__name__} of {len(result)}"
    names = [name for name in vars(result)] if hasattr(result, "__dict__") else []
    return ", ".join(repr(name) for name in names) or type(result).__name__
