r"""Asymptotic expansions of the Tracy–Widom laws, in the variable of Painlevé II.

Left, with :math:`x = -t`: :math:`q = \sqrt{x/2}\,(1 + c_1 x^{-3} + \dots)` solves
Painlevé II term by term, and :math:`v = q'^2 - tq^2 - q^4` and :math:`u = \int q`
follow; the constants are those of Baik, Buckingham and DiFranco (2008). Right,
with :math:`\zeta = \tfrac23 t^{3/2}`: to leading exponential order `q` is the Airy
function, and its integrals expand in powers of :math:`t^{-3/2}`. Coefficients
are exact fractions. Derived in docs/laws/tracy_widom.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np

from rmtstab.laws.base import FloatArray

TERMS = 9
ZETA_PRIME = -0.16542114370045092921  # ζ'(-1)
Series = list[Fraction]


def _product(a: Series, b: Series) -> Series:
    return [sum((a[i] * b[k - i] for i in range(k + 1)), Fraction(0)) for k in range(TERMS)]


@lru_cache(maxsize=1)
def _left() -> tuple[FloatArray, FloatArray]:
    """Coefficients of q/√(x/2) and of v/(x²/4) in powers of 1/x³."""
    power = [Fraction(1, 2) - 3 * k for k in range(TERMS)]
    c = [Fraction(1)]
    for k in range(1, TERMS):
        padded = c + [Fraction(0)] * (TERMS - k)
        cube = _product(padded, _product(padded, padded))[k]
        c.append((c[-1] * power[k - 1] * (power[k - 1] - 1) - cube) / 2)
    square = _product(c, c)
    slope = [p * a for p, a in zip(power, c, strict=True)]
    slope_square = [Fraction(0), *_product(slope, slope)[:-1]]
    fourth = _product(square, square)
    v = [2 * a + 2 * b - d for a, b, d in zip(slope_square, square, fourth, strict=True)]
    return np.array(c, dtype=float), np.array(v, dtype=float)


@lru_cache(maxsize=1)
def _right() -> dict[str, FloatArray]:
    """Coefficients in powers of t^(-3/2) of Ai and of its integrals, and of what F₄ needs."""
    airy = [Fraction(1)]
    for k in range(1, TERMS):
        u = Fraction((6 * k - 5) * (6 * k - 3) * (6 * k - 1), 216 * k * (2 * k - 1))
        airy.append(-airy[-1] * u * Fraction(3, 2))
    g, v, w = [Fraction(1)], [Fraction(1)], [Fraction(1)]
    square = _product(airy, airy)
    for k in range(1, TERMS):
        g.append(airy[k] - g[-1] * Fraction(6 * k - 3, 4))
        v.append(square[k] - v[-1] * Fraction(3 * k - 1, 4))
        w.append(v[k] - w[-1] * Fraction(3 * k, 4))
    lost = [a - b for a, b in zip(w, _product(g, g), strict=True)]
    slope = [a - b for a, b in zip(v, _product(airy, g), strict=True)]
    found = {"airy": airy, "g": g, "v": v, "w": w, "lost": lost, "slope": slope}
    return {name: np.array(values, dtype=float) for name, values in found.items()}


def _q_and_v(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    c, v = _left()
    y = x**-3.0
    polyval = np.polynomial.polynomial.polyval
    return np.sqrt(x / 2.0) * polyval(y, c), x * x / 4.0 * polyval(y, v)


def log_cdf(t: FloatArray, index: int) -> FloatArray:
    """Logarithm of F far to the left."""
    c, v = _left()
    x = -t
    with np.errstate(over="ignore", invalid="ignore"):
        powers = np.arange(2, TERMS)
        w = x**3 / 12.0 + v[1] / 4.0 * np.log(x) - ZETA_PRIME - math.log(2.0) / 24.0
        w = w + sum(0.25 * v[k] * x ** (3.0 - 3.0 * k) / (3.0 - 3.0 * k) for k in powers)
        if index == 2:
            return _no_nan(-w)
        u = 0.5 * math.log(2.0) + sum(
            c[k] * x ** (1.5 - 3.0 * k) / (math.sqrt(2.0) * (1.5 - 3.0 * k)) for k in range(TERMS)
        )
        return _no_nan(-(w + u) / 2.0 if index == 1 else -(w - u) / 2.0 - math.log(2.0))


def log_left_density(t: FloatArray, index: int) -> FloatArray:
    """Logarithm of dF/dt far to the left."""
    with np.errstate(over="ignore", invalid="ignore"):
        q, v = _q_and_v(-t)
        slope = {1: (v + q) / 2.0, 2: v, 4: (v - q) / 2.0}[index]
        return _no_nan(log_cdf(t, index) + np.log(slope))


def log_sf(t: FloatArray, index: int) -> FloatArray:
    """Logarithm of 1 - F far to the right."""
    name, rate, log_constant, power = {
        1: ("g", 1.0, math.log(4.0 * math.sqrt(math.pi)), 0.75),
        2: ("w", 2.0, math.log(16.0 * math.pi), 1.5),
        4: ("lost", 2.0, math.log(32.0 * math.pi), 1.5),
    }[index]
    return _right_form(t, name, rate, log_constant, power)


def log_right_density(t: FloatArray, index: int) -> FloatArray:
    """Logarithm of dF/dt far to the right."""
    name, rate, log_constant, power = {
        1: ("airy", 1.0, math.log(4.0 * math.sqrt(math.pi)), 0.25),
        2: ("v", 2.0, math.log(8.0 * math.pi), 1.0),
        4: ("slope", 2.0, math.log(16.0 * math.pi), 1.0),
    }[index]
    return _right_form(t, name, rate, log_constant, power)


def _right_form(
    t: FloatArray, name: str, rate: float, log_constant: float, power: float
) -> FloatArray:
    coefficients = _right()[name]
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        y = t**-1.5
        lead = 0.0 if coefficients[0] else 1.0  # F₄ starts one power later
        series = np.polynomial.polynomial.polyval(y, coefficients[1:] if lead else coefficients)
        main = -rate * 2.0 / 3.0 * t**1.5 - (power + 1.5 * lead) * np.log(t) - log_constant
        return _no_nan(main + np.log(series))


def _no_nan(values: FloatArray) -> FloatArray:
    """At an infinite point the limit is -inf, whatever inf - inf says."""
    return np.where(np.isnan(values), -math.inf, values)
