r"""How well D's eigenvalues are known, and what a critical step size inherits from it.

D is a difference of two curvatures: its eigenvalues carry the rounding of their sum, be they
as small as they may. But where axes are not mixed a factor's small coordinates are accurate by
themselves, and so is ``vᵀDv`` summed from them. Every coordinate ``z_i·v`` is therefore kept
with what its sum was made of, and errors are first-order in these (docs/theory/critical_values).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rmtstab._results import FloatArray
from rmtstab.dynamics.certificate import EPS
from rmtstab.dynamics.update import Update


def resolution(update: Update) -> float:
    """Absolute accuracy of D's eigenvalues: rounding of the two curvatures that it is made of.

    At mixing 0 or 1 they are squares of singular values, and accurate by themselves.

    Parameters
    ----------
    update : Update

    Returns
    -------
    float
    """
    if 0.0 in update.weights and not update.weight_decay:
        return 0.0
    basis = update.basis
    unsigned = basis.row_weights() @ np.square(basis.rows)
    size = float(unsigned.max(initial=0.0)) + update.weight_decay
    return 8.0 * EPS * math.sqrt(sum(basis.rows.shape)) * size


@dataclass(frozen=True)
class MeanCurvature:
    """``D(α) + λ`` in a basis that nearly diagonalises it.

    Attributes
    ----------
    update : Update
    vectors : ndarray, shape (rank, r)
        The basis, in the problem's coordinates.
    values : ndarray, shape (r,)
        D's eigenvalues, weight decay included.
    blur : ndarray, shape (r,)
        Their accuracy.
    """

    update: Update
    vectors: FloatArray
    values: FloatArray
    blur: FloatArray

    @classmethod
    def of(cls, update: Update, values: FloatArray, accuracy: float) -> Self:
        """In the eigenbasis as it was computed.

        Parameters
        ----------
        update : Update
        values : ndarray, shape (r,)
        accuracy : float
            Of every eigenvalue: `resolution`.

        Returns
        -------
        MeanCurvature
        """
        return cls(update, update.judged_vectors, values, np.full(len(values), accuracy))

    def resolved(self, part: NDArray[np.bool_]) -> tuple[Self, FloatArray]:
        """Some eigenvalues to the rounding of their own curvature, not of the largest.

        D's block on their eigenvectors, less its coupling to the others, is summed from the
        factors.

        Parameters
        ----------
        part : ndarray of bool, shape (r,)

        Returns
        -------
        MeanCurvature
            With these eigenvectors turned to the block's.
        turn : ndarray, shape (k, k)
        """
        update = self.update
        rows = update.curvatures.factors.matrix.T @ self.vectors
        signed = update.basis.row_weights(1.0, -1.0)
        block = (rows * signed[:, None]).T @ rows[:, part]
        own, across = block[part], block[~part]
        own = own - across.T @ (across / self.values[~part, None])
        own.flat[:: len(own) + 1] += update.weight_decay
        found, turn = np.linalg.eigh(own)
        vectors, values, blur = self.vectors.copy(), self.values.copy(), self.blur.copy()
        vectors[:, part] = vectors[:, part] @ turn
        values[part] = found
        small, made_of = self._coordinates(vectors[:, part])
        spread = np.abs(signed) @ (made_of * (2.0 * np.abs(small) + EPS * made_of))
        blur[part] = np.minimum(blur[part], self._roundings * (spread + update.weight_decay))
        return type(self)(update, vectors, values, blur), turn

    def restricted(self, keep: NDArray[np.int64]) -> Self:
        """The same on some eigenvectors.

        Parameters
        ----------
        keep : ndarray of int

        Returns
        -------
        MeanCurvature
        """
        return type(self)(self.update, self.vectors[:, keep], self.values[keep], self.blur[keep])

    def inherited(self, m: FloatArray, step: float) -> float:
        """Relative error of ``η* = ⟨M, LM⟩/⟨M, NM⟩`` from rounded coordinates of the factors.

        To first order at the top eigenmatrix M: its own change is of second order.

        Parameters
        ----------
        m : ndarray, shape (r, r)
            M with ``⟨M, LM⟩ = 1``.
        step : float
            η*.

        Returns
        -------
        float
        """
        update, d, beta = self.update, self.values, self.update.momentum
        rows, made_of = self._coordinates(self.vectors)
        weights = update.basis.row_weights()
        signed = update.basis.row_weights(1.0, -1.0)
        off = np.abs((rows * signed[:, None]).T @ rows + np.diag(update.weight_decay - d))
        size = np.abs(d)
        half = (made_of * weights[:, None]).T @ np.abs(rows)
        # ε|d_p| of the off-diagonals: the basis is orthonormal to rounding
        off += self._roundings * (half + half.T + size[:, None] + size)
        square = np.abs(m @ m)
        between = np.abs((m * d) @ m) + (square * np.sqrt(np.outer(size, size)) if beta else 0.0)
        # of L = (1−β)(DM + MD), and of the mean's part of N
        along = 2.0 * (1.0 - beta) * float(np.vdot(square, off))
        along += 2.0 * step * (1.0 + beta**2) / (1.0 - beta**2) * float(np.vdot(between, off))
        return along + step * self._of_noise(rows, made_of, m)

    @property
    def _roundings(self) -> float:
        """Factor on what a sum was made of."""
        return 2.0 * EPS * math.sqrt(sum(self.update.basis.rows.shape))

    def _coordinates(self, vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``z_i·v`` of every factor row, and the sizes of what was summed."""
        factors = self.update.curvatures.factors
        spread = factors.spread
        if spread is None:
            spread = np.full(factors.rank, factors.singular_values.max(initial=0.0))
        return factors.matrix.T @ vectors, (np.abs(factors.matrix) + spread[:, None]).T @ np.abs(
            vectors
        )

    def _of_noise(self, rows: FloatArray, made_of: FloatArray, m: FloatArray) -> float:
        """Error of ``⟨M, NM⟩ = Σ w_i tr(M B_i M B_i)``, ``4 Σ w_i δz_iᵀ M B_i M z_i``.

        B_i is H_i, less its set's mean where the scheme centres: the mean's own change drops out.
        """
        update = self.update
        offsets, moved = update.curvatures.factors.offsets, rows @ m
        turned = np.empty_like(rows)  # B_i M z of each row z of sample i
        widths = np.diff(offsets)
        owner = np.repeat(widths, widths)
        for width in np.unique(widths):
            some = owner == width
            z, s = (x[some].reshape(-1, int(width), x.shape[1]) for x in (rows, moved))
            turned[some] = ((s @ z.transpose(0, 2, 1)) @ z).reshape(-1, rows.shape[1])
        weights, first = np.zeros(len(widths)), 0
        for a, n, batch in zip(update.weights, update.sizes, update.batch_size, strict=True):
            if n:
                c, e = update.scheme.coefficients(n, batch)
                weights[first : first + n] = a * a * c
                part = slice(int(offsets[first]), int(offsets[first + n]))
                if e:
                    turned[part] -= (moved[part] @ rows[part].T) @ rows[part] / n
            first += n
        own = np.einsum("ik,ik->i", made_of, np.abs(turned @ m))
        return 4.0 * self._roundings * float(np.repeat(weights, widths) @ own)
