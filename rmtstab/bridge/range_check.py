"""How far a prediction can be trusted: the true network at the predicted weights, and a margin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray
from rmtstab.bridge import function_space
from rmtstab.bridge.curves import OUTCOMES, Curves, Reference, SetCurves, skill
from rmtstab.bridge.linearisation import Linearisation
from rmtstab.bridge.runs import FunctionSpaceRun

THIRD = (2.0 / 3.0, 4.0 / 3.0)
LEAP = 5.0  # standard deviations of the outputs at the start, for one output in one step
SIDES, POINTS = ("predicted", "observed"), ("...", "point")
CHECKED = tuple(f"{name}_{kind}" for name in ("retain", "forget") for kind in ("loss", "accuracy"))
NEIGHBOURS = ("step_size × 2/3", "step_size × 4/3", "alpha × 2/3", "alpha × 4/3")


@dataclass(frozen=True, repr=False)
class RangeCheck(Record):
    """Where the true network at the predicted weights parts from the prediction.

    Attributes
    ----------
    steps : ndarray, shape cells × n_points, int64
        Checked steps of each cell, ascending; a step may be repeated.
    predicted, observed : dict of str to ndarray, shape cells × n_points, float64
        ``retain_loss``, ``forget_loss``, ``retain_accuracy``, ``forget_accuracy`` of the
        linearised and of the true network.
    difference : ndarray, shape cells × n_points, float64
        The larger difference of skill of the two sets.
    trusted_until : ndarray, shape cells, float64
        Last checked step before the first disagreement; the end where there is none.
    beyond : ndarray, shape cells, bool
        Whether the true network contradicts the predicted collapse: it has collapsed at a
        checked point of a run that is predicted to keep, or at none of one that is not.
    neighbours : ndarray of str, shape cells × 4, or None
        Outcomes at two and four thirds of η, and of α (at most 1).
    fragile : ndarray, shape cells, bool
        Whether one of those differs from the cell's own.
    tips : ndarray, shape cells, bool
        Whether one of those collapses where the cell does not, or the reverse: a cell that is
        fragile without tipping forgets in doubt, or forgets and collapses almost at once.
    drifts : ndarray, shape cells, bool
        Whether the cell's collapse verdict is another without the refinement of the kernel;
        False where there is none (see `LinearisedNetwork.refine`).
    leaps : ndarray, shape cells, bool
        Whether a cell that is predicted not to collapse has a step that moves an output by more
        than five standard deviations of all outputs at the start: no network is linear that far,
        and its run may not come back.
    evaluations : int
        Backward and forward passes spent, one of each a point.
    """

    dimensions: ClassVar = {
        "steps": POINTS,
        "difference": POINTS,
        "trusted_until": ("...",),
        "beyond": ("...",),
        "fragile": ("...",),
        "tips": ("...",),
        "drifts": ("...",),
        "leaps": ("...",),
        "neighbours": ("...", "neighbour"),
        **{f"{side}_{name}": POINTS for side in SIDES for name in CHECKED},
    }

    steps: NDArray[np.int64]
    predicted: dict[str, FloatArray]
    observed: dict[str, FloatArray]
    difference: FloatArray
    trusted_until: FloatArray
    beyond: NDArray[np.bool_]
    neighbours: NDArray[np.str_] | None
    fragile: NDArray[np.bool_]
    tips: NDArray[np.bool_]
    drifts: NDArray[np.bool_]
    leaps: NDArray[np.bool_]
    evaluations: int

    def _fields(self) -> dict[str, Any]:
        """Return every array under a name of its own, such as ``observed_retain_loss``."""
        fields = super()._fields()
        sides = {side: fields.pop(side) for side in SIDES}
        return {**fields, **{f"{s}_{name}": v for s, d in sides.items() for name, v in d.items()}}

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Cells whose outcome is not to be relied on: any of the four flags that concern it."""
        return self.beyond | self.fragile | self.drifts | self.leaps

    @property
    def collapse_flagged(self) -> NDArray[np.bool_]:
        """Cells whose verdict on collapse alone should not be relied on."""
        return self.beyond | self.tips | self.drifts | self.leaps


