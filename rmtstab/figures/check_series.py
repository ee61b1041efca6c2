"""What a check measured, as series of points: the setting that fails beside those that hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
        ``x_label``, ``y_label``, ``series`` (each with ``label``, ``x``, ``y`` and
        perhaps ``error``), ``logarithmic`` ("", "x", "y" or "xy") and ``levels``
        (horizontal lines: what is claimed).

    Returns
    -------
    matplotlib Axes

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
    scale = _checks.choice("logarithmic", figure["logarithmic"], ("", "x", "y", "xy"))
    for k, series in enumerate(figure["series"]):
        ax.errorbar(
            series["x"], series["y"], series.get("error"), linestyle="none", capsize=2,
            marker=MARKERS[k % len(MARKERS)], color=COLOURS[k % len(COLOURS)],
            label=series["label"],
        )  # fmt: skip
    for level in figure["levels"]:
        ax.axhline(level, color=_style.GREY, linewidth=0.8)
    if "x" in scale:
        ax.set_xscale("log")
    if "y" in scale:
        ax.set_yscale("log")
    ax.set_xlabel(figure["x_label"])
    ax.set_ylabel(figure["y_label"])
    return ax
