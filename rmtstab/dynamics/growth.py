"""Growth factor of the second moment: value, certificate, verdict and reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rmtstab._results import FloatArray, Growth, Reason, Verdict
from rmtstab.dynamics import eigen, momentum

from rmtstab.dynamics.second_moment import SecondMoment

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

    from rmtstab.dynamics.linearised import Dynamics

ROUNDING = 1e-13  # relative accuracy of a converged growth factor


@dataclass(frozen=True)
class Top:
    """Growth factor in ``[value, upper]``, with the eigenmatrix in D's eigenbasis."""

    value: float
    upper: float
    residual: float
    matrix: FloatArray
    applications: int


def solve(dyn: Dynamics, start: FloatArray | None = None, certify: bool = True) -> Top:
    """Top eigenpair of Φ on the judged range, optionally from a positive definite start."""
    r = dyn.basis.n_active
    if r == 0:  # nothing moves but by weight decay
        still = (1.0 - dyn.step_size * dyn.weight_decay) ** 2
        still = max(still, dyn.momentum)
        return Top(still, still, 0.0, np.zeros((0, 0)), 0)
    if dyn.momentum:
        return Top(*momentum.growth(dyn))
    phi = dyn.second_moment()
    top = eigen.leading(phi, np.eye(r) if start is None else start, certify=certify)
    slack = ROUNDING * top.value
    upper = max(top.upper, top.value + slack)
    return Top(top.value, upper, top.residual, top.matrix, top.applications)


def record(dyn: Dynamics, top: Top) -> Growth:
    """Judge a solved growth factor."""
    verdict, reason = judge(dyn, top)
    converged = bool(math.isfinite(top.upper) and top.residual <= 1e-6 * max(top.value, 1e-300))
    return Growth(
        value=top.value,
        error_bound=top.upper - top.value,
        converged=converged,
        iterations=top.applications,
        participation=participation(dyn, top),
        verdict=verdict,
        reason=reason,
    )


def judge(dyn: Dynamics, top: Top) -> tuple[Verdict, Reason]:
    """Verdict and reason; never STABLE or ESCAPES unless the enclosure says so."""
    if top.value > 1.0 + ROUNDING:
        d = dyn.mean_eigenvalues + dyn.weight_decay
        ascent = -float(d.min(initial=0.0)) * dyn.step_size
        overshoot = float(d.max(initial=0.0)) * dyn.step_size - 2.0 * (1.0 + dyn.momentum)
        if max(ascent, overshoot) <= ROUNDING:
            return Verdict.ESCAPES, Reason.NOISE_DRIVEN
        steeper = overshoot > ascent
        return Verdict.ESCAPES, Reason.MEAN_OVERSHOOT if steeper else Reason.ASCENT_DIRECTION
    if top.upper < 1.0 - ROUNDING:
        return Verdict.STABLE, Reason.CONTRACTS
    if not math.isfinite(top.upper):
        return Verdict.UNDECIDED, Reason.NO_CONVERGENCE
    if abs(top.value - 1.0) <= ROUNDING and top.residual <= ROUNDING:
        return Verdict.MARGINAL, Reason.MARGINAL
    return Verdict.UNDECIDED, Reason.ERROR_BOUND


def participation(dyn: Dynamics, top: Top) -> FloatArray:
    """Share of each sample in ``tr(H̄ M₁)``: ``w_i ⟨H_i, M₁⟩``, summing to 1."""
    problem, basis = dyn.problem, dyn.basis
    n, r = problem.n_retain + problem.n_forget, basis.n_active
    weights = np.empty(n)
    weights[: problem.n_retain] = (1.0 - dyn.alpha) / problem.n_retain
    weights[problem.n_retain :] = dyn.alpha / max(problem.n_forget, 1)
    if r == 0:
        return weights
    rows = basis.rows[:, :r]
    along = np.concatenate([[0.0], np.cumsum(np.einsum("ik,ik->i", rows @ top.matrix, rows))])
    offsets = problem.factors.offsets
    shares = np.maximum(weights * (along[offsets[1:]] - along[offsets[:-1]]), 0.0)
    total = float(shares.sum())
    return shares / total if total > 0.0 else weights


def operator(dyn: Dynamics) -> tuple[LinearOperator, FloatArray]:
    """See `Dynamics.operator`."""
    from scipy.sparse.linalg import LinearOperator

    r = dyn.basis.n_active
    phi: SecondMoment | momentum.HeavyBall = dyn.second_moment()
    if dyn.momentum:
        phi = momentum.HeavyBall(dyn)
        r *= 2

    def matvec(v: FloatArray) -> FloatArray:
        return phi(np.ascontiguousarray(v, dtype=np.float64).reshape(r, r)).ravel()

    adjoint = None if dyn.momentum else matvec
    result = LinearOperator((r * r, r * r), matvec=matvec, rmatvec=adjoint, dtype=np.float64)
    return result, dyn.basis.vectors[:, : dyn.basis.n_active]
