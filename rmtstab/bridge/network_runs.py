"""The network itself, stepped in many runs at once: any model, any loss, SGD or AdamW."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rmtstab._results import FloatArray
from rmtstab.bridge.batch_transfer import Batch, transferred
from rmtstab.bridge.batched_runs import BatchedRuns, spread
from rmtstab.bridge.curves import Curves, SetCurves
from rmtstab.bridge.network import Network
from rmtstab.bridge.reading import Reading
from rmtstab.bridge.run_memory import NUMBER, refuse_beyond
from rmtstab.bridge.run_plan import RunPlan
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.schedule import available_memory
from rmtstab.bridge.set_loss import SetLoss
from rmtstab.bridge.space_reading import joined, unused
from rmtstab.bridge.trees import map_tensors, tensors

WEIGHT_BYTES = 5e8  # of all runs stepped at once, one copy
COPIES = 4  # of a run's weights: moved, centred, gradient, its product
RECORD_RUNS = 64  # runs whose outputs on all samples are computed at once
RECORD_SAMPLES = 16  # of each run, at least, where not all fit
RECORD_COPIES = 4  # of outputs: themselves, in float64, what the loss makes of them
RECORD_BYTES = 2e8  # on a GPU, as many as take so much of inputs: launches cost more than bytes


@dataclass(frozen=True)
class Optimiser:
    """What turns gradients into moves.

    Attributes
    ----------
    kind : {"sgd", "adamw"}
    betas : (float, float)
        Of AdamW.
    epsilon : float
        Of AdamW.
    max_norm : float or None
        Norm to which gradients are clipped.
    """

    kind: str
    betas: tuple[float, float]
    epsilon: float
    max_norm: float | None


def run_network(
    reading: Reading,
    losses: tuple[SetLoss | None, ...],
    plan: RunPlan,
    initial: FloatArray,
    optimiser: Optimiser,
    *,
    until: Callable[[FloatArray, FloatArray, FloatArray], bool] | None,
    keep_final: bool,
    chunk_size: int | None,
    held_out: Samples | None = None,
) -> tuple[Curves, FloatArray, bool]:
    """Run all cells and replicas; see `rmtstab.bridge.unlearn`.

    Returns
    -------
    (Curves, ndarray, bool)
        Curves of shape (n_cells, replicas, n_records), final displacements (n_cells, replicas,
        d or 0), and whether ``until`` ended the runs.
    """
    network = reading.network
    cells = len(plan.step_size)
    each = plan.replicas * network.n_parameters * network.dtype.itemsize
    most = min(WEIGHT_BYTES, available_memory(network.device) / COPIES)
    size = chunk_size or max(1, int(most / each))
    if until is not None:
        size = cells  # it speaks of all cells
    at_a_time = " at a time (chunk_size)" if until is None else ""
    refuse_beyond(
        COPIES * min(size, cells) * each, network.device,
        f"replicas: {min(size, cells)} cells x {plan.replicas} runs of {network.n_parameters} "
        "weights", f"run fewer replicas, or fewer cells{at_a_time}",
    )  # fmt: skip
    parts = []
    stopped = False
    with network.differentiable():
        trained = [part for part in reading.samples if part is not None]
        decay = _decay(network, joined(trained), plan)
        inputs = joined(trained if held_out is None else [*trained, held_out]).inputs
        n_runs = cells * plan.replicas
        model = BatchedRuns(network, inputs, n_runs, n_runs * _passes(plan))
        width = int(sum(plan.batch_size))
        refuse_beyond(
            2.0 * width * model.kept, network.device,
            f"batch_size: what one run's backward pass keeps of {width} samples",
            "draw smaller batches, or a part of the retain and forget sets",
        )  # fmt: skip
        for first in range(0, cells, size):
            block = slice(first, first + size)
            own = _Runs(model, inputs, losses, plan, decay, block, optimiser, initial)
            parts.append((*own.finish(until), own.final() if keep_final else None))
            stopped |= parts[-1][1]
    final = np.zeros((cells, plan.replicas, 0))
    if keep_final:
        final = np.concatenate([part[2] for part in parts if part[2] is not None])
    return Curves.concatenate([part[0] for part in parts]), final, stopped


def _decay(network: Network, samples: Samples, plan: RunPlan) -> Tensor | None:
    """Weight decay of each weight, None where there is none; unused ones have no gradient."""
    if not plan.weight_decay:
        return None
    idle = unused(network, samples)
    return network.flatten(
        {
            name: torch.full_like(weight, 0.0 if name in idle else plan.weight_decay)
            for name, weight in network.weights.items()
        }
    )


def _passes(plan: RunPlan) -> float:
    """Passes of a sample through the model in one run; a backward pass is as long as two."""
    return 3.0 * plan.steps * sum(plan.batch_size) + len(plan.recorded) * sum(plan.sizes)


class _Runs:
    """A block of cells, stepped together: weights (replicas, cells, d)."""

    def __init__(
        self,
        model: BatchedRuns,
        inputs: Any,
        losses: tuple[SetLoss | None, ...],
        plan: RunPlan,
        decay: Tensor | None,
        block: slice,
        optimiser: Optimiser,
        initial: FloatArray,
    ) -> None:
        self.model, self.network, self.inputs = model, model.network, inputs
        self.losses, self.plan, self.optimiser = losses, plan, optimiser
        self.n = len(tensors(inputs)[0])  # of all sets
        self.device = self.network.device
        like: dict[str, Any] = {"dtype": self.network.dtype, "device": self.device}
        self.step_size = torch.as_tensor(plan.step_size[block], **like)
        self.signs = torch.as_tensor(plan.weights()[:, block], device=self.device)
        self.centre = self.network.flatten(self.network.weights)
        start = torch.as_tensor(initial, **like)[:, None]
        self.moved = start.expand(-1, len(self.step_size), -1).clone()
        self.scale = scale = self.network.scale
        self.preconditioner = None if scale is None else scale**2
        self.decay = decay
        self.first = torch.zeros_like(self.moved) if self._needs_first else None
        self.second = torch.zeros_like(self.moved) if optimiser.kind == "adamw" else None
        self.slope = torch.empty_like(self.moved)  # where the gradients of all blocks are laid
        shape = (*self.moved.shape[:2], len(plan.recorded))
        # losses and accuracies of each set, displacements; on the device until the runs end
        self.records = torch.full((7, *shape), torch.nan, dtype=torch.float64, device=self.device)
        if losses[1] is None:
            self.records[2].zero_()

    @property
    def _needs_first(self) -> bool:
        return self.plan.momentum > 0.0 or self.optimiser.kind == "adamw"

    def final(self) -> FloatArray:
        """Displacements, (n_cells, replicas, d)."""
        moved: FloatArray = self.moved.transpose(0, 1).double().cpu().numpy()
        return moved

    def finish(self, until: Any) -> tuple[Curves, bool]:
        """Take all steps, or as many as ``until`` lets."""
        rows = {int(step): row for row, step in enumerate(self.plan.recorded)}
        batches = transferred(self.plan.batches(), self.device)
        stopped, seen = False, 0
        for step in range(self.plan.steps + 1):
            if step in rows:
                seen = rows[step] + 1
                self._record(rows[step])
                if until is not None and step < self.plan.steps:
                    shape = (*self.plan.shape, self.plan.replicas, seen)
                    shown = self._shown(seen)
                    stopped = bool(until(*(shown[k].reshape(shape) for k in (6, 0, 2))))
            if stopped or step == self.plan.steps:
                break
            self._step(step, next(batches))
        numbers = self._shown(seen)
        retain, forget, test = (SetCurves(numbers[k], numbers[k + 1]) for k in (0, 2, 4))
        steps = self.plan.recorded[:seen].copy()
        curves = Curves(steps, retain, forget, test, numbers[6])
        return curves, stopped

    def _shown(self, seen: int) -> FloatArray:
        """Copy the first records to the host, (7, cells, replicas, seen)."""
        shown: FloatArray = self.records[..., :seen].transpose(1, 2).cpu().numpy().copy()
        return shown

    def _step(self, step: int, batches: tuple[Batch | None, Batch | None]) -> None:
        eta = (self.step_size * float(self.plan.schedule[step]))[:, None]
        slope = self._gradient(batches)
        if self.optimiser.max_norm is not None:
            norms = slope.norm(dim=-1, keepdim=True)
            slope = slope * (self.optimiser.max_norm / (norms + 1e-6)).clamp(max=1.0)
        if self.preconditioner is not None:
            slope = slope * self.preconditioner
        if self.optimiser.kind == "adamw":
            assert self.first is not None and self.second is not None
            b1, b2 = self.optimiser.betas
            if self.decay is not None:
                self.moved -= eta * self.decay * (self.centre + self.moved)
            self.first.lerp_(slope, 1.0 - b1)
            self.second.mul_(b2).addcmul_(slope, slope, value=1.0 - b2)
            size = (self.second / (1.0 - b2 ** (step + 1))).sqrt_().add_(self.optimiser.epsilon)
            self.moved -= eta / (1.0 - b1 ** (step + 1)) * self.first / size
            return
        if self.decay is not None:
            slope = slope + self.decay * (self.centre + self.moved)
        if self.first is not None:
            slope = self.first.mul_(self.plan.momentum).add_(slope)
        self.moved.addcmul_(slope, -eta)

    def _gradient(self, batches: tuple[Batch | None, Batch | None]) -> Tensor:
        """Signed gradient of the drawn batches' losses, (replicas, cells, d)."""
        drawn: list[tuple[int, Tensor, Tensor | None]] = []
        found, start = [], 0
        for k, batch in enumerate(batches):
            if batch is not None:
                drawn.append((k, *batch))
                found.append(batch[0] + start)
            start += self.plan.sizes[k]
        chosen = torch.cat(found, dim=1)
        replicas, cells = self.moved.shape[:2]
        runs = self.model.runs_at_once(chosen.shape[1])
        width = min(cells, max(1, runs // replicas))
        height = min(replicas, max(1, runs // width))
        for row in range(0, replicas, height):
            for first in range(0, cells, width):
                at = slice(row, row + height), slice(first, first + width)
                self._lay_gradient(at, chosen[at[0]], drawn)
        return self.slope

    def _lay_gradient(
        self,
        at: tuple[slice, slice],
        chosen: Tensor,
        drawn: list[tuple[int, Tensor, Tensor | None]],
    ) -> None:
        """Compute the gradient in a block of replicas and cells, where it is kept."""
        inputs = map_tensors(lambda t: t[chosen], self.inputs)
        leaves = spread(self.network, self.centre, self.moved[at])
        for leaf in leaves.values():
            leaf.requires_grad_()
        with torch.enable_grad():
            outputs = self.model.outputs(leaves, inputs)
        slopes, column = [], 0
        for k, indices, present in drawn:
            loss = self.losses[k]
            assert loss is not None
            part = outputs.detach()[:, :, column : column + indices.shape[1]].double()
            column += indices.shape[1]
            counts = None if present is None else present[at[0]]
            own = loss.slopes(part, indices[at[0]], counts, self.plan.batch_size[k])
            slopes.append(own * self.signs[k, at[1]][:, None, None])
        found = torch.autograd.grad(
            outputs, list(leaves.values()), torch.cat(slopes, dim=2).to(outputs.dtype),
            materialize_grads=True,
        )  # fmt: skip
        places = torch.split(self.slope[at], [part[0, 0].numel() for part in found], dim=-1)
        for place, part in zip(places, found, strict=True):  # which may come transposed
            place.view(part.shape).copy_(part)

    def _record(self, row: int) -> None:
        with torch.no_grad():
            moved = self.moved.double()
            moved = moved if self.scale is None else moved / self.scale
            length = moved.norm(dim=-1)
            self.records[6][..., row] = length.nan_to_num(nan=torch.inf, posinf=torch.inf)
            size = max(1, self._record_runs() // self.moved.shape[0])
            for first in range(0, self.moved.shape[1], size):
                at = slice(first, first + size)
                self._record_block(row, at)

    def _record_block(self, row: int, at: slice) -> None:
        """Losses and accuracies of a block of cells on all samples."""
        flat = (self.centre + self.moved[:, at]).transpose(0, 1)  # all replicas see the same
        count = flat.shape[1]
        outputs = self._all_outputs(flat.reshape(-1, flat.shape[2])).double()
        outputs = outputs.view(-1, count, *outputs.shape[1:]).transpose(0, 1)
        start = 0
        for k, loss in enumerate(self.losses):
            if loss is None:
                continue
            values, right = loss.measure(outputs, start)
            self.records[2 * k][:, at, row] = values
            self.records[2 * k + 1][:, at, row] = right
            start += len(loss)

    def _all_outputs(self, weights: Tensor) -> Tensor:
        """Outputs (runs, n, C) of all samples, as many at once as fit."""
        n = self.n
        size = min(n, self.model.samples_at_once(len(weights)))
        parts, tree = [], spread(self.network, weights[None])
        for first in range(0, n, size):
            inputs = map_tensors(lambda t, at=first: t[None, at : at + size], self.inputs)
            parts.append(self.model.outputs(tree, inputs)[0])
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def _record_runs(self) -> int:
        """Runs whose outputs on all samples are computed at once."""
        outputs = RECORD_COPIES * NUMBER * self.n * self.network.n_outputs
        most = min(
            self.model.runs_at_once(min(self.n, RECORD_SAMPLES)), int(self.model.budget / outputs)
        )
        if self.device.type != "cuda":
            return min(RECORD_RUNS, most)
        each = sum(part.nbytes for part in tensors(self.inputs))
        return min(max(RECORD_RUNS, int(RECORD_BYTES / each)), most)
