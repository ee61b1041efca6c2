"""What a Gram matrix would cost, by every route, before anything of size runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from rmtstab import _checks
from rmtstab._record import Record, table
from rmtstab.bridge.collecting import Side, collect
from rmtstab.bridge.gram import has_closed_form, read_budget, read_sides
from rmtstab.bridge.jacobian_rows import jacobian_rows
from rmtstab.bridge.network import Network, untouched
from rmtstab.bridge.recording import PROBED, Trace, trace
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.schedule import MARGIN, Block, blocks, gram_bytes, rest_schedule, schedule
from rmtstab.bridge.separable import SEPARABLE, separate
from rmtstab.bridge.sketching import sketch_bytes

if TYPE_CHECKING:
    import pandas

SKETCH_SIZES = (1000, 10_000)
PROBE = 512  # side of the product that measures the machine


@dataclass(frozen=True)
class PlannedRoute(Record):
    """One way to a Gram matrix.

    Attributes
    ----------
    name : str
    memory : float
        Bytes added to the process at the peak.
    seconds : float
        Estimated from a product and a backward pass on this machine, now; within a factor
        of two where the machine is quiet.
    fits : bool
        Whether the memory budget holds it.
    note : str
        Sweeps it takes, or its error.
    """

    name: str
    memory: float
    seconds: float
    fits: bool
    note: str


@dataclass(frozen=True, repr=False)
class Plan(Record):
    """Every route, its memory and its time; ``print(plan)`` shows the table.

    Attributes
    ----------
    routes : tuple of PlannedRoute
    memory_budget : float
        Bytes.
    orders : dict of str
        Order of contraction of each weight that layers explain: "jacobian", "kernel", "pair",
        or "separable" where the slopes of a few samples separate.
    """

    routes: tuple[PlannedRoute, ...]
    memory_budget: float
    orders: dict[str, str]

    @property
    def chosen(self) -> str | None:
        """The exact route that ``route="auto"`` takes; None where no exact route fits."""
        exact = [route for route in self.routes if not route.name.startswith("sketch")]
        return next((route.name for route in exact if route.fits), None)

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the routes as a table, one a row.

        Returns
        -------
        pandas.DataFrame
        """
        return table([route.to_dict() for route in self.routes])

    def __str__(self) -> str:
        lines = [
            f"{'route':14s} {'memory':>9s} {'time':>9s}  fits {self.memory_budget / 1e9:.3g} GB"
        ]
        for route in self.routes:
            fits = "yes" if route.fits else "no"
            memory = f"{route.memory / 1e9:.3g} GB"
            lines.append(
                f"{route.name:14s} {memory:>9s} {route.seconds:>7.3g} s  {fits:4s} {route.note}"
            )
        return "\n".join(lines)


