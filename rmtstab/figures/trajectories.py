"""Real runs against Φᵏ, the Lyapunov line and the predicted losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def trajectories(ax: Axes, data: dict[str, Any]) -> Axes:
    """Draw median and spread of real displacements, the mean square, and what theory says.

    Parameters
    ----------
    ax : matplotlib Axes
    data : dict
        ``log_quantiles`` (10, 50, 90 %), ``mean_square``, ``mean_square_predicted``,
        ``linear_median``, ``lyapunov``; displacements relative to the start.

    Returns
    -------
    matplotlib Axes
    """
    _style.check_axes(ax)
    low, median, high = (np.exp(np.array(q)) for q in data["log_quantiles"])
    steps = np.arange(len(median))
    ax.fill_between(steps, low, high, color="0.85", label="10–90 % of runs (measured)")
    ax.plot(steps, median, color=_style.BLACK, label="median (measured)")
    ax.plot(
        steps, np.sqrt(data["mean_square"]), ".", color=_style.GREY, markersize=2,
        label="root mean square (measured)",
    )  # fmt: skip
    ax.plot(
        steps, np.sqrt(data["mean_square_predicted"]), "--", color=_style.VERMILION,
        label="root mean square, Φᵏ (theory)",
    )  # fmt: skip
    ax.plot(
        steps, np.exp(data["linear_median"]), ":", color=_style.BLUE,
        label="median, linearised runs (theory)",
    )  # fmt: skip
    anchor = np.log(median[-1]) - data["lyapunov"] * steps[-1]
    ax.plot(
        steps, np.exp(anchor + data["lyapunov"] * steps), "-.", color=_style.GREEN,
        label="Lyapunov slope (theory)",
    )  # fmt: skip
    ax.set_yscale("log")
    ax.set_xlabel("step")
    ax.set_ylabel("‖w − w*‖ / ‖w₀ − w*‖")
    return ax


def losses(ax: Axes, data: dict[str, Any]) -> Axes:
    """Draw mean retain and forget loss of real runs, and their predictions.

    Parameters
    ----------
    ax : matplotlib Axes
    data : dict
        ``retain_loss``, ``forget_loss``, each with ``_error`` and ``_predicted``.

    Returns
    -------
    matplotlib Axes
    """
    _style.check_axes(ax)
    for name, colour in (("retain", _style.BLUE), ("forget", _style.VERMILION)):
        seen = np.array(data[f"{name}_loss"])
        error = np.array(data[f"{name}_loss_error"])
        steps = np.arange(len(seen))
        ax.fill_between(
            steps, np.maximum(seen - error, seen / 10), seen + error, color=colour, alpha=0.25
        )
        ax.plot(steps, seen, color=colour, label=f"{name} loss (measured)")
        ax.plot(
            steps, data[f"{name}_loss_predicted"], "--", color="k", linewidth=0.8,
            label=f"{name} loss, Φᵏ (theory)",
        )  # fmt: skip
    ax.set_yscale("log")
    ax.set_xlabel("step")
    ax.set_ylabel("loss, ½ mean (f − y)²")
    return ax
