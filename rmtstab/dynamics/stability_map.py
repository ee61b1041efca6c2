r"""Stability maps over mixing and batch size, and their frontiers.

At fixed α and η the operator is affine in the noise coefficients of the two sets,
``Φ = J⊗J + t_R N_R + t_F N_F``: one Davidson subspace serves all columns of a row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray, Frontier, Threshold, Verdict
from rmtstab.dynamics import verdict
from rmtstab.dynamics.certificate import Enclosure, widened
from rmtstab.dynamics.critical_alpha import critical_alphas
from rmtstab.dynamics.crossing import smallest_crossing
from rmtstab.dynamics.davidson import Subspace
from rmtstab.dynamics.growth import growth
from rmtstab.dynamics.powers import IsotropicPowers, width_for
from rmtstab.dynamics.second_moment import NoiseMap, Split
from rmtstab.dynamics.trajectory import iterate
from rmtstab.dynamics.update import Update
from rmtstab.sampling import Pair

TOLERANCE = 1e-4  # relative residual of a map's cells: values are good to its square over the gap
FINEST = 1e-4  # relative width of the enclosures
EXTRA = 16  # directions added for their sake
STRETCH = 10  # neighbouring columns whose critical mixings are followed one after the other


def frontier(
    update: Update,
    batch_sizes: Sequence[Any],
    alphas: Any,
    *,
    horizon: int | None = None,
    radius: float | None = None,
    workers: int = 1,
) -> Frontier:
    """Growth factor, or finite-horizon growth, over (mixing × batch size).

    Parameters
    ----------
    update : Update
        Its own mixing and batch sizes are not read.
    batch_sizes : sequence of int or (retain, forget)
    alphas : array_like, shape (n_alphas,)
        Increasing mixings in [0, 1].
    horizon : int, optional
        Map ``E‖w_K‖²/E‖w_0‖²`` from an isotropic start instead of ρ.
    radius : float, > 0, optional
        A cell escapes when that ratio exceeds ``radius²``; required with a horizon.
    workers : int
        Threads, over rows; with one BLAS thread each they do not contend. The
        values do not depend on it.

    Returns
    -------
    Frontier
        The curve is the asymptotic α*(B), or with a horizon the smallest mixing
        at which the ratio crosses ``radius²``, by interpolation (1 if none). Every
        cell is certified: the enclosures come from the row's subspace or, with a horizon,
        from two-sided quadrature (to 1e-11, or 1e-8 on more than 400 dimensions); cells
        that they leave open are solved by themselves, and what stays open is UNDECIDED.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range.
    """
    mixings = _checks.array("alphas", alphas, ndim=1)
    batch_sizes = _checks.each("batch_sizes", batch_sizes)
    if mixings.size == 0 or len(batch_sizes) == 0:
        raise ValueError("alphas and batch_sizes must hold one each at least, got none")
    if np.any(np.diff(mixings) <= 0.0):
        raise ValueError("alphas must be strictly increasing")
    if (horizon is None) != (radius is None):
        raise ValueError(f"horizon and radius go together, got {horizon!r} and {radius!r}")
    steps = 0 if horizon is None else _checks.integer("horizon", horizon, low=1)
    size = 1.0 if radius is None else _checks.real("radius", radius, low=0.0, low_open=True)
    sizes = update.sizes
    pairs = [update.scheme.check_batches(batch, *sizes, None) for batch in batch_sizes]
    plan = _Plan(update, pairs, steps, 2.0 * math.log(size))
    checked = [update.curvatures.check_alpha(float(a)) for a in mixings]
    with ThreadPoolExecutor(_checks.integer("workers", workers, low=1)) as pool:
        rows = list(pool.map(plan.row, checked))
        values, uppers = (np.array([row[k] for row in rows]) for k in (0, 1))
        verdicts = np.array([row[2] for row in rows], dtype=object)
        curve, error = _curve(plan, mixings, values, uppers, rows[0], pool)
    level = size * size  # 0 or ∞ beyond the floating-point range
    # ∞ − ∞ there: no bound
    bounds = np.full_like(values, np.inf)
    np.subtract(uppers, values, out=bounds, where=np.isfinite(values))
    return Frontier(
        np.array(pairs), mixings, values, level, curve, horizon, bounds, verdicts, error
    )


class _Plan:
    """What all rows of a map share; each row is independent of the others."""

    def __init__(
        self, update: Update, batches: Sequence[Pair], steps: int, log_level: float
    ) -> None:
        self.update, self.batches, self.steps = update, batches, steps
        self.log_level = log_level
        self.pairs = np.array(batches)

    def cell(self, alpha: float, column: int) -> Update:
        """The cell's update."""
        return self.update.at(alpha=alpha, batch_size=self.batches[column])

    @property
    def slack(self) -> float:
        """Distance of `horizon_logs`, at most."""
        return width_for(self.update.curvatures.rank, self.steps)

    def horizon_logs(self, alpha: float, column: int, decide: bool = False) -> tuple[float, float]:
        """Logarithms of a lower and an upper bound on ``E‖w_K‖²/E‖w_0‖²`` over the level.

        Where they have the level between them and are to ``decide``, they are as near as
        rounding lets them be.
        """
        cell, steps, level = self.cell(alpha, column), self.steps, self.log_level
        ends = None
        if not cell.curvatures.rank:  # nothing but weight decay
            still = abs(1.0 - cell.step_size * cell.weight_decay)
            value = 2.0 * steps * math.log(still) if still else -math.inf
            ends = value, value
        elif not cell.momentum:
            powers = IsotropicPowers(cell)
            ends = powers.log_between(steps, self.slack)
            if decide and ends and ends[0] <= level <= ends[1]:
                ends = powers.log_between(steps)
        if ends is None:
            path = iterate(cell, steps).displacement
            with np.errstate(divide="ignore"):
                value = float(np.log(path[-1] / path[0]))
            ends = value - 0.5 * self.slack, value + 0.5 * self.slack
        return ends[0] - level, ends[1] - level

    def row(self, alpha: float) -> tuple[FloatArray, FloatArray, list[Verdict]]:
        """Lower and upper ends, and verdicts, at one mixing."""
        columns = range(len(self.batches))
        if self.steps:
            logs = np.array([self.horizon_logs(alpha, k, decide=True) for k in columns])
            with np.errstate(over="ignore"):
                ends = np.exp(logs + self.log_level)
            return ends[:, 0], ends[:, 1], [_side(*pair) for pair in logs]
        found = None
        if not self.update.momentum:
            found = _row_growth(self.cell(alpha, 0), self.batches)
        if found is not None:
            return self._judged(alpha, *found, {})
        solved = {k: growth(self.cell(alpha, k)) for k in columns}  # cell by cell
        ends = np.array([(top.value, top.upper) for top in solved.values()])
        return self._judged(alpha, ends[:, 0], ends[:, 1], solved)

    def _judged(
        self,
        alpha: float,
        values: FloatArray,
        uppers: FloatArray,
        solved: dict[int, Enclosure],
    ) -> tuple[FloatArray, FloatArray, list[Verdict]]:
        """Verdicts from the enclosures; what these leave open is solved by itself.

        ρ falls with either batch size, so that a verdict holds for every larger
        (stable) or smaller (escaping) pair too.
        """
        verdicts: list[Verdict | None] = [None] * len(values)
        order = [int(k) for k in np.lexsort(self.pairs.T)]  # from small batches to large ones

        def settle(column: int, found: tuple[Verdict, Any] | None) -> None:
            if found is None:
                return
            verdicts[column] = found[0]
            sign = {Verdict.STABLE: 1.0, Verdict.ESCAPES: -1.0}.get(found[0], 0.0)
            for k, pair in enumerate(self.pairs):
                if sign and verdicts[k] is None and (sign * (pair - self.pairs[column]) >= 0).all():
                    verdicts[k] = found[0]

        for k in order[::-1]:
            if verdicts[k] is None and values[k] > 1.0:
                settle(k, verdict.from_enclosure(self.cell(alpha, k), values[k], uppers[k]))
        for k in order:
            if verdicts[k] is None and uppers[k] < 1.0:
                settle(k, verdict.from_enclosure(self.cell(alpha, k), values[k], uppers[k]))
        for k in order:
            if verdicts[k] is None:
                settle(k, verdict.from_critical_step(self.cell(alpha, k)))
        while None in verdicts:  # halve what is open
            still = [k for k in order if verdicts[k] is None]
            k = still[len(still) // 2]
            cell = self.cell(alpha, k)
            top = solved.get(k) or growth(cell)
            values[k], uppers[k] = max(values[k], top.value), min(uppers[k], top.upper)
            settle(k, verdict.judge(cell, top))
        stable = np.array([found is Verdict.STABLE for found in verdicts])
        uppers = np.maximum(np.where(stable, np.minimum(uppers, 1.0), uppers), values)
        return values, uppers, [found or Verdict.UNDECIDED for found in verdicts]


def _row_growth(update: Update, batches: Sequence[Pair]) -> tuple[FloatArray, FloatArray] | None:
    """Lower and upper ends of one row; None when the subspace would not fit or converge.

    An upper end is ``inf`` without a certificate.
    """
    if update.basis.n_active == 0:
        still = np.full(len(batches), (1.0 - update.step_size * update.weight_decay) ** 2)
        return still, still.copy()
    parts = [_unit_noise(update, s) for s in (0, 1)]
    sets = [s for s in (0, 1) if parts[s] is not None]
    gain = [(update.step_size * a) ** 2 for a in update.weights]
    noise = [
        [gain[s] * update.scheme.coefficients(update.sizes[s], b[s])[0] for s in sets]
        for b in batches
    ]
    times = np.column_stack([np.ones(len(batches)), np.array(noise)])
    maps = [None, *(part.apply for part in parts if part is not None)]
    space = Subspace(maps, times, np.outer(update.mean_multipliers, update.mean_multipliers))
    order = _spread_out(len(batches))
    for column in order:
        if not space.refine(column, TOLERANCE):
            return None
    uppers, limit = np.empty(len(batches)), space.size + EXTRA
    for column in order:  # what one column's certificate adds, the others find there
        uppers[column] = space.upper(column, FINEST, patience=limit - space.size)
    values = np.array([space.ritz(column)[0] for column in range(len(batches))])
    least = tuple(float(b) for b in np.min(batches, axis=0))  # of the loudest noise
    return widened(values, uppers, update.at(batch_size=least).rounding)


def _spread_out(n: int) -> list[int]:
    """Order of columns: both ends first, then the middles."""
    return sorted(range(n), key=lambda k: (k not in (0, n - 1), -((k & -k) if k else n), k))


def _unit_noise(update: Update, s: int) -> NoiseMap | None:
    """``Σ_{i∈s} H_i M H_i − [fixed size] n_s H_s M H_s``, or None for a set without weight."""
    n = update.sizes[s]
    if update.weights[s] == 0.0 or n == 0:
        return None
    basis, offsets = update.basis, update.curvatures.factors.offsets
    r, fixed = basis.n_active, update.scheme.fixed_size
    first, last = (0, n) if s == 0 else (update.sizes[0], sum(update.sizes))
    rows = np.ascontiguousarray(basis.rows[offsets[first] : offsets[last], :r])
    split = Split.of(basis, float(s), r) if fixed else None
    split = split and split.times(1.0 / update.weights[s])
    mean = split.square() if split else (basis.retain, basis.forget)[s][:r, :r]
    return NoiseMap(
        rows,
        np.ascontiguousarray(offsets[first : last + 1] - offsets[first]),
        np.ones(n),
        np.ones(len(rows)) if fixed else np.zeros(0),
        np.ascontiguousarray(mean) if fixed else np.zeros((0, 0)),
        float(n) if fixed else 0.0,
        0.0,
        split,
    )


def _side(lower: float, upper: float) -> Verdict:
    """Verdict of a ratio to the level between such logarithms."""
    if lower <= 0.0 <= upper:
        return Verdict.UNDECIDED
    return Verdict.ESCAPES if lower > 0.0 else Verdict.STABLE


def _curve(
    plan: _Plan,
    mixings: FloatArray,
    values: FloatArray,
    uppers: FloatArray,
    first: tuple[Any, Any, list[Verdict]],
    pool: ThreadPoolExecutor,
) -> tuple[FloatArray, FloatArray]:
    """Critical mixing of each column, with its error bound."""
    update = plan.update
    curvatures = update.curvatures
    columns = range(len(plan.batches))
    marginal = plan.steps == 0 and update.weight_decay == update.momentum == 0.0
    marginal = marginal and curvatures.basis(0.0).n_active < curvatures.rank
    if marginal or curvatures.n_forget == 0:  # the interval is {0} or empty
        start = first[2] if mixings[0] == 0.0 else plan.row(0.0)[2]
        curve = np.array([np.nan if v is Verdict.ESCAPES else 0.0 for v in start])
        return curve, np.array([np.inf if v is Verdict.UNDECIDED else 0.0 for v in start])
    if plan.steps:
        with np.errstate(divide="ignore"):
            logs = [np.log(ends) - plan.log_level for ends in (values, uppers)]

        def crossings(start: int) -> list[tuple[float, float]]:
            found, shape = [], None
            for k in columns[start : start + STRETCH]:
                ends = zip(mixings.tolist(), *(part[:, k] for part in logs), strict=True)
                known = {alpha: _middle(*pair) for alpha, *pair in ends}

                def excess(alpha: float, k: int = k) -> float:
                    return _middle(*plan.horizon_logs(alpha, k))

                at, error, shape = smallest_crossing(excess, known, plan.slack, shape)
                found.append((at, error))
            return found

        found = np.array(
            [pair for part in pool.map(crossings, columns[::STRETCH]) for pair in part]
        )
        return found[:, 0], found[:, 1]
    hints = []
    for k in columns:
        above = mixings[_after_last_stable(values[:, k]) :]
        hints.append(float(above[0]) if above.size else 1.0)

    def stretch(start: int) -> list[Threshold]:
        part = slice(start, start + STRETCH)
        return critical_alphas(update, plan.batches[part], hints[part])

    thresholds = [t for part in pool.map(stretch, columns[::STRETCH]) for t in part]
    error = [t.error_bound if t.converged else np.inf for t in thresholds]
    return np.array([t.value for t in thresholds]), np.array(error)


def _after_last_stable(column: FloatArray) -> int:
    """Index after the last stable mixing; past the end where none is stable."""
    stable = np.flatnonzero(column <= 1.0)
    return int(stable[-1]) + 1 if stable.size else len(column)


def _middle(lower: float, upper: float) -> float:
    """Middle of two logarithms, kept finite."""
    ends = (max(min(end, 700.0), -700.0) for end in (lower, upper))
    return 0.5 * sum(ends)
