"""What laws of an extreme eigenvalue share: two tables of logarithms, one for each tail."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rmtstab import _checks
from rmtstab.laws._decimals import digits
from rmtstab.laws._interval_probability import Ensemble
from rmtstab.laws.base import FloatArray, Function, Law

EXACT = 100  # eigenvalues up to which the law is computed, not approximated
REACH = 40.0  # in v: powers take over where exp(-REACH) is beyond rounding
DEEPEST = -690.0  # logarithm of the smallest tabulated probability, clear of denormals


class Tail(NamedTuple):
    """A Chebyshev series of a tail's logarithm on ``[left, right]`` and its derivative's.

    Beyond ``far``, its outer end, the logarithm is linear of the given slope, if not NaN.
    """

    left: float
    right: float
    value: FloatArray
    slope: FloatArray
    far: float
    power: float

    def log(self, v: FloatArray) -> FloatArray:
        near = np.clip(v, self.left, self.right)
        value = np.polynomial.chebyshev.chebval(self._unit(near), self.value)
        return np.asarray(value if math.isnan(self.power) else value + self.power * (v - near))

    def log_slope(self, v: FloatArray) -> FloatArray:
        near = np.clip(v, self.left, self.right)
        slope = np.polynomial.chebyshev.chebval(self._unit(near), self.slope)
        return np.asarray(
            slope if math.isnan(self.power) else np.where(v == near, slope, self.power)
        )

    def covers(self, v: FloatArray) -> NDArray[np.bool_]:
        """Mark the points whose logarithm the table gives."""
        inside = (v >= self.left) & (v <= self.right)
        if not math.isnan(self.power):
            inside |= (v < self.left if self.far == self.left else v > self.right) & np.isfinite(v)
        return inside

    def _unit(self, v: FloatArray) -> FloatArray:
        return (2.0 * v - self.left - self.right) / (self.right - self.left)


class ExtremeLaw(Law):
    """Law of the largest (or smallest) eigenvalue of an ensemble, in a variable v(x).

    ``v`` is a logarithm (a logit for bounded eigenvalues), in which both tails are smooth
    down to their algebraic ends. Subclasses say which ensemble, and what replaces it beyond
    `EXACT` eigenvalues.
    """

    accuracy = 1e-11  # tables of both tails meet at the median

    _largest = True

    @property
    @abc.abstractmethod
    def is_exact(self) -> bool:
        """Whether the law is computed, not approximated."""

    @property
    @abc.abstractmethod
    def _ensemble(self) -> Ensemble: ...

    @abc.abstractmethod
    def _angle(self, v: float) -> float:
        """Return the ensemble's y at v."""

    @abc.abstractmethod
    def _to_v(self, x: FloatArray) -> FloatArray: ...

    @abc.abstractmethod
    def _from_v(self, v: FloatArray) -> FloatArray: ...

    @abc.abstractmethod
    def _stretch(self, x: FloatArray) -> FloatArray:
        """Return dv/dx."""

    @cached_property
    @abc.abstractmethod
    def _limit(self) -> Limit:
        """Return what replaces the law beyond `EXACT` eigenvalues."""

    @property
    @abc.abstractmethod
    def _powers(self) -> tuple[float, float]:
        """Slopes of log cdf and log sf in v at the two ends of the range; NaN if there is none."""

    def _exact_log(self, v: float, upper: bool) -> float:
        """Logarithm of sf (``upper``) or cdf, by the side on which it is well-conditioned."""
        y, ensemble = self._angle(v), self._ensemble
        if upper == self._largest:
            return ensemble.log_exceedance(y, self._largest)
        low, high = ensemble.ends
        return ensemble.log_probability(*((low, y) if self._largest else (y, high)))

    @cached_property
    def _tails(self) -> tuple[Tail, Tail]:
        """Tables of log cdf below the median and log sf above it."""
        ensemble, inside = self._ensemble, self._largest
        step = 0.05 * ensemble.spread
        y = ensemble.bulk[1] - step if inside else max(ensemble.bulk[0], step)
        start = float(self._to_v(ensemble.place(np.array([y])))[0])

        def log_of(upper: bool) -> Callable[[float], float]:
            return lambda v: self._exact_log(v, upper)

        # `inside` is the side whose probability is an exceedance: free of large constants
        middle = _crossing(log_of(inside), math.log(0.5), start, 0.25, inside, 1e-7)
        shift = math.log1p(-math.exp(self._exact_log(middle, inside)))
        shift -= self._exact_log(middle, not inside)  # what rounding left in the constant
        tables = []
        for upper in (False, True):
            end, power = middle + (REACH if upper else -REACH), self._powers[upper]
            if math.isnan(power) or -abs(power) * REACH < DEEPEST:
                end = _crossing(log_of(upper), DEEPEST, middle, 0.5, upper, 1e-6)
                power = math.nan
            add = shift if upper != inside else 0.0
            tables.append(_series(log_of(upper), middle, end, add, power))
        return tables[0], tables[1]

    def _log_tail(self, x: FloatArray, upper: bool, deep: bool) -> FloatArray:
        """Logarithm of sf or cdf; beyond the table computed point by point if ``deep``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            v = self._to_v(x)
        tail, other = self._tails[upper], self._tails[not upper]
        out = np.where(np.isnan(x), np.nan, 0.0)
        inside = tail.covers(v)
        out[inside] = tail.log(v[inside])
        near = other.covers(v) & ~inside
        out[near] = np.log1p(-np.exp(other.log(v[near])))
        beyond = ((v > tail.right) if upper else (v < tail.left)) & ~inside
        out[beyond] = -math.inf
        if deep:
            for i in np.flatnonzero(beyond & np.isfinite(v)):
                power, place = self._powers[upper], float(v[i])
                last = place
                if not math.isnan(power):  # a power of x beyond any rounding
                    last = min(place, tail.right + 80.0) if upper else max(place, tail.left - 80.0)
                out[i] = self._exact_log(last, upper)
                if place != last:
                    out[i] += power * (place - last)
        return out

    def _logcdf(self, x: FloatArray) -> FloatArray:
        return self._log_tail(x, False, True) if self.is_exact else self._limit.tail(x, False, True)

    def _logsf(self, x: FloatArray) -> FloatArray:
        return self._log_tail(x, True, True) if self.is_exact else self._limit.tail(x, True, True)

    def _cdf(self, x: FloatArray) -> FloatArray:
        if not self.is_exact:
            return self._limit.tail(x, False, False)
        return np.exp(self._log_tail(x, False, False))

    def _sf(self, x: FloatArray) -> FloatArray:
        if not self.is_exact:
            return self._limit.tail(x, True, False)
        return np.exp(self._log_tail(x, True, False))

    def _pdf(self, x: FloatArray) -> FloatArray:
        if not self.is_exact:
            return self._limit.density(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            v = self._to_v(x)
        out = np.where(np.isnan(x), np.nan, 0.0)
        with np.errstate(over="ignore"):
            for tail in self._tails:
                inside = tail.covers(v)
                rate = np.abs(tail.log_slope(v[inside])) * self._stretch(x[inside])
                mass = np.exp(tail.log(v[inside]))  # where it is 0 the rate may be infinite
                out[inside] = np.where(mass > 0.0, mass * np.where(mass > 0.0, rate, 0.0), 0.0)
        return out

    def _quantile(self, q: FloatArray, upper: bool) -> FloatArray:
        if not self.is_exact:
            return self._limit.quantile(q, upper)
        low, high = self.edges()[0]
        out = np.where(np.isnan(q), np.nan, np.where((q == 0.0) == upper, high, low))
        proper = (q > 0.0) & (q < 1.0)
        if not proper.any():
            return out
        p = q[proper]
        own = self._tails[upper]
        # the logarithm to be met, in the tail whose table holds the point
        small = np.log(p) < float(own.log(np.array(own.left if upper else own.right)))
        target = np.where(small, np.log(p), np.log1p(-p))
        v = np.empty(p.size)
        for side in (False, True):
            mine = small == (upper == side)
            v[mine] = self._invert(target[mine], side)
        out[proper] = self._from_v(v)
        return out

    def _invert(self, target: FloatArray, upper: bool) -> FloatArray:
        """Points at which one tail's logarithm takes given values, by safeguarded Newton steps."""
        tail, sign = self._tails[upper], -1.0 if upper else 1.0
        grid = np.linspace(tail.left, tail.right, 513)
        cell = np.searchsorted(sign * tail.log(grid), sign * target) - 1
        cell = np.clip(cell, 0, grid.size - 2)
        left, right = grid[cell], grid[cell + 1]
        v = 0.5 * (left + right)
        for _ in range(8):
            v = np.clip(v - (tail.log(v) - target) / tail.log_slope(v), left, right)
        end = tail.far
        last = float(tail.log(np.array(end)))
        if not math.isnan(tail.power):
            far = target < last
            v[far] = end + (target[far] - last) / tail.power
            return v
        for i in np.flatnonzero(target < last):
            level = float(target[i])
            v[i] = _crossing(lambda w: self._exact_log(w, upper), level, end, 0.5, upper)
        return v

    def _ppf(self, q: FloatArray) -> FloatArray:
        return self._quantile(q, False)

    def _isf(self, q: FloatArray) -> FloatArray:
        return self._quantile(q, True)

    def moment(self, order: int) -> float:
        """Moment about zero, by Gauss quadrature over both tails.

        Parameters
        ----------
        order : int
            At least 0.

        Returns
        -------
        float
        """
        k = _checks.integer("order", order, low=0)
        if not self.is_exact:
            unit = self._limit.largest
        else:  # where the integrand is largest, so that no power overflows
            v = np.concatenate([np.linspace(t.left, t.right, 400) for t in self._tails])
            rows = [t.log(np.linspace(t.left, t.right, 400)) for t in self._tails]
            x = np.maximum(self._from_v(v), 1e-300)
            unit = float(x[np.argmax(np.concatenate(rows) + k * np.log(x))])
        value = self._expectation(lambda x: (x / unit) ** k)
        with digits(40):
            return float(Decimal(value) * Decimal(unit) ** k)

    def var(self) -> float:
        """Variance."""
        mean = self.moment(1)
        return self._expectation(lambda x: (x - mean) ** 2)

    def _expectation(self, function: Function) -> float:
        node, weight = _gauss()
        total = 0.0
        if not self.is_exact:
            return self._limit.expectation(function)
        for tail in self._tails:
            v = 0.5 * (tail.left + tail.right + (tail.right - tail.left) * node)
            mass = np.exp(tail.log(v)) * np.abs(tail.log_slope(v))
            width = 0.5 * (tail.right - tail.left)
            total += float(weight @ (mass * function(self._from_v(v)))) * width
            if not math.isnan(tail.power):  # all that lies beyond is at the end
                end = np.array(tail.far)
                total += float(np.exp(tail.log(end)) * function(self._from_v(end)))
        return total


