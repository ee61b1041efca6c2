"""Where a smooth and costly function of the mixing crosses zero, from as few values as possible."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

RELATIVE = 1e-10  # error of a crossing that is good enough
NODES = 7  # values that one polynomial goes through
STALLED = 3  # looks within which the bracket has to halve, or the value to fall to a tenth
LOOKS = 200


def smallest_crossing(
    excess: Callable[[float], float], known: Mapping[float, float], slack: float
) -> tuple[float, float]:
    """Smallest zero on [0, 1] that the known values show, and its error.

    Interpolation through the nearest values, with bisection where that does not shrink the
    bracket: 3 looks where a secant method takes 7.

    Parameters
    ----------
    excess : callable
        Its value at a mixing, negative below the crossing; at 0 and 1 it may be asked too.
    known : mapping of float to float
        Values that are there already.
    slack : float
        Accuracy of a value.

    Returns
    -------
    crossing, error : float
        0 where the function is positive there, 1 where it nowhere is. The error is twice
        that of the last value, over the least slope between it and its neighbours.

    Examples
    --------
    >>> import math
    >>> from rmtstab.dynamics.crossing import smallest_crossing
    >>> found, error = smallest_crossing(lambda x: math.expm1(x - 0.3), {0.5: 0.2214}, 1e-13)
    >>> abs(found - 0.3) < error < 1e-10
    True
    """
    points = dict(known)
    for end in (0.0, 1.0):
        if end == 1.0 and max(points.values()) > 0.0:
            break
        if end not in points:
            points[end] = excess(end)
    if points[0.0] > 0.0:
        return 0.0, 0.0
    if max(points.values()) <= 0.0:
        return 1.0, 0.0
    high = min(x for x, y in points.items() if y > 0.0)
    low = max(x for x in points if x < high)
    looks = [(high - low, math.inf)]
    while True:
        x = _interpolated(points, low, high)
        if len(looks) > STALLED:
            width, size = looks[-1 - STALLED]
            if looks[-1][0] > 0.5 * width and looks[-1][1] > 0.1 * size:
                x = 0.5 * (low + high)
        y = points[x] = excess(x)
        low, high = (low, x) if y > 0.0 else (x, high)
        width = high - low
        looks.append((width, abs(y)))
        slope = _slope(points, x, (points[high] - points[low]) / width)
        if (
            abs(y) <= max(slack, RELATIVE * x * slope)
            or width <= RELATIVE * x
            or len(looks) > LOOKS
        ):
            return x, 2.0 * (abs(y) + slack) / slope


def _slope(points: Mapping[float, float], x: float, secant: float) -> float:
    """Least slope at x: of the bracket's secant (positive), and of that to the nearest value."""
    nearest = min((node for node in points if node != x), key=lambda node: abs(node - x))
    near = (points[nearest] - points[x]) / (nearest - x)
    return min(near, secant) if near > 0.0 else secant


def _interpolated(points: Mapping[float, float], low: float, high: float) -> float:
    """Zero, inside the bracket, of the polynomial through its ends and the nearest other values."""
    from scipy.interpolate import BarycentricInterpolator
    from scipy.optimize import brentq

    others = [x for x in points if x not in (low, high)]
    others.sort(key=lambda x: max(low - x, x - high))
    nodes = [low, high, *others[: NODES - 2]]
    through = BarycentricInterpolator(nodes, [points[x] for x in nodes])
    return float(brentq(through, low, high, xtol=1e-300, rtol=1e-14))
