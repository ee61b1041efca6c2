"""Maps cell by cell: what real runs did against what was predicted, and against wrong theories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.claims.networks.map_cells import Cells
from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = np.array([0.0, 0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.98, 1.0])
REACH = (-2.0, 7.0)  # of log displacement


def displacement_agreement(ax: Axes, cells: Cells) -> Axes:
    """Draw mean log displacement of real runs against its prediction, a point a cell.

    Parameters
    ----------
    ax : matplotlib Axes
    cells : Cells
        From `rmtstab.claims.networks.map_cells.read`.

    Returns
    -------
    matplotlib Axes
    """
    for name, colour, label in (
        ("mean_square", _style.SKY, "mean square"),
        ("mean", _style.BLACK, "typical run"),
    ):
        ax.plot(
            cells[name], cells["seen_mean"], ".", color=colour, markersize=1.2, alpha=0.35,
            markeredgewidth=0, rasterized=True,
        )  # fmt: skip
        ax.plot([], [], ".", color=colour, markersize=4, label=label)
    ax.axline((0.0, 0.0), slope=1.0, color=_style.VERMILION, linewidth=0.8)
    ax.set_xlim(*REACH)
    ax.set_ylim(*REACH)
    ax.set_title("log displacement")
    ax.set_xlabel("predicted")
    ax.set_ylabel("mean of real runs")
    ax.legend(loc="upper left", handletextpad=0.2)
    return ax


def calibration(ax: Axes, cells: Cells) -> Axes:
    """Draw the share of runs that escaped against its predicted probability, cells in bins.

    Parameters
    ----------
    ax : matplotlib Axes
    cells : Cells

    Returns
    -------
    matplotlib Axes
        Error bars: one standard error over networks.
    """
    for name, colour, mark, label in (
        ("probability_wrong", _style.ORANGE, "x", "theory × 1.1"),
        ("probability", _style.BLACK, "o", "theory"),
    ):
        said, seen, error = binned(cells, name)
        ax.errorbar(said, seen, error, fmt=mark, color=colour, markersize=3, label=label, lw=0.8)
    ax.axline((0.0, 0.0), slope=1.0, color=_style.VERMILION, linewidth=0.8)
    ax.set_title("share escaped")
    ax.set_xlabel("predicted")
    ax.set_ylabel("seen")
    ax.legend(loc="upper left", handletextpad=0.2)
    return ax


def binned(cells: Cells, probability: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean prediction, mean share and its error over networks, of the bins that hold cells.

    Parameters
    ----------
    cells : Cells
    probability : str
        Which prediction.

    Returns
    -------
    ndarray, ndarray, ndarray
    """
    place = np.digitize(cells[probability], BINS[1:-1])
    rows = []
    for k in np.unique(place):
        inside = place == k
        gaps = cells.share[inside] - cells[probability][inside]
        owners = cells.network[inside]
        sums = np.bincount(owners, weights=gaps - gaps.mean())
        error = np.sqrt(np.sum(sums**2)) / inside.sum()  # networks as clusters
        rows.append((cells[probability][inside].mean(), cells.share[inside].mean(), error))
    said, seen, errors = np.array(rows).T
    return said, seen, errors
