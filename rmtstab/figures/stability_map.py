"""Growth over (batch size × mixing), with the critical mixing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab._results import FloatArray, Frontier, Verdict
from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap

HALF = 0.4  # half the length of a dash, in columns
CEILING = 1e3  # times the level and below it: growth beyond has the last colour
SIDES = {0.2: "stable", 0.8: "escapes"}  # colours that stand for either side in the legend
UNSURE: dict[Verdict, dict[str, Any]] = {
    Verdict.MARGINAL: {"marker": "D", "color": _style.BLACK, "label": "marginal"},
    Verdict.UNDECIDED: {"marker": "x", "color": _style.BLACK, "label": "undecided"},
}


def stability_map(ax: Axes, frontier: Frontier) -> Axes:
    """Draw a stability map: a dash a computed setting, the critical mixing across them.

    Blue dashes are stable and red ones escape, the deeper the further from the level; a mark says
    where a certificate leaves the verdict open. A dash stands at its own mixing, and the white
    between dashes was not computed; the critical mixing is, for each batch size.

    Parameters
    ----------
    ax : matplotlib Axes
    frontier : Frontier
        From `UnlearningProblem.frontier`.

    Returns
    -------
    matplotlib Axes
        Batch sizes side by side, mixings to scale.

    Raises
    ------
    TypeError
        If it is no map.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import numpy as np
    >>> import rmtstab as rs
    >>> problem = rs.UnlearningProblem.from_factors(np.eye(4), np.eye(4)[:2])
    >>> found = problem.frontier(1.0, [(1, 1), (2, 2)], [0.0, 0.5, 1.0])
    >>> rs.figures.stability_map(Figure().add_subplot(), found).get_ylabel()
    'mixing α'
    """
    _style.check_axes(ax)
    from matplotlib.collections import LineCollection
    from matplotlib.colors import TwoSlopeNorm
    from matplotlib.patches import Patch
    from matplotlib.patheffects import Normal, Stroke

    if not isinstance(frontier, Frontier):
        raise TypeError(f"frontier must be a Frontier, got {type(frontier).__name__}")
    alphas, columns = np.asarray(frontier.alphas), np.arange(len(frontier.batch_sizes))
    growth = np.nan_to_num(frontier.values / frontier.level, nan=CEILING, posinf=CEILING)
    logs = np.log10(np.clip(growth, 1.0 / CEILING, CEILING))
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(*_limits(frontier))
    x, y = (grid.ravel() for grid in np.meshgrid(columns, alphas))
    dashes = LineCollection(
        [[(k - HALF, alpha), (k + HALF, alpha)] for k, alpha in zip(x, y, strict=True)],
        array=logs.ravel(), cmap=_colours(), capstyle="butt", linewidths=_thickness(ax, alphas),
        norm=TwoSlopeNorm(0.0, min(logs.min(), -1e-3), max(logs.max(), 1e-3)),
    )  # fmt: skip
    ax.add_collection(dashes, autolim=False)
    _colour_bar(ax, dashes, frontier)
    for verdict, look in UNSURE.items():
        chosen = (frontier.verdicts == verdict).ravel()
        if chosen.any():
            ax.plot(x[chosen], y[chosen], linestyle="none", **look)
    halo = [Stroke(linewidth=4.0, foreground="white"), Normal()]
    ax.hlines(
        frontier.critical_alpha, columns - 0.5, columns + 0.5, color=_style.BLACK, linewidth=1.8,
        label="critical mixing α*", path_effects=halo, zorder=3,
    )  # fmt: skip
    labels = [f"{r:g}/{f:g}" if f else f"{r:g}" for r, f in frontier.batch_sizes]
    crowded = len("".join(labels)) > 10 * _inches(ax)[0]
    ax.set_xticks(columns, labels, rotation=45 if crowded else 0)
    ax.set_xlabel("batch size, retain/forget")
    ax.set_ylabel("mixing α")
    there = {"stable": logs.min() <= 0.0, "escapes": logs.max() > 0.0}
    sides = [
        Patch(color=dashes.cmap(share), label=word) for share, word in SIDES.items() if there[word]
    ]
    handles = [*sides, *ax.get_legend_handles_labels()[0]]
    ax.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, borderaxespad=0.2,
        columnspacing=1.0, handlelength=1.4,
    )  # fmt: skip
    return ax


def _limits(frontier: Frontier) -> tuple[float, float]:
    """Half a step beyond the outermost mixings and critical ones, so that all show whole."""
    alphas, critical = frontier.alphas, frontier.critical_alpha
    shown = np.concatenate([alphas, critical[np.isfinite(critical)]])
    margin = 0.6 * float(np.ptp(alphas)) / max(len(alphas) - 1, 1) or 0.05
    return float(shown.min()) - margin, float(shown.max()) + margin


def _inches(ax: Axes) -> tuple[float, float]:
    """Width and height of the axes."""
    width, height = ax.get_figure(root=True).get_size_inches()  # type: ignore[union-attr]
    box = ax.get_position()
    return box.width * width, box.height * height


def _thickness(ax: Axes, alphas: FloatArray) -> float:
    """Width of a dash, in points, that leaves a gap to its neighbours."""
    low, high = ax.get_ylim()
    step = float(np.diff(np.sort(alphas)).min()) if len(alphas) > 1 else high - low
    return float(np.clip(0.75 * 72.0 * _inches(ax)[1] * step / (high - low), 0.6, 12.0))


def _colours() -> ListedColormap:
    """Blue below the level, red above it, and no white between: each side shows at once."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    shares = np.concatenate([np.linspace(0.0, 0.4, 128), np.linspace(0.62, 1.0, 128)])
    return ListedColormap(mpl.colormaps["RdBu_r"](shares))


def _colour_bar(ax: Axes, dashes: Any, frontier: Frontier) -> None:
    """Label colours by growth itself, not by its logarithm."""
    norm = dashes.norm
    logs = dashes.get_array()
    ticks = [norm.vmin, norm.vmin / 2, 0.0, norm.vmax / 2, norm.vmax]
    ticks = ticks[0 if logs.min() <= 0.0 else 2 : 5 if logs.max() > 0.0 else 3]
    bar = ax.figure.colorbar(dashes, ax=ax, pad=0.02)
    values = [float(f"{frontier.level * 10.0**tick:.3g}") for tick in ticks]
    bar.set_ticks(ticks, labels=[f"{value:g}" for value in values])
    bar.ax.minorticks_off()
    steps = frontier.horizon
    bar.set_label("growth factor ρ" if steps is None else f"E‖w‖²/E‖w₀‖² after {steps} steps")
