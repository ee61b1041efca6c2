"""The file of a linearised network: arrays and a JSON header in one ``.npz``, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rmtstab.bridge.curves import SETS
from rmtstab.bridge.function_space import FunctionSpace
from rmtstab.bridge.linearisation import Linearisation
from rmtstab.bridge.network import Network
from rmtstab.bridge.set_loss import FrozenSetLoss, SetLoss

FORMAT = 2
KINDS = ("weights", "preconditioner")  # of tensors that each moving weight may have


class Moving(NamedTuple):
    """The weights that move, as a file holds them.

    Attributes
    ----------
    names : tuple of str
    weights : dict of Tensor, or None
        Where the network was linearised; None at the model's own.
    preconditioner : dict of Tensor, or None
    dtype : str
        In which outputs were computed.
    bare : bool
        Whether the network's last sigmoid was taken for a part of the loss.
    """

    names: tuple[str, ...]
    weights: dict[str, Tensor] | None = None
    preconditioner: dict[str, Tensor] | None = None
    dtype: str = "float64"
    bare: bool = False

    @classmethod
    def of(cls, network: Network) -> Moving:
        """What there is to hold of a network."""
        own = dict(network.model.named_parameters())
        as_read = all(
            torch.equal(weight, own[name].detach().to(weight))
            for name, weight in network.weights.items()
        )
        return cls(
            network.names, None if as_read else network.weights, network.preconditioner,
            str(network.dtype).removeprefix("torch."), bool(network.bypassed),
        )  # fmt: skip


def probes(space: FunctionSpace) -> list[list[float] | None]:
    """Loss and slope of each set, here and further out: what tells a loss from its namesakes."""
    return [
        None
        if loss is None
        else [number for at in (outputs, _further(outputs)) for number in _probe(loss, at)]
        for loss, outputs in space.parts()
    ]


def _probe(loss: SetLoss, outputs: Tensor) -> tuple[float, float]:
    slopes = loss.weights[:, None] * loss.loss.gradients(outputs, loss.targets)
    return float(loss.values(outputs)), float(slopes.norm())


def _further(outputs: Tensor) -> Tensor:
    """Outputs each moved by a fixed random number: some losses differ far from the targets only."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(outputs.shape, generator=generator, dtype=outputs.dtype)
    return outputs + 3.0 * noise.to(outputs.device)


def save(net: Linearisation, path: Any) -> None:
    """Write a linearised network; see `load`.

    Parameters
    ----------
    net : LinearisedNetwork
    path : path-like
    """
    arrays: dict[str, Any] = {
        "outputs": net.space.outputs.cpu().numpy(),
        "gram": net.space.gram.cpu().numpy(),
    }
    if net.space.drift is not None:
        arrays["drift"] = net.space.drift.cpu().numpy()
    for k, bend in enumerate(net.space.bends):
        arrays[f"bend_{k}"] = bend.gram.cpu().numpy()
        arrays[f"bend_{k}_direction"] = bend.direction.cpu().numpy()
    for kind in KINDS:
        for name, tensor in (getattr(net.moving, kind) or {}).items():
            arrays[f"{kind}.{name}"] = tensor.cpu().numpy()
    for name, loss in zip(SETS, net.space.losses, strict=True):
        if isinstance(loss, FrozenSetLoss):
            arrays[f"expanded.{name}"] = loss.start.cpu().numpy()
    trees = {}
    for name, part in zip(SETS, net.samples, strict=True):
        if part is not None:
            trees[name] = [
                _flatten(values, f"{name}_{kind}", arrays)
                for kind, values in (("inputs", part.inputs), ("targets", part.targets))
            ]
    header = {
        "format": FORMAT,
        "weight_norm": net.space.weight_norm,
        "bends": [[bend.length, bend.decayed] for bend in net.space.bends],
        "output_shape": list(net.output_shape),
        "parameters": list(net.moving.names),
        "dtype": net.moving.dtype,
        "bare": net.moving.bare,
        "references": net.references,
        "probes": probes(net.space),
        "losses": [None if loss is None else loss.name for loss in net.losses],
        "fingerprint": net.fingerprint,
        "notes": list(net.notes),
        "trees": trees,
    }
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    with Path(path).open("wb") as file:
        np.savez(file, **arrays)


def _flatten(tree: Any, name: str, arrays: dict[str, Any]) -> Any:
    """Put the tensors of a tree among the arrays, and return the tree of their names."""
    if isinstance(tree, Tensor):
        half = tree.dtype == torch.bfloat16  # which NumPy does not know
        arrays[name] = (tree.float() if half else tree).cpu().numpy()
        return name
    if isinstance(tree, Mapping):
        return {key: _flatten(value, f"{name}.{key}", arrays) for key, value in tree.items()}
    return [_flatten(value, f"{name}.{k}", arrays) for k, value in enumerate(tree)]