def plan(
    network: Network,
    samples: Samples,
    other: Samples | None = None,
    *,
    n_functions: int | None = None,
    memory_budget: float | None = None,
) -> Plan:
    """Estimate memory and time of every route to `jacobian_gram`, and of `sketch`.

    Parameters
    ----------
    network : Network
    samples : Samples
    other : Samples, optional
        As for `jacobian_gram`.
    n_functions : int, optional
        Functions R of each sample's outputs; default the C outputs.
    memory_budget : float, optional
        Bytes; default four fifths of what is free.

    Returns
    -------
    Plan

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> network = bridge.Network(bridge.convolutional_net())
    >>> samples = bridge.read_samples("samples", (torch.ones(4, 1, 8, 8), [0, 1, 1, 0]))
    >>> bridge.plan(network, samples).chosen
    'layers'
    """
    sides, _ = read_sides(network, samples, other)
    for side in sides:
        network.meet(side.samples)
    budget = read_budget(memory_budget, network)
    if n_functions is not None:
        n_functions = _checks.integer("n_functions", n_functions, low=1)
        sides = [Side(side.samples, None, min(n_functions, network.n_outputs)) for side in sides]
    n_rows = sum(side.n_rows for side in sides)
    pairs = sides[0].n_rows * sides[-1].n_rows / (2.0 if len(sides) == 1 else 1.0)
    with untouched(network.model), network.differentiable():
        known = trace(network, sides[0].samples)
        rate = _products_a_second(network)
        a_row = _sweep_seconds(network, known, sides[0])
        a_rest = _rest_seconds(network, known.rest, sides[0])
        a_jacobian = _rest_seconds(network, network.names, sides[0])
        found = blocks(known, network, sides)
        separated = _separated(network, known, found, sides[0])
    rest = sum(network.weights[name].numel() for name in known.rest)
    work = schedule(known, network, sides, found, budget)
    item = network.dtype.itemsize
    gram = gram_bytes(sides, item) + MARGIN
    sweeps = len(work.sweeps)
    routes = []

    def add(name: str, memory: float, seconds: float, note: str) -> None:
        routes.append(PlannedRoute(name, memory, seconds, memory <= budget, note))

    if has_closed_form(network):
        add("closed form", gram, pairs * network.n_parameters / rate, "the network's own formula")
    rest_memory = rest_schedule(rest, known, sides, item, budget)[2] if rest else gram
    add(
        "layers",
        max(work.memory if sweeps else gram, rest_memory),
        (sum(_cost(block, separated) for block in found) + pairs * rest) / rate
        + n_rows * (sweeps * a_row + a_rest),
        f"{sweeps} sweep{'s' if sweeps != 1 else ''}, {len(known.uses)} weights by layer, "
        f"{len(known.rest)} by autograd",
    )
    width, _, memory = rest_schedule(network.n_parameters, known, sides, item, budget)
    passes = network.n_parameters / max(width, 1)
    add(
        "jacobian",
        memory,
        pairs * network.n_parameters / rate + n_rows * a_jacobian * passes,
        "automatic differentiation alone",
    )
    for size in SKETCH_SIZES:
        memory = sketch_bytes(network, known, sides[0], size, budget)
        per_row = a_row + a_rest + network.n_parameters * 2e-9
        error = (2.0 / size) ** 0.5
        add(f"sketch {size}", memory, n_rows * per_row, f"entries within {error:.1%} (one s.e.)")
    orders = {b.name: SEPARABLE if b.name in separated else b.order for b in found}
    return Plan(tuple(routes), budget, orders)


def _separated(network: Network, known: Trace, found: Sequence[Block], side: Side) -> set[str]:
    """Weights whose slopes separate on a few samples, where that is the cheaper order."""
    names = [block.name for block in found if block.may_separate]
    if not names:
        return set()
    few = Side(side.samples.take(range(min(PROBED, len(side)))), None, side.n_functions)
    slopes = collect(network, known, few, (), names, PROBED).slopes
    return {name for name in names if separate(slopes[known.uses[name][0][0]]) is not None}


def _cost(block: Block, separated: set[str]) -> float:
    return block.separable_cost if block.name in separated else block.cost


def _products_a_second(network: Network) -> float:
    """Multiply-adds a second of a product in the network's precision."""
    values = torch.ones(PROBE, PROBE, dtype=network.dtype, device=network.device)
    return PROBE**3 / _seconds(lambda: values @ values, network, repeats=4)


def _sweep_seconds(network: Network, known: Trace, side: Side) -> float:
    """Seconds of a row of the known layers' Jacobian: forward, backward and forming."""
    if not known.uses:
        return 0.0
    chunk = Side(side.samples.take(range(min(4, len(side)))), None, min(2, side.n_functions))
    names = [name for name in known.uses if network.weights[name].numel() < 1e5]
    names = names or list(known.uses)[:1]
    return _seconds(lambda: collect(network, known, chunk, names, (), 4), network) / chunk.n_rows


def _rest_seconds(network: Network, names: tuple[str, ...], side: Side) -> float:
    if not names:
        return 0.0
    chunk = Side(side.samples.take(range(1)), None, network.n_outputs)
    return _seconds(lambda: jacobian_rows(network, names, chunk, 1), network) / chunk.n_rows


def _seconds(call: Callable[[], object], network: Network, repeats: int = 1) -> float:
    """Least wall time of a call, after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        if network.device.type == "cuda":
            torch.cuda.synchronize(network.device)
        times.append(time.perf_counter() - start)
    return min(times[1:])
