"""Evaluate every bound on a problem and order them by tightness."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rmtstab import _checks
from rmtstab._results import Bound
from rmtstab.bounds import certificates, subspace
from rmtstab.bounds.view import View
from rmtstab.theory import mean, sufficient

if TYPE_CHECKING:
    from rmtstab.dynamics.linearised import Dynamics

COSTS = ("closed form", "eigenproblem", "applications")
DERIVED = "derived in docs/theory/bounds"
MULAYOFF = "Mulayoff & Michaeli, arXiv:2306.07850, ({}) at alpha = 0; " + DERIVED
DEXTER = "Dexter et al., arXiv:2401.12332, Theorem {} at alpha = 0; derived in docs/theory/{}"

Row = tuple[str, Literal["necessary", "sufficient"], str, str]
# name, direction, cost, source
TABLE: tuple[Row, ...] = (
    ("mean", "necessary", "closed form", DERIVED),
    ("trace", "necessary", "closed form", MULAYOFF.format(16)),
    ("direction", "necessary", "closed form", MULAYOFF.format(15)),
    ("single sample", "necessary", "closed form", DERIVED),
    ("unlearning coherence", "necessary", "closed form", DEXTER.format(1, "bounds/coherence")),
    ("three-axis coherence", "necessary", "closed form", DEXTER.format(1, "bounds/coherence")),
    ("reduced", "necessary", "eigenproblem", DERIVED),
    ("Ritz on resolvents", "necessary", "applications", DERIVED),
    ("Ritz-5", "necessary", "applications", DERIVED),
    ("corrected Ritz", "necessary", "applications", DERIVED),
    ("one step", "sufficient", "eigenproblem", DERIVED),
    ("operator", "sufficient", "eigenproblem", DEXTER.format(2, "bounds")),
    ("Collatz-Wielandt", "sufficient", "applications", DERIVED),
    ("resolvent", "sufficient", "applications", DERIVED),
)
NAMES = tuple(row[0] for row in TABLE)


def evaluate(dyn: Dynamics, cost: str = "applications", gap: bool = True) -> list[Bound]:
    """Evaluate the bounds on a problem's dynamics.

    Parameters
    ----------
    dyn : Dynamics
    cost : {"closed form", "eigenproblem", "applications"}
        The dearest kind of bound to evaluate: sums over the factors and extreme
        eigenvalues; eigenproblems of side r too; a fixed number of applications
        of Φ too.
    gap : bool
        Whether to solve for the exact ρ and say how far each bound is from it.

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
    ['one step', 'operator']
    >>> bounds[0].gap < 1e-12
    True
    """
    _checks.choice("cost", cost, COSTS)
    if dyn.momentum:
        raise ValueError(f"momentum must be 0 for closed-form bounds, got {dyn.momentum}")
    if not len(dyn.mean_eigenvalues):
        return []
    view = View(dyn)
    values = _values(view, COSTS.index(cost))
    exact = dyn.growth_factor() if gap else math.nan
    found = []
    for name, kind, price, source in TABLE:
        if name in values:
            rho, step = values[name]
            # rounding on the safe side; the certificates count their own
            if kind == "necessary":
                rho = max(rho - view.rounding, 0.0)
            elif price == "eigenproblem":
                rho += view.rounding
            passes = rho <= 1.0 if math.isfinite(rho) else dyn.step_size <= step
            found.append(Bound(name, kind, passes, rho, step, source, price, math.nan))  # type: ignore[arg-type]
    found = [replace(b, gap=_gap(b, exact)) for b in found]
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


def _values(view: View, dearest: int) -> dict[str, tuple[float, float]]:
    """``(bound on ρ, critical step size)`` of each bound, by name."""
    dyn, step = view.dyn, view.step
    eta, decay = dyn.step_size, dyn.weight_decay
    values: dict[str, tuple[float, float]] = {
        "mean": (mean.growth(view.mu, eta), mean.critical_step_size(view.mu)),
        "trace": (
            view.trace.growth(eta, weight_decay=decay, **step),
            view.trace.critical_step_size(weight_decay=decay, **step),
        ),
        "direction": view.direction[:2],
    }
    noisy: dict[str, Any] = {"single sample": view.heavy_sample}
    pair = view.coherence()
    if pair is not None:
        noisy["unlearning coherence"], noisy["three-axis coherence"] = pair
    for name, bound in noisy.items():
        values[name] = (bound.growth(eta, **step), bound.critical_step_size(**step))
    if dearest == 0:
        return values
    floor = max(rho for rho, _ in values.values())
    value, trials = subspace.reduced_bound(view, floor)
    values["reduced"] = (value, math.nan)
    values |= _matrix_bounds(view)
    if dearest == 1:
        return values
    floor = max(floor, value)
    values["Ritz on resolvents"] = (subspace.ritz(view, trials), math.nan)
    value, span = subspace.ritz_5(view, floor)
    values["Ritz-5"] = (value, math.nan)
    lower = max(floor, subspace.corrected_ritz(view, span, floor))
    values["corrected Ritz"] = (lower, math.nan)
    values["Collatz-Wielandt"] = (certificates.smoothed(view, span), math.nan)
    values["resolvent"] = (certificates.resolvent(view, span, lower), math.nan)
    return values


def _matrix_bounds(view: View) -> dict[str, tuple[float, float]]:
    """One-step and operator bounds; the latter bounds ρ only where D ⪰ 0."""
    eta, mu = view.dyn.step_size, view.mu
    mix = np.diag(mu)
    noise = view.one_step.noise(**view.step)
    weighted = view.sharpness_weighted()
    moment = np.diag((1.0 - eta * mu) ** 2) + eta * eta * noise
    rho = math.nan
    if mu.min() >= 0.0:
        diagonal = 1.0 - 2.0 * eta * mu + eta * eta * mu.max() * mu
        rho = sufficient.top_value(np.diag(diagonal) + eta * eta * weighted)
    return {
        "one step": (sufficient.top_value(moment), sufficient.one_step(mix, noise)),
        "operator": (rho, sufficient.operator(mix, weighted)),
    }
