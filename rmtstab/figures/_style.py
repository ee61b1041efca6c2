"""One look for all figures: colour-blind safe (Okabe and Ito), readable at column width."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
VERMILION, SKY, BLACK, GREY = "#D55E00", "#56B4E9", "#000000", "#999999"
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

    parameters: Any = {
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 8,
        "legend.fontsize": 6.5,
        "legend.frameon": False,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "lines.linewidth": 1.2,
        "lines.markersize": 4,
        "savefig.dpi": 200,
        "svg.fonttype": "none",
        "svg.hashsalt": "rmtstab",
        "figure.constrained_layout.use": True,
    }
    with mpl.rc_context(parameters):
        yield
