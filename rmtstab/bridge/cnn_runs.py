"""Real runs of the two-layer ReLU CNN in compiled code: the engine of large maps on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from rmtstab._results import FloatArray
from rmtstab.bridge.batches import Draw
from rmtstab.bridge.curves import Curves, SetCurves
from rmtstab.bridge.elementwise_loss import ElementwiseLoss
from rmtstab.bridge.models import computes_as_written
from rmtstab.bridge.reading import Reading
from rmtstab.bridge.run_plan import RunPlan
from rmtstab.bridge.set_loss import SetLoss
from rmtstab.bridge.space_reading import joined
from rmtstab.kernels import cnn_runs as kernels

if TYPE_CHECKING:
    from rmtstab.bridge.network_runs import Optimiser

STRETCH = 32  # steps between two looks at ``until``, and of batches held at once
KINDS = {  # of losses: kernel, scale
    "half_squared_error": (kernels.SQUARED, 1.0),
    "MSELoss": (kernels.SQUARED, 2.0),
    "logistic": (kernels.LOGISTIC, 1.0),
}


def applies(reading: Reading, plan: RunPlan, optimiser: Optimiser) -> bool:
    """Whether these runs are plain SGD of that network, in float64 on a CPU."""
    network, loss = reading.network, reading.losses[0]
    return (
        computes_as_written(network.model)
        and network.output is None
        and network.names == ("weights",)
        and network.dtype == torch.float64
        and network.device.type == "cpu"
        and network.preconditioner is None
        and optimiser.kind == "sgd"
        and optimiser.max_norm is None
        and plan.momentum == plan.weight_decay == 0.0
        and isinstance(loss, ElementwiseLoss)
        and loss.name in KINDS
        and all(
            other is None or (other.name == loss.name and other.normalised)
            for other in reading.losses
        )
    )


def run(
    reading: Reading,
    losses: tuple[SetLoss | None, ...],
    plan: RunPlan,
    initial: FloatArray,
    *,
    until: Callable[[FloatArray, FloatArray, FloatArray], bool] | None,
    keep_final: bool,
) -> tuple[Curves, FloatArray, bool]:
    """Run all cells and replicas; the same numbers as `network_runs.run_network`, to rounding."""
    network = reading.network
    everything = joined([part for part in reading.samples if part is not None])
    patches = np.ascontiguousarray(everything.inputs.numpy())
    parts = [part.targets for part in reading.samples if part is not None]
    labels = torch.cat(parts).reshape(-1).double().numpy()
    signs = network.fixed["signs"].numpy()
    filters, dim = network.weights["weights"].shape[1:]
    signs = np.repeat(signs, filters)
    centre = np.ascontiguousarray(network.weights["weights"].numpy().reshape(-1, dim).T)
    loss = reading.losses[0]
    kind, scale = KINDS[loss.name]
    cuts = np.array([_cut(own) for own in losses[:2]])
    fixed = patches, labels, signs, kind, scale, cuts, plan.sizes[0]
    cells, replicas = len(plan.step_size), plan.replicas
    moves = initial.reshape(replicas, -1, dim).transpose(0, 2, 1)
    state = np.array(np.broadcast_to(centre + moves, (cells, *moves.shape)), order="C")
    records = np.full((5, cells, replicas, len(plan.recorded)), np.nan)
    rows = np.full(plan.steps + 1, -1, dtype=np.int64)
    rows[plan.recorded] = np.arange(len(plan.recorded))
    batches = plan.batches()
    stopped, seen = False, len(plan.recorded)
    for first in range(0, plan.steps + 1, STRETCH):
        drawn = list(islice(batches, min(STRETCH, plan.steps - first)))
        indices, factors = _stretch(plan, drawn, first)
        last = first + len(drawn)
        at = rows[first : last + 1].copy()
        at[-1] = at[-1] if last == plan.steps else -1  # else recorded by the next stretch

        before = None if until is None else state.copy()
        common = (*fixed, indices, factors, at, centre, state, records)
        _in_threads(partial(kernels.step_runs, *common), cells * replicas)
        if until is not None and before is not None:
            found = _first_stop(until, plan, records, at, first)
            if found is not None:
                stopped, seen = True, int(rows[found]) + 1
                state[:] = before
                taken = found - first
                silent = np.full(taken + 1, -1)
                again = (*fixed, indices[:taken], factors[:taken], silent, centre, state, records)
                _in_threads(partial(kernels.step_runs, *again), cells * replicas)
                break
        if last == plan.steps:
            break
    if losses[1] is None:
        records[2], records[3] = 0.0, np.nan
    records = records[..., :seen]
    nothing = np.full_like(records[0], np.nan)
    curves = Curves(
        plan.recorded[:seen].copy(),
        SetCurves(records[0], records[1]),
        SetCurves(records[2], records[3]),
        SetCurves(nothing, nothing),
        records[4],
    )
    final = np.zeros((cells, replicas, 0))
    if keep_final:
        final = (state - centre).transpose(0, 1, 3, 2).reshape(cells, replicas, -1)
    return curves, final, stopped


def _cut(loss: SetLoss | None) -> float:
    """What parts the two classes of a set's outputs and labels; NaN where there are none."""
    if loss is None or not loss.skilled:
        return np.nan
    return 0.0 if loss.cut is None else loss.cut  # a loss that knows of classes parts them at 0


def _in_threads(call: Callable[[int, int], None], count: int) -> None:
    """Share runs out among as many threads as torch uses; the answer does not depend on it."""
    workers = max(1, min(torch.get_num_threads(), count))
    edges = np.linspace(0, count, workers + 1).astype(int)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(call, edges[:-1].tolist(), edges[1:].tolist()))


def _stretch(
    plan: RunPlan, drawn: list[tuple[Draw | None, Draw | None]], first: int
) -> tuple[NDArray[np.int64], FloatArray]:
    """Drawn samples (steps, replicas, width), and ``−η ω`` (steps, cells, replicas, width)."""
    cells, replicas = len(plan.step_size), plan.replicas
    widths = [
        max((batch[k][0].shape[1] for batch in drawn if batch[k] is not None), default=0)  # type: ignore[index]
        for k in (0, 1)
    ]
    indices = np.zeros((len(drawn), replicas, sum(widths)), dtype=np.int64)
    factors = np.zeros((len(drawn), cells, replicas, sum(widths)))
    signs = plan.weights()
    for step, batch in enumerate(drawn):
        eta = plan.step_size * plan.schedule[first + step]
        for k, part in enumerate(batch):
            if part is None:
                continue
            width, low = part[0].shape[1], (0, widths[0])[k]
            at = slice(low, low + width)
            indices[step, :, at] = part[0] + (0, plan.sizes[0])[k]
            counted = 1.0 if part[1] is None else part[1].astype(np.float64)
            weight = -eta * signs[k] / plan.batch_size[k]
            factors[step, :, :, at] = weight[:, None, None] * counted
    return indices, factors


def _first_stop(
    until: Callable[[FloatArray, FloatArray, FloatArray], bool],
    plan: RunPlan,
    records: FloatArray,
    at: NDArray[np.int64],
    first: int,
) -> int | None:
    """First step of a stretch at which ``until`` holds, as when asked at every record."""
    for offset, row in enumerate(at):
        if row < 0 or first + offset == plan.steps:
            continue
        shape = *plan.shape, plan.replicas, int(row) + 1
        shown = (records[k][..., : row + 1].reshape(shape) for k in (4, 0, 2))
        if until(*shown):
            return first + offset
    return None
