"""Wishart matrices with a few marked directions: dense, and their eigenvalues from a band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eig_banded

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.ensembles.chi import chi
from rmtstab.ensembles.corners import top_of_corners

FIRST = 32  # rows of the first corner tried
SAME = 16 * float(np.finfo(float).eps)  # what a larger corner moves its eigenvalues by at the end


@dataclass(frozen=True, init=False)
class SpikedWishart:
    r"""``√Σ X Xᵀ √Σ + diag(shifts)``, `X` of shape ``(p, n)`` real standard Gaussian.

    :math:`\Sigma=\mathrm{diag}(\ell_1,\dots,\ell_k,1,\dots,1)` and the shifts stand on the first
    coordinates: samples of a spiked covariance, or the Gram matrix of a few fixed signals
    beside noise (``shifts=[s * n_c for n_c in class_sizes]``, rotated to the first coordinates).

    Rotations of the other rows, and of the columns, leave the law of `X` as it is. Applied in
    turn they make it a lower triangle of half-width `k`, the number of marked coordinates:
    :math:`\chi_{n-i}` on the diagonal (`i` from 0), :math:`\chi_{p-i}` on the last diagonal from
    row `k` on, standard Gaussian between. Its square is a band, and as the top eigenvectors live on
    its first rows, a corner of it has the top eigenvalues to rounding.

    Parameters
    ----------
    n, p : int
        Degrees of freedom and dimension, at least 1.
    spikes : array_like, shape (n_spikes,), optional
        Population variances :math:`\ell_k > 0` of the first coordinates; further ones have 1.
    shifts : array_like, shape (n_shifts,), optional
        Added to the first diagonal entries; any sign.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong kind or outside its range.

    See Also
    --------
    Wishart : without marked directions, for any Dyson index.
    rmtstab.laws.Spiked : where the outliers of population spikes go.
    rmtstab.theory.signal_plus_noise.spectral_bounds : where those of shifts go.

    References
    ----------
    The band: derived here from the bidiagonal model of I. Dumitriu and A. Edelman, J. Math. Phys.
    43 (2002), 5830, which it is at ``k = 1`` (and without marks). Blocks in place of the band:
    A. Bloemendal and B. Virág, Ann. Probab. 44 (2016), 2726.

    Examples
    --------
    >>> from rmtstab.ensembles import SpikedWishart
    >>> top = SpikedWishart(40_000, 10_000, spikes=[9.0]).eigenvalues(0, largest=1)
    >>> bool(abs(top[0] / 40_000 / (9.0 * (1 + 0.25 / 8)) - 1) < 0.03)
    True
    """

    n: int
    p: int
    spikes: tuple[float, ...]
    shifts: tuple[float, ...]

    def __init__(self, n: int, p: int, spikes: Any = (), shifts: Any = ()) -> None:
        size, rows = _checks.integer("n", n, low=1), _checks.integer("p", p, low=1)
        variances = _checks.array("spikes", spikes, ndim=1)
        added = _checks.array("shifts", shifts, ndim=1)
        for name, values in (("spikes", variances), ("shifts", added)):
            if values.size > rows:
                raise ValueError(f"{name} must number at most p={rows}, got {values.size}")
        if (variances <= 0.0).any():
            raise ValueError(f"spikes must be > 0, got {float(variances.min())!r}")
        spiked, shifted = tuple(variances.tolist()), tuple(added.tolist())
        _checks.keep(self, n=size, p=rows, spikes=spiked, shifts=shifted)

    def matrix(self, rng: Any) -> FloatArray:
        """Draw a dense matrix.

        Parameters
        ----------
        rng : Generator, RandomState, SeedSequence or int
            Source of randomness.

        Returns
        -------
        ndarray, shape (p, p), float64

        Examples
        --------
        >>> from rmtstab.ensembles import SpikedWishart
        >>> SpikedWishart(8, 3, shifts=[5.0]).matrix(0).shape
        (3, 3)
        """
        noise = _checks.random_source("rng", rng).standard_normal((self.p, self.n))
        noise[: len(self.spikes)] *= np.sqrt(self.spikes)[:, None]
        square = np.asarray(noise @ noise.T)
        marked = np.arange(len(self.shifts))
        square[marked, marked] += self.shifts
        return square

    def eigenvalues(self, rng: Any, largest: int | None = None) -> FloatArray:
        """Draw the eigenvalues of one matrix, without forming it.

        Parameters
        ----------
        rng : Generator, RandomState, SeedSequence or int
            Source of randomness.
        largest : int, optional
            Only so many at the top, at most `p`: from corners of the band, doubled until the
            values stay as they are (they rise with the corner, by Cauchy's interlacing).

        Returns
        -------
        ndarray, shape (p,) or (largest,), float64
            In increasing order.
        """
        source, p = _checks.random_source("rng", rng), self.p
        if largest is None:
            return self._top(self._rows(source, 0, p), p)
        largest = _checks.integer("largest", largest, low=1, high=p, high_label="p")
        return top_of_corners(
            lambda start, stop: self._rows(source, start, stop),
            lambda rows: self._top(rows, largest),
            min(p, FIRST * largest * self._width), p, SAME,
        )  # fmt: skip

    @property
    def _width(self) -> int:
        return max(1, len(self.spikes), len(self.shifts))

    def _rows(self, source: Any, start: int, stop: int) -> FloatArray:
        """Rows of the triangle, independent of each other, its diagonal in the last column."""
        k = self._width
        i = np.arange(start, stop, dtype=float)
        rows = source.standard_normal((i.size, k + 1))
        rows[:, 0] = chi(source, self.p - i)
        rows[:, k] = chi(source, np.maximum(self.n - i, 0.0))
        column = i[:, None] + np.arange(-k, 1)
        rows[(column < 0) | (column >= self.n)] = 0.0
        marked = self.spikes[start:stop]
        rows[: len(marked)] *= np.sqrt(marked)[:, None]
        return np.asarray(rows)

    def _top(self, rows: FloatArray, largest: int) -> FloatArray:
        """Top eigenvalues of the corner of so many rows, in increasing order."""
        order, k = len(rows), min(self._width, len(rows) - 1)
        band = np.zeros((k + 1, order))
        for m in range(k + 1):
            shared = rows[m:, : rows.shape[1] - m] * rows[: order - m, m:]
            band[m, : order - m] = shared.sum(axis=1)
        band[0, : len(self.shifts)] += self.shifts
        chosen = (order - largest, order - 1)
        values = np.asarray(
            eig_banded(
                band, lower=True, eigvals_only=True, check_finite=False, overwrite_a_band=True,
                select="i" if largest < order else "a", select_range=chosen,
            )
        )  # fmt: skip
        return values if min(self.shifts, default=0.0) < 0.0 else np.maximum(values, 0.0)
