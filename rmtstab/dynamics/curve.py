r"""The critical mixings of a map's columns, each started from its neighbour's eigenmatrix.

Any matrix M bounds ρ from below by the quadratic ``α ↦ ⟨M, Φ_α(M)⟩``, so that the larger
root of ``⟨M, Φ_α(M)⟩ = 1`` bounds the critical mixing from above: that of one batch size's
eigenmatrix is already close for the next one (docs/theory/critical_values).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab._results import FloatArray, Threshold
from rmtstab.dynamics import critical
from rmtstab.dynamics.davidson import Subspace

if TYPE_CHECKING:
    from rmtstab.dynamics.linearised import Dynamics
    from rmtstab.dynamics.problem import UnlearningProblem

TOLERANCES = (1e-4, 1e-5, 1e-7)  # relative residuals of successive solutions
ROUNDS = 12
RESOLUTION = 1e-11  # relative change of the mixing at which to stop


def critical_mixings(
    problem: UnlearningProblem,
    step_size: Any,
    batches: Sequence[Any],
    options: tuple[str, float, float],
    hints: Sequence[float],
) -> list[Threshold]:
    """Critical mixing of each batch size, in order.

    Parameters
    ----------
    problem : UnlearningProblem
    step_size : float
    batches : sequence of (retain, forget)
    options : (str, float, float)
        Sampling, weight decay, momentum.
    hints : sequence of float
        Mixings at or above the answers.

    Returns
    -------
    list of Threshold
        Where this method has no answer, that of `critical.alpha`.
    """
    found = []
    matrix: FloatArray | None = None
    for batch, hint in zip(batches, hints, strict=True):
        threshold = None
        if options[2] == 0.0:
            threshold, matrix = _follow(problem, step_size, batch, options, hint, matrix)
        if threshold is None:
            threshold = critical.alpha(problem, step_size, batch, *options, upper=hint)
        found.append(threshold)
    return found


def _follow(
    problem: UnlearningProblem,
    step_size: Any,
    batch: Any,
    options: tuple[str, float, float],
    hint: float,
    matrix: FloatArray | None,
) -> tuple[Threshold | None, FloatArray | None]:
    """One column: its threshold, or None where it is not interior, and its eigenmatrix."""
    current = hint
    dyn = problem.dynamics(step_size, batch, current, *options)
    if matrix is not None:
        below = _root(dyn, matrix)
        if below is not None and 0.0 < below < current:
            current = below
    for k in range(ROUNDS):
        dyn = problem.dynamics(step_size, batch, current, *options)
        space = _space(dyn, matrix)
        tolerance = TOLERANCES[min(k, len(TOLERANCES) - 1)]
        if not space.refine(0, tolerance):
            return None, matrix
        q = dyn.basis.vectors[:, : dyn.basis.n_active]
        matrix = q @ space.matrix(0) @ q.T
        below = _root(dyn, matrix)
        if below is None or not 0.0 < below <= current * (1.0 + RESOLUTION):
            return None, matrix  # nothing is stable, or the hint lay below the answer
        close = current - below <= RESOLUTION * current
        if close and tolerance == TOLERANCES[-1]:
            return _threshold(dyn, space, matrix, below), matrix
        current = below
    return None, matrix


def _space(dyn: Dynamics, matrix: FloatArray | None) -> Subspace:
    j = dyn.mean_multipliers
    space = Subspace([dyn.second_moment()], np.ones((1, 1)), np.outer(j, j))
    if matrix is not None:
        q = dyn.basis.vectors[:, : dyn.basis.n_active]
        space.add(space.packed(q.T @ matrix @ q))
    return space


def _root(dyn: Dynamics, matrix: FloatArray) -> float | None:
    constant, slope, curve = critical._quadratic(dyn, matrix / np.linalg.norm(matrix))
    return critical._larger_root(constant - 1.0, slope, curve)


def _threshold(dyn: Dynamics, space: Subspace, matrix: FloatArray, value: float) -> Threshold:
    upper = space.upper(0, TOLERANCES[-1], patience=40)
    _, slope, curve = critical._quadratic(dyn, matrix)
    steepness = slope + 2.0 * curve * dyn.alpha
    error = math.inf
    if math.isfinite(upper) and steepness > 0.0:
        error = (upper - space.ritz(0)[0]) / steepness
    return Threshold(value, error, math.isfinite(error), "interior")