def check_range(
    net: Linearisation,
    run: FunctionSpaceRun,
    *,
    replica: int,
    points: int,
    tolerance: float,
    margin: bool,
) -> RangeCheck:
    """Check one replica of every cell; see `LinearisedNetwork.check`."""
    margin = _checks.flag("margin", margin)
    points = _checks.integer("points", points, low=1)
    tolerance = _checks.real("tolerance", tolerance, low=0.0, low_open=True)
    plan = run.plan
    cells = len(plan.step_size)
    replica = _checks.integer("replica", replica, low=0, high=plan.replicas - 1)
    forgot, collapsed = (
        steps.reshape(cells, -1)[:, replica]
        for steps in (run.turns.forget_step, run.turns.collapse_step)
    )
    last = np.full(cells, float(plan.steps))
    even = np.ceil(np.linspace(0.0, plan.steps, points + 1)[1:])
    turning = [np.where(np.isinf(step), last, step) for step in (forgot, collapsed)]
    steps = np.sort(np.column_stack([np.tile(even, (cells, 1)), *turning]), axis=1).astype(np.int64)
    kept = net.coefficients(run, steps, replica=replica)
    predicted = _predicted(net, kept)
    observed = {name: np.full(steps.shape, np.nan) for name in predicted}
    difference = np.full(steps.shape, np.nan)
    trusted = last.copy()
    evaluations = 0
    sets = ("retain", "forget") if net.n_forget else ("retain",)
    for cell in range(cells):
        for point, step in enumerate(steps[cell]):
            if point and step == steps[cell, point - 1]:
                for values in (*observed.values(), difference):
                    values[cell, point] = values[cell, point - 1]
                continue
            weights = net.weights(kept.values[cell, point], float(kept.scale[cell, point]))
            evaluations += 1
            for name, (loss, accuracy) in zip(sets, net.observe(weights), strict=False):
                observed[f"{name}_loss"][cell, point] = loss
                observed[f"{name}_accuracy"][cell, point] = accuracy
            difference[cell, point] = _difference(net, predicted, observed, (cell, point))
        parted = np.flatnonzero(~(difference[cell] <= tolerance))
        if parted.size:
            trusted[cell] = float(steps[cell, parted[0] - 1]) if parted[0] else 0.0
    beyond = _seen_to_collapse(net, observed, run.turns.levels) != np.isfinite(collapsed)
    neighbours = None
    fragile, tips = np.zeros((2, cells), dtype=bool)
    if margin:
        neighbours, own = _neighbours(net, run), run.outcome.reshape(-1, 1)
        fragile = (neighbours != own).any(axis=1)
        tips = (_collapses(neighbours) != _collapses(own)).any(axis=1)

    spread = float(net.space.outputs.std(correction=0))
    leaps = (kept.leap > LEAP * spread) & np.isinf(collapsed)
    drifts = np.zeros(cells, dtype=bool)
    if net.space.bends:
        drifts = _drifts(net, run)

    def shaped(values: NDArray) -> NDArray:  # type: ignore[type-arg]
        return values.reshape((*plan.shape, *values.shape[1:]))

    return RangeCheck(
        shaped(steps),
        {name: shaped(values) for name, values in predicted.items()},
        {name: shaped(values) for name, values in observed.items()},
        shaped(difference),
        shaped(trusted),
        shaped(beyond),
        None if neighbours is None else shaped(neighbours),
        shaped(fragile),
        shaped(tips),
        shaped(drifts),
        shaped(leaps),
        evaluations,
    )


def _predicted(net: Linearisation, kept: function_space.Coefficients) -> dict[str, FloatArray]:
    """Losses and accuracies of the linearised network at kept coefficients."""
    found = {}
    for name, outputs, loss in function_space.outputs_at(net.space, kept):
        if name == "test":  # the true network is not asked about it
            continue
        found[f"{name}_loss"] = loss.values(outputs).cpu().numpy()
        found[f"{name}_accuracy"] = loss.accuracy(outputs).cpu().numpy()
    return found


def _difference(
    net: Linearisation,
    predicted: dict[str, FloatArray],
    observed: dict[str, FloatArray],
    at: tuple[int, int],
) -> float:
    """Larger difference of skill of the two sets; skill that is gone is gone, however far."""
    largest = 0.0
    for name, start in zip(("retain", "forget"), net.references, strict=False):
        if start is None:
            continue
        both = [_skill(source, name, at, start) for source in (predicted, observed)]
        largest = max(largest, abs(both[0] - both[1]))
    return largest


def _skill(
    source: dict[str, FloatArray], name: str, at: tuple[int, int], start: Reference
) -> float:
    curves = SetCurves(source[f"{name}_loss"][at][None], source[f"{name}_accuracy"][at][None])
    value = float(skill(curves, start)[0])
    return max(value, 0.0)


def _seen_to_collapse(
    net: Linearisation, observed: dict[str, FloatArray], levels: dict[str, float]
) -> NDArray[np.bool_]:
    """Whether the true network has collapsed at a checked point of each cell."""
    start = net.references[0]
    assert start is not None  # a linearised network has retain samples
    seen = SetCurves(observed["retain_loss"], observed["retain_accuracy"])
    below = np.asarray(skill(seen, start) < levels["collapse_level"])
    found: NDArray[np.bool_] = np.any(below, axis=1)
    return found


def _drifts(net: Linearisation, run: FunctionSpaceRun) -> NDArray[np.bool_]:
    """Whether each cell's collapse verdict is another where the kernel does not move."""
    curves: Curves = function_space.run(replace(net.space, bends=()), run.plan)[0]
    still = net.turns(curves, **run.turns.levels).outcome
    changed: NDArray[np.bool_] = _collapses(still) != _collapses(run.outcome.ravel())
    return changed


def _collapses(outcomes: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Whether each outcome is one of the two that end in collapse."""
    return np.char.endswith(outcomes, OUTCOMES[-1])


def _neighbours(net: Linearisation, run: FunctionSpaceRun) -> NDArray[np.str_]:
    """Outcomes of every cell with η or α a third less and more, shape (n_cells, 4)."""
    plan = run.plan
    etas = [plan.step_size * factor for factor in THIRD] + [plan.step_size] * 2
    alphas = [plan.alpha] * 2 + [np.minimum(plan.alpha * factor, 1.0) for factor in THIRD]
    around = replace(
        plan, step_size=np.concatenate(etas), alpha=np.concatenate(alphas),
        shape=(4, len(plan.step_size)),
    )  # fmt: skip
    curves: Curves = function_space.run(net.space, around)[0].reshaped(around.shape)
    outcomes: NDArray[np.str_] = net.turns(curves, **run.turns.levels).outcome.T
    return outcomes
