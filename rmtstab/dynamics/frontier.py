"""Stability maps over mixing and batch size, and their frontiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray, Frontier
from rmtstab.dynamics import critical, trajectory

if TYPE_CHECKING:
    from rmtstab.dynamics.problem import UnlearningProblem


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
            return dyn.growth_factor()
        path = trajectory.iterate(dyn, steps).displacement
        return float(path[-1] / path[0])

    for i, alpha in enumerate(mixings):
        for k, batch in enumerate(batch_sizes):
            values[i, k] = cell(float(alpha), batch)
    curve = np.empty(len(batch_sizes))
    for k, batch in enumerate(batch_sizes):
        pairs[k] = problem.dynamics(step_size, batch, 0.5, *options).batch_size
        if horizon is None:
            curve[k] = float(critical.alpha(problem, step_size, batch, *options))
        else:
            curve[k] = _crossing(lambda a, b=batch: cell(a, b) - level, mixings)
    return Frontier(pairs, mixings, values, level, curve, horizon)


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
