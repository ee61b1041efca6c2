"""Growth factor of the second moment: which route finds it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.dynamics import centred, davidson, eigen, momentum, sample_space
from rmtstab.dynamics.certificate import Enclosure
from rmtstab.dynamics.second_moment import SecondMoment
from rmtstab.dynamics.update import Update

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

PATIENCE = 60  # Lanczos steps before another route is tried


def growth(
    update: Update,
    certify: bool = True,
    route: str = "auto",
) -> Enclosure:
    """Growth factor ρ(Φ) on the judged range, with its eigenmatrix.

    Parameters
    ----------
    update : Update
    certify : bool
        Whether to look for an upper end.
    route : {"auto", "davidson", "lanczos", "sample_space"}
        ``"auto"`` is Davidson's method; where its enclosure is wide Lanczos's, and where that
        has not converged after `PATIENCE` applications the n-vector route, if it applies.

    Returns
    -------
    Enclosure

    Notes
    -----
    Memory, in arrays of r² numbers beside the problem's own 2 (factors given and reduced):
    the basis holds 2, the operator 2 (1 for Bernoulli batches, or one set), an application
    up to 5 more and a certificate after a restart 9, the Lanczos basis ½ a vector and at
    most 4 GB: 62 vectors at r = 4000, where thick restarts set in (docs/theory/growth).
    """
    r = update.basis.n_active
    if r == 0:  # nothing moves but by weight decay
        still = (1.0 - update.step_size * update.weight_decay) ** 2
        still = max(still, update.momentum)
        return Enclosure(still, still, 0.0, np.zeros((0, 0)), 0)
    if update.momentum:
        return momentum.growth(update).widened(0.0)  # its rounding is amplified, and counted there
    if route == "sample_space":
        return sample_space.growth(update).widened(update.rounding)
    phi, rounding = centred.second_moment(update)
    first = None
    if route in ("auto", "davidson") and certify:
        j = update.mean_multipliers
        first = davidson.leading(phi.symmetric, np.outer(j, j), eigen.BASIS_BYTES)
        if route == "davidson" or first.upper <= first.value * (1.0 + davidson.SURE):
            return first.widened(rounding)
    other = route == "auto" and sample_space.SampleSpace.applies(update)
    found = eigen.leading(
        phi.symmetric,
        np.ones(r),
        certify=certify,
        max_applications=PATIENCE if other else 600,
    )
    tried = [found] if first is None else [first, found]
    rough = found.residual > 1e-9 * found.value
    tried = [one.widened(rounding) for one in tried]
    if other and (rough or (certify and found.upper > 1.0001 * found.value)):
        tried.append(sample_space.growth(update).widened(update.rounding))
    best = min(tried, key=lambda one: (one.upper - one.value, one.residual))
    return replace(best, applications=sum(one.applications for one in tried))


def operator(update: Update) -> tuple[LinearOperator, FloatArray]:
    """Φ on the judged range as a SciPy operator, and the basis it is written in.

    Parameters
    ----------
    update : Update

    Returns
    -------
    operator : scipy.sparse.linalg.LinearOperator, shape (r², r²), or ((2r)², (2r)²)
        Acts on ``M.ravel()`` with M in D's eigenbasis; with momentum on that of the
        state (w_k, w_{k−1}).
    basis : ndarray, shape (rank, r)
        Columns: the eigenvectors, in the problem's coordinates.
    """
    from scipy.sparse.linalg import LinearOperator

    r = update.basis.n_active
    phi: SecondMoment | momentum.HeavyBall = update.second_moment()
    if update.momentum:
        phi = momentum.HeavyBall(update)
        r *= 2

    def matvec(v: FloatArray) -> FloatArray:
        return phi(np.ascontiguousarray(v, dtype=np.float64).reshape(r, r)).ravel()

    adjoint = None if update.momentum else matvec
    result = LinearOperator((r * r, r * r), matvec=matvec, rmatvec=adjoint, dtype=np.float64)
    return result, update.judged_vectors
