"""What the curvature frozen at the trained weights says: sharpness, coherence, SGD's threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse.linalg import eigsh
from torch import Tensor, nn

from rmtstab._record import Record
from rmtstab._results import FloatArray
from rmtstab.bridge.gram import apply_roots
from rmtstab.bridge.gram_rows import factor_rows
from rmtstab.curvature.coherence import coherence_matrix
from rmtstab.unlearning.problem import UnlearningProblem

if TYPE_CHECKING:
    from rmtstab.bridge.linearised import LinearisedNetwork

EXACT_SIDE = 400  # side of a Gram up to which SGD's exact threshold takes no time to speak of


@dataclass(frozen=True)
class SetCurvature(Record):
    """Mean curvature of one set at the trained weights.

    Attributes
    ----------
    sharpness : float
        ``λ_max(H_s)``.
    effective_rank : float
        ``(tr H_s)²/tr(H_s²)``.
    coherence, largest_coherence : float
        σ, and the most it can be: ``n√k`` with k the rank of a sample's curvature (all
        samples alike, each with k equal eigenvalues); it exceeds n where k > 1.
    """

    sharpness: float
    effective_rank: float
    coherence: float
    largest_coherence: float


@dataclass(frozen=True, repr=False)
class FrozenCurvature(Record):
    """Linear stability at the trained weights, which a saturated loss blinds.

    Attributes
    ----------
    retain, forget : SetCurvature or None
        None for an empty set or a loss that is not convex in the outputs.
    cross_coherence, largest_cross_coherence : float
        ``σ_RF`` and ``√(k n_r n_f)``, the most it can be.
    sgd_step_size : float
        Threshold of plain SGD on the retain set: exact in mean square for small sets, else
        that of the mean, ``2/λ_max(H_R)``, which is never below it.
    is_exact : bool
    safe_step_size : float
        ``2/(κ λ_max(ΩK_RR))``: full-batch descent on the retain set alone does not raise its
        loss below this step, whatever the outputs (``∇²ℓ ⪯ κ``); not frozen. NaN where no κ
        is known.
    """

    retain: SetCurvature | None
    forget: SetCurvature | None
    cross_coherence: float
    largest_cross_coherence: float
    sgd_step_size: float
    is_exact: bool
    safe_step_size: float


def frozen_curvature(net: LinearisedNetwork, batch_size: float, sampling: str) -> FrozenCurvature:
    """Read curvature and coherence off a linearised network.

    Parameters
    ----------
    net : LinearisedNetwork
    batch_size : float
        Of the retain set.
    sampling : str

    Returns
    -------
    FrozenCurvature
    """
    roots, ranks = _roots(net)
    r, width = net.n_retain, roots.shape[2]
    if ranks[0] is None:
        return FrozenCurvature(None, None, math.nan, math.nan, math.nan, False, _safe_step(net))
    gram = apply_roots(torch.as_tensor(net.gram), roots, roots).numpy()
    n = len(roots)
    s = coherence_matrix(gram, np.arange(n + 1) * width)
    blocks = gram.reshape(n, width, n, width)[np.arange(n), :, np.arange(n)]
    tops = np.linalg.eigvalsh(blocks)[:, -1]
    found: list[SetCurvature | None] = []
    for at, rank in zip((slice(0, r), slice(r, n)), ranks, strict=True):
        size = at.stop - at.start
        own = slice(at.start * width, at.stop * width)
        empty = rank is None or not size
        found.append(None if empty else _set(gram[own, own], s[at, at], tops[at], rank or 1))
    cross = largest = math.nan
    if found[1] is not None:
        peaks = math.sqrt(tops[:r].max() * tops[r:].max())
        cross = float(np.linalg.norm(s[:r, r:], 2)) / peaks if peaks > 0 else math.nan
        largest = math.sqrt(min(r_ for r_ in ranks if r_) * r * (n - r))
    retain = found[0]
    assert retain is not None
    mean = 2.0 / retain.sharpness if retain.sharpness > 0 else math.inf
    exact = r * width <= EXACT_SIDE and sampling != "shuffled" and retain.sharpness > 0
    if exact:
        rows = factor_rows(gram[: r * width, : r * width])
        problem = UnlearningProblem.from_factors(rows.reshape(r, width, -1))
        mean = float(problem.critical_step_size(batch_size, 0.0, sampling=sampling))
    return FrozenCurvature(retain, found[1], cross, largest, mean, exact, _safe_step(net))


def _safe_step(net: LinearisedNetwork) -> float:
    """Step below which full-batch descent on the retain set is safe at every point."""
    loss, part, _, weights = next(net.trained())
    if loss.bound is None:
        return math.nan
    side = net.n_retain * net.n_outputs
    omega = weights / len(part) if loss.normalised else weights
    root = np.repeat(omega.sqrt().cpu().numpy(), net.n_outputs)
    top = _largest(net.gram[:side, :side] * root * root[:, None])
    return 2.0 / (loss.bound * top) if top > 0 else math.inf


def _roots(net: LinearisedNetwork) -> tuple[Tensor, list[int | None]]:
    """Weighted roots of all output Hessians, (n, C, k), and each set's k; None if not convex."""
    found: list[Tensor] = []
    ranks: list[int | None] = []
    for loss, part, outputs, weights in net.trained():
        if not loss.convex:
            found.append(outputs.new_zeros(len(part), outputs.shape[1], 1))
            ranks.append(None)
            continue
        try:
            root = loss.roots(outputs, part.targets).dense()
        except ValueError:  # an unknown loss that turns out not to be convex here
            found.append(outputs.new_zeros(len(part), outputs.shape[1], 1))
            ranks.append(None)
            continue
        found.append(root * weights.sqrt()[:, None, None])
        ranks.append(root.shape[2])
    width = max(root.shape[2] for root in found)
    padded = [nn.functional.pad(root, (0, width - root.shape[2])) for root in found]
    return torch.cat(padded), [*ranks, None][:2]


def _set(gram: Any, s: FloatArray, tops: FloatArray, rank: int) -> SetCurvature:
    n, trace, square = len(s), float(np.trace(gram)), float(np.vdot(gram, gram))
    top, perron = _largest(gram), _largest(s)
    peak = float(tops.max())
    return SetCurvature(
        top / n,
        trace**2 / square if square > 0 else 0.0,
        perron / peak if peak > 0 else math.nan,
        n * math.sqrt(rank),
    )


def _largest(matrix: Any) -> float:
    """Largest eigenvalue of a symmetric matrix."""
    if len(matrix) < 50:
        return float(max(np.linalg.eigvalsh(matrix)[-1], 0.0))
    start = np.ones(len(matrix))
    return float(max(eigsh(matrix, k=1, v0=start, return_eigenvectors=False)[0], 0.0))
