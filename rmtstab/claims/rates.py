"""Rates of convergence fitted to drawn errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rmtstab._results import FloatArray


def fit_rate(sizes: Sequence[int], errors: Sequence[Any], statistic: str = "rms") -> dict[str, Any]:
    """Slope of log(size of the error) in log n, with the error bar that the draws give it.

    Parameters
    ----------
    sizes : sequence of int
        At least two.
    errors : sequence of array_like
        Relative errors drawn at each size.
    statistic : {"rms", "median"}
        Root mean square, or median of the absolute error: for errors so skewed that rare
        draws carry the square.

    Returns
    -------
    dict
        ``slope``, ``slope_error``, ``statistic``, ``sizes``, and per size ``error`` with its
        relative error bar ``error_bar``, ``bias``, ``bias_error``.

    Examples
    --------
    >>> from rmtstab.claims.rates import fit_rate
    >>> found = fit_rate((10, 100), [[0.1, -0.1, 0.1], [0.01, 0.01, -0.01]])
    >>> round(found["slope"], 12)
    -1.0
    """
    draws = [np.asarray(e, dtype=float) for e in errors]
    size, bars = np.array([_size_of(e, statistic) for e in draws]).T
    bars = np.maximum(bars, 1e-3)
    weights = 1.0 / bars**2
    x = np.log(np.asarray(sizes, dtype=float))
    leverage = weights * (x - np.sum(weights * x) / weights.sum())
    precision = float(np.sum(leverage * x))
    return {
        "statistic": statistic,
        "sizes": [int(n) for n in sizes],
        "slope": float(np.sum(leverage * np.log(size))) / precision,
        "slope_error": 1.0 / math.sqrt(precision),
        "error": size.tolist(),
        "error_bar": bars.tolist(),
        "bias": [float(e.mean()) for e in draws],
        "bias_error": [float(e.std(ddof=1) / math.sqrt(e.size)) for e in draws],
    }


def supports(fit: dict[str, Any], claimed: float, others: Sequence[float]) -> bool:
    """Whether a fit is nearer to the claimed slope than to any other, beyond its error bar.

    Three error bars must reach less far than the nearest other slope.

    Examples
    --------
    >>> from rmtstab.claims.rates import supports
    >>> fit = {"slope": -0.7, "slope_error": 0.02}
    >>> supports(fit, -2 / 3, [-0.5, -1.0]), supports(fit, -1.0, [-2 / 3])
    (True, False)
    """
    slope, error = fit["slope"], fit["slope_error"]
    return all(
        3.0 * error < abs(claimed - other) and abs(slope - claimed) < abs(slope - other)
        for other in others
    )


def _size_of(errors: FloatArray, statistic: str) -> tuple[float, float]:
    """Return a typical size of errors, and its relative error bar."""
    if statistic == "rms":
        square = float(np.mean(errors**2))
        bar = 0.5 * float(np.std(errors**2, ddof=1)) / math.sqrt(errors.size) / square
        return math.sqrt(square), bar
    ordered = np.sort(np.abs(errors))
    middle = float(np.median(ordered))
    # order statistics one binomial standard error away from the median
    away = 0.5 / math.sqrt(errors.size)
    low, high = np.quantile(ordered, [max(0.5 - away, 0.0), min(0.5 + away, 1.0)])
    return middle, 0.5 * float(high - low) / middle
