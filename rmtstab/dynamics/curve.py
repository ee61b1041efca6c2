r"""The critical mixings of a map's columns, each started from its neighbour's eigenmatrix.

Any matrix M bounds ρ from below by the quadratic ``α ↦ ⟨M, Φ_α(M)⟩``, so that the larger
root of ``⟨M, Φ_α(M)⟩ = 1`` bounds the critical mixing from above: that of one batch size's
eigenmatrix is already close for the next one. M is the eigenmatrix of the critical step
size at α, which D's smallest eigenvalues do not blur (docs/theory/critical_values).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab._results import FloatArray, Threshold
from rmtstab.dynamics import critical
from rmtstab.dynamics.davidson import Subspace
from rmtstab.dynamics.eigen import BASIS_BYTES, EPS
from rmtstab.dynamics.second_moment import SecondMoment

if TYPE_CHECKING:
    from rmtstab.dynamics.linearised import Dynamics
    from rmtstab.dynamics.problem import UnlearningProblem

TOLERANCES = (1e-4, 1e-5, 1e-7)  # relative residuals of successive solutions
ROUNDS = 40
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
        if options[2] == 0.0 and problem.rank:
            threshold, matrix = follow(problem, step_size, batch, options, hint, matrix)
        if threshold is None:
            threshold = critical.alpha(problem, step_size, batch, *options, upper=hint)
        found.append(threshold)
    return found


def follow(
    problem: UnlearningProblem,
    step_size: Any,
    batch: Any,
    options: tuple[str, float, float],
    hint: float,
    matrix: FloatArray | None = None,
    tolerances: tuple[float, ...] = TOLERANCES,
) -> tuple[Threshold | None, FloatArray | None]:
    """One critical mixing, or None where it is not interior, and its eigenmatrix.

    ``hint`` lies at or above the answer; ``matrix`` is any matrix to start from.
    """
    current, solved = hint, 0
    if matrix is not None:
        below = _root(problem.dynamics(step_size, batch, current, *options), matrix)
        if below is not None and 0.0 < below < current:
            current = below
    for _ in range(ROUNDS):
        dyn = problem.dynamics(step_size, batch, current, *options)
        q = dyn.basis.vectors[:, : dyn.basis.n_active]
        d = dyn.mean_eigenvalues + dyn.weight_decay
        if not len(d):
            return None, matrix
        worst = int(np.argmin(d))
        if d[worst] <= _null(dyn):  # to rounding
            matrix = np.outer(q[:, worst], q[:, worst])  # the mean ascends along it
            below = _root(dyn, matrix)
            if below is None or below <= 0.0:
                return None, matrix  # nothing is stable
            if below >= current * (1.0 - RESOLUTION) or d[worst] >= -_null(dyn):
                found, below, matrix = _under_the_mean(dyn, matrix)
                if below is None:
                    return found, matrix
            current = below
            continue
        tolerance = tolerances[min(solved, len(tolerances) - 1)]
        solved += 1
        space, root = _space(dyn, d, matrix)
        if not space.refine(0, tolerance):
            return None, matrix
        matrix = q @ (root * space.matrix(0)) @ q.T
        below = _root(dyn, matrix)
        if below is None or below <= 0.0:
            return None, matrix
        final = tolerance == tolerances[-1]
        if final and abs(current - below) <= RESOLUTION * current:
            finest = 10.0 * tolerance
            return _threshold(dyn, space, d, q.T @ matrix @ q, below, finest), matrix
        if below >= current and final:
            return None, matrix  # the hint lay below the answer
        current = min(current, below)
    return None, matrix


def _under_the_mean(
    dyn: Dynamics, matrix: FloatArray
) -> tuple[Threshold | None, float | None, FloatArray]:
    """Where D turns singular: the threshold, or a smaller mixing that bounds it.

    Noise along the nearly null directions is resolved only somewhat below.
    """
    problem, rest = dyn.problem, (dyn.sampling, dyn.weight_decay, dyn.momentum)
    for gap in (1e-10, 1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 0.5):
        inside = problem.dynamics(dyn.step_size, dyn.batch_size, dyn.alpha * (1.0 - gap), *rest)
        d = inside.mean_eigenvalues + inside.weight_decay
        if d.min() <= _null(inside):
            continue
        space, root = _space(inside, d, None)
        if space.refine(0, 1e-5):
            if dyn.step_size * space.upper(0, 1e-6, patience=20) < 1.0:
                threshold = Threshold(dyn.alpha, gap * dyn.alpha, True, "interior")
                return threshold, None, matrix
            q = inside.basis.vectors[:, : inside.basis.n_active]
            trial = q @ (root * space.matrix(0)) @ q.T
            below = _root(inside, trial)
            if below is None or below <= 0.0:
                return None, None, trial  # nothing is stable
            if below < inside.alpha:
                return None, below, trial
    status = "D(alpha) is singular here; no stable mixing below could be certified"
    return Threshold(dyn.alpha, math.inf, False, status), None, matrix


def _space(dyn: Dynamics, d: FloatArray, matrix: FloatArray | None) -> tuple[Subspace, FloatArray]:
    """Subspace for ``1/η*`` of the cell, and ``1/√L``; it resolves what ρ − 1 does not."""
    noise, mu = dyn.noise(), dyn.mean_eigenvalues
    left = d[:, None] + d
    root = 1.0 / np.sqrt(left)
    elementwise = (np.outer(d, d) + noise.shift * np.outer(mu, mu)) / left
    space = Subspace(
        [SecondMoment(noise, elementwise, 1.0, root)],
        np.ones((1, 1)),
        np.outer(d, d) / left,
        memory=BASIS_BYTES,
    )
    if matrix is not None:
        q = dyn.basis.vectors[:, : dyn.basis.n_active]
        space.add(space.packed((q.T @ matrix @ q) / root))
    return space, root


def _null(dyn: Dynamics) -> float:
    """Eigenvalues of D at most this are rounding of the two curvatures that it is made of."""
    basis, alpha = dyn.basis, dyn.alpha
    unsigned = (1.0 - alpha) * basis.retain.diagonal() + alpha * basis.forget.diagonal()
    return critical.NULL * (float(unsigned.max(initial=0.0)) + dyn.weight_decay)


def _root(dyn: Dynamics, matrix: FloatArray) -> float | None:
    return critical._larger_root(*critical._excess(dyn, matrix / np.linalg.norm(matrix)))


def _threshold(
    dyn: Dynamics,
    space: Subspace,
    d: FloatArray,
    turned: FloatArray,
    value: float,
    finest: float,
) -> Threshold:
    """Error bound: ``⟨M, (L − ηN)M⟩`` over its slope, at the certified lower end of η*."""
    size = float(np.linalg.norm(turned))
    q = dyn.basis.vectors[:, : dyn.basis.n_active]
    _, slope, curve = critical._excess(dyn, q @ (turned / size) @ q.T)
    steepness = slope + 2.0 * curve * dyn.alpha
    upper = space.upper(0, finest, patience=40)
    error = math.inf
    if math.isfinite(upper) and steepness > 0.0:
        pull = float(np.vdot(d[:, None] + d, turned**2)) / size**2
        theta = space.ritz(0)[0]
        rounding = 16.0 * EPS * _null(dyn) / critical.NULL  # of D's eigenvalues
        gap = pull * (upper / theta - 1.0) if theta > 0.0 else math.inf
        error = (gap + rounding) / steepness
    return Threshold(value, error, math.isfinite(error), "interior")
