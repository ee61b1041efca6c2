"""From a Gram matrix of curvatures and gradients to a problem's coordinates."""

from __future__ import annotations

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.curvature.factors import EPS, ReducedFactors


def reduce_gram(
    gram: FloatArray, n_samples: int, epsilon: float = EPS
) -> tuple[ReducedFactors, FloatArray]:
    r"""Coordinates of factors and gradients from their inner products.

    With ``Z = U S Vᵀ`` (columns: the factors) and ``ZᵀZ = V S² Vᵀ``: the factors become
    ``S Vᵀ``, gradients ``Uᵀ g = S⁻¹ Vᵀ (Zᵀ g)``, and what lies outside the range an
    orthonormal rest from ``gᵀg − (Uᵀg)ᵀ(Uᵀg)``.

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
        Directions whose curvature is rounding are dropped: below twice the most negative
        eigenvalue, or ``16 ε √N`` of the largest.
    gradients : ndarray, shape (n, r + q), float64
        In the coordinates of the factors' range, then of what is left.
    """
    k = len(gram) // n_samples - 1
    slots = np.arange(len(gram)).reshape(n_samples, k + 1)
    z, g = slots[:, :k].ravel(), slots[:, k]
    vectors, values = _spectrum(gram[np.ix_(z, z)], epsilon)
    singular = np.sqrt(values)
    factors = ReducedFactors(
        np.ascontiguousarray(singular[:, None] * vectors.T),
        np.arange(n_samples + 1, dtype=np.int64) * max(k, 1),
        singular,
        float(np.sqrt(16.0 * epsilon * np.sqrt(max(len(z), 1)))),
    )
    inside = (vectors.T @ gram[np.ix_(z, g)]) / singular[:, None]
    whole = gram[np.ix_(g, g)]
    outside, sizes = _spectrum(whole - inside.T @ inside, epsilon, float(np.trace(whole)))
    return factors, np.concatenate([inside.T, outside * np.sqrt(sizes)], axis=1)


def _spectrum(
    matrix: FloatArray, epsilon: float, scale: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Eigenvectors and eigenvalues, decreasing, without what is rounding."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    if not len(values):
        return vectors, values
    rounding = 16.0 * epsilon * np.sqrt(len(values)) * max(scale, float(values[-1]))
    floor = max(rounding, -2.0 * float(values[0]))
    keep = np.flatnonzero(values > floor)[::-1]
    return vectors[:, keep], values[keep]
