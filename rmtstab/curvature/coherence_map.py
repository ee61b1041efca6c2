r"""The coherence matrix S as a map of vectors, and the Perron roots of all its reweightings.

Every axis of coherence is the Perron root of one family, R and F being the two sets,

    T(a, b, c) = [[a S_RR, b S_RF], [b S_FR, c S_FF]],

(1, 0, 0) for the retain set, (0, 0, 1) for the forget set, (0, 1, 0) across, (1, 1, 1)
for the total, and ``(w_R, √(w_R w_F), w_F)`` for the unlearning coherence at each mixing.
A subspace spanned by vectors that live on one set only is therefore projected once for
all of them (docs/theory/coherence).
"""

from __future__ import annotations

import itertools

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.curvature.factors import IntArray
from rmtstab.kernels.coherence import block_norms

SMALL = 96  # samples up to which a stored S goes to a dense eigen-solver
STORED_BYTES = 4e9  # largest S that is stored unless asked to: n = 22,360
TILE = 1024  # columns of Z in a tile of the Gram matrix
EXPAND = 4  # members of the family that extend the subspace in one pass
CAPACITY = 480  # vectors in the subspace, before ARPACK takes over member by member
TOLERANCE = 1e-12  # residual of a Perron pair, relative to its root


class CoherenceMap:
    """``v ↦ S v`` with S stored, or its tiles recomputed from the factors at each pass.

    Parameters
    ----------
    matrix : ndarray, shape (r, N), float64
        Reduced factors, samples side by side.
    offsets : ndarray, shape (n + 1,), int64
        Columns of sample i are ``offsets[i]:offsets[i + 1]``.
    matrix_free : bool, optional
        Store nothing of size n × n. Default: only where S would exceed 4 GB (n > 22,360).

    Raises
    ------
    TypeError, ValueError
        If the factors are not real and finite, or the offsets do not rise from 0 to N.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.curvature import CoherenceMap
    >>> CoherenceMap(np.array([[3.0, -4.0]]), np.arange(3), matrix_free=True) @ np.ones((2, 1))
    array([[21.],
           [28.]])
    """

    def __init__(
        self, matrix: FloatArray, offsets: IntArray, matrix_free: bool | None = None
    ) -> None:
        self.matrix = _checks.array("matrix", matrix, ndim=2)
        self.offsets = _checks.offsets("offsets", offsets, self.matrix.shape[1])
        self.n = len(self.offsets) - 1
        if matrix_free is not None:
            matrix_free = _checks.flag("matrix_free", matrix_free)
        else:
            matrix_free = 8.0 * self.n**2 > STORED_BYTES
        step = max(1, TILE * self.n // max(1, self.matrix.shape[1]))
        edges = [*range(0, self.n, step), self.n]
        self._parts = [slice(a, b) for a, b in itertools.pairwise(edges)]
        self.stored = None if matrix_free else self._assemble()

    @classmethod
    def from_matrix(cls, s: FloatArray) -> CoherenceMap:
        """Wrap a given S; it is not copied.

        Parameters
        ----------
        s : ndarray, shape (n, n)

        Returns
        -------
        CoherenceMap
        """
        s = _checks.array("s", s, ndim=2)
        if len(s) != s.shape[1]:
            raise ValueError(f"s must be square, got shape {s.shape}")
        result = cls.__new__(cls)
        result.matrix, result.offsets = np.zeros((0, len(s))), np.arange(len(s) + 1)
        result.n, result.stored, result._parts = len(s), s, []
        return result

    def tile(self, rows: slice, columns: slice) -> FloatArray:
        """``S[rows, columns]``, from one product of factors.

        Parameters
        ----------
        rows, columns : slice
            Of samples.

        Returns
        -------
        ndarray, float64
        """
        for name, part in (("rows", rows), ("columns", columns)):
            _checks.instance(name, part, slice)
        own = self.offsets[rows.start : rows.stop + 1]
        other = self.offsets[columns.start : columns.stop + 1]
        gram = self.matrix[:, own[0] : own[-1]].T @ self.matrix[:, other[0] : other[-1]]
        if gram.shape == (len(own) - 1, len(other) - 1):
            absolute: FloatArray = np.abs(gram, out=gram)
            return absolute
        result = np.empty((len(own) - 1, len(other) - 1))
        block_norms(gram, own - own[0], other - other[0], result)
        return result

    def __matmul__(self, vectors: FloatArray) -> FloatArray:
        """``S V`` for V of shape (n, k), each tile serving both of its places."""
        if np.ndim(vectors) != 2 or len(vectors) != self.n:
            raise ValueError(f"vectors must have shape (n={self.n}, k), got {np.shape(vectors)}")
        if self.stored is not None:
            stored: FloatArray = self.stored @ vectors
            return stored
        result = np.zeros_like(vectors)
        for i, rows in enumerate(self._parts):
            for columns in self._parts[i:]:
                s = self.tile(rows, columns)
                result[rows] += s @ vectors[columns]
                if columns != rows:
                    result[columns] += s.T @ vectors[rows]
        return result

    def _assemble(self) -> FloatArray:
        s = np.empty((self.n, self.n))
        for i, rows in enumerate(self._parts):
            for columns in self._parts[i:]:
                s[rows, columns] = self.tile(rows, columns)
                if columns != rows:
                    s[columns, rows] = s[rows, columns].T
        return s


def perron_family(
    s: CoherenceMap, n_retain: int, members: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Perron roots and vectors of ``T(a, b, c)`` for all members at once.

    Parameters
    ----------
    s : CoherenceMap
    n_retain : int
    members : ndarray, shape (m, 3)
        Nonnegative (a, b, c).

    Returns
    -------
    roots : ndarray, shape (m,), float64
        In the units of the Hessians.
    vectors : ndarray, shape (m, n), float64
        Nonnegative, of norm 1.
    """
    members = np.asarray(members, dtype=np.float64)
    if s.stored is not None and s.n <= SMALL:
        side = (np.arange(s.n) >= n_retain).astype(np.int64)
        dense = [np.linalg.eigh(_weights(t, side, side) * s.stored) for t in members]
        return np.array([v[-1] for v, _ in dense]), np.array([np.abs(q[:, -1]) for _, q in dense])
    return _Subspace(s, n_retain).solve(members)


def _weights(member: FloatArray, rows: IntArray, columns: IntArray) -> FloatArray:
    """Coefficients of T for rows and columns on given sides (0 retain, 1 forget)."""
    result: FloatArray = member[rows[:, None] + columns]
    return result


class _Subspace:
    """Rayleigh–Ritz for the whole family on vectors that live on one set each."""

    def __init__(self, s: CoherenceMap, n_retain: int) -> None:
        self.s = s
        self.parts = (slice(0, n_retain), slice(n_retain, s.n))
        self.basis = np.zeros((s.n, 0))
        self.image = np.zeros((s.n, 0))
        self.side = np.zeros(0, dtype=np.int64)

    def solve(self, members: FloatArray) -> tuple[FloatArray, FloatArray]:
        n = self.s.n
        roots, vectors = np.zeros(len(members)), np.zeros((len(members), n))
        open_ = list(range(len(members)))
        # the all-ones start overlaps every Perron vector
        fresh = [np.ones(n)]
        while open_ and self._extend(fresh) and len(self.side) <= CAPACITY:
            projected = self.basis.T @ self.image
            gaps = {}
            for k in open_:
                roots[k], vectors[k], residual = self._ritz(members[k], projected)
                size = float(np.linalg.norm(residual))
                if size > TOLERANCE * roots[k]:
                    gaps[k] = (size / max(roots[k], np.finfo(float).tiny), residual)
            open_ = sorted(gaps, key=lambda k: -gaps[k][0])
            fresh = [gaps[k][1] for k in open_[:EXPAND]]
        if len(self.side) > CAPACITY:
            for k in open_:
                roots[k], vectors[k] = self._arpack(members[k], vectors[k])
        return roots, np.abs(vectors)

    def _extend(self, fresh: list[FloatArray]) -> bool:
        """Add the two parts of each vector; False when they bring nothing new."""
        columns: list[FloatArray] = []
        sides: list[int] = []
        for vector in fresh:
            scale = float(np.linalg.norm(vector))
            for side, part in enumerate(self.parts):
                known = np.column_stack(
                    [self.basis[part][:, self.side == side]]
                    + [c[part] for c, s in zip(columns, sides, strict=True) if s == side]
                )
                piece = vector[part].copy()
                for _ in range(2):
                    piece -= known @ (known.T @ piece)
                size = float(np.linalg.norm(piece))
                if size > 1e-3 * scale and len(known) > known.shape[1]:
                    piece /= size
                    piece -= known @ (known.T @ piece)
                    column = np.zeros(self.s.n)
                    column[part] = piece / np.linalg.norm(piece)
                    columns.append(column)
                    sides.append(side)
        if not columns:
            return False
        new = np.column_stack(columns)
        self.basis = np.hstack([self.basis, new])
        self.image = np.hstack([self.image, self.s @ new])
        self.side = np.concatenate([self.side, np.array(sides, dtype=np.int64)])
        return True

    def _ritz(
        self, member: FloatArray, projected: FloatArray
    ) -> tuple[float, FloatArray, FloatArray]:
        """Top Ritz pair of one member, and its residual."""
        small = _weights(member, self.side, self.side) * projected
        values, turns = np.linalg.eigh(0.5 * (small + small.T))
        y = turns[:, -1] if turns[:, -1].sum() > 0.0 else -turns[:, -1]
        vector: FloatArray = self.basis @ y
        residual = -values[-1] * vector
        for side, part in enumerate(self.parts):
            rows = np.array([side])
            residual[part] += self.image[part] @ (_weights(member, rows, self.side)[0] * y)
        return float(values[-1]), vector, residual

    def _arpack(self, member: FloatArray, start: FloatArray) -> tuple[float, FloatArray]:
        """One member by ARPACK, which raises rather than return an unconverged value."""
        from scipy.sparse.linalg import LinearOperator, eigsh

        def apply(v: FloatArray) -> FloatArray:
            halves = np.zeros((self.s.n, 2))
            for side, part in enumerate(self.parts):
                halves[part, side] = v.ravel()[part]
            moved = self.s @ halves
            for side, part in enumerate(self.parts):
                moved[part] *= member[[side, side + 1]]
            result: FloatArray = moved.sum(axis=1)
            return result

        operator = LinearOperator((self.s.n, self.s.n), matvec=apply, dtype=np.float64)
        values, found = eigsh(operator, k=1, which="LA", v0=start, tol=TOLERANCE)
        return float(values[0]), found[:, 0]
