"""Probability of an escape within a horizon, from a certificate of the growth factor."""

from __future__ import annotations

import math
import sys

from rmtstab import _checks


def escape_probability(
    growth: float, horizon: int, start: float, radius: float, smallest: float = 1.0
) -> float:
    r"""Bound on ``P(max_{k≤K} ‖w_k‖ ≥ R)`` for every number of samples, steps and dimensions.

    With ``X ≻ 0`` and ``Φ(X) ⪯ λX``: ``max(λ, 1)ᴷ E[w₀ᵀXw₀]/(λ_min(X) R²)``, at most 1.

    Parameters
    ----------
    growth : float
        λ ≥ 0, a certified upper bound on the growth factor.
    horizon : int
        K ≥ 0, in steps.
    start : float
        ``E[w₀ᵀXw₀] ≥ 0``.
    radius : float
        R > 0, in the units of the displacement.
    smallest : float, default 1
        ``λ_min(X) > 0`` of the certificate.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range.

    Notes
    -----
    ``λ^{-k} w_kᵀXw_k`` is a supermartingale, because Φ is self-adjoint, and Doob's maximal
    inequality does the rest. True at every horizon, hence loose: some hundred times the
    frequency in the median of random problems, a third of the sum of the steps' own Markov
    bounds.

    References
    ----------
    Derived in docs/theory/finite_horizon.

    Examples
    --------
    >>> from rmtstab.theory.finite_horizon import escape_probability
    >>> round(escape_probability(0.9, 100, start=1.0, radius=10.0), 12)
    0.01
    >>> round(escape_probability(1.02, 100, start=1.0, radius=100.0), 6)
    0.000724
    """
    growth = _checks.real("growth", growth, low=0.0)
    horizon = _checks.integer("horizon", horizon, low=0)
    start = _checks.real("start", start, low=0.0)
    radius = _checks.real("radius", radius, low=0.0, low_open=True)
    smallest = _checks.real("smallest", smallest, low=0.0, low_open=True)
    if start == 0.0:
        return 0.0
    # in logarithms, as λᴷ may exceed every float; rounding on the safe side
    terms = (
        horizon * math.log(max(growth, 1.0)),
        math.log(start),
        -math.log(smallest),
        -2.0 * math.log(radius),
    )
    exponent = sum(terms) + 8.0 * sys.float_info.epsilon * (1.0 + sum(map(abs, terms)))
    return math.exp(min(exponent, 0.0))
