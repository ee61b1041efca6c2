"""Data sets as users hold them, read twice: pairs, datasets, loaders, lists of either."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from rmtstab import _checks
from rmtstab.bridge.devices import resolve_device
from rmtstab.bridge.raised import first_line
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.trees import concatenated, map_tensors, tensors, tree_of
from rmtstab.bridge.untouched import untouched_generators

LABEL_KEYS = ("labels", "label", "targets", "target", "y")
SHUFFLERS = ("RandomSampler", "WeightedRandomSampler", "SubsetRandomSampler")


def read_samples(
    name: str,
    data: Any,
    *,
    device: torch.device | str | None = None,
    max_samples: int | None = None,
    seed: int = 0,
) -> Samples:
    """Read a set of samples.

    Parameters
    ----------
    name : str
        What messages call the set.
    data : pair (inputs, targets), Dataset or DataLoader
        Tensors, arrays or lists with one entry a sample (inputs may be a dict or a tuple
        of them); a dataset of pairs; or a loader of pairs or of dict batches with
        one of the keys ``labels``, ``label``, ``targets``, ``target``, ``y``, which gives
        the same batches in the same order at each pass.
    device : torch.device or str, optional
        Where to hold the samples; default where they are.
    max_samples : int, optional
        Keep a uniform random subset of at most so many.
    seed : int, default 0
        Seed of the subset; no global generator is used.

    Returns
    -------
    Samples

    Raises
    ------
    TypeError, ValueError
        If the set cannot be read, shuffles, or differs from pass to pass.

    Warns
    -----
    UserWarning
        If a loader leaves out its last samples (``drop_last=True``).

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.data_sets import read_samples
    >>> len(read_samples("retain", (torch.zeros(5, 3), [0, 1, 0, 1, 1]), max_samples=4))
    4
    """
    seed = _checks.seed("seed", seed)
    place = None if device is None else resolve_device(device)
    if max_samples is not None:
        max_samples = _checks.integer("max_samples", max_samples, low=1)
    if isinstance(data, Samples):
        found = data
    else:
        with untouched_generators():
            found = _read(name, data, max_samples, seed)
    if max_samples is not None and len(found) > max_samples:
        found = found.take(_subset(len(found), max_samples, seed))
    for part, values in zip(("inputs", "targets"), found.parts, strict=True):
        for tensor in tensors(values):
            if tensor.device.type == "meta":
                raise ValueError(f"{name} must lie on a device that holds data, got meta {part}")
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                row = int((~tensor.isfinite()).nonzero()[0, 0])
                raise ValueError(
                    f"{name} must be finite, got NaN or infinite {part} at sample "
                    f"{int(found.indices[row])}"
                )
    return found if place is None else found.to(place)


def _read(name: str, data: Any, max_samples: int | None, seed: int) -> Samples:
    """Read a set; of a dataset with places, no more than ``max_samples``."""
    if isinstance(data, IterableDataset):
        return _read_iterable(name, data)
    if isinstance(data, Dataset):
        return _read_places(name, data, max_samples, seed)
    if hasattr(data, "__next__"):
        raise TypeError(
            f"{name} must be re-iterable, got a {type(data).__name__} that one pass exhausts; "
            "pass the DataLoader or the tensors themselves"
        )
    if isinstance(data, Mapping):
        return _whole(name, *_split(name, data))
    if isinstance(data, tuple | list) and not data:
        return _empty()
    if isinstance(data, list) and all(_is_item(item) for item in data):
        if _is_batch(name, _split(name, data[0]), strict=True):
            return _read_iterable(name, data)
        return _read_places(name, data, max_samples, seed)
    if isinstance(data, tuple | list) and len(data) == 2:
        return _whole(name, *data)
    if isinstance(data, DataLoader) or (
        hasattr(data, "__iter__")
        and not isinstance(data, Tensor | Sequence)
        and not hasattr(data, "__array__")
    ):
        return _read_iterable(name, data)
    if isinstance(data, list) and all(isinstance(item, tuple) for item in data):
        _split(name, data[0])  # says what its items are
    raise TypeError(
        f"{name} must be a pair (inputs, targets), a Dataset or a DataLoader, "
        f"got {type(data).__name__}"
    )


def _subset(total: int, size: int, seed: int) -> Tensor:
    """Sorted uniform subset of the places of a set."""
    chosen = np.random.default_rng(seed).permutation(total)[:size]
    return torch.from_numpy(np.sort(chosen))


def _read_places(name: str, data: Any, max_samples: int | None, seed: int) -> Samples:
    """Read a dataset with places."""
    total = len(data)
    chosen = list(range(total))
    if max_samples is not None and total > max_samples:
        chosen = _subset(total, max_samples, seed).tolist()
    if not chosen:
        return _empty()
    samples = [_split(name, data[i]) for i in chosen]
    if not isinstance(data, list):
        _same_twice(name, samples, (_split(name, data[i]) for i in chosen))
    whole = _whole(name, *_collated(name, samples))
    places = torch.tensor(chosen, dtype=torch.int64)
    return replace(whole, indices=places, total=total)


def _read_iterable(name: str, data: Any) -> Samples:
    """Read a loader, or anything else that gives samples or batches, and gives them again."""
    _refuse_shuffling(name, data)
    with _untouched_generator(data):
        items = [_split(name, item) for item in data]
        if not items:
            return _empty()
        _same_twice(name, items, (_split(name, item) for item in data))
    if getattr(data, "batch_sampler", None) is None and not _is_batch(name, items[0]):
        whole = _whole(name, *_collated(name, items))
    else:
        batches = [tuple(tree_of(name, part) for part in item) for item in items]
        whole = _whole(name, *(concatenated([b[k] for b in batches]) for k in (0, 1)))
    return replace(whole, notes=_left_out(name, data, whole.total))


def _samplers(loader: Any) -> list[Any]:
    """Samplers of a loader: its own, and that of its batches."""
    batches = getattr(loader, "batch_sampler", None)
    found = [getattr(loader, "sampler", None), getattr(batches, "sampler", None)]
    return [sampler for sampler in found if sampler is not None]


def _refuse_shuffling(name: str, loader: Any) -> None:
    for sampler in _samplers(loader):
        if type(sampler).__name__ in SHUFFLERS or getattr(sampler, "shuffle", False) is True:
            raise ValueError(
                f"{name} must come in the same order at each pass, got a loader that shuffles "
                f"({type(sampler).__name__}); build it with shuffle=False"
            )


@contextmanager
def _untouched_generator(loader: Any) -> Iterator[None]:
    """Give a loader's own generator its state back."""
    generator = getattr(loader, "generator", None)
    if not isinstance(generator, torch.Generator):
        yield
        return
    state = generator.get_state()
    try:
        yield
    finally:
        generator.set_state(state)


