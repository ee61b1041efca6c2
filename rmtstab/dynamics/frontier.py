"""Stability maps over mixing and batch size, and their frontiers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray, Frontier
from rmtstab.dynamics import critical, growth, trajectory
from rmtstab.dynamics.rows import row_growth

if TYPE_CHECKING:
    from rmtstab.dynamics.problem import UnlearningProblem

TOLERANCE = 1e-4  # relative residual of a map's cells: values are good to its square over the gap


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
        at which the ratio crosses ``radius²``, found by bisection (1 if none).
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
    values = np.empty((len(mixings), len(batch_sizes)))
    pairs = np.empty((len(batch_sizes), 2))
    options = (sampling, weight_decay, momentum)

    def cell(alpha: float, batch: Any) -> float:
        dyn = problem.dynamics(step_size, batch, alpha, *options)
        if horizon is None:
            return growth.solve(dyn, certify=False).value
        path = trajectory.iterate(dyn, steps).displacement
        return float(path[-1] / path[0])

    middle = 0.5 if problem.n_forget else 0.0
    for k, batch in enumerate(batch_sizes):
        pairs[k] = problem.dynamics(step_size, batch, middle, *options).batch_size
    columns = [(float(b[0]), float(b[1])) for b in pairs]

    def growth_row(alpha: float) -> FloatArray:
        row = None
        if horizon is None and momentum == 0.0:
            dyn = problem.dynamics(step_size, batch_sizes[0], alpha, *options)
            row = row_growth(dyn, columns, TOLERANCE)
        return np.array([cell(alpha, b) for b in batch_sizes]) if row is None else row

    with ThreadPoolExecutor(_checks.integer("workers", workers, low=1)) as pool:
        for i, row in enumerate(pool.map(growth_row, [float(a) for a in mixings])):
            values[i] = row
    marginal = horizon is None and momentum == 0.0 and weight_decay == 0.0
    marginal = marginal and problem.basis(0.0).n_active < problem.rank
    if marginal or problem.n_forget == 0:  # the interval is {0} or empty
        start = values[0] if mixings[0] == 0.0 else growth_row(0.0)
        curve = np.where(start <= level, 0.0, np.nan)
        return Frontier(pairs, mixings, values, level, curve, horizon)
    curve = np.zeros(len(batch_sizes))
    for k, batch in enumerate(batch_sizes):
        if horizon is None:
            above = mixings[_after_last_stable(values[:, k], level) :]
            hint = float(above[0]) if above.size else 1.0
            found = critical.alpha(problem, step_size, batch, *options, upper=hint)
            curve[k] = float(found)
        else:
            curve[k] = _crossing(lambda a, b=batch: cell(a, b) - level, mixings)
    return Frontier(pairs, mixings, values, level, curve, horizon)


def _after_last_stable(column: FloatArray, level: float) -> int:
    """Index after the last stable mixing; past the end where none is stable."""
    stable = np.flatnonzero(column <= level)
    return int(stable[-1]) + 1 if stable.size else len(column)


def _crossing(excess: Any, mixings: FloatArray) -> float:
    """Smallest zero of ``excess`` on [0, 1] seen from the given mixings."""
    if excess(0.0) > 0.0:
        return 0.0
    low = 0.0
    for high in [float(a) for a in mixings if a > 0.0] + [1.0]:
        if excess(high) > 0.0:
            break
        low = high
    else:
        return 1.0
    while high - low > 1e-10 * high:
        middle = 0.5 * (low + high) if low > 0.0 else 0.1 * high
        low, high = (low, middle) if excess(middle) > 0.0 else (middle, high)
    return 0.5 * (low + high)
