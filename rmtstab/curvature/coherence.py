"""Coherence of per-sample curvatures: how much samples share their directions.

``S_ij = ‖H_i^{1/2} H_j^{1/2}‖_F = ‖Z_iᵀ Z_j‖_F`` and
``σ(S) = λ_max(S) / max_i λ_max(H_i)``: 1 for mutually orthogonal rank-one
curvatures, n for aligned ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rmtstab._results import Coherence, FloatArray
from rmtstab.curvature.factors import IntArray
from rmtstab.kernels.coherence import block_norms

SMALL = 512  # side up to which a dense eigen-solver is used


def coherence_matrix(gram: Any, offsets: IntArray, overwrite: bool = False) -> FloatArray:
    r"""Matrix ``S_ij = ‖K_ij‖_F`` of the Gram matrix's blocks.

    Parameters
    ----------
    gram : ndarray, shape (N, N), float64
        ``ZᵀZ``.
    offsets : ndarray, shape (n + 1,), int64
        Block i is ``offsets[i]:offsets[i + 1]``.
    overwrite : bool
        Allow rank-one blocks to be written into ``gram``.

    Returns
    -------
    ndarray, shape (n, n), float64
        In the units of the Hessians.

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
    n = len(offsets) - 1
    if gram.shape[0] == n:
        absolute: FloatArray = np.abs(gram, out=gram if overwrite else None)
        return absolute
    result = np.empty((n, n))
    block_norms(np.ascontiguousarray(gram), offsets, result)
    return result


def per_sample(matrix: FloatArray, offsets: IntArray) -> tuple[FloatArray, FloatArray]:
    """``(λ_max(H_i), tr H_i)`` of each sample from reduced factors (r, N)."""
    n = len(offsets) - 1
    trace = np.zeros(n)
    top = np.zeros(n)
    squares = np.einsum("ki,ki->i", matrix, matrix)
    for i in range(n):
        first, last = offsets[i], offsets[i + 1]
        trace[i] = squares[first:last].sum()
        if last - first == 1:
            top[i] = trace[i]
        elif last > first:
            block = matrix[:, first:last]
            top[i] = max(np.linalg.eigvalsh(block.T @ block)[-1], 0.0)
    return top, trace


def top_eigenvalue(s: FloatArray, root: FloatArray | None = None) -> float:
    """Perron root of ``root ∘ s ∘ root`` for a symmetric nonnegative s; 0 for an empty one."""
    return perron(s, root)[0]


def perron(s: FloatArray, root: FloatArray | None = None) -> tuple[float, FloatArray]:
    """Perron root and vector of ``diag(root) s diag(root)``, without forming it when large."""
    n = s.shape[0]
    if n == 0:
        return 0.0, np.zeros(0)
    if n <= SMALL:
        values, vectors = np.linalg.eigh(s if root is None else root[:, None] * s * root)
        return float(values[-1]), np.abs(vectors[:, -1])
    scale = np.ones(n) if root is None else root
    return _lanczos(lambda v: scale * (s @ (scale * v)), n)


def _cross_norm(between: FloatArray) -> float:
    """Spectral norm of a nonnegative matrix."""
    if max(between.shape) <= SMALL:
        return float(np.linalg.norm(between, 2))
    return float(np.sqrt(_lanczos(lambda v: between.T @ (between @ v), between.shape[1])[0]))


def _lanczos(apply: Callable[[FloatArray], FloatArray], n: int) -> tuple[float, FloatArray]:
    from scipy.sparse.linalg import LinearOperator, eigsh

    operator = LinearOperator((n, n), matvec=lambda v: apply(v.ravel()), dtype=np.float64)
    # the all-ones start overlaps every Perron vector
    values, vectors = eigsh(operator, k=1, which="LA", v0=np.ones(n), tol=1e-12)
    return float(values[0]), np.abs(vectors[:, 0])


def axes(s: FloatArray, top: FloatArray, n_retain: int, alpha: float | None) -> Coherence:
    """Assemble the axes of `Coherence` from S and each sample's ``λ_max(H_i)``."""
    n = len(top)
    blocks = (slice(0, n_retain), slice(n_retain, n))
    sigma = [_ratio(top_eigenvalue(s[b, b]), top[b]) for b in blocks]
    peak = [float(top[b].max(initial=0.0)) for b in blocks]
    between = s[blocks[0], blocks[1]]
    cross = 0.0
    if between.size and peak[0] * peak[1] > 0.0:
        cross = _cross_norm(between) / float(np.sqrt(peak[0] * peak[1]))
    unlearning = np.nan
    if alpha is not None:
        weights = sample_weights(n_retain, n - n_retain, alpha)
        unlearning = _ratio(top_eigenvalue(s, np.sqrt(weights)), weights * top)
    total = _ratio(top_eigenvalue(s), top)
    return Coherence(sigma[0], sigma[1], cross, total, unlearning, alpha)


def sample_weights(n_retain: int, n_forget: int, alpha: float) -> FloatArray:
    """``w_i = (1−α)/n_r`` on retain samples, ``α/n_f`` on forget samples."""
    pair = [(1.0 - alpha) / n_retain, alpha / max(n_forget, 1)]
    return np.repeat(pair, [n_retain, n_forget])


def _ratio(value: float, tops: FloatArray) -> float:
    peak = float(tops.max(initial=0.0))
    return value / peak if peak > 0.0 else float("nan")
