"""Pictures of runs: curves with bands over replicas, and outcome maps; axes in, axes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab.bridge.curves import OUTCOMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes


COLOURS = dict(zip(OUTCOMES, ("#DCE9F5", "#009E73", "#E69F00", "#555555"), strict=True))
LABELS = {name: name.replace("_", " ") for name in OUTCOMES}
SETS = {"retain": "#0072B2", "forget": "#D55E00", "test": "#999999"}


def draw_curves(ax: Axes, steps: Any, curves: dict[str, Any]) -> Axes:
    """Draw the median and the 10–90 % band of each set.

    Parameters
    ----------
    ax : matplotlib Axes
    steps : ndarray, shape (n_records,)
    curves : dict of str to ndarray, shape (replicas, n_records)
        By ``"retain"``, ``"forget"``, ``"test"``; sets without numbers are left out.

    Returns
    -------
    matplotlib Axes
    """
    for name, values in curves.items():
        if np.isnan(values).all():
            continue
        finite = np.where(np.isfinite(values), values, np.nan)
        low, middle, high = np.quantile(finite, (0.1, 0.5, 0.9), axis=0, method="inverted_cdf")
        ax.fill_between(steps, low, high, color=SETS[name], alpha=0.2, linewidth=0)
        ax.plot(steps, middle, color=SETS[name], label=name)
    ax.set_xlabel("step")
    return ax


def draw_map(ax: Axes, found: Any, observed: Any = None) -> Axes:
    """Draw outcomes over two axes: cells predicted, points observed.

    Parameters
    ----------
    ax : matplotlib Axes
    found : OutcomeMap
    observed : ndarray of str, shape (n_rows, n_columns), optional
        Outcomes of real runs; an empty string leaves a cell without a point.

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib.colors import to_rgb
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    image = np.array([[to_rgb(COLOURS[str(name)]) for name in row] for row in found.outcome])
    ax.imshow(image, origin="lower", aspect="auto", interpolation="nearest")
    for (row, column), step in np.ndenumerate(found.forget_step):
        if np.isfinite(step) and step < found.collapse_step[row, column]:
            ax.annotate(f"{step:.0f}", (column, row), ha="center", va="center", fontsize=6)
    handles: list[Any] = [
        Patch(facecolor=COLOURS[name], label=LABELS[name])
        for name in OUTCOMES
        if (found.outcome == name).any() or (observed is not None and (observed == name).any())
    ]
    if observed is not None:
        for (row, column), name in np.ndenumerate(observed):
            if name:
                ax.plot(column, row, "o", color=COLOURS[str(name)], mec="white", ms=5)
        handles.append(Line2D([], [], marker="o", ls="", mfc="none", mec="grey", label="observed"))
    for axis, values in ((ax.xaxis, found.columns), (ax.yaxis, found.rows)):
        axis.set_ticks(range(len(values)), [_tick(value) for value in values])
    ax.tick_params(axis="x", rotation=60)
    ax.set_xlabel(found.names[0].replace("_", " "))
    ax.set_ylabel(found.names[1].replace("_", " "))
    ax.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False
    )
    return ax


def diagnosis_figure(answer: Any) -> Any:
    """Losses and accuracies over time, with what the true network gave, and the map."""
    from matplotlib.figure import Figure

    run, check = answer.run, answer.check
    has_accuracy = not np.isnan(run.retain_accuracy).all()
    kinds = ["loss", "accuracy"] if has_accuracy else ["loss"]
    panels = len(kinds) + (answer.advice is not None)
    figure = Figure(figsize=(4.2 * panels, 3.6), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for ax, kind in zip(axes, kinds, strict=False):
        curves = {name: getattr(run, f"{name}_{kind}") for name in SETS}
        draw_curves(ax, run.steps, curves)
        for name in ("retain", "forget"):
            seen = check.observed.get(f"{name}_{kind}")
            if seen is not None:
                shown = np.where(np.isfinite(seen), seen, np.nan)
                ax.plot(check.steps, shown, "x", color=SETS[name], ms=5)
        ax.plot([], [], "x", color="black", ms=5, label="true network there")
        if answer.trusted_until < run.steps[-1]:
            ax.axvspan(answer.trusted_until, run.steps[-1], color="black", alpha=0.07, lw=0)
        ax.set_ylabel(kind)
        ax.legend(frameon=False, fontsize=7)
        if kind == "loss":
            ax.set_yscale("symlog", linthresh=1e-2)
    if answer.advice is not None:
        ax = draw_map(axes[-1], answer.advice.map)
        found, s = answer.advice.map, answer.settings
        ax.plot(
            int(np.argmin(np.abs(np.array(found.columns) - s["step_size"]))),
            int(np.argmin(np.abs(np.array(found.rows) - s["alpha"]))),
            "s", mfc="none", mec="red", ms=14,
        )  # fmt: skip
    return figure


def _tick(value: Any) -> str:
    return "/".join(f"{v:g}" for v in value) if isinstance(value, tuple) else f"{value:.3g}"
