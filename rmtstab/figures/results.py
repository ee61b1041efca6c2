"""Figures of single results: a trajectory's moments, replicated runs, who dominates growth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rmtstab._results import Growth, Trajectory


def trajectory(ax: Axes, result: Trajectory) -> Axes:
    """Draw second moments step by step: displacement, retain and forget loss, and quantiles.

    Parameters
    ----------
    ax : matplotlib Axes
    result : Trajectory
        Of `Dynamics.trajectory`.

    Returns
    -------
    matplotlib Axes
        Logarithmic upwards.

    Raises
    ------
    TypeError
        If it is no trajectory.

    Examples
    --------
    >>> import numpy as np
    >>> import rmtstab as rs
    >>> from matplotlib.figure import Figure
    >>> problem = rs.UnlearningProblem.from_factors(np.eye(3)[:2], np.eye(3)[2:])
    >>> path = problem.dynamics(0.5, (1, 1), 0.3).trajectory(5)
    >>> rs.figures.trajectory(Figure().add_subplot(), path).get_xlabel()
    'step'
    """
    _style.check_axes(ax)
    if not hasattr(result, "quantiles") or not hasattr(result, "retain_loss"):
        raise TypeError(f"result must be a Trajectory, got {type(result).__name__}")
    steps = np.arange(result.displacement.size)
    if result.quantiles.size:
        low, high = result.quantiles[0], result.quantiles[-1]
        ax.fill_between(steps, low, high, color="0.85", label="‖w‖² of simulated runs")
    lines = (
        ("E‖w‖²", result.displacement, _style.BLACK, "-"),
        ("retain loss", result.retain_loss, _style.BLUE, "--"),
        ("forget loss", result.forget_loss, _style.VERMILION, "-."),
    )
    for label, values, colour, dash in lines:
        if np.any(values > 0.0):
            ax.plot(steps, values, dash, color=colour, label=label)
    ax.set_yscale("log")
    ax.set_xlabel("step")
    ax.set_ylabel("expected value")
    ax.legend()
    return ax


def runs(ax: Axes, result: Any, *, quantiles: tuple[float, float] = (0.1, 0.9)) -> Axes:
    """Draw the displacement of replicated runs: median, and the band that holds most of them.

    Parameters
    ----------
    ax : matplotlib Axes
    result : Simulation or UnlearningRuns
        With ``displacement`` of shape (replicas, steps + 1).
    quantiles : pair of float
        Ends of the band, in [0, 1].

    Returns
    -------
    matplotlib Axes
        Logarithmic upwards.

    Raises
    ------
    TypeError, ValueError
        If there are no runs in it, or the quantiles are none.

    Examples
    --------
    >>> import numpy as np
    >>> import rmtstab as rs
    >>> from matplotlib.figure import Figure
    >>> problem = rs.UnlearningProblem.from_factors(np.eye(3)[:2], np.eye(3)[2:])
    >>> found = problem.dynamics(0.5, (1, 1), 0.3).simulate(5, 8, 0)
    >>> rs.figures.runs(Figure().add_subplot(), found).get_ylabel()
    '‖w‖'
    """
    _style.check_axes(ax)
    if not hasattr(result, "displacement"):
        raise TypeError(f"result must hold runs, got {type(result).__name__}")
    ends = _checks.array("quantiles", quantiles, ndim=1)
    if len(_checks.probabilities("quantiles", ends)) < 2:
        raise ValueError(f"quantiles must be a pair, got {len(ends)}")
    values = _checks.array("displacement", result.displacement, ndim=2, finite=False)
    low, median, high = (
        np.quantile(values, q, axis=0, method="inverted_cdf") for q in (ends[0], 0.5, ends[-1])
    )
    steps = np.arange(values.shape[1])
    label = f"{100 * ends[0]:g}–{100 * ends[-1]:g} % of {len(values)} runs"
    ax.fill_between(steps, low, high, color=_style.SKY, alpha=0.4, linewidth=0, label=label)
    ax.plot(steps, median, color=_style.BLUE, label="median run")
    ax.set_yscale("log")
    ax.set_xlabel("step")
    ax.set_ylabel("‖w‖")
    ax.legend()
    return ax


def participation(ax: Axes, growth: Growth) -> Axes:
    """Draw the share of each sample in the dominating mode of growth.

    Parameters
    ----------
    ax : matplotlib Axes
    growth : Growth

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        If it is no growth factor with its participation.

    Examples
    --------
    >>> import numpy as np
    >>> import rmtstab as rs
    >>> from matplotlib.figure import Figure
    >>> problem = rs.UnlearningProblem.from_factors(np.eye(3)[:2], np.eye(3)[2:])
    >>> found = problem.dynamics(0.5, (1, 1), 0.3).growth()
    >>> rs.figures.participation(Figure().add_subplot(), found).get_xlabel()
    'sample, retain first'
    """
    _style.check_axes(ax)
    if not hasattr(growth, "participation"):
        raise TypeError(f"growth must be a Growth, got {type(growth).__name__}")
    shares = growth.participation
    ax.vlines(np.arange(shares.size), 0.0, shares, color=_style.BLUE)
    ax.plot(np.arange(shares.size), shares, "o", color=_style.BLUE)
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel("sample, retain first")
    ax.set_ylabel("share of the dominating mode")
    return ax
