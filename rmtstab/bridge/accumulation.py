"""Accumulate a Gram matrix over sweeps of known layers, then over blocks of the rest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from rmtstab.bridge.accumulator import Accumulator
from rmtstab.bridge.collecting import Collected, Side, collect
from rmtstab.bridge.contraction import add_kernel, add_pair
from rmtstab.bridge.jacobian_rows import jacobian_rows
from rmtstab.bridge.network import Network
from rmtstab.bridge.panels import Scratch, joined_panels, preconditioned, row_panels
from rmtstab.bridge.recording import Trace
from rmtstab.bridge.schedule import (
    REST_CHUNK,
    Block,
    BudgetError,
    blocks,
    rest_sample,
    rest_schedule,
    schedule,
)
from rmtstab.bridge.separable import SEPARABLE, add_separable, separate


def accumulated(
    network: Network, known: Trace, sides: list[Side], budget: float, progress: bool
) -> Tensor:
    """Accumulate the Gram over sweeps of known layers, then over blocks of the rest."""
    plan = schedule(known, network, sides, blocks(known, network, sides), budget)
    if plan.sweeps and plan.memory > budget:
        raise BudgetError(
            f"memory_budget must be at least {plan.memory / 1e9:.2g} GB for this network and these "
            f"samples, got {budget / 1e9:.2g} GB; bridge.sketch (reduction='sketch') needs less"
        )
    columns = sides[1].n_rows if len(sides) > 1 else None
    total = Accumulator(sides[0].n_rows, columns, network.device)
    scratch = [Scratch() for _ in sides]
    bar = tqdm(
        total=len(network.names), desc="Gram", unit="weight", disable=None if progress else True
    )
    with bar:
        for sweep in plan.sweeps:
            jacobians = [block.name for block in sweep if block.keeps_jacobian]
            factors = [block.name for block in sweep if not block.keeps_jacobian]
            found = [
                collect(network, known, side, jacobians, factors, plan.chunk_size) for side in sides
            ]
            for panel in joined_panels(network, jacobians, found, plan.panel, scratch):
                total.add(*panel)
            for block in sweep:
                if not block.keeps_jacobian:
                    _add_block(total, network, known, block, found, plan.panel, scratch)
            bar.update(len(sweep))
            del found
        _add_rest(total, network, known, sides, budget)
        bar.update(len(known.rest))
    return total.finish()


def _add_block(
    total: Accumulator,
    network: Network,
    known: Trace,
    block: Block,
    found: list[Collected],
    panel: int,
    scratch: Sequence[Scratch],
) -> str:
    """Add a weight's block from the inputs and slopes of its calls; the order that was taken."""
    uses = known.uses[block.name]
    if block.may_separate and _add_separable(total, network, known, block, found, panel):
        return SEPARABLE
    if block.order != "jacobian":
        joined = [
            (
                _joined([known.calls[k].columns(part.inputs[k])[:, 0] for k, _ in uses]),
                _joined([part.slopes[k] for k, _ in uses]),
            )
            for part in found
        ]
        add = add_kernel if block.order == "kernel" else add_pair
        add(total, joined[0], joined[1] if len(joined) > 1 else None)
        return block.order
    for panels in row_panels(network, known, block.name, found, panel, scratch):
        total.add(*panels)
    return block.order


def _add_separable(
    total: Accumulator,
    network: Network,
    known: Trace,
    block: Block,
    found: list[Collected],
    panel: int,
) -> bool:
    """Add a weight's block if its slopes separate; whether they did."""
    key, _ = known.uses[block.name][0]
    sides = []
    for part in found:
        parts = separate(part.slopes[key])
        if parts is None:
            return False
        sides.append((part.inputs[key], parts))
    call, weight = known.calls[key], network.weights[block.name]
    scale = None
    if network.preconditioner is not None:
        scale = network.preconditioner[block.name].sqrt().reshape(len(weight), -1)
    add_separable(total, call, sides, scale, max(1, panel // call.fan_in))
    return True


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Positions of several calls, one after the other."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=-1)


def _add_rest(
    total: Accumulator, network: Network, known: Trace, sides: list[Side], budget: float
) -> None:
    """Add the weights that no layer explains, some of their columns at a time."""
    if not known.rest:
        return
    numbers = [network.weights[name].numel() for name in known.rest]
    width, chunk_bytes, _ = rest_schedule(
        sum(numbers), known, sides, network.dtype.itemsize, budget
    )
    if width < 1:
        raise BudgetError(
            f"memory_budget must be larger than {budget / 1e9:.2g} GB for the Jacobian of one "
            "weight; bridge.sketch (reduction='sketch') needs less"
        )
    group: list[str] = []
    for position, name in enumerate(known.rest):
        group.append(name)
        following = known.rest[position + 1 : position + 2]
        if following and sum(network.weights[w].numel() for w in (*group, *following)) <= width:
            continue
        size = sum(network.weights[w].numel() for w in group)
        a_sample = rest_sample(size, known, sides, network.dtype.itemsize)
        chunk_size = int(min(REST_CHUNK, max(1, chunk_bytes // a_sample)))
        for start in range(0, size, width):  # more than one only for a weight alone
            columns = slice(start, min(start + width, size))
            total.add(*[_columns(network, group, side, chunk_size, columns) for side in sides])
        group = []


def _columns(
    network: Network, group: Sequence[str], side: Side, chunk_size: int, columns: slice
) -> Tensor:
    """Some columns (n·R, w) of the Jacobian in a group of weights."""
    width = columns.stop - columns.start
    found = network.weights[group[0]].new_empty(len(side), side.n_functions, width)
    for at, chunk in side.chunks(chunk_size):
        rows, start = jacobian_rows(network, group, chunk, chunk_size), 0
        for name in group:
            part = preconditioned(network, name, rows.pop(name).flatten(0, 1))
            low, high = max(columns.start - start, 0), min(columns.stop - start, part.shape[1])
            if high > low:
                target = slice(start + low - columns.start, start + high - columns.start)
                found[at, :, target] = part[:, low:high].reshape(*found[at].shape[:2], high - low)
            start += part.shape[1]
    return found.flatten(0, 1)
