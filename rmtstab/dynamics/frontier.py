"""Stability maps over mixing and batch size, and their frontiers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray, Frontier, Threshold, Verdict
from rmtstab.dynamics import critical, growth, trajectory
from rmtstab.dynamics.curve import critical_mixings
from rmtstab.dynamics.rows import Row, row_growth

if TYPE_CHECKING:
    from rmtstab.dynamics.linearised import Dynamics
    from rmtstab.dynamics.problem import UnlearningProblem

TOLERANCE = 1e-4  # relative residual of a map's cells: values are good to its square over the gap
STRETCH = 10  # neighbouring columns whose critical mixings are followed one after the other
SLACK = 1e-12  # rounding of a Ritz value


def stability_map(
    problem: UnlearningProblem,
    step_size: Any,
    batch_sizes: Sequence[Any],
    alphas: Any,
    *,
    horizon: int | None = None,
    radius: float | None = None,
    sampling: str = "without_replacement",
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    workers: int = 1,
) -> Frontier:
    """Growth factor, or finite-horizon growth, over (mixing × batch size).

    Parameters
    ----------
    problem : UnlearningProblem
    step_size : float
    batch_sizes : sequence of int or (retain, forget)
    alphas : array_like, shape (n_alphas,)
        Increasing mixings in [0, 1].
    horizon : int, optional
        Map ``E‖w_K‖²/E‖w_0‖²`` from an isotropic start instead of ρ.
    radius : float, > 0, optional
        A cell escapes when that ratio exceeds ``radius²``; required with a horizon.
    sampling, weight_decay, momentum
        As in `UnlearningProblem.dynamics`.
    workers : int
        Threads, over rows; with one BLAS thread each they do not contend. The
        values do not depend on it.

    Returns
    -------
    Frontier
        The curve is the asymptotic α*(B), or with a horizon the smallest mixing
        at which the ratio crosses ``radius²``, found by bisection (1 if none). Every
        cell is certified: the enclosures come from the row's subspace, cells that they
        leave open are solved by themselves, and what stays open is UNDECIDED.
    """
    mixings = _checks.array("alphas", alphas, ndim=1)
    if mixings.size == 0 or len(batch_sizes) == 0:
        raise ValueError("frontier needs at least one alpha and one batch size, got none")
    if np.any(np.diff(mixings) <= 0.0):
        raise ValueError("alphas must be strictly increasing")
    if (horizon is None) != (radius is None):
        raise ValueError(f"horizon and radius go together, got {horizon!r} and {radius!r}")
    steps = 0 if horizon is None else _checks.integer("horizon", horizon, low=1)
    level = 1.0
    if radius is not None:
        level = _checks.real("radius", radius, low=0.0, low_open=True) ** 2
    options = (sampling, weight_decay, momentum)
    middle = 0.5 if problem.n_forget else 0.0
    pairs = np.array(
        [problem.dynamics(step_size, batch, middle, *options).batch_size for batch in batch_sizes]
    )
    plan = _Plan(problem, step_size, batch_sizes, pairs, options, steps, level)
    with ThreadPoolExecutor(_checks.integer("workers", workers, low=1)) as pool:
        rows = list(pool.map(plan.row, [float(a) for a in mixings]))
        values, uppers = (np.array([row[k] for row in rows]) for k in (0, 1))
        verdicts = np.array([row[2] for row in rows], dtype=object)
        curve, error = _curve(plan, mixings, values, rows[0], pool)
    # ∞ − ∞ beyond the floating-point range: no bound
    bounds = np.full_like(values, np.inf)
    np.subtract(uppers, values, out=bounds, where=np.isfinite(values))
    return Frontier(pairs, mixings, values, level, curve, horizon, bounds, verdicts, error)


class _Plan:
    """What all rows of a map share; each row is independent of the others."""

    def __init__(
        self,
        problem: UnlearningProblem,
        step_size: Any,
        batch_sizes: Sequence[Any],
        pairs: FloatArray,
        options: tuple[str, float, float],
        steps: int,
        level: float,
    ) -> None:
        self.problem, self.step_size, self.batch_sizes = problem, step_size, batch_sizes
        self.pairs, self.options, self.steps, self.level = pairs, options, steps, level

    def dynamics(self, alpha: float, column: int) -> Dynamics:
        """The cell's dynamics."""
        return self.problem.dynamics(self.step_size, self.batch_sizes[column], alpha, *self.options)

    def horizon_value(self, alpha: float, column: int) -> float:
        """``E‖w_K‖²/E‖w_0‖²``."""
        path = trajectory.iterate(self.dynamics(alpha, column), self.steps).displacement
        return float(path[-1] / path[0])

    def row(self, alpha: float) -> tuple[FloatArray, FloatArray, list[Verdict]]:
        """Lower and upper ends, and verdicts, at one mixing."""
        columns = range(len(self.batch_sizes))
        if self.steps:
            values = np.array([self.horizon_value(alpha, k) for k in columns])
            slack = 4e-16 * (self.steps + self.problem.rank)
            return values, values, [_side(value / self.level, slack) for value in values]
        tops: dict[int, growth.Top] = {}
        found = None
        if self.options[2] == 0.0:
            batches = [(float(b[0]), float(b[1])) for b in self.pairs]
            found = row_growth(self.dynamics(alpha, 0), batches, TOLERANCE)
        if found is None:  # cell by cell
            tops = {k: growth.solve(self.dynamics(alpha, k)) for k in columns}
            found = Row(
                np.array([tops[k].value for k in columns]),
                np.array([tops[k].upper for k in columns]),
            )
        return self._judged(alpha, found, tops)

    def _judged(
        self, alpha: float, row: Row, tops: dict[int, growth.Top]
    ) -> tuple[FloatArray, FloatArray, list[Verdict]]:
        """Verdicts from the enclosures; what these leave open is solved by itself.

        ρ falls with either batch size, so that a verdict holds for every larger
        (stable) or smaller (escaping) pair too.
        """
        values, uppers = row.values.copy(), row.uppers.copy()
        verdicts: list[Verdict | None] = [None] * len(values)

        def settle(column: int, verdict: Verdict) -> None:
            verdicts[column] = verdict
            sign = {Verdict.STABLE: 1.0, Verdict.ESCAPES: -1.0}.get(verdict, 0.0)
            for k, pair in enumerate(self.pairs):
                if sign and verdicts[k] is None and (sign * (pair - self.pairs[column]) >= 0).all():
                    verdicts[k] = verdict

        for k in range(len(values)):
            if values[k] > 1.0 + SLACK:
                settle(k, Verdict.ESCAPES)
            elif uppers[k] < 1.0 - growth.ROUNDING:
                settle(k, Verdict.STABLE)
        for k in np.lexsort(self.pairs.T):
            if verdicts[k] is None:
                verdict = _from_critical_step(self.dynamics(alpha, int(k)))
                if verdict is not None:
                    settle(int(k), verdict)
        while None in verdicts:  # halve what is open
            still = [int(k) for k in np.lexsort(self.pairs.T) if verdicts[k] is None]
            k = still[len(still) // 2]
            dyn = self.dynamics(alpha, k)
            top = tops.get(k) or growth.solve(dyn)
            values[k], uppers[k] = max(values[k], top.value), min(uppers[k], top.upper)
            settle(k, growth.judge(dyn, top)[0])
        stable = np.array([verdict is Verdict.STABLE for verdict in verdicts])
        uppers = np.maximum(np.where(stable, np.minimum(uppers, 1.0), uppers), values)
        return values, uppers, [v or Verdict.UNDECIDED for v in verdicts]


def _from_critical_step(dyn: Dynamics) -> Verdict | None:
    """Verdict from η*, which resolves ρ − 1 relative to the curvature; None where it cannot.

    ``1/η*`` is found as a Rayleigh quotient: η* is never above its value.
    """
    found = critical._critical(dyn)
    if dyn.step_size == 0.0:
        return Verdict.MARGINAL
    if found.status.endswith("ascent direction on the range"):
        return Verdict.ESCAPES
    if found.status != "interior":
        return None
    slack = 1e-12 * found.value
    if dyn.step_size > found.value + slack:
        return Verdict.ESCAPES
    if found.converged and dyn.step_size < found.value - found.error_bound - slack:
        return Verdict.STABLE
    return Verdict.MARGINAL if dyn.step_size >= found.value - slack else None


def _side(ratio: float, slack: float) -> Verdict:
    """Verdict of an exactly known ratio to the level, within rounding."""
    if abs(ratio - 1.0) <= slack:
        return Verdict.UNDECIDED
    return Verdict.ESCAPES if ratio > 1.0 else Verdict.STABLE


def _curve(
    plan: _Plan,
    mixings: FloatArray,
    values: FloatArray,
    first: tuple[Any, Any, list[Verdict]],
    pool: ThreadPoolExecutor,
) -> tuple[FloatArray, FloatArray]:
    """Critical mixing of each column, with its error bound."""
    problem, level = plan.problem, plan.level
    decay, beta = plan.options[1:]
    columns = range(len(plan.batch_sizes))
    marginal = plan.steps == 0 and decay == 0.0 and beta == 0.0
    marginal = marginal and problem.basis(0.0).n_active < problem.rank
    if marginal or problem.n_forget == 0:  # the interval is {0} or empty
        start = first[2] if mixings[0] == 0.0 else plan.row(0.0)[2]
        curve = np.array([np.nan if v is Verdict.ESCAPES else 0.0 for v in start])
        return curve, np.array([np.inf if v is Verdict.UNDECIDED else 0.0 for v in start])
    if plan.steps:

        def crossing(k: int) -> tuple[float, float]:
            return _crossing(lambda alpha: plan.horizon_value(alpha, k) - level, mixings)

        found = np.array(list(pool.map(crossing, columns)))
        return found[:, 0], found[:, 1]
    hints = []
    for k in columns:
        above = mixings[_after_last_stable(values[:, k], level) :]
        hints.append(float(above[0]) if above.size else 1.0)

    def stretch(start: int) -> list[Threshold]:
        part = slice(start, start + STRETCH)
        return critical_mixings(
            problem, plan.step_size, plan.batch_sizes[part], plan.options, hints[part]
        )

    thresholds = [t for part in pool.map(stretch, columns[::STRETCH]) for t in part]
    error = [t.error_bound if t.converged else np.inf for t in thresholds]
    return np.array([t.value for t in thresholds]), np.array(error)


def _after_last_stable(column: FloatArray, level: float) -> int:
    """Index after the last stable mixing; past the end where none is stable."""
    stable = np.flatnonzero(column <= level)
    return int(stable[-1]) + 1 if stable.size else len(column)


def _crossing(excess: Any, mixings: FloatArray) -> tuple[float, float]:
    """Smallest zero of ``excess`` on [0, 1] seen from the given mixings, and its error."""
    if excess(0.0) > 0.0:
        return 0.0, 0.0
    low = 0.0
    for high in [float(a) for a in mixings if a > 0.0] + [1.0]:
        if excess(high) > 0.0:
            break
        low = high
    else:
        return 1.0, 0.0
    while high - low > 1e-10 * high:
        middle = 0.5 * (low + high) if low > 0.0 else 0.1 * high
        low, high = (low, middle) if excess(middle) > 0.0 else (middle, high)
    return 0.5 * (low + high), 0.5 * (high - low)
