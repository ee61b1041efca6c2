"""Growth factor of the second moment: value, certificate, verdict and reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from rmtstab._results import FloatArray, Growth, Reason, Verdict
from rmtstab.dynamics import eigen, momentum, sample_space
from rmtstab.dynamics.second_moment import SecondMoment

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

    from rmtstab.dynamics.linearised import Dynamics

PATIENCE = 60  # Lanczos steps before another route is tried
ROUNDING = 1e-13  # relative accuracy of a converged growth factor
EPS = float(np.finfo(np.float64).eps)


def rounding(dyn: Dynamics) -> float:
    """Absolute rounding of ``⟨M, Φ(M)⟩``, ‖M‖ = 1: 4ε√r times the terms that cancel in Φ.

    These are the mean's ``j_p²`` with what ``1 − ημ`` inherits from two curvatures that may
    cancel in D, and the two parts of fixed-size noise. About 1e-15 unless ``η H`` is large.
    """
    basis, r, eta = dyn.basis, dyn.basis.n_active, dyn.step_size
    if r == 0:
        return 0.0
    rows = np.einsum("ik,ik->i", basis.rows, basis.rows)
    retain = float(rows[: basis.split].sum()) / basis.sizes[0]
    forget = float(rows[basis.split :].sum()) / max(basis.sizes[1], 1)
    unsigned = eta * ((1.0 - dyn.alpha) * retain + dyn.alpha * forget + dyn.weight_decay)
    j = float(np.abs(dyn.mean_multipliers).max())
    noise = dyn.noise()
    fixed = noise.kappa * float(np.vdot(noise.square, noise.square)) if noise.kappa else 0.0
    fixed += abs(noise.shift) * float(np.square(basis.mix[:r]).max())
    return 4.0 * EPS * math.sqrt(r) * (j * (1.0 + j + unsigned) + eta * eta * fixed)


@dataclass(frozen=True)
class Top:
    """Growth factor in ``[value, upper]``, with the eigenmatrix in D's eigenbasis."""

    value: float
    upper: float
    residual: float
    matrix: FloatArray
    applications: int


def solve(
    dyn: Dynamics, start: FloatArray | None = None, certify: bool = True, route: str = "auto"
) -> Top:
    """Top eigenpair of Φ on the judged range, optionally from a positive definite start.

    ``route`` is ``"lanczos"``, ``"sample_space"`` or ``"auto"``: Lanczos, and where
    it has not converged after `PATIENCE` applications the n-vector route, if it applies.

    Memory, in arrays of r² numbers beside the problem's own 2 (factors given and reduced):
    the basis holds 2, the operator 2 (1 for Bernoulli batches, or one set), an application
    up to 5 more and a certificate after a restart 9, the Lanczos basis ½ a vector and at
    most 4 GB: 62 vectors at r = 4000, where thick restarts set in (docs/theory/growth).
    """
    r = dyn.basis.n_active
    if r == 0:  # nothing moves but by weight decay
        still = (1.0 - dyn.step_size * dyn.weight_decay) ** 2
        still = max(still, dyn.momentum)
        return Top(still, still, 0.0, np.zeros((0, 0)), 0)
    if dyn.momentum:
        return Top(*momentum.growth(dyn))
    phi = dyn.second_moment()
    if route == "sample_space":
        return Top(*sample_space.growth(dyn))
    other = route == "auto" and sample_space.SampleSpace.applies(dyn)
    top = eigen.leading(
        phi.symmetric,
        np.ones(r) if start is None else start,
        certify=certify,
        max_applications=PATIENCE if other else 600,
    )
    if other and (top.residual > 1e-9 * top.value or (certify and top.upper > 1.0001 * top.value)):
        alternative = Top(*sample_space.growth(dyn))
        if alternative.upper - alternative.value < top.upper - top.value:
            return replace(alternative, applications=alternative.applications + top.applications)
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
    slack = max(ROUNDING, rounding(dyn))
    if top.value > 1.0 + slack:
        d = dyn.mean_eigenvalues + dyn.weight_decay
        ascent = -float(d.min(initial=0.0)) * dyn.step_size
        overshoot = float(d.max(initial=0.0)) * dyn.step_size - 2.0 * (1.0 + dyn.momentum)
        if max(ascent, overshoot) <= ROUNDING:
            return Verdict.ESCAPES, Reason.NOISE_DRIVEN
        steeper = overshoot > ascent
        return Verdict.ESCAPES, Reason.MEAN_OVERSHOOT if steeper else Reason.ASCENT_DIRECTION
    if dyn.step_size == 0.0:
        return Verdict.MARGINAL, Reason.MARGINAL
    if top.upper < 1.0 - slack:
        return Verdict.STABLE, Reason.CONTRACTS
    if not math.isfinite(top.upper):
        return Verdict.UNDECIDED, Reason.NO_CONVERGENCE
    scaled = _scaled_verdict(dyn)
    if scaled is not None:
        return scaled
    if abs(top.value - 1.0) <= ROUNDING and top.residual <= ROUNDING:
        return Verdict.MARGINAL, Reason.MARGINAL
    return Verdict.UNDECIDED, Reason.ERROR_BOUND


def _scaled_verdict(dyn: Dynamics) -> tuple[Verdict, Reason] | None:
    """Verdict from the critical step size, which resolves ρ − 1 relative to the curvature.

    Where D has tiny eigenvalues ρ lies within their size of 1, beyond what the
    enclosure resolves; the critical step size does not suffer from that.
    """
    from rmtstab.dynamics import critical

    found = critical._critical(dyn)
    if not (found.converged and found.status == "interior" and found.value > 0.0):
        return None
    slack = 1e-12 * found.value
    if dyn.step_size < found.value - found.error_bound - slack:
        return Verdict.STABLE, Reason.CONTRACTS
    if abs(dyn.step_size - found.value) <= slack:
        return Verdict.MARGINAL, Reason.MARGINAL
    return None


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
