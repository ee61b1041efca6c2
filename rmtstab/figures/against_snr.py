"""Resistance, escape time and coherence against the signal-to-noise ratio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Record = dict[str, Any]
Path = tuple[str, ...]  # of keys, to a number or None
Kind = tuple[str, dict[str, Any]]
EXACT: dict[str, Any] = {"marker": "o", "linestyle": "none"}
MEASURED: dict[str, Any] = {"marker": "o", "linestyle": "none", "markerfacecolor": "white"}
CROSS: dict[str, Any] = {"marker": "x", "linestyle": "none"}
KINDS_OF_RESISTANCE: tuple[Kind, ...] = (
    ("exact, from Φ", EXACT),
    ("exact, at 10× forget loss", CROSS),
    ("measured, at 10× forget loss", MEASURED),
    ("closed form", {}),
)
KINDS_OF_TIME: tuple[Kind, ...] = (
    ("exact, from Φᵏ", EXACT),
    ("measured", MEASURED),
    ("closed form", {}),
)
BELOW: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "ncols": 2}
PROTOCOLS = tuple(_style.PROTOCOL_STYLE)
BREAK = 0.45  # where 0 stands, in decades left of the smallest positive ratio


def resistance_against_snr(
    ax: Axes, networks: list[Record], escapes: list[Record], curves: list[Record]
) -> Axes:
    """Draw Ψ: exact and observed under each step-size protocol, the closed form on top.

    Parameters
    ----------
    ax : matplotlib Axes
    networks : list of dict
        With ``snr`` and ``protocols[name]["resistance"]`` (exact, from Φ).
    escapes : list of dict
        With ``snr``, ``protocol`` and ``resistance`` (observed, or None).
    curves : list of dict
        Closed form: ``snr`` and ``resistance``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        If a record lacks one of these, or it is no number.
    """
    _style.check_axes(ax)
    kinds = "resistance", "finite_resistance"
    networks = _read("networks", networks, [("protocols", p, x) for p in PROTOCOLS for x in kinds])
    escapes = _read("escapes", escapes, [("resistance",)], protocols=True)
    curves = _read("curves", curves, [("resistance",)], every=True)
    for k, (name, (colour, marker, _)) in enumerate(_style.PROTOCOL_STYLE.items()):
        exact = _by_snr(networks, ("protocols", name, "resistance"))
        seen = _by_snr([e for e in escapes if e["protocol"] == name], ("resistance",))
        soon = _by_snr(networks, ("protocols", name, "finite_resistance"))
        middle = 4.0 * k - 3.0
        _points(ax, exact, middle - 1.0, color=colour, marker=marker)
        _points(ax, soon, middle, color=colour, marker="x")
        _points(ax, seen, middle + 1.0, color=colour, marker=marker, markerfacecolor="white")
    ax.plot(*_curve(networks, curves, ("resistance",)), color="k")
    _axes(ax, "resistance Ψ (retain / forget loss)", _ratios(networks))
    ax.legend(handles=_legend(KINDS_OF_RESISTANCE), **BELOW)
    return ax


def escape_against_snr(
    ax: Axes, networks: list[Record], escapes: list[Record], curves: list[Record]
) -> Axes:
    """Draw steps to the radius: measured and exact under each protocol, closed forms on top.

    Parameters
    ----------
    ax : matplotlib Axes
    networks : list of dict
        With ``snr`` and ``protocols[name]["escape_time"]`` (from Φᵏ, or None).
    escapes : list of dict
        With ``snr``, ``protocol`` and ``escape_time`` (median of real runs, or None).
    curves : list of dict
        Closed form: ``snr`` and ``escape_time[name]``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        If a record lacks one of these, or it is no number.
    """
    _style.check_axes(ax)
    networks = _read("networks", networks, [("protocols", p, "escape_time") for p in PROTOCOLS])
    escapes = _read("escapes", escapes, [("escape_time",)], protocols=True)
    curves = _read("curves", curves, [("escape_time", p) for p in PROTOCOLS], every=True)
    for k, (name, (colour, marker, _)) in enumerate(_style.PROTOCOL_STYLE.items()):
        exact = _by_snr(networks, ("protocols", name, "escape_time"))
        seen = _by_snr([e for e in escapes if e["protocol"] == name], ("escape_time",))
        _points(ax, exact, k, color=colour, marker=marker)
        _points(ax, seen, k + 0.5, color=colour, marker=marker, markerfacecolor="white")
        ax.plot(*_curve(networks, curves, ("escape_time", name)), color=colour)
    ax.set_yscale("log")
    _style.plain_ticks(ax.yaxis)
    _axes(ax, "escape time (steps)", _ratios(networks))
    ax.legend(handles=_legend(KINDS_OF_TIME), **BELOW)
    return ax


def coherence_against_snr(ax: Axes, networks: list[Record], curves: list[Record]) -> Axes:
    """Draw coherence on the three axes, measured on trained networks, closed forms on top.

    Parameters
    ----------
    ax : matplotlib Axes
    networks : list of dict
        With ``snr`` and ``coherence`` (``retain``, ``forget``, ``cross``).
    curves : list of dict
        Closed form: ``snr`` and ``coherence``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        If a record lacks one of these, or it is no number.
    """
    _style.check_axes(ax)
    axes = {
        "retain": (_style.BLUE, "o"),
        "forget": (_style.VERMILION, "s"),
        "cross": (_style.PINK, "^"),
    }
    paths = [("coherence", axis) for axis in axes]
    networks, curves = (
        _read("networks", networks, paths), _read("curves", curves, paths, every=True)
    )  # fmt: skip
    for k, (axis, (colour, marker)) in enumerate(axes.items()):
        _points(
            ax, _by_snr(networks, ("coherence", axis)), k,
            color=colour, marker=marker, label=f"{axis}, measured",
        )  # fmt: skip
        ax.plot(*_curve(networks, curves, ("coherence", axis)), color=colour)
    ax.plot([], [], color=_style.GREY, label="closed form")
    ax.set_yscale("log")
    _style.plain_ticks(ax.yaxis)
    _axes(ax, "coherence σ (dimensionless)", _ratios(networks))
    ax.legend(**BELOW)
    return ax


def _ratios(networks: list[Any]) -> list[float]:
    return sorted({network["snr"] for network in networks})


def _legend(kinds: tuple[Kind, ...]) -> list[Any]:
    """Legend of colours (the protocol) and, in grey, of shapes (what kind of number)."""
    from matplotlib.lines import Line2D

    colours = [
        Line2D([], [], color=colour, marker=marker, linestyle="none", label=label)
        for colour, marker, label in _style.PROTOCOL_STYLE.values()
    ]
    shapes = [Line2D([], [], color=_style.GREY, label=label, **look) for label, look in kinds]
    return colours + shapes


def _read(
    name: str, records: Any, paths: Sequence[Path], *, protocols: bool = False, every: bool = False
) -> list[Any]:
    """Ratio and numbers of each record, by their path; None only where not every one is needed."""
    found = []
    for k, record in enumerate(_checks.records(name, records, ("snr",))):
        place = f"{name}[{k}]"
        read: dict[Any, Any] = {"snr": _checks.real(f"{place}['snr']", record["snr"], low=0.0)}
        if protocols:
            _checks.mapping(place, record, ("protocol",))
            read["protocol"] = _checks.choice(f"{place}['protocol']", record["protocol"], PROTOCOLS)
        for path in paths:
            value, where = record, place
            for key in path:
                value, where = _checks.mapping(where, value, (key,))[key], f"{where}[{key!r}]"
            read[path] = value if value is None and not every else _checks.real(where, value)
        found.append(read)
    return found


def _by_snr(records: list[Any], path: Path) -> list[tuple[float, Any]]:
    """Collect (snr, values over repeats), leaving out what was not reached."""
    found: dict[float, list[float]] = {}
    for record in records:
        if record[path] is not None:
            found.setdefault(record["snr"], []).append(record[path])
    return [(snr, np.array(values)) for snr, values in sorted(found.items())]


def _points(ax: Axes, data: list[tuple[float, Any]], shift: float, **look: Any) -> None:
    """Mean and standard error over repeats, shifted sideways so that protocols do not hide."""
    if not data:
        return
    place = _place([snr for snr, _ in data])
    x = [place(snr) * 10.0 ** (0.02 * (shift - 1.0)) for snr, _ in data]
    errors = [v.std(ddof=1) / np.sqrt(len(v)) if len(v) > 1 else 0.0 for _, v in data]
    ax.errorbar(x, [v.mean() for _, v in data], errors, linestyle="none", capsize=2, **look)


def _place(ratios: list[float]) -> Callable[[float], float]:
    """Where a ratio stands on the logarithmic axis; 0 stands left of the smallest positive one."""
    positive = [snr for snr in ratios if snr > 0.0]
    zero = min(positive, default=1.0) * 10.0**-BREAK
    return lambda snr: snr if snr > 0.0 else zero


def _curve(networks: list[Any], curves: list[Any], path: Path) -> tuple[Any, Any]:
    """Closed form over the ratios that stand right of the break."""
    ratios = _ratios(networks)
    start = _place(ratios)(0.0) * 10.0 ** (0.6 * BREAK) if 0.0 in ratios else 0.0
    shown = [c for c in curves if c["snr"] >= start]
    return np.array([c["snr"] for c in shown]), np.array([c[path] for c in shown])


def _axes(ax: Axes, label: str, ratios: list[float]) -> None:
    """Logarithmic axis of the ratios that there are; 0, if among them, beyond a marked break."""
    from matplotlib.ticker import NullLocator

    positive = [snr for snr in ratios if snr > 0.0] or [1.0]
    zero = _place(ratios)(0.0)
    has_zero = 0.0 in ratios
    ax.set_xscale("log")
    left = zero if has_zero else positive[0]
    ax.set_xlim(left / 1.45, positive[-1] * 1.45)  # points stand up to a factor 1.26 aside
    if has_zero:
        ax.axvspan(
            zero * 10.0 ** (0.4 * BREAK), zero * 10.0 ** (0.6 * BREAK), facecolor="none",
            edgecolor="0.75", hatch="////", linewidth=0,
        )  # fmt: skip
    ticks = [zero, *positive] if has_zero else positive
    ax.set_xticks(ticks, [*(["0"] if has_zero else []), *(f"{snr:g}" for snr in positive)])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("signal-to-noise ratio ‖μ‖/(σ√d); 0 beyond the break" if has_zero
                  else "signal-to-noise ratio ‖μ‖/(σ√d)")  # fmt: skip
    ax.set_ylabel(label)
