"""Panels of a network's Jacobian: some columns at a time, for all samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from rmtstab.bridge.collecting import Collected, write_shares
from rmtstab.bridge.network import Network
from rmtstab.bridge.recording import Key, Trace

ROWS_CHUNK = 8  # samples whose rows are formed at a time


def preconditioned(network: Network, name: str, rows: Tensor, at: slice | None = None) -> Tensor:
    """Multiply rows (m, w) of the Jacobian in a weight, or in ``weight[at]``, by ``P^{1/2}``."""
    if network.preconditioner is None:
        return rows
    diagonal = network.preconditioner[name]
    return rows * (diagonal if at is None else diagonal[at]).flatten().sqrt()


class Scratch:
    """A buffer that is used again for panel after panel: fresh pages cost as much as products."""

    def __init__(self) -> None:
        self._held: Tensor | None = None

    def take(self, like: Tensor, *shape: int) -> Tensor:
        """Return an uninitialised tensor of a shape; what was taken before is overwritten."""
        size = math.prod(shape)
        if self._held is None or self._held.numel() < size:
            self._held = like.new_empty(size)
        return self._held[:size].view(shape)


def joined_panels(
    network: Network,
    names: Sequence[str],
    found: list[Collected],
    width: int,
    scratch: Sequence[Scratch],
) -> Iterator[list[Tensor]]:
    """Join the Jacobians of several weights into panels of about ``width`` columns.

    A weight wider than there are rows stands alone: a copy of it costs more than one more product.
    """
    sizes = [network.weights[name].numel() for name in names]
    start = 0
    for stop in range(1, len(names) + 1):
        n_rows = found[0].jacobians[names[start]].shape[:2].numel()
        joined = sizes[start : stop + 1]
        if stop < len(names) and max(joined) <= n_rows and sum(joined) <= width:
            continue
        panel = []
        for side, buffer in zip(found, scratch, strict=True):
            parts = [
                preconditioned(network, name, side.jacobians.pop(name).flatten(0, 1))
                for name in names[start:stop]
            ]
            if len(parts) > 1:
                held = buffer.take(parts[0], len(parts[0]), sum(sizes[start:stop]))
                parts = [torch.cat(parts, dim=1, out=held)]
            panel.append(parts[0])
        yield panel
        start = stop


def row_panels(
    network: Network,
    known: Trace,
    name: str,
    found: Sequence[Collected],
    width: int,
    scratch: Sequence[Scratch],
) -> Iterator[list[Tensor]]:
    """Yield panels (n·R, about ``width``) of the Jacobian in a weight, some rows at a time."""
    weight, uses = network.weights[name], known.uses[name]
    groups = [known.calls[key].groups for key, _ in uses]
    grain = max(len(weight) // count if count > 1 else 1 for count in groups)
    a_row = weight.numel() // len(weight)
    step = max(grain, width // a_row // grain * grain)
    for start in range(0, len(weight), step):
        rows = slice(start, min(start + step, len(weight)))
        panels = []
        for part, buffer in zip(found, scratch, strict=True):
            slopes = part.slopes[uses[0][0]]
            panel = buffer.take(slopes, *slopes.shape[:2], (rows.stop - rows.start) * a_row)
            _fill(panel, known, uses, part, rows)
            panels.append(preconditioned(network, name, panel.flatten(0, 1), rows))
        yield panels


def _fill(
    panel: Tensor, known: Trace, uses: Sequence[tuple[Key, str]], part: Collected, rows: slice
) -> None:
    """Write the Jacobian (n, R, rows · fan-in) in some rows of a weight."""
    for start in range(0, len(panel), ROWS_CHUNK):
        at = slice(start, start + ROWS_CHUNK)
        shares = [
            (known.calls[key], local, part.inputs[key][at], part.slopes[key][at])
            for key, local in uses
        ]
        write_shares(panel[at], shares, rows)