def _left_out(name: str, loader: Any, n: int) -> tuple[str, ...]:
    """Samples of its dataset that a loader does not give, as a note; a warning if it drops them."""
    dataset, samplers = getattr(loader, "dataset", None), _samplers(loader)
    counts = [len(s) for s in (dataset, *samplers[-1:]) if isinstance(s, Sized)]
    streams = isinstance(dataset, IterableDataset)
    batches = getattr(loader, "batch_sampler", None)
    drops = getattr(loader, "drop_last", False) or getattr(batches, "drop_last", False)
    lost = counts[-1] - n if counts and not streams else 0
    if drops and (streams or lost > 0):
        what = "may leave out samples" if streams else f"leaves out {lost} of {counts[-1]} samples"
        note = f"its loader has drop_last=True and {what}; build it with drop_last=False"
        warnings.warn(f"{name}: {note}", UserWarning, stacklevel=2)
        return (note,)
    if streams or not counts or n >= counts[0]:
        return ()
    return (f"its loader gives {n} of its dataset's {counts[0]} samples",)


def _same_twice(name: str, first: Sequence[Any], second: Iterable[Any]) -> None:
    """Refuse data that differ between two passes."""
    for place, (one, other) in enumerate(zip_longest(first, second)):
        if other is None and place == 0:
            raise TypeError(
                f"{name} must be re-iterable, got an empty second pass; pass a DataLoader"
            )
        same = one is not None and other is not None
        pairs = [tensors(tree_of(name, item)) for item in (one, other)] if same else [[], []]
        same = same and len(pairs[0]) == len(pairs[1])
        if not same or any(
            a.shape != b.shape or not torch.equal(a.nan_to_num(), b.nan_to_num())
            for a, b in zip(*pairs, strict=True)
        ):
            raise ValueError(
                f"{name} must yield the same samples at each pass, got different data; "
                "turn off shuffling and random augmentation"
            )


