r"""Critical step size: up to where the growth factor stays at or below 1."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rmtstab._results import FloatArray, Threshold
from rmtstab.dynamics import eigen
from rmtstab.dynamics.centred import CentredNoise
from rmtstab.dynamics.certificate import EPS, TINY, Enclosure
from rmtstab.dynamics.momentum import step_size_weights
from rmtstab.dynamics.second_moment import NoiseMap, SecondMoment
from rmtstab.dynamics.update import Update

NONE = 1e-12  # of its own squared curvature: noise along a null direction that is rounding
ALIKE = 1e-3  # D's squared eigenvalue and noise over the noise's parts: below, these are centred
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
    if not (basis.row_weights() @ basis.rows[:, : len(mu)] ** 2).any():
        return Threshold(cap, 0.0, True, "no curvature: nothing escapes")
    blur = np.full(len(d), resolution(update))
    noise = _noise(update, d)
    unresolved = np.abs(d) <= blur
    if unresolved.any():
        d[unresolved], blur[unresolved], turn = _finer(update, d, unresolved)
        mu = d - update.weight_decay
        noise = noise.turned(turn, unresolved)
    if (d < -blur).any():
        return Threshold(0.0, 0.0, True, ASCENT)
    null = d <= blur
    if null.any():
        width = _width(update, noise, d, null)
        if width > 0.0:
            return Threshold(0.0, width, True, EXCITED)
        keep = np.flatnonzero(~null)
        if not keep.size:
            return Threshold(cap, 0.0, True, "nothing but inert directions: nothing escapes")
        noise, mu, d, blur = noise.restricted(keep), mu[keep], d[keep], blur[keep]
    left, mean = step_size_weights(d, update.momentum)
    elementwise = mean + noise.shift * np.outer(mu, mu)
    root = 1.0 / np.sqrt(left)
    psi = SecondMoment(noise, elementwise / left, 1.0, root)

    unit = float(np.abs(d).max())  # 1/η* is a curvature: the eigen-solver sees numbers of size 1

    def scaled(m: FloatArray) -> FloatArray:
        image = psi.symmetric(m)
        image /= unit
        return image

    def weights(shift: float) -> tuple[FloatArray, FloatArray]:
        return root, 1.0 / (root * (left - mean / (shift * unit)))  # proportional to g ∘ √L

    positive = weights if update.momentum else None
    top = eigen.leading(scaled, np.diag(root / root.max()), weights=positive)
    top = replace(top, value=top.value * unit, upper=top.upper * unit)
    if top.value <= 0.0:
        return Threshold(cap, 0.0, True, "nothing escapes")
    value = 1.0 / top.value
    error = float(value - 1.0 / top.upper) + value * _blurred(top, noise, left, root, blur)
    if value > cap:
        return Threshold(cap, 0.0, top.certified, "weight decay: 2/weight_decay")
    return Threshold(value, error, top.certified, INTERIOR)


def resolution(update: Update) -> float:
    """Absolute accuracy of D's eigenvalues: rounding of the two curvatures that it is made of.

    At mixing 0 or 1 they are squares of singular values, and accurate by themselves.

    Parameters
    ----------
    update : Update

    Returns
    -------
    float
    """
    if 0.0 in update.weights and not update.weight_decay:
        return 0.0
    basis = update.basis
    unsigned = basis.row_weights() @ np.square(basis.rows)
    size = float(unsigned.max(initial=0.0)) + update.weight_decay
    return 8.0 * EPS * math.sqrt(sum(basis.rows.shape)) * size


def _noise(update: Update, d: FloatArray) -> NoiseMap | CentredNoise:
    """The noise, centred sample by sample where D is small beside what cancels in it."""
    noise = update.judged_noise
    if not CentredNoise.affordable(update):
        return noise
    parts, rest = noise.of_identity()
    if (d * d >= ALIKE * parts).all():
        return noise
    left = rest + noise.shift * (d - update.weight_decay) ** 2
    return CentredNoise.build(update) if (d * d + left < ALIKE * parts).any() else noise


def _finer(
    update: Update, d: FloatArray, unresolved: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Eigenvalues that drown in the rounding of the largest, to the rounding of their own.

    D's block on their eigenvectors, less its coupling to the others, is summed from the
    factors: ``vᵀDv`` is as accurate as v's own unsigned curvature, however small that is.

    Returns eigenvalues, their accuracy, and the block's eigenvectors.
    """
    basis = update.basis
    rows = basis.rows[:, : len(d)]
    part = rows[:, unresolved]
    block = (rows * basis.row_weights(1.0, -1.0)[:, None]).T @ part
    own, across = block[unresolved], block[~unresolved]
    own = own - across.T @ (across / d[~unresolved, None])
    own.flat[:: len(own) + 1] += update.weight_decay
    values, turn = np.linalg.eigh(own)
    unsigned = basis.row_weights() @ np.square(part @ turn) + update.weight_decay
    return values, 8.0 * EPS * math.sqrt(sum(rows.shape)) * unsigned, turn


def _width(
    update: Update, noise: NoiseMap | CentredNoise, d: FloatArray, null: NDArray[np.bool_]
) -> float:
    """How far η* may lie above 0 where noise excites null directions; 0 if no batch moves them.

    The test is ``tr N(v vᵀ) = E‖Ĥ v‖²`` against the direction's own squared curvature: the
    two sets make Ĥ indefinite, so that ``vᵀ Ĥ v`` may vanish in every batch without ``Ĥ v``.
    """
    eye = np.eye(len(d))
    parts = np.diag(noise.summed().apply(eye))
    moved = np.diag(noise.apply(eye)) + noise.shift * (d - update.weight_decay) ** 2
    excited = null & (moved > NONE * parts)
    if not excited.any():
        return 0.0
    # on vvᵀ and N(vvᵀ) Φ − 1 is positive from there on, were d as large as rounding allows
    blur, p = resolution(update), int(np.argmax(np.where(excited, moved, -1.0)))
    reach = 4.0 * blur * float(np.abs(d).max()) * len(d)
    width = math.sqrt(reach) / float(moved[p])
    # and on vvᵀ alone where noise moves v along itself: (1 − ηd)² + η² own > 1
    alone = np.zeros((len(d), len(d)))
    alone[p, p] = 1.0
    own = float(noise.apply(alone)[p, p]) + noise.shift * float(d[p] - update.weight_decay) ** 2
    if own > NONE * float(noise.summed().apply(alone)[p, p]):
        width = min(width, 4.0 * blur / own)
    return width + TINY


def _blurred(
    top: Enclosure,
    noise: NoiseMap | CentredNoise,
    left: FloatArray,
    root: FloatArray,
    blur: FloatArray,
) -> float:
    """Relative error of ``1/η*`` from the rounding of D's eigenvalues and of cancelling noise."""
    mean = float(np.vdot(top.matrix**2, (blur[:, None] + blur) / left))
    scaled = root * top.matrix
    parts = float(np.vdot(scaled, noise.cancelling().apply(scaled)))
    return mean + 4.0 * EPS * math.sqrt(len(root)) * parts / top.value
