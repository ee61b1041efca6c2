"""Linearised networks read from disk, without pickle."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rmtstab.bridge.fingerprint import fingerprint
from rmtstab.bridge.function_space import FunctionSpace
from rmtstab.bridge.linearised import LinearisedNetwork
from rmtstab.bridge.loss_reading import read_loss
from rmtstab.bridge.network import Network
from rmtstab.bridge.network_file import FORMAT, SETS
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.set_loss import SetLoss


def load(
    path: Any,
    loss: Any,
    *,
    forget_loss: Any = None,
    model: nn.Module | None = None,
    parameters: Any = None,
    output: Any = None,
    preconditioner: Any = None,
) -> LinearisedNetwork:
    """Read a linearised network from a file that `LinearisedNetwork.save` wrote.

    Parameters
    ----------
    path : path-like
    loss, forget_loss : callable
        As given to `linearise`: functions are not stored.
    model : torch.nn.Module, optional
        The network; needed for `LinearisedNetwork.check` and `relinearise` alone.
    parameters, output, preconditioner
        As given to `linearise`, with a model.

    Returns
    -------
    LinearisedNetwork

    Raises
    ------
    ValueError
        If the file is of another kind or version, a loss is another than the stored one, or
        the model is not the one that was linearised.

    Examples
    --------
    >>> import tempfile, torch
    >>> from rmtstab import bridge
    >>> x, y, loss = torch.eye(4), torch.arange(4) % 2, torch.nn.CrossEntropyLoss()
    >>> net = bridge.linearise(torch.nn.Linear(4, 2), loss, (x[:3], y[:3]), (x[3:], y[3:]))
    >>> with tempfile.NamedTemporaryFile(suffix=".npz") as file:
    ...     net.save(file.name)
    ...     bridge.load(file.name, loss)
    LinearisedNetwork(n_retain=3, n_forget=1, n_test=0, outputs=2)
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        header = json.loads(arrays.pop("header").tobytes())
    except (ValueError, KeyError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"path must be a saved LinearisedNetwork, got {path}: {error}") from None
    if header.get("format") != FORMAT:
        raise ValueError(
            f"path must be of format {FORMAT}, got {header.get('format')}; "
            "linearise the model again"
        )
    network = None
    if model is not None:
        if fingerprint(model) != header["fingerprint"]:
            raise ValueError(
                "model must be the one that was linearised, got other weights or buffers"
            )
        network = Network(
            model, parameters=parameters, output=output, preconditioner=preconditioner
        )
        network.output_shape = tuple(header["output_shape"])
    outputs = torch.from_numpy(arrays["outputs"])
    shape = SimpleNamespace(output_shape=tuple(header["output_shape"]))
    given = (loss, loss if forget_loss is None else forget_loss, loss)
    samples: list[Samples | None] = []
    losses: list[Any] = []
    start = 0
    for function, name, kind in zip(given, SETS, header["losses"], strict=True):
        if kind is None:
            samples.append(None)
            losses.append(None)
            continue
        inputs, targets = (_unflatten(tree, arrays) for tree in header["trees"][name])
        n = len(_first(inputs))
        samples.append(Samples(inputs, targets, torch.arange(n), n))
        own = outputs[start : start + n]
        start += n
        losses.append(read_loss(function, shape, samples[-1], own))  # type: ignore[arg-type]
        if losses[-1].name != kind:
            raise ValueError(f"loss must be {kind}, as stored for {name}, got {losses[-1].name}")
    sets = [
        None if part is None else SetLoss(read, part.targets)
        for read, part in zip(losses, samples, strict=True)
    ]
    drift = torch.from_numpy(arrays["drift"]) if "drift" in arrays else None
    space = FunctionSpace(
        outputs, torch.from_numpy(arrays["gram"]), drift, header["weight_norm"], tuple(sets)
    )
    return LinearisedNetwork(
        space, tuple(samples), tuple(losses), network=network, output_shape=shape.output_shape,
        fingerprint=header["fingerprint"], notes=tuple(header["notes"]),
    )  # fmt: skip


def _unflatten(tree: Any, arrays: dict[str, Any]) -> Any:
    if isinstance(tree, str):
        return torch.from_numpy(arrays[tree])
    if isinstance(tree, dict):
        return {key: _unflatten(value, arrays) for key, value in tree.items()}
    return tuple(_unflatten(value, arrays) for value in tree)


def _first(tree: Any) -> Tensor:
    """First tensor of a tree."""
    while not isinstance(tree, Tensor):
        tree = next(iter(tree.values())) if isinstance(tree, dict) else tree[0]
    return tree
