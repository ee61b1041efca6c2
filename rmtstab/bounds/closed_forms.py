"""Necessary conditions in closed form: sums over the factors and extreme eigenvalues."""

from __future__ import annotations

from dataclasses import replace

from rmtstab.bounds.row import DERIVED, DEXTER, MULAYOFF, Pair, Row
from rmtstab.bounds.view import View
from rmtstab.theory import mean as mean_dynamics
from rmtstab.theory.coherence_bounds import CoherenceBound
from rmtstab.theory.rayleigh import ROUNDING


def mean(view: View) -> Pair:
    """``max_p (1 − ημ_p)²``.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float)
        Bound on ρ, critical step size.
    """
    return (
        mean_dynamics.growth(view.mu, view.eta),
        mean_dynamics.critical_step_size(view.mu),
    )


def trace(view: View) -> Pair:
    """Rayleigh quotient at the range's projector.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float)
        Bound on ρ, critical step size.
    """
    decay, bound = view.update.weight_decay, view.trace
    # a spread is good to the rounding of its parts: on the safe side of a step size
    parts = zip(bound.spreads, bound.samples, strict=True)
    retain, forget = (max(spread - ROUNDING * samples, 0.0) for spread, samples in parts)
    safe = replace(bound, spreads=(retain, forget))
    return (
        bound.growth(view.eta, weight_decay=decay, **view.step),
        safe.critical_step_size(weight_decay=decay, **view.step),
    )


def direction(view: View) -> Pair:
    """Rayleigh quotient at ``vvᵀ`` of the best directions.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float)
        Bound on ρ, critical step size.
    """
    return view.direction[:2]


def single_sample(view: View) -> Pair:
    """One heavy sample.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float)
        Bound on ρ, critical step size.
    """
    bound = view.heavy_sample
    return bound.growth(view.eta, **view.step), bound.critical_step_size(**view.step)


def unlearning_coherence(view: View) -> Pair | None:
    """The coherence theorem with σ_u(α) itself; None without curvature.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float) or None
        Bound on ρ, critical step size.
    """
    pair = view.once(View.coherence)
    return None if pair is None else _coherence(view, pair[0])


def three_axis_coherence(view: View) -> Pair | None:
    """The coherence theorem with σ_u(α) bounded by the three axes; None without curvature.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float) or None
        Bound on ρ, critical step size.
    """
    pair = view.once(View.coherence)
    return None if pair is None else _coherence(view, pair[1])


def _coherence(view: View, bound: CoherenceBound) -> Pair:
    return bound.growth(view.eta, **view.step), bound.critical_step_size(**view.step)


COHERENCE = DEXTER.format(1, "bounds/coherence")
ROWS = (
    Row("mean", "necessary", "closed form", DERIVED, mean),
    Row("trace", "necessary", "closed form", MULAYOFF.format(16), trace),
    Row("direction", "necessary", "closed form", MULAYOFF.format(15), direction),
    Row("single sample", "necessary", "closed form", DERIVED, single_sample),
    Row("unlearning coherence", "necessary", "closed form", COHERENCE, unlearning_coherence),
    Row("three-axis coherence", "necessary", "closed form", COHERENCE, three_axis_coherence),
)


def largest(view: View) -> float:
    """The largest of these bounds on ρ.

    Parameters
    ----------
    view : View

    Returns
    -------
    float
    """
    found = [view.once(row.values) for row in ROWS]
    return max(pair[0] for pair in found if pair is not None)
