"""Look at a model and leave it as it was."""

from __future__ import annotations

import copy
import pickle
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

R = TypeVar("R")
CALLS = 3  # at each of which what draws does so
CONTAINERS = (dict, OrderedDict, list, set)  # what a forward pass may write into


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Restore a model and every global state that reading it may move, also after an error.

    Modes, gradients, buffers, ``requires_grad`` flags, hooks and all other attributes of its
    modules (what a forward pass caches or counts), the default dtype, grad mode, and all random
    generators (Python, NumPy, torch on the CPU and every CUDA device).

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
    held = [_Attributes(module) for module in model.modules()]
    flags = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    slopes = [None if grad is None else grad.clone() for _, _, grad in flags]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    dtype = torch.get_default_dtype()
    try:
        with untouched_generators(), torch.set_grad_enabled(torch.is_grad_enabled()):
            yield
    finally:
        torch.set_default_dtype(dtype)
        for attributes in held:
            attributes.restore()
        for (parameter, flag, grad), slope in zip(flags, slopes, strict=True):
            if parameter.requires_grad != flag:
                parameter.requires_grad_(flag)
            parameter.grad = grad
            if grad is not None and slope is not None:
                grad.copy_(slope)
        with torch.no_grad():
            for buffer, value in buffers:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


@contextmanager
def untouched_generators() -> Iterator[None]:
    """Give every global random generator its state back: Python, NumPy, torch on all devices."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    cuda = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices=cuda):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def generator_states() -> list[Any]:
    """States of every global random generator, to tell whether something drew from one."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    states = [torch.get_rng_state(), *cuda]
    numpy = np.random.get_state(legacy=True)  # noqa: NPY002
    return [*(bytes(state.numpy()) for state in states), random.getstate(), pickle.dumps(numpy)]


def repeated(call: Callable[[], R]) -> tuple[R, R, bool]:
    """Call twice: both results, and whether each call draws from a global random generator.

    Other threads draw from the same generators (a scheduler's, a loader's): a state that moves at
    some calls only is their doing.

    Parameters
    ----------
    call : callable

    Returns
    -------
    (first, second, draws)

    Examples
    --------
    >>> import random
    >>> from rmtstab.bridge.untouched import repeated
    >>> repeated(lambda: 1), repeated(random.random)[2]
    ((1, 1, False), True)
    """
    results: list[R] = []
    draws = True
    while len(results) < 2 or (draws and len(results) < CALLS):
        before = generator_states()
        results.append(call())
        draws = draws and generator_states() != before
    return results[0], results[1], draws


class _Attributes:
    """A module's attributes, and the entries of those that are containers."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.values = vars(module).copy()
        self.entries = [(v, copy.copy(v) if v else None) for v in self.values.values()
                        if type(v) in CONTAINERS]  # fmt: skip

    def restore(self) -> None:
        """Give the module back what it had; plain attributes by identity, containers by entry."""
        now = vars(self.module)
        for name in now.keys() - self.values.keys():
            del now[name]
        for name, value in self.values.items():
            if now.get(name, self) is not value:
                now[name] = value
        for current, entries in self.entries:
            if (current or entries) and (entries is None or _marks(current) != _marks(entries)):
                current.clear()
                if entries:
                    current.extend(entries) if isinstance(entries, list) else current.update(
                        entries
                    )


def _marks(container: Any) -> list[Any]:
    """What a container holds, by identity."""
    if isinstance(container, dict):
        return [(key, id(value)) for key, value in container.items()]
    return [id(value) for value in container]
