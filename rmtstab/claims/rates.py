"""Rates of convergence: fitted to drawn errors, drawn, and judged on both sides.

A fitted slope supports a rate when it lies nearer to it than to any of its neighbours, among
them 0 (no convergence) and a faster one, and when `TOLD` of its error bars reach less far than the
nearest of them: finite sizes bend the lines, so that a slope need not lie within a few error bars
of its limit, and half that distance is what an error bar may be wrong by. At seven, an unbent line
is judged wrongly in 5 of 10,000 draws.

The limit itself is judged by the mean errors ``b_0 + b_1 n^p`` at the claimed slope p (that of
the mean, where fluctuations of size n^(-1/2) hide a mean error of 1/n) and a next term of unknown
coefficient, see `intercept`: ``b_0`` must be 0 within `OFF` standard errors (1 draw of 16,000),
and below a stated share. A formula that is off by a factor has the intercept of that factor,
whatever its slope.

Draws may be few where a *witness* goes along with them, a number whose law can be sampled at
leisure (the matrix's own outlier, say, beside the threshold that it nearly decides): errors are
regressed on it and its square, and the regression is read at the moments of the witness's own,
far larger sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.claims.claim import Outcome
from rmtstab.claims.figure_data import figure_of, series

Record = dict[str, Any]
Sample = Callable[[int], Any]
TOLD = 7.0  # error bars between the claimed slope and the nearest other
OFF = 4.0  # standard errors that the limit may be off by
NONE, THIRD, HALF, SOFT_EDGE, ONE, THREE_HALVES = 0.0, -1.0 / 3.0, -0.5, -2.0 / 3.0, -1.0, -1.5


class Drawn(NamedTuple):
    """Observed over predicted, as drawn at each size: errors of any scale of the theory.

    Attributes
    ----------
    sizes : sequence of int
    ratios : sequence of array_like, shape (m,) or (m, 2)
        A second column holds the witness of each draw: a ratio too.
    logarithm : bool
        Whether an error is the ratio's logarithm rather than its distance from 1.
    witnesses : sequence of array_like, shape (M,), optional
        Draws of the witness alone.
    trimmed : bool
        As in `fit_rate`.
    """

    sizes: Sequence[int]
    ratios: Sequence[Any]
    logarithm: bool = False
    witnesses: Sequence[Any] | None = None
    trimmed: bool = False

    def fit(self, scale: float = 1.0) -> Record:
        """Fit the rate at which a theory multiplied by ``scale`` is reached."""

        def errors(ratios: Any) -> FloatArray:
            scaled = np.asarray(ratios, dtype=float) / scale
            return np.log(scaled) if self.logarithm else scaled - 1.0

        witnesses = None if self.witnesses is None else [errors(w) for w in self.witnesses]
        found = [errors(r) for r in self.ratios]
        return fit_rate(self.sizes, found, witnesses, self.trimmed)


def judged_twice(drawn: Mapping[str, Drawn], rest: Record, wrong: float) -> Record:
    """Record of a check: the fits by path, and under ``"wrong"`` those of a wrong theory.

    Both are of the same draws. ``rest`` stands beside both.

    Parameters
    ----------
    drawn : mapping
        Draws by path, ``"outer/inner"``.
    rest : dict
    wrong : float
        What the wrong theory is multiplied by.
    """

    def fitted(scale: float) -> Record:
        found: Record = dict(rest)
        for path, draws in drawn.items():
            *outer, last = path.split("/")
            place = found
            for key in outer:
                place = place.setdefault(key, {})
            place[last] = draws.fit(scale)
        return found

    return {**fitted(1.0), "wrong": fitted(wrong)}


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


def fit_rate(
    sizes: Sequence[int],
    errors: Sequence[Any],
    witnesses: Sequence[Any] | None = None,
    trimmed: bool = False,
) -> dict[str, Any]:
    """Slope of log(size of the error) in log n, with the error bar that the draws give it.

    Parameters
    ----------
    sizes : sequence of int
        At least two.
    errors : sequence of array_like, shape (m,) or (m, 2)
        Relative errors drawn at each size; in a second column those of their witnesses.
    witnesses : sequence of array_like, shape (M,), optional
        Errors of the witness alone, many at each size.
    trimmed : bool
        Whether the size of errors is the mean of their middle four fifths rather than their root
        mean square: for errors of one sign whose rare large ones would carry the square.

    Returns
    -------
    dict
        ``slope``, ``slope_error``, ``sizes``, and per size ``error``, the size of the errors,
        with its relative error bar ``error_bar``, ``bias``, ``bias_error``.

    Examples
    --------
    >>> from rmtstab.claims.rates import fit_rate
    >>> found = fit_rate((10, 100), [[0.1, -0.1, 0.1], [0.01, 0.01, -0.01]])
    >>> round(found["slope"], 12)
    -1.0
    """
    draws = [np.asarray(e, dtype=float) for e in errors]
    alone = [None] * len(draws) if witnesses is None else [np.asarray(w) for w in witnesses]
    pairs = list(zip(draws, alone, strict=True))
    found = [_trimmed(e) if trimmed else _size_of(e, w) for e, w in pairs]
    size, bars = np.array(found).T
    bias, bias_error = np.array([_mean(_own(e), e, w) for e, w in pairs]).T
    bars = np.maximum(bars, 1e-3)
    weights = 1.0 / bars**2
    x = np.log(np.asarray(sizes, dtype=float))
    leverage = weights * (x - np.sum(weights * x) / weights.sum())
    precision = float(np.sum(leverage * x))
    return {
        "sizes": [int(n) for n in sizes],
        "slope": float(np.sum(leverage * np.log(size))) / precision,
        "slope_error": 1.0 / math.sqrt(precision),
        "error": size.tolist(),
        "error_bar": bars.tolist(),
        "bias": bias.tolist(),
        "bias_error": bias_error.tolist(),
    }


def draw_ratios(sizes: Sequence[int], draws: Sequence[int], sample: Sample) -> list[FloatArray]:
    """Draw so many ratios ``sample(n)`` at each size."""
    pairs = zip(sizes, draws, strict=True)
    return [np.array([sample(n) for _ in range(m)]) for n, m in pairs]


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
        good &= abs(limit) < min(OFF * error, rate.share)
        words.append(
            f"{rate.label} {slope:.2f} ± {bar:.2f} (claimed {rate.claimed:.2f}, told from "
            f"{', '.join(f'{other:.2f}' for other in rate.others)}), "
            f"limit off by {limit:+.1%} ± {error:.1%} (below {rate.share:.0%})"
        )
    first = rates[0].fit_of(record)
    text = f"slopes in log n: {'; '.join(words)}; off by {failing:.0%} where it fails"
    return Outcome(text, first["slope"], first["slope_error"], bool(good), failing)


def intercept(fit: Record, power: float) -> tuple[float, float]:
    """Limit ``b_0`` of the mean errors ``b_0 + b_1 n^power + b_2 n^next``, and its standard error.

    The next power is a third below at a soft edge, where edges move by 1/n, else a half below. What
    is known of ``b_2`` is that it is of the size of ``b_1``: it is fitted as if drawn from a
    normal law of mean 0 and deviation ``|b_1|``, so that the error says what a truncated
    expansion may hide.

    Examples
    --------
    >>> from rmtstab.claims.rates import intercept
    >>> fit = {"sizes": [1000, 2000, 4000], "bias": [0.2, 0.15, 0.125], "bias_error": [0.01] * 3}
    >>> round(intercept(fit, -1.0)[0], 3)
    0.1
    """
    bias, errors = np.asarray(fit["bias"]), np.asarray(fit["bias_error"])
    sizes = np.asarray(fit["sizes"], float)
    lower = power - (1.0 / 3.0 if power == SOFT_EDGE else 0.5)
    columns = np.stack([sizes**0.0, sizes**power, sizes**lower], axis=1) / errors[:, None]
    plain = np.linalg.lstsq(columns[:, :2], bias / errors, rcond=None)[0]
    weight = 1.0 / max(abs(float(plain[1])), 1e-300)
    known = np.array([0.0, 0.0, weight])
    precision = columns.T @ columns + np.outer(known, known)
    covariance = np.linalg.inv(precision)
    found = covariance @ columns.T @ (bias / errors)
    return float(found[0]), math.sqrt(float(covariance[0, 0]))


def supports(fit: dict[str, Any], claimed: float, others: Sequence[float]) -> bool:
    """Whether a fit is nearer to the claimed slope than to any other, beyond its error bar.

    `TOLD` error bars must reach less far than the nearest other slope.

    Examples
    --------
    >>> from rmtstab.claims.rates import supports
    >>> fit = {"slope": -0.7, "slope_error": 0.02}
    >>> supports(fit, -2 / 3, [-0.5, -1.0]), supports(fit, -1.0, [-2 / 3])
    (True, False)
    """
    slope, error = fit["slope"], fit["slope_error"]
    return all(
        TOLD * error < abs(claimed - other) and abs(slope - claimed) < abs(slope - other)
        for other in others
    )


def _own(draws: FloatArray) -> FloatArray:
    """Errors without their witnesses."""
    return draws if draws.ndim == 1 else draws[:, 0]


def _size_of(draws: FloatArray, witness: FloatArray | None) -> tuple[float, float]:
    """Root mean square of errors, and its relative error bar."""
    square, error = _mean(_own(draws) ** 2, draws, witness)
    return math.sqrt(square), 0.5 * error / square


def _trimmed(errors: FloatArray) -> tuple[float, float]:
    """Mean of the middle four fifths, its sign left out, and its relative error bar.

    The error is that of a trimmed mean: of the winsorised errors, over the share kept.
    """
    ordered = np.sort(errors)
    cut = len(ordered) // 10
    low, high = ordered[cut], ordered[-cut - 1]
    middle = abs(float(ordered[cut : len(ordered) - cut].mean()))
    spread = float(np.clip(ordered, low, high).std(ddof=1)) / (1.0 - 2.0 * cut / len(ordered))
    return middle, spread / math.sqrt(len(ordered)) / middle


def _mean(values: FloatArray, draws: FloatArray, witness: FloatArray | None) -> tuple[float, float]:
    """Mean of the values and its standard error, with the draws' witnesses where they have any."""
    if witness is None:
        return float(values.mean()), float(values.std(ddof=1) / math.sqrt(values.size))
    alone = np.stack([witness, witness**2], axis=1)
    beside = np.stack([draws[:, 1], draws[:, 1] ** 2], axis=1) - alone.mean(axis=0)
    columns = np.concatenate([np.ones((values.size, 1)), beside], axis=1)
    turn = np.linalg.pinv(columns)
    found = turn @ values
    # what is left varies with the witness: errors of heteroscedastic sums, each left out in turn
    left = (values - columns @ found) / (1.0 - np.einsum("ij,ji->i", columns, turn))
    means = found[1:] @ np.cov(alone.T) @ found[1:] / len(alone)
    return float(found[0]), math.hypot(float(np.linalg.norm(turn[0] * left)), math.sqrt(means))
