"""Checkpoints inside a model, taken out of derivatives that are not of the model's own weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch.utils import checkpoint


class _Plain:
    """What stands for torch's reentrant checkpoint: the function itself."""

    @staticmethod
    def apply(function: Callable[..., Any], _preserve: bool, *inputs: Any) -> Any:
        """Call the function."""
        return function(*inputs)


def _no_hook(_frame: Any) -> AbstractContextManager[None]:
    return nullcontext()


@contextmanager
def without_checkpoints() -> Iterator[None]:
    """Let forward passes keep what they need, also inside `torch.utils.checkpoint`.

    A checkpoint computes again in the backward pass, when `torch.func.functional_call` has
    given the model its own weights back: derivatives at other weights were wrong in silence.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.checkpoint import checkpoint
    >>> from rmtstab.bridge.checkpoints import without_checkpoints
    >>> calls = []
    >>> x = torch.ones(2, requires_grad=True)
    >>> with without_checkpoints():
    ...     y = checkpoint(lambda t: calls.append(1) or t.exp(), x, use_reentrant=False)
    >>> y.sum().backward()
    >>> len(calls)
    1
    """
    stand_ins = {"_checkpoint_hook": _no_hook, "CheckpointFunction": _Plain}
    held = {name: getattr(checkpoint, name) for name in stand_ins if hasattr(checkpoint, name)}
    try:
        for name in held:
            setattr(checkpoint, name, stand_ins[name])
        yield
    finally:
        for name, value in held.items():
            setattr(checkpoint, name, value)
