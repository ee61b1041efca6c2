"""What trust costs: the share of cells flagged against the agreement of those that are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rmtstab import _checks
from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "os^Dv"
KEYS = "kind", "flagged", "agreement", "chosen"
COLOURS = (_style.BLUE, _style.ORANGE, _style.VERMILION, _style.GREEN, _style.PINK)


def trust_tradeoff(
    ax: Axes, curves: list[dict[str, Any]], *, agree: float = 0.95, most: float = 0.4
) -> Axes:
    """Draw one curve a network as the tolerance of its range check changes.

    Parameters
    ----------
    ax : matplotlib Axes
    curves : list of dict
        ``kind`` (a colour and marker each, at most five), ``flagged`` and ``agreement``:
        shares of the same length, one a tolerance; ``chosen``: index of the tolerance in use.
    agree, most : float
        Agreement asked, and most that may be flagged: the corner that is shaded.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        On other axes or curves than described; on more than five kinds.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from rmtstab import figures
    >>> ax = Figure().add_subplot()
    >>> curve = {"kind": "mlp", "flagged": [0.5, 0.1], "agreement": [1.0, 0.9], "chosen": 1}
    >>> figures.trust_tradeoff(ax, [curve]).get_xlabel()
    'share flagged'
    """
    _style.check_axes(ax)
    agree = _checks.real("agree", agree, low=0.0, high=1.0)
    most = _checks.real("most", most, low=0.0, high=1.0)
    curves = [
        _checked(f"curves[{k}]", curve)
        for k, curve in enumerate(_checks.records("curves", curves, KEYS))
    ]
    kinds = list(dict.fromkeys(curve["kind"] for curve in curves))
    if len(kinds) > len(COLOURS):
        raise ValueError(f"curves must be of at most {len(COLOURS)} kinds, got {len(kinds)}")
    low = min((a for c in curves for a in c["agreement"] if a == a), default=0.8)
    floor = min(0.9, low) - 0.02
    ax.fill_between([0.0, most], agree, 1.0, color=_style.GREY, alpha=0.2, linewidth=0)
    for curve in curves:
        style = kinds.index(curve["kind"])
        ax.plot(curve["flagged"], curve["agreement"], color=COLOURS[style], linewidth=0.8)
        k = curve["chosen"]
        ax.plot(
            curve["flagged"][k], curve["agreement"][k], MARKERS[style], color=COLOURS[style],
            clip_on=False,
        )  # fmt: skip
    for style, kind in enumerate(kinds):
        ax.plot([], [], MARKERS[style], linestyle="-", color=COLOURS[style], label=kind)
    ax.set_xlim(0.0, 1.0)
    ax.set_ylim(floor, 1.005)
    ax.set_xlabel("share flagged")
    ax.set_ylabel("agreement of the unflagged")
    ax.legend(loc="lower right")
    return ax


def _checked(name: str, curve: dict[str, Any]) -> dict[str, Any]:
    flagged, agreement = (
        _checks.array(f"{name}[{key!r}]", curve[key], ndim=1, finite=False)
        for key in ("flagged", "agreement")
    )
    if len(flagged) != len(agreement) or not len(flagged):
        raise ValueError(
            f"{name} must have a share flagged for each agreement, got {len(flagged)} "
            f"and {len(agreement)}"
        )
    last = len(flagged) - 1
    return {
        "kind": _checks.instance(f"{name}['kind']", curve["kind"], str),
        "flagged": flagged,
        "agreement": agreement,
        "chosen": _checks.integer(f"{name}['chosen']", curve["chosen"], low=0, high=last),
    }
