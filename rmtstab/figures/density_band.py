"""A spectral density estimated from products alone, with its error band, against a law."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab.figures import _style
from rmtstab.laws.base import SpectralLaw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUANTILES = 4000  # points that stand for the law


def spectral_density(
    ax: Axes,
    density: Any,
    law: SpectralLaw | None = None,
    *,
    width: float | None = None,
    logarithmic: bool = False,
) -> Axes:
    """Draw a density with a band of two standard errors, and the law smoothed alike.

    Both are smoothed by the same normal law, so that they can be compared point by point;
    the law's atoms are smoothed with it.

    Parameters
    ----------
    ax : matplotlib Axes
    density : rmtstab.bridge.SpectralDensity
        Of `rmtstab.bridge.spectral_density`.
    law : SpectralLaw, optional
        What the spectrum should follow.
    width : float, optional
        Standard deviation of the smoothing; 1/60 of the support when not given.
    logarithmic : bool, default False
        Logarithmic density: for the few large eigenvalues of a network.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        If ``law`` is no law or ``width`` not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from scipy.sparse.linalg import aslinearoperator
    >>> from rmtstab import bridge, figures, laws
    >>> x = np.random.default_rng(0).standard_normal((100, 200)) / np.sqrt(200)
    >>> found = bridge.spectral_density(aslinearoperator(x @ x.T), 4, 30)
    >>> ax = Figure().add_subplot()
    >>> figures.spectral_density(ax, found, laws.MarchenkoPastur(0.5)).get_xlabel()
    'eigenvalue'
    """
    if law is not None and not isinstance(law, SpectralLaw):
        raise TypeError(f"law must be a SpectralLaw, got {type(law).__name__}")
    for part in ("support", "pdf", "nodes", "size"):
        if not hasattr(density, part):
            raise TypeError(f"density must be a SpectralDensity, got {type(density).__name__}")
    logarithmic = _checks.flag("logarithmic", logarithmic)
    _style.check_axes(ax)
    low, high = density.support
    span = max(high - low, 1e-300)
    width = span / 60 if width is None else _checks.real("width", width, low=0.0, low_open=True)
    if not 1e-6 * span <= width <= 1e6 * span:
        raise ValueError(f"width must be within a factor 1e6 of the span {span:g}, got {width:g}")
    x = np.linspace(low - 4 * width, high + 4 * width, 600)
    mean, error = density.pdf(x, width)
    n_probes = len(density.nodes)
    ax.plot(x, mean, color="C0", label=f"density, {n_probes} probe{'s' if n_probes > 1 else ''}")
    if n_probes > 1:
        ax.fill_between(
            x, np.maximum(mean - 2 * error, 0.0), mean + 2 * error, color="C0", alpha=0.3,
            label="two standard errors",
        )  # fmt: skip
    if law is not None:
        places = np.asarray(law.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES))
        kernel = np.exp(-0.5 * ((x[:, None] - places) / width) ** 2)
        smooth = kernel.mean(axis=1) / (width * np.sqrt(2.0 * np.pi))
        ax.plot(x, smooth, color="C1", linestyle="--", label="law")
    if logarithmic:
        ax.set_yscale("log")
        ax.set_ylim(bottom=max(1e-3 / (density.size * width), 1e-300))
    ax.set_xlabel("eigenvalue")
    ax.set_ylabel("density")
    ax.legend(frameon=False)
    return ax
