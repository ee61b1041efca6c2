"""Loops of the Marchenko–Pastur law; the formulas are derived in docs/laws/marchenko_pastur.

Every kernel takes one flat array of points, the packed constants ``c`` of a law
(indices below) and the polynomials of its two edges, and fills ``out``. Points
are first multiplied by ``c[UNIT]``, a power of two, so that nothing overflows.
"""

import math

import numpy as np
from numpy.typing import NDArray

from rmtstab.kernels._jit import jit

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

# Packed constants. LEFT and RIGHT are edges in double-double (high, low) form.
UNIT, LEFT, LEFT_LOW, RIGHT, RIGHT_LOW, WIDTH, DENSITY = 0, 1, 2, 3, 4, 5, 6
MASS, ATOM, ROOT, GAP, STRETCH, CUT, HALF, DEPTH, DRIFT = 7, 8, 9, 10, 11, 12, 13, 14, 15
OFFSET, HARD, SIZE = 16, 17, 18
PI = math.pi
# Tails are polynomials in ``u + offset``, 64 an octave: its bits hold the row and the place in it.
PANEL_BITS, HIGH_OFFSET = 6, 0.5
SHIFT = 52 - PANEL_BITS
PLACE, ONE = (1 << SHIFT) - 1, 1023 << 52  # bits of the place in a panel, and of 1.0
UPPER = (1 << PANEL_BITS) + 1  # rows of the upper tail; its last begins at u = 1/2
BLOCK = 512  # points whose intermediate values stay in the first cache


@jit(inline="always")
def _horner(coefficients: FloatArray, z: float) -> float:
    value: float = coefficients[coefficients.size - 1]
    for k in range(coefficients.size - 2, -1, -1):
        value = value * z + coefficients[k]
    return value


@jit()
def _lower(u: float, c: FloatArray, low: FloatArray) -> float:
    """Mass of the lowest ``u`` of the support, the whole being 1; 0 < u <= 1/2."""
    cut: float = c[CUT]
    if u <= cut:
        return u * math.sqrt(u) * _horner(low, 2.0 * u / cut - 1.0)
    q: float = c[ROOT]
    t = math.sqrt(u / (1.0 - u))
    swing: float = (1.0 + q * q) * math.atan(t) + 2.0 * q * t / (1.0 + t * t)
    swing -= c[GAP] * math.atan(c[STRETCH] * t)
    return swing / (PI * q * q)


@jit()
def _upper(w: float, high: FloatArray) -> float:
    """Mass of the highest ``w`` of the support, the whole being 1; 0 < w <= 1/2."""
    return w * math.sqrt(w) * _horner(high, 4.0 * w - 1.0)


@jit()
def density(x: FloatArray, c: FloatArray, out: FloatArray) -> None:
    """Fill the density: sqrt((b - x)(x - a)) / (2 pi gamma scale x) between the edges."""
    unit, left, left_low, right, right_low = c[UNIT], c[LEFT], c[LEFT_LOW], c[RIGHT], c[RIGHT_LOW]
    norm = c[DENSITY]
    for i in range(x.size):
        y = x[i] * unit
        a = (y - left) - left_low
        b = (right - y) + right_low
        inside = (a > 0.0) & (b > 0.0)
        product = a * b if inside else 0.0
        divisor = y if inside else 1.0
        value = norm * math.sqrt(product) / divisor
        out[i] = value if y == y else y


@jit()
def masses(
    u: FloatArray, c: FloatArray, tail: FloatArray, upper_tail: bool, out: FloatArray
) -> None:
    """Fill what panels interpolate: a tail over ``u**1.5``, or over the root at a hard edge."""
    for i in range(u.size):
        if upper_tail:
            out[i] = _horner(tail, 4.0 * u[i] - 1.0)
        elif c[HARD] > 0.0:
            out[i] = _lower(u[i], c, tail) / math.sqrt(u[i])
        elif c[CUT] == 0.5:  # a little beyond it
            out[i] = _horner(tail, 4.0 * u[i] - 1.0)
        else:
            out[i] = _lower(u[i], c, tail) / (u[i] * math.sqrt(u[i]))


@jit(inline="always")
def _panel(panels: FloatArray, row: int | np.int64, z: float) -> float:
    """Polynomial of degree 6 of a row, its terms in pairs so that they overlap in time."""
    k = np.uint64(row)  # without a sign there is no index from the end to look out for
    middle = panels[k, 2] + panels[k, 3] * z
    high = panels[k, 4] + panels[k, 5] * z
    square = z * z
    rest = square * (middle + square * (high + square * panels[k, 6]))
    # the largest term last: its sum is the one that rounds
    value: float = panels[k, 0] + (panels[k, 1] * z + rest)
    return value


