"""Spectrum of a CNN's Gram matrix against its Marchenko–Pastur bulk and its outliers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def gram_spectrum(ax: Axes, eigenvalues: Any, theory: dict[str, Any]) -> Axes:
    """Draw the bulk as a histogram, the wide-network limit and the finite-m law on top.

    Parameters
    ----------
    ax : matplotlib Axes
    eigenvalues : array_like, shape (n,)
        Of K.
    theory : dict
        ``grid``, ``limit`` (shifted Marchenko–Pastur density), ``finite``
        (density at finite m), ``outliers`` (predicted positions).

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        If one of these is missing or holds no numbers.
    """
    _style.check_axes(ax)
    values = np.sort(_checks.array("eigenvalues", eigenvalues, ndim=1))
    if not values.size:
        raise ValueError("eigenvalues must hold one number or more, got none")
    curves = _checks.series("theory", theory, ("grid", "limit", "finite"))
    _checks.mapping("theory", theory, ("outliers",))
    predicted = _checks.array("theory['outliers']", theory["outliers"], ndim=1).tolist()
    grid = curves["grid"]
    inside = values[values <= grid[-1]]
    heights, edges = np.histogram(inside, bins=14)
    shown = [v for v in (*inside, *predicted) if v <= grid[-1]]
    right = min(grid[-1], 1.25 * max([*shown, grid[-1] / 4.0]))
    heights = heights / (len(values) * np.diff(edges))
    ax.stairs(heights, edges, fill=True, color="0.82", label="eigenvalues (measured)")
    ax.plot(grid, curves["limit"], "--", color=_style.SKY, label="Marchenko–Pastur, m → ∞ (theory)")
    ax.plot(grid, curves["finite"], color=_style.BLUE, label="finite m (theory)")
    beyond = values[values > grid[-1]]
    outliers = [v for v in predicted if v > grid[-1]]
    for v in predicted:
        if v <= grid[-1]:
            ax.axvline(v, color=_style.VERMILION, linestyle=":", label="outlier (theory)")
    for height, found, words, colour in (
        (0.9, beyond[::-1][:2], "measured", "0.3"),
        (0.78, outliers, "theory", _style.VERMILION),
    ):
        if len(found):
            numbers = ", ".join(f"{float(f'{v:.3g}'):,g}" for v in found)
            ax.annotate(
                f"beyond, {words}: {numbers}", (1.0, height), (0.5, height),
                xycoords="axes fraction", ha="center", va="center", fontsize="x-small",
                color=colour, arrowprops={"arrowstyle": "->", "color": colour},
            )  # fmt: skip
    ax.set_xlabel("eigenvalue of K (squared gradient)")
    ax.set_ylabel("density")
    ax.set_xlim(0.0, right)
    ax.set_ylim(top=1.45 * ax.get_ylim()[1])  # room for what lies beyond the axis
    return ax
