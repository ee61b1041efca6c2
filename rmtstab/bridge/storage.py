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
from rmtstab.bridge.curves import SETS, Reference
from rmtstab.bridge.fingerprint import fingerprint
from rmtstab.bridge.function_space import Bend, FunctionSpace
from rmtstab.bridge.linearised import LinearisedNetwork
from rmtstab.bridge.loss_reading import as_module, loss_name, read_loss
from rmtstab.bridge.model_checks import check_model
from rmtstab.bridge.network import Network
from rmtstab.bridge.network_file import FORMAT, KINDS, Moving, probes
from rmtstab.bridge.parameters import moving_names
from rmtstab.bridge.recompose import without_sigmoid
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.set_loss import FrozenSetLoss, set_losses
from rmtstab.bridge.space_reading import evaluating

SAME = 1e-6  # relative: numbers of one loss on two machines, in float32 at worst
SMALL = 1e-12  # of losses and slopes that are zero but for rounding
DTYPES = {"float32": torch.float32, "float64": torch.float64}
OUTPUTS, FEW = 1e-3, 4  # the same for outputs of a network, and of how many samples


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
    parameters : str, iterable, callable or None
        Default those that were given to `linearise`, which the file holds.
    output : str, callable or None
        As given to `linearise`, with a model.
    preconditioner : dict of Tensor, Optimizer or None
        Default the one that was given to `linearise`.

    Returns
    -------
    LinearisedNetwork

    Raises
    ------
    ValueError
        If the file is of another kind or version, a loss is another than the stored one (told by
        its name, and by its values and slopes at the outputs), or the model is not the one that
        was linearised, or gives other outputs.

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
    weights, scale = (_tensors(kind, arrays) for kind in KINDS)
    moving = Moving(tuple(header["parameters"]), weights, scale, header["dtype"], header["bare"])
    network = None
    if model is not None:
        check_model(model)
        if fingerprint(model) != header["fingerprint"]:
            raise ValueError(
                "model must be the one that was linearised, got other weights or buffers; "
                "linearise this one"
            )
        network = _network(model, moving, parameters, output, preconditioner)
        network.output_shape = tuple(header["output_shape"])
    outputs = torch.from_numpy(arrays["outputs"])
    shape = SimpleNamespace(output_shape=tuple(header["output_shape"]))
    given = [as_module(f) for f in (loss, loss if forget_loss is None else forget_loss, loss)]
    bare = [_of_logits(f) for f in given] if moving.bare else given
    samples: list[Samples | None] = []
    losses: list[Any] = []
    start = 0
    for function, name, kind in zip(bare, SETS, header["losses"], strict=True):
        if kind is None:
            samples.append(None)
            losses.append(None)
            continue
        inputs, targets = (_unflatten(tree, arrays) for tree in header["trees"][name])
        n = len(_first(inputs))
        samples.append(Samples(inputs, targets, torch.arange(n), n))
        own = outputs[start : start + n].to(DTYPES[moving.dtype])
        start += n
        losses.append(read_loss(function, shape, samples[-1], own))  # type: ignore[arg-type]
        if losses[-1].name != kind:
            raise ValueError(f"loss must be {kind}, as stored for {name}, got {losses[-1].name}")
    starts = _tensors("expanded", arrays) or {}
    sets = tuple(
        own if own is None or name not in starts else FrozenSetLoss(own, starts[name])
        for name, own in zip(SETS, set_losses(losses, samples), strict=True)
    )
    drift = torch.from_numpy(arrays["drift"]) if "drift" in arrays else None
    bends = tuple(
        Bend(
            torch.from_numpy(arrays[f"bend_{k}"]),
            torch.from_numpy(arrays[f"bend_{k}_direction"]),
            *numbers,
        )
        for k, numbers in enumerate(header["bends"])
    )
    space = FunctionSpace(
        outputs, torch.from_numpy(arrays["gram"]), drift, header["weight_norm"], sets, bends
    )
    for name, stored, found in zip(SETS, header["probes"], probes(space), strict=True):
        if stored is not None and not np.allclose(
            stored, found or (), rtol=SAME, atol=SMALL, equal_nan=True
        ):
            raise ValueError(
                f"loss must be the one that was linearised: {name} has loss and slope {stored} "
                f"in the file, got {found}"
            )
    if network is not None and samples[0] is not None:
        if moving.bare:
            without_sigmoid(network, given[0], samples[0])
        _check_outputs(network, samples[0], outputs)
    return LinearisedNetwork(
        space, tuple(samples), tuple(losses), network=network, output_shape=shape.output_shape,
        fingerprint=header["fingerprint"], notes=tuple(header["notes"]), moving=moving,
        references=tuple(None if r is None else Reference(*r) for r in header["references"]),
    )  # fmt: skip