@jit(inline="always")
def _tail(u: float, is_lower: bool, c: FloatArray, panels: FloatArray) -> float:
    """Mass of the lowest or highest part u of the support by the panels.

    ``panels`` has a polynomial a row: first those of the upper tail, one octave, then those
    of the lower one, from ``c[OFFSET]`` on.
    """
    offset = c[OFFSET] if is_lower else HIGH_OFFSET
    bits = np.float64(u + offset).view(np.int64)
    row = (bits >> SHIFT) - (np.float64(offset).view(np.int64) >> SHIFT)
    place = np.int64((bits & PLACE) << PANEL_BITS | ONE).view(np.float64)
    value = _panel(panels, row + (UPPER if is_lower else 0), 2.0 * place - 3.0)
    return value * (math.sqrt(u) * (1.0 if is_lower and c[HARD] > 0.0 else u))


@jit()
def cumulative(
    x: FloatArray, c: FloatArray, panels: FloatArray, upper_tail: bool, out: FloatArray
) -> None:
    """Fill the distribution function, or the survival function when ``upper_tail``.

    By blocks, in short loops without branches: the compiler makes vector instructions of them.
    """
    unit, left, left_low, right, right_low = c[UNIT], c[LEFT], c[LEFT_LOW], c[RIGHT], c[RIGHT_LOW]
    mass, atom, shrink = c[MASS], c[ATOM], 1.0 / c[WIDTH]
    # each tail is added to, or taken from, what lies at its edge
    at_left, at_right = (mass, 0.0) if upper_tail else (atom, 1.0)
    signed, off = (-mass, 1.0) if upper_tail else (mass, 0.0)
    hard, offset = c[HARD] > 0.0, c[OFFSET]
    first = np.array([offset, HIGH_OFFSET]).view(np.int64) >> SHIFT
    lower_row, upper_row = UPPER - first[0], -first[1]
    moved, edge, factor = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    place, row = np.empty(BLOCK), np.empty(BLOCK, np.int64)
    moved_bits, place_bits = moved.view(np.int64), place.view(np.int64)
    for start in range(0, x.size, BLOCK):
        count = min(BLOCK, x.size - start)
        for i in range(count):
            y = x[start + i] * unit
            a = (y - left) - left_low
            b = (right - y) + right_low
            is_lower = a <= b
            part = (a if is_lower else b) * shrink
            u = part if part > 0.0 else 0.0  # off the support, and NaN
            moved[i] = u + (offset if is_lower else HIGH_OFFSET)
            edge[i] = at_left if is_lower else at_right
            bend = 1.0 if is_lower and hard else u
            factor[i] = (signed if is_lower else -signed) * (math.sqrt(u) * bend)
            row[i] = lower_row if is_lower else upper_row
        for i in range(count):
            row[i] += moved_bits[i] >> SHIFT
            place_bits[i] = (moved_bits[i] & PLACE) << PANEL_BITS | ONE
        for i in range(count):
            y = x[start + i]
            value = edge[i] + factor[i] * _panel(panels, row[i], 2.0 * place[i] - 3.0)
            value = value if y >= 0.0 else off
            out[start + i] = value if y == y else y


@jit()
def _lower_quantile(p: float, c: FloatArray, low: FloatArray) -> float:
    """Solve ``_lower(u) = p`` by Newton's method in logarithms, from below."""
    soft = (p / c[DEPTH]) ** (2.0 / 3.0)
    hard = 0.25 * PI * c[ROOT] * p
    u: float = min(max(soft, hard * hard), 0.5)
    q = c[ROOT]
    depth = c[DRIFT]
    if u == 0.0:
        return u
    for _ in range(60):
        value = _lower(u, c, low)
        slope = 8.0 / PI * math.sqrt(u * (1.0 - u)) * (u / (depth + 4.0 * q * u))
        step = math.log(p / value) * value / slope
        u = min(u * math.exp(step), 0.5)
        if abs(step) < 1e-8:
            break
    return u


@jit()
def _upper_quantile(p: float, c: FloatArray, high: FloatArray) -> float:
    """Solve ``_upper(w) = p`` likewise."""
    q = c[ROOT]
    top = (1.0 + q) * (1.0 + q)
    w: float = min((p * top * 3.0 * PI / 16.0) ** (2.0 / 3.0), 0.5)
    if w == 0.0:
        return w
    for _ in range(60):
        value = _upper(w, high)
        slope = 8.0 / PI * math.sqrt(w * (1.0 - w)) * (w / (top - 4.0 * q * w))
        step = math.log(p / value) * value / slope
        w = min(w * math.exp(step), 0.5)
        if abs(step) < 1e-8:
            break
    return w


@jit()
def invert(top: float, c: FloatArray, tail: FloatArray, upper_tail: bool, out: FloatArray) -> None:
    """Fill rows (log2 of the part, its slope) at ``p = 2**(top - k/8)``; the part is u or w."""
    q = c[ROOT]
    for k in range(out.shape[0]):
        p = 2.0 ** (top - k / 8.0)
        if upper_tail:
            part = _upper_quantile(p, c, tail)
            below = (1.0 + q) * (1.0 + q) - 4.0 * q * part
        else:
            part = _lower_quantile(p, c, tail)
            below = c[DRIFT] + 4.0 * q * part
        out[k, 0] = math.log2(part)
        out[k, 1] = p * PI / 8.0 / math.sqrt(part * (1.0 - part)) * (below / part)


