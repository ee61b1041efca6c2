"""Rates of convergence: fitted to drawn errors, drawn, and judged on both sides.

A fitted slope supports a rate when its error bar can tell that rate from its neighbours, among
them 0 (no convergence) and a faster one, and it lies nearer to it than to any of them: finite
sizes bend the lines, so that a slope need not lie within a few error bars of its limit.

The limit itself is judged by the mean errors ``b_0 + b_1 n^p`` at the claimed slope p (that of
the mean, where fluctuations of size n^(-1/2) hide a mean error of 1/n): the intercept must be 0
within three standard errors, and below a stated share. A formula that is off by a factor has the
intercept of that factor, whatever its slope.

An error may come with a control: a number of mean 0 and variance 1, exactly, that goes along with
it (the length of the column that makes an outlier, say). Sums are then regressed on the control
and its square, which leaves of their scatter what the control does not explain.
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
Sample = Callable[[int], Any]
PLAIN = 1.0 / 3.0  # of its error without controls: a mean error's law at finite n is no better
NONE, THIRD, HALF, SOFT_EDGE, ONE, THREE_HALVES = 0.0, -1.0 / 3.0, -0.5, -2.0 / 3.0, -1.0, -1.5


class Rate(NamedTuple):
    """A claimed slope of the relative error, and a limit of 0.

    Attributes
    ----------
    path : str
        Where the fit stands in the record, ``"outer/inner"``.
    claimed : float
        Slope in log n.
    others : tuple of float
        Slopes it is told from: on both sides, 0 among them.
    share : float
        What the relative error at n = ∞ must stay below.
    mean : float, optional
        Slope of the mean error where it falls faster than the fluctuations; default ``claimed``.
    """

    path: str
    claimed: float
    others: tuple[float, ...]
    share: float = 0.02
    mean: float | None = None

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
    errors : sequence of array_like, shape (m,) or (m, 2)
        Relative errors drawn at each size; in a second column their controls.
    statistic : {"rms", "median"}
        Root mean square, or median of the absolute error: for errors so skewed that rare
        draws carry the square.

    Returns
    -------
    dict
        ``slope``, ``slope_error``, ``statistic``, ``sizes``, and per size ``error`` with its
        relative error bar ``error_bar``, ``bias``, ``bias_error`` (at least `PLAIN` of what
        it is without controls).

    Examples
    --------
    >>> from rmtstab.claims.rates import fit_rate
    >>> found = fit_rate((10, 100), [[0.1, -0.1, 0.1], [0.01, 0.01, -0.01]])
    >>> round(found["slope"], 12)
    -1.0
    """
    draws = [np.asarray(e, dtype=float) for e in errors]
    size, bars = np.array([_size_of(e, statistic) for e in draws]).T
    bias, bias_error = np.array([_mean(e, e) for e in draws]).T
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
        "bias": bias.tolist(),
        "bias_error": bias_error.tolist(),
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
    """Hold if every rate and limit is supported, and the failing setting lies beyond ``least``.

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
    words, good = [], failing > least
    for rate in rates:
        fit = rate.fit_of(record)
        slope, bar = fit["slope"], fit["slope_error"]
        limit, error = intercept(fit, rate.claimed if rate.mean is None else rate.mean)
        good &= supports(fit, rate.claimed, rate.others)
        good &= abs(limit) < min(3.0 * error, rate.share)
        words.append(
            f"{rate.label} {slope:.2f} ± {bar:.2f} (claimed {rate.claimed:.2f}, told from "
            f"{', '.join(f'{other:.2f}' for other in rate.others)}), "
            f"limit off by {limit:+.1%} ± {error:.1%} (below {rate.share:.0%})"
        )
    first = rates[0].fit_of(record)
    text = f"slopes in log n: {'; '.join(words)}; off by {failing:.0%} where it fails"
    return Outcome(text, first["slope"], first["slope_error"], bool(good), failing)


def intercept(fit: Record, power: float) -> tuple[float, float]:
    """Limit ``b_0`` of the mean errors ``b_0 + b_1 n^power``, and its standard error.

    Examples
    --------
    >>> from rmtstab.claims.rates import intercept
    >>> fit = {"sizes": [10, 20, 40], "bias": [0.2, 0.15, 0.125], "bias_error": [0.01] * 3}
    >>> round(intercept(fit, -1.0)[0], 12)
    0.1
    """
    weights = 1.0 / np.asarray(fit["bias_error"])
    columns = np.stack([np.ones(len(weights)), np.asarray(fit["sizes"], float) ** power], axis=1)
    scaled = columns * weights[:, None]
    covariance = np.linalg.inv(scaled.T @ scaled)
    found = covariance @ scaled.T @ (weights * np.asarray(fit["bias"]))
    return float(found[0]), math.sqrt(float(covariance[0, 0]))


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


def _size_of(draws: FloatArray, statistic: str) -> tuple[float, float]:
    """Return a typical size of errors, and its relative error bar."""
    if statistic == "rms":
        square, error = _mean(draws**2, draws, plain=0.0)
        return math.sqrt(square), 0.5 * error / square
    ordered = np.sort(np.abs(draws))
    middle = float(np.median(ordered))
    # order statistics one binomial standard error away from the median
    away = 0.5 / math.sqrt(ordered.size)
    low, high = np.quantile(ordered, [max(0.5 - away, 0.0), min(0.5 + away, 1.0)])
    return middle, 0.5 * float(high - low) / middle


def _mean(values: FloatArray, draws: FloatArray, plain: float | None = None) -> tuple[float, float]:
    """Mean of the values and its standard error, controls used where the draws have them.

    The error is at least ``plain`` (default `PLAIN`) of what it is without.
    """
    y = values if values.ndim == 1 else values[:, 0]
    mean, error = float(y.mean()), float(y.std(ddof=1) / math.sqrt(y.size))
    if draws.ndim == 1:
        return mean, error
    control = draws[:, 1]
    columns = np.stack([np.ones(y.size), control, control**2 - 1.0], axis=1)
    turn = np.linalg.inv(columns.T @ columns) @ columns.T
    found = turn @ y
    # what is left varies with the control: errors of heteroscedastic sums, each left out in turn
    left = (y - columns @ found) / (1.0 - np.einsum("ij,ji->i", columns, turn))
    precise = float(np.linalg.norm(turn[0] * left))
    return float(found[0]), max(precise, (PLAIN if plain is None else plain) * error)
