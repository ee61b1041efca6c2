"""How far from the trained weights the linear theory predicts, and real outcomes beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab.claims.claim import Evidence
from rmtstab.claims.networks import natural_size
from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OUTCOMES = {
    "keeps": ("#DCE9F5", "keeps"),
    "forgets": ("#A6D8B4", "forgets"),
    "forgets_then_collapses": ("#F2B680", "forgets, then collapses"),
    "collapses": ("#8C8C8C", "collapses"),
}
SHORT = {natural_size.SQUARED: "squared", natural_size.LOGISTIC: "logistic"}
Drawings = dict[str, tuple[Callable[[], Any], str]]
Errors = dict[float, list[float]]


def prediction_errors(ax: Axes, series: dict[str, Errors], limit: float) -> Axes:
    """Draw the factor between predicted and real loss against the distance from w*.

    Parameters
    ----------
    ax : matplotlib Axes
    series : dict
        By its label: distance over ‖w*‖ to log errors, one a network.
    limit : float
        Factor from which a prediction is none.

    Returns
    -------
    matplotlib Axes
    """
    colours = (_style.BLUE, _style.GREEN, _style.VERMILION, _style.GREY)
    markers = ("o", "s", "^", "x")
    for (label, errors), colour, marker in zip(series.items(), colours, markers, strict=False):
        places = np.array(sorted(errors))
        means = np.array([np.mean(errors[p]) for p in places])
        spread = [np.std(errors[p], ddof=1) / math.sqrt(len(errors[p])) if len(errors[p]) > 1
                  else 0.0 for p in places]  # fmt: skip
        low, high = np.exp(means - spread), np.exp(means + spread)
        middle = np.exp(means)
        ax.errorbar(
            100.0 * places, middle, yerr=(middle - low, high - middle), color=colour,
            marker=marker, capsize=2, label=label,
        )  # fmt: skip
    ax.axhline(limit, color="0.5", linestyle=":")
    ax.set_xscale("log")
    ax.set_yscale("log")
    _style.plain_ticks(ax.xaxis)
    _style.plain_ticks(ax.yaxis)
    ax.set_xlabel("distance of the run from w*, % of ‖w*‖")
    ax.set_ylabel("predicted / real forget loss (factor)")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22))
    return ax


def natural_map(ax: Axes, cells: list[dict[str, Any]], predictor: str) -> Axes:
    """Draw real outcomes over (batch size, mixing); a cross where the predicted collapse differs.

    Parameters
    ----------
    ax : matplotlib Axes
    cells : list of dict
        With ``batch_size``, ``alpha``, ``real`` and the predictor's ``collapses`` and ``outcome``.
    predictor : str

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib.colors import to_rgb

    batches = list(dict.fromkeys(tuple(c["batch_size"]) for c in cells))
    alphas = sorted({c["alpha"] for c in cells})
    image = np.ones((len(alphas), len(batches), 3))
    crossed = []
    for cell in cells:
        row, column = alphas.index(cell["alpha"]), batches.index(tuple(cell["batch_size"]))
        image[row, column] = to_rgb(OUTCOMES[cell["real"]["outcome"]][0])
        if (cell["real"]["collapses"] is None) != (cell[predictor]["collapses"] is None):
            crossed.append((column, row))
    half = (alphas[1] - alphas[0]) / 2.0 if len(alphas) > 1 else 0.5
    extent = (-0.5, len(batches) - 0.5, alphas[0] - half, alphas[-1] + half)
    ax.imshow(image, origin="lower", aspect="auto", interpolation="nearest", extent=extent)
    if crossed:
        columns, rows = zip(*crossed, strict=True)
        ax.plot(columns, [alphas[r] for r in rows], "kx", markersize=4)
    every = -(-len(batches) // 3)  # legible in a third of a column
    places = range(0, len(batches), every)
    ax.set_xticks(places, [f"{batches[k][0]}/{batches[k][1]}" for k in places])
    ax.set_xlabel("batch size")
    ax.set_ylabel("mixing α")
    return ax


def natural_size_drawings(results: Evidence) -> Drawings:
    """Name the figures at natural size, if the run has them; see `validation.drawings`."""
    if "natural_size" not in results:
        return {}
    return {
        "natural_size": (
            lambda: _errors(results),
            "Factor between the predicted and the real forget loss when runs first pass a distance "
            f"from w* (dotted: {natural_size.FACTOR:g}). Means over networks, standard errors.",
        ),
        "natural_maps": (
            lambda: _maps(results),
            "Real outcomes at natural size (first network of each loss; rows), from displacements "
            "of ‖w*‖ (columns). Cross: function space foretells a collapse that does not come, or "
            "misses one.",
        ),
    }


def _errors(results: Evidence) -> Any:
    import matplotlib.pyplot as plt

    series = {
        label: natural_size.errors_along(results, loss, predictor)
        for label, loss, predictor in (
            ("half squared error: linear theory", natural_size.SQUARED, "function_space"),
            ("logistic: function space", natural_size.LOGISTIC, "function_space"),
            ("logistic: frozen curvature", natural_size.LOGISTIC, "frozen"),
            ("logistic: function space, step × 1.25", natural_size.LOGISTIC, "scaled"),
        )
    }
    figure, ax = plt.subplots(figsize=(_style.COLUMN, 1.15 * _style.COLUMN))
    prediction_errors(ax, {k: v for k, v in series.items() if v}, natural_size.FACTOR)
    return figure


def _maps(results: Evidence) -> Any:
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    first = {n["loss"]: n for n in reversed(natural_size.synthetic(results))}
    across = 3  # in a journal column
    rows = [-(-len(n["maps"]) // across) for n in first.values()]
    figure, axes = plt.subplots(
        sum(rows), across, figsize=(_style.COLUMN, (0.2 + 0.36 * sum(rows)) * _style.COLUMN),
        squeeze=False, sharex=True, sharey=True,
    )  # fmt: skip
    for ax in axes.flat:
        ax.set_axis_off()
    seen: set[str] = set()
    top = 0
    for (loss, network), height in zip(first.items(), rows, strict=True):
        for ax, shown in zip(axes[top : top + height].flat, network["maps"], strict=False):
            ax.set_axis_on()
            natural_map(ax, shown["cells"], "function_space")
            ax.label_outer()
            ax.set_title(f"{SHORT[loss]}, {shown['displacement']:.0%}")
            seen |= {c["real"]["outcome"] for c in shown["cells"]}
        top += height
    handles = [Patch(color=c, label=t) for name, (c, t) in OUTCOMES.items() if name in seen]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure
