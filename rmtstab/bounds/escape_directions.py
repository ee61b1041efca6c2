"""Closed forms of an escape that the mean drives, read off an update's own curvatures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import scipy.linalg

from rmtstab._results import FloatArray, FrontierLaws
from rmtstab.curvature.samples import SampleCurvatures
from rmtstab.dynamics.update import Update
from rmtstab.theory.mirror import MirrorLaw
from rmtstab.theory.resistance import Resistance, with_noise


def mirror_law(update: Update) -> MirrorLaw:
    """Mirror law along the direction that grows fastest in the mean, ``|1 − ημ|`` largest.

    Parameters
    ----------
    update : Update

    Returns
    -------
    MirrorLaw

    Raises
    ------
    ValueError
        Without curvature, or with weight decay or momentum.
    """
    _plain(update)
    top = int(np.argmax(np.abs(update.mean_multipliers)))
    return _law(update.curvatures, update.basis.vectors[:, top])


def frontier_law(curvatures: SampleCurvatures) -> MirrorLaw:
    """Mirror law along the top generalised eigenvector of (H_F, H_R), where ``D(α₀)v = 0``.

    Parameters
    ----------
    curvatures : SampleCurvatures

    Returns
    -------
    MirrorLaw

    Raises
    ------
    ValueError
        Where the retain set misses a forget direction: the mean frontier is then 0.
    """
    retain, forget = curvatures.mean_curvatures
    values = np.linalg.eigvalsh(retain)
    if values[0] <= len(values) * np.finfo(float).eps * values[-1]:
        raise ValueError(
            "retain must have curvature along every forget direction for a frontier above 0, "
            "got directions that it misses"
        )
    _, vectors = scipy.linalg.eigh(forget, retain, driver="gvd")
    return _law(curvatures, vectors[:, -1])


def frontier_laws(updates: Sequence[Update]) -> FrontierLaws:
    """The frontiers' laws at several batch sizes, and how far each is within its range.

    Parameters
    ----------
    updates : sequence of Update
        Of the same curvatures; at any mixing.

    Returns
    -------
    FrontierLaws

    Raises
    ------
    ValueError
        As `frontier_law`; with weight decay or momentum.
    """
    law = frontier_law(updates[0].curvatures)
    found, noise = [], []
    for update in updates:
        _plain(update)
        found.append(law.frontiers(update.step_size, update.batch_size, update.sampling))
        noise.append(_noise_at(update.at(alpha=law.mean_frontier)))
    return FrontierLaws(
        np.array([update.batch_size for update in updates], dtype=float),
        law.mean_frontier,
        np.array([one.mean_square for one in found]),
        np.array([one.typical for one in found]),
        np.array([one.shuffled for one in found]),
        np.array(noise),
    )


def _noise_at(frontier: Update) -> float:
    """Size of the noise's correction where the mean's top direction neither grows nor falls."""
    if float(np.abs(frontier.mean_multipliers).max()) > 1.0 + 1e-6:  # descent overshoots
        return math.inf
    try:
        return resistance_with_noise(frontier).noise
    except ValueError:  # two directions grow alike
        return math.inf


def resistance_with_noise(update: Update) -> Resistance:
    """Ψ of the mean's escape with the first correction by batch noise.

    Parameters
    ----------
    update : Update

    Returns
    -------
    Resistance

    Raises
    ------
    ValueError
        Without curvature, with weight decay or momentum, or if two directions grow alike.
    """
    _plain(update)
    j = update.mean_multipliers
    order = np.argsort(-np.abs(j), kind="stable")
    r = len(j)
    top = np.zeros((r, r))
    top[order[0], order[0]] = 1.0
    added = update.second_moment().symmetric(top.copy()) - np.outer(j, j) * top
    pick = np.ix_(order, order)
    basis = update.basis
    return with_noise(j[order], added[pick], basis.retain[:r, :r][pick], basis.forget[:r, :r][pick])


def _plain(update: Update) -> None:
    for name in ("weight_decay", "momentum"):
        if getattr(update, name):
            raise ValueError(f"{name} must be 0 for the mirror law, got {getattr(update, name)}")
    if not len(update.mean_multipliers):
        raise ValueError("problem must have curvature for an escape direction, got none")


def _law(curvatures: SampleCurvatures, direction: FloatArray) -> MirrorLaw:
    """The law's numbers along a direction, from the factors."""
    v = direction / math.sqrt(float(direction @ direction))
    factors, offsets = curvatures.factors.matrix, curvatures.factors.offsets
    along = v @ factors
    moved = [factors[:, a:b] @ along[a:b] for a, b in itertools.pairwise(offsets)]  # H_i v
    split = curvatures.n_retain
    zero = np.zeros(len(v))
    retain, forget = (np.array(part).reshape(-1, len(v)) for part in (moved[:split], moved[split:]))
    return MirrorLaw(
        retain @ v,
        forget @ v,
        (retain**2).sum(1),
        (forget**2).sum(1),
        retain.mean(0),
        forget.mean(0) if len(forget) else zero,
    )
