"""Trajectories of the second moment: iterate Φ, read off displacement and losses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray, Trajectory
from rmtstab.dynamics.second_moment import SecondMoment


def trajectory(
    phi: SecondMoment, sizes: tuple[int, int], steps: int, initial: Any = None
) -> Trajectory:
    """Iterate ``M ← Φ(M)`` from a second moment in the problem's coordinates."""
    moment = start(phi, initial)
    rows = np.empty((3, steps + 1))
    logarithm = 0.0  # of the scale taken out of the moment, which would overflow otherwise
    for k in range(steps + 1):
        scale = math.exp(logarithm) if logarithm < 709.0 else math.inf
        rows[:, k] = np.trace(moment), *losses(phi, sizes, moment)
        rows[:, k] = np.where(rows[:, k] == 0.0, 0.0, rows[:, k] * scale)
        if k < steps:
            moment = phi.apply(moment)
            size = float(np.abs(moment).max(initial=0.0))
            if size > 1e100 or 0.0 < size < 1e-100:
                moment /= size
                logarithm += math.log(size)
    return Trajectory(*rows)


def start(phi: SecondMoment, initial: Any) -> FloatArray:
    """Second moment of the start, in Φ's eigenbasis."""
    r = len(phi.eigenvalues)
    if initial is None:
        return np.eye(r) / max(r, 1)
    value = _checks.array("initial", initial, ndim=(1, 2))
    if value.shape not in ((r,), (r, r)):
        raise ValueError(f"initial must have shape ({r},) or ({r}, {r}), got {value.shape}")
    if value.ndim == 1:
        vector = phi.basis.T @ value
        return np.outer(vector, vector)
    moment: FloatArray = phi.basis.T @ value @ phi.basis
    return moment


def losses(phi: SecondMoment, sizes: tuple[int, int], moment: FloatArray) -> tuple[float, float]:
    """``½ tr(H_R M)`` and ``½ tr(H_F M)``; 0 for an empty set."""
    along = np.einsum("pi,pi->i", phi.factors, moment @ phi.factors)
    split = sizes[0] * phi.width
    retain = 0.5 * float(along[:split].sum()) / sizes[0]
    forget = 0.5 * float(along[split:].sum()) / sizes[1] if sizes[1] else 0.0
    return retain, forget
