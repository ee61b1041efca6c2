"""Resistance, price of forgetting, its traces and coherence along one axis of the data."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab.claims.claim import Evidence
from rmtstab.claims.networks import data_axis
from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Drawings = dict[str, tuple[Callable[[], Any], str]]
COLOURS = (_style.BLUE, _style.VERMILION, _style.GREEN)
MARKERS = ("o", "s", "^")


def along_axis(
    ax: Axes, records: list[dict[str, Any]], varied: str, names: dict[str, str], label: str
) -> Axes:
    """Draw means and standard errors over data sets of some numbers against a varied field.

    Parameters
    ----------
    ax : matplotlib Axes
    records : list of dict
        As from `rmtstab.experiment.data_axis.describe`.
    varied : str
        Numeric field, from 0 on.
    names : dict of str to str
        Fields to draw, and their labels.
    label : str
        Of the vertical axis.

    Returns
    -------
    matplotlib Axes
    """
    places = sorted({record[varied] for record in records})
    for (name, title), colour, marker in zip(names.items(), COLOURS, MARKERS, strict=False):
        given = [
            [r[name] for r in records if r[varied] == place and r[name] is not None]
            for place in places
        ]
        shown = [(p, np.mean(v), np.std(v) / math.sqrt(max(len(v) - 1, 1)))
                 for p, v in zip(places, given, strict=True) if v]  # fmt: skip
        x, middle, error = (np.array(column) for column in zip(*shown, strict=True))
        ax.errorbar(x, middle, yerr=error, color=colour, marker=marker, capsize=2, label=title)
    ax.set_xlabel(f"{'SNR ‖μ‖/(σ√d)' if varied == 'snr' else varied.replace('_', ' ')}")
    ax.set_ylabel(label)
    ax.set_ylim(bottom=0.0)
    if len(names) > 1:
        ax.legend()
    return ax


def data_axis_drawings(results: Evidence) -> Drawings:
    """Name the figure of the data axis, if the run has one; see `validation.drawings`."""
    if "data_axis" not in results:
        return {}
    caption = (
        "The data axis: resistance, the price of bringing the forget set to chance, what it leaves "
        "behind, coherence. Means and standard errors over data sets."
    )
    return {"data_axis": (lambda: _data_axis(results), caption)}


def _data_axis(results: Evidence) -> Any:
    import matplotlib.pyplot as plt

    records = data_axis.along(results, "snr")
    figure, axes = plt.subplots(4, 1, figsize=(_style.COLUMN, 2.6 * _style.COLUMN), sharex=True)
    panels: list[tuple[dict[str, str], str]] = [
        ({"resistance": "Ψ"}, "resistance Ψ (α = 0.3)"),
        ({"retain_loss": "retain loss"}, "retain loss at forgetting"),
        (
            {"membership_auc_before": "membership AUC, before", "membership_auc": "after",
             "distance": "disagreement with retrained"},
            "share",
        ),
        ({f"coherence_{a}": a for a in data_axis.AXES}, "coherence σ"),
    ]  # fmt: skip
    for ax, (names, label) in zip(axes.flat, panels, strict=True):
        along_axis(ax, records, "snr", names, label)
        ax.label_outer()
    return figure
