r"""Lower bounds from a few trial matrices: Rayleigh–Ritz on fixed subspaces.

Φ is self-adjoint, so the top eigenvalue of its compression to any span of matrices is
a lower bound on ρ. The spans below are given by formulas; the number of applications
of Φ is fixed in advance and nothing is iterated to convergence. With ``N = Φ − J⊗J``
the noise map, ρ's eigenmatrix is the fixed point ``X = R_ρ∘N(X)``,
``R_λ = 1/(λ − j_p j_q)``: from a good X one step of it is nearly the answer.
"""

from __future__ import annotations

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.bounds import closed_forms
from rmtstab.bounds.row import DERIVED, Pair, Row, step_free
from rmtstab.bounds.view import SMALL, Map, View
from rmtstab.theory import reduced

DEPENDENT = 1e-10  # a trial matrix this close to the span of the others adds nothing
CORRECTIONS = 4
MOST = 12  # members that a span may hold
DEPTH = 2  # terms of the inverse of λ − 𝒥' a source, where it is not elementwise


class Span:
    """Orthonormal trial matrices and their images under a self-adjoint map.

    Attributes
    ----------
    psi : callable
        The map, (r, r) → (r, r), on symmetric matrices.
    members, images : ndarray, shape (k, r, r)
    compressed : ndarray, shape (k, k)
        The map's matrix on the span.
    """

    def __init__(self, psi: Map, side: int) -> None:
        self.psi, self.side = psi, side
        self.size = 0
        self._members = np.empty((MOST, side * side))
        self._images = np.empty((MOST, side * side))
        self._compressed = np.zeros((MOST, MOST))

    @property
    def members(self) -> FloatArray:
        """Orthonormal members, shape (k, r, r)."""
        return self._members[: self.size].reshape(-1, self.side, self.side)

    @property
    def images(self) -> FloatArray:
        """Their images, shape (k, r, r)."""
        return self._images[: self.size].reshape(-1, self.side, self.side)

    @property
    def compressed(self) -> FloatArray:
        """Matrix of the map on the span, shape (k, k)."""
        return self._compressed[: self.size, : self.size]

    def add(self, x: FloatArray) -> None:
        """Add a symmetric matrix, one application; dropped if it is dependent or not finite.

        Parameters
        ----------
        x : ndarray, shape (r, r)
        """
        k = self.size
        known = self._members[:k]
        # rounding of the other symmetry would pass for a new direction
        v = (0.5 * (x + x.T)).ravel()
        for least in (DEPENDENT, 0.5):  # lost again in the second pass: it was only rounding
            size = float(np.linalg.norm(v))
            if not 0.0 < size < np.inf:
                return
            v /= size
            v -= (known @ v) @ known
            if float(np.linalg.norm(v)) < least:
                return
        self._members[k] = v / np.linalg.norm(v)
        self._images[k] = self.psi(self._members[k].reshape(self.side, self.side)).ravel()
        row = self._members[: k + 1] @ self._images[k]
        self._compressed[k, : k + 1] = self._compressed[: k + 1, k] = row
        self.size = k + 1

    def top(self) -> tuple[float, FloatArray, FloatArray]:
        """Top Ritz value, its matrix of positive trace, and that matrix's image."""
        values, vectors = np.linalg.eigh(self.compressed)
        x, image = self._combine(vectors[:, -1])
        sign = -1.0 if np.trace(x) < 0.0 else 1.0
        return float(values[-1]), sign * x, sign * image

    def solve(self, level: float, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Galerkin solution of ``(level − Ψ)X = right``, and ``Ψ(X)``.

        Parameters
        ----------
        level : float
        right : ndarray, shape (r, r)

        Returns
        -------
        x, image : ndarray, shape (r, r)
        """
        overlaps = self._members[: self.size] @ right.ravel()
        shifted = level * np.eye(self.size) - self.compressed
        weights = np.asarray(np.linalg.solve(shifted, overlaps), dtype=np.float64)
        return self._combine(weights)

    def _combine(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        x = weights @ self._members[: self.size]
        image = weights @ self._images[: self.size]
        return x.reshape(self.side, self.side), image.reshape(self.side, self.side)


# --- rows of the table of bounds --------------------------------------------------------------


def reduced_bound(view: View) -> Pair:
    """The reduced bound.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float)
        Bound on ρ; NaN, as it has no critical step size of its own.
    """
    return step_free(view.once(_reduced)[0])


def ritz_on_resolvents(view: View) -> Pair:
    """Ritz value of Φ on the matrices of the reduced bound.

    It dominates that bound: its top eigenmatrix Y lies in the span and
    ``⟨Y, Φ(Y)⟩ ≥ ⟨Y, Φ_red(Y)⟩``.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float)
        Bound on ρ; NaN, as it has no critical step size of its own.
    """
    span = Span(view.phi, len(view.mu))
    for x in view.once(_reduced)[1]:
        span.add(x)
    return step_free(span.top()[0])


def ritz_5(view: View) -> Pair:
    """Ritz value on ``span{P, X₀, vvᵀ, R∘N(X₀), R∘N(vvᵀ)}``: five applications.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float)
        Bound on ρ; NaN, as it has no critical step size of its own.
    """
    return step_free(view.once(_five)[0])


def corrected_ritz(view: View) -> Pair:
    """Ritz value after `CORRECTIONS` steps ``X ← R∘N(X)`` from there.

    Parameters
    ----------
    view : View

    Returns
    -------
    (float, float)
        Bound on ρ; NaN, as it has no critical step size of its own.
    """
    return step_free(view.once(corrected)[0])


# --- what they are made of ----------------------------------------------------------------------


def _floor(view: View) -> float:
    """Largest lower bound on ρ known before any application of Φ."""
    return max(view.once(closed_forms.largest), view.once(_reduced)[0])


def _five(view: View) -> tuple[float, Span]:
    """The span of `ritz_5`, and its top Ritz value.

    ``v`` is the best direction and ``X₀`` the diagonal Perron matrix of
    ``G_pq = Σ_s a_s² c_s Σ_i (H_i)_pp (H_i)_qq + j_p² δ_pq`` (for rank-one samples
    ``⟨E_pp, Φ(E_qq)⟩`` less its mean term).
    """
    span = Span(view.phi, len(view.mu))
    span.add(np.eye(len(view.mu)))
    v = view.direction[2]
    trials = [np.diag(_perron_diagonal(view)), np.outer(v, v)]
    level = _resolvent_level(view, _floor(view))
    for x in trials:
        size = span.size
        span.add(x)
        # the image of the orthogonalised member serves as well as that of x itself
        if span.size > size and level > 0.0:
            member, image = span.members[-1], span.images[-1]
            span.add((image - view.mean_products * member) / (level - view.mean_products))
    return span.top()[0], span


def corrected(view: View) -> tuple[float, Span]:
    """Largest lower bound on ρ after the corrections, and the span that they extend.

    Parameters
    ----------
    view : View

    Returns
    -------
    value : float
    span : Span
    """
    floor = _floor(view)
    _, span = view.once(_five)
    value, x, image = span.top()
    for _ in range(CORRECTIONS):
        level = _resolvent_level(view, max(value, floor))
        if level <= 0.0:
            break
        span.add((image - view.mean_products * x) / (level - view.mean_products))
        value, x, image = span.top()
    return max(value, floor), span


def _resolvent_level(view: View, floor: float) -> float:
    """Level of R: a lower bound on ρ, kept off the poles."""
    peak = float(view.mean_products.diagonal().max())
    return max(floor * (1.0 + 1e-9), peak * (1.0 + 1e-4))


def _perron_diagonal(view: View) -> FloatArray:
    """Perron vector of G; only a trial, so neither fixed-size terms nor cross terms matter."""
    from scipy.sparse.linalg import eigsh

    squares = np.square(view.rows)
    h = squares if view.rank_one else np.add.reduceat(squares, view.offsets[:-1], axis=0)
    weights = np.zeros(len(h))
    for s, a, c, *_ in view.weighted:
        weights[view.members(s)] = (view.eta * a) ** 2 * c
    g = (h.T * weights) @ h
    g.flat[:: len(g) + 1] += view.mean_products.diagonal()
    scale = float(g.max())
    if scale == 0.0:
        return np.ones(len(g))
    g /= scale
    if len(g) <= SMALL:
        vector = np.linalg.eigh(g)[1][:, -1]
    else:
        vector = eigsh(g, k=1, which="LA", v0=np.ones(len(g)), tol=1e-6)[1][:, 0]
    result: FloatArray = np.abs(vector)
    return result


def _reduced(view: View) -> tuple[float, list[FloatArray]]:
    """Reduced bound and the matrices ``(λ − 𝒥')^{-1}H_s`` at its root.

    For fixed-size batches of two sets 𝒥' is not elementwise: there the bound is taken
    from below, on a span of `DEPTH` terms of the inverse a source.
    """
    sources, w = view.sources, view.mean_products
    if len(view.weighted) == 1:  # H_s is diagonal in D's eigenbasis
        index, a, _, e, n = view.weighted[0]
        mu = view.means[index].diagonal()
        w = w - (view.eta * a) ** 2 * e * n * np.outer(mu, mu)
    elif view.update.scheme.fixed_size:
        return _reduced_from_below(view)
    value = reduced.growth(w, sources)
    level = max(value, float(w.max()) * (1.0 + 1e-4)) * (1.0 + 1e-12)
    trials = [f / (level - w) for f in sources] if level > 0.0 else []
    return max(value, 0.0), [_peak(view), *trials]


def _peak(view: View) -> FloatArray:
    """``E_pp`` of the largest mean multiplier: the eigenmatrix without noise."""
    result = np.zeros_like(view.mean_products)
    result.flat[int(np.argmax(view.mean_products.diagonal())) * (len(result) + 1)] = 1.0
    return result


def _reduced_from_below(view: View) -> tuple[float, list[FloatArray]]:
    sources, w = view.sources, view.mean_products
    eta = view.eta
    sets = [((eta * a) ** 2 * e * n, view.means[s]) for s, a, _, e, n in view.weighted]

    def drain(x: FloatArray) -> FloatArray:
        result = np.zeros_like(x)
        for kappa, h in sets:
            result += kappa * (h @ x @ h)
        return result

    def psi(x: FloatArray) -> FloatArray:
        result = w * x - drain(x)
        for f in sources:
            result += float(np.vdot(f, x)) * f
        return result

    level = _resolvent_level(view, view.once(closed_forms.largest))
    span = Span(psi, len(w))
    span.add(_peak(view))
    current = list(sources)
    for _ in range(DEPTH if level > 0.0 else 0):
        current = [x / (level - w) for x in current]
        for x in current:
            span.add(x)
        current = [drain(x) for x in current]
    value, x, _ = span.top()
    return max(value, 0.0), [_peak(view), x]


ROWS = (
    Row("reduced", "necessary", "eigenproblem", DERIVED, reduced_bound),
    Row("Ritz on resolvents", "necessary", "applications", DERIVED, ritz_on_resolvents),
    Row("Ritz-5", "necessary", "applications", DERIVED, ritz_5),
    Row("corrected Ritz", "necessary", "applications", DERIVED, corrected_ritz),
)