def _crossing(
    log: Callable[[float], float],
    level: float,
    start: float,
    step: float,
    decreasing: bool,
    error: float = 1e-13,
) -> float:
    """Where a monotone logarithm takes a value: doubling steps, then Brent's method."""
    from scipy.optimize import brentq

    sign = -1.0 if decreasing else 1.0

    def excess(v: float) -> float:
        return sign * (max(log(v), -1e6) - level)

    low = high = start
    while excess(low) > 0.0:
        low -= step
        step *= 2.0
    while excess(high) < 0.0:
        high += step
        step *= 2.0
    return float(brentq(excess, low, high, xtol=error, rtol=8.9e-16)) if low < high else start


def _series(
    log: Callable[[float], float], middle: float, end: float, add: float, power: float
) -> Tail:
    """Chebyshev series, doubled until its last coefficients vanish."""
    count, (left, right) = 32, sorted((middle, end))
    while True:
        nodes = np.cos(np.pi * (np.arange(count) + 0.5) / count)
        values = np.array([log(0.5 * (left + right + (right - left) * t)) for t in nodes]) + add
        angles = np.pi * np.outer(np.arange(count), np.arange(count) + 0.5) / count
        series = 2.0 / count * np.cos(angles) @ values
        series[0] *= 0.5
        if np.max(np.abs(series[-4:])) < 1e-13 * np.max(np.abs(series)) or count >= 256:
            break
        count *= 2
    slope = np.polynomial.chebyshev.chebder(series) * 2.0 / (right - left)
    return Tail(left, right, series, np.asarray(slope, dtype=np.float64), end, power)


