"""Exact growth and thresholds: Lanczos from below, a resolvent certificate from above."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, cg, eigsh

from rmtstab._results import FloatArray, Growth, Reason, Threshold, Verdict
from rmtstab.dynamics.second_moment import SecondMoment

if TYPE_CHECKING:
    from rmtstab.dynamics.dynamics import Dynamics

TOLERANCE = 1e-12  # asked of Lanczos, relative
DENSE = 12  # ranks up to this are solved densely
CERTIFICATE = 1e-9  # relative gap that the certificate first tries to close
ROUNDING = 1e-12  # relative; distances below are not told apart


def operator(phi: SecondMoment) -> LinearOperator:
    """Φ on vec(M)."""
    r = len(phi.eigenvalues)

    def product(vector: FloatArray) -> FloatArray:
        return phi.apply(vector.reshape(r, r)).ravel()

    return LinearOperator((r * r, r * r), matvec=product, rmatvec=product, dtype=np.float64)


def growth(phi: SecondMoment, sizes: tuple[int, int]) -> tuple[Growth, FloatArray]:
    """Growth factor with its certificate, and the top eigenmatrix (trace 1)."""
    r = len(phi.eigenvalues)
    n = sum(sizes)
    if r == 0:
        record = Growth(1.0, 0.0, True, 0, np.full(n, 1.0 / n), Verdict.MARGINAL, Reason.MARGINAL)
        return record, np.zeros((0, 0))
    value, top, applications, converged = _largest(phi)
    upper, spent = _certify(phi, value, top)
    bound = max(upper - value, 0.0) if math.isfinite(upper) else math.inf
    verdict, reason = _judge(phi, value, bound, converged)
    record = Growth(
        value,
        bound,
        converged and math.isfinite(bound),
        applications + spent,
        _participation(phi, top, n),
        verdict,
        reason,
    )
    return record, top


def _largest(phi: SecondMoment) -> tuple[float, FloatArray, int, bool]:
    """Top eigenpair of Φ among symmetric matrices."""
    r = len(phi.eigenvalues)
    count = 0

    def product(vector: FloatArray) -> FloatArray:
        nonlocal count
        count += 1
        return phi.apply(vector.reshape(r, r)).ravel()

    converged = True
    if r <= DENSE:
        matrix = np.stack([product(unit) for unit in np.eye(r * r)], axis=1)
        vector = np.linalg.eigh(0.5 * (matrix + matrix.T))[1][:, -1]
    else:
        wrapped = LinearOperator((r * r, r * r), matvec=product, dtype=np.float64)
        # positive definite, so never orthogonal to the PSD eigenmatrix
        begin = np.eye(r) + 0.1 * np.diag(phi.contraction.diagonal() / phi.contraction.max())
        try:
            _, vectors = eigsh(
                wrapped, k=1, which="LA", v0=begin.ravel(), tol=TOLERANCE, maxiter=300
            )
            vector = vectors[:, 0]
        except ArpackNoConvergence:
            converged, vector = False, begin.ravel()
            for _ in range(200):
                vector = product(vector)
                vector /= np.linalg.norm(vector)
    matrix = vector.reshape(r, r)
    matrix = 0.5 * (matrix + matrix.T)
    # An eigenspace of dimension above one may hand over an indefinite matrix: |M| is in it too.
    values, vectors = np.linalg.eigh(matrix)
    top = (vectors * np.abs(values)) @ vectors.T
    top /= np.linalg.norm(top)
    image = phi.apply(top)
    value = float(np.sum(top * image))
    residual = float(np.linalg.norm(image - value * top))
    if residual > 1e-6 * max(abs(value), 1e-300):  # |M| was not an eigenmatrix after all
        top = matrix / np.linalg.norm(matrix)
        value = float(np.sum(top * phi.apply(top)))
    return value, top / max(np.trace(top), 1e-300), count, converged


def _certify(phi: SecondMoment, value: float, top: FloatArray) -> tuple[float, int]:
    """Certify ``ρ < λ``: ``λX − Φ(X) ≻ 0`` with ``X ≻ 0``, X by conjugate gradients.

    λ starts a relative 1e-9 above the Lanczos value and backs off; started at
    the eigenmatrix's own share of the solution, CG sees only the gap below it.
    """
    r = len(phi.eigenvalues)
    if value <= 0.0:
        return (0.0, 0) if not phi.apply(np.eye(r)).any() else (math.inf, 0)
    share = float(np.trace(top)) / float(np.sum(top * top))
    spent = 0
    for relative in (CERTIFICATE, 1e-7, 1e-5, 1e-3, 1e-1):
        level = value * (1.0 + relative)

        def product(vector: FloatArray, level: float = level) -> FloatArray:
            nonlocal spent
            spent += 1
            return level * vector - phi.apply(vector.reshape(r, r)).ravel()

        shifted = LinearOperator((r * r, r * r), matvec=product, dtype=np.float64)
        begin = (share / (level - value)) * top
        solution, _ = cg(shifted, np.eye(r).ravel(), x0=begin.ravel(), rtol=0.1 / r, maxiter=200)
        x = solution.reshape(r, r)
        x = 0.5 * (x + x.T)
        slack = level * x - phi.apply(x)
        floor = 64 * np.finfo(float).eps * level * float(np.abs(x).max()) * r
        if np.linalg.eigvalsh(x)[0] > 0 and np.linalg.eigvalsh(0.5 * (slack + slack.T))[0] > floor:
            return level, spent
    return math.inf, spent


def _judge(
    phi: SecondMoment, value: float, bound: float, converged: bool
) -> tuple[Verdict, Reason]:
    if value > 1.0 + ROUNDING:  # a Rayleigh quotient: rigorous, converged or not
        if phi.contraction.diagonal().max() > 1.0 + ROUNDING:
            if phi.eigenvalues[0] < 0 and phi.contraction[0, 0] >= phi.contraction[-1, -1]:
                return Verdict.ESCAPES, Reason.ASCENT_DIRECTION
            return Verdict.ESCAPES, Reason.MEAN_OVERSHOOT
        return Verdict.ESCAPES, Reason.NOISE_DRIVEN
    if value + bound < 1.0 - ROUNDING:
        return Verdict.STABLE, Reason.CONTRACTS
    if not converged or not math.isfinite(bound):
        return Verdict.UNDECIDED, Reason.NO_CONVERGENCE
    if abs(value - 1.0) <= ROUNDING:
        return Verdict.MARGINAL, Reason.MARGINAL
    return Verdict.UNDECIDED, Reason.ERROR_BOUND


def _participation(phi: SecondMoment, top: FloatArray, n: int) -> FloatArray:
    """Share of each sample in ``Σ_i tr(H_i M₁)``."""
    along = np.einsum("pi,pi->i", phi.factors, top @ phi.factors)
    shares = np.maximum(along.reshape(n, -1).sum(axis=1), 0.0)
    total = shares.sum()
    result: FloatArray = shares / total if total > 0 else np.full(n, 1.0 / n)
    return result


def critical_step_size(dyn: Dynamics) -> Threshold:
    """``η* = 1/λ_max(L^{-1/2} N L^{-1/2})``, ``L(M) = DM + MD``, on the range.

    ``dyn`` is taken at step size 1, so that N is Φ's quadratic part.
    """
    phi = dyn.second_moment
    mu = phi.eigenvalues
    r = len(mu)
    if r == 0:
        return Threshold(math.inf, 0.0, True, "no curvature: every step size is stable")
    if mu[0] <= 1e-13 * abs(mu[-1]):
        return Threshold(0.0, 0.0, True, "the mean ascends: D(alpha) is not positive on the range")
    root = 1.0 / np.sqrt(mu[:, None] + mu)
    outer = np.outer(mu, mu) - phi.contraction

    def product(vector: FloatArray) -> FloatArray:
        scaled = root * vector.reshape(r, r)
        return (root * (phi.apply(scaled) + outer * scaled)).ravel()

    if r <= DENSE:
        matrix = np.stack([product(unit) for unit in np.eye(r * r)], axis=1)
        top = float(np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[-1])
        return Threshold(1.0 / top, 1e-12 / top, True, "interior")
    wrapped = LinearOperator((r * r, r * r), matvec=product, dtype=np.float64)
    try:
        top = float(eigsh(wrapped, k=1, which="LA", v0=np.eye(r).ravel(), tol=TOLERANCE)[0][0])
    except ArpackNoConvergence:
        return Threshold(math.nan, math.inf, False, "the eigen-solver did not converge")
    return Threshold(1.0 / top, 1e-11 / top, True, "interior")
