r"""When ``E‖w_k‖²`` first reaches a level, decided by bounds on it at every k.

``tr Φᵏ(M₀) = ⟨I, Φᵏ(M₀)⟩`` is an integral of ``θᵏ`` for ``M₀ ∝ I``, and a difference of two for any
other start, of ``u ± v`` with ``u = I/‖I‖``, ``v = M₀/‖M₀‖``:

    4⟨u, Φᵏ(v)⟩ = ⟨u + v, Φᵏ(u + v)⟩ − ⟨u − v, Φᵏ(u − v)⟩.

`MomentBounds` encloses each of them at all k; Lanczos steps are taken until both ends first reach
the level at the same k, or the upper one does not up to the limit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rmtstab._results import FloatArray
from rmtstab.dynamics import centred
from rmtstab.dynamics.certificate import EPS
from rmtstab.dynamics.eigen import Krylov, Map
from rmtstab.dynamics.moment_bounds import MomentBounds
from rmtstab.dynamics.update import Update

WIDEST = 240  # Lanczos steps of each integral
STRETCH = 1024  # values of k looked at together
SPARSE = 8  # a look every step up to so many, then every eighth part of those taken
ROUNDING = 1e-12  # relative, of an integral that has settled
LEAST = 1e-280  # of a level over growthᵏ
TOLD = 1e6  # times rounding: a level that stands out
ALIKE = 1e-14  # ‖u − v‖ of what is one start


def first_passage(
    update: Update, start: FloatArray, level: float, limit: int, growth: float
) -> float | None:
    """First k with ``tr Φᵏ(M₀) ≥ level · tr M₀``; ``inf`` if none up to the limit.

    Parameters
    ----------
    update : Update
        Without momentum.
    start : ndarray, shape (r, r)
        M₀ in D's eigenbasis, on the full range; positive semi-definite, not 0.
    level : float
        Above 1.
    limit : int
        Largest k.
    growth : float
        Upper end of Φ's growth factor on the full range, at least 1; ``inf`` where none is known.

    Returns
    -------
    float or None
        None where `WIDEST` Lanczos steps do not decide. A value within rounding below the
        level (``ROUNDING + 8 ε k``, relative to the integrals) counts as reaching it.

    References
    ----------
    Derived in docs/theory/trajectories.
    """
    phi = centred.second_moment(update, active=False)[0]
    if math.isinf(growth):  # Collatz and Wielandt's bound at X = I
        growth = max(1.0, float(np.linalg.eigvalsh(phi.symmetric(np.eye(phi.side)))[-1]))
    integrals = [(factor, _krylov(phi.symmetric, x)) for factor, x in _starts(start)]
    while True:
        found = _looked_up(integrals, level, limit, growth)
        if found is not None:
            return None if math.isnan(found) else found
        taken = integrals[0][1].size
        room = len(integrals[0][1].projected) - taken
        if room <= 0:
            return None
        for _, krylov in integrals:
            krylov.extend(min(1 + taken // SPARSE, room))


def _is_told(needed: FloatArray, rounding: FloatArray) -> NDArray[np.bool_]:
    """Whether a level over growthᵏ stands out from rounding and is a normal number.

    It does not where what grows cancels: from a start that has no part in it, say.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        told: NDArray[np.bool_] = (needed >= LEAST) & (needed >= TOLD * rounding)
    return told


def _starts(m: FloatArray) -> list[tuple[float, FloatArray]]:
    """Factors c and matrices x with ``tr Φᵏ(M)/tr M = Σ c ⟨x, Φᵏ(x)⟩/‖x‖²``."""
    size, trace, root = float(np.linalg.norm(m)), float(np.trace(m)), math.sqrt(len(m))
    u, v = np.eye(len(m)) / root, m / size
    result = []
    for sign in (1.0, -1.0):
        x = u + sign * v
        square = float(np.vdot(x, x))
        if math.sqrt(square) > ALIKE:
            result.append((sign * 0.25 * root * size / trace * square, x))
    return result


def _krylov(psi: Map, start: FloatArray) -> Krylov:
    krylov = Krylov.in_memory(psi, start, WIDEST)
    krylov.extend(1)
    return krylov


def _looked_up(
    integrals: list[tuple[float, Krylov]], level: float, limit: int, growth: float
) -> float | None:
    """First passage where both ends agree on it; None where they do not, nan where none will."""
    known = [(factor, MomentBounds(*krylov.jacobi(), growth)) for factor, krylov in integrals]
    count = min(STRETCH, limit + 1 + (limit + 1) % 2)
    for first in range(0, limit + 1, count):
        steps = np.arange(first, first + count, dtype=np.float64)
        lower, upper, size = np.zeros((3, count))
        for factor, bounds in known:
            ends = bounds.over(first, count)
            lower += factor * ends[factor < 0.0]
            upper += factor * ends[factor > 0.0]
            size += abs(factor) * np.maximum(ends[1], 0.0)
        needed = level * np.exp(-math.log(growth) * steps)
        rounding = (ROUNDING + 8.0 * EPS * steps) * size
        hidden = np.flatnonzero(~_is_told(needed, rounding) & (steps <= limit))
        last = hidden[0] if hidden.size else count
        possible = np.flatnonzero((upper >= needed - rounding) & (steps <= limit))
        if possible.size and possible[0] < last:
            k = possible[0]
            return float(steps[k]) if lower[k] >= needed[k] - rounding[k] else None
        if hidden.size:
            return math.nan
    return math.inf
