"""The verdict on an update: one rule, for a growth factor and for the cells of a map alike."""

from __future__ import annotations

import numpy as np

from rmtstab._results import FloatArray, Growth, Reason, Verdict
from rmtstab.curvature.coherence import sample_weights
from rmtstab.dynamics import critical_step_size as critical
from rmtstab.dynamics.certificate import ROUNDING, Enclosure
from rmtstab.dynamics.update import Update

Judgement = tuple[Verdict, Reason]
STILL = (Verdict.MARGINAL, Reason.MARGINAL)


def judge(update: Update, found: Enclosure) -> Judgement:
    """Verdict and reason; never STABLE or ESCAPES unless something certifies it.

    The enclosure of ρ decides, then the critical step size, then whether ρ is 1 to rounding.

    Parameters
    ----------
    update : Update
    found : Enclosure
        Of its growth factor.

    Returns
    -------
    (Verdict, Reason)
    """
    settled = from_enclosure(update, found.value, found.upper)
    if settled is not None:
        return settled
    if not found.certified:
        return Verdict.UNDECIDED, Reason.NO_CONVERGENCE
    settled = from_critical_step(update)
    if settled is not None:
        return settled
    if abs(found.value - 1.0) <= ROUNDING and found.residual <= ROUNDING:
        return STILL
    return Verdict.UNDECIDED, Reason.ERROR_BOUND


def from_enclosure(update: Update, value: float, upper: float) -> Judgement | None:
    """What ``value ≤ ρ ≤ upper`` decides by itself, up to rounding; None if nothing.

    Parameters
    ----------
    update : Update
    value, upper : float

    Returns
    -------
    (Verdict, Reason) or None
    """
    if value > 1.0 + ROUNDING and value > 1.0 + update.rounding:
        return Verdict.ESCAPES, _why_it_escapes(update)
    if update.step_size == 0.0:
        return STILL
    if upper < 1.0 - ROUNDING and upper < 1.0 - update.rounding:
        return Verdict.STABLE, Reason.CONTRACTS
    return None


def from_critical_step(update: Update) -> Judgement | None:
    """Verdict from η*, which resolves ρ − 1 relative to the curvature; None where it cannot.

    Where D has tiny eigenvalues ρ lies within their size of 1, beyond what an enclosure of
    ρ resolves; ``1/η*`` does not suffer from that. It is a Rayleigh quotient: η* is never
    above its value.

    Parameters
    ----------
    update : Update

    Returns
    -------
    (Verdict, Reason) or None
    """
    eta = update.step_size
    if eta == 0.0:
        return STILL
    found = critical.critical_step_size(update)
    if found.status == critical.ASCENT:
        return Verdict.ESCAPES, Reason.ASCENT_DIRECTION
    if found.status == critical.EXCITED:
        sure = eta > found.error_bound
        return (
            (Verdict.ESCAPES, Reason.NOISE_DRIVEN)
            if sure
            else (Verdict.UNDECIDED, Reason.ERROR_BOUND)
        )
    if found.status != critical.INTERIOR:
        return None
    slack = 1e-12 * found.value
    if eta > found.value + slack:
        return Verdict.ESCAPES, _why_it_escapes(update)
    if not found.converged:
        return None
    if eta < found.value - found.error_bound - slack:
        return Verdict.STABLE, Reason.CONTRACTS
    return STILL if eta >= found.value - slack else None


def _why_it_escapes(update: Update) -> Reason:
    d = update.mean_eigenvalues + update.weight_decay
    ascent = -float(d.min(initial=0.0)) * update.step_size
    overshoot = float(d.max(initial=0.0)) * update.step_size - 2.0 * (1.0 + update.momentum)
    if max(ascent, overshoot) <= ROUNDING:
        return Reason.NOISE_DRIVEN
    return Reason.MEAN_OVERSHOOT if overshoot > ascent else Reason.ASCENT_DIRECTION


def assess(update: Update, found: Enclosure) -> Growth:
    """Growth factor with its verdict and the samples that dominate it.

    Parameters
    ----------
    update : Update
    found : Enclosure

    Returns
    -------
    Growth
    """
    verdict, reason = judge(update, found)
    return Growth(
        value=found.value,
        error_bound=found.upper - found.value,
        converged=found.certified and found.residual <= 1e-6 * max(found.value, 1e-300),
        iterations=found.applications,
        participation=participation(update, found.matrix),
        verdict=verdict,
        reason=reason,
        subject=subject(update),
    )


def subject(update: Update) -> str:
    """Say which update a verdict is of: one where nothing is ascended is none of unlearning.

    Parameters
    ----------
    update : Update

    Returns
    -------
    str
    """
    if not update.sizes[1]:
        return "plain SGD on the retain set: there is no forget set"
    if not update.alpha:
        return "plain SGD on the retain set: mixing is 0, nothing is ascended"
    if update.alpha == 1.0:
        return "ascent on the forget set alone"
    return "descent on the retain set, ascent on the forget set"


def participation(update: Update, matrix: FloatArray) -> FloatArray:
    """Share of each sample in ``tr(H̄ M)``: ``w_i ⟨H_i, M⟩``, summing to 1.

    Parameters
    ----------
    update : Update
    matrix : ndarray, shape (r, r)
        Eigenmatrix of the growth factor, in D's eigenbasis.

    Returns
    -------
    ndarray, shape (n_samples,), float64
    """
    basis, r = update.basis, update.basis.n_active
    weights = sample_weights(*update.sizes, update.alpha)
    if r == 0:
        return weights
    rows = basis.rows[:, :r]
    along = np.concatenate([[0.0], np.cumsum(np.einsum("ik,ik->i", rows @ matrix, rows))])
    offsets = update.curvatures.factors.offsets
    shares = np.maximum(weights * (along[offsets[1:]] - along[offsets[:-1]]), 0.0)
    total = float(shares.sum())
    return shares / total if total > 0.0 else weights
