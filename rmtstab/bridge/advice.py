"""What to change: the largest step, smallest batch and largest mixing within a retain budget."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rmtstab._record import Record
from rmtstab._results import FloatArray
from rmtstab.bridge import function_space
from rmtstab.bridge.curves import Curves, Turns, majority
from rmtstab.bridge.outcome_map import OutcomeMap
from rmtstab.bridge.run_plan import RunPlan
from rmtstab.bridge.runs import FunctionSpaceRun

if TYPE_CHECKING:
    from rmtstab.bridge.linearised import LinearisedNetwork

FACTORS: FloatArray = np.exp2(np.arange(-4.0, 4.0))
OCTAVES = 16  # beyond these, where none or all of them keep the budget
MIXINGS = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0])
PLAIN: FloatArray = 2.0 ** np.arange(0.0, 9.0, 0.5)
REPLICAS = 4
BRACKETS = 8
RECORDED = 2e8  # bytes of curves that are held at a time


@dataclass(frozen=True, repr=False)
class Advice(Record):
    """Settings that keep the retain loss within a budget, one changed and the others held.

    By predicted runs alone, with the kernel of the given setting: the true network is not asked
    there, and may leave where a network is no longer linear. Diagnose a setting before it is run.

    Attributes
    ----------
    retain_budget : float
        Retain loss that the median replica may reach at any time: every step is looked at.
    largest_step_size : float
        Up to it all that were tried keep the budget; NaN where not even 2⁻²⁰ of the given one
        does.
    step_size_is_bound : bool
        Whether ``largest_step_size`` is a lower bound only: the search ended there, at 2¹⁹
        times the given one, and nothing broke the budget.
    largest_alpha : float
        The same of the mixing; NaN where α = 0 breaks the budget, and 1 where all keep it.
    smallest_batch_size : (int, int) or None
    window : bool
        Whether some η and α on the map forget before they collapse, or without.
    window_cells : tuple of (float, float)
        Such pairs (η, α), those that never collapse first, by retain loss.
    sgd_collapse : float
        Smallest multiple of the given step, from 1 to 2⁸·⁵, at which plain SGD (α = 0)
        collapses on the retain set within the horizon; inf where none tried does.
    replicas : int
        Of each cell: the first so many of the run's. The given cell is that of the run itself.
    map : OutcomeMap
        Over step size and mixing.
    """

    retain_budget: float
    largest_step_size: float
    step_size_is_bound: bool
    largest_alpha: float
    smallest_batch_size: tuple[int, int] | None
    window: bool
    window_cells: tuple[tuple[float, float], ...]
    sgd_collapse: float
    replicas: int
    map: OutcomeMap


def advise(
    net: LinearisedNetwork, run: FunctionSpaceRun, retain_budget: float, levels: dict[str, float]
) -> Advice:
    """Search around one cell; see `Advice`.

    Parameters
    ----------
    net : LinearisedNetwork
    run : FunctionSpaceRun
        Of the one cell, every step recorded.
    retain_budget : float
    levels : dict of str to float
        Levels of forgetting and collapse.
    """
    plan = run.plan
    search = _Search(net, plan, retain_budget, levels)
    eta, alpha = float(plan.step_size[0]), float(plan.alpha[0])
    mixings = np.unique(np.append(MIXINGS, alpha)) if net.n_forget else np.zeros(1)
    with np.errstate(over="ignore"):
        etas, plain = _moderate(eta * FACTORS), _moderate(eta * PLAIN)
    grid = [axis.ravel() for axis in np.meshgrid(etas, mixings)]
    # one run for both: a cell more costs little beside the rows of K that all cells share
    tried = np.append(grid[0], plain), np.append(grid[1], np.zeros(len(plain)))
    seen = search.cells(*tried)
    seen.put((tried[0] == eta) & (tried[1] == alpha), run)
    count, shape = grid[0].size, (len(mixings), len(etas))
    gone = plain[np.isfinite(seen.collapsed[count:])]
    mapped: list[Any] = [values[:count].reshape(shape) for values in seen]
    peak, forgot, collapsed, outcome = mapped
    names = ("step_size", "alpha")
    drawn = OutcomeMap(names, tuple(etas), tuple(mixings), outcome, forgot, collapsed, plan.steps)
    row, column = int(np.argmin(np.abs(mixings - alpha))), int(np.argmin(np.abs(etas - eta)))
    without = mixings[:1] > 0.0  # α = 0 is among the plain runs, if not on the map
    by_alpha = _Tried(
        np.append(np.zeros(1)[without], mixings),
        np.append(seen.peak[count : count + 1][without], peak[:, column]) <= retain_budget,
    )
    by_step = search.extended(_Tried(etas, peak[row] <= retain_budget))
    largest_step, largest_alpha = search.largest(by_step, by_alpha)
    before = forgot < collapsed
    order = np.lexsort((peak[before], np.isfinite(collapsed[before])))
    rows, columns = (axis[order] for axis in np.nonzero(before))
    return Advice(
        retain_budget,
        largest_step,
        bool(by_step.kept.all()),
        largest_alpha,
        search.smallest_batch(bool(peak[row, column] <= retain_budget)),
        bool(before.any()),
        tuple((float(etas[c]), float(mixings[r])) for r, c in zip(rows, columns, strict=True)),
        float(gone.min() / eta) if gone.size else float("inf"),
        search.plan.replicas,
        drawn,
    )


def _moderate(step_sizes: FloatArray) -> FloatArray:
    """Keep positive and finite what a factor takes out of the floating-point range."""
    found: FloatArray = np.clip(step_sizes, np.nextafter(0.0, 1.0), np.finfo(float).max)
    return found


class _Seen(NamedTuple):
    """Of flat cells: peak of the median retain loss, and turns of the median replica."""

    peak: FloatArray
    forgot: FloatArray
    collapsed: FloatArray
    outcome: NDArray[np.str_]

    @classmethod
    def of(cls, losses: FloatArray, turned: Turns) -> _Seen:
        """Look at losses (cells, replicas, steps)."""
        # the median replica, as outcomes have it
        median = np.sort(losses, axis=1)[:, losses.shape[1] // 2]
        steps = majority(turned.forget_step), majority(turned.collapse_step)
        return cls(median.max(axis=-1), *steps, turned.outcome)

    def put(self, cells: NDArray[np.bool_], run: FunctionSpaceRun) -> None:
        """Give some cells what a run of one cell found."""
        own = _Seen.of(run.retain_loss[None], run.turns)
        for values, value in zip(self, own, strict=True):
            values[cells] = value


class _Tried:
    """Values tried in ascending order, and which of them keep the budget."""

    def __init__(self, values: FloatArray, kept: NDArray[np.bool_]) -> None:
        self.values, self.kept = values, kept
        count = _leading(kept)
        self.found = float(values[count - 1]) if count else float("nan")
        self.between = values[:0]
        if 0 < count < len(values):
            spaced = np.geomspace if values[count - 1] > 0.0 else np.linspace
            self.between = spaced(values[count - 1], values[count], BRACKETS + 1)[:-1]

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
        self.net, self.budget, self.levels = net, budget, levels
        self.plan = replace(plan, replicas=min(plan.replicas, REPLICAS))

    def cells(self, step_size: Any, alpha: Any, plan: RunPlan | None = None) -> _Seen:
        """Look at every step of flat cells: a peak can last for one."""
        plan, etas, alphas = plan or self.plan, np.ravel(step_size), np.ravel(alpha)
        each = 8 * len(fields(Curves)) * 2 * plan.replicas * len(plan.recorded)
        size, parts = max(1, int(RECORDED / each)), []
        for first in range(0, len(etas), size):
            own = etas[first : first + size], alphas[first : first + size]
            part = replace(plan, step_size=own[0], alpha=own[1], shape=own[0].shape)
            curves = function_space.run(self.net.space, part)[0]
            parts.append(_Seen.of(curves.retain.loss, self.net.turns(curves, **self.levels)))
        return _Seen(*(np.concatenate(values) for values in zip(*parts, strict=True)))

    def _keep(self, step_size: FloatArray, alpha: FloatArray) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self.cells(step_size, alpha).peak <= self.budget
        return found

    def extended(self, tried: _Tried) -> _Tried:
        """Where all step sizes keep the budget, or the smallest breaks it, look far beyond."""
        if not tried.kept.all() and tried.kept[0]:
            return tried
        rises, octaves = tried.kept.all(), np.exp2(np.arange(1.0, OCTAVES + 1.0))
        more = tried.values[-1] * octaves if rises else tried.values[0] / octaves[::-1]
        kept = self._keep(_moderate(more), np.full(OCTAVES, self.plan.alpha[0]))
        parts = [(tried.values, tried.kept), (_moderate(more), kept)][:: 1 if rises else -1]
        return _Tried(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def largest(self, step_size: _Tried, alpha: _Tried) -> tuple[float, float]:
        """Largest step size and mixing, the other held, each refined within its bracket."""
        counts = step_size.between.size, alpha.between.size
        if not sum(counts):
            return step_size.found, alpha.found
        etas = np.append(step_size.between, np.full(counts[1], self.plan.step_size[0]))
        alphas = np.append(np.full(counts[0], self.plan.alpha[0]), alpha.between)
        kept = self._keep(etas, alphas)
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
        return bool(self.cells(plan.step_size, plan.alpha, plan).peak[0] <= self.budget)


def _whole(batch: FloatArray) -> tuple[int, int]:
    return int(np.ceil(batch[0])), int(np.ceil(batch[1]))
