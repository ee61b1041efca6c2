"""Rates of convergence: fitted to drawn errors, drawn, and judged.

A fitted slope supports a rate when its error bar can tell that rate from the neighbouring
ones and it lies nearer to it than to any of them: finite sizes bend the lines, so that a
slope need not lie within a few error bars of its limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.claims.claim import Outcome
from rmtstab.claims.figure_data import figure_of, series

Record = dict[str, Any]
Sample = Callable[[int], float]
HALF, SOFT_EDGE, ONE = -0.5, -2.0 / 3.0, -1.0


class Rate(NamedTuple):
    """A claimed slope: where its fit stands in the record, and the slopes it is told from."""

    path: str
    claimed: float
    others: tuple[float, ...]

    def fit_of(self, record: Record) -> Record:
        """Fit at ``"outer/inner"`` of a record."""
        for key in self.path.split("/"):
            record = record[key]
        return record

    @property
    def label(self) -> str:
        """The path in words."""
        return self.path.replace("_", " ")


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


def sampled_rate(
    sizes: Sequence[int], draws: Sequence[int], sample: Sample, statistic: str = "rms"
) -> Record:
    """Fit a rate to so many draws of ``sample(n)`` at each size."""
    pairs = zip(sizes, draws, strict=True)
    return fit_rate(sizes, [[sample(n) for _ in range(m)] for n, m in pairs], statistic)


def rate_figure(record: Record, rates: Sequence[Rate]) -> Record:
    """Figure of a check's record: the size of the error against n, points a rate and its claim."""
    fits = [(rate, rate.fit_of(record)) for rate in rates]
    lines = [
        series(
            rate.label, fit["sizes"], fit["error"],
            np.multiply(fit["error"], fit["error_bar"]), slope=rate.claimed,
        )
        for rate, fit in fits
    ]  # fmt: skip
    return figure_of("n", "relative error", lines, logarithmic="xy")


def judge_rates(record: Record, rates: Sequence[Rate], failing: float, least: float) -> Outcome:
    """Hold if every rate is supported, and the failing setting lies beyond ``least``.

    Parameters
    ----------
    record : dict
    rates : sequence of Rate
    failing : float
        Size of the error in the nearest setting in which the limit fails.
    least : float

    Returns
    -------
    Outcome
        Of the first rate.
    """
    fits = [rate.fit_of(record) for rate in rates]
    words = "; ".join(
        f"{rate.label} {fit['slope']:.2f} ± {fit['slope_error']:.2f} (claimed {rate.claimed:.2f})"
        for rate, fit in zip(rates, fits, strict=True)
    )
    good = all(
        supports(fit, rate.claimed, rate.others) for rate, fit in zip(rates, fits, strict=True)
    )
    text = f"slopes in log n: {words}; off by {failing:.0%} where it fails"
    first = fits[0]
    return Outcome(
        text, first["slope"], first["slope_error"], bool(good and failing > least), failing
    )


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
