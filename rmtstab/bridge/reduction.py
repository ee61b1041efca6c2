"""From factors and gradients, or their Gram matrix, to a problem's coordinates.

The range of all curvatures is that of the factors' directions, whatever their lengths; and
rounding is relative to each factor, since each was differentiated by itself. So the range is
told from rounding on factors of length one: a saturated set millions of times lighter than
the other keeps its directions, also where networks are float32.
"""

from __future__ import annotations

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.curvature.factors import EPS, ReducedFactors


def reduce_rows(
    factors: FloatArray, gradients: FloatArray, epsilon: float = EPS
) -> tuple[ReducedFactors, FloatArray]:
    r"""Coordinates of factors and gradients in the factors' range, and beyond it.

    Parameters
    ----------
    factors : ndarray, shape (n, k, d), float64
        ``H_i = Σ_k z_ik z_ikᵀ``.
    gradients : ndarray, shape (n, d), float64
    epsilon : float
        Rounding of the numbers given.

    Returns
    -------
    factors : ReducedFactors
        ``A = S Vᵀ = Uᵀ Z``; directions within ``8 ε √max(N, d)`` of the span of the others,
        factors scaled to length one, are rounding.
    gradients : ndarray, shape (n, r + q), float64
        ``[Uᵀ g_i, Qᵀ g_i]`` with Q an orthonormal basis of the rest.
    """
    n, k, d = factors.shape
    rows = factors.reshape(n * k, d)
    tolerance = 8.0 * epsilon * max(n * k, d) ** 0.5
    unit = rows / _positive(np.linalg.norm(rows, axis=1))[:, None]
    if d > n * k:
        q, triangle = np.linalg.qr(unit.T)
        left, singular, _ = np.linalg.svd(triangle)
        basis = q @ left[:, singular > tolerance * singular.max(initial=0.0)]
    else:
        left, singular, _ = np.linalg.svd(unit.T, full_matrices=False)
        basis = left[:, singular > tolerance * singular.max(initial=0.0)]
    found, turn = _principal(basis.T @ rows.T, k, tolerance)
    basis = basis @ turn
    inside = gradients @ basis
    rest = gradients - inside @ basis.T
    rest -= (rest @ basis) @ basis.T
    outside, sizes, _ = np.linalg.svd(rest, full_matrices=False)
    keep = sizes > max(tolerance, 1e-10) * np.linalg.norm(gradients, axis=1).max(initial=0.0)
    return found, np.concatenate([inside, outside[:, keep] * sizes[keep]], axis=1)


def reduce_gram(
    gram: FloatArray, n_samples: int, epsilon: float = EPS
) -> tuple[ReducedFactors, FloatArray]:
    r"""Coordinates of factors and gradients from their inner products.

    With the factors at length one, ``Z D⁻¹ = Û Ŝ V̂ᵀ``: factors become ``Ŝ V̂ᵀ D``, gradients
    ``Ŝ⁻¹ V̂ᵀ D⁻¹ (Zᵀ g)``, and what lies outside the range an orthonormal rest from
    ``gᵀg − (Ûᵀg)ᵀ(Ûᵀg)``.

    Parameters
    ----------
    gram : ndarray, shape (n·(k + 1), n·(k + 1)), float64
        Inner products; of each sample k factors, then its gradient.
    n_samples : int
        n.
    epsilon : float
        Rounding of the products behind the entries.

    Returns
    -------
    factors : ReducedFactors
        Directions whose eigenvalue, factors scaled to length one, is below ``16 ε √N`` or
        twice the most negative one's size are rounding: half the digits that `reduce_rows`
        resolves.
    gradients : ndarray, shape (n, r + q), float64
        In the coordinates of the factors' range, then of what is left.
    """
    k = len(gram) // n_samples - 1
    slots = np.arange(len(gram)).reshape(n_samples, k + 1)
    z, g = slots[:, :k].ravel(), slots[:, k]
    squares = gram.diagonal()[slots[:, :k]].clip(min=0.0)
    # a factor this light beside its sample's others is what cancelled in them
    squares = np.where(
        squares > (8 * epsilon) ** 2 * squares.max(axis=1, keepdims=True), squares, 0.0
    )
    lengths = np.sqrt(squares).ravel()
    scale = np.where(lengths > 0.0, 1.0 / _positive(lengths), 0.0)
    curvature, slopes = gram[np.ix_(z, z)] * np.outer(scale, scale), gram[np.ix_(g, g)]
    vectors, values = _spectrum(curvature, epsilon, 1.0)
    singular = np.sqrt(values)
    tolerance = float(np.sqrt(16.0 * epsilon * np.sqrt(len(z))))
    found, turn = _principal((singular[:, None] * vectors.T) * lengths, k, tolerance)
    inside = turn.T @ ((vectors.T * scale) @ gram[np.ix_(z, g)] / singular[:, None])
    # what is small inside was divided by small singular values: hence the trace
    outside, sizes = _spectrum(slopes - inside.T @ inside, epsilon, float(np.trace(slopes)))
    return found, np.concatenate([inside.T, outside * np.sqrt(sizes)], axis=1)


def _principal(
    matrix: FloatArray, width: int, tolerance: float
) -> tuple[ReducedFactors, FloatArray]:
    """Turn coordinates (r, N) to principal axes; the factors, and the rotation (r, r)."""
    if matrix.shape[0]:
        turn, singular, _ = np.linalg.svd(matrix, full_matrices=False)
    else:
        turn, singular = np.zeros((0, 0)), np.zeros(0)
    offsets = np.arange(0, matrix.shape[1] + 1, width, dtype=np.int64)
    # a product, not S Vᵀ: the error of each column is then relative to that column
    turned = np.ascontiguousarray(turn.T @ matrix)
    return ReducedFactors(turned, offsets, singular, tolerance), turn


def _spectrum(matrix: FloatArray, epsilon: float, scale: float) -> tuple[FloatArray, FloatArray]:
    """Eigenvectors and eigenvalues, decreasing, without what is rounding.

    Independent errors ``ε·scale`` of the entries have norm ``2 ε √n·scale``.
    """
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    n, top = len(values), max(float(values[-1]), 0.0)
    floor = max(16.0 * epsilon * np.sqrt(n) * scale, n * EPS * top, -2.0 * float(values[0]))
    keep = np.flatnonzero(values > floor)[::-1]
    return vectors[:, keep], values[keep]


def _positive(lengths: FloatArray) -> FloatArray:
    """Lengths, 1 in place of 0."""
    result: FloatArray = np.where(lengths > 0.0, lengths, 1.0)
    return result
