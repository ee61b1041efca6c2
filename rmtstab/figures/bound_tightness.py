"""How tight each bound is over many problems: one box a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab.figures import _style
from rmtstab.figures.bound_sandwich import joined_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WHISKERS = (5.0, 95.0)  # per cent


def bound_tightness(ax: Axes, points: list[dict[str, Any]], *, floor: float = 1e-3) -> Axes:
    """Draw bound/ρ as one box a bound: lower bounds left of 1, upper bounds right, tightest on top.

    Boxes hold the middle half of the problems, whiskers 5 to 95 %, the bar is the median; the
    share of problems on which a lower bound is vacuous (below ``floor``) is written beside it.
    Lower bounds are blue, upper ones red.

    Parameters
    ----------
    ax : matplotlib Axes
    points : list of dict
        As for `bound_sandwich`.
    floor : float, default 1e-3
        Bounds below this share of ρ are vacuous and count in no box.

    Returns
    -------
    matplotlib Axes
        Logarithmic across.

    Raises
    ------
    ValueError
        As `bound_sandwich`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmtstab import figures
    >>> points = [{"bound": "mean", "kind": "necessary", "exact": [1.0, 2.0], "value": [0.9, 2.0]}]
    >>> figures.bound_tightness(Figure().add_subplot(), points).get_xlabel()
    'bound / exact growth factor ρ'
    """
    _style.check_axes(ax)
    floor = _checks.real("floor", floor, low=0.0, high=1.0, low_open=True)
    rows = []
    for (kind, name), (exact, value) in joined_points(points).items():
        known = exact > 0.0
        ratio = value[known] / exact[known]
        shown = ratio[ratio >= floor]
        if shown.size:
            rows.append((kind, name, shown, 1.0 - shown.size / ratio.size))
    # lower bounds above, each group with its tightest first
    rows.sort(key=lambda row: (row[0] != "necessary", abs(np.log(np.median(row[2])))))
    for place, (kind, _, ratio, vacuous) in enumerate(rows):
        colour = _style.BLUE if kind == "necessary" else _style.VERMILION
        ax.boxplot(
            [ratio], positions=[-place], orientation="horizontal", whis=WHISKERS, widths=0.6,
            showfliers=False, patch_artist=True, manage_ticks=False,
            boxprops={"facecolor": colour, "alpha": 0.35, "edgecolor": colour},
            medianprops={"color": colour, "linewidth": 1.6},
            whiskerprops={"color": colour}, capprops={"color": colour},
        )  # fmt: skip
        if vacuous >= 0.005:
            ax.annotate(
                f"vacuous: {100 * vacuous:.0f} %", (1.0, -place), (-2, 0),
                xycoords=("axes fraction", "data"), textcoords="offset points",
                fontsize="x-small", va="center", ha="right",
            )  # fmt: skip
    ax.axvline(1.0, color=_style.BLACK, linewidth=0.8)
    ax.set_yticks([-place for place in range(len(rows))], [name for _, name, *_ in rows])
    for label, (kind, *_) in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_color(_style.BLUE if kind == "necessary" else _style.VERMILION)
    ax.set_xscale("log")
    lowest, highest = ax.get_xlim()
    ax.set_xlim(lowest, highest * (highest / lowest) ** 0.35)  # room for words right of 1
    _style.plain_ticks(ax.xaxis, (1.0,))
    ax.set_xlabel("bound / exact growth factor ρ")
    return ax
