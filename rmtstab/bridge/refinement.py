"""A kernel that moves: the Jacobian read again at a few predicted points, and used between.

Over-parameterised networks keep their kernel; residual nets and transformers do not, and a kernel
that grows while the loss still falls decides whether a run near the frontier escapes. Between the
weights and a second point the kernel is taken to change in proportion to the way travelled:

    K(w) = K + s (K_k − K),   s = ⟨δ, δ_k⟩/‖δ_k‖² in [0, 2],   δ = w − w*,

with k the point whose displacement δ_k makes the smallest angle with δ.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.bridge.derivatives import DerivativeError
from rmtstab.bridge.function_space import Bend
from rmtstab.bridge.linearisation import Linearisation
from rmtstab.bridge.runs import FunctionSpaceRun

WHEN = 0.25  # of the time to a cell's collapse or to the horizon: before the collapse itself
ALIGNED = 0.95  # cosine from which a point speaks for a cell
STILL = 1e-3  # relative change of the Gram matrix up to which it has not moved


class Point(NamedTuple):
    """Where the Jacobian is read again."""

    cell: tuple[int, ...]
    step: int
    coefficients: FloatArray  # of the displacement there, shape (n·C + 1,), see `_images`


def points_of(
    net: Linearisation, run: FunctionSpaceRun, passes: int, replica: int = 0
) -> list[Point]:
    """Choose points whose displacements point where those of all cells do.

    Each cell is looked at after a quarter of its time to collapse, or of the horizon. The first
    group forms around the cell with the largest mean cosine, the next around the cell least
    aligned with those before, until every cell is aligned or the passes are spent; each is
    represented by its member of median displacement.

    Parameters
    ----------
    net : Linearisation
    run : FunctionSpaceRun
    passes : int
    replica : int, default 0
    """
    plan, cells = run.plan, len(run.plan.step_size)
    collapsed = run.turns.collapse_step.reshape(cells, -1)[:, replica]
    ends = np.where(np.isinf(collapsed), plan.steps, collapsed)
    steps = np.maximum(np.ceil(WHEN * ends), 1.0).astype(np.int64)
    if not plan.steps:
        return []
    kept = net.coefficients(run, steps[:, None], replica=replica)
    coefficients = np.column_stack([kept.values.reshape(cells, -1), 1.0 - kept.scale[:, 0]])
    lengths, cosines = _angles(net, coefficients)
    usable = np.isfinite(lengths) & (lengths > 0.0)
    if not usable.any():
        return []
    cosines = np.where(usable & usable[:, None], cosines, np.nan)
    centres: list[int] = []
    nearest = np.where(usable, -np.inf, np.inf)
    following = int(np.argmax(np.where(usable, np.nan_to_num(cosines).sum(axis=1), -np.inf)))
    while len(centres) < passes and (nearest < ALIGNED).any():
        centres.append(following)
        nearest = np.where(usable, np.fmax(nearest, cosines[:, following]), np.inf)
        following = int(np.argmin(nearest))
    groups = np.where(usable, np.nan_to_num(cosines[:, centres], nan=-2.0).argmax(axis=1), -1)
    found = []
    for group in range(len(centres)):
        members = np.flatnonzero(groups == group)
        cell = members[np.argsort(lengths[members])[len(members) // 2]]
        place = tuple(int(k) for k in np.unravel_index(int(cell), plan.shape))
        found.append(Point(place, int(steps[cell]), coefficients[cell]))
    return found


def bends_of(
    net: Linearisation, run: FunctionSpaceRun, passes: int, replica: int = 0
) -> tuple[Bend, ...]:
    """Read the Jacobian again at the points of a run; see `LinearisedNetwork.refine`."""
    passes = _checks.integer("passes", passes, low=0)
    replica = _checks.integer("replica", replica, low=0, high=run.plan.replicas - 1)
    bends = []
    for point in points_of(net, run, passes, replica) if passes else ():
        try:
            moved = net.relinearise(run, point.cell, point.step, replica=replica).space.gram
            moved -= net.space.gram
        except DerivativeError:  # where a run has left for infinity
            continue
        apart = float(moved.norm() / net.space.gram.norm())
        if not STILL < apart < np.inf:
            continue
        seen = _images(net, point.coefficients[None])[0]
        length = math.sqrt(max(float(point.coefficients @ seen), 0.0))
        way = torch.as_tensor(seen / length).to(moved)
        bends.append(Bend(moved.view(len(way) - 1, -1), way[:-1], length, float(way[-1])))
    return tuple(bends)


def _images(net: Linearisation, c: FloatArray) -> FloatArray:
    """Multiply ``(c, 1 − a)``, shape (k, n·C + 1), by the Gram matrix of ``(P^½Jᵀ, P^{-½}w*)``.

    Displacements are ``−PJᵀc − (1 − a)w*``. The last column is 0 where nothing is known of
    ``J w*``: weights that do not decay have no part in it.
    """
    space, body, decayed = net.space, c[:, :-1], c[:, -1:]
    side = body.shape[1]
    images = np.zeros_like(c)
    images[:, :-1] = body @ space.gram.reshape(side, -1)[:, :side].cpu().numpy()
    if space.drift is not None:
        drift = space.drift[:side].cpu().numpy()
        images[:, :-1] += decayed * drift
        images[:, -1] = body @ drift + decayed[:, 0] * space.weight_norm**2
    return images


def _angles(net: Linearisation, c: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lengths of displacements, and the cosines between them."""
    with np.errstate(all="ignore"):
        products = _images(net, c) @ c.T
        lengths = np.sqrt(np.diag(products))
        cosines: FloatArray = products / np.outer(lengths, lengths)
    return lengths, cosines
