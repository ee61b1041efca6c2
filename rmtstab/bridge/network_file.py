"""The file of a linearised network: arrays and a JSON header in one ``.npz``, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from rmtstab.bridge.linearisation import Linearisation

FORMAT = 1
SETS = ("retain", "forget", "test")


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
        "bends": [bend.length for bend in net.space.bends],
        "output_shape": list(net.output_shape),
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
