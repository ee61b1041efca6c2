"""Resistance, escape time and coherence against the signal-to-noise ratio."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Record = dict[str, Any]


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
    """
    for k, (name, (colour, marker, label)) in enumerate(_style.PROTOCOL_STYLE.items()):
        exact = _by_snr(networks, _at("protocols", name, "resistance"))
        seen = _by_snr([e for e in escapes if e["protocol"] == name], _at("resistance"))
        _points(ax, exact, k, color=colour, marker=marker, label=f"exact Ψ from Φ: {label}")
        _points(
            ax, seen, k + 0.5, color=colour, marker=marker, markerfacecolor="white",
            label=f"measured at 10× forget loss: {label}",
        )  # fmt: skip
        soon = _by_snr(networks, _at("protocols", name, "finite_resistance"))
        ax.plot(
            [_shifted(snr, k + 0.5) for snr, _ in soon], [v.mean() for _, v in soon], "_",
            color=colour, markersize=9, label=None if k else "at 10× forget loss, Φᵏ (theory)",
        )  # fmt: skip
    ax.plot(*_curve(curves, _at("resistance")), color="k", label="closed form (theory)")
    _axes(ax, "resistance Ψ (retain / forget loss)")
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
    """
    for k, (name, (colour, marker, label)) in enumerate(_style.PROTOCOL_STYLE.items()):
        exact = _by_snr(networks, _at("protocols", name, "escape_time"))
        seen = _by_snr([e for e in escapes if e["protocol"] == name], _at("escape_time"))
        _points(ax, exact, k, color=colour, marker=marker, label=f"exact, Φᵏ: {label}")
        _points(
            ax, seen, k + 0.5, color=colour, marker=marker, markerfacecolor="white",
            label=f"measured: {label}",
        )  # fmt: skip
        ax.plot(
            *_curve(curves, _at("escape_time", name)),
            color=colour,
            label=f"closed form: {label}",
        )
    ax.set_yscale("log")
    _axes(ax, "escape time (steps)")
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
    """
    axes = {
        "retain": (_style.BLUE, "o"),
        "forget": (_style.VERMILION, "s"),
        "cross": (_style.PINK, "^"),
    }
    for k, (axis, (colour, marker)) in enumerate(axes.items()):
        _points(
            ax, _by_snr(networks, _at("coherence", axis)), k,
            color=colour, marker=marker, label=f"σ {axis} (measured)",
        )  # fmt: skip
        ax.plot(
            *_curve(curves, _at("coherence", axis)),
            color=colour,
            label=f"σ {axis} (closed form)",
        )
    ax.set_yscale("log")
    _axes(ax, "coherence σ (dimensionless)")
    return ax


def _at(*path: str) -> Callable[[Record], Any]:
    """Return a function that follows a path of keys."""

    def value(record: Record) -> Any:
        found: Any = record
        for key in path:
            found = found[key]
        return found

    return value


def _by_snr(records: list[Record], value: Callable[[Record], Any]) -> list[tuple[float, Any]]:
    """Collect (snr, values over repeats), leaving out what was not reached."""
    found: dict[float, list[float]] = {}
    for record in records:
        number = value(record)
        if number is not None:
            found.setdefault(record["snr"], []).append(float(number))
    return [(snr, np.array(values)) for snr, values in sorted(found.items())]


def _shifted(snr: float, shift: float) -> float:
    return float(snr * 1.04 ** (shift - 1.0) + 0.002 * (shift - 1.0))


def _points(ax: Axes, data: list[tuple[float, Any]], shift: float, **look: Any) -> None:
    """Mean and standard error over repeats, shifted sideways so that protocols do not hide."""
    if not data:
        return
    x = [_shifted(snr, shift) for snr, _ in data]
    errors = [v.std(ddof=1) / np.sqrt(len(v)) if len(v) > 1 else 0.0 for _, v in data]
    ax.errorbar(x, [v.mean() for _, v in data], errors, linestyle="none", capsize=2, **look)


def _curve(curves: list[Record], value: Callable[[Record], float]) -> tuple[Any, Any]:
    return np.array([c["snr"] for c in curves]), np.array([value(c) for c in curves])


def _axes(ax: Axes, label: str) -> None:
    ax.set_xscale("symlog", linthresh=0.05, linscale=0.4)
    ax.set_xlim(left=-0.01)
    ax.set_xticks([0.0, 0.1, 1.0], ["0", "0.1", "1"])
    ax.set_xlabel("signal-to-noise ratio ‖μ‖/(σ√d)")
    ax.set_ylabel(label)
