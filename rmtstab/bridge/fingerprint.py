"""Digests of a model's state and of its linearisation, to notice that they are others."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from rmtstab.bridge.function_space import FunctionSpace
    from rmtstab.bridge.network import Network

LENGTH = 32  # hexadecimal digits kept


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
        tensor = value.detach().cpu().flatten().clone(memory_format=torch.contiguous_format)
        digest.update(f"{name} {tensor.dtype} {tuple(value.shape)}".encode())
        digest.update(tensor.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:LENGTH]


def unchanged(network: Network | None, expected: str) -> Network:
    """Return a network whose model is still what its fingerprint says.

    Parameters
    ----------
    network : Network or None
    expected : str
        Fingerprint of its model when it was linearised.

    Raises
    ------
    ValueError
        If there is no network, or its weights or buffers are others.
    """
    if network is None:
        raise ValueError(
            "model must be given to check predictions, got none; pass model= to load()"
        )
    if fingerprint(network.model) != expected:
        raise ValueError(
            "model must be as it was when linearised, got other weights or buffers; "
            "linearise it again"
        )
    return network


def digest(space: FunctionSpace) -> str:
    """Digest of a linearised network: outputs, Gram matrix, bends, slopes of its losses.

    Parameters
    ----------
    space : FunctionSpace
    """
    side = space.gram.shape[0] * space.gram.shape[1]
    found = hashlib.sha256(space.outputs.cpu().numpy().tobytes())
    found.update(space.gram.reshape(side, -1).diagonal().cpu().numpy().tobytes())
    for bend in space.bends:
        found.update(bend.direction.cpu().numpy().tobytes())
    for loss, outputs in space.parts():
        if loss is not None:
            slopes = loss.loss.gradients(outputs, loss.targets)
            found.update(type(loss).__name__.encode() + slopes.cpu().numpy().tobytes())
    return found.hexdigest()[:LENGTH]
