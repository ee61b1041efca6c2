"""Means and extremes that closed forms of coherence need."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import special

from rmtstab import _checks
from rmtstab._results import FloatArray


def folded_normal_mean(mean: float, deviation: float) -> float:
    """``E|mean + deviation·g|`` for a standard normal g.

    Parameters
    ----------
    mean, deviation : float
        deviation ≥ 0.

    Returns
    -------
    float
    """
    mean = _checks.real("mean", mean)
    deviation = _checks.real("deviation", deviation, low=0.0)
    if deviation == 0.0 or abs(mean) > 40.0 * deviation:  # the fold is below rounding
        return abs(mean)
    ratio = mean / deviation
    density = math.sqrt(2.0 / math.pi) * math.exp(-0.5 * ratio * ratio)
    return deviation * density + mean * math.erf(ratio / math.sqrt(2.0))


def expected_maximum(n: int, cdf: Callable[[FloatArray], FloatArray]) -> float:
    """``E max`` of n independent copies of a non-negative variable: ``∫₀^∞ (1 − Fⁿ)``.

    Quadrature on the bracket in which Fⁿ moves from 1e-17 to 1 − 1e-16. A computed F may
    level off a few roundings short of 1: it is divided by that level.

    Parameters
    ----------
    n : int
        Number of copies, at least 1.
    cdf : callable
        F, from an array of points to an array of probabilities.

    Returns
    -------
    float
        In the units of the variable.

    Raises
    ------
    ValueError
        If F does not come within 1e-9 of 1.

    References
    ----------
    Integration by parts of the maximum's law Fⁿ.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.theory.extremes import expected_maximum
    >>> round(expected_maximum(3, lambda x: np.clip(x, 0.0, 1.0)), 12)
    0.75
    """
    n, cdf = _checks.integer("n", n, low=1), _checks.function("cdf", cdf)
    upper, level = 1.0, float(cdf(np.array([1.0]))[0])
    while level**n < 1.0 - 1e-16 and upper < 1e300:
        upper *= 2.0
        last, level = level, float(cdf(np.array([upper]))[0])
        if level <= last and level > 1.0 - 1e-9:
            break
    if not 1.0 - 1e-9 < level < 1.0 + 1e-9:
        raise ValueError(f"cdf must rise to 1, got {level:g} at {upper:g}")

    def power(x: FloatArray) -> FloatArray:
        values: FloatArray = np.minimum(cdf(x) / level, 1.0) ** n
        return values

    def crossing(target: float, low: float, high: float) -> float:
        for _ in range(60):  # the bracket need not be sharp
            middle = 0.5 * (low + high)
            above = power(np.array([middle]))[0] > target
            low, high = (low, middle) if above else (middle, high)
        return high

    low, high = crossing(1e-17, 0.0, upper), crossing(1.0 - 1e-16, 0.0, upper)
    nodes, weights = special.roots_legendre(400)
    x = low + 0.5 * (high - low) * (nodes + 1.0)
    return float(low + 0.5 * (high - low) * np.sum(weights * (1.0 - power(x))))


def chi(degrees: int, nodes: int = 240) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of an expectation over ``χ_degrees``, all but 1e-17 of each tail.

    Parameters
    ----------
    degrees : int
    nodes : int

    Returns
    -------
    nodes, weights : ndarray, shape (nodes,)

    Examples
    --------
    >>> from rmtstab.theory.extremes import chi
    >>> r, weights = chi(7)
    >>> bool(abs(weights @ r**2 - 7) < 1e-12)
    True
    """
    low = math.sqrt(2.0 * float(special.gammaincinv(degrees / 2, 1e-17)))
    high = math.sqrt(2.0 * float(special.gammainccinv(degrees / 2, 1e-17)))
    x, weights = special.roots_legendre(nodes)
    r = low + 0.5 * (high - low) * (x + 1.0)
    constant = (degrees / 2 - 1.0) * math.log(2.0) + special.gammaln(degrees / 2)
    logarithm = (degrees - 1.0) * np.log(r) - 0.5 * r * r - constant
    return r, 0.5 * (high - low) * weights * np.exp(logarithm)
