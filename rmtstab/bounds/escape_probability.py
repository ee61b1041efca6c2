"""Probability of an escape within a horizon, bounded by the best of several certificates."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab.bounds.certificates import quotient
from rmtstab.dynamics.growth import growth
from rmtstab.dynamics.trajectory import initial_moment
from rmtstab.dynamics.update import Update
from rmtstab.theory import finite_horizon

SHIFTS = (1e-2, 1e-1, 1.0, 10.0, 1e6)  # of a series' level, relative to ρ; the last is P alone
TERMS = 12  # of a series: so many applications of Φ in all


def escape_probability(update: Update, radius: Any, horizon: Any, initial: Any = None) -> float:
    """Bound on ``P(max_{k≤K} ‖w_k‖ ≥ R)``: the least over witnesses ``X = Σ_k λ^{-k} Φᵏ(P)``.

    Parameters
    ----------
    update : Update
    radius : float
        R > 0, in the units of ``initial``.
    horizon : int
        K ≥ 0, in steps.
    initial : vector (r,), second moment (r, r) or None
        As for `rmtstab.dynamics.trajectory.iterate`.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    TypeError, ValueError
        With momentum, whose operator is not self-adjoint; if an argument is of the wrong
        kind or outside its range.
    """
    if update.momentum:
        raise ValueError(f"momentum must be 0 for a supermartingale, got {update.momentum}")
    radius = _checks.real("radius", radius, low=0.0, low_open=True)
    horizon = _checks.integer("horizon", horizon, low=0)
    r, vectors = update.basis.n_active, update.basis.vectors
    start = vectors.T @ initial_moment(update, initial) @ vectors
    # directions beyond the judged range move by weight decay only: X goes on there as a
    # multiple of the identity, and so does the inequality
    still = (1.0 - update.step_size * update.weight_decay) ** 2
    if r == 0:
        return finite_horizon.escape_probability(still, horizon, float(np.trace(start)), radius)
    phi = update.second_moment().symmetric
    powers = [np.eye(r)]
    for _ in range(TERMS):
        powers.append(phi(np.ascontiguousarray(powers[-1])))
    top = max(growth(update, certify=False).value, 1e-300)
    found = 1.0
    for shift in SHIFTS:
        weights = (top * (1.0 + shift)) ** -np.arange(TERMS, dtype=float)
        x, image = (
            np.tensordot(weights, np.stack(terms), 1) for terms in (powers[:-1], powers[1:])
        )
        level = max(quotient(x, image, update.rounding), still)
        if np.isfinite(level):
            least = float(np.linalg.eigvalsh(x)[0])
            weight = float(np.vdot(x, start[:r, :r])) + least * float(np.trace(start[r:, r:]))
            bound = finite_horizon.escape_probability(level, horizon, weight, radius, least)
            found = min(found, bound)
    return found
