r"""Upper bounds from one positive definite matrix: Collatz–Wielandt.

If ``X ≻ 0`` then ``ρ ≤ λ_max(Φ(X), X)``: with ``Φ(X) ⪯ λX`` and the top eigenmatrix
``M₁ ⪰ 0``, ``ρ⟨M₁, X⟩ = ⟨M₁, Φ(X)⟩ ≤ λ⟨M₁, X⟩``. Whatever made X, the quotient is a
bound; the two makers here spend a fixed number of applications of Φ.
"""

from __future__ import annotations

import math

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.bounds.row import DERIVED, Pair, Row, step_free
from rmtstab.bounds.subspace import Span, corrected
from rmtstab.bounds.view import View
from rmtstab.dynamics.certificate import EPS
from rmtstab.theory.matrix_tops import top_value

SHIFTS = (3e-4, 3e-3, 3e-2)  # relative distance of the resolvent's level from the lower bound
STEPS = 4  # preconditioned conjugate-gradient steps
LIFTS = (1e-5, 1e-3)


def quotient(x: FloatArray, image: FloatArray, rounding: float) -> float:
    """``λ_max(Φ(X), X)`` with a margin for rounding; ``inf`` where X is not positive definite.

    Parameters
    ----------
    x, image : ndarray, shape (r, r)
        X and Φ(X), symmetric.
    rounding : float
        Error of Φ(X) relative to ‖X‖, from what cancels in Φ.

    Returns
    -------
    float
    """
    values = np.linalg.eigvalsh(x)
    if not values[0] > 8.0 * EPS * math.sqrt(len(x)) * values[-1]:
        return math.inf
    top = top_value(image, x)
    # rounding of Φ(X) and of the factorisation, seen through X^{-1/2}
    error = abs(top) * 4.0 * EPS * math.sqrt(len(x)) + rounding
    return top + error * float(values[-1] / values[0])


def collatz_wielandt(view: View) -> Pair:
    """Collatz–Wielandt at ``Φ²(|X|) + εP``, X the span's Ritz matrix: three applications.

    ``|X|`` has at least X's Rayleigh quotient, Φ being positive, and no negative part: where
    the top eigenvalue is multiple, X may have one.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float)
        Bound on ρ, ``inf`` without a certificate; NaN, as it has no critical step size.
    """
    _, span = view.once(corrected)
    values, vectors = np.linalg.eigh(span.top()[1])
    x = np.ascontiguousarray((vectors * np.abs(values)) @ vectors.T)
    phi = span.psi
    image = phi(x)
    for _ in range(2):
        size = float(np.abs(image).max())  # of a large step: its square overflows
        if size == 0.0:
            break
        x, image = image / size, phi(image / size)
    # the span's first member is P/√r
    eye, flat = span.members[0], span.images[0]
    size = float(np.linalg.norm(x)) * math.sqrt(len(x))
    rounding = view.update.rounding
    found = [quotient(x + e * size * eye, image + e * size * flat, rounding) for e in LIFTS]
    return step_free(min(found))


def resolvent(view: View) -> Pair:
    r"""Collatz–Wielandt at an approximate solution of ``(λ − Φ)X = P``, ``λ = (1 + δ)·lower``.

    ``lower`` is the largest lower bound. The exact solution is positive definite iff ``ρ < λ``
    and has ``Φ(X) ≺ λX``. It is started from the span's Galerkin solution and improved by
    `STEPS` conjugate-gradient steps preconditioned by ``1/(λ − j_p j_q)``: `STEPS` + 1
    applications. The next wider δ of `SHIFTS` is tried only where none came out positive
    definite.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float)
        Bound on ρ, ``inf`` without a certificate; NaN, as it has no critical step size.
    """
    lower, span = view.once(corrected)
    for shift in SHIFTS:
        found = _resolvent(view, span, lower, shift)
        if math.isfinite(found):
            return step_free(found)
    return step_free(math.inf)


def _resolvent(view: View, span: Span, lower: float, shift: float) -> float:
    phi, products = view.phi, view.mean_products
    eye = np.eye(len(products))
    level = max(lower, float(products.diagonal().max())) * (1.0 + shift)
    if not level > 0.0:
        return quotient(
            np.eye(len(products)), phi(np.eye(len(products))), view.update.rounding
        )  # ρ = 0
    eye = np.eye(len(products))
    x, image = span.solve(level, eye)
    residual = eye - level * x + image
    scale = 1.0 / (level - products)
    z = scale * residual
    direction, inner = z, float(np.vdot(residual, z))
    for _ in range(STEPS):
        if inner <= 0.0:
            break
        moved = level * direction - phi(np.ascontiguousarray(direction))
        curvature = float(np.vdot(direction, moved))
        if curvature <= 0.0:  # the level is below ρ
            break
        length = inner / curvature
        x = x + length * direction
        residual = residual - length * moved
        z = scale * residual
        previous, inner = inner, float(np.vdot(residual, z))
        direction = z + (inner / previous) * direction
    x = np.ascontiguousarray(0.5 * (x + x.T))
    return quotient(x, phi(x), view.update.rounding)


ROWS = (
    Row("Collatz-Wielandt", "sufficient", "applications", DERIVED, collatz_wielandt),
    Row("resolvent", "sufficient", "applications", DERIVED, resolvent),
)