def _split(name: str, item: Any) -> tuple[Any, Any]:
    """Part a batch or a sample into inputs and targets."""
    if isinstance(item, Mapping):
        keys = [key for key in LABEL_KEYS if key in item]
        if len(keys) != 1:
            listed = ", ".join(map(repr, LABEL_KEYS))
            got = f"both {keys[0]!r} and {keys[1]!r}" if keys else f"keys {list(item)}"
            raise ValueError(f"{name} must hold its targets under one of {listed}, got {got}")
        return {key: value for key, value in item.items() if key != keys[0]}, item[keys[0]]
    if isinstance(item, Sequence) and len(item) == 2:
        return item[0], item[1]
    got = f"{len(item)} items" if isinstance(item, Sequence) else type(item).__name__
    raise ValueError(f"{name} must yield pairs (inputs, targets) or dicts, got {got}")


def _collated(name: str, samples: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Stack samples."""
    try:
        inputs, targets = (default_collate([sample[k] for sample in samples]) for k in (0, 1))
    except (RuntimeError, TypeError, KeyError) as error:
        raise ValueError(
            f"{name} must have samples of one shape and kind, got {first_line(error)}; "
            "pad them to one length"
        ) from None
    return inputs, targets


def _whole(name: str, inputs: Any, targets: Any) -> Samples:
    """Check that all tensors have one entry a sample."""
    inputs, targets = tree_of(name, inputs), tree_of(name, targets)
    parts = [*tensors(inputs), *tensors(targets)]
    lengths = [len(t) if t.ndim else -1 for t in parts]
    if -1 in lengths or len(set(lengths)) > 1:
        shapes = ", ".join(str(tuple(t.shape)) for t in parts)
        raise ValueError(f"{name} must have one input and one target a sample, got shapes {shapes}")
    n = lengths[0] if lengths else 0
    targets = map_tensors(lambda t: t if t.is_floating_point() else t.long(), targets)
    return Samples(inputs, targets, torch.arange(n), n)


def _is_item(item: Any) -> bool:
    """Whether an entry of a list can be a sample or a batch."""
    if isinstance(item, Mapping):
        return True
    tensors_only = isinstance(item, list) and all(isinstance(part, Tensor) for part in item)
    return (isinstance(item, tuple) or tensors_only) and len(item) == 2


def _is_batch(name: str, item: tuple[Any, Any], strict: bool = False) -> bool:
    """Whether an item holds a batch rather than a sample: one length along every first axis.

    Vectors of one length are either; under ``strict`` refused, else read as batches.
    """
    parts = [*tensors(tree_of(name, item[0])), *tensors(tree_of(name, item[1]))]
    lengths = {len(part) if part.ndim else -1 for part in parts}
    if -1 in lengths or len(lengths) > 1:
        return False
    if strict and all(part.ndim == 1 for part in parts):
        raise ValueError(
            f"{name} must be unambiguous, got a list of pairs of vectors of one length: samples or "
            "batches; pass (inputs, targets) as stacked tensors"
        )
    return True


def _empty() -> Samples:
    return Samples(torch.zeros(0), torch.zeros(0), torch.arange(0), 0)
