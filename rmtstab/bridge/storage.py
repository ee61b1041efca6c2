"""Linearised networks read from disk, without pickle."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rmtstab import _checks
from rmtstab._npz import read_arrays
from rmtstab.bridge.fingerprint import fingerprint
from rmtstab.bridge.function_space import Bend, FunctionSpace
from rmtstab.bridge.linearised import LinearisedNetwork
from rmtstab.bridge.loss_reading import read_loss
from rmtstab.bridge.model_checks import check_model
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
    place = _checks.path("path", path)
    try:
        arrays = read_arrays(place, "the arrays of a network")
    except ValueError as error:
        raise ValueError(f"path must be a saved LinearisedNetwork: {error}") from None
    try:
        header = json.loads(arrays.pop("header").tobytes())
        known = header.get("format")
    except (ValueError, KeyError, AttributeError, RecursionError) as error:
        raise _foreign(path, error) from None
    if type(known) is int and known == FORMAT:
        try:
            _check(header, arrays)
        except (ValueError, KeyError, TypeError, AttributeError, LookupError) as error:
            raise _foreign(path, error) from None
    else:
        raise ValueError(
            f"path must be of format {FORMAT}, got {known!r:.50}; linearise the model again"
        )
    network = None
    if model is not None:
        check_model(model)
        if fingerprint(model) != header["fingerprint"]:
            raise ValueError(
                "model must be the one that was linearised, got other weights or buffers; "
                "linearise this one"
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
    bends = tuple(
        Bend(
            torch.from_numpy(arrays[f"bend_{k}"]),
            torch.from_numpy(arrays[f"bend_{k}_direction"]),
            length,
        )
        for k, length in enumerate(header.get("bends", ()))
    )
    space = FunctionSpace(
        outputs, torch.from_numpy(arrays["gram"]), drift, header["weight_norm"], tuple(sets), bends
    )
    return LinearisedNetwork(
        space, tuple(samples), tuple(losses), network=network, output_shape=shape.output_shape,
        fingerprint=header["fingerprint"], notes=tuple(header["notes"]),
    )  # fmt: skip


def _foreign(path: Any, error: Exception) -> ValueError:
    words = " ".join(str(error).split())[:200]
    return ValueError(
        f"path must be a saved LinearisedNetwork, got {path}: {type(error).__name__}: {words}"
    )


def _check(header: dict[str, Any], arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    """Raise something unless the header is one that `save` writes, and fits the arrays."""
    lengths = header.get("bends", [])  # none in files written before kernels were refined
    if not isinstance(lengths, list):
        raise TypeError(f"bends must be a list, got {lengths!r:.50}")
    bends = [f"bend_{k}" for k in range(len(lengths))]
    ways = [f"{name}_direction" for name in bends]
    drift = ["drift"] if "drift" in arrays else []
    for name in ("outputs", "gram", *drift, *bends, *ways):
        if arrays[name].dtype != np.float64 or not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} must be finite numbers of float64")
    n, width = arrays["outputs"].shape
    if math.prod(header["output_shape"]) != width:
        raise ValueError(f"output_shape must fit {width} outputs, got {header['output_shape']}")
    for name, value in [("weight_norm", header["weight_norm"]), *(("bends", v) for v in lengths)]:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 <= value < math.inf
        ):
            raise ValueError(f"{name} must be a number >= 0, got {value!r:.50}")
    if not isinstance(header["notes"], list) or not isinstance(header["losses"], list):
        raise TypeError("losses and notes must be lists")
    texts = [
        header["fingerprint"],
        *header["notes"],
        *(k for k in header["losses"] if k is not None),
    ]
    if len(header["losses"]) != len(SETS) or not all(isinstance(text, str) for text in texts):
        raise TypeError("losses, notes and fingerprint must be text")
    sizes = [
        {len(_first(_unflatten(tree, arrays))) for tree in header["trees"][name]}
        for name, loss in zip(SETS, header["losses"], strict=True)
        if loss is not None
    ]
    if any(len(size) != 1 for size in sizes) or sum(map(sum, sizes)) != n:
        raise ValueError(f"inputs and targets must be those of {n} samples, got {sizes}")
    drawn = sum(map(sum, sizes[:2]))  # of the retain and forget set
    if arrays["gram"].shape != (drawn, width, n * width):
        raise ValueError(f"gram must be of shape {(drawn, width, n * width)}")
    for name, way in zip(bends, ways, strict=True):
        if arrays[name].shape != (drawn * width, n * width) or len(arrays[way]) != drawn * width:
            raise ValueError(f"{name} must be of shape {(drawn * width, n * width)}")
    if drift and arrays["drift"].shape != (n * width,):
        raise ValueError(f"drift must be of shape {(n * width,)}")


def _unflatten(tree: Any, arrays: dict[str, Any]) -> Any:
    if isinstance(tree, str):
        return torch.from_numpy(arrays[tree])
    if not isinstance(tree, dict | list) or not tree:
        raise TypeError(f"inputs and targets must be trees of arrays, got {tree!r:.50}")
    if isinstance(tree, dict):
        return {key: _unflatten(value, arrays) for key, value in tree.items()}
    return tuple(_unflatten(value, arrays) for value in tree)


def _first(tree: Any) -> Tensor:
    """First tensor of a tree."""
    while not isinstance(tree, Tensor):
        tree = next(iter(tree.values())) if isinstance(tree, dict) else tree[0]
    return tree
