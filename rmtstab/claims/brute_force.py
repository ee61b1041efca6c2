"""What an instance is by brute force: the side of a comparison that no formula of ours enters.

The noise of a sampling scheme is the covariance of its batches, enumerated; growth is a dense
eigenvalue; escape is read off a Gram matrix.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations

import numpy as np
from scipy.linalg import eigh

from rmtstab._results import FloatArray
from rmtstab.sampling import Scheme


@lru_cache
def inclusion_covariance(n: int, batch: float, sampling: str) -> FloatArray:
    """Covariance of how often each of n samples is in a batch, from how the scheme draws it.

    Independent samples have that of n coins; equally likely subsets, and the
    outcomes of one of B draws, are enumerated.

    Parameters
    ----------
    n : int
        Small where subsets are enumerated.
    batch : float
        B.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    ndarray, shape (n, n)

    Examples
    --------
    >>> from rmtstab.claims.brute_force import inclusion_covariance
    >>> inclusion_covariance(2, 1, "without_replacement")
    array([[ 0.25, -0.25],
           [-0.25,  0.25]])
    """
    scheme = Scheme.named(sampling)
    if not scheme.fixed_size:
        return np.asarray(batch / n * (1.0 - batch / n) * np.eye(n))
    if not scheme.exhausts:
        return batch * _covariance(np.eye(n))
    subsets = list(combinations(range(n), int(batch)))
    counts = np.zeros((len(subsets), n))
    for row, chosen in zip(counts, subsets, strict=True):
        row[list(chosen)] = 1.0
    return _covariance(counts)


def _covariance(outcomes: FloatArray) -> FloatArray:
    """Covariance of equally likely outcomes, one a row."""
    away = outcomes - outcomes.mean(axis=0)
    return np.asarray(away.T @ away / len(outcomes))


def dense_growth(
    retain: FloatArray,
    forget: FloatArray,
    step_size: float,
    batch_size: tuple[float, float],
    alpha: float,
    sampling: str,
) -> float:
    """ρ by brute force: top eigenvalue of the dense r² × r² matrix of Φ on the range."""
    sets = [
        (sign * a, z, b)
        for sign, a, z, b in zip(
            (1.0, -1.0), (1.0 - alpha, alpha), (retain, forget), batch_size, strict=True
        )
        if a > 0.0 and len(z)
    ]
    rows = np.concatenate([z.reshape(-1, z.shape[2]) for _, z, _ in sets])
    _, values, basis = np.linalg.svd(rows, full_matrices=False)
    basis = basis[values > 1e-12 * values[0]].T
    r = basis.shape[1]
    mix, noise = np.zeros((r, r)), np.zeros((r * r, r * r))
    for a, z, b in sets:
        inside = z @ basis
        hessians = np.einsum("nci,ncj->nij", inside, inside)
        covariance = inclusion_covariance(len(z), b, sampling) / b**2
        pairs = np.einsum("nm,nij,mkl->ikjl", covariance, hessians, hessians, optimize=True)
        noise += a * a * pairs.reshape(r * r, r * r)
        mix += a * hessians.mean(axis=0)
    jacobian = np.eye(r) - step_size * mix
    dense = np.kron(jacobian, jacobian) + step_size**2 * noise
    return float(np.linalg.eigvalsh(0.5 * (dense + dense.T))[-1])


def escape_of(gram: FloatArray, n_forget: int, alpha: float) -> tuple[float, float]:
    """Most negative curvature of ``D(α)`` and Ψ of a Gram matrix, forget samples last."""
    try:
        factors = np.linalg.cholesky(gram).T  # columns of one row's length: a quarter of the work
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(gram)
        keep = values > 1e-10 * values[-1]
        factors = np.sqrt(values[keep])[:, None] * vectors[:, keep].T
    n = len(gram)
    weights = np.full(n, (1.0 - alpha) / (n - n_forget))
    weights[-n_forget:] = -alpha / n_forget
    mix = (factors * weights) @ factors.T
    least, directions = eigh(mix, subset_by_index=[0, 0], overwrite_a=True, check_finite=False)
    along = np.square(directions[:, 0] @ factors)
    return float(-least[0]), float(along[:-n_forget].mean() / along[-n_forget:].mean())
