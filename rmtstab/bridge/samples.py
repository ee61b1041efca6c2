"""A data set as the bridge holds it: read once, in order, as tensors on one device."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from rmtstab import _checks

LABEL_KEYS = ("labels", "label", "targets", "target", "y")
SHUFFLERS = ("RandomSampler", "WeightedRandomSampler", "SubsetRandomSampler")
PROBED = 16  # samples read twice, to notice data that change from pass to pass


@dataclass(frozen=True)
class Samples:
    """Inputs and targets, first axis the samples.

    Attributes
    ----------
    inputs : Tensor, or dict or tuple of Tensor
        What ``model(x)``, ``model(**x)`` or ``model(*x)`` takes.
    targets : Tensor, or dict or tuple of Tensor
        What the loss compares with.
    indices : Tensor, shape (n,), int64
        Place of each sample in the set it was read from.
    total : int
        Size of that set.
    """

    inputs: Any
    targets: Any
    indices: Tensor
    total: int

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, indices: Any) -> Samples:
        """Return copies of the samples at ``indices`` (positions in this object).

        Parameters
        ----------
        indices : sequence of int
        """
        if not isinstance(indices, Tensor):
            given = np.asarray(_checks.each("indices", indices))
            if given.size and (given.dtype.kind not in "iu" or given.ndim != 1):
                raise TypeError(f"indices must be whole numbers, got dtype {given.dtype}")
            if given.size and not -len(self) <= given.min() <= given.max() < len(self):
                raise ValueError(f"indices must lie within {len(self)} samples, got {given.max()}")
            indices = given.astype(np.int64)
        at = torch.as_tensor(indices, dtype=torch.int64)
        return self._map(lambda t: t[at.to(t.device)])

    def chunks(self, size: int) -> Iterator[Samples]:
        """Yield consecutive views of at most ``size`` samples.

        Parameters
        ----------
        size : int
        """
        size = _checks.integer("size", size, low=1)
        for start in range(0, len(self), size):
            window = slice(start, start + size)
            yield self._map(lambda t, w=window: t[w])

    def to(self, device: torch.device | str) -> Samples:
        """Return the same samples on a device.

        Parameters
        ----------
        device : torch.device
        """
        inputs, targets = (map_tensors(lambda t: t.to(device), part) for part in self.parts)
        return Samples(inputs, targets, self.indices, self.total)

    def joins(self, other: Samples) -> bool:
        """Whether another set's samples have the same shapes, so that both make one batch.

        Parameters
        ----------
        other : Samples
        """
        _checks.instance("other", other, Samples)
        pairs = list(zip(tensors(self.inputs), tensors(other.inputs), strict=True))
        return all(a.shape[1:] == b.shape[1:] and a.dtype == b.dtype for a, b in pairs)

    def join(self, other: Samples) -> Samples:
        """Inputs of both sets one after the other; their places stand for targets.

        Parameters
        ----------
        other : Samples
        """
        _checks.instance("other", other, Samples)
        inputs = _concatenate([self.inputs, other.inputs])
        indices = torch.arange(len(self) + len(other))
        return Samples(inputs, indices, indices, len(indices))

    @property
    def parts(self) -> tuple[Any, Any]:
        """Inputs and targets."""
        return self.inputs, self.targets

    def _map(self, function: Any) -> Samples:
        """Apply a choice of samples to every tensor; indices stay on the CPU."""
        inputs, targets = (map_tensors(function, part) for part in self.parts)
        return Samples(inputs, targets, function(self.indices), self.total)


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

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.samples import read_samples
    >>> len(read_samples("retain", (torch.zeros(5, 3), [0, 1, 0, 1, 1]), max_samples=4))
    4
    """
    _checks.seed("seed", seed)
    if max_samples is not None:
        _checks.integer("max_samples", max_samples, low=1)
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
                raise ValueError(f"{name} must be finite, got NaN or infinite {part}")
    return found if device is None else found.to(device)


