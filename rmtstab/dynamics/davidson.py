r"""Davidson's method for positive self-adjoint maps, on packed symmetric matrices.

A map is a combination ``Φ = Σ_t times_t Φ_t`` of a few fixed ones; problems that differ in
``times`` alone share one subspace. It starts from the identity, which overlaps every top
eigenmatrix; a residual R that is not small adds ``R/(θ − j_p j_q)``, corrected as the mean
dynamics alone would. The Ritz value θ is a lower bound on ρ. The same subspace holds an
approximate solution of ``(λ − Φ)X = I``; where ``X ≻ 0`` and ``λX − Φ(X) ≻ 0`` hold, checked
explicitly, ρ < λ. Images of the subspace are kept: neither end costs another application.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.linalg.blas import dnrm2  # scaled: of ρ beyond 1e154 a square overflows

from rmtstab._results import FloatArray
from rmtstab.dynamics.certificate import ROUNDING, TINY, Enclosure, is_certificate
from rmtstab.kernels.symmetric import pack, unpack

WIDEST = 160
SPACE_BYTES = 1e9
FLOOR = 1e-13  # of θ: the preconditioner's least denominator
GAPS = (1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # of enclosures
TOLERANCE = 1e-10  # relative residual of an eigenpair solved by itself
SURE = 1e-8  # relative width of an enclosure that needs no second look
PATIENCE = 40  # directions added for the sake of one certificate
LOOKS = 4  # times that directions of a certificate may raise the Ritz value
BELOW_ONE = 1.0 - 1e-12

Map = Callable[[FloatArray], FloatArray]


def leading(psi: Map, products: FloatArray, memory: float) -> Enclosure:
    """Top eigenvalue of one map, enclosed.

    Parameters
    ----------
    psi : callable
        (r, r) → (r, r) on symmetric matrices, self-adjoint and positive.
    products : ndarray, shape (r, r)
        Its elementwise part, of the preconditioner; see `Subspace`.
    memory : float
        In bytes.

    Returns
    -------
    Enclosure
        A Ritz pair that is exact at once (of the mean, say) need not be the top one: then the
        directions that a certificate asks for raise the Ritz value, and it is solved again.
    """
    space = Subspace([psi], np.ones((1, 1)), products, memory)
    value, upper = -np.inf, np.inf
    for _ in range(LOOKS):
        space.refine(0, TOLERANCE)
        if abs(space.ritz(0)[0] - 1.0) < SURE:  # what is exactly marginal is seen as such
            space.refine(0, ROUNDING)
        before, value = value, space.ritz(0)[0]
        if value <= before * (1.0 + ROUNDING):
            break
        upper = space.upper(0, GAPS[0], PATIENCE)
        if upper <= max(value, TINY) * (1.0 + SURE):
            break
    value, y = space.ritz(0)
    residual = float(dnrm2(space.image(0, y) - value * (y @ space.vectors)))
    return Enclosure(value, max(upper, value), residual, space.matrix(0), space.size)


class Subspace:
    """Orthonormal symmetric matrices, packed, with their images under the given maps.

    Parameters
    ----------
    maps : sequence of callable
        (r, r) → (r, r), or None for the elementwise product with ``products``.
    times : ndarray, shape (n_problems, n_maps)
    products : ndarray, shape (r, r)
        ``j jᵀ``, of the preconditioner; its largest diagonal entry is the mean's own
        escape, which starts the subspace too.
    memory : float
        Of the subspace and its images, in bytes.
    """

    def __init__(
        self,
        maps: Sequence[Map | None],
        times: FloatArray,
        products: FloatArray,
        memory: float = SPACE_BYTES,
    ) -> None:
        self.side = r = len(products)
        self.dimension = r * (r + 1) // 2
        self.maps, self.times = maps, times
        self.products = products[np.triu_indices(r)]
        width = int(min(WIDEST, self.dimension, memory / (4.0 * (1 + len(maps)) * r * r)))
        self._vectors = np.empty((width, self.dimension))
        self._images = np.empty((len(maps), width, self.dimension))
        self._projected = np.zeros((len(maps), width, width))
        self.size = 0
        self.add(self.packed(np.eye(r)))
        top = int(np.argmax(np.diag(products)))
        self.add(self.packed(np.diag(np.arange(r) == top).astype(np.float64)))

    @property
    def vectors(self) -> FloatArray:
        """The basis, one packed matrix a row; the first is I/√r."""
        return self._vectors[: self.size]

    def packed(self, matrix: FloatArray) -> FloatArray:
        """Packed vector of a symmetric matrix.

        Parameters
        ----------
        matrix : ndarray, shape (r, r)

        Returns
        -------
        ndarray, shape (r(r + 1)/2,), float64
        """
        result = np.empty(self.dimension)
        pack(np.ascontiguousarray(matrix), result)
        return result

    def unpacked(self, vector: FloatArray) -> FloatArray:
        """Symmetric matrix of a packed vector.

        Parameters
        ----------
        vector : ndarray, shape (r(r + 1)/2,)

        Returns
        -------
        ndarray, shape (r, r), float64
        """
        result = np.empty((self.side, self.side))
        unpack(vector, result)
        return result

    def add(self, vector: FloatArray, weights: FloatArray | None = None) -> bool:
        """Add ``vector/weights``, or the vector where that is already there; False when full.

        Parameters
        ----------
        vector : ndarray, shape (r(r + 1)/2,)
            Packed.
        weights : ndarray, same shape, optional

        Returns
        -------
        bool
        """
        k = self.size
        if k == len(self._vectors):
            return False
        new = self._orthonormal(vector if weights is None else vector / weights)
        if new is None and weights is not None:
            new = self._orthonormal(vector)
        if new is None:
            return False
        self._vectors[k] = new
        matrix = self.unpacked(new)
        for t, part in enumerate(self.maps):
            self._images[t, k] = self.products * new if part is None else self.packed(part(matrix))
        self.size = k + 1
        for t in range(len(self.maps)):
            overlaps = self.vectors @ self._images[t, k]
            self._projected[t, k, : k + 1] = self._projected[t, : k + 1, k] = overlaps
        return True

    def _orthonormal(self, vector: FloatArray) -> FloatArray | None:
        new: FloatArray = vector / dnrm2(vector)
        for _ in range(2):
            new = new - (self.vectors @ new) @ self.vectors
            size = float(np.linalg.norm(new))
            if size < 1e-8:
                return None
            new = new / size
        return new

    def _small(self, problem: int) -> FloatArray:
        k = self.size
        result: FloatArray = np.tensordot(self.times[problem], self._projected[:, :k, :k], axes=1)
        return result

    def ritz(self, problem: int) -> tuple[float, FloatArray]:
        """Top Ritz value and its coefficients.

        Parameters
        ----------
        problem : int
            Row of ``times``.

        Returns
        -------
        value : float
        coefficients : ndarray, shape (size,)
        """
        values, vectors = np.linalg.eigh(self._small(problem))
        return float(values[-1]), vectors[:, -1]

    def image(self, problem: int, y: FloatArray) -> FloatArray:
        """``Φ`` of a combination of the basis.

        Parameters
        ----------
        problem : int
        y : ndarray, shape (size,)
            Coefficients.

        Returns
        -------
        ndarray, shape (r(r + 1)/2,), float64
        """
        result = np.zeros(self.dimension)
        for t, factor in enumerate(self.times[problem]):
            if factor:
                result += factor * (y @ self._images[t, : self.size])
        return result

    def refine(self, problem: int, tolerance: float) -> bool:
        """Grow until the relative residual is at most ``tolerance``; False when full.

        Parameters
        ----------
        problem : int
        tolerance : float

        Returns
        -------
        bool
        """
        while True:
            theta, y = self.ritz(problem)
            residual = self.image(problem, y) - theta * (y @ self.vectors)
            whole = self.size == self.dimension  # then what is left is rounding
            if whole or dnrm2(residual) <= tolerance * theta:
                return True
            if not self.add(residual, np.maximum(theta - self.products, FLOOR * theta)):
                return False

    def matrix(self, problem: int) -> FloatArray:
        """Top Ritz matrix, of unit norm and positive trace.

        Parameters
        ----------
        problem : int

        Returns
        -------
        ndarray, shape (r, r), float64
        """
        m = self.unpacked(self.ritz(problem)[1] @ self.vectors)
        return -m if np.trace(m) < 0.0 else m

    def upper(self, problem: int, finest: float, patience: int = 0) -> float:
        """Smallest certified upper end among `GAPS`, from ``finest`` on; ``inf`` if none.

        ``patience`` directions at most are added for the sake of the finest.

        Parameters
        ----------
        problem : int
        finest : float
            Least relative width.
        patience : int

        Returns
        -------
        float
        """
        value = self.ritz(problem)[0]
        base = max(value, TINY)
        shifts = [base * (1.0 + gap) for gap in GAPS if gap >= finest]
        if value < BELOW_ONE < shifts[0]:
            shifts.insert(0, BELOW_ONE)
        for shift in shifts:
            while True:
                try:
                    x, image = self._resolvent(problem, shift)
                except np.linalg.LinAlgError:  # the shift is an eigenvalue to the last digit
                    break
                if is_certificate(self.unpacked(x), self.unpacked(image), shift):
                    return float(shift)
                missing = image - self.packed(np.eye(self.side))
                weights = np.maximum(shift - self.products, FLOOR * shift)
                if patience <= 0 or not self.add(missing, weights):
                    break
                patience -= 1
        return np.inf

    def _resolvent(self, problem: int, shift: float) -> tuple[FloatArray, FloatArray]:
        """Galerkin solution X of ``(shift − Φ)X = I``, and its ``shift X − Φ(X)``."""
        right = np.zeros(self.size)
        right[0] = np.sqrt(float(self.side))
        matrix = -self._small(problem)
        matrix.flat[:: self.size + 1] += shift
        y = np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)
        x = y @ self.vectors
        return x, shift * x - self.image(problem, y)
