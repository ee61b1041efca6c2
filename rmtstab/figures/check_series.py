"""What a check measured, as series of points: the setting that fails beside those that hold."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = (_style.BLUE, _style.ORANGE, _style.GREEN, _style.VERMILION, _style.PINK, _style.SKY)
MARKERS = "os^Dvx"


def check_series(ax: Axes, figure: dict[str, Any]) -> Axes:
    """Draw the figure entry of a check's record.

    Parameters
    ----------
    ax : matplotlib Axes
    figure : dict
        ``x_label``, ``y_label``, ``series`` (each with ``label``, ``x``, ``y`` and perhaps
        ``error``, and ``slope``: the exponent that is claimed), ``logarithmic`` ("", "x", "y"
        or "xy") and ``levels`` (horizontal lines: what is claimed).

    Returns
    -------
    matplotlib Axes
        A dashed line is the power law that is claimed, through the middle of its points.

    Raises
    ------
    ValueError
        If ``logarithmic`` is something else.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmtstab import figures
    >>> entry = {"x_label": "n", "y_label": "gap", "logarithmic": "xy", "levels": [],
    ...          "series": [{"label": "gap", "x": [40, 80], "y": [0.1, 0.05]}]}
    >>> figures.check_series(Figure().add_subplot(), entry).get_xscale()
    'log'
    """
    _style.check_axes(ax)
    keys = ("series", "levels", "logarithmic", "x_label", "y_label")
    _checks.mapping("figure", figure, keys)
    _checks.records("figure['series']", figure["series"], ("x", "y", "label"))
    scale = _checks.choice("logarithmic", figure["logarithmic"], ("", "x", "y", "xy"))
    for k, series in enumerate(figure["series"]):
        ax.errorbar(
            series["x"], series["y"], series.get("error"), linestyle="none", capsize=2,
            marker=MARKERS[k % len(MARKERS)], color=COLOURS[k % len(COLOURS)],
            label=_label(series),
        )  # fmt: skip
        if "slope" in series:
            _guide(ax, series, COLOURS[k % len(COLOURS)])
    for level in figure["levels"]:
        ax.axhline(level, color=_style.GREY, linewidth=0.8)
    if "x" in scale:
        ax.set_xscale("log")
    if "y" in scale:
        ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        _style.plain_ticks(axis)
    ax.set_xlabel(figure["x_label"])
    ax.set_ylabel(figure["y_label"])
    return ax


def _label(series: dict[str, Any]) -> str:
    """Name of a series, with the exponent claimed of it as a fraction."""
    if "slope" not in series:
        return str(series["label"])
    slope = Fraction(float(series["slope"])).limit_denominator(12)
    return f"{series['label']} (claimed slope {str(slope).replace('-', '−')})"


def _guide(ax: Axes, series: dict[str, Any], colour: str) -> None:
    """Draw the power law of the claimed exponent through the middle of the points."""
    x, y = (np.asarray(series[key], dtype=float) for key in ("x", "y"))
    shown = (x > 0.0) & (y > 0.0)
    if shown.sum() < 2:
        return
    x, y, slope = x[shown], y[shown], float(series["slope"])
    level = np.exp(np.mean(np.log(y) - slope * np.log(x)))
    ends = np.array([x.min(), x.max()])
    ax.plot(ends, level * ends**slope, "--", color=colour, lw=0.8)
