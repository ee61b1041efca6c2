"""Drawn batches as tensors: on a GPU a stretch of steps in one transfer, which nobody waits for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from rmtstab.bridge.batches import Draw

STRETCH = 32  # steps whose batches go to a GPU together
Batch = tuple[Tensor, Tensor | None]  # drawn samples, and which of them count


def transferred(
    batches: Iterator[tuple[Draw | None, Draw | None]], device: torch.device
) -> Iterator[tuple[Batch | None, Batch | None]]:
    """Yield the same batches as tensors.

    A transfer a step would make the host wait for the device at every step.

    Parameters
    ----------
    batches : iterator
        Of `rmtstab.bridge.run_plan.RunPlan.batches`.
    device : torch.device

    Yields
    ------
    retain, forget : tuple of Tensor, or None
        Indices (replicas, width), int64, and the mask of those that count, or None; None
        where a set rests.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from rmtstab.bridge.batch_transfer import transferred
    >>> drawn = np.array([[0, 2], [1, 2]])
    >>> (retain, forget), = transferred(iter([((drawn, None), None)]), torch.device("cpu"))
    >>> retain[0].tolist(), forget
    ([[0, 2], [1, 2]], None)
    """
    length = STRETCH if device.type == "cuda" else 1
    while stretch := list(islice(batches, length)):
        yield from _together(stretch, device)


def _together(
    stretch: list[tuple[Draw | None, Draw | None]], device: torch.device
) -> Iterator[tuple[Batch | None, Batch | None]]:
    """Lay all arrays of some steps end to end, move them, and cut them apart again."""
    arrays = [
        array for pair in stretch for drawn in pair if drawn for array in drawn if array is not None
    ]
    flat = torch.from_numpy(np.concatenate([array.ravel() for array in arrays], dtype=np.int64))
    if device.type == "cuda":
        flat = flat.pin_memory()
    moved = flat.to(device, non_blocking=True)
    pieces = iter(torch.split(moved, [array.size for array in arrays]))

    def own(drawn: Draw | None) -> Batch | None:
        if drawn is None:
            return None
        indices = next(pieces).view(drawn[0].shape)
        return indices, None if drawn[1] is None else next(pieces).view(drawn[1].shape).bool()

    for retain, forget in stretch:
        yield own(retain), own(forget)
