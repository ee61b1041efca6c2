"""Devices that are there."""

from __future__ import annotations

from typing import Any

import torch


def resolve_device(device: Any) -> torch.device:
    """Return a torch device that is there, or raise a `ValueError` that lists those that are."""
    present = ["cpu"] + [f"cuda:{k}" for k in range(torch.cuda.device_count())]
    place = None
    if isinstance(device, torch.device | str | int) and not isinstance(device, bool):
        try:
            place = torch.device(device)
        except (RuntimeError, OverflowError, ValueError):
            place = None
    full = None if place is None else f"{place.type}:{place.index or 0}"
    if place is None or (place.type != "cpu" and full not in present):
        raise ValueError(f"device must be one of {', '.join(present)}, got {str(device)!r}")
    return place
