"""Real runs against Φᵏ, the Lyapunov line and the predicted losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
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

    Raises
    ------
    TypeError, ValueError
        If one of these is missing, is no series of numbers, or has another length.
    """
    _style.check_axes(ax)
    names = "mean_square", "mean_square_predicted", "linear_median"
    curves = _checks.series("data", data, names)
    _checks.mapping("data", data, ("log_quantiles", "lyapunov"))
    logs = _checks.array("data['log_quantiles']", data["log_quantiles"], ndim=2, finite=False)
    if logs.shape != (3, len(curves["mean_square"])):
        raise ValueError(
            f"data['log_quantiles'] must have shape (3, {len(curves['mean_square'])}), "
            f"got {logs.shape}"
        )
    rate = _checks.real("data['lyapunov']", data["lyapunov"])
    with np.errstate(over="ignore", invalid="ignore"):  # drawn as far as the axis goes
        low, median, high = np.exp(logs)
        mean, predicted = (np.sqrt(curves[name]) for name in names[:2])
        linear = np.exp(curves["linear_median"])
        slope = np.exp(logs[1, -1] + rate * (np.arange(len(median)) - (len(median) - 1.0)))
    steps = np.arange(len(median))
    ax.fill_between(steps, low, high, color="0.85", label="10–90 % of runs (measured)")
    ax.plot(steps, median, color=_style.BLACK, label="median (measured)")
    ax.plot(
        steps, mean, ".", color=_style.GREY, markersize=2,
        label="root mean square (measured)",
    )  # fmt: skip
    ax.plot(
        steps, predicted, "--", color=_style.VERMILION,
        label="root mean square, Φᵏ (theory)",
    )  # fmt: skip
    ax.plot(
        steps, linear, ":", color=_style.BLUE,
        label="median, linearised runs (theory)",
    )  # fmt: skip
    ax.plot(
        steps, slope, "-.", color=_style.GREEN,
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

    Raises
    ------
    TypeError, ValueError
        If one of these is missing, is no series of numbers, or has another length.
    """
    _style.check_axes(ax)
    kinds = "", "_error", "_predicted"
    for name, colour in (("retain", _style.BLUE), ("forget", _style.VERMILION)):
        curves = _checks.series("data", data, [f"{name}_loss{kind}" for kind in kinds])
        seen, error, predicted = curves.values()
        steps = np.arange(len(seen))
        ax.fill_between(
            steps, np.maximum(seen - error, seen / 10), seen + error, color=colour, alpha=0.25
        )
        ax.plot(steps, seen, color=colour, label=f"{name} loss (measured)")
        ax.plot(
            steps, predicted, "--", color="k", linewidth=0.8,
            label=f"{name} loss, Φᵏ (theory)",
        )  # fmt: skip
    ax.set_yscale("log")
    ax.set_xlabel("step")
    ax.set_ylabel("loss, ½ mean (f − y)²")
    return ax
