"""The eigenbasis of the mix-Hessian: of the hyper-parameters it knows only the mixing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.curvature.factors import ReducedFactors


@dataclass(frozen=True)
class MixBasis:
    """Eigenbasis of ``D(α)``; the first ``n_active`` vectors span the weighted sets' range.

    Attributes
    ----------
    alpha : float
    vectors : ndarray, shape (r, r)
        Columns, in the problem's coordinates.
    mix : ndarray, shape (r,)
        Eigenvalues μ of D.
    n_active : int
        r for 0 < α < 1; at α = 0 or 1 the rank of the only set with weight.
    rows : ndarray, shape (N, r)
        Factors in this basis, one row per column of Z.
    split : int
        Rows of the retain set.
    sizes : (int, int)
        Samples of the retain and the forget set.
    """

    alpha: float
    vectors: FloatArray
    mix: FloatArray
    n_active: int
    rows: FloatArray
    split: int
    sizes: tuple[int, int]

    @classmethod
    def build(cls, factors: ReducedFactors, n_retain: int, alpha: float) -> MixBasis:
        """Diagonalise ``D(α) = (1−α)H_R − αH_F``.

        Parameters
        ----------
        factors : ReducedFactors
        n_retain : int
        alpha : float
            In [0, 1].

        Returns
        -------
        MixBasis
        """
        r = factors.rank
        n_active = r
        split = int(factors.offsets[n_retain])
        sizes = (n_retain, factors.n_samples - n_retain)
        retain, forget = factors.matrix[:, :split], factors.matrix[:, split:]
        if alpha in (0.0, 1.0):
            part = retain if alpha == 0.0 else forget
            if part.shape == factors.matrix.shape:  # A = S Vᵀ: its axes are the principal ones
                vectors, singular = np.eye(r), factors.singular_values
            else:
                vectors, singular = _left_vectors(part)
            top = singular.max(initial=0.0)
            tolerance = max(factors.rank_tolerance, max(part.shape) * np.finfo(float).eps)
            n_active = int(np.count_nonzero(singular > tolerance * top))
            n = sizes[0] if alpha == 0.0 else sizes[1]
            mix = np.zeros(r)
            mix[:n_active] = (1.0 if alpha == 0.0 else -1.0) * singular[:n_active] ** 2 / n
        else:
            d = retain @ retain.T
            d *= (1.0 - alpha) / sizes[0]
            ascent = forget @ forget.T
            ascent *= alpha / max(sizes[1], 1)
            d -= ascent
            mix, vectors = np.linalg.eigh(d)
        rows = np.ascontiguousarray(factors.matrix.T @ vectors)
        return cls(alpha, vectors, mix, n_active, rows, split, sizes)

    @cached_property
    def retain(self) -> FloatArray:
        """``H_R`` in this basis, shape (r, r); formed when first asked for."""
        part = self.rows[: self.split]
        result: FloatArray = part.T @ part / self.sizes[0]
        return result

    @cached_property
    def forget(self) -> FloatArray:
        """``H_F`` in this basis, shape (r, r); formed when first asked for."""
        part = self.rows[self.split :]
        result: FloatArray = part.T @ part / max(self.sizes[1], 1)
        return result

    def row_weights(self, retain: float = 1.0, forget: float = 1.0) -> FloatArray:
        """Weights w, shape (N,), with ``rowsᵀ w rows = retain·(1−α)H_R + forget·αH_F``.

        Parameters
        ----------
        retain, forget : float
            Multiples of either set.

        Returns
        -------
        ndarray, shape (N,), float64
        """
        w = np.empty(len(self.rows))
        w[: self.split] = retain * (1.0 - self.alpha) / self.sizes[0]
        w[self.split :] = forget * self.alpha / max(self.sizes[1], 1)
        return w

    def padded(self, extra: int) -> MixBasis:
        """Return the same basis with ``extra`` more coordinates, which no curvature sees.

        Parameters
        ----------
        extra : int

        Returns
        -------
        MixBasis
        """
        if not extra:
            return self

        vectors = np.eye(len(self.mix) + extra)
        vectors[:-extra, :-extra] = self.vectors
        return MixBasis(
            self.alpha,
            vectors,
            np.pad(self.mix, (0, extra)),
            self.n_active,
            np.pad(self.rows, ((0, 0), (0, extra))),
            self.split,
            self.sizes,
        )


def _left_vectors(part: FloatArray) -> tuple[FloatArray, FloatArray]:
    """All r left singular vectors, and the singular values."""
    r, width = part.shape
    if width == 0 or r == 0:
        return np.eye(r), np.zeros(0)
    vectors, singular, _ = np.linalg.svd(part, full_matrices=width < r)
    return vectors, singular
