"""Tables of the Tracy–Widom laws that are computed at first use, to about 1e-11."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from rmtstab.laws import _airy_determinants

FloatArray = NDArray[np.float64]
DEGREE = 17
SAMPLES = 140
SMALLEST = 1e-11  # of F and 1 - F in a table
NODES = np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
_FIT = np.linalg.inv(chebyshev.chebvander(NODES, DEGREE))
_POWERS = np.array(
    [np.pad(chebyshev.cheb2poly(np.eye(DEGREE + 1)[j]), (0, DEGREE - j)) for j in range(DEGREE + 1)]
).T


class Table(NamedTuple):
    """Polynomials of logarithms on unit panels of ``t = factor * x``; see the kernel."""

    tail: FloatArray
    density: FloatArray
    low: int
    middle: int
    high: int
    factor: float


def airy_table(index: int, k: int) -> Table:
    """Tabulate the k-th eigenvalue by determinants, in the variable of Painlevé II."""
    count = k if index != 4 else 2 * k
    centre = -((1.5 * math.pi * (count - 0.25)) ** (2.0 / 3.0))
    low, high = math.floor(centre) - 8, math.ceil(centre) + 10
    # one interpolant of the whole range, which its derivative follows
    place = np.cos(np.pi * (np.arange(SAMPLES) + 0.5) / SAMPLES)
    values = _airy_determinants.below(low + 0.5 * (high - low) * (1.0 + place), index, k)
    series = chebyshev.chebfit(place, values, SAMPLES - 1)
    nodes = np.arange(low, high)[:, None] + 0.5 * (1.0 + NODES)
    z = 2.0 * (nodes - low) / (high - low) - 1.0
    values = chebyshev.chebval(z, series)
    slopes = chebyshev.chebval(z, chebyshev.chebder(series)) * 2.0 / (high - low)
    return _pack(values, slopes, low, 1.0)


def stochastic_table(beta: float) -> Table:
    """Tabulate the largest eigenvalue of the stochastic Airy operator."""
    from scipy.interpolate import make_interp_spline

    from rmtstab.laws import _stochastic_airy

    x, values, slopes = _stochastic_airy.distribution(beta, 1)
    factor = float(np.max(slopes)) * 8.0  # about three panels a standard deviation
    low, high = math.ceil(x[0] * factor), math.floor(x[-1] * factor)
    nodes = np.arange(low, high)[:, None] + 0.5 * (1.0 + NODES)

    def read(column: FloatArray) -> FloatArray:
        spline: Callable[[FloatArray], FloatArray] = make_interp_spline(x, column, k=9)
        return spline(nodes / factor)

    return _pack(read(values), read(slopes) / factor, low, factor)


def _pack(values: FloatArray, slopes: FloatArray, low: int, factor: float) -> Table:
    """Turn F and its slope at the nodes of consecutive panels into a table."""
    good = (values.max(axis=1) > SMALLEST) & (values.min(axis=1) < 1.0 - SMALLEST)
    first, last = int(np.argmax(good)), int(good.size - np.argmax(good[::-1]))
    values, slopes = values[first:last], np.maximum(slopes[first:last], 1e-15)
    middle = int(np.searchsorted(values[:, DEGREE // 2], 0.5))
    tail = np.where(np.arange(len(values))[:, None] < middle, values, 1.0 - values)
    packed = polynomials(np.log(np.maximum(tail, 1e-16))), polynomials(np.log(slopes))
    start = low + first
    return Table(*packed, start, start + middle, start + len(values), factor)


def polynomials(values: FloatArray) -> FloatArray:
    """Power coefficients in ``2(t - k) - 1`` from values at the nodes, a row a panel."""
    # in this order: the coefficients decay faster than the powers grow
    rows = np.ascontiguousarray((values @ _FIT.T) @ _POWERS.T)
    rows.flags.writeable = False
    return rows


def integrals(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Integrals over each panel up to the nodes, and over all of it, from values at the nodes."""
    series = np.asarray(chebyshev.chebint(_FIT @ values.T, lbnd=-1.0, scl=0.5), dtype=np.float64)
    return np.asarray(chebyshev.chebval(NODES, series)), np.asarray(series.sum(axis=0))
