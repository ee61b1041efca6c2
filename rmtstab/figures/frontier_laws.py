"""Closed-form frontiers over a stability map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rmtstab._results import FrontierLaws
from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LAWS = (
    ("mean_square", "mean-square law", _style.VERMILION),
    ("typical", "typical law", _style.BLUE),
    ("shuffled", "shuffled law", _style.GREEN),
)


def frontier_laws(ax: Axes, laws: FrontierLaws) -> Axes:
    """Draw the mean-square, typical and shuffled frontiers over a map of the same batch sizes.

    Solid within the laws' range (`FrontierLaws.is_valid`), dotted beyond it.

    Parameters
    ----------
    ax : matplotlib Axes
        Of `stability_map`, or empty: batch sizes side by side.
    laws : FrontierLaws
        From `UnlearningProblem.frontier_laws`.

    Returns
    -------
    matplotlib Axes
        Its limits stay as they were on a map.

    Raises
    ------
    TypeError
        If ``laws`` is of another kind.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import rmtstab as rs
    >>> problem = rs.UnlearningProblem.from_factors([[1.0], [1.5]], [[1.0], [2.0]])
    >>> laws = problem.frontier_laws(0.02, [1, 2])
    >>> ax = rs.figures.frontier_laws(Figure().add_subplot(), laws)
    >>> [text.get_text() for text in ax.get_legend().get_texts()][0]
    'mean-square law'
    """
    _style.check_axes(ax)
    if not isinstance(laws, FrontierLaws):
        raise TypeError(f"laws must be FrontierLaws, got {type(laws).__name__}")
    drawn = bool(ax.collections or ax.lines)
    limits = ax.get_xlim(), ax.get_ylim()
    columns = np.arange(len(laws.batch_sizes))
    for name, words, colour in LAWS:
        values = getattr(laws, name)
        ax.plot(columns, values, color=colour, ls=":", lw=1.2, zorder=1.7)
        ax.plot(
            columns, np.where(laws.is_valid, values, np.nan), color=colour, lw=2.4, zorder=1.8,
            label=words,
        )  # fmt: skip
    ax.axhline(laws.mean, color="0.3", ls=(0, (5, 3)), lw=0.9, zorder=1.6, label="mean frontier α₀")
    if drawn:
        ax.set_xlim(limits[0])
        ax.set_ylim(limits[1])
    else:
        labels = [f"{r:g}/{f:g}" if f else f"{r:g}" for r, f in laws.batch_sizes]
        ax.set_xticks(columns, labels)
        ax.set_xlabel("batch size, retain/forget")
        ax.set_ylabel("mixing α")
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, columnspacing=1.0)
    return ax
