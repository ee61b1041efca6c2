r"""Largest eigenvalue of a self-adjoint positive map on symmetric matrices, certified.

The map ``Ψ`` leaves the positive cone invariant, so its top eigenvalue has a
positive semi-definite eigenmatrix ``M₁``, and ``⟨P, M₁⟩ > 0`` for every start
``P ≻ 0``: Lanczos from P cannot miss it. The same Krylov space gives the
certificate: if ``(λ − Ψ)X = R`` with ``X ≻ 0`` and ``R ≻ 0``, then
``Ψ(X) ≺ λX`` and therefore ``ρ(Ψ) < λ`` (docs/theory/growth).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.dynamics.certificate import EPS, TINY, Enclosure, is_certificate
from rmtstab.kernels.symmetric import pack, unpack

Map = Callable[[FloatArray], FloatArray]
Weights = Callable[[float], tuple[FloatArray, FloatArray]]
BASIS_BYTES = 4e9  # memory given to the Lanczos basis: 62 packed vectors at r = 4000
PIECE = 1 << 15  # columns of the basis taken at a time: BLAS is slow on few long rows
LARGE = 400  # side above which a step costs more than looking whether it was the last


def leading(
    psi: Map,
    start: FloatArray,
    *,
    tolerance: float = 1e-10,
    max_applications: int = 600,
    certify: bool = True,
    finest: float = 1e-10,
    weights: Weights | None = None,
) -> Enclosure:
    """Find and certify the top eigenvalue of a positive self-adjoint map.

    Parameters
    ----------
    psi : callable
        (r, r) → (r, r) on symmetric matrices, self-adjoint in the trace inner product,
        positive up to a congruent elementwise scaling. It may write into what it returns,
        not into its argument.
    start : ndarray, shape (r,)
        Diagonal of a positive definite matrix.
    tolerance : float
        Residual, relative to the eigenvalue, at which to stop.
    max_applications : int
    certify : bool
        Whether to look for an upper end.
    finest : float
        Smallest relative width of the certificate that is tried.
    weights : callable, optional
        ``λ ↦ (T₁, T₂)``: elementwise weights under which the map is positive, so
        that the certificate asks for ``T₁ ∘ X ≻ 0`` and ``T₂ ∘ (λX − Ψ(X)) ≻ 0``.

    Returns
    -------
    Enclosure
    """
    krylov = Krylov.in_memory(psi, np.diag(start), 120)
    check = 1 if len(start) > LARGE else 4
    while True:
        steps = min(check, max_applications - krylov.applications)
        exhausted = krylov.extend(max(steps, 1))
        value, residual = krylov.top()
        done = residual <= tolerance * max(abs(value), EPS)
        if done or exhausted or krylov.applications >= max_applications:
            break
    upper, extra = np.inf, 0
    if certify:
        upper, extra = _certificate(krylov, psi, start, value, residual, finest, weights)
    return Enclosure(value, upper, residual, krylov.ritz_matrix(), krylov.applications + extra)


class Krylov:
    """Thick-restart Lanczos with full orthogonalisation, on packed symmetric matrices.

    Memory: ``width + 1`` vectors of r(r+1)/2 numbers, and three matrices of r² at a time.
    """

    def __init__(self, psi: Map, start: FloatArray, width: int) -> None:
        self.psi = psi
        self.side = len(start)
        self.dimension = self.side * (self.side + 1) // 2
        self.basis = np.empty((width + 1, self.dimension))
        self.projected = np.zeros((width, width))
        self.size = 0
        self.applications = 0
        self.beta = 0.0
        self.restarted = False
        self._known: tuple[FloatArray, FloatArray] | None = None  # Ritz pairs
        self.basis[0] = self._pack(start / np.linalg.norm(start))

    @classmethod
    def in_memory(cls, psi: Map, start: FloatArray, widest: int) -> Krylov:
        """Return the start of a space of so many steps, or of as many as `BASIS_BYTES` holds."""
        dimension = len(start) * (len(start) + 1) // 2
        return cls(psi, start, int(min(dimension, widest, max(12, BASIS_BYTES / 8.0 / dimension))))

    def extend(self, steps: int) -> bool:
        """Take Lanczos steps; True when the Krylov space is exhausted."""
        for _ in range(steps):
            if self.size == len(self.projected):
                if self.size == self.dimension:
                    return True
                self._restart()
            k, self._known = self.size, None
            image = self._pack(self.psi(self._unpack(self.basis[k])))
            self.applications += 1
            scale = math.sqrt(image @ image)  # of few numbers linalg.norm costs more than a step
            overlaps = np.zeros(k + 1)
            # the three-term recurrence first: one pass over the whole basis is then enough
            self._orthogonalise(image, slice(max(0, k - 1), k + 1), overlaps)
            before = math.sqrt(image @ image)
            self._orthogonalise(image, slice(0, k + 1), overlaps)
            self.beta = math.sqrt(image @ image)
            if self.beta < 0.7 * before:  # it removed more than rounding, as after a restart
                self._orthogonalise(image, slice(0, k + 1), overlaps)
                self.beta = math.sqrt(image @ image)
            self.projected[k, : k + 1] = overlaps
            self.projected[: k + 1, k] = overlaps
            self.size = k + 1
            if self.beta <= 4.0 * EPS * max(scale, EPS):
                self.beta = 0.0
                return True
            np.divide(image, self.beta, out=self.basis[k + 1])
        return False

    def _orthogonalise(self, image: FloatArray, part: slice, overlaps: FloatArray) -> None:
        known = self.basis[part]
        found = known @ image
        if image.size <= PIECE:
            image -= found @ known
        else:
            _subtract(found, known, image)
        overlaps[part] += found

    def _pack(self, matrix: FloatArray) -> FloatArray:
        vector = np.empty(self.dimension)
        pack(matrix, vector)
        return vector

    def _unpack(self, vector: FloatArray) -> FloatArray:
        matrix = np.empty((self.side, self.side))
        unpack(vector, matrix)
        return matrix

    def _combine(self, coefficients: FloatArray) -> FloatArray:
        """Matrix of a combination of the basis."""
        vector = np.zeros(self.dimension)
        _subtract(-coefficients, self.basis[: len(coefficients)], vector)
        return self._unpack(vector)

    def _pairs(self) -> tuple[FloatArray, FloatArray]:
        if self._known is None:
            values, vectors = np.linalg.eigh(self.projected[: self.size, : self.size])
            self._known = values, vectors
        return self._known

    def top(self) -> tuple[float, float]:
        """Top Ritz value and its residual."""
        values, vectors = self._pairs()
        return float(values[-1]), float(self.beta * abs(vectors[-1, -1]))

    def quadrature(self) -> tuple[FloatArray, FloatArray]:
        """Nodes and weights of ``⟨P, f(Ψ)P⟩/‖P‖²``, P the start; before any restart."""
        values, vectors = self._pairs()
        return values, vectors[0] ** 2

    def jacobi(self) -> tuple[FloatArray, FloatArray]:
        """Diagonal and subdiagonal of the projected map, β last; before any restart."""
        m = self.size
        part = self.projected[:m, :m]
        last = 0.0 if m == self.dimension else self.beta
        return part.diagonal().copy(), np.append(part.diagonal(-1), last)

    def first_image(self) -> FloatArray:
        """``Ψ(P)/‖P‖`` of the start P, after the first step."""
        along = self.projected[0, :1]
        return self._combine(np.append(along, self.beta) if self.beta else along)

    def ritz_matrix(self) -> FloatArray:
        """Symmetric top Ritz matrix with positive trace."""
        _, vectors = self._pairs()
        m = self._combine(np.ascontiguousarray(vectors[:, -1]))
        m /= np.linalg.norm(m)
        result: FloatArray = -m if np.trace(m) < 0.0 else m
        return result

    def solve(self, shift: float, right: FloatArray) -> FloatArray:
        """Galerkin solution of ``(shift − Ψ)X = diag(right)`` in the current space."""
        values, vectors = self._pairs()
        inner = self.basis[: self.size] @ self._pack(np.diag(right))
        return self._combine(vectors @ ((vectors.T @ inner) / (shift - values)))

    def predicted_residual(self, shift: float, norm: float) -> float:
        """Norm of the Galerkin residual when the space was grown from ``right``."""
        values, vectors = self._pairs()
        last = float((vectors[-1] * vectors[0]) @ (1.0 / (shift - values)))
        return self.beta * abs(last) * norm

    def _restart(self) -> None:
        keep = max(2, len(self.projected) // 3)
        values, vectors = self._pairs()
        turn = np.ascontiguousarray(vectors[:, -keep:].T)
        for first in range(0, self.dimension, PIECE):  # in place: no second basis
            piece = self.basis[: self.size, first : first + PIECE]
            piece[:keep] = turn @ piece
        self.basis[keep] = self.basis[self.size]
        self.projected[:] = 0.0
        self.projected[np.arange(keep), np.arange(keep)] = values[-keep:]
        self.size = keep
        self.restarted = True


def _subtract(coefficients: FloatArray, basis: FloatArray, vector: FloatArray) -> None:
    """``vector −= coefficientsᵀ basis`` in place, a piece at a time that stays in cache."""
    for first in range(0, len(vector), PIECE):
        vector[first : first + PIECE] -= coefficients @ basis[:, first : first + PIECE]


def _certificate(
    krylov: Krylov,
    psi: Map,
    right: FloatArray,
    value: float,
    residual: float,
    finest: float,
    weights: Weights | None,
) -> tuple[float, int]:
    """Smallest certified upper end, and the applications spent."""
    spent = 0
    norm, floor = float(np.linalg.norm(right)), float(right.min())
    value = max(value, TINY)
    cheap = not krylov.restarted
    delta = finest
    if not cheap:
        delta = max(finest, 8.0 * norm / floor * residual / value)
    while delta <= 10.0:
        shift = value * (1.0 + delta)
        if cheap and krylov.predicted_residual(shift, norm) > 0.25 * floor and delta < 1e-2:
            delta *= 2.0
            continue
        x = krylov.solve(shift, right)
        x, r, used = _polish(psi, shift, right, x, 0.25 * floor, 0 if cheap else 25)
        spent += used
        if weights is not None:
            first, second = weights(shift)
            x, r = first * x, second * r
        if is_certificate(x, r, shift):
            return float(shift), spent
        delta *= 10.0
    return np.inf, spent


def _polish(
    psi: Map, shift: float, right: FloatArray, x: FloatArray, goal: float, limit: int
) -> tuple[FloatArray, FloatArray, int]:
    """Conjugate gradients from x until the residual's norm is below ``goal``.

    Returns the iterate and its ``shift·X − Ψ(X)``, computed afresh.
    """
    image = _shifted(psi, shift, x)
    used = 1
    if limit == 0:
        return x, image, used
    residual = -image
    residual.flat[:: len(right) + 1] += right
    square = float(np.vdot(residual, residual))
    direction = residual.copy()
    for _ in range(limit):
        moved = _shifted(psi, shift, direction)
        used += 1
        curvature = float(np.vdot(direction, moved))
        if curvature <= 0.0:
            break
        length = square / curvature
        x += length * direction
        moved *= length
        residual -= moved
        previous, square = square, float(np.vdot(residual, residual))
        if square <= goal * goal:
            break
        direction *= square / previous
        direction += residual
    return x, _shifted(psi, shift, x), used + 1


def _shifted(psi: Map, shift: float, x: FloatArray) -> FloatArray:
    """``shift·X − Ψ(X)``."""
    image = psi(x)
    np.negative(image, out=image)
    image += shift * x
    return image
