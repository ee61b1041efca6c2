"""Per-sample curvature factors, reduced to the coordinates of their common range.

With ``H_i = Z_i Z_iᵀ`` and ``Z = [Z_1 … Z_n] = U S Vᵀ``, everything that this
package computes depends on the factors only through ``A = Uᵀ Z = S Vᵀ`` of
``r = rank Z`` rows; nothing of size d×d is ever formed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtstab import _checks
from rmtstab._results import FloatArray

IntArray = NDArray[np.int64]
EPS = float(np.finfo(np.float64).eps)
SYMMETRY = 1e-8  # relative asymmetry above which a matrix is refused


@dataclass(frozen=True)
class ReducedFactors:
    """Factors of all samples in the coordinates of their range: ``H_i ≅ A_i A_iᵀ``.

    Attributes
    ----------
    matrix : ndarray, shape (r, N), float64
        ``A = S Vᵀ``, samples side by side, ``C_i`` columns each.
    offsets : ndarray, shape (n + 1,), int64
        Columns of sample i are ``offsets[i]:offsets[i + 1]``, at least one.
    singular_values : ndarray, shape (r,), float64
        Of ``Z``, decreasing; their squares are the Gram matrix's eigenvalues.
    rank_tolerance : float
        Singular values at most this times the largest were taken for zero.
    spread : ndarray, shape (r,), optional
        Row k of ``matrix`` is known to within ε times ``spread[k]``, give or take a factor
        √N: what its sums were made of. Where axes were not mixed this is the row's own size;
        without, it is taken to be the largest singular value.

    Examples
    --------
    >>> from rmtstab.curvature import ReducedFactors
    >>> ReducedFactors.from_factors([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]]).rank
    2
    """

    matrix: FloatArray = field(repr=False)
    offsets: IntArray = field(repr=False)
    singular_values: FloatArray = field(repr=False)
    rank_tolerance: float
    spread: FloatArray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        # compiled code indexes with the offsets unchecked
        columns = np.shape(self.matrix)[1]
        _checks.keep(self, offsets=_checks.offsets("offsets", self.offsets, columns))

    @property
    def rank(self) -> int:
        """Dimension r of the range."""
        return int(self.matrix.shape[0])

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.offsets) - 1

    @classmethod
    def from_factors(
        cls,
        *sets: Any,
        rank_tolerance: float | None = None,
        names: Sequence[str] | None = None,
    ) -> ReducedFactors:
        """Reduce sets of factors; each set (n, d), (n, C, d), or a list of (C_i, d) arrays.

        Parameters
        ----------
        *sets : array_like
            One or more sets, stacked in order; a set may be empty.
        rank_tolerance : float, optional
            Relative to the largest singular value; default
            ``max(N, d) * 2.2e-16``.
        names : sequence of str, optional
            What errors call the sets; default ``sets[0]``, ``sets[1]``, ….

        Returns
        -------
        ReducedFactors

        Raises
        ------
        TypeError, ValueError
            If an array is not real, not finite, or the dimensions differ.
        """
        blocks: list[FloatArray] = []
        widths: list[int] = []
        labels = _labels(sets, names)
        for name, given in zip(labels, sets, strict=True):
            rows, sizes = _rows(name, given)
            blocks.append(rows)
            widths += sizes
        dims = {b.shape[1] for b in blocks if b.shape[0]}
        if not dims:
            raise ValueError(f"{' and '.join(labels)} must hold at least one sample, got none")
        if len(dims) > 1:
            listed = " and ".join(labels)
            raise ValueError(f"{listed} must share one dimension d, got {sorted(dims)}")
        rows = np.concatenate([b for b in blocks if b.shape[0]])
        return cls._reduce(rows, _offsets(widths), rank_tolerance)

    @classmethod
    def from_gram(cls, gram: Any, rank: int = 1, tolerance: float | None = None) -> ReducedFactors:
        """Reduce a Gram matrix ``K = ZᵀZ`` with ``rank`` consecutive rows per sample.

        Parameters
        ----------
        gram : array_like, shape (nC, nC)
            Symmetric positive semi-definite.
        rank : int
            C, rows per sample.
        tolerance : float, optional
            Eigenvalues within this, in [0, 1) of the largest, of zero are round-off;
            default ``nC * 2.2e-16``, or ``nC * 1.2e-7`` for a float32 matrix.

        Returns
        -------
        ReducedFactors

        Raises
        ------
        ValueError
            If K is not square, symmetric, or is indefinite beyond 100 tolerances.
        """
        c = _checks.integer("rank", rank, low=1)
        k = _checks.array("gram", gram, ndim=2)
        n = k.shape[0]
        if k.shape[0] != k.shape[1] or n == 0 or n % c:
            raise ValueError(
                f"gram must be square with a side divisible by rank={c}, got {k.shape}"
            )
        scale = float(np.abs(k).max())
        _check_symmetric("gram", k, scale)
        single = "float32" in str(getattr(gram, "dtype", "float64"))
        eps = float(np.finfo(np.float32).eps) if single else EPS
        relative = n * eps if tolerance is None else _share("tolerance", tolerance)
        values, vectors = np.linalg.eigh(0.5 * (k + k.T) / (scale or 1.0))
        top = max(float(values[-1]), 0.0)
        if scale and values[0] < -100.0 * max(relative, n * eps) * top:
            raise ValueError(
                "gram must be positive semi-definite, got smallest eigenvalue "
                f"{values[0] * scale:.3g} against largest {top * scale:.3g}"
            )
        keep = np.flatnonzero(values > relative * top)[::-1]
        singular = np.sqrt(values[keep]) * np.sqrt(scale)
        matrix = np.ascontiguousarray(singular[:, None] * vectors[:, keep].T)
        spread = singular.max(initial=0.0) ** 2 / singular  # an eigenvalue is half as accurate
        return cls(matrix, _offsets([c] * (n // c)), singular, float(np.sqrt(relative)), spread)

    @classmethod
    def _reduce(
        cls, rows: FloatArray, offsets: IntArray, rank_tolerance: float | None
    ) -> ReducedFactors:
        n, d = rows.shape
        tolerance = (
            max(n, d) * EPS if rank_tolerance is None else _share("rank_tolerance", rank_tolerance)
        )
        scale = float(np.abs(rows).max()) if rows.size else 0.0
        if scale == 0.0:
            return cls(np.zeros((0, n)), offsets, np.zeros(0), tolerance)
        small = rows / scale
        if d > n:  # Zᵀ = rows: a triangular factor has the same Gram matrix
            small = np.asarray(np.linalg.qr(small.T, mode="r")).T
        _, singular, right = np.linalg.svd(small, full_matrices=False)
        r = int(np.count_nonzero(singular > tolerance * singular[0]))
        # Uᵀ Z, not S Vᵀ: the error of each column is then relative to that column
        matrix = right[:r] @ small.T
        matrix *= scale
        singular = singular[:r] * scale
        # a triangular factor's columns are accurate as wholes only
        spread = None if d > n else np.abs(right[:r]) @ np.abs(rows).max(axis=0)
        return cls(np.ascontiguousarray(matrix), offsets, singular, tolerance, spread)


def hessian_roots(
    *sets: Any, tolerance: float, names: Sequence[str] | None = None
) -> list[list[FloatArray]]:
    """Factor explicit Hessians, each set (n, d, d), through their eigendecompositions.

    Parameters
    ----------
    *sets : array_like, shape (n_s, d, d)
        Symmetric positive semi-definite matrices; a set may be empty.
    tolerance : float
        Eigenvalues of a sample at most this times its largest count as zero;
        below minus this the matrix is refused.
    names : sequence of str, optional
        What errors call the sets; default ``sets[0]``, ``sets[1]``, ….

    Returns
    -------
    list of list of ndarray, shape (C_i, d)
        ``Z_iᵀ`` of each sample, set by set.

    Raises
    ------
    ValueError
        If a matrix is not symmetric or not positive semi-definite.
    """
    tolerance = _share("tolerance", tolerance)
    factors: list[list[FloatArray]] = []
    for name, given in zip(_labels(sets, names), sets, strict=True):
        array = _checks.array(name, given)
        if array.size == 0:
            factors.append([])
            continue
        if array.ndim != 3 or array.shape[1] != array.shape[2]:
            raise ValueError(f"{name} must have shape (n, d, d), got {array.shape}")
        factors.append([_root(f"{name}[{i}]", h, tolerance) for i, h in enumerate(array)])
    return factors


def stacked_rows(*sets: Any) -> FloatArray:
    """Rows ``Zᵀ``, shape (N, d), of sets that `ReducedFactors.from_factors` accepts.

    Parameters
    ----------
    *sets : array_like

    Returns
    -------
    ndarray, shape (N, d), float64
    """
    blocks = [_rows(name, given)[0] for name, given in zip(_labels(sets, None), sets, strict=True)]
    return np.concatenate([block for block in blocks if len(block)])


def split_coordinates(
    factors: FloatArray, rows: FloatArray, gradients: FloatArray, tolerance: float = 1e-10
) -> FloatArray:
    """Coordinates of gradients: those of the curvatures' range, then of what is left.

    Parameters
    ----------
    factors : ndarray, shape (r, N)
        ``A = S Vᵀ``.
    rows : ndarray, shape (N, d)
        ``Zᵀ``, with ``Z = U S Vᵀ``.
    gradients : ndarray, shape (n, d)
    tolerance : float
        What is left counts where its singular values exceed this times the largest
        gradient's norm.

    Returns
    -------
    ndarray, shape (n, r + q), float64
        ``[Uᵀ g_i, Qᵀ g_i]`` with Q an orthonormal basis of the rest.
    """
    squares = np.einsum("rn,rn->r", factors, factors)  # S²
    u, triangle = np.linalg.qr(rows.T @ (factors.T / squares))
    u *= np.sign(np.diag(triangle))
    inside = gradients @ u
    rest = gradients - inside @ u.T
    rest -= (rest @ u) @ u.T
    left, singular, _ = np.linalg.svd(rest, full_matrices=False)
    norms = np.linalg.norm(gradients, axis=1)
    q = int(np.count_nonzero(singular > tolerance * norms.max(initial=0.0)))
    return np.concatenate([inside, left[:, :q] * singular[:q]], axis=1)


def _labels(sets: Sequence[Any], names: Sequence[str] | None) -> list[str]:
    if names is None:
        return [f"sets[{k}]" for k in range(len(sets))]
    return [
        _checks.instance("names", name, str) for name in _checks.items("names", names, len(sets))
    ]


def _rows(name: str, given: Any) -> tuple[FloatArray, list[int]]:
    """Stack one set's factors as rows (N, d), with the number of rows of each sample."""
    if isinstance(given, list | tuple) and _ragged(given):
        rows = [_checks.array(f"{name}[{i}]", item, ndim=(1, 2)) for i, item in enumerate(given)]
        rows = [row[None, :] if row.ndim == 1 else row for row in rows]
        # a sample without curvature keeps one row of zeros: no segment is ever empty
        rows = [row if len(row) else np.zeros((1, row.shape[1])) for row in rows]
        dims = {row.shape[1] for row in rows}
        if len(dims) > 1:
            raise ValueError(f"{name} must share one dimension d, got {sorted(dims)}")
        return np.concatenate(rows), [len(row) for row in rows]
    array = _checks.array(name, given)
    if array.size == 0:
        return np.zeros((0, 0)), [0] * (array.shape[0] if array.ndim > 1 else 0)
    if array.ndim == 2:
        return array, [1] * len(array)
    if array.ndim == 3:
        n, c, d = array.shape
        return array.reshape(n * c, d), [c] * n
    raise ValueError(f"{name} must have shape (n, d) or (n, C, d), got {array.shape}")


