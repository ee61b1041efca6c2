"""Resistance Ψ with batch noise, in closed form: the escape's first correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._record import Record


@dataclass(frozen=True)
class Resistance(Record):
    """Resistance along an escape that the mean drives.

    Attributes
    ----------
    value : float
        Ψ with the first correction by batch noise; error of second order in the noise.
    mean_only : float
        ``vᵀH_Rv/vᵀH_Fv``, without noise.
    growth : float
        ρ to first order: ``j₁² + ⟨vvᵀ, N(vvᵀ)⟩``.
    noise : float
        Size of the correction, ``‖X − vvᵀ‖_F``; the value is good where this is small.
    """

    value: float
    mean_only: float
    growth: float
    noise: float


def with_noise(growth: Any, noise: Any, retain: Any, forget: Any) -> Resistance:
    r"""``Ψ = tr(H_RX)/tr(H_FX)``, ``X = vvᵀ + Σ_{(p,q)≠(1,1)} N(vvᵀ)_pq/(j₁² − j_pj_q) E_pq``.

    All in the eigenbasis of D(α), v its first vector: the direction of the largest ``|j|``.

    Parameters
    ----------
    growth : array_like, shape (r,)
        ``j_p = 1 − ημ_p``; ``|j₁|`` the largest, and simple.
    noise : array_like, shape (r, r)
        ``N(vvᵀ)``, the second moment that a step's batch noise adds to ``vvᵀ``.
    retain, forget : array_like, shape (r, r)
        H_R and H_F.

    Returns
    -------
    Resistance

    Raises
    ------
    ValueError
        If shapes differ, the first ``|j|`` is not the largest alone, or the forget set
        does not see the escape.

    Notes
    -----
    First-order perturbation of Φ's top eigenmatrix about ``vvᵀ``: the error falls with the
    square of the noise (4.4e-5, 1.1e-5, 2.8e-6 as it halves, where the mean alone is 7.6e-3
    off). Fails where noise, not the mean, drives the escape.

    References
    ----------
    Derived in docs/theory/resistance.

    See Also
    --------
    rmtstab.theory.cnn.escape : the mean-only Ψ of a model of data.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.theory.resistance import with_noise
    >>> found = with_noise(
    ...     [1.2, 0.8], [[0.01, 0.0], [0.0, 0.008]], np.diag([0.1, 1.0]), np.diag([1.0, 0.1])
    ... )
    >>> round(found.mean_only, 4), round(found.value, 4)
    (0.1, 0.1099)
    """
    j = _checks.moderate("growth", _checks.array("growth", growth, ndim=1))
    r = len(j)
    n, h_r, h_f = (
        _checks.moderate(name, _checks.array(name, given, ndim=2))
        for name, given in (("noise", noise), ("retain", retain), ("forget", forget))
    )
    for name, given in (("noise", n), ("retain", h_r), ("forget", h_f)):
        if given.shape != (r, r):
            raise ValueError(f"{name} must have shape ({r}, {r}), got {given.shape}")
    gaps = j[0] ** 2 - np.outer(j, j)
    gaps[0, 0] = 1.0
    if r == 0 or (r > 1 and not np.abs(j[1:]).max() < abs(j[0])):
        raise ValueError("growth must have its largest modulus first and alone, got another")
    moment = n / gaps
    moment[0, 0] = 0.0
    size = float(np.linalg.norm(moment))
    moment[0, 0] = 1.0
    down = float(np.vdot(h_f, moment))
    if not (h_f[0, 0] > 0.0 and down > 0.0):
        raise ValueError("forget must have curvature along the escape, got none")
    value = float(np.vdot(h_r, moment)) / down
    mean_only = float(h_r[0, 0] / h_f[0, 0])
    return Resistance(value, mean_only, float(j[0] ** 2 + n[0, 0]), size)
