"""A digest of a model's state, to notice that it was changed."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def fingerprint(model: nn.Module) -> str:
    """Digest of every parameter and buffer: names, types, shapes and values.

    The model's source code is not read: classes defined in a notebook are as good.

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.fingerprint import fingerprint
    >>> model = torch.nn.Linear(2, 1)
    >>> before = fingerprint(model)
    >>> _ = torch.nn.init.zeros_(model.bias)
    >>> fingerprint(model) == before
    False
    """
    digest = hashlib.sha256()
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        tensor = value.detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]
