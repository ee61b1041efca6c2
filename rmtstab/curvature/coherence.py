"""Data coherence: alignment of per-sample curvatures within and between the sets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.linalg

from rmtstab import _checks
from rmtstab._results import Coherence, FloatArray
from rmtstab.kernels.coherence import block_norms


def coherence_matrix(gram: Any, width: int = 1) -> FloatArray:
    r"""``S_ik = ‖H_i^{1/2} H_k^{1/2}‖_F = ‖Z_iᵀ Z_k‖_F`` from the Gram matrix of the factors.

    Parameters
    ----------
    gram : array_like, shape (n·C, n·C)
        Symmetric.
    width : int, default 1
        C, columns a sample.

    Returns
    -------
    ndarray, shape (n, n), float64
        For C = 1, ``|K|``.

    Raises
    ------
    ValueError
        If the matrix is not square with a multiple of C rows.

    References
    ----------
    Dexter et al., arXiv:2401.12332, Definition 1.

    Examples
    --------
    >>> from rmtstab.curvature import coherence_matrix
    >>> coherence_matrix([[1.0, -0.5], [-0.5, 1.0]])
    array([[1. , 0.5],
           [0.5, 1. ]])
    """
    matrix = _checks.array("gram", gram, ndim=2)
    width = _checks.integer("width", width, low=1)
    if matrix.shape[0] != matrix.shape[1] or matrix.shape[0] % width:
        raise ValueError(
            f"gram must be square with a multiple of width={width} rows, got {matrix.shape}"
        )
    n = len(matrix) // width
    norms = np.empty((n, n))
    block_norms(matrix, width, norms)
    return norms


def coherence(gram: Any, n_retain: int, width: int = 1, alpha: float | None = None) -> Coherence:
    r"""Coherence on the three axes, of all samples, and of the weighted samples.

    ``σ(S) = λ_max(S)/max_i λ_max(H_i)`` on each diagonal block,
    ``σ_RF = ‖S_RF‖₂/√(max_R λ_max · max_F λ_max)`` across, and
    ``σ_u(α) = λ_max(√(w_iw_k) S_ik)/max_i w_i λ_max(H_i)`` with
    ``w_i = (1−α)/n_r`` or ``α/n_f``.

    Parameters
    ----------
    gram : array_like, shape (n·C, n·C)
        Gram matrix of the factors, retain first.
    n_retain : int
        In [1, n].
    width : int, default 1
        C, columns a sample.
    alpha : float, optional
        Mixing in [0, 1].

    Returns
    -------
    Coherence
        NaN on an axis without samples or without curvature.

    Raises
    ------
    ValueError
        On shapes that do not fit, or alpha outside [0, 1].

    References
    ----------
    Dexter et al., arXiv:2401.12332 (one set); derived in docs/theory (three axes).

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.curvature import coherence
    >>> aligned = coherence(np.ones((4, 4)), n_retain=3)
    >>> round(aligned.retain, 12), round(aligned.total, 12)
    (3.0, 4.0)
    """
    norms = coherence_matrix(gram, width)
    n = len(norms)
    n_retain = _checks.integer("n_retain", n_retain, low=1, high=n, high_label="n")
    if alpha is not None:
        alpha = _checks.real("alpha", alpha, low=0.0, high=1.0)
    sharpness = _sample_sharpness(np.asarray(gram, dtype=np.float64), width)
    r, f = slice(0, n_retain), slice(n_retain, n)
    cross = math.nan
    if n_retain < n and sharpness[r].max() > 0 and sharpness[f].max() > 0:
        block = norms[r, f]
        small = block @ block.T if n_retain <= n - n_retain else block.T @ block
        cross = math.sqrt(max(_top(small), 0.0) / (sharpness[r].max() * sharpness[f].max()))
    unlearning = math.nan
    if alpha is not None:
        weights = np.empty(n)
        weights[r], weights[f] = (1.0 - alpha) / n_retain, alpha / max(n - n_retain, 1)
        root = np.sqrt(weights)
        unlearning = _ratio(root[:, None] * norms * root, weights * sharpness)
    return Coherence(
        retain=_ratio(norms[r, r], sharpness[r]),
        forget=_ratio(norms[f, f], sharpness[f]),
        cross=cross,
        total=_ratio(norms, sharpness),
        unlearning=unlearning,
        alpha=alpha,
    )


def _sample_sharpness(gram: FloatArray, width: int) -> FloatArray:
    """``λ_max(H_i)`` of each sample: the top eigenvalue of its diagonal block."""
    if width == 1:
        return np.diag(gram).copy()
    n = len(gram) // width
    blocks = gram.reshape(n, width, n, width)[np.arange(n), :, np.arange(n), :]
    values: FloatArray = np.linalg.eigvalsh(blocks)[:, -1]
    return values


def _ratio(norms: FloatArray, sharpness: FloatArray) -> float:
    largest = sharpness.max(initial=0.0)
    return _top(norms) / float(largest) if largest > 0 else math.nan


def _top(matrix: FloatArray) -> float:
    last = len(matrix) - 1
    return float(scipy.linalg.eigvalsh(matrix, subset_by_index=[last, last])[0])
