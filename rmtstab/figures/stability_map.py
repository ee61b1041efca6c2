"""Growth over (batch size × mixing), with the critical mixing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rmtstab._results import Frontier, Verdict
from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def stability_map(ax: Axes, frontier: Frontier) -> Axes:
    """Draw a stability map: logarithm of growth in colour, the frontier as a line.

    Cells whose verdict is UNDECIDED carry a cross.

    Parameters
    ----------
    ax : matplotlib Axes
    frontier : Frontier
        From `UnlearningProblem.frontier`; the x axis is the retain batch size.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> import rmtstab as rs
    >>> problem = rs.UnlearningProblem.from_factors(np.eye(4), np.eye(4)[:2])
    >>> found = problem.frontier(1.0, [(1, 1), (2, 2)], [0.0, 0.5, 1.0])
    >>> from rmtstab.figures.stability_map import stability_map
    >>> stability_map(plt.figure().gca(), found).get_ylabel()
    'mixing α'
    """
    x = frontier.batch_sizes[:, 0]
    with np.errstate(divide="ignore"):
        logs = np.log10(np.maximum(frontier.values / frontier.level, 1e-300))
    finite = logs[np.isfinite(logs)]
    span = float(np.clip(np.abs(finite).max(initial=0.0), 1e-6, 3.0))
    drawn = np.clip(np.nan_to_num(logs, posinf=span), -span, span)
    mesh = ax.pcolormesh(
        x, frontier.alphas, drawn, cmap="RdBu_r", vmin=-span, vmax=span, shading="nearest"
    )
    name = "growth factor ρ" if frontier.horizon is None else "E‖w_K‖²/R²"
    bar = ax.figure.colorbar(mesh, ax=ax)
    bar.set_label(f"log₁₀ {name}")
    ax.plot(x, frontier.critical_alpha, color=_style.BLACK, marker=".", label="critical mixing α*")
    row, column = np.nonzero(frontier.verdicts == Verdict.UNDECIDED)
    if row.size:
        ax.plot(x[column], frontier.alphas[row], "x", color=_style.BLACK, label="undecided")
    ax.set_xlabel("retain batch size")
    ax.set_ylabel("mixing α")
    ax.legend(loc="best")
    return ax
