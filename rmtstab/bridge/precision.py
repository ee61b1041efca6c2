"""float32 as float32, whatever a program has allowed its products to be rounded to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

PLACES = (
    "cuda.matmul", "cudnn.conv", "cudnn.rnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn",
)  # fmt: skip
OLDER = ("cuda.matmul", "cudnn")  # before torch 2.9, with one flag each


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Make products and convolutions in the precision of their factors.

    Neither autocast nor TF32 (torch's default in convolutions on CUDA) nor bfloat16 (after
    ``torch.set_float32_matmul_precision``): their rounding, 1e-3, would count as curvature. All
    settings are given back.

    Parameters
    ----------
    device : torch.device
        Whose autocast is left out.

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.precision import full_precision
    >>> with full_precision(torch.device("cpu")):
    ...     torch.is_autocast_enabled("cpu")
    False
    """
    held = [(place, "fp32_precision", "ieee") for place in map(_backend, PLACES)]
    if any(not hasattr(place, name) for place, name, _ in held):
        held = [(_backend(path), "allow_tf32", False) for path in OLDER]  # type: ignore[misc]
    before = [getattr(place, name) for place, name, _ in held]
    try:
        for place, name, value in held:
            setattr(place, name, value)
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for (place, name, _), value in zip(held, before, strict=True):
            setattr(place, name, value)


def _backend(path: str) -> Any:
    """Part of `torch.backends`, or None where this torch has none of that name."""
    found: Any = torch.backends
    for name in path.split("."):
        found = getattr(found, name, None)
    return found
