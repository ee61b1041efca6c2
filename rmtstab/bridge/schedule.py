"""Which weight goes in which order, and how many sweeps a memory budget needs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rmtstab.bridge.collecting import Side
from rmtstab.bridge.contraction import TILE, order_costs
from rmtstab.bridge.network import Network
from rmtstab.bridge.recording import Trace

PANEL_BYTES = 400_000_000  # of Jacobian columns multiplied at a time
MARGIN = 100_000_000  # bytes for what is not counted: buffers of BLAS and of the allocator
SHARE = 0.25  # of what is free, for a chunk's backward passes
REST_SHARE = 0.6  # of what is free, for columns of weights that autograd differentiates
REST_CHUNK = 8  # samples whose Jacobian is made at a time
CHUNK = 32  # samples of a backward pass; larger ones leave the cache


class BudgetError(ValueError):
    """A memory budget that a Gram matrix does not keep."""


@dataclass(frozen=True)
class Block:
    """How one weight's Gram block is made.

    Attributes
    ----------
    name : str
    order : {"jacobian", "kernel", "pair"}
    keeps_jacobian : bool
        Whether a sweep keeps the Jacobian, or inputs and slopes.
    size : int
        Bytes kept for all samples.
    width : int
        Numbers of the weight.
    cost : float
        Multiply-adds.
    separable_cost : float
        Multiply-adds in the order of `rmtstab.bridge.separable`, should slopes allow it;
        inf where they cannot.
    """

    name: str
    order: str
    keeps_jacobian: bool
    size: int
    width: int
    cost: float
    separable_cost: float

    @property
    def may_separate(self) -> bool:
        """Whether that order is worth a look at the slopes."""
        return self.separable_cost < self.cost


@dataclass(frozen=True)
class Schedule:
    """Sweeps over the samples, each for some blocks.

    Attributes
    ----------
    sweeps : tuple of tuple of Block
    chunk_size, panel : int
        Samples of a backward pass; columns multiplied at a time.
    memory : float
        Bytes at the peak.
    """

    sweeps: tuple[tuple[Block, ...], ...]
    chunk_size: int
    panel: int
    memory: float


def blocks(trace: Trace, network: Network, sides: Sequence[Side]) -> list[Block]:
    """Choose order and storage of every explained weight, in the order of the forward pass."""
    return [_block(name, trace, network, sides) for name in trace.uses]


def _block(name: str, trace: Trace, network: Network, sides: Sequence[Side]) -> Block:
    weight = network.weights[name]
    calls = [trace.calls[key] for key, _ in trace.uses[name]]
    functions = sides[0].n_functions, sides[-1].n_functions
    n_samples = sum(len(side) for side in sides)
    n_rows = sum(side.n_rows for side in sides)
    positions = sum(call.positions for call in calls)
    is_product = all(
        call.rule.form == "product" and call.groups == 1 and local == "weight"
        for call, (_, local) in zip(calls, trace.uses[name], strict=True)
    )
    fan_in = weight.numel() // len(weight) if is_product else 1
    channels = weight.numel() // fan_in
    pairs = len(sides[0]) ** 2 / 2 if len(sides) == 1 else float(len(sides[0]) * len(sides[1]))
    costs = order_costs(pairs, n_samples, functions, (channels, fan_in, positions))
    if not is_product or network.preconditioner is not None:  # P is no product of O and I
        costs = {"jacobian": costs["jacobian"]}
    order = min(costs, key=lambda key: costs[key])
    item = weight.element_size()
    factors = sum(
        n_samples * call.input_size * item + n_rows * call.channels * call.positions * item
        for call in calls
    )
    jacobian = n_rows * weight.numel() * item
    can_slice = all(local == "weight" and call.rule.form != "scale" for call, local in zip(
        calls, (local for _, local in trace.uses[name]), strict=True))  # fmt: skip
    keeps_jacobian = order == "jacobian" and (jacobian <= factors or not can_slice)
    size = jacobian if keeps_jacobian else factors
    separable = float("inf")
    if is_product and len(calls) == 1 and not keeps_jacobian and positions > 1:
        a_pair = fan_in + functions[0] * functions[1]
        separable = channels * (n_samples * fan_in * positions + pairs * a_pair)
    return Block(name, order, keeps_jacobian, size, weight.numel(), costs[order], separable)


def schedule(
    trace: Trace,
    network: Network,
    sides: Sequence[Side],
    found: Sequence[Block],
    memory_budget: float,
) -> Schedule:
    """Group blocks into the fewest sweeps that keep a memory budget.

    ``memory`` of the result exceeds the budget where even one block at a time does not fit.
    """
    n_rows = sum(side.n_rows for side in sides)
    item = network.dtype.itemsize
    fixed = gram_bytes(sides, item) + MARGIN
    free = max(memory_budget - fixed, 0.0)
    panel = max(1, int(min(PANEL_BYTES, SHARE * free) / (n_rows * item)))
    panel = min(panel, max((block.width for block in found), default=1))
    room = free - panel * n_rows * item
    largest = max((len(side) for side in sides), default=1)

    def working(names: Sequence[Block], chunk_size: int) -> float:
        keys = {key for block in names for key, _ in trace.uses[block.name]}
        slopes = sum(trace.calls[key].channels * trace.calls[key].positions for key in keys)
        functions = max(side.n_functions for side in sides)
        patches = max(
            (c.positions * c.fan_in * c.groups for k, c in trace.calls.items() if k in keys),
            default=0,
        )
        width = max((block.width for block in names if block.keeps_jacobian), default=0)
        a_sample = slopes * functions + patches + width * functions
        contracted = [b for b in names if b.order != "jacobian"]
        columns = max((_columns_bytes(trace, b, sides, item) for b in contracted), default=0.0)
        return chunk_size * (a_sample * item + 2.5 * trace.activation_bytes) + columns

    chunk_size = min(CHUNK, largest)
    while chunk_size > 1 and working(found, chunk_size) > 0.5 * room:
        chunk_size //= 2
    sweeps: list[list[Block]] = []
    for block in found:
        trial = [*sweeps[-1], block] if sweeps else [block]
        if sweeps and kept(trace, trial, sides, item) + working(trial, chunk_size) <= room:
            sweeps[-1] = trial
        else:
            sweeps.append([block])
    peak = max((kept(trace, s, sides, item) + working(s, chunk_size) for s in sweeps), default=0.0)
    memory = fixed + panel * n_rows * item + peak
    return Schedule(tuple(tuple(s) for s in sweeps), chunk_size, panel, memory)


def rest_sample(numbers: int, trace: Trace, sides: Sequence[Side], item: int) -> float:
    """Bytes of one sample while its Jacobian in so many weights is made by autograd."""
    functions = max(side.n_functions for side in sides)
    return functions * (3.0 * numbers * item + trace.activation_bytes) + 1.0


def rest_schedule(
    numbers: int, trace: Trace, sides: Sequence[Side], item: int, memory_budget: float
) -> tuple[int, float, float]:
    """Columns at a time, bytes of samples at a time, and all bytes, of weights left to autograd.

    Parameters
    ----------
    numbers : int
        How many weights.
    trace : Trace
    sides : sequence of Side
    item : int
        Bytes of a number.
    memory_budget : float
    """
    n_rows = sum(side.n_rows for side in sides)
    fixed = gram_bytes(sides, item) + MARGIN
    free = max(memory_budget - fixed, 0.0)
    width = min(int(REST_SHARE * free / (n_rows * item)), numbers)
    a_sample = rest_sample(numbers, trace, sides, item)
    chunk = max(a_sample, min((1.0 - REST_SHARE) * free, REST_CHUNK * a_sample))
    return width, chunk, fixed + width * n_rows * item + chunk


def _columns_bytes(trace: Trace, block: Block, sides: Sequence[Side], item: int) -> float:
    """Bytes of a weight's columns for all samples, of their copies, and of a tile of pairs."""
    calls = [trace.calls[key] for key, _ in trace.uses[block.name]]
    columns = sum(call.positions * call.fan_in for call in calls)
    positions = sum(call.positions for call in calls)
    across = sides[-1].n_functions if block.order == "kernel" else calls[0].channels
    a_pair = sides[0].n_functions * across * positions**2
    tile = min(TILE, len(sides[0]) * len(sides[-1]) * a_pair)
    return item * (2.0 * sum(len(side) for side in sides) * columns + 3.0 * tile)


def kept(trace: Trace, names: Sequence[Block], sides: Sequence[Side], item: int) -> float:
    """Bytes that a sweep keeps: calls that several blocks share count once."""
    total = float(sum(block.size for block in names if block.keeps_jacobian))
    calls = {
        key for block in names if not block.keeps_jacobian for key, _ in trace.uses[block.name]
    }
    for side in sides:
        for key in calls:
            call = trace.calls[key]
            slopes = side.n_functions * call.channels * call.positions
            total += len(side) * (slopes + call.input_size) * item
    return total


def gram_bytes(sides: Sequence[Side], item: int) -> float:
    """Bytes of the Gram matrix and of one product before it is added."""
    return float(sides[0].n_rows * sides[-1].n_rows * (8 + item))


def available_memory(device: torch.device) -> float:
    """Return four fifths of the memory that is free now, in bytes."""
    if device.type == "cuda":
        return 0.8 * torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo") as lines:
            found = next(line for line in lines if line.startswith("MemAvailable"))
        return 0.8 * 1024 * float(found.split()[1])
    except (OSError, StopIteration):
        return 0.8 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
