"""High-dimensional thresholds: the batch noise of SGD read off a spectrum alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab.theory.noise import SAMPLINGS


def volterra_step_size(eigenvalues: Any, n: int, batch_size: float, sampling: str) -> float:
    r"""Critical step size of SGD (α = 0) whose samples all see the mean curvature alike.

    The root η of ``κη tr[H(2 − (1−κ)ηH)⁻¹] = 1`` with ``κ = (n − B)/(B(n − 1))``
    (``1/B`` with replacement); Bernoulli
    ``(1 − B/n)(η/B) tr[H(2 − ηH)⁻¹] = 1``; capped at ``2/λ_max``.

    Parameters
    ----------
    eigenvalues : array_like, shape (r,)
        Spectrum of the mean curvature H, ≥ 0.
    n : int
        Number of samples.
    batch_size : float
        In [1, n]; real and in (0, n] for Bernoulli.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    float
        In inverse units of the eigenvalues; ``inf`` where H = 0. With the actual
        spectrum an upper bound on the exact threshold when all samples have rank one
        (C = 1) and equal ``‖z_i‖²`` (a Rayleigh quotient), and its limit as n grows with d/n
        fixed for isotropic gradients (error about 1/n).

    Raises
    ------
    ValueError
        If an eigenvalue is negative or not finite, or the batch size is outside its range.

    Notes
    -----
    Samples of higher rank make less noise than their trace says: two alike samples of
    rank 2 allow 1.333 where this gives 1.

    References
    ----------
    Derived in docs/theory/volterra; compare Paquette et al., arXiv:2102.04396.

    See Also
    --------
    rmtstab.theory.volterra : the same from the population alone.

    Examples
    --------
    >>> from rmtstab.theory.high_dimensional import volterra_step_size
    >>> volterra_step_size([1.0, 1.0], 2, 2, "without_replacement")
    2.0
    >>> round(volterra_step_size([0.5, 0.5], 2, 1, "without_replacement"), 12)
    2.0
    """
    values = _checks.array("eigenvalues", eigenvalues, ndim=1)
    kappa, damping = noise_scale(n, batch_size, sampling)
    if values.size and values.min() < 0:
        raise ValueError(f"eigenvalues must be >= 0, got {values.min():g}")
    top = float(values.max(initial=0.0))
    if top == 0.0:
        return float("inf")
    cap = 2.0 / top

    def excess(eta: float) -> float:
        return kappa * eta * float(np.sum(values / (2.0 - damping * eta * values))) - 1.0

    inside = cap * (1.0 - 1e-12)
    if kappa == 0.0 or excess(inside) <= 0.0:
        return cap
    from scipy.optimize import brentq

    return float(brentq(excess, 0.0, inside, xtol=1e-300, rtol=1e-14))


def noise_scale(n: int, batch_size: float, sampling: str) -> tuple[float, float]:
    """``(κ, δ)`` of the equation ``κη tr[H(2 − δηH)⁻¹] = 1``.

    Parameters
    ----------
    n : int
        Number of samples, at least 1.
    batch_size : float
        In [1, n]; real and in (0, n] for Bernoulli.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    (float, float)
        ``κ = (1 − B/n)/B``, ``δ = 1`` for Bernoulli; ``κ = (n − B)/(B(n − 1))`` without
        and ``1/B`` with replacement, ``δ = 1 − κ``.

    Raises
    ------
    ValueError
        If the batch size is outside its range or the sampling unknown.

    Examples
    --------
    >>> from rmtstab.theory.high_dimensional import noise_scale
    >>> noise_scale(9, 3, "without_replacement")
    (0.25, 0.75)
    """
    n = _checks.integer("n", n, low=1)
    _checks.choice("sampling", sampling, SAMPLINGS)
    if sampling == "bernoulli":
        b = _checks.real("batch_size", batch_size, low=0, high=n, low_open=True, high_label="n")
        return (1.0 - b / n) / b, 1.0
    b = _checks.integer("batch_size", batch_size, low=1, high=n, high_label="n")
    replacement = sampling == "with_replacement" or n == 1
    kappa = 1.0 / b if replacement else (n - b) / (b * (n - 1.0))
    return kappa, 1.0 - kappa
