r"""Laws held as polynomials: the density between two edges, and the masses on both sides.

With :math:`x = a + (b-a)\sin^2(\varphi/2)` a density that behaves as a square root (or
its inverse) at each edge is :math:`f\,dx = w(\varphi)\,q(\varphi)\,d\varphi`, `w` a power of
:math:`\sin(\varphi/2)` and of :math:`\cos(\varphi/2)` and `q` smooth and positive. Next to
an edge `q` is a polynomial in the square of the angle from it, elsewhere in the angle on
panels that are halved until it is resolved. Masses are counted from the nearer edge,
where they are :math:`\varphi^3` (or :math:`\varphi`) times a polynomial: both tails
keep their relative accuracy. A density that behaves as :math:`(x-a)^{-1+1/k}` at its left
edge takes :math:`x = a + (b-a)\sin^k(\varphi/2)`, and `q` is a polynomial in the angle there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Density = Callable[[FloatArray], FloatArray]

DEGREE = 20
TOLERANCE = 3e-14
SMALLEST = 2.0**-9
_NODES = np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
_FIT = np.linalg.inv(chebyshev.chebvander(_NODES, DEGREE))
_MANY = np.cos(np.pi * (np.arange(64) + 0.5) / 64)
_GAUSS, _WEIGHT = np.polynomial.legendre.leggauss(24)
_GAUSS, _WEIGHT = 0.5 * (1.0 + _GAUSS), 0.5 * _WEIGHT


@dataclass(frozen=True)
class Half:
    """Polynomials of one half of an interval, in the angle ``0 < y <= pi/2`` from its edge."""

    soft: bool  # density ~ square root, else its inverse
    cuts: FloatArray  # (panels + 1,) from 0 to pi/2
    density: FloatArray  # (panels, degree + 1) of q; the first row in y²
    mass: FloatArray  # (panels, degree + 2) of the mass from the edge; the first, over y**power
    total: float
    even: bool = True  # the first panel's rows are of y², else of y

    @property
    def rise(self) -> float:
        """Density over the weight at the edge itself."""
        return float(_clenshaw(self.density[:1], np.array([-1.0]))[0])

    def weight(self, y: FloatArray) -> FloatArray:
        """Return w, what of the density is not in the polynomials."""
        return np.sin(0.5 * y) ** 2 if self.soft else np.ones_like(y)

    def at(self, y: FloatArray, integrated: bool) -> FloatArray:
        """Evaluate the density in the angle, or the mass from the edge."""
        panel = np.clip(np.searchsorted(self.cuts, y, side="right") - 1, 0, len(self.cuts) - 2)
        low, high = self.cuts[panel], self.cuts[panel + 1]
        first = panel == 0
        place = np.where(first, 2.0 * (y / self.cuts[1]) ** (2 if self.even else 1) - 1.0,
                         (2.0 * y - low - high) / (high - low))  # fmt: skip
        rows = (self.mass if integrated else self.density)[panel]
        value = _clenshaw(rows, place)
        if integrated:
            return np.where(first, value * y ** (3 if self.soft else 1), value)
        return value * self.weight(y)


def _clenshaw(rows: FloatArray, z: FloatArray) -> FloatArray:
    """Evaluate one Chebyshev series a point."""
    b, after = np.zeros_like(z), np.zeros_like(z)
    for k in range(rows.shape[1] - 1, 0, -1):
        b, after = rows[:, k] + 2.0 * z * b - after, b
    return rows[:, 0] + z * b - after


def build_half(density: Density, soft: bool, even: bool = True) -> Half:
    """Resolve ``density``, of the angle y from an edge, on ``0 < y <= pi/2``.

    Next to a square root it is even in y, up to its weight.
    """
    power, root = 3 if soft else 1, 0.5 if even else 1.0

    def smooth(y: FloatArray) -> FloatArray:
        return density(y) / (np.sin(0.5 * y) ** 2 if soft else 1.0)

    cut = 0.5 * math.pi
    while True:
        y = cut * (0.5 * (1.0 + _MANY)) ** root
        # rounding of the edge shows as 1/y²: weigh it away
        weight = y**2
        vander = chebyshev.chebvander(_MANY, DEGREE) * weight[:, None]
        row = np.linalg.lstsq(vander, smooth(y) * weight, rcond=None)[0]
        if np.abs(row[-3:]).max() <= 30.0 * TOLERANCE * np.abs(row).max() or cut < SMALLEST:
            break
        cut *= 0.5
    cuts, rows = [0.0, cut], [row]
    start, width = cut, cut
    while start < 0.5 * math.pi * (1.0 - 1e-12):
        stop = min(start + width, 0.5 * math.pi)
        values = smooth(0.5 * (start + stop) + 0.5 * (stop - start) * _NODES)
        row = _FIT @ values
        if np.abs(row[-3:]).max() <= TOLERANCE * np.abs(row).max() or width < SMALLEST:
            cuts.append(stop)
            rows.append(row)
            start, width = stop, 2.0 * width
        else:
            width *= 0.5
    half = Half(soft, np.array(cuts), np.array(rows), np.zeros((len(rows), DEGREE + 2)), 0.0, even)
    total = 0.0
    for k in range(len(rows)):
        low, high = half.cuts[k], half.cuts[k + 1]
        if k == 0:  # mass/y**power is a polynomial in y²
            y = high * (0.5 * (1.0 + _NODES)) ** root
            inner = y[:, None] * _GAUSS
            values = half.at(inner.ravel(), False).reshape(inner.shape)
            mass = (values / y[:, None] ** (power - 1)) @ _WEIGHT
            half.mass[0, : DEGREE + 1] = _FIT @ mass
        else:
            values = half.at(0.5 * (low + high) + 0.5 * (high - low) * _NODES, False)
            series = chebyshev.chebint(_FIT @ values, lbnd=-1.0) * (0.5 * (high - low))
            series[0] += total
            half.mass[k] = series
        total = float(half.at(np.array([high]) * (1.0 - 1e-16), True)[0])
    return replace(half, total=total)


@dataclass(frozen=True)
class Arc:
    """The angle over an interval: ``x = left + (right - left) sin(angle/2)**power``."""

    left: float
    right: float
    power: int = 2

    @property
    def reach(self) -> float:
        """Distance from the right edge over ``sin(y/2)²``, y the small angle from there."""
        return 0.5 * self.power * (self.right - self.left)

    def point(self, y: FloatArray, right: bool) -> FloatArray:
        """Where the angle from the left, or from the right edge, is y."""
        width = self.right - self.left
        if not right:
            return np.asarray(self.left + width * np.sin(0.5 * y) ** self.power)
        fall = np.sin(0.5 * y) ** 2
        if self.power != 2:
            fall = -np.expm1(0.5 * self.power * np.log1p(-fall))
        return np.asarray(self.right - width * fall)

    def angles(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the angles of points inside from the left and from the right edge."""
        width = self.right - self.left
        rise = np.clip((x - self.left) / width, 0.0, 1.0)
        fall = np.clip((self.right - x) / width, 0.0, 1.0)
        if self.power != 2:
            rise = rise ** (2.0 / self.power)
            with np.errstate(divide="ignore"):
                fall = -np.expm1(2.0 / self.power * np.log1p(-fall))
        return 2.0 * np.arcsin(np.sqrt(rise)), 2.0 * np.arcsin(np.sqrt(fall))

    def slope(self, y: FloatArray, right: Any) -> FloatArray:
        """``|dx/dy|`` where the angle from the left, or from the right edge, is y."""
        sine = np.where(right, np.cos(0.5 * y), np.sin(0.5 * y))
        return np.asarray(0.5 * self.reach * np.sin(y) * sine ** (self.power - 2))


