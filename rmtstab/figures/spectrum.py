"""Histogram of eigenvalues against a limit law."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab.figures import _style
from rmtstab.laws.base import FloatArray, SpectralLaw

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def spectrum(
    ax: Axes,
    eigenvalues: Any,
    law: SpectralLaw,
    *,
    bins: int | None = None,
    margin: float | None = None,
) -> Axes:
    """Draw eigenvalues as a density histogram, with the law that they should follow.

    The law's density is a line, its edges are dashed, each atom an arrow with its
    mass, and eigenvalues off the support (outliers) are marked on the axis. The
    outliers that the law itself predicts (``law.outliers()``, where it has them)
    are dotted.

    Parameters
    ----------
    ax : matplotlib Axes
    eigenvalues : array_like, shape (n_eigenvalues,)
        Finite; a set may be empty, then only the law is drawn.
    law : SpectralLaw
    bins : int, optional
        Number of bins an interval; twice the cube root of the sample size when not given.
    margin : float, optional
        How far off the support an eigenvalue counts as an outlier; when not
        given, ``2 * n**(-2/3)`` of the width, the order of edge fluctuations.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from rmtstab import figures, laws
    >>> X = np.random.default_rng(0).standard_normal((50, 100))
    >>> values, law = np.linalg.eigvalsh(X @ X.T / 100), laws.MarchenkoPastur(0.5)
    >>> figures.spectrum(Figure().add_subplot(), values, law).get_xlabel()
    'eigenvalue'
    """
    _style.check_axes(ax)
    values = _checks.array("eigenvalues", eigenvalues, ndim=1)
    if not isinstance(law, SpectralLaw):
        raise TypeError(f"law must be a SpectralLaw, got {type(law).__name__}")
    left, right = law.support()
    atoms = law.atoms()
    if margin is None:
        margin = 2.0 * max(values.size, 1) ** (-2.0 / 3.0) * (right - left)
    margin = _checks.real("margin", margin, low=0.0)
    outlying = _off_support(values, law, margin)
    bulk = values[~outlying]
    at_atoms = np.zeros(bulk.size, dtype=bool)
    for location, _ in atoms:
        at_atoms |= np.abs(bulk - location) <= 1e-9 * max(abs(left), abs(right))
    bulk = bulk[~at_atoms]
    if bulk.size:
        count = bins if bins is not None else max(10, int(2.0 * bulk.size ** (1.0 / 3.0)))
        _draw_histogram(ax, bulk, values.size, law, _checks.integer("bins", count, low=1))
    _draw_law(ax, law)
    top = ax.get_ylim()[1]
    for location, mass in atoms:
        ax.annotate(
            f"atom {mass:.3g}",
            xy=(location, top),
            xytext=(location, 0.0),
            arrowprops={"arrowstyle": "->", "color": "C1"},
            color="C1",
            rotation=90,
            va="bottom",
        )
    if outlying.any():
        ax.plot(
            values[outlying], np.zeros(int(outlying.sum())), "v", color="C3", label="outliers",
            clip_on=False,
        )  # fmt: skip
    ax.set_xlabel("eigenvalue")
    ax.set_ylabel("density")
    ax.legend(frameon=True, facecolor="white", framealpha=0.8, edgecolor="none")
    return ax


def _draw_histogram(ax: Axes, bulk: FloatArray, total: int, law: SpectralLaw, bins: int) -> None:
    """Draw one histogram an interval of the support, so that no bin bridges a gap."""
    edges = law.edges()
    cuts = 0.5 * (edges[1:, 0] + edges[:-1, 1])
    owner = np.searchsorted(cuts, bulk)
    label: str | None = "eigenvalues"
    for k in range(len(edges)):
        own = bulk[owner == k]
        if own.size == 0:
            continue
        span = min(edges[k, 0], own.min()), max(edges[k, 1], own.max())
        heights, places = np.histogram(own, bins=bins, range=span)
        density = heights / (total * np.diff(places))
        ax.stairs(density, places, fill=True, color="0.8", label=label)
        label = None


def _draw_law(ax: Axes, law: SpectralLaw) -> None:
    """Draw density, edges and predicted outliers."""
    angle = np.linspace(0.0, np.pi, 401)[1:-1]
    peak = 0.0
    edges = law.edges()
    for k, (a, b) in enumerate(edges):
        x = 0.5 * (a + b) - 0.5 * (b - a) * np.cos(angle)
        y = law.pdf(x)
        peak = max(peak, float(np.max(y[20:])))
        ax.plot(x, y, color="C0", label="law" if k == 0 else None)
    for k, edge in enumerate(edges.ravel()):
        ax.axvline(
            edge, color="C0", linestyle="--", linewidth=0.8, label="edges" if k == 0 else None
        )
    predicted = getattr(law, "outliers", None)
    if predicted is not None:
        places = np.atleast_1d(predicted())
        for k, place in enumerate(places[np.isfinite(places)]):
            ax.axvline(
                place, color="C3", linestyle=":", label="predicted outliers" if k == 0 else None
            )
    ax.set_ylim(0.0, max(1.2 * peak, ax.get_ylim()[1] if peak == 0.0 else 1.2 * peak))


def _off_support(values: FloatArray, law: SpectralLaw, margin: float) -> np.ndarray[Any, Any]:
    """Mark the values farther than ``margin`` from every interval and atom."""
    off = np.ones(values.size, dtype=bool)
    for left, right in law.edges():
        off &= (values < left - margin) | (values > right + margin)
    for location, _ in law.atoms():
        off &= np.abs(values - location) > margin
    return off
