"""The bounds in closed form: each a function of the view, as the table of bounds holds them."""

from __future__ import annotations

import math

import numpy as np

from rmtstab.bounds.view import View
from rmtstab.theory import mean as mean_dynamics
from rmtstab.theory import sufficient
from rmtstab.theory.coherence_bounds import CoherenceBound

Pair = tuple[float, float]  # bound on ρ, critical step size


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
    decay = view.update.weight_decay
    return (
        view.trace.growth(view.eta, weight_decay=decay, **view.step),
        view.trace.critical_step_size(weight_decay=decay, **view.step),
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


def largest(view: View) -> float:
    """The largest of the lower bounds above.

    Parameters
    ----------
    view : View

    Returns
    -------
    float
    """
    found = [
        view.once(bound)
        for bound in (
            mean, trace, direction, single_sample, unlearning_coherence, three_axis_coherence,
        )
    ]  # fmt: skip
    return max(pair[0] for pair in found if pair is not None)


def one_step(view: View) -> Pair:
    """``λ_max(Φ(P))``.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float)
        Bound on ρ, critical step size.
    """
    mix, noise = np.diag(view.mu), view.one_step.noise(**view.step)
    return (
        sufficient.one_step_growth(mix, noise, view.eta),
        sufficient.one_step(mix, noise),
    )


def operator(view: View) -> Pair:
    """The operator bound: ``λ_max(H_i)`` in place of each sample's square.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float)
        Bound on ρ, critical step size.
    """
    mix, weighted = np.diag(view.mu), view.sharpness_weighted()
    rho = sufficient.operator_growth(mix, weighted, view.eta)
    return rho, sufficient.operator(mix, weighted)


def step_free(value: float) -> Pair:
    """A bound on ρ without a critical step size of its own.

    Parameters
    ----------
    value : float

    Returns
    -------
    (float, float)
    """
    return value, math.nan
