"""Coherence of per-sample curvatures: how much samples share their directions.

``S_ij = ‖H_i^{1/2} H_j^{1/2}‖_F = ‖Z_iᵀ Z_j‖_F`` and
``σ(S) = λ_max(S) / max_i λ_max(H_i)``: 1 for mutually orthogonal rank-one
curvatures, n for aligned ones.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import Coherence, FloatArray
from rmtstab.curvature.coherence_map import CoherenceMap, perron_family
from rmtstab.curvature.factors import IntArray
from rmtstab.kernels.coherence import block_norms


def coherence_matrix(gram: Any, offsets: IntArray, overwrite: bool = False) -> FloatArray:
    r"""Matrix ``S_ij = ‖K_ij‖_F`` of the Gram matrix's blocks.

    Parameters
    ----------
    gram : array_like, shape (N, N), float64
        ``ZᵀZ``.
    offsets : array_like, shape (n + 1,), int64
        Block i is ``offsets[i]:offsets[i + 1]``; from 0 to N.
    overwrite : bool
        Allow rank-one blocks to be written into ``gram``.

    Returns
    -------
    ndarray, shape (n, n), float64
        In the units of the Hessians.

    Raises
    ------
    TypeError, ValueError
        If the matrix is not real, finite and square, or the offsets do not rise from 0 to N.

    References
    ----------
    Dexter et al., arXiv:2401.12332, Definition 1.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.curvature import coherence_matrix
    >>> coherence_matrix(np.diag([3.0, 4.0]), np.arange(3))
    array([[3., 0.],
           [0., 4.]])
    """
    gram = _checks.array("gram", gram, ndim=2)
    if gram.shape[0] != gram.shape[1]:
        raise ValueError(f"gram must be square, got {gram.shape}")
    offsets = _checks.offsets("offsets", offsets, len(gram))
    overwrite = _checks.flag("overwrite", overwrite)
    n = len(offsets) - 1
    if (np.diff(offsets) == 1).all():
        absolute: FloatArray = np.abs(gram, out=gram if overwrite else None)
        return absolute
    result = np.empty((n, n))
    block_norms(gram, offsets, offsets, result)
    return result


def per_sample(matrix: Any, offsets: Any) -> tuple[FloatArray, FloatArray]:
    """``(λ_max(H_i), tr H_i)`` of each sample.

    Parameters
    ----------
    matrix : array_like, shape (r, N)
        Reduced factors, samples side by side.
    offsets : array_like, shape (n + 1,)
        Columns of sample i are ``offsets[i]:offsets[i + 1]``; from 0 to N.

    Returns
    -------
    top, trace : ndarray, shape (n,), float64

    Raises
    ------
    TypeError, ValueError
        If the factors are not real and finite, or the offsets do not rise from 0 to N.

    Examples
    --------
    >>> from rmtstab.curvature import per_sample
    >>> per_sample([[3.0, 0.0], [0.0, 4.0]], [0, 2])
    (array([16.]), array([25.]))
    """
    matrix = _checks.moderate("matrix", _checks.array("matrix", matrix, ndim=2))
    offsets = _checks.offsets("offsets", offsets, matrix.shape[1])
    n, widths = len(offsets) - 1, np.diff(offsets)
    squares = np.einsum("ki,ki->i", matrix, matrix)
    if (widths == 1).all():
        return squares, squares.copy()
    trace, top = np.zeros(n), np.zeros(n)
    for i, (first, last) in enumerate(itertools.pairwise(offsets)):
        block = matrix[:, first:last]
        trace[i] = squares[first:last].sum()
        if last > first:
            top[i] = max(np.linalg.eigvalsh(block.T @ block)[-1], 0.0)
    return top, trace


def top_eigenvalue(s: Any) -> float:
    """Perron root of a symmetric nonnegative matrix; 0 for an empty one.

    Parameters
    ----------
    s : array_like, shape (n, n)

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If the matrix is not real, finite and square.

    Examples
    --------
    >>> from rmtstab.curvature import top_eigenvalue
    >>> round(top_eigenvalue([[1.0, 2.0], [2.0, 1.0]]), 12)
    3.0
    """
    s = _checks.array("s", s, ndim=2)
    if s.shape[0] != s.shape[1]:
        raise ValueError(f"s must be square, got {s.shape}")
    if len(s) == 0:
        return 0.0
    whole = np.ones((1, 3))
    return float(perron_family(CoherenceMap.from_matrix(s), len(s), whole)[0][0])


def axes(s: CoherenceMap, top: FloatArray, n_retain: int, alpha: float | None) -> Coherence:
    """Assemble the axes of `Coherence` from S and each sample's ``λ_max(H_i)``.

    Parameters
    ----------
    s : CoherenceMap
    top : ndarray, shape (n,)
    n_retain : int
    alpha : float or None

    Returns
    -------
    Coherence
    """
    n = len(top)
    members = [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 1.0, 1.0)]
    if alpha is not None:
        members.append(_member(n_retain, n - n_retain, alpha))
    roots, _ = perron_family(s, n_retain, np.array(members))
    peak = [float(t.max(initial=0.0)) for t in (top[:n_retain], top[n_retain:])]
    product = float(np.sqrt(peak[0] * peak[1]))
    cross = float(roots[2]) / product if product > 0.0 else 0.0
    unlearning = float("nan")
    if alpha is not None:
        unlearning = _ratio(roots[4], sample_weights(n_retain, n - n_retain, alpha) * top)
    retain, forget = _ratio(roots[0], top[:n_retain]), _ratio(roots[1], top[n_retain:])
    return Coherence(retain, forget, cross, _ratio(roots[3], top), unlearning, alpha)


def unlearning(
    s: CoherenceMap, top: FloatArray, n_retain: int, alphas: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``(σ_u, λ_max(S^α), Perron vectors)`` at all mixings, shapes (m,), (m,), (m, n).

    Parameters
    ----------
    s : CoherenceMap
    top : ndarray, shape (n,)
        Each sample's ``λ_max(H_i)``.
    n_retain : int
    alphas : ndarray, shape (m,)

    Returns
    -------
    sigma, roots : ndarray, shape (m,)
    vectors : ndarray, shape (m, n)
    """
    n = len(top)
    members = np.array([_member(n_retain, n - n_retain, a) for a in alphas]).reshape(-1, 3)
    roots, vectors = perron_family(s, n_retain, members)
    weights = [sample_weights(n_retain, n - n_retain, a) for a in alphas]
    sigma = [_ratio(root, w * top) for root, w in zip(roots, weights, strict=True)]
    return np.array(sigma), roots, vectors


def _member(n_retain: int, n_forget: int, alpha: float) -> tuple[float, float, float]:
    """``(w_R, √(w_R w_F), w_F)``."""
    retain, forget = (1.0 - alpha) / n_retain, alpha / max(n_forget, 1)
    return retain, float(np.sqrt(retain * forget)), forget


def sample_weights(n_retain: int, n_forget: int, alpha: float) -> FloatArray:
    """``w_i = (1−α)/n_r`` on retain samples, ``α/n_f`` on forget samples.

    Parameters
    ----------
    n_retain, n_forget : int
    alpha : float

    Returns
    -------
    ndarray, shape (n_retain + n_forget,), float64
    """
    pair = [(1.0 - alpha) / n_retain, alpha / max(n_forget, 1)]
    return np.repeat(pair, [n_retain, n_forget])


def _ratio(value: float, tops: FloatArray) -> float:
    peak = float(tops.max(initial=0.0))
    return float(value) / peak if peak > 0.0 else float("nan")
