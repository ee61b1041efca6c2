"""The few numbers and small arrays that the bounds need, read off an update once."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.dynamics.update import Update
from rmtstab.theory.coherence_bounds import CoherenceBound, HeavySample, weighted_axes
from rmtstab.theory.mean import critical_alpha
from rmtstab.theory.noise import weighted_sets
from rmtstab.theory.rayleigh import RayleighBound, critical_steps
from rmtstab.theory.sufficient import OneStepBound

T = TypeVar("T")
Map = Callable[[FloatArray], FloatArray]
SMALL = 96  # side up to which a dense eigen-solver beats Lanczos for one eigenvalue
POLISHED = 4  # directions that are power-iterated
SWEEPS = 20


class View:
    """An update in D's eigenbasis, restricted to the range on which it is judged.

    Attributes
    ----------
    update : Update
    eta : float
        Its step size.
    mu : ndarray, shape (r,)
        Eigenvalues of D, weight decay added.
    sizes : (int, int)
    rows : ndarray, shape (N, r)
        Factors, one row per column of Z.
    offsets : ndarray, shape (n + 1,)
        First row of each sample.
    widths : ndarray, shape (n,)
        Rows of each sample.
    means : pair of ndarray, shape (r, r)
        H_R, H_F.
    rank_one : bool
        Whether every sample has one row.
    step : dict
        Arguments of the closed forms: batch sizes, mixing, sampling.
    """

    def __init__(self, update: Update) -> None:
        basis, r = update.basis, update.basis.n_active
        self.update, self.eta = update, update.step_size
        self.mu = update.mean_eigenvalues + update.weight_decay
        self.sizes = update.sizes
        self.rows = np.ascontiguousarray(basis.rows[:, :r])
        self.offsets = update.curvatures.factors.offsets
        self.widths = np.diff(self.offsets)
        self.means = (basis.retain[:r, :r], basis.forget[:r, :r])
        self.rank_one = bool((self.widths == 1).all())
        self.step: dict[str, Any] = {
            "batch_size": update.batch_size,
            "alpha": update.alpha,
            "sampling": update.sampling,
        }
        self._known: dict[Callable[[View], Any], Any] = {}

    def once(self, question: Callable[[View], T]) -> T:
        """Answer of a function of the view, which is asked once: bounds build on each other.

        Parameters
        ----------
        question : callable
            Of the view.

        Returns
        -------
        object
            What the callable returned the first time.
        """
        if question not in self._known:
            self._known[question] = question(self)
        answer: T = self._known[question]
        return answer

    @cached_property
    def phi(self) -> Map:
        """Φ on symmetric matrices, (r, r) → (r, r)."""
        return self.update.second_moment().symmetric

    @cached_property
    def weighted(self) -> list[tuple[int, float, float, float, int]]:
        """``(set, a, c, e, n)`` of the sets with weight."""
        return weighted_sets(
            self.update.alpha, self.sizes, self.update.batch_size, self.update.sampling
        )

    def members(self, index: int) -> slice:
        """Samples of one set.

        Parameters
        ----------
        index : int
            0 retain, 1 forget.

        Returns
        -------
        slice
        """
        split = self.sizes[0]
        return slice(0, split) if index == 0 else slice(split, sum(self.sizes))

    def columns(self, index: int) -> slice:
        """Factor rows of one set.

        Parameters
        ----------
        index : int
            0 retain, 1 forget.

        Returns
        -------
        slice
        """
        members = self.members(index)
        return slice(int(self.offsets[members.start]), int(self.offsets[members.stop]))

    def sample_sums(self, values: FloatArray) -> FloatArray:
        """Sums over each sample's factor rows, along the last axis.

        Parameters
        ----------
        values : ndarray, shape (…, N)

        Returns
        -------
        ndarray, shape (…, n), float64
        """
        if self.rank_one:
            return values
        result: FloatArray = np.add.reduceat(values, self.offsets[:-1], axis=-1)
        return result

    # --- sharpness ---------------------------------------------------------------------------

    @cached_property
    def tops(self) -> tuple[FloatArray, FloatArray]:
        """``λ_max(H_i)`` and its unit eigenvector (zero where H_i = 0) of every sample."""
        if self.rank_one:
            values, vectors = np.einsum("ik,ik->i", self.rows, self.rows), self.rows
        else:
            found = [
                np.linalg.svd(part, full_matrices=False)[1:]
                for part in np.split(self.rows, self.offsets[1:-1])
            ]
            values = np.array([s[0] ** 2 for s, _ in found])
            vectors = np.array([v[0] for _, v in found])
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return values, np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)

    @cached_property
    def sharpness(self) -> tuple[float, float]:
        """``max_i λ_max(H_i)`` of each set."""
        tops = self.tops[0]
        retain, forget = (float(tops[self.members(s)].max(initial=0.0)) for s in (0, 1))
        return retain, forget

    @cached_property
    def set_sharpness(self) -> tuple[float, float]:
        """``λ_max(H_R)``, ``λ_max(H_F)``; of a set without weight only that it is at least ℓ/n."""
        weighted = {s for s, *_ in self.weighted}
        retain, forget = (
            max(_top(m) if s in weighted else 0.0, self.sharpness[s] / max(self.sizes[s], 1))
            for s, m in enumerate(self.means)
        )
        return retain, forget

    # --- lower bounds ------------------------------------------------------------------------

    @cached_property
    def direction(self) -> tuple[float, float, FloatArray]:
        """``(bound on ρ, critical step size, v)`` of the best directions.

        Tried: D's eigenvectors, each sample's top eigenvector, and the best of these
        power-iterated, ``v ← Φ(vvᵀ)v``. The step size is the least over all tried.
        """
        r, eta = len(self.mu), self.eta
        own = np.concatenate([self.tops[1][self.members(s)] for s, *_ in self.weighted])
        own = own[np.einsum("ik,ik->i", own, own) > 0.5]
        curvatures = self.sample_sums(np.square(self.rows).T)
        if len(own):
            along = self.sample_sums(np.square(own @ self.rows.T))
            curvatures = np.concatenate([curvatures, along])
        champion, top, critical = np.eye(1, r)[0], -math.inf, math.inf
        vectors = np.zeros((0, r))
        for sweep in range(SWEEPS + 1):
            drift, size, noise = self._direction_parts(curvatures)
            values = (1.0 - eta * drift) ** 2 + eta * eta * noise
            critical = min(
                critical, float(critical_steps(drift, size, noise).min(initial=math.inf))
            )
            if sweep == 0:
                best = np.argsort(values)[::-1][:POLISHED]
                vectors = np.array([np.eye(1, r, k)[0] if k < r else own[k - r] for k in best])
                values = values[best]
            k = int(np.argmax(values))
            if values[k] > top:
                champion, top = vectors[k], float(values[k])
            if sweep < SWEEPS:
                vectors = self._power(vectors)
                curvatures = self.sample_sums(np.square(vectors @ self.rows.T))
        return top, critical, champion

    def _direction_parts(self, h: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``(b, what cancels in b, c)`` of ``(1 − ηb)² + η²c`` for curvatures (k, n)."""
        drift = np.full(len(h), self.update.weight_decay)
        size = drift.copy()
        noise = np.zeros(len(h))
        for s, a, c, e, _ in self.weighted:
            part = h[:, self.members(s)]
            mean = part.mean(axis=1)
            drift += (a if s == 0 else -a) * mean
            size += a * mean
            centred = part - mean[:, None] if e else part
            noise += a * a * c * np.einsum("ki,ki->k", centred, centred)
        return drift, size, noise

    def _power(self, v: FloatArray) -> FloatArray:
        """Rows ``Φ(vvᵀ)v``, normalised."""
        eta = self.eta
        along = v @ self.rows.T
        h = self.sample_sums(along * along)
        jv = v * (1.0 - eta * self.mu)
        out = jv * np.einsum("kp,kp->k", v, jv)[:, None]
        weights = np.zeros_like(h)
        for s, a, c, e, _ in self.weighted:
            part = h[:, self.members(s)]
            # the set's mean term is one more combination of the same samples
            weights[:, self.members(s)] = (
                (eta * a) ** 2 * c * (part - part.mean(axis=1, keepdims=True) if e else part)
            )
        out += (np.repeat(weights, self.widths, axis=1) * along) @ self.rows
        size = np.abs(out).max(axis=1, keepdims=True)  # of a large step: its square overflows
        np.divide(out, size, out=out, where=size > 0.0)
        norms = np.linalg.norm(out, axis=1, keepdims=True)
        result: FloatArray = np.divide(out, norms, out=v.copy(), where=norms > 0.0)
        return result

    @cached_property
    def trace(self) -> RayleighBound:
        """Rayleigh quotient at the range's projector."""
        retain, forget = self.means
        squares = [self._sum_of_squares(s) for s in (0, 1)]
        return RayleighBound.trace(
            len(self.mu),
            (float(np.trace(retain)), float(np.trace(forget))),
            (
                float(np.vdot(retain, retain)),
                float(np.vdot(retain, forget)),
                float(np.vdot(forget, forget)),
            ),
            (squares[0], squares[1]),
            self.sizes,
        )

    def _sum_of_squares(self, index: int) -> float:
        """``Σ_i tr H_i²``."""
        rows = self.rows[self.columns(index)]
        if self.rank_one:
            return float(np.sum(np.einsum("ik,ik->i", rows, rows) ** 2))
        parts = np.split(rows, np.cumsum(self.widths[self.members(index)])[:-1])
        return float(sum(np.sum((part @ part.T) ** 2) for part in parts))

    @cached_property
    def heavy_sample(self) -> HeavySample:
        """One heavy sample."""
        return HeavySample(self.sizes, self.sharpness, self.set_sharpness)

    def coherence(self) -> tuple[CoherenceBound, CoherenceBound] | None:
        """Coherence bounds with σ_u(α) itself and from the three axes; None without curvature."""
        alpha = self.update.alpha
        if max(a * self.sharpness[s] for s, a, *_ in self.weighted) == 0.0:
            return None
        mean = _top((1.0 - alpha) * self.means[0] + alpha * self.means[1])
        found = self.update.curvatures.coherence(alpha)
        retain, forget = (0.0 if math.isnan(v) else v for v in (found.retain, found.forget))
        heaviest = [0.0, 0.0]
        for s, a, *_ in self.weighted:
            heaviest[s] = a * self.sharpness[s] / self.sizes[s]
        ratio = heaviest[1] / heaviest[0] if heaviest[0] > 0.0 else math.inf
        sigma = weighted_axes(retain, forget, found.cross, ratio)
        outputs = int(self.widths.max())
        return (
            CoherenceBound(self.sizes, mean, found.unlearning, outputs),
            CoherenceBound(self.sizes, mean, sigma, outputs),
        )

    @cached_property
    def forget_ratio(self) -> float:
        """``b = λ_max(H_F, H_R)``, rounded up; ``inf`` where retain misses a direction."""
        if self.update.alpha == 0.0:
            return math.inf  # not needed
        edge = critical_alpha(*self.means)
        return (1.0 / edge - 1.0) * (1.0 + 1e-8) if edge > 0.0 else math.inf

    # --- upper bounds ------------------------------------------------------------------------

    @cached_property
    def one_step(self) -> OneStepBound:
        """The one-step bound: ``Σ H_i²`` of each set."""
        squares = []
        for s in (0, 1):
            rows = self.rows[self.columns(s)]
            if self.rank_one:
                turned = np.einsum("ik,ik->i", rows, rows)[:, None] * rows
            else:
                parts = np.split(rows, np.cumsum(self.widths[self.members(s)])[:-1])
                turned = np.concatenate([part @ part.T @ part for part in parts])
            squares.append(rows.T @ turned)
        return OneStepBound(self.sizes, *self.means, squares[0], squares[1])

    def sharpness_weighted(self) -> FloatArray:
        """``Σ_s a_s² c_s Σ_i λ_max(H_i) H_i``."""
        weights = np.zeros(len(self.widths))
        for s, a, c, *_ in self.weighted:
            weights[self.members(s)] = a * a * c * self.tops[0][self.members(s)]
        result: FloatArray = (self.rows.T * np.repeat(weights, self.widths)) @ self.rows
        return result

    # --- reduced -----------------------------------------------------------------------------

    @cached_property
    def sources(self) -> FloatArray:
        """``F_s = η a_s n_s √(c_s/N_s) H_s`` of each weighted set, shape (k, r, r)."""
        return np.array(
            [
                self.eta * a * n * math.sqrt(c / self.widths[self.members(s)].sum())
                * self.means[s]
                for s, a, c, _, n in self.weighted
            ]
        )  # fmt: skip

    @cached_property
    def mean_products(self) -> FloatArray:
        """``j_p j_q``."""
        j = self.update.mean_multipliers
        result: FloatArray = np.outer(j, j)
        return result


def _top(matrix: FloatArray) -> float:
    """Largest eigenvalue of a positive semidefinite matrix."""
    n = len(matrix)
    scale = float(np.abs(matrix).max(initial=0.0))
    if scale == 0.0:
        return 0.0
    if n <= SMALL:
        return max(float(np.linalg.eigvalsh(matrix)[-1]), 0.0)
    from scipy.sparse.linalg import eigsh

    # a generic start: any structured one may miss the top eigenvector
    start = np.random.default_rng(0).standard_normal(n)
    found = eigsh(matrix / scale, k=1, which="LA", v0=start, tol=1e-10, return_eigenvectors=False)
    return scale * max(float(found[0]), 0.0)
