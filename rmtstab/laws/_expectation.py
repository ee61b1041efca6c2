r"""Expectations under a law, by the double-exponential rule in the probability.

On an interval of the support that holds mass `M` above the probability `p`,

.. math:: \int g\,dF = M\int_0^1 g\big(F^{-1}(p + Ms)\big)\,ds,

where the integrand has no singularity but at the ends (there it behaves as a power of
`s`, whatever the kind of edge), which is what the substitution :math:`s = 1/(1+e^{\pi\sinh t})`
removes. Nodes in the lower half come from ``ppf``, those in the upper from ``isf``, so
that both tails keep their accuracy.

H. Takahasi and M. Mori, Publ. RIMS 9 (1974), 721.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtstab.laws._decimals import digits

FloatArray = NDArray[np.float64]
REACH = 6.0  # s > 1e-275
FINEST = 9  # step 2**-9


def expectation(
    law: Any, function: Callable[[Any], Any], low: float = -math.inf, high: float = math.inf
) -> float:
    """Return the integral of a function over ``[low, high]``, atoms included."""
    parts = [
        mass * float(_values(function, np.array([at]))[0])
        for at, mass in law.atoms()
        if low <= at <= high
    ]
    for left, right in law.edges().tolist():
        start, stop = max(left, low), min(right, high)
        if start < stop:
            parts.append(_interval(law, function, start, stop))
    return math.fsum(parts)


def moment_in_units(law: Any, order: int, centre: float) -> float:
    """Return ``E (x - centre)**order`` of a bounded law, by powers of numbers up to 1."""
    places = np.concatenate([law.edges().ravel(), [at for at, _ in law.atoms()]]) - centre
    unit = float(np.abs(places).max())
    value = expectation(law, lambda x: ((x - centre) / unit) ** order)
    with digits(40):
        return float(Decimal(value) * Decimal(unit) ** order)


def _interval(law: Any, function: Callable[[Any], Any], start: float, stop: float) -> float:
    at = dict(law.atoms())
    below, above = law.cdf(start), law.sf(stop)
    if stop in at:  # the atom at the upper end is not of this interval
        above += at[stop]
    mass = 1.0 - below - above
    if mass < 0.1:  # from one tail, whichever keeps its digits
        near_top = law.sf(start) - above, law.cdf(stop) - at.get(stop, 0.0) - below
        mass = float(near_top[0] if below > above else near_top[1])
    if mass <= 0.0:
        return 0.0

    def level(t: FloatArray) -> FloatArray:
        """Return the sum and that of absolute values."""
        s = np.exp(-np.logaddexp(0.0, -math.pi * np.sinh(t)))  # 1/(1 + exp(-pi sinh t))
        weights = math.pi * np.cosh(t) * s * (1.0 - s)
        x = np.concatenate([law.ppf(below + mass * s), law.isf(above + mass * s)])
        values = _values(function, np.clip(x, start, stop))
        # an integrable singularity at an end has no mass there
        at_end = ~np.isfinite(values) & ((x <= start) | (x >= stop))
        terms = np.tile(weights, 2) * np.where(at_end, 0.0, values)
        return np.array([terms.sum(), np.abs(terms).sum()])

    total = level(-np.arange(1, 8 * REACH) / 8.0) + 0.5 * level(np.zeros(1))
    value = total / 8.0
    for exponent in range(4, FINEST + 1):
        count = 2**exponent
        total += level(-np.arange(1, count * REACH, 2) / count)
        previous, value = value, total / count
        if abs(value[0] - previous[0]) <= 1e-10 * value[1]:  # it squares at each halving
            break
    return float(mass * value[0])


def _values(function: Callable[[Any], Any], x: FloatArray) -> FloatArray:
    """Call a function once for all points, or point by point where it cannot take arrays."""
    with np.errstate(divide="ignore", over="ignore"):
        try:
            found = np.asarray(function(x), dtype=float)
        except (TypeError, ValueError):
            found = np.array([function(point) for point in x.tolist()], dtype=float)
    return np.broadcast_to(found, x.shape)
