r"""Largest eigenvalue of a self-adjoint positive map on symmetric matrices, certified.

The map ``Ψ`` leaves the positive cone invariant, so its top eigenvalue has a
positive semi-definite eigenmatrix ``M₁``, and ``⟨P, M₁⟩ > 0`` for every start
``P ≻ 0``: Lanczos from P cannot miss it. The same Krylov space gives the
certificate: if ``(λ − Ψ)X = R`` with ``X ≻ 0`` and ``R ≻ 0``, then
``Ψ(X) ≺ λX`` and therefore ``ρ(Ψ) < λ`` (docs/theory/growth).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rmtstab._results import FloatArray

Map = Callable[[FloatArray], FloatArray]
Frames = Callable[[float], tuple[FloatArray, FloatArray]]
EPS = float(np.finfo(np.float64).eps)
BASIS_BYTES = 2e9  # memory given to the Lanczos basis


@dataclass(frozen=True)
class Leading:
    """Top eigenpair with its certificate: the eigenvalue lies in ``[value, upper]``.

    Attributes
    ----------
    value : float
        Rayleigh quotient.
    residual : float
        ‖Ψ(M) − value·M‖ for the normalised M.
    upper : float
        Certified upper end; ``inf`` without a certificate.
    matrix : ndarray, shape (r, r)
        M₁, ‖M₁‖_F = 1, positive trace.
    witness : ndarray, shape (r, r), or None
        The X ≻ 0 of the certificate.
    applications : int
    """

    value: float
    residual: float
    upper: float
    matrix: FloatArray
    witness: FloatArray | None
    applications: int


def leading(
    psi: Map,
    start: FloatArray,
    *,
    tolerance: float = 1e-10,
    max_applications: int = 600,
    certify: bool = True,
    finest: float = 1e-10,
    frames: Frames | None = None,
) -> Leading:
    """Find and certify the top eigenvalue of a positive self-adjoint map.

    Parameters
    ----------
    psi : callable
        (r, r) → (r, r), self-adjoint in the trace inner product, positive up to a
        congruent elementwise scaling.
    start : ndarray, shape (r, r)
        Positive definite.
    tolerance : float
        Residual, relative to the eigenvalue, at which to stop.
    max_applications : int
    certify : bool
        Whether to look for an upper end.
    finest : float
        Smallest relative width of the certificate that is tried.
    frames : callable, optional
        ``λ ↦ (T₁, T₂)``: elementwise weights under which the map is positive, so
        that the certificate asks for ``T₁ ∘ X ≻ 0`` and ``T₂ ∘ (λX − Ψ(X)) ≻ 0``.

    Returns
    -------
    Leading
    """
    r = start.shape[0]
    dimension = r * (r + 1) // 2
    width = int(min(dimension, 120, max(12, BASIS_BYTES / (8.0 * r * r))))
    krylov = _Krylov(psi, start, width)
    check = 4
    while True:
        steps = min(check, max_applications - krylov.applications)
        exhausted = krylov.extend(max(steps, 1))
        value, residual = krylov.top()
        done = residual <= tolerance * max(abs(value), EPS)
        if done or exhausted or krylov.applications >= max_applications:
            break
        check = 4
    matrix = krylov.ritz_matrix()
    upper, witness, extra = np.inf, None, 0
    if certify:
        upper, witness, extra = _certificate(krylov, psi, start, value, residual, finest, frames)
    return Leading(value, residual, upper, matrix, witness, krylov.applications + extra)


class _Krylov:
    """Thick-restart Lanczos with full orthogonalisation, in the trace inner product."""

    def __init__(self, psi: Map, start: FloatArray, width: int) -> None:
        self.psi = psi
        self.shape = start.shape
        self.basis = np.empty((width + 1, start.size))
        self.projected = np.zeros((width, width))
        self.size = 0
        self.applications = 0
        self.beta = 0.0
        self.restarted = False
        self.basis[0] = start.ravel() / np.linalg.norm(start)

    def extend(self, steps: int) -> bool:
        """Take Lanczos steps; True when the Krylov space is exhausted."""
        for _ in range(steps):
            if self.size == len(self.projected):
                if self.size == self.shape[0] * (self.shape[0] + 1) // 2:
                    return True
                self._restart()
            k = self.size
            image = self.psi(self.basis[k].reshape(self.shape)).ravel()
            self.applications += 1
            scale = float(np.linalg.norm(image))
            known = self.basis[: k + 1]
            overlaps = known @ image
            image -= overlaps @ known
            again = known @ image
            image -= again @ known
            overlaps += again
            self.projected[k, : k + 1] = overlaps
            self.projected[: k + 1, k] = overlaps
            self.size = k + 1
            self.beta = float(np.linalg.norm(image))
            if self.beta <= 4.0 * EPS * max(scale, EPS):
                self.beta = 0.0
                return True
            self.basis[k + 1] = image / self.beta
        return False

    def _pairs(self) -> tuple[FloatArray, FloatArray]:
        values, vectors = np.linalg.eigh(self.projected[: self.size, : self.size])
        return values, vectors

    def top(self) -> tuple[float, float]:
        """Top Ritz value and its residual."""
        values, vectors = self._pairs()
        return float(values[-1]), float(self.beta * abs(vectors[-1, -1]))

    def ritz_matrix(self) -> FloatArray:
        """Symmetric top Ritz matrix with positive trace."""
        _, vectors = self._pairs()
        m = (vectors[:, -1] @ self.basis[: self.size]).reshape(self.shape)
        m = 0.5 * (m + m.T)
        m /= np.linalg.norm(m)
        result: FloatArray = -m if np.trace(m) < 0.0 else m
        return result

    def solve(self, shift: float, right: FloatArray) -> FloatArray:
        """Galerkin solution of ``(shift − Ψ)X = right`` in the current space."""
        known = self.basis[: self.size]
        values, vectors = self._pairs()
        coefficients = vectors @ ((vectors.T @ (known @ right.ravel())) / (shift - values))
        return (coefficients @ known).reshape(self.shape)

    def predicted_residual(self, shift: float, norm: float) -> float:
        """Norm of the Galerkin residual when the space was grown from ``right``."""
        values, vectors = self._pairs()
        last = float((vectors[-1] * vectors[0]) @ (1.0 / (shift - values)))
        return self.beta * abs(last) * norm

    def _restart(self) -> None:
        keep = max(2, len(self.projected) // 3)
        values, vectors = self._pairs()
        self.basis[:keep] = vectors[:, -keep:].T @ self.basis[: self.size]
        self.basis[keep] = self.basis[self.size]
        self.projected[:] = 0.0
        self.projected[np.arange(keep), np.arange(keep)] = values[-keep:]
        self.size = keep
        self.restarted = True


def _certificate(
    krylov: _Krylov,
    psi: Map,
    right: FloatArray,
    value: float,
    residual: float,
    finest: float,
    frames: Frames | None,
) -> tuple[float, FloatArray | None, int]:
    """Smallest certified upper end, its witness, and the applications spent."""
    spent = 0
    floor = float(np.linalg.eigvalsh(right)[0])
    norm = float(np.linalg.norm(right))
    if value <= 0.0:
        value = max(value, np.finfo(float).tiny)
    need = 8.0 * norm / floor * residual / value
    delta = max(finest, 10.0 ** np.ceil(np.log10(max(need, 1e-300))))
    while delta <= 10.0:
        shift = value * (1.0 + delta)
        cheap = not krylov.restarted
        if cheap and krylov.predicted_residual(shift, norm) > 0.25 * floor and delta < 1e-2:
            delta *= 10.0
            continue
        x = krylov.solve(shift, right)
        x, r, used = _polish(psi, shift, right, x, 0.25 * floor, 0 if cheap else 25)
        spent += used
        framed = (x, r)
        if frames is not None:
            first, second = frames(shift)
            framed = (first * x, second * r)
        if _is_certificate(*framed, shift):
            return float(shift), x, spent
        delta *= 10.0
    return np.inf, None, spent


def _polish(
    psi: Map, shift: float, right: FloatArray, x: FloatArray, goal: float, limit: int
) -> tuple[FloatArray, FloatArray, int]:
    """Conjugate gradients from x until the residual's norm is below ``goal``.

    Returns the symmetric iterate and its ``shift·X − Ψ(X)``, computed afresh.
    """
    x = 0.5 * (x + x.T)
    image = shift * x - psi(x)
    used = 1
    residual = right - image
    square = float(np.vdot(residual, residual))
    direction = residual.copy()
    steps = 0
    while square > goal * goal and steps < limit:
        moved = shift * direction - psi(direction)
        used += 1
        steps += 1
        curvature = float(np.vdot(direction, moved))
        if curvature <= 0.0:
            break
        length = square / curvature
        x = x + length * direction
        residual = residual - length * moved
        previous, square = square, float(np.vdot(residual, residual))
        direction = residual + (square / previous) * direction
    if steps:
        x = 0.5 * (x + x.T)
        image = shift * x - psi(x)
        used += 1
    return x, 0.5 * (image + image.T), used


def _is_certificate(x: FloatArray, image: FloatArray, shift: float) -> bool:
    """Whether ``X ≻ 0`` and ``shift·X − Ψ(X) ≻ 0``, beyond rounding."""
    r = len(x)
    size = float(np.linalg.norm(x))
    margin = 8.0 * EPS * np.sqrt(r) * size
    return _positive(x, margin) and _positive(image, 2.0 * margin * shift)


def _positive(m: FloatArray, margin: float) -> bool:
    if not np.isfinite(m).all():
        return False
    shifted = m.copy()
    shifted.flat[:: len(m) + 1] -= margin
    try:
        np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:
        return False
    return True