def _network(
    model: nn.Module, moving: Moving, parameters: Any, output: Any, preconditioner: Any
) -> Network:
    """Read a model as it was linearised: what is given must be what the file holds."""
    names = moving.names if parameters is None else moving_names(model, parameters)
    if names != moving.names:
        raise ValueError(
            f"parameters must be those that were linearised, {list(moving.names)}, got "
            f"{list(names)}"
        )
    scale = moving.preconditioner if preconditioner is None else preconditioner
    network = Network(
        model, parameters=names, output=output, preconditioner=scale, device="cpu"
    )  # where the file's arrays are
    held, given = moving.preconditioner, network.preconditioner
    if (held is None) != (given is None) or any(
        not torch.allclose(value, given[name].cpu().to(value), rtol=SAME, atol=0.0)
        for name, value in (held or {}).items()
        if given is not None
    ):
        raise ValueError("preconditioner must be the one that was linearised, got another")
    if moving.weights is not None:
        network.weights = {n: w.to(network.weights[n]) for n, w in moving.weights.items()}
    return network


def _of_logits(loss: Any) -> Any:
    """Return a loss of probabilities as that of their logits, as `linearise` has read it."""
    if type(loss) is not nn.BCELoss:
        raise ValueError(f"loss must be BCELoss, as stored, got {loss_name(loss)}")
    return nn.BCEWithLogitsLoss(weight=loss.weight, reduction=loss.reduction)


def _check_outputs(network: Network, samples: Samples, outputs: Tensor) -> None:
    """Raise unless the model gives what the file holds of a few samples."""
    few = samples.take(range(min(len(samples), FEW)))
    with evaluating(network.model):
        found = network.outputs(few).double().cpu()
    expected = outputs[: len(few)]
    if not torch.allclose(
        found, expected, rtol=OUTPUTS, atol=OUTPUTS * float(expected.abs().max())
    ):
        raise ValueError(
            "output must be as given to linearise, got a model whose outputs are not those stored"
        )


def _tensors(kind: str, arrays: dict[str, Any]) -> dict[str, Tensor] | None:
    """Tensors that the file holds of each moving weight, or None."""
    start = f"{kind}."
    found = {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
    return {name: torch.from_numpy(value) for name, value in found.items()} or None


def _foreign(path: Any, error: Exception) -> ValueError:
    words = " ".join(str(error).split())[:200]
    return ValueError(
        f"path must be a saved LinearisedNetwork, got {path}: {type(error).__name__}: {words}"
    )


def _check(header: dict[str, Any], arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    """Raise something unless the header is one that `save` writes, and fits the arrays."""
    numbers = header["bends"]
    if not isinstance(numbers, list) or any(
        not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[1], float)
        or not math.isfinite(pair[1]) for pair in numbers
    ):  # fmt: skip
        raise TypeError(f"bends must be a list of two numbers each, got {numbers!r:.50}")
    lengths = [pair[0] for pair in numbers]
    bends = [f"bend_{k}" for k in range(len(numbers))]
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
    names = header["parameters"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not names:
        raise TypeError(f"parameters must be names, got {names!r:.50}")
    for kind in KINDS:
        held = _tensors(kind, arrays)
        if held is not None and set(held) != set(names):
            raise ValueError(f"{kind} must be of {names}")
    if header["dtype"] not in DTYPES or not isinstance(header["bare"], bool):
        raise ValueError("dtype must be float32 or float64, and bare a truth value")
    for kind, count in (("references", 3), ("probes", 4)):
        rows = header[kind]
        if len(rows) != len(SETS) or any((r is None) != (k is None) for r, k in
                                         zip(rows, header["losses"], strict=True)):  # fmt: skip
            raise ValueError(f"{kind} must be of every set that has a loss")
        if any(not isinstance(v, float) for row in rows if row is not None for v in row) or any(
            len(row) != count for row in rows if row is not None
        ):
            raise ValueError(f"{kind} must hold {count} numbers a set")
    if len(header["losses"]) != len(SETS) or not all(isinstance(text, str) for text in texts):
        raise TypeError("losses, notes and fingerprint must be text")
    sizes = [
        {0} if loss is None
        else {len(_first(_unflatten(tree, arrays))) for tree in header["trees"][name]}
        for name, loss in zip(SETS, header["losses"], strict=True)
    ]  # fmt: skip
    if any(len(size) != 1 for size in sizes) or sum(map(sum, sizes)) != n:
        raise ValueError(f"inputs and targets must be those of {n} samples, got {sizes}")
    for name, start in (_tensors("expanded", arrays) or {}).items():
        own = dict(zip(SETS, map(sum, sizes), strict=True)).get(name)
        if start.shape != (own, width) or start.dtype != torch.float64:
            raise ValueError(f"expanded.{name} must be of shape {(own, width)} in float64")
        if not bool(start.isfinite().all()):
            raise ValueError(f"expanded.{name} must be finite")
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
