"""Maps of what real unlearning does: every cell measured, the predicted frontiers over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.claims.networks.map_cells import Panel, frontier
from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

COLOURS = ("#EEF3F8", "#FBD795", "#E8783C", "#7D1D2D")  # no run escaped … all did
FRONTIERS: tuple[tuple[str, Any, str], ...] = (
    (_style.BLACK, "-", "typical frontier (theory)"),
    (_style.BLUE, (0, (3, 1.2)), "mean-square frontier (theory)"),
)
MARKS = {
    "forgot": (_style.GREEN, "o", "forgot without escaping"),
    "escaped": (_style.BLACK, "x", "escaped without forgetting"),
}
FRAMES = (
    ("undecided", "0.45", 0.35, "within the prediction's error"),
    ("off", _style.PINK, 1.1, "off the prediction"),
)
LABELS = {"alpha": "mixing α", "batch_size": "retain batch", "snr": "SNR"}
DISPLACEMENT = (-2.0, 1.0, 4.0)  # decades of the colour scale: its ends, and the escape level


def outcome_map(ax: Axes, panel: Panel, shown: str = "share") -> QuadMesh:
    """Draw one map: cells at their place and in their extent, frontiers with their spread.

    Parameters
    ----------
    ax : matplotlib Axes
    panel : Panel
        From `rmtstab.claims.networks.map_cells.panel`.
    shown : {"share", "displacement"}
        Colour: share of runs that escaped, or median displacement at the horizon in decades.

    Returns
    -------
    matplotlib QuadMesh
        The cells, for a colour bar.
    """
    _style.check_axes(ax)
    _checks.instance("panel", panel, Panel)
    _checks.choice("shown", shown, ("share", "displacement"))
    from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm

    x, y = (
        _edges(v, axis != "alpha") for v, axis in zip((panel.x, panel.y), panel.axes, strict=True)
    )
    if shown == "share":
        colours = LinearSegmentedColormap.from_list("escaped", COLOURS)
        mesh = ax.pcolormesh(x, y, panel.share, cmap=colours, vmin=0.0, vmax=1.0)
        _classes(ax, panel)
    else:
        low, level, high = DISPLACEMENT
        decades = np.clip(panel.displacement / np.log(10.0), low, high)
        mesh = ax.pcolormesh(x, y, decades, cmap="RdBu_r", norm=TwoSlopeNorm(level, low, high))
    mesh.set_rasterized(False)
    for name, colour, width, _ in FRAMES:
        _frames(ax, x, y, getattr(panel, name), colour, width)
    for (colour, dashes, label), peaks in zip(
        FRONTIERS, (panel.peaks, panel.mean_square_peaks), strict=True
    ):
        _line(ax, panel, peaks, colour, dashes, label)
    for axis, name, edges in ((ax.xaxis, panel.axes[0], x), (ax.yaxis, panel.axes[1], y)):
        if name != "alpha":
            (ax.set_xscale if axis is ax.xaxis else ax.set_yscale)("log")
            _ticks(axis, edges)
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    return mesh


def map_handles(panels: list[Panel], shown: str) -> list[Any]:
    """Legend handles of what the panels show: frontiers always, marks where they occur.

    Parameters
    ----------
    panels : list of Panel
    shown : str
        As for `outcome_map`.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Line2D([], [], color=colour, linestyle=dashes, label=label)
        for colour, dashes, label in FRONTIERS
    ]
    if shown == "share":
        handles += [
            Line2D([], [], color=colour, marker=mark, markersize=2.5, linestyle="", label=label)
            for kind, (colour, mark, label) in MARKS.items()
            if any((panel.kind == kind).any() for panel in panels)
        ]
    for name, colour, width, label in FRAMES:
        if any(getattr(panel, name).any() for panel in panels):
            handles.append(Patch(fc="none", ec=colour, lw=width, label=label))
    return handles


def _edges(values: FloatArray, logarithmic: bool) -> FloatArray:
    """Borders half-way between neighbours, on the axis's scale."""
    placed = np.log(np.maximum(values, 1e-300)) if logarithmic else values
    middle = 0.5 * (placed[1:] + placed[:-1])
    ends = 2.0 * placed[0] - middle[0], 2.0 * placed[-1] - middle[-1]
    edges = np.concatenate([[ends[0]], middle, [ends[1]]])
    result: FloatArray = np.exp(edges) if logarithmic else edges
    return result


def _classes(ax: Axes, panel: Panel) -> None:
    """Mark the two classes that the colour does not tell."""
    x, y = np.meshgrid(panel.x, panel.y)
    for kind, (colour, mark, _) in MARKS.items():
        chosen = panel.kind == kind
        size = 3.0 if mark == "o" else 5.0
        ax.scatter(x[chosen], y[chosen], s=size, c=colour, marker=mark, linewidths=0.5, zorder=3)


def _frames(ax: Axes, x: FloatArray, y: FloatArray, chosen: Any, colour: str, width: float) -> None:
    """Frame cells."""
    from matplotlib.collections import LineCollection

    frames = [
        [(x[j], y[i]), (x[j + 1], y[i]), (x[j + 1], y[i + 1]), (x[j], y[i + 1]), (x[j], y[i])]
        for i, j in np.argwhere(chosen)
    ]
    ax.add_collection(LineCollection(frames, colors=colour, linewidths=width, zorder=2))


def _line(ax: Axes, panel: Panel, peaks: FloatArray, colour: str, dashes: Any, label: str) -> None:
    """Draw a frontier: of the middle network, and the range over networks shaded.

    A network whose frontier lies beyond the axis counts as such: a mean would leap there.
    """
    if panel.axes[1] != "alpha":  # no axis along which it rises: a contour
        middle = np.nanmedian(peaks, axis=0)
        ax.contour(panel.x, panel.y, middle, [panel.level], colors=colour, linestyles=[dashes])
        return
    lines = np.array([frontier(p, panel.y, panel.level) for p in peaks])
    top = 2.0 * panel.y[-1]  # beyond the axis
    bounded = np.where(np.isnan(lines), top, lines)
    known = ~np.isnan(peaks).all(axis=1)
    low = np.where(known, bounded, np.inf).min(axis=0)
    high = np.where(known, bounded, -np.inf).max(axis=0)
    ax.fill_between(panel.x, low, high, color=colour, alpha=0.18, linewidth=0)
    middle = np.nanmedian(np.where(known, bounded, np.nan), axis=0)
    middle[middle > panel.y[-1]] = np.nan  # most lie beyond it
    ax.plot(panel.x, middle, color=colour, linestyle=dashes, linewidth=1.1, label=label)


def _ticks(axis: Any, edges: FloatArray) -> None:
    """Plain numbers at 1, 2, 5 times the powers of ten, or at powers of two over one decade."""
    from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullFormatter, NullLocator

    ticks = [m * 10.0**e for e in range(-3, 5) for m in (1.0, 2.0, 5.0)]
    shown = [t for t in ticks if edges[0] <= t <= edges[-1]]
    axis.set_major_locator(FixedLocator(shown))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