def _ragged(given: Iterable[Any]) -> bool:
    return any(np.ndim(item) == 2 for item in given)


def _share(name: str, tolerance: Any) -> float:
    """Return a tolerance relative to the largest, which itself stays."""
    return _checks.real(name, tolerance, low=0.0, high=1.0, high_open=True)


def _offsets(widths: list[int]) -> IntArray:
    return np.concatenate([[0], np.cumsum(widths)]).astype(np.int64)


def _check_symmetric(name: str, matrix: FloatArray, scale: float) -> None:
    gap = float(np.abs(matrix - matrix.T).max())
    if gap > SYMMETRY * scale:
        raise ValueError(
            f"{name} must be symmetric, got asymmetry {gap:.3g} against entries of {scale:.3g}"
        )


def _root(name: str, hessian: FloatArray, tolerance: float) -> FloatArray:
    scale = float(np.abs(hessian).max())
    _check_symmetric(name, hessian, scale)
    values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
    top = float(np.abs(values).max())
    if values[0] < -tolerance * top:
        raise ValueError(
            f"{name} must be positive semi-definite, got smallest eigenvalue {values[0]:.3g} "
            f"against largest {top:.3g}"
        )
    keep = values > tolerance * top
    root: FloatArray = np.sqrt(values[keep])[:, None] * vectors[:, keep].T
    return root