def shared_samples(retain: Samples, forget: Samples) -> list[tuple[int, int]]:
    """Pairs (place in forget, place in retain) of samples with the same inputs, bit for bit."""
    seen: dict[bytes, int] = {}
    for place, key in zip(retain.indices.tolist(), _fingerprints(retain.inputs), strict=True):
        seen.setdefault(key, place)
    pairs = zip(forget.indices.tolist(), _fingerprints(forget.inputs), strict=True)
    return [(place, seen[key]) for place, key in pairs if key in seen]


def map_tensors(function: Any, tree: Any) -> Any:
    """Apply a function to every tensor of a tree of dicts and tuples."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return {key: map_tensors(function, value) for key, value in tree.items()}
    return tuple(map_tensors(function, value) for value in tree)


def tensors(tree: Any) -> list[Tensor]:
    """Every tensor of a tree of dicts and tuples, in order."""
    found: list[Tensor] = []
    map_tensors(found.append, tree)
    return found


@contextmanager
def untouched_generators() -> Iterator[None]:
    """Give every global random generator its state back: Python, NumPy, torch on all devices."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    cuda = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices=cuda):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _read(name: str, data: Any, max_samples: int | None, seed: int) -> Samples:
    if isinstance(data, DataLoader):
        return _read_loader(name, data)
    if isinstance(data, IterableDataset):
        return _read_loader(name, DataLoader(data, batch_size=PROBED))
    if isinstance(data, Dataset):
        return _read_dataset(name, data, max_samples, seed)
    if hasattr(data, "__next__"):
        raise TypeError(
            f"{name} must be re-iterable, got a {type(data).__name__} that one pass exhausts; "
            "pass the DataLoader or the tensors themselves"
        )
    if isinstance(data, Mapping):
        inputs, targets = _split_batch(name, data)
        return _whole(name, _tree(name, inputs), _tree(name, targets))
    if isinstance(data, tuple | list) and not data:
        return _empty()
    if isinstance(data, list) and all(_is_pair(item) for item in data):
        if _holds_batches(name, data):
            return _read_loader(name, data)
        return _read_dataset(name, data, max_samples, seed)
    if isinstance(data, tuple | list) and len(data) == 2:
        return _whole(name, _tree(name, data[0]), _tree(name, data[1]))
    if hasattr(data, "__iter__") and not isinstance(data, Tensor | np.ndarray | Sequence):
        return _read_loader(name, data)
    raise TypeError(
        f"{name} must be a pair (inputs, targets), a Dataset or a DataLoader, "
        f"got {type(data).__name__}"
    )


def _read_dataset(name: str, data: Any, max_samples: int | None, seed: int) -> Samples:
    total = len(data)
    chosen = list(range(total))
    if max_samples is not None and total > max_samples:
        chosen = _subset(total, max_samples, seed).tolist()
    if not chosen:
        return _empty()
    first, again = [data[i] for i in chosen], [data[i] for i in chosen[:PROBED]]
    _same_twice(name, default_collate(first[:PROBED]), default_collate(again))
    inputs, targets = _split_batch(name, default_collate(first))
    whole = _whole(name, _tree(name, inputs), _tree(name, targets))
    return Samples(*whole.parts, torch.tensor(chosen, dtype=torch.int64), total)


def _read_loader(name: str, loader: Any) -> Samples:
    sampler = getattr(loader, "sampler", None)
    if type(sampler).__name__ in SHUFFLERS or getattr(sampler, "shuffle", False) is True:
        raise ValueError(
            f"{name} must come in the same order at each pass, got a loader that shuffles "
            f"({type(sampler).__name__}); build it with shuffle=False"
        )
    batches = [_split_batch(name, batch) for batch in loader]
    again = next(iter(loader), None)
    if batches and again is None:
        raise TypeError(f"{name} must be re-iterable, got an empty second pass; pass a DataLoader")
    if not batches:
        return _empty()
    _same_twice(name, batches[0], _split_batch(name, again))
    inputs, targets = (_concatenate([_tree(name, batch[k]) for batch in batches]) for k in (0, 1))
    return _whole(name, inputs, targets)


def _same_twice(name: str, first: Any, second: Any) -> None:
    """Refuse data that differ between two passes."""
    pairs = zip(tensors(_tree(name, first)), tensors(_tree(name, second)), strict=True)
    if any(a.shape != b.shape or not torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs):
        raise ValueError(
            f"{name} must yield the same samples at each pass, got different data; "
            "turn off shuffling and random augmentation"
        )


