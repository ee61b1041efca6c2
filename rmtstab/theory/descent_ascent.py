r"""Critical mixing under weight decay: where the left edge of the descent–ascent law meets −λ."""

from __future__ import annotations

import math

from rmtstab import _checks
from rmtstab.laws import DescentAscent
from rmtstab.theory import wachter


def critical_alpha(
    retain_ratio: float, forget_ratio: float, weight_decay: float, *, scale: float = 1.0
) -> float:
    r"""Largest mixing at which ``D(α) + λI ⪰ 0`` in the limit, isotropic factors.

    The root of ``e(α) = −λ``, e the left edge of `rmtstab.laws.DescentAscent`;
    Wachter's threshold at λ = 0. For ``γ_r > 1`` it leaves 0 as
    ``λ/(1 + √(γ_f(1 − 1/γ_r)))²``; it is 1 from ``λ = (1 + √γ_f)²`` on.

    Parameters
    ----------
    retain_ratio, forget_ratio : float
        ``γ = dim/n`` of each set, in [1e-50, 1e50].
    weight_decay : float
        ``λ ≥ 0``, in the units of the curvature.
    scale : float, default 1.0
        Variance of the factors' entries, > 0.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    Mean dynamics: small steps or large batches. The sampled value lies above it by order
    ``n^{-2/3}``. Unlike Wachter's threshold it depends on the factors' covariance:
    isotropic factors only.

    References
    ----------
    Derived in docs/theory/descent_ascent_edge.

    See Also
    --------
    rmtstab.UnlearningProblem.critical_alpha : of given curvatures, batch noise included.

    Examples
    --------
    >>> from rmtstab.theory import descent_ascent
    >>> [round(descent_ascent.critical_alpha(2.0, 8.0, decay), 4) for decay in (0.0, 0.1, 1.0)]
    [0.0, 0.0107, 0.0901]
    """
    law = DescentAscent(retain_ratio, forget_ratio, 0.5)  # checks the ratios
    decay = _checks.real("weight_decay", weight_decay, low=0.0)
    decay /= _checks.real("scale", scale, low=0.0, low_open=True)
    if decay < 1e-100:  # moves the threshold by less than rounding
        decay = 0.0
    if decay >= (1.0 + math.sqrt(law.forget_ratio)) ** 2:
        return 1.0
    start = wachter.critical_alpha(law.retain_ratio, law.forget_ratio)
    if decay == 0.0:
        return start

    def excess(alpha: float) -> float:
        return left_edge(law.retain_ratio, law.forget_ratio, alpha) + decay

    # e is non-increasing, and e(α) ≥ −α(1 + √γ_f)²: below `low` the mix is still positive
    low = max(decay / (1.0 + math.sqrt(law.forget_ratio)) ** 2 * (1.0 - 1e-9), 1e-50, start)
    from scipy.optimize import brentq

    return float(brentq(excess, low, 1.0, xtol=1e-300, rtol=1e-13))


def left_edge(retain_ratio: float, forget_ratio: float, alpha: float) -> float:
    """Left edge ``e(α)`` of the mix-Hessian's law.

    Parameters
    ----------
    retain_ratio, forget_ratio : float
    alpha : float
        In [0, 1].

    Returns
    -------
    float

    Examples
    --------
    >>> from rmtstab.theory import descent_ascent, wachter
    >>> abs(descent_ascent.left_edge(0.2, 0.5, wachter.critical_alpha(0.2, 0.5))) < 1e-12
    True
    """
    return DescentAscent(retain_ratio, forget_ratio, alpha).support()[0]
