r"""Wachter threshold: the critical mixing α* of the mean dynamics, any common covariance.

``D(α) = (1−α)H_R − αH_F ⪰ 0`` iff ``α ≤ 1/(1+b)``, ``b = λ_max(H_F, H_R)`` the largest
generalised eigenvalue. For Gaussian factors of one common covariance, b does not
depend on that covariance: its limit is the upper edge of Wachter's law, its law at
finite n that of the largest root of a double Wishart, Tracy–Widom on a logarithmic scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab.laws import TracyWidom


def critical_alpha(retain_ratio: float, forget_ratio: float) -> float:
    r"""Limit of the mean-limited critical mixing, ``α* = 1/(1+b)``.

    ``b = ((1 + √(γ_r + γ_f − γ_rγ_f))/(1 − γ_r))²`` for ``γ_r < 1``; 0 for ``γ_r ≥ 1``, where
    the retain set misses forget directions.

    Parameters
    ----------
    retain_ratio, forget_ratio : float
        ``γ = dim/n`` of each set, > 0.

    Returns
    -------
    float
        In [0, ½).

    Raises
    ------
    ValueError
        If a ratio is not positive.

    Notes
    -----
    An upper bound on α* at every step size in the limit, exact for small steps or
    large batches. At finite n the sampled α* is higher by order ``n^{-2/3}``: see
    `critical_alpha_quantile`.

    References
    ----------
    K. W. Wachter, Ann. Statist. 8 (1980), 937. Derived in docs/theory/wachter.

    See Also
    --------
    rmtstab.theory.descent_ascent.critical_alpha : with weight decay, isotropic factors.

    Examples
    --------
    >>> from rmtstab.theory import wachter
    >>> round(wachter.critical_alpha(0.2, 0.5), 6), wachter.critical_alpha(1.5, 0.5)
    (0.168901, 0.0)
    """
    retain = _checks.real("retain_ratio", retain_ratio, low=0.0, low_open=True)
    forget = _checks.real("forget_ratio", forget_ratio, low=0.0, low_open=True)
    if retain >= 1.0:
        return 0.0
    gap = (1.0 - retain) ** 2
    return gap / (gap + (1.0 + math.sqrt(retain + forget * (1.0 - retain))) ** 2)


@dataclass(frozen=True)
class CriticalAlpha:
    """Critical mixing of the mean dynamics at finite n.

    Attributes
    ----------
    limit : float
        ``1/(1+b)`` with b Wachter's edge.
    mean : float
        Expected value, by the Tracy–Widom law of ``log b``.
    quantile : float
        Value below which α* falls with the probability asked for.
    centre, scale : float
        Johnstone's μ and σ of ``log(b n_f/n_r)``; NaN where ``dim ≥ n_retain``.
    """

    limit: float
    mean: float
    quantile: float
    centre: float
    scale: float


def critical_alpha_quantile(
    n_retain: int, n_forget: int, dim: int, probability: float = 0.5
) -> CriticalAlpha:
    r"""Mean-limited α* at finite n: ``logit(α*) = log(n_f/n_r) − μ − σW``, W Tracy–Widom.

    Johnstone's constants, with ``N = n_r + n_f − 1``:

    ``sin²(φ/2) = (max(dim, n_f) − ½)/N``, ``sin²(ψ/2) = (min(dim, n_f) − ½)/N``,
    ``μ = 2 log tan((φ+ψ)/2)``, ``σ³ = 16/(N² sin²(φ+ψ) sin φ sin ψ)``.

    Parameters
    ----------
    n_retain, n_forget, dim : int
        Set sizes and dimension, at least 1 each.
    probability : float, default 0.5
        In (0, 1), of an α* below the quantile.

    Returns
    -------
    CriticalAlpha
        All zeros where ``dim ≥ n_retain``: a forget direction is missed, at most a
        null set of data sets excepted (``dim = n_retain`` included: b has no mean).

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    Gaussian factors of one common covariance. The law holds to ``O(n^{-2/3})`` in
    distribution; the centre is then right to ``O(n^{-4/3})`` where `critical_alpha` is
    to ``n^{-2/3}``. Heavy-tailed factors and different covariances leave it, and so does
    ``n_retain`` beside ``dim``, where b has heavy tails: the mean is then high by a factor of
    4 to 5 at ``dim + 1``, by 20 % at ``dim + 5``, 6 % at ``dim + 12`` and 1 to 4 % from
    ``dim + 20`` on (dim 30 and 100); medians stay within sampling error from ``dim + 2`` on.

    References
    ----------
    I. M. Johnstone, Ann. Statist. 36 (2008), 2638, Theorem 1. Carried to α* in
    docs/theory/wachter.

    Examples
    --------
    >>> from rmtstab.theory import wachter
    >>> found = wachter.critical_alpha_quantile(500, 200, 100, 0.05)
    >>> round(found.limit, 4), round(found.mean, 4), round(found.quantile, 4)
    (0.1689, 0.1763, 0.1643)
    """
    n_retain = _checks.integer("n_retain", n_retain, low=1)
    n_forget = _checks.integer("n_forget", n_forget, low=1)
    dim = _checks.integer("dim", dim, low=1)
    level = _checks.real("probability", probability, low=0, high=1, low_open=True, high_open=True)
    if dim >= n_retain:
        return CriticalAlpha(0.0, 0.0, 0.0, math.nan, math.nan)
    total = n_retain + n_forget - 1.0
    phi = 2.0 * math.asin(math.sqrt((max(dim, n_forget) - 0.5) / total))
    psi = 2.0 * math.asin(math.sqrt((min(dim, n_forget) - 0.5) / total))
    centre = 2.0 * math.log(math.tan(0.5 * (phi + psi)))
    cube = 16.0 / (total**2 * math.sin(phi + psi) ** 2 * math.sin(phi) * math.sin(psi))
    scale = cube ** (1.0 / 3.0)
    law = TracyWidom(1)

    def mixing(w: Any) -> Any:
        return 1.0 / (1.0 + n_retain / n_forget * np.exp(centre + scale * w))

    # the trapezoidal rule converges geometrically on an analytic density of the whole line
    nodes = np.arange(-12.0, 12.0, 0.0625)
    mean = float(np.sum(law.pdf(nodes) * mixing(nodes)) * 0.0625)
    return CriticalAlpha(
        critical_alpha(dim / n_retain, dim / n_forget),
        mean,
        float(mixing(law.isf(level))),
        centre,
        scale,
    )
