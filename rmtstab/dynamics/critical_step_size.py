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
from rmtstab.dynamics.mean_curvature import MeanCurvature, resolution
from rmtstab.dynamics.momentum import step_size_weights
from rmtstab.dynamics.second_moment import NoiseMap, SecondMoment
from rmtstab.dynamics.update import Update

RESOLVED = 1e8  # times their rounding: eigenvalues of D above it are accurate as they are
FINE = 1e-10  # relative error of η* below which it is not estimated more finely
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
    mu = update.mean_eigenvalues
    d = mu + update.weight_decay
    cap = 2.0 * (1.0 + update.momentum) / update.weight_decay if update.weight_decay else math.inf
    if not len(mu):
        return Threshold(cap, 0.0, True, "no curvature: no step size is critical")
    crude = resolution(update)
    if d.min() < -crude:
        return Threshold(0.0, 0.0, True, ASCENT)
    mean = MeanCurvature.of(update, d, crude)
    noise = _noise(update, d)
    unresolved = d <= RESOLVED * crude
    if unresolved.any():
        mean, turn = mean.resolved(unresolved)
        d = mean.values
        mu = d - update.weight_decay
        noise = noise.turned(turn, unresolved)
    if (d < -mean.blur).any():
        return Threshold(0.0, 0.0, True, ASCENT)
    null = d <= mean.blur
    if null.any():
        width = _width(noise, mean, crude, null)
        if width > 0.0:
            return Threshold(0.0, width, True, EXCITED)
        keep = np.flatnonzero(~null)
        if not keep.size:
            return Threshold(cap, 0.0, True, "nothing but inert directions: nothing escapes")
        noise, mu, mean = noise.restricted(keep), mu[keep], mean.restricted(keep)
        d = mean.values
    left, drift = step_size_weights(d, update.momentum)
    elementwise = drift + noise.shift * np.outer(mu, mu)
    root = 1.0 / np.sqrt(left)
    unit = float(np.abs(d).max())  # 1/η* is a curvature: the eigen-solver sees numbers of size 1
    psi = SecondMoment(noise, elementwise / (unit * left), 1.0, root / math.sqrt(unit))

    def weights(shift: float) -> tuple[FloatArray, FloatArray]:
        return root, 1.0 / (root * (left - drift / (shift * unit)))  # proportional to g ∘ √L

    positive = weights if update.momentum else None
    top = eigen.leading(psi.symmetric, np.diag(root / root.max()), weights=positive)
    top = replace(top, value=top.value * unit, upper=top.upper * unit)
    if top.value <= 0.0:
        return Threshold(cap, 0.0, True, "nothing escapes")
    value = 1.0 / top.value
    error = float(value - 1.0 / top.upper) + value * _blurred(top, noise, left, drift, mean)
    if value > cap:
        return Threshold(cap, 0.0, top.certified, "weight decay: 2/weight_decay")
    return Threshold(value, error, top.certified, INTERIOR)


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


def _width(
    noise: NoiseMap | CentredNoise, mean: MeanCurvature, crude: float, null: NDArray[np.bool_]
) -> float:
    """How far η* may lie above 0 where noise excites null directions; 0 if no batch moves them.

    The test is ``tr N(v vᵀ) = E‖Ĥ v‖²`` against the direction's own squared curvature: the
    two sets make Ĥ indefinite, so that ``vᵀ Ĥ v`` may vanish in every batch without ``Ĥ v``.
    """
    d, mu = mean.values, mean.values - mean.update.weight_decay
    eye = np.eye(len(d))
    parts = np.diag(noise.summed().apply(eye))
    moved = np.diag(noise.apply(eye)) + noise.shift * mu**2
    excited = null & (moved > NONE * parts)
    if not excited.any():
        return 0.0
    # on vvᵀ and N(vvᵀ) Φ − 1 is positive from there on, were d as large as rounding allows
    p = int(np.argmax(np.where(excited, moved, -1.0)))
    reach = 4.0 * crude * float(np.abs(d).max()) * len(d)
    width = math.sqrt(reach) / float(moved[p])
    # and on vvᵀ alone where noise moves v along itself: (1 − ηd)² + η² own > 1
    alone = np.zeros((len(d), len(d)))
    alone[p, p] = 1.0
    own = float(noise.apply(alone)[p, p]) + noise.shift * float(mu[p]) ** 2
    if own > NONE * float(noise.summed().apply(alone)[p, p]):
        width = min(width, 4.0 * float(mean.blur[p]) / own)
    return width + TINY


def _blurred(
    top: Enclosure,
    noise: NoiseMap | CentredNoise,
    left: FloatArray,
    drift: FloatArray,
    mean: MeanCurvature,
) -> float:
    """Relative error of ``1/η*`` from the rounding of D's eigenvalues and of the noise."""
    scaled = top.matrix / np.sqrt(left)
    # the samples' sum is what it leaves, at most this, and what cancels
    rest = top.value + abs(float(np.vdot(scaled**2, drift)))
    parts = 2.0 * rest + noise.cancelled(scaled)
    summed = 4.0 * EPS * math.sqrt(len(left)) * parts / top.value
    blurred = float(np.vdot(top.matrix**2, (mean.blur[:, None] + mean.blur) / left))
    if blurred > FINE:
        blurred = min(blurred, mean.inherited(scaled, 1.0 / top.value))
    return blurred + summed
