"""Growth over (batch size × mixing), with the critical mixing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rmtstab._results import Frontier, Verdict
from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = {Verdict.ESCAPES: "s", Verdict.STABLE: "o", Verdict.MARGINAL: "D", Verdict.UNDECIDED: "X"}
WORDS = {
    Verdict.ESCAPES: "escapes", Verdict.STABLE: "stable",
    Verdict.MARGINAL: "marginal", Verdict.UNDECIDED: "undecided",
}  # fmt: skip


def stability_map(ax: Axes, frontier: Frontier) -> Axes:
    """Draw a stability map: a mark a computed setting, the critical mixing as a line.

    The colour is the logarithm of growth over the level at which a setting escapes, the shape
    its certified verdict. Nothing is drawn between settings, where nothing was computed.

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
    if not isinstance(frontier, Frontier):
        raise TypeError(f"frontier must be a Frontier, got {type(frontier).__name__}")
    with np.errstate(divide="ignore"):
        logs = np.log10(np.maximum(frontier.values / frontier.level, 1e-300))
    finite = logs[np.isfinite(logs)]
    span = float(np.clip(np.abs(finite).max(initial=0.0), 1e-6, 3.0))
    drawn = np.clip(np.nan_to_num(logs, nan=span, posinf=span), -span, span)
    columns = np.arange(len(frontier.batch_sizes))
    x, y = np.meshgrid(columns, frontier.alphas)
    size = _mark_size(ax, frontier.values.shape)
    for verdict, mark in MARKS.items():
        chosen = frontier.verdicts == verdict
        if chosen.any():
            points = ax.scatter(
                x[chosen], y[chosen], c=drawn[chosen], s=size, marker=mark, cmap="RdBu_r",
                vmin=-span, vmax=span, edgecolors="0.3", linewidths=0.3, label=WORDS[verdict],
                clip_on=False,
            )  # fmt: skip
    name = "ρ" if frontier.horizon is None else f"E‖w‖²/R² after {frontier.horizon} steps"
    ax.figure.colorbar(points, ax=ax, label=f"log₁₀ {name}")
    ax.plot(
        columns, frontier.critical_alpha, color=_style.BLACK, marker="_", markersize=10,
        label="critical mixing α*",
    )  # fmt: skip
    labels = [f"{r:g}/{f:g}" if f else f"{r:g}" for r, f in frontier.batch_sizes]
    ax.set_xticks(columns, labels, rotation=45 if len(labels) > 8 else 0)
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_xlabel("batch size, retain/forget")
    ax.set_ylabel("mixing α")
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, columnspacing=1.0)
    return ax


def _mark_size(ax: Axes, shape: tuple[int, ...]) -> float:
    """Area of a mark, in points², that leaves a gap to its neighbours."""
    box = ax.get_position()
    width, height = ax.get_figure(root=True).get_size_inches()  # type: ignore[union-attr]
    rows, columns = shape
    side = 72.0 * 0.7 * min(box.height * height / rows, 0.8 * box.width * width / columns)
    return float(np.clip(side, 2.0, 16.0) ** 2)
