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


def joined_panels(
    network: Network, names: Sequence[str], found: list[Collected], width: int
) -> Iterator[list[Tensor]]:
    """Join the Jacobians of several weights into panels of about ``width`` columns."""
    waiting: list[str] = []
    for position, name in enumerate(names):
        waiting.append(name)
        is_last = position + 1 == len(names)
        if (
            is_last
            or sum(network.weights[w].numel() for w in [*waiting, names[position + 1]]) > width
        ):
            panel = []
            for side in found:
                parts = [side.jacobians.pop(w).flatten(0, 1) for w in waiting]
                parts = [preconditioned(network, w, p) for w, p in zip(waiting, parts, strict=True)]
                panel.append(parts[0] if len(parts) == 1 else torch.cat(parts, dim=1))
            yield panel
            waiting = []


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
