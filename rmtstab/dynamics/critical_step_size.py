r"""Critical step size: up to where the growth factor stays at or below 1."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from rmtstab._results import FloatArray, Threshold
from rmtstab.dynamics import eigen
from rmtstab.dynamics.momentum import step_size_weights
from rmtstab.dynamics.second_moment import NoiseMap, SecondMoment
from rmtstab.dynamics.update import Update

NULL = 1e-13  # eigenvalues of D this small against the largest count as zero
INTERIOR = "interior"
ASCENT = "D(alpha) has an ascent direction on the range"
EXCITED = "noise excites a null direction of D(alpha)"


def critical_step_size(update: Update) -> Threshold:
    r"""Largest step size with ρ ≤ 1: ``η* = 1/λ_max(L^{-1/2} N L^{-1/2})``.

    ``L(M) = DM + MD`` and ``N(M) = DMD + noise``, both on the range; in D's
    eigenbasis L is elementwise, so this is one matrix-free symmetric eigenproblem.

    Parameters
    ----------
    update : Update
        Its own step size is not read.

    Returns
    -------
    Threshold
        0 with a status where D(alpha) has a direction that ascends, or a null
        one that noise excites; ``inf`` where nothing ever escapes. With weight
        decay also at most ``2/λ``, beyond which what the curvature does not see
        diverges.

    References
    ----------
    Mulayoff and Michaeli, arXiv:2306.07850, Theorem 3; with ascent and weight
    decay derived in docs/theory/critical_values.
    """
    basis, mu = update.basis, update.mean_eigenvalues
    d = mu + update.weight_decay
    cap = 2.0 * (1.0 + update.momentum) / update.weight_decay if update.weight_decay else math.inf
    unsigned = basis.row_weights() @ basis.rows[:, : len(mu)] ** 2
    scale = float(unsigned.max(initial=0.0)) + update.weight_decay
    if scale == update.weight_decay:
        return Threshold(cap, 0.0, True, "no curvature: nothing escapes")
    if d.min() < -NULL * scale:
        return Threshold(0.0, 0.0, True, ASCENT)
    noise = update.judged_noise
    null = d <= NULL * scale
    if null.any():
        if (_excitation(noise, mu)[null] > NULL * scale**2).any():
            return Threshold(0.0, 0.0, True, EXCITED)
        keep = np.flatnonzero(~null)
        if not keep.size:
            return Threshold(cap, 0.0, True, "nothing but inert directions: nothing escapes")
        noise, mu, d = _restrict(noise, keep), mu[keep], d[keep]
    left, mean = step_size_weights(d, update.momentum)
    elementwise = mean + noise.shift * np.outer(mu, mu)
    root = 1.0 / np.sqrt(left)
    psi = SecondMoment(noise, elementwise / left, 1.0, root)

    def weights(shift: float) -> tuple[FloatArray, FloatArray]:
        return root, 1.0 / (root * (left - mean / shift))  # proportional to g ∘ √L

    positive = weights if update.momentum else None
    top = eigen.leading(psi.symmetric, np.diag(root), weights=positive)
    if top.value <= 0.0:
        return Threshold(cap, 0.0, True, "nothing escapes")
    value = 1.0 / top.value
    error = float(value - 1.0 / top.upper)
    ok = math.isfinite(top.upper)
    if value > cap:
        return Threshold(cap, 0.0, ok, "weight decay: 2/weight_decay")
    return Threshold(value, error, ok, INTERIOR)


def _excitation(noise: NoiseMap, mu: FloatArray) -> FloatArray:
    """``tr N(v_p v_pᵀ)`` for each eigenvector: ``E‖Ĥ v_p‖²`` less the mean's, by ``N(I)``.

    The two sets make Ĥ indefinite: ``v_pᵀ Ĥ v_p`` may vanish in every batch without ``Ĥ v_p``.
    """
    whole = noise.apply(np.eye(len(mu)))
    result: FloatArray = np.diag(whole) + noise.shift * mu**2
    return result


def _restrict(noise: NoiseMap, keep: Any) -> NoiseMap:
    square = noise.square[np.ix_(keep, keep)] if noise.kappa else noise.square
    return replace(
        noise,
        rows=np.ascontiguousarray(noise.rows[:, keep]),
        square=np.ascontiguousarray(square),
    )
