"""Loops of the Tracy–Widom laws: one polynomial a unit panel, evaluated in logarithms.

``table`` has one row of power coefficients (lowest first, in ``z = 2(t - k) - 1``)
for each panel ``[k, k + 1)``, ``low <= k < high``. In a tail table the panels below
``middle`` hold ``log F``, the others ``log(1 - F)``. ``t = factor * x``.
"""

import math

import numpy as np
from numpy.typing import NDArray

from rmtstab.kernels._jit import jit

FloatArray = NDArray[np.float64]

CDF, SF, LOGCDF, LOGSF = 0, 1, 2, 3


@jit(inline="always")
def _row(table: FloatArray, row: int, z: float) -> float:
    value: float = table[row, table.shape[1] - 1]
    for k in range(table.shape[1] - 2, -1, -1):
        value = value * z + table[row, k]
    return value


@jit()
def tail(
    x: FloatArray,
    factor: float,
    table: FloatArray,
    low: int,
    middle: int,
    high: int,
    mode: int,
    out: FloatArray,
) -> int:
    """Fill one of the four tail functions; return how many points fell off the table."""
    off = 0
    upper = mode in (SF, LOGSF)
    logarithm = mode >= LOGCDF
    for i in range(x.size):
        t = factor * x[i]
        if t != t:
            out[i] = t
            continue
        if t < low or t >= high:
            off += 1
            full = (t >= high) != upper
            if logarithm:
                out[i] = 0.0 if full else -math.inf
            else:
                out[i] = 1.0 if full else 0.0
            continue
        k = math.floor(t)
        value = _row(table, k - low, 2.0 * (t - k) - 1.0)
        own = (k >= middle) == upper
        if logarithm:
            out[i] = value if own else math.log1p(-math.exp(value))
        else:
            out[i] = math.exp(value) if own else 1.0 - math.exp(value)
    return off


@jit()
def density(
    x: FloatArray,
    factor: float,
    table: FloatArray,
    low: int,
    high: int,
    logarithm: bool,
    out: FloatArray,
) -> int:
    """Fill the density or its logarithm; return how many points fell off the table."""
    off = 0
    shift = math.log(factor)
    for i in range(x.size):
        t = factor * x[i]
        if t != t:
            out[i] = t
        elif t < low or t >= high:
            off += 1
            out[i] = -math.inf if logarithm else 0.0
        else:
            k = math.floor(t)
            value = _row(table, k - low, 2.0 * (t - k) - 1.0)
            out[i] = shift + value if logarithm else factor * math.exp(value)
    return off


@jit()
def _solve(table: FloatArray, first: int, last: int, target: float, rising: bool) -> float:
    """Return ``row + (1 + z)/2`` where the monotone tail equals ``target``, by safe Newton."""
    low, high = first, last
    while high - low > 1:
        half = (low + high) // 2
        if (_row(table, half, -1.0) <= target) == rising:
            low = half
        else:
            high = half
    left, right = -1.0, 1.0
    at_left, at_right = _row(table, low, left), _row(table, low, right)
    z = -1.0
    if at_right != at_left:
        z = min(max(-1.0 + 2.0 * (target - at_left) / (at_right - at_left), -1.0), 1.0)
    for _ in range(60):
        value: float = table[low, table.shape[1] - 1]
        slope = 0.0
        for k in range(table.shape[1] - 2, -1, -1):
            slope = slope * z + value
            value = value * z + table[low, k]
        if (value < target) == rising:
            left = z
        else:
            right = z
        step = (target - value) / slope
        z += step
        if not left <= z <= right:
            step = 0.5 * (left + right) - (z - step)
            z = 0.5 * (left + right)
        if abs(step) < 1e-14:
            break
    return low + 0.5 * (1.0 + z)


@jit()
def quantile(
    p: FloatArray,
    factor: float,
    table: FloatArray,
    low: int,
    middle: int,
    high: int,
    upper: bool,
    out: FloatArray,
) -> None:
    """Fill quantiles of probabilities in [0, 1], counted from above when ``upper``."""
    split = math.exp(_row(table, middle - low, -1.0))
    for i in range(p.size):
        if p[i] != p[i]:
            out[i] = p[i]
            continue
        above = p[i] if upper else 1.0 - p[i]
        below = 1.0 - p[i] if upper else p[i]
        if below <= 0.0:
            out[i] = -math.inf
        elif above <= 0.0:
            out[i] = math.inf
        elif above <= split:
            row = _solve(table, middle - low, high - low, math.log(above), False)
            out[i] = (low + row) / factor
        else:
            row = _solve(table, 0, middle - low, math.log(below), True)
            out[i] = (low + row) / factor
