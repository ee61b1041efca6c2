"""One look for all figures: colour-blind safe (Okabe and Ito), readable at column width."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rmtstab import _checks

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
VERMILION, SKY, BLACK, GREY = "#D55E00", "#56B4E9", "#000000", "#999999"
CYCLE = (BLUE, VERMILION, GREEN, ORANGE, PINK, SKY)
COLUMN = 3.4  # inches, one column of a two-column page

PROTOCOL_STYLE = {
    "sgd_scaled": (BLUE, "o", "½ of SGD's threshold"),
    "sharpness_scaled": (ORANGE, "s", "0.05 / sharpness"),
    "common": (GREEN, "^", "one common step"),
}


@contextmanager
def style() -> Iterator[None]:
    """Apply the look within a block; searchable text and repeatable ids in SVG."""
    import matplotlib as mpl
    from cycler import cycler

    parameters: Any = {
        "axes.prop_cycle": cycler(color=CYCLE),
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 8,
        "legend.fontsize": 6.5,
        "legend.frameon": False,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "lines.linewidth": 1.2,
        "lines.markersize": 4,
        "axes.formatter.useoffset": False,  # no "1e-5+9.999e-1" beside an axis
        "savefig.dpi": 200,
        "svg.fonttype": "none",
        "svg.hashsalt": "rmtstab",
        "figure.constrained_layout.use": True,
    }
    with mpl.rc_context(parameters):
        yield


def check_axes(ax: Any) -> None:
    """Refuse what is no axes to draw into."""
    from matplotlib.axes import Axes

    _checks.instance("ax", ax, Axes, words="matplotlib Axes")


def plain_ticks(axis: Any, steps: tuple[float, ...] = (1.0, 2.0, 5.0)) -> None:
    """Label a logarithmic axis at steps times the powers of ten, as numbers.

    Over more than three decades, or more than two beside each other, where numbers would meet,
    the powers alone are labelled, as usual.

    Parameters
    ----------
    axis : matplotlib Axis
    steps : tuple of float
    """
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    decades = 2.0 if axis.axis_name == "x" else 3.0
    if axis.get_scale() != "log" or not 0.0 < low < high <= 10.0**decades * low:
        return
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_formatter(NullFormatter())
