"""Bounds against the exact growth factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = (
    _style.BLUE, _style.ORANGE, _style.GREEN, _style.PINK,
    _style.VERMILION, _style.SKY, _style.BLACK, _style.GREY,
)  # fmt: skip
LOWER_MARKERS, UPPER_MARKERS = "^<>12", "vos*D"  # a colour twice gets another marker


def bound_sandwich(
    ax: Axes, points: list[dict[str, Any]], *, ratio: bool = False, floor: float = 1e-3
) -> Axes:
    """Draw bounds against the exact growth factor ρ, on which a tight bound lies.

    Parameters
    ----------
    ax : matplotlib Axes
    points : list of dict
        ``bound`` (name), ``kind`` ("necessary": lower bounds, filled markers below the line;
        "sufficient": upper bounds, open markers above it), ``exact`` and
        ``value``: growth factors of the same length. Entries of one name join.
    ratio : bool, default False
        Draw bound/ρ instead of the bound.
    floor : float, default 1e-3
        Bounds below this share of ρ are vacuous and not drawn.

    Returns
    -------
    matplotlib Axes
        Both logarithmic.

    Raises
    ------
    ValueError
        On another kind, arrays that differ in length or are not finite, or growth factors < 0.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmtstab import figures
    >>> ax = Figure().add_subplot()
    >>> points = [{"bound": "mean", "kind": "necessary", "exact": [1.0, 2.0], "value": [0.9, 2.0]}]
    >>> figures.bound_sandwich(ax, points).get_ylabel()
    'bound on ρ'
    """
    _style.check_axes(ax)
    ratio = _checks.flag("ratio", ratio)
    floor = _checks.real("floor", floor, low=0.0, high=1.0, low_open=True)
    lowest, highest = np.inf, 0.0
    for number, ((kind, name), (exact, value)) in enumerate(joined_points(points).items()):
        shown = (exact > 0.0) & (value >= floor * exact)
        exact, value = exact[shown], value[shown]
        turn, colour = divmod(number, len(COLOURS))
        lower = kind == "necessary"
        ax.plot(
            exact, value / exact if ratio else value, linestyle="none", markersize=3,
            marker=(LOWER_MARKERS if lower else UPPER_MARKERS)[turn % 5],
            color=COLOURS[colour], markerfacecolor=COLOURS[colour] if lower else "none",
            label=f"{name} ({'lower' if lower else 'upper'})",
        )  # fmt: skip
        if exact.size:
            lowest, highest = min(lowest, float(exact.min())), max(highest, float(exact.max()))
    if highest:
        ends = np.array([lowest, highest])
        ax.plot(ends, np.ones(2) if ratio else ends, "-", color=_style.BLACK, lw=0.8, label="exact")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("exact growth factor ρ")
    ax.set_ylabel("bound / ρ" if ratio else "bound on ρ")
    return ax


def joined_points(points: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[Any, Any]]:
    """Join the points of each kind and name, sorted by them.

    Parameters
    ----------
    points : list of dict
        As for `bound_sandwich`.

    Returns
    -------
    dict of (kind, name) to (exact, value)
        Arrays of the same length.

    Raises
    ------
    ValueError
        As `bound_sandwich`.
    """
    joined: dict[tuple[str, str], list[Any]] = {}
    for entry in _checks.records("points", points, ("bound", "kind", "exact", "value")):
        kind = _checks.choice("kind", entry["kind"], ("necessary", "sufficient"))
        exact, value = (_checks.array(k, entry[k], ndim=1) for k in ("exact", "value"))
        if exact.shape != value.shape:
            raise ValueError(
                f"exact and value must have the same length, got {exact.size} and {value.size}"
            )
        if exact.min(initial=0.0) < 0.0:
            raise ValueError(f"exact must be >= 0, got {exact.min():g}")
        joined.setdefault((kind, entry["bound"]), []).append((exact, value))
    return {
        key: tuple(np.concatenate(column) for column in zip(*parts, strict=True))  # type: ignore[misc]
        for key, parts in sorted(joined.items())
    }
