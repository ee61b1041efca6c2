"""Evaluate every bound on an update and order them by tightness."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from rmtstab import _checks
from rmtstab._results import Bound
from rmtstab.bounds import certificates, closed_forms, subspace, sufficient
from rmtstab.bounds.row import COSTS
from rmtstab.bounds.view import View
from rmtstab.dynamics.growth import growth
from rmtstab.dynamics.update import Update

TABLE = (*closed_forms.ROWS, *subspace.ROWS, *sufficient.ROWS, *certificates.ROWS)
NAMES = tuple(row.name for row in TABLE)


def evaluate(
    update: Update,
    cost: str = "applications",
    gap: bool = True,
    growth_factor: Callable[[], float] | None = None,
) -> list[Bound]:
    """Evaluate the bounds on an update's growth factor.

    Parameters
    ----------
    update : Update
        Of `rmtstab.UnlearningProblem.dynamics`, say.
    cost : {"closed form", "eigenproblem", "applications"}
        The dearest kind of bound to evaluate: sums over the factors and extreme
        eigenvalues; eigenproblems of side r too; a fixed number of applications
        of Φ too.
    gap : bool
        Whether to solve for the exact ρ and say how far each bound is from it.
    growth_factor : callable, optional
        Returns ρ, where it is known already.

    Returns
    -------
    list of Bound
        Lower bounds on ρ (necessary conditions) from the largest down, then
        upper bounds (sufficient conditions) from the smallest up; conditions
        that give a step size only come last.

    Raises
    ------
    ValueError
        With momentum: the bounds are those of the plain update. If ``cost`` is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> import rmtstab as rs
    >>> problem = rs.UnlearningProblem.from_factors(np.eye(2), np.empty((0, 2)))
    >>> dyn = problem.dynamics(step_size=1.0, batch_size=1, alpha=0.0)
    >>> bounds = dyn.bounds(cost="eigenproblem")
    >>> [b.name for b in bounds if b.kind == "sufficient"]
    ['one step', 'operator', 'coherence convergence']
    >>> bounds[0].gap < 1e-12
    True
    """
    _checks.instance("update", update, Update)
    gap = _checks.flag("gap", gap)
    if growth_factor is not None:
        _checks.function("growth_factor", growth_factor)
    dearest = COSTS.index(_checks.choice("cost", cost, COSTS))
    if update.momentum:
        raise ValueError(f"momentum must be 0 for closed-form bounds, got {update.momentum}")
    if not len(update.mean_eigenvalues):
        return []
    view = View(update)
    exact = math.nan
    if gap:
        exact = growth(update).value if growth_factor is None else growth_factor()
    found = []
    for row in TABLE:
        pair = view.once(row.values) if COSTS.index(row.cost) <= dearest else None
        if pair is None:
            continue
        rho, step = pair
        # rounding on the safe side; the certificates count their own
        if row.kind == "necessary":
            rho = max(rho - update.rounding, 0.0)
        elif row.cost == "eigenproblem":
            rho += update.rounding
        passes = rho <= 1.0 if math.isfinite(rho) else update.step_size <= step
        bound = Bound(row.name, row.kind, passes, rho, step, row.source, row.cost)
        found.append(replace(bound, gap=_gap(bound, exact)))
    lower = sorted((b for b in found if b.kind == "necessary"), key=lambda b: -b.rho_bound)
    upper = sorted(
        (b for b in found if b.kind == "sufficient"),
        key=lambda b: b.rho_bound if math.isfinite(b.rho_bound) else math.inf,
    )
    return [*lower, *upper]


def _gap(bound: Bound, exact: float) -> float:
    pair = (exact, bound.rho_bound) if bound.kind == "necessary" else (bound.rho_bound, exact)
    if not all(map(math.isfinite, pair)):
        return math.nan
    if pair[1] <= 0.0:
        return 0.0 if pair[0] <= 0.0 else math.inf
    return pair[0] / pair[1] - 1.0
