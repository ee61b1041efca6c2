r"""The second-moment operator Φ in the eigenbasis of the mix-Hessian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.dynamics.sampling import coefficients


@dataclass(frozen=True)
class SecondMoment:
    r"""``Φ(M) = JMJ + η² Σ_s a_s² [c_s Σ H_i M H_i − e_s n_s H_s M H_s]``.

    Coordinates are those of D's eigenvectors (weight decay included), in which
    J is diagonal. Nothing larger than r × nC exists.

    Attributes
    ----------
    basis : ndarray, shape (r_full, r)
        Columns: the eigenvectors, in the problem's coordinates.
    eigenvalues : ndarray, shape (r,)
        μ_p + λ of ``D + λI``, ascending.
    factors : ndarray, shape (r, nC)
        All samples' factors, retain first.
    width : int
        C, columns a sample.
    weights : ndarray, shape (nC,)
        ``η² a_s² c_s`` of each column.
    corrections : tuple of (ndarray, float)
        ``(H_s, η² a_s² e_s n_s)`` where positive.
    contraction : ndarray, shape (r, r)
        ``(1 − ημ_p)(1 − ημ_q)``.
    """

    basis: FloatArray
    eigenvalues: FloatArray
    factors: FloatArray
    width: int
    weights: FloatArray
    corrections: tuple[tuple[FloatArray, float], ...]
    contraction: FloatArray

    def apply(self, moment: FloatArray) -> FloatArray:
        """Return Φ(M) for an r × r matrix, symmetric or not."""
        result: FloatArray = moment * self.contraction
        if self.weights.any():
            result += self._noise(moment)
            for mean, weight in self.corrections:
                result -= weight * (mean @ moment @ mean)
        return result

    def _noise(self, moment: FloatArray) -> FloatArray:
        """``Σ_i weight_i H_i M H_i``: two dense products."""
        products = moment @ self.factors
        if self.width == 1:
            diagonal = np.einsum("pi,pi->i", self.factors, products)
            return (self.factors * (self.weights * diagonal)) @ self.factors.T
        r, columns = self.factors.shape
        blocks = self.factors.reshape(r, columns // self.width, self.width)
        inner = np.einsum("pic,pie->ice", blocks, products.reshape(blocks.shape))
        inner *= self.weights[:: self.width, None, None]
        scaled = np.einsum("pic,ice->pie", blocks, inner).reshape(r, columns)
        return scaled @ self.factors.T


def build(
    factors: FloatArray,
    sizes: tuple[int, int],
    width: int,
    *,
    step_size: float,
    batch_size: tuple[float, float],
    alpha: float,
    sampling: str,
    weight_decay: float,
    on_range: bool,
) -> SecondMoment:
    """Assemble Φ; ``on_range`` drops directions that no weighted sample sees."""
    split = sizes[0] * width
    signs = np.empty(factors.shape[1])
    signs[:split] = (1.0 - alpha) / max(sizes[0], 1)
    signs[split:] = -alpha / max(sizes[1], 1)
    basis = np.eye(len(factors))
    if on_range and alpha in (0.0, 1.0):
        seen = factors[:, :split] if alpha == 0.0 else factors[:, split:]
        left, values, _ = np.linalg.svd(seen, full_matrices=False)
        keep = values > values.max(initial=0.0) * max(seen.shape) * np.finfo(float).eps
        basis = left[:, keep]
        factors = basis.T @ factors
    mix = (factors * signs) @ factors.T
    eigenvalues, vectors = np.linalg.eigh(mix)
    eigenvalues = eigenvalues + weight_decay
    factors = np.ascontiguousarray(vectors.T @ factors)
    weights = np.zeros(factors.shape[1])
    corrections = []
    for index, (a, n, part) in enumerate(
        zip((1.0 - alpha, alpha), sizes, (slice(0, split), slice(split, None)), strict=True)
    ):
        if a == 0.0 or n == 0:
            continue
        c, e = coefficients(n, batch_size[index], sampling)
        weights[part] = (step_size * a) ** 2 * c
        if e > 0.0:
            columns = factors[:, part]
            corrections.append((columns @ columns.T / n, (step_size * a) ** 2 * e * n))
    mean = 1.0 - step_size * eigenvalues
    return SecondMoment(
        basis @ vectors,
        eigenvalues,
        factors,
        width,
        weights,
        tuple(corrections),
        np.outer(mean, mean),
    )