@dataclass(frozen=True)
class Interval(Arc):
    """One interval of the support."""

    low: Half = field(kw_only=True)
    high: Half = field(kw_only=True)

    @property
    def mass(self) -> float:
        """Mass of the interval."""
        return self.low.total + self.high.total

    def pdf(self, x: FloatArray) -> FloatArray:
        """Density at points inside."""
        low, high = self.angles(x)
        near = np.minimum(low, high)
        value = np.where(low <= high, self.low.at(near, False), self.high.at(near, False))
        with np.errstate(divide="ignore"):
            return np.asarray(value / self.slope(near, low > high))

    def below(self, x: FloatArray, upper: bool) -> FloatArray:
        """Mass within the interval below points inside, or above them."""
        low, high = self.angles(x)
        near = np.minimum(low, high)
        part = np.where(low <= high, self.low.at(near, True), self.high.at(near, True))
        return np.where((low <= high) != upper, part, self.mass - part)

    def quantile(self, p: FloatArray, upper: bool) -> FloatArray:
        """Point below which (above which) the interval holds mass p."""
        other = self.mass - p
        from_left = p if not upper else other
        from_right = other if not upper else p
        left = from_left <= self.low.total
        y = np.where(left, _solve(self.low, from_left), _solve(self.high, from_right))
        return np.where(left, self.point(y, False), self.point(y, True))


def _solve(half: Half, mass: FloatArray) -> FloatArray:
    """Return the angle at which the mass from the edge is given: Newton in logarithms."""
    target = np.clip(mass, 0.0, half.total)
    at_cuts = np.concatenate([[0.0], half.at(half.cuts[1:] * (1.0 - 1e-16), True)])
    panel = np.clip(np.searchsorted(at_cuts, target) - 1, 0, len(half.cuts) - 2)
    low, high = half.cuts[panel], half.cuts[panel + 1]
    power = 3.0 if half.soft else 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        y = high * (target / at_cuts[panel + 1]) ** (1.0 / power)
        y = np.clip(y, low, high)
        for _ in range(60):
            value, slope = half.at(y, True), half.at(y, False)
            low, high = np.where(value < target, y, low), np.where(value < target, high, y)
            new = y * np.exp(np.clip(np.log(target / value) * value / (slope * y), -50.0, 50.0))
            new = np.where((new > low) & (new < high), new, 0.5 * (low + high))
            done = np.abs(new - y) <= 2e-16 * y
            y = np.where(target > 0.0, new, 0.0)
            if (done | (target <= 0.0)).all():
                break
    return np.asarray(y)
