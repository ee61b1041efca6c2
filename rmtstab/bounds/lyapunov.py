"""Two-sided bounds on the typical rate of growth: the best of several methods, each proved."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray, LyapunovBounds
from rmtstab.dynamics.batches import blocks, operators
from rmtstab.dynamics.projective_line import exponent
from rmtstab.dynamics.tilted import typical_growth
from rmtstab.dynamics.update import Update

LISTED = 2e7  # numbers in the operators of all batches, beyond which they are not listed


def lyapunov_bounds(update: Update, growth: float, batches: Any) -> LyapunovBounds:
    """Bounds on the top Lyapunov exponent of the judged range.

    Parameters
    ----------
    update : Update
    growth : float
        Certified upper end of ρ.
    batches : int
        Most batches that are listed one by one.

    Returns
    -------
    LyapunovBounds

    Raises
    ------
    TypeError, ValueError
        With momentum; if ``batches`` is no integer ≥ 0.
    """
    if update.momentum:
        raise ValueError(f"momentum must be 0 for Lyapunov bounds, got {update.momentum}")
    batches = _checks.integer("batches", batches, low=0)
    jensen = 0.5 * math.log(growth) if growth > 0.0 else -math.inf
    if not update.basis.n_active:
        return LyapunovBounds(jensen, "exact", jensen, "exact", jensen)
    upper = [(jensen, "mean square"), (typical_growth(update), "tilted batches")]
    # a rate of the whole is the largest of the blocks'
    parts = [_block(update, members, batches) for members in blocks(update)]
    lower = max((part[0] for part in parts), key=lambda bound: bound[0])
    tops = [part[1] for part in parts]
    upper.append(max(tops, key=lambda bound: bound[0]))
    least = min(upper, key=lambda bound: bound[0])
    return LyapunovBounds(*lower, *least, jensen)


Named = tuple[float, str]


def _block(update: Update, members: Any, batches: int) -> tuple[Named, Named]:
    """Best lower and upper bound of one group of samples."""
    nothing = (math.inf, "none")
    offsets = update.curvatures.factors.offsets
    side = min(int(np.diff(offsets)[members].sum()), update.basis.n_active)
    found = operators(update, members, min(batches, int(LISTED / side**2)))
    if found is None:
        return (one_sample(update, members), "determinant of one sample"), nothing
    each, chances = found
    if each.shape[1] <= 2:
        low, high = exponent(each, chances)
        name = "exact" if low == high else "directions of the plane"
        options = [(low, name), (determinant(each, chances), "determinant")]
        return max(options), (high, name)
    options = [
        (determinant(each, chances), "determinant"),
        (invariant_cone(each, chances), "invariant cone"),
    ]
    return max(options), nothing


def determinant(each: FloatArray, chances: FloatArray) -> float:
    """``E log|det M|/r ≤ λ₁``: the mean of all r exponents.

    Parameters
    ----------
    each : ndarray, shape (m, r, r)
    chances : ndarray, shape (m,)

    Returns
    -------
    float
        −inf where a batch is singular.
    """
    logs: FloatArray = np.linalg.slogdet(each)[1]
    return float(chances @ logs) / int(each.shape[1])


def invariant_cone(each: FloatArray, chances: FloatArray) -> float:
    r"""``inf_{|x|≤κ} E log(m + q·x) ≤ λ₁`` where every batch maps ``{|y| ≤ κ a}`` into itself.

    In the mean's eigenbasis, its largest modulus first, ``M = [[m, qᵀ], [q, K]]``.

    Parameters
    ----------
    each : ndarray, shape (m, r, r)
    chances : ndarray, shape (m,)

    Returns
    -------
    float
        −inf where some batch leaves every such cone.
    """
    j, vectors = np.linalg.eigh(np.einsum("b,bij->ij", chances, each))
    top = int(np.argmax(np.abs(j)))
    v, others = vectors[:, top], np.delete(vectors, top, axis=1)
    moved = math.copysign(1.0, j[top]) * each
    m, q = np.einsum("i,bij,j->b", v, moved, v), (moved @ v) @ others
    rest = np.linalg.norm(others.T @ moved @ others, ord=2, axis=(1, 2))
    size, gap = np.linalg.norm(q, axis=1), m - rest
    if (gap <= 0.0).any() or (gap < 2.0 * size).any():
        return -math.inf
    root = np.sqrt(gap * gap - 4.0 * size * size)
    width = float((2.0 * size / (gap + root)).max())
    largest = np.divide(gap + root, 2.0 * size, out=np.full_like(gap, np.inf), where=size > 0.0)
    if width > largest.min():
        return -math.inf
    # log(1 + u) ≥ u − c u² for |u| ≤ t < 1
    t = width * size / m
    c = np.where(t > 1e-4, -(t + np.log1p(-t)) / np.maximum(t, 1e-300) ** 2, 0.5 + 0.4 * t)
    y = q / m[:, None]
    bent = float(np.linalg.eigvalsh((y.T * (chances * c)) @ y)[-1])
    linear = float(np.linalg.norm(chances @ y))
    return float(chances @ np.log(m)) - width * linear - width**2 * bent


def one_sample(update: Update, members: Any) -> float:
    r"""Determinant bound without a list of batches: ``log det`` is concave.

    ``λ₁ ≥ (1/r) (B/bn) Σ_{i∈R} log det(κ − η(1−α)(b/B) H_i)`` + what is left of ``log κ``, with
    b the largest count of a batch (B, or n for Bernoulli) and ``κ = 1 − η·weight decay``.

    Parameters
    ----------
    update : Update
    members : ndarray of int
        A group of samples.

    Returns
    -------
    float
        −inf where one sample's step may overshoot, ``η(1−α)(b/B) λ_max(H_i) ≥ κ``.
    """
    offsets = update.curvatures.factors.offsets
    basis, n = update.basis, update.sizes[0]
    keep = 1.0 - update.step_size * update.weight_decay
    rows = np.concatenate([basis.rows[offsets[i] : offsets[i + 1]] for i in members])
    rank = int(np.linalg.matrix_rank(rows))
    if keep <= 0.0:
        return -math.inf
    total = rank * math.log(keep)
    batch = update.batch_size[0]
    most = batch if update.scheme.fixed_size else float(n)
    for i in members[members < n] if update.alpha < 1.0 else []:
        part = basis.rows[offsets[i] : offsets[i + 1]]
        curvatures = np.linalg.eigvalsh(part @ part.T)
        left = 1.0 - update.step_size * (1.0 - update.alpha) * (most / batch) * curvatures / keep
        if left.min() <= 0.0:
            return -math.inf
        total += batch / (most * n) * float(np.log(left).sum())
    return total / rank
