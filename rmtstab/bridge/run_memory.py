"""What runs will hold, known before they start and refused where it cannot be held."""

from __future__ import annotations

import torch

from rmtstab.bridge.batches import BLOCK, PORTION
from rmtstab.bridge.schedule import available_memory

NUMBER = 8  # bytes
CURVES, COPIES = 7, 2  # arrays that are recorded; while blocks of cells are joined
KEYS = 2  # numbers a random key costs: itself, and its place in the order


def refuse_records(cells: int, replicas: int, steps: int, every: int, n: int) -> None:
    """Raise where curves, and batches drawn from n samples, exceed the free memory."""
    records = steps // every + 2
    drawn = max(BLOCK, PORTION * n)
    needed = NUMBER * (CURVES * COPIES * cells * replicas * records + 4 * steps)
    needed += NUMBER * KEYS * replicas * drawn
    refuse_beyond(
        needed,
        torch.device("cpu"),
        f"steps: {cells} cells x {replicas} replicas x {records} records",
        "record less often (record_every), or run fewer steps, cells or replicas",
    )


def refuse_beyond(needed: float, device: torch.device, what: str, remedy: str) -> None:
    """Raise where more memory is needed than is free.

    Parameters
    ----------
    needed : float
        Bytes.
    device : torch.device
    what : str
        The argument that asks for it, and how much of what.
    remedy : str

    Raises
    ------
    ValueError

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.run_memory import refuse_beyond
    >>> refuse_beyond(1e3, torch.device("cpu"), "steps: 3 records", "take fewer")
    """
    free = available_memory(device)
    if needed > free:
        name, _, rest = what.partition(": ")
        raise ValueError(
            f"{name} must fit in memory, got {rest} of {needed / 1e9:.3g} GB with "
            f"{free / 1e9:.3g} GB free; {remedy}"
        )
