"""Polynomials of the mass near a square-root edge."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from rmtstab.laws.base import FloatArray

DEGREE = 24


@lru_cache(maxsize=1)
def _rule() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Nodes, values to Chebyshev coefficients, those to powers, a Gauss rule on [0, 1]."""
    angles = np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1)
    order = np.arange(DEGREE + 1)
    weights = np.where(order == 0, 1.0, 2.0) / (DEGREE + 1)
    to_chebyshev = weights[:, None] * np.cos(order[:, None] * angles)
    basis = [np.polynomial.chebyshev.cheb2poly([0] * k + [1]) for k in order]
    to_powers = np.array([np.pad(row, (0, DEGREE + 1 - len(row))) for row in basis]).T
    s, weight = np.polynomial.legendre.leggauss(32)
    return np.cos(angles), to_chebyshev, to_powers, 0.5 * (1.0 + s), 0.5 * weight


def tail_polynomial(depth: float, slope: float, cut: float, amplitude: float) -> FloatArray:
    """Powers of ``2t/cut - 1`` for ``t**-1.5`` times a mass near an edge.

    The mass is ``amplitude * integral of sqrt(x (1 - x)) / (depth + slope x)`` over
    ``[0, t]``, for ``t <= cut``.
    """
    if cut == 0.0 or amplitude == 0.0:
        return np.zeros(1)
    nodes, to_chebyshev, to_powers, s, weight = _rule()
    t = 0.5 * cut * (1.0 + nodes[:, None]) * (s * s)
    values = (np.sqrt(1.0 - t) / (depth + slope * t)) @ (2.0 * weight * s * s)
    # in this order: the coefficients decay faster than the powers grow
    return np.ascontiguousarray(to_powers @ (to_chebyshev @ (amplitude * values)))
