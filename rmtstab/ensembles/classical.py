"""Gaussian, Wishart and Jacobi matrices: dense, and their eigenvalues for any Dyson index."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.ensembles.chi import chi
from rmtstab.ensembles.corners import top_of_corners

Matrix = NDArray[Any]


def gaussian_entries(rng: Any, shape: tuple[int, ...], dyson_index: float) -> Matrix:
    """Draw independent standard entries: real for index 1, complex with E|x|² = 1 for 2.

    Parameters
    ----------
    rng : Generator, RandomState, SeedSequence or int
        Source of randomness.
    shape : tuple of int
        Shape of the array.
    dyson_index : {1, 2}
        Real or complex.

    Returns
    -------
    ndarray, shape `shape`, float64 or complex128

    Raises
    ------
    ValueError
        If the index is neither 1 nor 2.

    Examples
    --------
    >>> from rmtstab.ensembles import gaussian_entries
    >>> gaussian_entries(0, (2, 3), 1).shape
    (2, 3)
    """
    shape = _checks.integers("shape", shape)
    dyson_index = _checks.real("dyson_index", dyson_index)
    source = _checks.random_source("rng", rng)
    if dyson_index not in (1, 2):
        raise ValueError(f"dense matrices need dyson_index 1 or 2, got {dyson_index!r}")
    if dyson_index == 1:
        return np.asarray(source.standard_normal(shape))
    pair = source.standard_normal((2, *shape))
    return np.asarray((pair[0] + 1j * pair[1]) / math.sqrt(2.0))


def _index(ensemble: Gaussian | Wishart | Jacobi) -> float:
    """Dyson index > 0 of an ensemble."""
    index = _checks.real("dyson_index", ensemble.dyson_index, low=0.0, low_open=True)
    return int(index) if index in (1.0, 2.0, 4.0) else index


def _top(diagonal: FloatArray, off: FloatArray, largest: int | None) -> FloatArray:
    """Return the eigenvalues of a tridiagonal matrix in increasing order, or the top ones."""
    n = diagonal.size
    if largest is None:
        return np.asarray(eigh_tridiagonal(diagonal, off, eigvals_only=True))
    if n == 1:
        return diagonal.copy()
    return np.asarray(
        eigh_tridiagonal(
            diagonal, off, eigvals_only=True, select="i", select_range=(n - largest, n - 1),
            check_finite=False,
        )
    )  # fmt: skip


def _corner(n: int, largest: int | None) -> int:
    """Return how many rows hold the top eigenvectors of a model of order n, beyond rounding."""
    if largest is None:
        return n
    rows = (14.0 + 4.0 * math.cbrt(largest) ** 2) * math.cbrt(n)
    return min(n, largest + math.ceil(rows))


_SAME = 64.0 * float(np.finfo(float).eps)  # what a larger corner moves its values by at the end


@dataclass(frozen=True)
class Gaussian:
    r"""Gaussian ensemble: Hermitian, independent entries with :math:`E|h_{ij}|^2 = 1`.

    The diagonal has variance :math:`2/\beta`; the spectrum fills
    :math:`[-2\sqrt n, 2\sqrt n]`. For any index the eigenvalues are those of the tridiagonal
    matrix with independent :math:`N(0, 2/\beta)` on its diagonal and
    :math:`\chi_{\beta(n-i)}/\sqrt\beta` beside it.

    Parameters
    ----------
    n : int
        Size, at least 1.
    dyson_index : float
        1 (real), 2 (complex), or any positive number for eigenvalues alone.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong kind or outside its range.

    References
    ----------
    I. Dumitriu and A. Edelman, J. Math. Phys. 43 (2002), 5830, Theorem 2.12.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.ensembles import Gaussian
    >>> values = Gaussian(400).eigenvalues(0)
    >>> bool(abs(np.abs(values).max() / 20 - 2) < 0.1)
    True
    >>> Gaussian(10**6, dyson_index=2.5).eigenvalues(0, largest=2).shape
    (2,)
    """

    n: int
    dyson_index: float = 1

    def __post_init__(self) -> None:
        _checks.keep(self, n=_checks.integer("n", self.n, low=1), dyson_index=_index(self))

    def matrix(self, rng: Any) -> Matrix:
        """Draw a dense matrix.

        Parameters
        ----------
        rng : Generator, RandomState, SeedSequence or int
            Source of randomness.

        Returns
        -------
        ndarray, shape (n, n), float64 or complex128
        """
        entries = gaussian_entries(rng, (self.n, self.n), self.dyson_index)
        return np.asarray((entries + entries.conj().T) / math.sqrt(2.0))

    def eigenvalues(self, rng: Any, largest: int | None = None) -> FloatArray:
        """Draw the eigenvalues of one matrix, without forming it.

        Parameters
        ----------
        rng : Generator, RandomState, SeedSequence or int
            Source of randomness.
        largest : int, optional
            Only so many at the top: from a corner of the model of a few times
            ``n**(1/3)`` rows, the same to rounding.

        Returns
        -------
        ndarray, shape (n,) or (largest,), float64
            In increasing order.
        """
        source, n, beta = _checks.random_source("rng", rng), self.n, float(self.dyson_index)
        if largest is not None:
            largest = _checks.integer("largest", largest, low=1, high=n, high_label="n")
        keep = _corner(n, largest)
        diagonal = source.standard_normal(keep) * math.sqrt(2.0 / beta)
        off = chi(source, beta * np.arange(n - 1.0, n - keep, -1.0)) / math.sqrt(beta)
        return _top(diagonal, off, largest)


@dataclass(frozen=True)
class Wishart:
    r"""Wishart ensemble ``X @ X*``, `X` of shape ``(p, n)`` standard with :math:`E|x|^2 = 1`.

    For any index the eigenvalues are those of :math:`BB^\top/\beta`, `B` lower bidiagonal with
    independent :math:`\chi_{\beta n}, \chi_{\beta(n-1)}, \dots` on its diagonal and
    :math:`\chi_{\beta(p-1)}, \dots, \chi_\beta` below it. With ``p > n`` the ``p - n`` zeros
    are included.

    Parameters
    ----------
    n, p : int
        Degrees of freedom and dimension, at least 1.
    dyson_index : float
        1 (real), 2 (complex), or any positive number for eigenvalues alone.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong kind or outside its range.

    References
    ----------
    I. Dumitriu and A. Edelman, J. Math. Phys. 43 (2002), 5830, Theorem 3.4.

    Examples
    --------
    >>> from rmtstab.ensembles import Wishart
    >>> top = Wishart(2000, 1000).eigenvalues(0, largest=1)
    >>> bool(abs(top[0] / 2000 / (1 + 0.5**0.5) ** 2 - 1) < 0.05)
    True
    """

    n: int
    p: int
    dyson_index: float = 1

    def __post_init__(self) -> None:
        n, p = _checks.integer("n", self.n, low=1), _checks.integer("p", self.p, low=1)
        _checks.keep(self, n=n, p=p, dyson_index=_index(self))

    def matrix(self, rng: Any) -> Matrix:
        """Draw a dense matrix.

        Parameters
        ----------
        rng : Generator, RandomState, SeedSequence or int
            Source of randomness.

        Returns
        -------
        ndarray, shape (p, p), float64 or complex128
        """
        entries = gaussian_entries(rng, (self.p, self.n), self.dyson_index)
        return np.asarray(entries @ entries.conj().T)

    def eigenvalues(self, rng: Any, largest: int | None = None) -> FloatArray:
        """Draw the eigenvalues of one matrix, without forming it.

        Parameters
        ----------
        rng : Generator, RandomState, SeedSequence or int
            Source of randomness.
        largest : int, optional
            Only so many at the top, at most ``min(n, p)``: from a corner of the model, the
            same to rounding.

        Returns
        -------
        ndarray, shape (p,) or (largest,), float64
            In increasing order.
        """
        source, beta = _checks.random_source("rng", rng), float(self.dyson_index)
        high, low = max(self.n, self.p), min(self.n, self.p)
        if largest is not None:
            largest = _checks.integer("largest", largest, low=1, high=low, high_label="min(n, p)")
        keep = _corner(low, largest)
        count = np.arange(keep, dtype=float)
        diagonal = chi(source, beta * (high - count))
        below = chi(source, beta * (low - 1.0 - count[: keep - 1]))
        squares = diagonal**2
        squares[1:] += below**2
        values = _top(squares / beta, diagonal[:-1] * below / beta, largest)
        if largest is not None:
            return values
        return np.concatenate([np.zeros(self.p - low), np.maximum(values, 0.0)])


@dataclass(frozen=True)
class Jacobi:
    r"""Jacobi ensemble ``A (A + B)^{-1}``, `A` and `B` Wishart of ``n1`` and ``n2`` degrees.

    For any index the eigenvalues are the squared singular values of a bidiagonal matrix of
    independent angles, :math:`\cos^2\theta_i` and :math:`\cos^2\theta'_i` beta variables.

    Parameters
    ----------
    n1, n2 : int
        Degrees of freedom, at least `p`.
    p : int
        Dimension, at least 1.
    dyson_index : float
        1 (real), 2 (complex), or any positive number for eigenvalues alone.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong kind or outside its range.

    References
    ----------
    A. Edelman and B. Sutton, Found. Comput. Math. 8 (2008), 259, Theorem 1.5.

    Examples
    --------
    >>> from rmtstab.ensembles import Jacobi
    >>> values = Jacobi(30, 50, 10).eigenvalues(0)
    >>> values.shape, bool((values > 0).all() and (values < 1).all())
    ((10,), True)
    """

    n1: int
    n2: int
    p: int
    dyson_index: float = 1

    def __post_init__(self) -> None:
        p = _checks.integer("p", self.p, low=1)
        n1, n2 = (_checks.integer(name, getattr(self, name), low=p) for name in ("n1", "n2"))
        _checks.keep(self, n1=n1, n2=n2, p=p, dyson_index=_index(self))

    def matrix(self, rng: Any) -> Matrix:
        """Draw a dense symmetric matrix with these eigenvalues.

        Parameters
        ----------
        rng : Generator, RandomState, SeedSequence or int
            Source of randomness.

        Returns
        -------
        ndarray, shape (p, p), float64 or complex128
            ``L^{-1} A L^{-*}`` with ``L L* = A + B``.
        """
        source = _checks.random_source("rng", rng)
        first = gaussian_entries(source, (self.p, self.n1), self.dyson_index)
        second = gaussian_entries(source, (self.p, self.n2), self.dyson_index)
        total = first @ first.conj().T + second @ second.conj().T
        half = np.linalg.solve(np.linalg.cholesky(total), first)
        return np.asarray(half @ half.conj().T)

    def eigenvalues(self, rng: Any, largest: int | None = None) -> FloatArray:
        """Draw the eigenvalues of one matrix, without forming it.

        Parameters
        ----------
        rng : Generator, RandomState, SeedSequence or int
            Source of randomness.
        largest : int, optional
            Only so many at the top, at most `p`: from corners of the model, doubled until the
            values stay as they are (by interlacing they rise with the corner).

        Returns
        -------
        ndarray, shape (p,) or (largest,), float64
            In increasing order.
        """
        source, p = _checks.random_source("rng", rng), self.p
        if largest is not None:
            largest = _checks.integer("largest", largest, low=1, high=p, high_label="p")
        return top_of_corners(
            lambda start, stop: self._angles(source, start, stop),
            lambda angles: self._corner_values(angles, largest),
            _corner(p, largest), p, _SAME,
        )  # fmt: skip

    def _angles(self, source: Any, start: int, stop: int) -> FloatArray:
        """Squared cosines of both kinds of angles, rows ``start`` to ``stop``; the last is 0."""
        half, a, b = 0.5 * float(self.dyson_index), self.n1 - self.p, self.n2 - self.p
        i = self.p - np.arange(start, stop, dtype=float)
        second = np.zeros(i.size)
        j = i[i > 1.0] - 1.0
        second[: j.size] = source.beta(half * j, half * (a + b + 1.0 + j))
        return np.stack([source.beta(half * (a + i), half * (b + i)), second], axis=1)

    def _corner_values(self, angles: FloatArray, largest: int | None) -> FloatArray:
        """Eigenvalues of the corner of so many rows."""
        c2, d2 = angles.T
        # rows (c_p, -s_p c'_{p-1}), (c_{p-1} s'_{p-1}, ...): the Gram matrix is tridiagonal
        diagonal = np.concatenate([c2[:1], c2[1:] * (1.0 - d2[:-1])])
        upper = (1.0 - c2) * d2
        return _top(diagonal + upper, -np.sqrt(diagonal[1:] * upper[:-1]), largest)
