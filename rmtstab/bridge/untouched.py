"""Look at a model and leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from rmtstab.bridge.samples import untouched_generators

HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
    "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs", "_forward_hooks_always_called",
)  # fmt: skip


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Restore a model and every global state that reading it may move, also after an error.

    Modes, gradients, buffers, ``requires_grad`` flags, hooks, the default dtype, grad mode, and
    all random generators (Python, NumPy, torch on the CPU and every CUDA device).

    Parameters
    ----------
    model : torch.nn.Module

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.untouched import untouched
    >>> model = torch.nn.Dropout()
    >>> with untouched(model):
    ...     _ = model.eval()
    >>> model.training
    True
    """
    modules = list(model.modules())
    modes = [module.training for module in modules]
    hooks = [{name: dict(getattr(m, name)) for name in HOOKS if hasattr(m, name)} for m in modules]
    flags = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    slopes = [None if grad is None else grad.clone() for _, _, grad in flags]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    dtype = torch.get_default_dtype()
    try:
        with untouched_generators(), torch.set_grad_enabled(torch.is_grad_enabled()):
            yield
    finally:
        torch.set_default_dtype(dtype)
        for module, mode, kept in zip(modules, modes, hooks, strict=True):
            module.training = mode
            for name, entries in kept.items():
                current = getattr(module, name)
                if list(current) != list(entries):
                    current.clear()
                    current.update(entries)
        for (parameter, flag, grad), slope in zip(flags, slopes, strict=True):
            parameter.requires_grad_(flag)
            parameter.grad = grad
            if grad is not None and slope is not None:
                grad.copy_(slope)
        with torch.no_grad():
            for buffer, value in buffers:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)
