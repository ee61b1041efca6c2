"""Where a smooth and costly function of the mixing crosses zero, from as few values as possible."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

RELATIVE = 1e-10  # error of a crossing that is good enough
NODES = 7  # values that one polynomial goes through
STALLED = 3  # looks within which the bracket has to halve, or the value to fall to a tenth
LOOKS = 200
ENOUGH = 4.0  # times the accuracy of a value: a zero to it
APART = 1e-4  # of the nodes of a shape that is handed on


def smallest_crossing(
    excess: Callable[[float], float],
    known: Mapping[float, float],
    slack: float,
    shape: Shape | None = None,
) -> tuple[float, float, Shape]:
    """Smallest zero on [0, 1] that the known values show, and its error.

    Interpolation through the nearest values, with bisection where that does not shrink the
    bracket: 3 looks where a secant method takes 7, and 2 where a like function is known.

    Parameters
    ----------
    excess : callable
        Its value at a mixing, negative below the crossing; at 0 and 1 it may be asked too.
    known : mapping of float to float
        Values that are there already.
    slack : float
        Accuracy of a value.
    shape : Shape, optional
        Of a function that differs from this one by little.

    Returns
    -------
    crossing, error : float
        0 where the function is positive there, 1 where it nowhere is, and the error is infinite
        where the accuracy of a value leaves that open. The error is otherwise twice
        that of the last value, over the least slope between it and its neighbours.
    shape : Shape
        Of this function, for the next.

    Examples
    --------
    >>> import math
    >>> from rmtstab.dynamics.crossing import smallest_crossing
    >>> found, error, _ = smallest_crossing(lambda x: math.expm1(x - 0.3), {0.5: 0.2214}, 1e-13)
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
        return 0.0, 0.0 if points[0.0] > slack else math.inf, Shape(points, 0.0, 0.0)
    if max(points.values()) <= 0.0:
        clear = max(points.values()) < -slack
        return 1.0, 0.0 if clear else math.inf, Shape(points, 1.0, 1.0)
    high = min(x for x, y in points.items() if y > 0.0)
    low = max(x for x in points if x < high)
    looks, relative = [(high - low, math.inf)], max(RELATIVE, slack)
    while True:
        x = _interpolated(points, low, high, shape)
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
            abs(y) <= max(ENOUGH * slack, relative * x * slope)
            or width <= relative * x
            or len(looks) > LOOKS
        ):
            return x, 2.0 * (abs(y) + slack) / slope, Shape(points, low, high, APART)


def _slope(points: Mapping[float, float], x: float, secant: float) -> float:
    """Least slope at x: of the bracket's secant (positive), and of that to the nearest value."""
    nearest = min((node for node in points if node != x), key=lambda node: abs(node - x))
    near = (points[nearest] - points[x]) / (nearest - x)
    return min(near, secant) if near > 0.0 else secant


class Shape:
    """Polynomial through a function's values at the ends of a bracket and nearest to it.

    Parameters
    ----------
    points : mapping of float to float
    low, high : float
        The bracket's ends.
    apart : float
        Least distance of its nodes: between nearer ones rounding would be seen elsewhere.
    """

    def __init__(
        self, points: Mapping[float, float], low: float, high: float, apart: float = 0.0
    ) -> None:
        from scipy.interpolate import BarycentricInterpolator

        nodes: list[float] = []
        for x in sorted(points, key=lambda x: max(low - x, x - high)):
            if all(abs(x - node) > apart for node in nodes):
                nodes.append(x)
        nodes = nodes[:NODES]
        self.first, self.last = min(nodes), max(nodes)
        self._through = BarycentricInterpolator(nodes, [points[x] for x in nodes])

    def __call__(self, x: float) -> float:
        """Value of the polynomial."""
        return float(self._through(x))


def _interpolated(
    points: Mapping[float, float], low: float, high: float, like: Shape | None
) -> float:
    """Zero, inside the bracket, of the shape of the values, or of the like one's and the rest's."""
    from scipy.optimize import brentq

    model: Callable[[float], float]
    if like is None or not like.first <= low < high <= like.last:
        model = Shape(points, low, high)
    else:
        inside = [x for x in points if like.first <= x <= like.last]
        rest = Shape({x: points[x] - like(x) for x in inside}, low, high)

        def model(x: float) -> float:
            return like(x) + rest(x)

    ends = {x: points[x] for x in (low, high)}  # their signs to the last digit
    return float(
        brentq(lambda x: ends[x] if x in ends else model(x), low, high, xtol=1e-300, rtol=1e-14)
    )
