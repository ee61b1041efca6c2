"""Loops of the semicircle, Jacobi and Wachter laws; derived in docs/laws/wachter.

Their densities are ``norm sqrt((b - x)(x - a)) / ((d0 + d1 x)(e0 + e1 x))``. With
``t = (x - a)/(b - a)`` (after ``x -> x/(1 + mobius x)`` for Wachter) the mass below is
a sum over the two poles of integrals of ``sqrt(t(1 - t))/(pole distance)``: ``near`` for
the pole beyond the edge from which one counts, ``far`` for the other. Each side has
its own constants: ``side[CUT]`` up to which the near polynomial holds, then the arctangent
form with ``q``, ``1 - q²``, ``(1 + q)/(1 - q)`` and an amplitude.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rmtstab.kernels._jit import jit

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
CUT, ROOT, GAP, STRETCH, AMPLITUDE, DRIFT = 0, 1, 2, 3, 4, 5
PI = math.pi


class Poles(NamedTuple):
    """Constants of one law; edges in double-double form."""

    left: float
    left_low: float
    right: float
    right_low: float
    width: float
    mobius: float
    norm: float
    d0: float
    d1: float
    e0: float
    e1: float
    mass: float
    low_atom: float
    low_at: float
    high_atom: float
    high_at: float
    lower: FloatArray  # side constants
    lower_near: FloatArray
    lower_far: FloatArray
    upper: FloatArray
    upper_near: FloatArray
    upper_far: FloatArray
    line0: float  # Stieltjes: h m² - 2 L m + product = 0, L = line0 (1 + line2 z) + line1 z
    line1: float
    line2: float
    root: float  # and s = root * sqrt((z - a)(z - b))
    product: float
    scale: float  # h = scale (d0 + d1 z)(e0 + e1 z)


@jit(inline="always")
def _horner(coefficients: FloatArray, z: float) -> float:
    value: float = coefficients[coefficients.size - 1]
    for k in range(coefficients.size - 2, -1, -1):
        value = value * z + coefficients[k]
    return value


@jit()
def _tail(t: float, side: FloatArray, near: FloatArray, far: FloatArray) -> float:
    """Return the mass within ``t <= 1/2`` of an edge."""
    cut: float = side[CUT]
    power = t * math.sqrt(t)
    value: float = power * _horner(far, 4.0 * t - 1.0)
    if t <= cut:
        value += power * _horner(near, 2.0 * t / cut - 1.0)
        return value
    q: float = side[ROOT]
    tangent = math.sqrt(t / (1.0 - t))
    swing = (1.0 + q * q) * math.atan(tangent) + 2.0 * q * tangent / (1.0 + tangent * tangent)
    value += side[AMPLITUDE] * (swing - side[GAP] * math.atan(side[STRETCH] * tangent))
    return value


@jit()
def _invert(p: float, side: FloatArray, near: FloatArray, far: FloatArray) -> float:
    """Return t <= 1/2 with mass p within it: Newton in logarithms, kept in a bracket."""
    left, right = 0.0, 0.5
    top = _tail(0.5, side, near, far)
    if p >= top:
        return 0.5
    # the mass is a power of t, 1/2 to 3/2, between consecutive iterates
    t = 0.5 * math.pow(p / top, 2.0 / 3.0)
    drift: float = side[DRIFT]
    if drift < 0.5:  # a near hard edge, where the power changes at t = drift
        soft = _tail(min(max(drift, 1e-290), 0.5), side, near, far)
        hard = max(0.5 * (p / top) ** 2, drift)
        t = hard if p >= soft else drift * math.pow(p / soft, 2.0 / 3.0)
    t = min(t, 0.5)
    for _ in range(200):
        if t < 1e-290 or p < 1e-290:  # nothing of it shows in left + t
            return t
        value = _tail(t, side, near, far)
        if value < p:
            left = t
        else:
            right = t
        ahead = min(t * (1.0 + 1e-4), 0.5)
        behind = ahead * (1.0 - 1e-4)
        rate = math.log(_tail(ahead, side, near, far) / _tail(behind, side, near, far)) / math.log(
            ahead / behind
        )
        new: float = t * math.exp(math.log(p / value) / rate)
        if not (left < new < right):
            new = 0.5 * (left + right)
        if abs(new - t) <= 4e-16 * t:
            return new
        t = new
    return t


@jit()
def density(x: FloatArray, law: Poles, out: FloatArray) -> None:
    """Fill the density of the continuous part."""
    for i in range(x.size):
        y = x[i]
        a = (y - law.left) - law.left_low
        b = (law.right - y) + law.right_low
        inside = (a > 0.0) & (b > 0.0)
        root = math.sqrt(a if inside else 0.0) * math.sqrt(b if inside else 0.0)
        below = (law.d0 + law.d1 * y) * (law.e0 + law.e1 * y) if inside else 1.0
        value = law.norm * root / below
        out[i] = value if y == y else y


@jit()
def cumulative(x: FloatArray, law: Poles, upper: bool, out: FloatArray) -> None:
    """Fill the distribution function, or the survival function when ``upper``."""
    for i in range(x.size):
        y = x[i]
        if y != y:
            out[i] = y
            continue
        atoms = 0.0
        if (y < law.low_at) == upper:
            atoms += law.low_atom
        if (y < law.high_at) == upper:
            atoms += law.high_atom
        a = (y - law.left) - law.left_low
        b = (law.right - y) + law.right_low
        if a <= 0.0 or b <= 0.0:
            out[i] = atoms + (law.mass if (a <= 0.0) == upper else 0.0)
            continue
        turn = law.width * (1.0 + law.mobius * y)
        t = a * (1.0 + law.mobius * law.right) / turn
        w = b * (1.0 + law.mobius * law.left) / turn
        if t <= w:
            part = _tail(min(t, 0.5), law.lower, law.lower_near, law.lower_far)
            out[i] = atoms + (law.mass - part if upper else part)
        else:
            part = _tail(min(w, 0.5), law.upper, law.upper_near, law.upper_far)
            out[i] = atoms + (part if upper else law.mass - part)


@jit()
def quantile(q: FloatArray, law: Poles, upper: bool, out: FloatArray) -> None:
    """Fill quantiles of probabilities in [0, 1], counted from above when ``upper``."""
    half = _tail(0.5, law.lower, law.lower_near, law.lower_far)
    for i in range(q.size):
        p = q[i]
        if p != p:
            out[i] = p
            continue
        # masses of the continuous part below and above the quantile
        if upper:
            above = p - law.high_atom
            below = law.mass - above
            on_high = law.high_atom > 0.0 and p < law.high_atom
            on_low = law.low_atom > 0.0 and below <= 0.0
        else:
            below = p - law.low_atom
            above = law.mass - below
            on_low = law.low_atom > 0.0 and p <= law.low_atom
            on_high = law.high_atom > 0.0 and above < 0.0
        if on_low:
            out[i] = law.low_at
        elif on_high:
            out[i] = law.high_at
        elif below <= 0.0:
            out[i] = law.left
        elif above <= 0.0:
            out[i] = law.right
        elif below <= half:
            t = _invert(below, law.lower, law.lower_near, law.lower_far)
            bend = (1.0 + law.mobius * law.right) - law.mobius * law.width * t
            move = t * law.width * (1.0 + law.mobius * law.left) / bend
            out[i] = law.left + (law.left_low + move)
        else:
            w = _invert(above, law.upper, law.upper_near, law.upper_far)
            bend = (1.0 + law.mobius * law.left) + law.mobius * law.width * w
            move = w * law.width * (1.0 + law.mobius * law.right) / bend
            if move < 0.5 * law.right or law.left < 0.0:
                out[i] = law.right + (law.right_low - move)
            else:  # far below the edge: the same quantile as one fraction
                out[i] = (law.right * (1.0 + law.mobius * law.left) - w * law.width) / bend


@jit()
def stieltjes(z: ComplexArray, law: Poles, out: ComplexArray) -> None:
    """Fill the Stieltjes transform, atoms included."""
    for i in range(z.size):
        y = z[i]
        line = law.line0 * (1.0 + law.line2 * y) + law.line1 * y
        s = np.sqrt((y - law.left) - law.left_low)
        s = law.root * s * np.sqrt((y - law.right) - law.right_low)
        if line.real * s.real + line.imag * s.imag > 0.0:
            top = line + s
            bottom = law.scale * (law.d0 + law.d1 * y) * (law.e0 + law.e1 * y)
        else:
            top, bottom = complex(law.product, 0.0), line - s
        if bottom == 0.0:
            out[i] = complex(math.inf, 0.0)
        else:
            out[i] = top / bottom
