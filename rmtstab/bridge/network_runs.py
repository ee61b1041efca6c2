"""The network itself, stepped in many runs at once: any model, any loss, SGD or AdamW."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from rmtstab._results import FloatArray
from rmtstab.bridge.batch_transfer import Batch, transferred
from rmtstab.bridge.curves import Curves, SetCurves
from rmtstab.bridge.network import Network
from rmtstab.bridge.reading import Reading
from rmtstab.bridge.run_memory import refuse_beyond
from rmtstab.bridge.run_plan import RunPlan
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.set_loss import SetLoss
from rmtstab.bridge.space_reading import joined
from rmtstab.bridge.trees import map_tensors, tensors

WEIGHT_BYTES = 5e8  # of all runs stepped at once, one copy
COPIES = 4  # of a run's weights: moved, centred, gradient, its product
RECORD_RUNS = 64  # runs whose outputs on all samples are computed at once, at least
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
    size = chunk_size or max(1, int(WEIGHT_BYTES / each))
    if until is not None:
        size = cells  # it speaks of all cells
    refuse_beyond(
        COPIES * min(size, cells) * each, network.device,
        f"replicas: {min(size, cells)} cells x {plan.replicas} runs of {network.n_parameters} "
        "weights", "run fewer replicas, or fewer cells at a time (chunk_size)",
    )  # fmt: skip
    parts = []
    stopped = False
    with network.differentiable():
        for first in range(0, cells, size):
            runs = _Runs(
                reading, losses, plan, slice(first, first + size), optimiser, initial, held_out
            )
            parts.append((*runs.finish(until), runs.final() if keep_final else None))
            stopped |= parts[-1][1]
    final = np.zeros((cells, plan.replicas, 0))
    if keep_final:
        final = np.concatenate([part[2] for part in parts if part[2] is not None])
    return Curves.concatenate([part[0] for part in parts]), final, stopped


class _Runs:
    """A block of cells, stepped together: weights (replicas, cells, d)."""

    def __init__(
        self,
        reading: Reading,
        losses: tuple[SetLoss | None, ...],
        plan: RunPlan,
        block: slice,
        optimiser: Optimiser,
        initial: FloatArray,
        held_out: Samples | None = None,
    ) -> None:
        self.network: Network = reading.network
        self.plan, self.optimiser = plan, optimiser
        self.losses = losses
        parts = (*reading.samples, held_out)
        self.inputs = joined([part for part in parts if part is not None]).inputs
        self.device = self.network.device
        like: dict[str, Any] = {"dtype": self.network.dtype, "device": self.device}
        self.step_size = torch.as_tensor(plan.step_size[block], **like)
        self.signs = torch.as_tensor(plan.weights()[:, block], device=self.device)
        self.centre = self.network.flatten(self.network.weights)
        start = torch.as_tensor(initial, **like)[:, None]
        self.moved = start.expand(-1, len(self.step_size), -1).clone()
        scale = self.network.scale
        self.preconditioner = None if scale is None else scale**2
        self.first = torch.zeros_like(self.moved) if self._needs_first else None
        self.second = torch.zeros_like(self.moved) if optimiser.kind == "adamw" else None
        self.batched = not self.network.vmap_fails
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
        if self.preconditioner is not None:
            slope = slope * self.preconditioner
        if self.optimiser.max_norm is not None:
            norms = slope.norm(dim=-1, keepdim=True)
            slope = slope * (self.optimiser.max_norm / (norms + 1e-6)).clamp(max=1.0)
        decay = self.plan.weight_decay
        if self.optimiser.kind == "adamw":
            assert self.first is not None and self.second is not None
            b1, b2 = self.optimiser.betas
            if decay:
                self.moved -= eta * decay * (self.centre + self.moved)
            self.first.lerp_(slope, 1.0 - b1)
            self.second.mul_(b2).addcmul_(slope, slope, value=1.0 - b2)
            size = (self.second / (1.0 - b2 ** (step + 1))).sqrt_().add_(self.optimiser.epsilon)
            self.moved -= eta / (1.0 - b1 ** (step + 1)) * self.first / size
            return
        if decay:
            slope = slope + decay * (self.centre + self.moved)
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
        inputs = map_tensors(lambda t: t[chosen], self.inputs)
        leaf = (self.centre + self.moved).requires_grad_()
        with torch.enable_grad():
            outputs = self._apply(leaf, inputs)
        slopes, column = [], 0
        for k, indices, present in drawn:
            loss = self.losses[k]
            assert loss is not None
            part = outputs.detach()[:, :, column : column + indices.shape[1]].double()
            column += indices.shape[1]
            own = loss.slopes(part, indices, present, self.plan.batch_size[k])
            slopes.append(own * self.signs[k][:, None, None])
        (slope,) = torch.autograd.grad(outputs, leaf, torch.cat(slopes, dim=2).to(outputs.dtype))
        return slope

    def _apply(self, weights: Tensor, inputs: Any) -> Tensor:
        """Outputs (replicas, cells, width, C) of each replica's inputs (replicas, width, …)."""

        def one(flat: Tensor, batch: Any) -> Tensor:
            return self.network.apply(self.network.unflatten(flat), batch)

        if self.batched:
            try:
                result: Tensor = vmap(vmap(one, in_dims=(0, None)))(weights, inputs)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:
                self.batched = False
            else:
                return result
        rows = []
        for replica, row in enumerate(weights):
            batch = map_tensors(lambda t, r=replica: t[r], inputs)
            rows.append(torch.stack([one(flat, batch) for flat in row]))
        return torch.stack(rows)

    def _record(self, row: int) -> None:
        with torch.no_grad():
            moved = self.moved.double()
            if self.preconditioner is not None:
                moved = moved * self.preconditioner.double().rsqrt()
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
        inputs = map_tensors(lambda t: t[None], self.inputs)
        outputs = self._apply(flat.reshape(1, -1, flat.shape[2]), inputs)[0].double()
        outputs = outputs.view(-1, count, *outputs.shape[1:]).transpose(0, 1)
        start = 0
        for k, loss in enumerate(self.losses):
            if loss is None:
                continue
            values, right = loss.measure(outputs, start)
            self.records[2 * k][:, at, row] = values
            self.records[2 * k + 1][:, at, row] = right
            start += len(loss)

    def _record_runs(self) -> int:
        if self.device.type != "cuda":
            return RECORD_RUNS
        each = sum(part.nbytes for part in tensors(self.inputs))
        return max(RECORD_RUNS, int(RECORD_BYTES / each))
