"""Necessary conditions in closed form: sums over the factors and extreme eigenvalues."""

from __future__ import annotations

import math

import numpy as np

from rmtstab.bounds.row import DERIVED, DEXTER, MULAYOFF, Pair, Row
from rmtstab.bounds.view import View
from rmtstab.dynamics.mean_curvature import resolution
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
    # on the safe side of what rounding leaves of D's eigenvalues
    blur = resolution(view.update)
    ascends = view.mu.min() < -blur
    safe = view.mu if ascends else np.maximum(view.mu - blur, 0.0)
    return (
        mean_dynamics.growth(view.mu, view.eta),
        mean_dynamics.critical_step_size(safe),
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
    # spreads and eigenvalues are good to the rounding of their parts: on the safe side of a step
    blur, noise = resolution(view.update), 0.0
    for s, a, c, e, _ in view.weighted:
        samples = bound.samples[s]
        kept = max(bound.spreads[s] - ROUNDING * samples, 0.0) if e else samples
        noise += a * a * c * kept
    drift = float(view.mu.mean())
    curve = noise + float(np.square(np.maximum(np.abs(view.mu) - blur, 0.0)).mean())
    step = 2.0 * max(drift + blur, 0.0) / curve if curve > 0.0 else math.inf
    return bound.growth(view.eta, weight_decay=decay, **view.step), step


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
