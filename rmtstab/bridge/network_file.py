"""The file of a linearised network: arrays and a JSON header in one ``.npz``, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rmtstab.bridge.function_space import FunctionSpace
from rmtstab.bridge.linearisation import Linearisation
from rmtstab.bridge.network import Network

FORMAT = 2
SETS = ("retain", "forget", "test")
KINDS = ("weights", "preconditioner")  # of tensors that each moving weight may have


class Moving(NamedTuple):
    """The weights that move, as a file holds them.

    Attributes
    ----------
    names : tuple of str
    weights : dict of Tensor, or None
        Where the network was linearised; None at the model's own.
    preconditioner : dict of Tensor, or None
    """

    names: tuple[str, ...]
    weights: dict[str, Tensor] | None = None
    preconditioner: dict[str, Tensor] | None = None

    @classmethod
    def of(cls, network: Network) -> Moving:
        """What there is to hold of a network."""
        own = dict(network.model.named_parameters())
        as_read = all(
            torch.equal(weight, own[name].detach().to(weight))
            for name, weight in network.weights.items()
        )
        return cls(network.names, None if as_read else network.weights, network.preconditioner)


def probes(space: FunctionSpace) -> list[list[float] | None]:
    """Loss and slope of each set at the outputs: what tells a loss from another of its name."""
    return [
        None
        if loss is None
        else [
            float(loss.values(outputs)),
            float((loss.weights[:, None] * loss.loss.gradients(outputs, loss.targets)).norm()),
        ]
        for loss, outputs in space.parts()
    ]


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
        arrays[name] = tree.cpu().numpy()
        return name
    if isinstance(tree, Mapping):
        return {key: _flatten(value, f"{name}.{key}", arrays) for key, value in tree.items()}
    return [_flatten(value, f"{name}.{k}", arrays) for k, value in enumerate(tree)]
