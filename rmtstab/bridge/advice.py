"""What to change: the largest step, smallest batch and largest mixing within a retain budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rmtstab._record import Record
from rmtstab._results import FloatArray
from rmtstab.bridge import function_space
from rmtstab.bridge.curves import Curves, Turns, majority
from rmtstab.bridge.outcome_map import OutcomeMap
from rmtstab.bridge.run_plan import RunPlan

if TYPE_CHECKING:
    from rmtstab.bridge.linearised import LinearisedNetwork

FACTORS: FloatArray = np.exp2(np.arange(-4.0, 4.0))
MIXINGS = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9])
PLAIN: FloatArray = 2.0 ** np.arange(0.0, 9.0, 0.5)
REPLICAS = 4
BRACKETS = 8


@dataclass(frozen=True, repr=False)
class Advice(Record):
    """Settings that keep the retain loss within a budget, one changed and the others held.

    Attributes
    ----------
    retain_budget : float
        Retain loss that the median replica may reach at any time.
    largest_step_size, largest_alpha : float
        NaN where not even the smallest one tried keeps the budget.
    smallest_batch_size : (int, int) or None
    window : bool
        Whether some η and α on the map forget before they collapse, or without.
    window_cells : tuple of (float, float)
        Such pairs (η, α), those that never collapse first, by retain loss.
    sgd_collapse : float
        Smallest multiple of the given step at which plain SGD (α = 0) collapses on the
        retain set within the horizon; inf where none tried does.
    map : OutcomeMap
        Over step size and mixing.
    """

    retain_budget: float
    largest_step_size: float
    largest_alpha: float
    smallest_batch_size: tuple[int, int] | None
    window: bool
    window_cells: tuple[tuple[float, float], ...]
    sgd_collapse: float
    map: OutcomeMap


def advise(
    net: LinearisedNetwork, plan: RunPlan, retain_budget: float, levels: dict[str, float]
) -> Advice:
    """Search around one cell; see `Advice`.

    Parameters
    ----------
    net : LinearisedNetwork
    plan : RunPlan
        Of the one cell.
    retain_budget : float
    levels : dict of str to float
        Levels of forgetting and collapse.
    """
    search = _Search(net, plan, retain_budget, levels)
    eta, alpha = float(plan.step_size[0]), float(plan.alpha[0])
    mixings = np.unique(np.append(MIXINGS, alpha)) if net.n_forget else np.zeros(1)
    etas, plain = eta * FACTORS, eta * PLAIN
    grid = [axis.ravel() for axis in np.meshgrid(etas, mixings)]
    # one run for both: a cell more costs little beside the rows of K that all cells share
    peak, turned = search.cells(np.append(grid[0], plain), np.append(grid[1], np.zeros(len(plain))))
    forgot, collapsed = majority(turned.forget_step), majority(turned.collapse_step)
    gone = plain[np.isfinite(collapsed[grid[0].size :])]
    shape = len(mixings), len(etas)
    peak, forgot, collapsed = (
        values[: grid[0].size].reshape(shape) for values in (peak, forgot, collapsed)
    )
    outcome = turned.outcome[: grid[0].size].reshape(shape)
    names = ("step_size", "alpha")
    drawn = OutcomeMap(names, tuple(etas), tuple(mixings), outcome, forgot, collapsed, plan.steps)
    row = int(np.argmin(np.abs(mixings - alpha)))
    column = int(np.argmin(np.abs(etas - eta)))
    largest_step, largest_alpha = search.largest(
        _Bracket(etas, peak[row] <= retain_budget),
        _Bracket(mixings, peak[:, column] <= retain_budget),
    )
    before = forgot < collapsed
    order = np.lexsort((peak[before], np.isfinite(collapsed[before])))
    rows, columns = (axis[order] for axis in np.nonzero(before))
    return Advice(
        retain_budget,
        largest_step,
        largest_alpha if net.n_forget else 0.0,
        search.smallest_batch(bool(peak[row, column] <= retain_budget)),
        bool(before.any()),
        tuple((float(etas[c]), float(mixings[r])) for r, c in zip(rows, columns, strict=True)),
        float(gone.min() / eta) if gone.size else float("inf"),
        drawn,
    )


class _Bracket:
    """Values tried in ascending order, and where between two of them the budget is left."""

    def __init__(self, tried: FloatArray, kept: NDArray[np.bool_]) -> None:
        count = _leading(kept)
        self.found = float(tried[count - 1]) if count else float("nan")
        self.between = tried[:0]
        if 0 < count < len(tried):
            self.between = np.geomspace(tried[count - 1], tried[count], BRACKETS + 1)[:-1]

    def refined(self, kept: NDArray[np.bool_]) -> float:
        """Largest value up to which all that lie between keep the budget."""
        if not self.between.size:
            return self.found
        return float(self.between[max(_leading(kept), 1) - 1])


def _leading(kept: NDArray[np.bool_]) -> int:
    """How many are true before the first that is not."""
    return len(kept) if kept.all() else int(np.argmin(kept))


class _Search:
    def __init__(
        self, net: LinearisedNetwork, plan: RunPlan, budget: float, levels: dict[str, float]
    ) -> None:
        replicas = min(plan.replicas, REPLICAS)
        every = max(1, plan.steps // 50)
        recorded = np.unique(np.append(np.arange(0, plan.steps + 1, every), plan.steps))
        self.net, self.budget, self.levels = net, budget, levels
        self.plan = replace(plan, replicas=replicas, recorded=recorded)

    def cells(
        self, step_size: Any, alpha: Any, plan: RunPlan | None = None
    ) -> tuple[FloatArray, Turns]:
        """Peak of the median retain loss, and the turns, of flat cells."""
        etas, alphas = np.ravel(step_size), np.ravel(alpha)
        plan = replace(plan or self.plan, step_size=etas, alpha=alphas, shape=etas.shape)
        curves: Curves = function_space.run(self.net.space, plan)[0]
        # the median replica, as outcomes have it
        median = np.sort(curves.retain.loss, axis=1)[:, curves.retain.loss.shape[1] // 2]
        return median.max(axis=-1), self.net.turns(curves, **self.levels)

    def largest(self, step_size: _Bracket, alpha: _Bracket) -> tuple[float, float]:
        """Largest step size and mixing, the other held, each refined within its bracket."""
        counts = step_size.between.size, alpha.between.size
        if not sum(counts):
            return step_size.found, alpha.found
        etas = np.append(step_size.between, np.full(counts[1], self.plan.step_size[0]))
        alphas = np.append(np.full(counts[0], self.plan.alpha[0]), alpha.between)
        kept = self.cells(etas, alphas)[0] <= self.budget
        return step_size.refined(kept[: counts[0]]), alpha.refined(kept[counts[0] :])

    def smallest_batch(self, keeps: bool) -> tuple[int, int] | None:
        """Halve both batches while the budget holds; double them where the given ones do not."""
        sizes = self.net.sizes[:2]
        found, batch = None, np.array(self.plan.batch_size, dtype=float)
        grows = not keeps
        while True:
            if grows:
                if all(b >= n for b, n in zip(batch, sizes, strict=True)):
                    return None
                batch = np.minimum(batch * 2.0, sizes)
                if self._keeps(batch):
                    return _whole(batch)
                continue
            found = _whole(batch)
            smaller = np.maximum(np.floor(batch / 2.0), np.minimum(sizes, 1))
            if (smaller == batch).all() or not self._keeps(smaller):
                return found
            batch = smaller

    def _keeps(self, batch: FloatArray) -> bool:
        plan = self.plan.with_batches(float(batch[0]), float(batch[1]))
        peak, _ = self.cells(plan.step_size, plan.alpha, plan)
        return bool(peak[0] <= self.budget)


def _whole(batch: FloatArray) -> tuple[int, int]:
    return int(np.ceil(batch[0])), int(np.ceil(batch[1]))
