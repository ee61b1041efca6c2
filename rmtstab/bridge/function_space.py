r"""Runs of the linearised network under its own loss, a whole grid of cells at once.

With the outputs ``f`` of all samples, ``K = J P Jᵀ`` and ``u = J w*`` a run needs no network:
with ``G = ω ∘ ∇ℓ(f)`` on the batch,

    q ← βq + G − λc,   s ← βs + λa,   c ← c + ηq,   a ← a − ηs,
    f = f* + (a − 1)u − Kc,           w = a w* − P Jᵀ c.

The engine keeps ``h = Kc`` and ``v = Kq`` of every run, so that a step is one product of the
batch's rows of K; a replica's batches are the same in all cells, whence one product a replica.
Softmax needs C − 1 outputs a sample, see `FunctionSpace.contrasts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rmtstab._results import FloatArray
from rmtstab.bridge.batch_transfer import Batch, transferred
from rmtstab.bridge.curves import SETS, Curves, SetCurves
from rmtstab.bridge.precision import full_precision
from rmtstab.bridge.run_memory import NUMBER, refuse_beyond
from rmtstab.bridge.run_plan import RunPlan
from rmtstab.bridge.set_loss import SetLoss

# in multiplications: copying a number of drawn rows; a product with drawn rows; a number of K,
# read from memory, of which a product with few rows is short
COPY, CALL, READ, CACHE = 7, 140_000, 18, 1e7
LARGE = 1e5  # outputs whose differences lack digits
CONTRASTED = 5e8  # bytes of the matrices of which runs make a smaller copy, at most
RECORD, RECORD_CUDA = 2_000_000, 200_000_000  # bytes of outputs that are looked at together
TINY = 1e-37  # slopes in single precision that are none
FARTHEST = 2.0  # how far beyond a second point the kernel is taken to go on changing


@dataclass(frozen=True)
class Bend:
    """How the kernel differs at a second point; see `rmtstab.bridge.refinement`.

    Attributes
    ----------
    gram : Tensor, shape (n·C, N·C)
        Gram matrix there less that at the weights.
    direction : Tensor, shape (n·C,)
        ``(K c + (1 − a)u)/‖δ‖`` of the point's coefficients and displacement δ: its product with
        other coefficients is the way that they go along δ.
    length : float
        ``‖δ‖``.
    decayed : float
        The same product with ``(1 − a)w*``, by which the weights have decayed.
    """

    gram: Tensor
    direction: Tensor
    length: float
    decayed: float = 0.0


@dataclass(frozen=True)
class FunctionSpace:
    """A linearised network as its runs see it.

    Attributes
    ----------
    outputs : Tensor, shape (N, C)
        f* of all samples: retain, forget, test.
    gram : Tensor, shape (n, C, N·C)
        Rows of ``J P Jᵀ`` of the samples that are drawn, retain and forget.
    drift : Tensor, shape (N·C,), or None
        ``J w*``, which weight decay scales; None where it could not be computed.
    weight_norm : float
        ``√(w*ᵀ P⁻¹ w*)``.
    losses : tuple of SetLoss
        Of the retain, forget and test set; the last two may be empty.
    bends : tuple of Bend
        What is known of the kernel elsewhere; none: it does not move.
    has_room : bool
        Whether there is memory for a copy of the matrices.
    """

    outputs: Tensor
    gram: Tensor
    drift: Tensor | None
    weight_norm: float
    losses: tuple[SetLoss | None, ...]
    bends: tuple[Bend, ...] = ()
    has_room: bool = True

    @cached_property
    def contrasts(self) -> FunctionSpace:
        """The same runs in the outputs less the last one, where no loss asks for more.

        Softmax sees differences of outputs, and its slopes sum to zero: with ``D = (1, −1)``,
        ``K → D K Dᵀ`` has one row and column of C fewer a sample. Itself where a loss is of
        another kind, or where a copy of the matrices would not be small.
        """
        size = self.gram.nbytes * (1 + len(self.bends))
        losses = [loss for loss in self.losses if loss is not None]
        cancels = not float(self.outputs.abs().max()) < LARGE  # as where a class is masked
        if size > CONTRASTED or not self.has_room or cancels:
            return self
        if not all(loss.contrasted for loss in losses):
            return self
        n, width = self.gram.shape[:2]

        def less(values: Tensor, *shape: int) -> Tensor:
            columns = values.view(*shape, -1, width)
            return (columns[..., :-1] - columns[..., -1:]).flatten(len(shape))

        def both(gram: Tensor) -> Tensor:
            rows = gram.view(n, width, -1)
            return less(rows[:, :-1] - rows[:, -1:], n, width - 1)

        return FunctionSpace(
            less(self.outputs).view(-1, width - 1), both(self.gram),
            None if self.drift is None else less(self.drift), self.weight_norm, self.losses,
            tuple(Bend(both(b.gram), less(b.direction), b.length, b.decayed) for b in self.bends),
        )  # fmt: skip

    @cached_property
    def single(self) -> FunctionSpace:
        """The same with its Gram matrix in single precision; what it changes by is so anyway."""
        return replace(self, gram=self.gram.float())

    def parts(self) -> Iterator[tuple[SetLoss | None, Tensor]]:
        """Loss and outputs of each set, None and no rows where there is none."""
        start = 0
        for loss in self.losses:
            end = start + (0 if loss is None else len(loss))
            yield loss, self.outputs[start:end]
            start = end


@dataclass(frozen=True)
class Coefficients:
    """Where runs are in weight space: ``w = scale·w* − P Jᵀ values``.

    Attributes
    ----------
    values : ndarray, shape (n_cells, n_steps, n, C), float64
    scale : ndarray, shape (n_cells, n_steps), float64
    moved : ndarray, shape (n_cells, n_steps, N·C), float64
        How far all outputs have gone down: ``K values`` where the kernel does not move.
    leap : ndarray, shape (n_cells,), float64
        Furthest that a single step has moved an output, up to the last kept step.
    """

    values: FloatArray
    scale: FloatArray
    moved: FloatArray
    leap: FloatArray


def run(
    space: FunctionSpace,
    plan: RunPlan,
    *,
    snapshots: NDArray[np.int64] | None = None,
    replica: int | None = None,
    memory_budget: float = 2e9,
) -> tuple[Curves, Coefficients | None]:
    """Run every cell and replica of a plan in function space.

    Parameters
    ----------
    space : FunctionSpace
    plan : Plan
    snapshots : ndarray, shape (n_cells, n_steps), int64, optional
        Steps at which to keep the coefficients of each cell.
    replica : int, optional
        Run this one alone, with the batches that it has among all.
    memory_budget : float
        Bytes that the state of the cells run together may take.

    Returns
    -------
    (Curves, Coefficients or None)
        Curves of shape (n_cells, replicas, n_records).
    """
    if plan.weight_decay and space.drift is None:
        raise ValueError(
            f"weight_decay must be 0 for a model without second derivatives, got "
            f"{plan.weight_decay:g}"
        )
    spaces = [space.contrasts]
    if snapshots is not None and space.contrasts is not space:
        spaces.append(space)  # who keeps outputs wants all of them
    if plan.precision == "single":
        spaces = [part.single for part in spaces]
    space = spaces[0]
    count = plan.replicas if replica is None else 1
    copies = 3 if plan.momentum else 2
    numbers = sum(p.outputs.numel() * 4 + p.gram.shape[:2].numel() * copies for p in spaces)
    cells = len(plan.step_size)
    each = NUMBER * count * numbers
    refuse_beyond(
        each, space.gram.device, f"replicas: {count} runs of {numbers} numbers",
        "run fewer replicas, or a few at a time with other seeds",
    )  # fmt: skip
    size = max(1, min(cells, int(memory_budget / each)))
    with full_precision(space.gram.device):
        parts = [
            _finish(spaces, plan, slice(first, first + size), snapshots, replica)
            for first in range(0, cells, size)
        ]
    curves = Curves.concatenate([part[0] for part in parts])
    if snapshots is None:
        return curves, None
    kept = [part[1] for part in parts]
    return curves, Coefficients(
        *(np.concatenate([getattr(k, f.name) for k in kept]) for f in fields(Coefficients))
    )


def outputs_at(space: FunctionSpace, kept: Coefficients) -> Iterator[tuple[str, Tensor, SetLoss]]:
    """Yield the name, outputs (n_cells, n_steps, n, C) and loss of each set at coefficients."""
    moved = torch.as_tensor(kept.moved, dtype=space.outputs.dtype, device=space.gram.device)
    outputs = space.outputs.flatten() - moved
    if space.drift is not None:
        shrunk = torch.as_tensor(kept.scale - 1.0, dtype=moved.dtype, device=moved.device)
        outputs = outputs + shrunk[..., None] * space.drift
    outputs = outputs.view(*outputs.shape[:2], *space.outputs.shape)
    start = 0
    for name, loss in zip(SETS, space.losses, strict=True):
        if loss is not None:
            yield name, outputs[..., start : start + len(loss), :], loss
            start += len(loss)


def _finish(
    spaces: list[FunctionSpace],
    plan: RunPlan,
    block: slice,
    snapshots: NDArray[np.int64] | None,
    replica: int | None,
) -> tuple[Curves, Coefficients | None]:
    """Take all steps of a block of cells in the first space; what is kept is of the last one."""
    keeper = _Runs(spaces[-1], plan, block, snapshots, replica)
    runs = keeper if len(spaces) == 1 else _Runs(spaces[0], plan, block, None, replica)
    return runs.finish(keeper)


class _Runs:
    """The state of a block of cells, replicas leading: (replicas, cells, …)."""

    def __init__(
        self,
        space: FunctionSpace,
        plan: RunPlan,
        block: slice,
        snapshots: NDArray[np.int64] | None,
        replica: int | None,
    ) -> None:
        self.space, self.plan, self.replica = space, plan, replica
        like: dict[str, Any] = {"dtype": space.outputs.dtype, "device": space.gram.device}
        self.step_size = torch.as_tensor(plan.step_size[block], **like)
        self.signs = torch.as_tensor(plan.weights()[:, block], **like)
        self.snapshots = None if snapshots is None else snapshots[block]
        self.last = plan.steps if self.snapshots is None else int(self.snapshots.max())
        replicas = plan.replicas if replica is None else 1
        shape = replicas, len(self.step_size)
        n, width, columns = space.gram.shape
        self.h = torch.zeros(*shape, columns, **like)
        self.c = torch.zeros(*shape, n, width, **like)
        self.heavy = plan.momentum > 0.0
        self.v = torch.zeros_like(self.h) if self.heavy else None
        self.q = torch.zeros_like(self.c) if self.heavy else None
        self.rows: dict[torch.dtype, Tensor] = {}
        # what the kernel changes by is known to per cents: single precision, half the bytes
        self.bends = [bend.gram.view(space.gram.shape).float() for bend in space.bends]
        self.a = torch.ones(shape[1], **like)
        self.s = torch.zeros(shape[1], **like)
        self.records = [self._empty(shape) for _ in range(7)]
        if self.snapshots is not None:
            kept = self.snapshots.shape
            self.kept = (
                torch.zeros(*kept, n, width, **like), torch.ones(kept, **like),
                torch.zeros(*kept, columns, **like),
            )  # fmt: skip
            self.leap = torch.zeros(kept[0], **like)

    def _empty(self, shape: tuple[int, int]) -> Tensor:
        size = *shape, len(self.plan.recorded)
        return torch.full(size, torch.nan, dtype=torch.float64, device=self.h.device)

    def finish(self, keeper: _Runs) -> tuple[Curves, Coefficients | None]:
        """Take all steps; the keeper, itself or one that has all outputs, is led along."""
        rows = {int(step): row for row, step in enumerate(self.plan.recorded)}
        batches = transferred(self.plan.batches(), self.h.device)
        for step in range(keeper.last + 1):
            if step in rows:
                self._record(rows[step])
            if keeper.snapshots is not None:
                keeper._keep(step)
            if step < keeper.last:
                before = None if keeper.snapshots is None else keeper.h[0].clone()
                indices, slopes = self._slopes(next(batches))
                self._advance(step, indices, slopes)
                if keeper is not self:
                    rest = -slopes.sum(dim=-1, keepdim=True)
                    keeper._advance(step, indices, torch.cat([slopes, rest], dim=-1))
                if before is not None:
                    keeper._measure_leap(before)
        records = [record.transpose(0, 1).cpu().numpy() for record in self.records]
        curves = [SetCurves(records[k], records[k + 1]) for k in (0, 2, 4)]
        steps = self.plan.recorded.copy()
        result = Curves(steps, curves[0], curves[1], curves[2], records[6])
        if keeper.snapshots is None:
            return result, None
        kept = (*keeper.kept, keeper.leap)
        return result, Coefficients(*(part.double().cpu().numpy() for part in kept))

    def _advance(self, step: int, indices: Tensor, slopes: Tensor) -> None:
        """Take a step along the slopes of the drawn samples."""
        beta, decay = self.plan.momentum, self.plan.weight_decay
        eta = self.step_size * float(self.plan.schedule[step])
        shares = self._shares()  # of the kernel where the runs stand, before they move
        if self.v is None or self.q is None:
            slopes = slopes * eta[:, None, None]
            if decay:
                keep = 1.0 - eta * decay
                self.h *= keep[:, None]
                self.c *= keep[:, None, None]
                self.a = self.a * keep
            self._add_product(self.h, slopes, indices, shares)
            self._scatter(self.c, slopes, indices)
            return
        self.v *= beta
        self._add_product(self.v, slopes, indices, shares)
        self.q *= beta
        self._scatter(self.q, slopes, indices)
        if decay:
            self.v.sub_(self.h, alpha=decay)
            self.q.sub_(self.c, alpha=decay)
            self.s = beta * self.s + decay * self.a
            self.a = self.a - eta * self.s
        self.h.addcmul_(self.v, eta[:, None])
        self.c.addcmul_(self.q, eta[:, None, None])

    @staticmethod
    def _scatter(target: Tensor, slopes: Tensor, indices: Tensor) -> Tensor:
        """Add to the entries of the batch, a sample drawn twice twice."""
        for own, chosen, part in zip(target, indices, slopes, strict=True):
            own.index_add_(1, chosen, part)
        return target

    def _shares(self) -> list[Tensor]:
        """How far each run has gone to each bend, over its length, (replicas, cells)."""
        bends = self.space.bends
        if not bends:
            return []
        ways = self.c.flatten(2) @ torch.stack([bend.direction for bend in bends], dim=1)
        if self.plan.weight_decay:
            decayed = torch.tensor([bend.decayed for bend in bends]).to(ways)
            ways = ways + (1.0 - self.a)[:, None] * decayed
        way, nearest = ways.max(dim=2)
        return [
            (way / bend.length).clamp(0.0, FARTHEST) * (nearest == k)
            for k, bend in enumerate(bends)
        ]

    def _add_product(
        self, target: Tensor, slopes: Tensor, indices: Tensor, shares: list[Tensor]
    ) -> None:
        """Add ``K[:, batch] slopes``, K as it is where each run stands."""
        self._add_rows(target, slopes, indices, self.space.gram)
        for share, bend in zip(shares, self.bends, strict=True):
            if share.is_cuda or bool(share.any()):  # a GPU is not waited for
                self._add_rows(target, slopes * share[:, :, None, None], indices, bend)

    def _add_rows(self, target: Tensor, slopes: Tensor, indices: Tensor, gram: Tensor) -> None:
        """Add ``gram[:, batch] slopes``; on a CPU a replica at a time, its rows kept in cache.

        Small batches of few cells do not repay it: then all of the matrix, once.
        """
        if gram.dtype != slopes.dtype:  # products of numbers that are not normal are slow
            slopes = torch.nn.functional.hardshrink(slopes.to(gram.dtype), TINY)
        replicas, cells, width, outputs = slopes.shape
        n = len(gram)
        drawn = replicas * (width * outputs * gram.shape[2] * (cells + COPY) + CALL)
        read = READ if gram.nbytes > CACHE else 0
        if gram.numel() * (replicas * cells + read) < drawn:
            dense = self._scatter(slopes.new_zeros(replicas, cells, n, outputs), slopes, indices)
            rows = gram.view(1, n * outputs, -1)
            left = dense.view(1, replicas * cells, n * outputs)
            _accumulate(target.view(1, replicas * cells, -1), left, rows)
            return
        size = replicas if target.is_cuda else 1
        taken = self.rows.get(gram.dtype)
        if taken is None or len(taken) != size * width:
            taken = self.rows[gram.dtype] = gram.new_empty(size * width, *gram.shape[1:])
        for first in range(0, replicas, size):
            part = slice(first, first + size)
            torch.index_select(gram, 0, indices[part].flatten(), out=taken)
            rows = taken.view(size, width * outputs, -1)
            _accumulate(target[part], slopes[part].flatten(2), rows)

    def _slopes(self, batches: tuple[Batch | None, Batch | None]) -> tuple[Tensor, Tensor]:
        """Samples drawn by each replica, and ``ω ∘ ∇ℓ`` there (replicas, cells, width, C)."""
        found, slopes, start = [], [], 0
        for k, (batch, size) in enumerate(zip(batches, self.plan.batch_size, strict=True)):
            loss = self.space.losses[k]
            if batch is not None and loss is not None:
                indices, present = (self._own(part) for part in batch)
                outputs = self._outputs_at(indices + start)
                part = loss.slopes(outputs, indices, present, size)
                found.append(indices + start)
                slopes.append(part * self.signs[k][:, None, None])
            start += self.plan.sizes[k]
        return torch.cat(found, dim=1), torch.cat(slopes, dim=2)

    def _own(self, part: Any) -> Any:
        """Those of a drawn tensor that belong to this block's replicas."""
        if part is None or self.replica is None:
            return part
        return part[self.replica : self.replica + 1]

    def _outputs_at(self, indices: Tensor) -> Tensor:
        """Outputs of drawn samples, (replicas, cells, width, C)."""
        n, width = self.space.outputs.shape
        cells = self.h.shape[1]
        outputs = self.h.new_empty(len(indices), cells, indices.shape[1], width)
        for own, chosen, part in zip(self.h, indices, outputs, strict=True):
            torch.index_select(own.view(cells, n, width), 1, chosen, out=part)
        outputs = self.space.outputs[indices][:, None] - outputs
        if self.plan.weight_decay and self.space.drift is not None:
            drift = self.space.drift.view(n, width)[indices]
            outputs = outputs + (self.a - 1.0)[:, None, None] * drift[:, None]
        return outputs

    def _record(self, row: int) -> None:
        """Record a few replicas at a time: what is built on the way stays in cache."""
        n, width = self.space.outputs.shape
        still = self.space.outputs.flatten()
        if self.plan.weight_decay and self.space.drift is not None:
            still = still + (self.a - 1.0)[:, None] * self.space.drift
        size = max(1, (RECORD_CUDA if self.h.is_cuda else RECORD) // self.h[0].nbytes)
        flat = torch.empty_like(self.h[:size])
        for first in range(0, len(self.h), size):
            at = slice(first, first + size)
            h, c = self.h[at], self.c[at].flatten(2)
            outputs, start = torch.sub(still, h, out=flat[: len(h)]).view(*h.shape[:2], n, width), 0
            for k, loss in enumerate(self.space.losses):
                if loss is not None:
                    values, right = loss.measure(outputs, start)
                    self.records[2 * k][at, :, row] = values
                    self.records[2 * k + 1][at, :, row] = right
                    start += len(loss)
            self.records[6][at, :, row] = self._displacement(c, h)

    def _displacement(self, c: Tensor, h: Tensor) -> Tensor:
        """``√(δᵀP⁻¹δ)`` of ``δ = (a − 1)w* − P Jᵀ c``."""
        seen = c.shape[-1]
        square = _products(c, h[..., :seen])
        if self.plan.weight_decay and self.space.drift is not None:
            shrunk = self.a - 1.0
            square = square - 2.0 * shrunk * (c @ self.space.drift[:seen])
            square = square + (shrunk * self.space.weight_norm) ** 2
        length: Tensor = square.clamp(min=0.0).sqrt().nan_to_num(nan=torch.inf, posinf=torch.inf)
        return length

    def _measure_leap(self, before: Tensor) -> None:
        """Take note of the furthest that any output of each cell was moved by a step."""
        moved = (self.h[0] - before).abs_().amax(dim=1).nan_to_num_(nan=torch.inf, posinf=torch.inf)
        self.leap = torch.maximum(self.leap, moved)

    def _keep(self, step: int) -> None:
        """Copy the coefficients of the cells that are to be kept at this step."""
        cells, columns = (
            torch.as_tensor(k) for k in np.nonzero(np.asarray(self.snapshots) == step)
        )
        if len(cells):
            for kept, now in zip(self.kept, (self.c[0], self.a, self.h[0]), strict=True):
                kept[cells, columns] = now[cells]


def _accumulate(target: Tensor, left: Tensor, right: Tensor) -> None:
    """Add a batch of products, in their precision, to a target of its own."""
    if target.dtype == right.dtype:
        target.baddbmm_(left, right)
    else:
        target.add_(torch.bmm(left, right))


def _products(one: Tensor, other: Tensor) -> Tensor:
    """Inner products along the last axis; on a CPU in one pass, without the products between."""
    if one.is_cuda:
        products: Tensor = torch.linalg.vecdot(one, other)
        return products
    with np.errstate(all="ignore"):  # runs may have diverged
        return torch.from_numpy(np.einsum("rcn,rcn->rc", one.numpy(), other.numpy()))
