"""Samples as the bridge holds them: in order, as tensors on one device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rmtstab import _checks
from rmtstab.bridge.devices import resolve_device
from rmtstab.bridge.trees import concatenated, map_tensors, tensors


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
    notes : tuple of str
        What a user should know about how it was read.
    """

    inputs: Any
    targets: Any
    indices: Tensor
    total: int
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, indices: Any) -> Samples:
        """Return copies of the samples at ``indices`` (positions in this object).

        Parameters
        ----------
        indices : sequence of int
        """
        if not isinstance(indices, Tensor):
            listed = _checks.each("indices", indices)
            given = _checks.whole("indices", listed) if listed else np.zeros(0, dtype=np.int64)
            if given.ndim != 1:
                raise ValueError(f"indices must have one axis, got shape {given.shape}")
            indices = given
        at = torch.as_tensor(indices, dtype=torch.int64)
        if at.numel() and not -len(self) <= int(at.min()) <= int(at.max()) < len(self):
            raise ValueError(f"indices must lie within {len(self)} samples, got {int(at.max())}")
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
        place = resolve_device(device)
        inputs, targets = (map_tensors(lambda t: t.to(place), part) for part in self.parts)
        return replace(self, inputs=inputs, targets=targets)

    def joins(self, other: Samples) -> bool:
        """Whether another set's samples have the same shapes, so that both make one batch.

        Parameters
        ----------
        other : Samples
        """
        _checks.instance("other", other, Samples)
        first, second = tensors(self.inputs), tensors(other.inputs)
        pairs = list(zip(first, second, strict=False))
        return len(first) == len(second) and all(
            a.shape[1:] == b.shape[1:] and a.dtype == b.dtype for a, b in pairs
        )

    def join(self, other: Samples) -> Samples:
        """Inputs of both sets one after the other; their places stand for targets.

        Parameters
        ----------
        other : Samples
        """
        _checks.instance("other", other, Samples)
        if not self.joins(other):
            raise ValueError("other must have inputs of the same shapes and dtypes, got others")
        inputs = concatenated([self.inputs, other.inputs])
        indices = torch.arange(len(self) + len(other))
        return Samples(inputs, indices, indices, len(indices))

    @property
    def parts(self) -> tuple[Any, Any]:
        """Inputs and targets."""
        return self.inputs, self.targets

    def _map(self, function: Any) -> Samples:
        """Apply a choice of samples to every tensor; indices stay on the CPU."""
        inputs, targets = (map_tensors(function, part) for part in self.parts)
        return replace(self, inputs=inputs, targets=targets, indices=function(self.indices))


def shared_samples(retain: Samples, forget: Samples) -> list[tuple[int, int]]:
    """Pairs (place in forget, place in retain) of samples with the same inputs, bit for bit."""
    seen: dict[bytes, int] = {}
    for place, key in zip(retain.indices.tolist(), _fingerprints(retain.inputs), strict=True):
        seen.setdefault(key, place)
    pairs = zip(forget.indices.tolist(), _fingerprints(forget.inputs), strict=True)
    return [(place, seen[key]) for place, key in pairs if key in seen]


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