def _split_batch(name: str, batch: Any) -> tuple[Any, Any]:
    """Part a batch or a sample into inputs and targets."""
    if isinstance(batch, Mapping):
        keys = [key for key in LABEL_KEYS if key in batch]
        if len(keys) != 1:
            listed = ", ".join(map(repr, LABEL_KEYS))
            raise ValueError(
                f"{name} must hold its targets under one of {listed}, got keys {list(batch)}"
            )
        return {key: value for key, value in batch.items() if key != keys[0]}, batch[keys[0]]
    if isinstance(batch, Sequence) and len(batch) == 2:
        return batch[0], batch[1]
    got = f"{len(batch)} items" if isinstance(batch, Sequence) else type(batch).__name__
    raise ValueError(f"{name} must yield pairs (inputs, targets) or dicts, got {got}")


def _tree(name: str, values: Any) -> Any:
    """Read arrays, lists and tensors as a tree of detached tensors."""
    if isinstance(values, Tensor):
        return values.detach()
    if isinstance(values, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(values))
    if isinstance(values, Mapping):
        return {key: _tree(name, value) for key, value in values.items()}
    if isinstance(values, tuple) or (isinstance(values, list) and _holds_tensors(values)):
        return tuple(_tree(name, value) for value in values)
    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must hold tensors or numbers, got {error}") from None


def _holds_tensors(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(v, Tensor | np.ndarray | Mapping) for v in values)


def _whole(name: str, inputs: Any, targets: Any) -> Samples:
    """Check that all tensors have one entry a sample."""
    parts = [*tensors(inputs), *tensors(targets)]
    lengths = [len(t) if t.ndim else -1 for t in parts]
    if -1 in lengths or len(set(lengths)) > 1:
        shapes = ", ".join(str(tuple(t.shape)) for t in parts)
        raise ValueError(f"{name} must have one input and one target a sample, got shapes {shapes}")
    n = lengths[0] if lengths else 0
    targets = map_tensors(lambda t: t if t.is_floating_point() else t.long(), targets)
    return Samples(inputs, targets, torch.arange(n), n)


def _is_pair(item: Any) -> bool:
    tensors_only = isinstance(item, list) and all(isinstance(part, Tensor) for part in item)
    return (isinstance(item, tuple) or tensors_only) and len(item) == 2


def _holds_batches(name: str, pairs: list[Any]) -> bool:
    """Whether a list of pairs holds batches, as a loader gives them, rather than samples."""
    first, second = pairs[0]
    sizes = [np.ndim(t) if not isinstance(t, Tensor) else t.ndim for t in (first, second)]
    if 0 in sizes:
        return False
    if len(first) != len(second):
        return False
    if sizes == [1, 1]:
        raise ValueError(
            f"{name} must be unambiguous, got a list of pairs of vectors of one length: samples or "
            "batches; pass (inputs, targets) as stacked tensors"
        )
    return True


def _empty() -> Samples:
    return Samples(torch.zeros(0), torch.zeros(0), torch.arange(0), 0)


def _concatenate(trees: list[Any]) -> Any:
    first = trees[0]
    if isinstance(first, Tensor):
        return torch.cat(trees)
    if isinstance(first, Mapping):
        return {key: _concatenate([tree[key] for tree in trees]) for key in first}
    return tuple(_concatenate(list(parts)) for parts in zip(*trees, strict=True))


def _subset(total: int, size: int, seed: int) -> Tensor:
    """Sorted uniform subset."""
    chosen = np.random.default_rng(seed).permutation(total)[:size]
    return torch.from_numpy(np.sort(chosen))


def _fingerprints(inputs: Any) -> list[bytes]:
    """Return the bytes of each sample's inputs."""
    arrays = [
        t.cpu().contiguous().view(torch.uint8).flatten(1)
        if t.ndim > 1
        else t.cpu().contiguous()[:, None].view(torch.uint8)
        for t in tensors(inputs)
    ]
    rows = torch.cat(arrays, dim=1).numpy()
    return [row.tobytes() for row in rows]