@lru_cache(maxsize=1)
def _gauss() -> tuple[FloatArray, FloatArray]:
    return np.polynomial.legendre.leggauss(240)


@dataclass(frozen=True)
class Limit:
    """A law of ``sign * (g(x) - centre)/scale``, g increasing with inverse and slope."""

    law: Law
    centre: float
    scale: float
    sign: float = 1.0
    g: Function = np.positive
    inverse: Function = np.positive
    slope: Function = np.ones_like

    def _inner(self, x: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.sign * (self.g(x) - self.centre) / self.scale)

    def tail(self, x: FloatArray, upper: bool, log: bool) -> FloatArray:
        """Cdf or sf, or their logarithms."""
        name = ("log" if log else "") + ("sf" if upper == (self.sign > 0.0) else "cdf")
        return np.asarray(getattr(self.law, name)(self._inner(x)))

    def density(self, x: FloatArray) -> FloatArray:
        """Density in x."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value = self.law.pdf(self._inner(x)) * self.slope(x) / self.scale
        return np.where(np.isfinite(value) | np.isnan(x), value, 0.0)

    def quantile(self, q: FloatArray, upper: bool) -> FloatArray:
        """Quantile in x."""
        inner = self.law.isf(q) if upper == (self.sign > 0.0) else self.law.ppf(q)
        return np.asarray(self.inverse(self.centre + self.sign * self.scale * np.asarray(inner)))

    @property
    def largest(self) -> float:
        """Value exceeded with probability 1e-30."""
        return float(np.max(self._values(np.array([self.law.ppf(1e-30), self.law.isf(1e-30)]))))

    def _values(self, w: FloatArray) -> FloatArray:
        return np.asarray(self.inverse(self.centre + self.sign * self.scale * w))

    def expectation(self, function: Function) -> float:
        """Expected value of a function of x, by Gauss quadrature in the inner variable."""
        node, weight = _gauss()
        low, high = self.law.ppf(1e-30), self.law.isf(1e-30)
        w = 0.5 * (low + high + (high - low) * node)
        x = self._values(w)
        return float(weight @ (self.law.pdf(w) * function(x)) * 0.5 * (high - low))