@jit(inline="always")
def _guess(p: float, top: float, table: FloatArray) -> float:
    """Interpolate the inverse in logarithms (Hermite, to 4e-8); -1 off the table."""
    place = 8.0 * (top - math.log2(p))
    if not 0.0 <= place < table.shape[0] - 1:
        return -1.0
    k = int(place)
    t = place - k
    s = 1.0 - t
    value: float = table[k, 0] * (1.0 + 2.0 * t) * s * s + table[k + 1, 0] * (1.0 + 2.0 * s) * t * t
    value += 0.125 * t * s * (table[k + 1, 1] * t - table[k, 1] * s)
    return math.exp2(value)


@jit(inline="always")
def _polish(u: float, p: float, value: float, depth: float, slope: float) -> float:
    """Correct u to third order in logarithms, where the mass is ``value`` and should be p."""
    below = depth + slope * u
    rate = value * PI / 8.0 / math.sqrt(u * (1.0 - u)) * (below / u)
    bend = rate - rate * rate * (1.5 - 0.5 * u / (1.0 - u) - slope * u / below)
    error = p / value - 1.0
    error -= 0.5 * error * error
    move = error * (rate + 0.5 * bend * error)
    return u + u * move * (1.0 + 0.5 * move)


@jit()
def quantile(
    p: FloatArray,
    c: FloatArray,
    low: FloatArray,
    high: FloatArray,
    low_inverse: FloatArray,
    high_inverse: FloatArray,
    panels: FloatArray,
    upper_tail: bool,
    out: FloatArray,
) -> None:
    """Fill quantiles of probabilities in [0, 1]; from above when ``upper_tail``."""
    mass, atom, width, half, q = c[MASS], c[ATOM], c[WIDTH], c[HALF], c[ROOT]
    drift, peak = c[DRIFT], (1.0 + q) * (1.0 + q)
    low_top, high_top = math.log2(half), math.log2(1.0 - half)
    for i in range(p.size):
        if p[i] != p[i]:
            out[i] = p[i]
            continue
        if upper_tail:
            above = p[i] / mass
            below = (mass - p[i]) / mass
            at_zero = p[i] >= mass and atom > 0.0
        else:
            above = (1.0 - p[i]) / mass
            below = (p[i] - atom) / mass
            at_zero = p[i] <= atom and atom > 0.0
        if at_zero:
            out[i] = 0.0
        elif below <= 0.0:
            out[i] = (c[LEFT] + c[LEFT_LOW]) / c[UNIT]
        elif above <= 0.0:
            out[i] = (c[RIGHT] + c[RIGHT_LOW]) / c[UNIT]
        elif below <= half:
            u = _guess(below, low_top, low_inverse)
            if u > 0.0:
                u = min(u, 0.5)
                value = _tail(u, True, c, panels)
                u = min(_polish(u, below, value, drift, 4.0 * q), 0.5)
            else:
                u = _lower_quantile(below, c, low)
            out[i] = (c[LEFT] + (c[LEFT_LOW] + u * width)) / c[UNIT]
        else:
            w = _guess(above, high_top, high_inverse)
            if w > 0.0:
                w = min(w, 0.5)
                value = _tail(w, False, c, panels)
                w = min(_polish(w, above, value, peak, -4.0 * q), 0.5)
            else:
                w = _upper_quantile(above, c, high)
            out[i] = (c[RIGHT] + (c[RIGHT_LOW] - w * width)) / c[UNIT]


@jit()
def stieltjes(
    z: ComplexArray, c: FloatArray, ratio: float, scale: float, out: ComplexArray
) -> None:
    """Fill m(z), the root of ``ratio scale z m² + (z - scale(1 - ratio)) m + 1`` above."""
    unit = c[UNIT]
    for i in range(z.size):
        y = z[i] * unit
        b = y - scale * (1.0 - ratio)
        gap = (y - c[LEFT]) - c[LEFT_LOW]
        if abs(gap.real) + abs(gap.imag) < 1e-300:  # a complex root halves: denormals vanish
            a = np.sqrt(gap * 2.0**100) * 2.0**-50
        else:
            a = np.sqrt(gap)
        s = a * np.sqrt((y - c[RIGHT]) - c[RIGHT_LOW])
        if b.real * s.real + b.imag * s.imag >= 0.0:
            top, bottom = complex(-2.0, 0.0), b + s
        else:
            top, bottom = s - b, 2.0 * ratio * scale * y
        if abs(bottom.real) + abs(bottom.imag) < 1e-290:  # division by a denormal overflows
            top, bottom = top * 1e300, bottom * 1e300
        if bottom == 0.0:
            out[i] = complex(math.inf, 0.0)
        else:
            out[i] = top / bottom * unit
