"""Critical batch size: from where on the growth factor stays at or below 1."""

from __future__ import annotations

import math

import numpy as np

from rmtstab._results import Threshold
from rmtstab.dynamics.certificate import ROUNDING, Enclosure
from rmtstab.dynamics.critical_step_size import INTERIOR, critical_step_size
from rmtstab.dynamics.growth import growth
from rmtstab.dynamics.update import Update

CONVERGED = 1e-12
MAX_ROUNDS = 60
LARGEST_INVERSE = 1e12  # of a batch size below one sample
EVERY = "stable at every batch size"


def critical_batch_size(update: Update) -> Threshold:
    r"""Smallest common batch size with ρ ≤ 1, as a real number (ρ falls as B grows).

    Parameters
    ----------
    update : Update
        Its own batch sizes are not read.

    Returns
    -------
    Threshold
        For the fixed-size schemes every whole B at or above the value is stable.
        1 with a status (0 for Bernoulli) where every B is stable, NaN with a
        status where none is.

    References
    ----------
    Derived in docs/theory/critical_values.
    """
    scheme = update.scheme
    largest = float(min(n for n, a in zip(update.sizes, update.weights, strict=True) if a))
    full = update.at(batch_size=(largest, largest))
    if growth(full).value > 1.0 + ROUNDING:
        return Threshold(math.nan, 0.0, True, "no batch size is stable")
    if full.momentum:
        return _bisect(full)
    inverse = 1.0  # of B; the noise is affine in it
    here = _at_inverse(full, inverse)
    top = growth(here)
    while not scheme.fixed_size and top.value <= 1.0 and inverse < LARGEST_INVERSE:
        inverse *= 8.0
        here = _at_inverse(full, inverse)
        top = growth(here)
    if top.value <= 1.0 + ROUNDING:
        return Threshold(scheme.least_batch, 0.0, top.certified, EVERY)
    for _ in range(MAX_ROUNDS):
        if top.value <= 1.0 + CONVERGED:
            break
        lower = max(inverse - (top.value - 1.0) / _slope(full, here, top), 1.0 / largest)
        if inverse - lower <= 4e-16 * inverse:
            break
        inverse = lower
        here = _at_inverse(full, inverse)
        top = growth(here)
    error = math.inf
    if top.certified:
        error = (top.upper - top.value) / _slope(full, here, top) / inverse**2
    return Threshold(1.0 / inverse, error, top.certified, INTERIOR)


def _bisect(full: Update) -> Threshold:
    """Smallest stable batch by bisection on ``η*(B) ≥ η``, which grows with B."""

    def stable(batch: float) -> bool:
        found = critical_step_size(full.at(batch_size=(batch, batch)))
        return full.step_size <= found.value * (1.0 + CONVERGED)

    scheme, largest = full.scheme, full.batch_size[0]
    low = scheme.least_batch or largest / LARGEST_INVERSE
    if stable(low):
        return Threshold(scheme.least_batch, 0.0, True, EVERY)
    high = largest
    while high / low > 1.0 + 1e-12:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if stable(middle) else (middle, high)
    return Threshold(high, high - low, True, INTERIOR)


def _at_inverse(full: Update, inverse: float) -> Update:
    return full.at(batch_size=(1.0 / inverse, 1.0 / inverse))


def _slope(full: Update, here: Update, top: Enclosure) -> float:
    """``d⟨M, Φ(M)⟩/d(1/B)`` at fixed M: exact, as the noise is affine in 1/B."""
    there = float(np.vdot(top.matrix, full.second_moment()(top.matrix)))
    gap = 1.0 / here.batch_size[0] - 1.0 / full.batch_size[0]
    return (top.value - there) / gap if gap > 0.0 else math.inf
