r"""Growth factor from an n-vector eigenproblem: rank-one samples, Bernoulli batches.

The noise ``Σ c_i H_i M H_i`` has rank n as a map of matrices, so (Birman and
Schwinger) ``λ > max_p j_p²`` is ρ exactly when ``λ_max(T(λ)) = 1`` with

    T_ij(λ) = √(c_i c_j) ⟨h_i h_iᵀ, (λ − J⊗J)^{-1} h_j h_jᵀ⟩.

T is entrywise nonnegative and decreasing in λ. For a vector v,
``X = Σ_i √c_i v_i h_i h_iᵀ`` gives ``vᵀT(λ)v = Σ_pq X_pq²/(λ − j_p j_q)``, whose
crossing of ``‖v‖²`` is a lower bound on ρ; alternated with the eigenproblem it
converges quadratically. A vector ``x > 0`` with ``T(λ)x < x`` certifies ``ρ < λ``
(docs/theory/growth).
"""

from __future__ import annotations

import math

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.dynamics.certificate import Enclosure
from rmtstab.dynamics.update import Update

ROUNDS = 60


class SampleSpace:
    """``T(λ)`` as a matrix-free map of vectors over the noisy samples."""

    def __init__(self, update: Update) -> None:
        phi = update.second_moment()
        noise = update.judged_noise
        weights = phi.gain * noise.weights
        noisy = weights > 0.0
        self.rows = np.ascontiguousarray(noise.rows[noisy])
        self.root = np.sqrt(weights[noisy])
        self.products = phi.elementwise
        self.least = float(phi.elementwise.diagonal().max())

    @staticmethod
    def applies(update: Update) -> bool:
        """Whether every sample has rank one, and its noise nothing of the set's mean.

        Parameters
        ----------
        update : Update

        Returns
        -------
        bool
        """
        factors = update.curvatures.factors
        rank_one = factors.matrix.shape[1] == factors.n_samples
        return rank_one and not update.scheme.fixed_size and not update.momentum

    def source(self, v: FloatArray) -> FloatArray:
        """``Σ √c_i v_i h_i h_iᵀ``.

        Parameters
        ----------
        v : ndarray, shape (n,)

        Returns
        -------
        ndarray, shape (r, r), float64
        """
        result: FloatArray = self.rows.T @ ((self.root * v)[:, None] * self.rows)
        return result

    def __call__(self, level: float, v: FloatArray) -> FloatArray:
        """``T(level) v``."""
        x = self.source(v) / (level - self.products)
        result: FloatArray = self.root * np.einsum("ik,ik->i", self.rows @ x, self.rows)
        return result

    def crossing(self, v: FloatArray) -> float:
        """λ at which ``vᵀT(λ)v = ‖v‖²``: Newton on a decreasing convex function, from below.

        Parameters
        ----------
        v : ndarray, shape (n,)

        Returns
        -------
        float
        """
        squares = self.source(v) ** 2
        target = float(v @ v)
        # the largest term alone crosses first: a start from below
        ends = self.products + squares / target
        level = max(float(ends.max()), self.least * (1.0 + 1e-15))
        for _ in range(200):
            gap = level - self.products
            if gap.min() <= 0.0:
                return self.least
            terms = squares / gap
            excess = float(terms.sum()) - target
            step = excess / float((terms / gap).sum())
            if abs(step) <= 1e-15 * level:
                break
            level += step
        return level


def growth(update: Update) -> Enclosure:
    """Growth factor by the n-vector route.

    Parameters
    ----------
    update : Update
        One to which `SampleSpace.applies`.

    Returns
    -------
    Enclosure
    """
    space = SampleSpace(update)
    r, n = len(space.products), len(space.root)
    peak = int(np.argmax(space.products.diagonal()))
    mean_matrix = np.zeros((r, r))
    mean_matrix[peak, peak] = 1.0
    if n == 0:
        return Enclosure(space.least, space.least * (1.0 + 1e-14), 0.0, mean_matrix, 0)
    v, level, change, spent = np.ones(n), space.crossing(np.ones(n)), math.inf, 0
    for _ in range(ROUNDS):
        if level <= space.least * (1.0 + 1e-13):
            break
        v, used = _perron(space, level, v)
        spent += used
        updated = space.crossing(v)
        change, level = abs(updated - level), updated
        if change <= 1e-14 * level:
            break
    x = mean_matrix
    if level > space.least * (1.0 + 1e-13):
        x = space.source(v) / (level - space.products)
        x = 0.5 * (x + x.T) / np.linalg.norm(x)
    upper, used = _upper(space, level, v)
    return Enclosure(level, upper, change, x, spent + used)


def _perron(space: SampleSpace, level: float, start: FloatArray) -> tuple[FloatArray, int]:
    """Perron vector of T(level) by Lanczos from a positive start."""
    n = len(start)
    width = min(n, 60)
    basis = np.zeros((width + 1, n))
    projected = np.zeros((width, width))
    basis[0] = start / np.linalg.norm(start)
    vectors = np.ones((1, 1))
    k = 0
    for k in range(width):
        image = space(level, basis[k])
        known = basis[: k + 1]
        overlaps = known @ image
        image -= overlaps @ known
        again = known @ image
        image -= again @ known
        projected[k, : k + 1] = projected[: k + 1, k] = overlaps + again
        values, vectors = np.linalg.eigh(projected[: k + 1, : k + 1])
        beta = float(np.linalg.norm(image))
        if beta * abs(vectors[-1, -1]) <= 1e-11 * abs(values[-1]) or beta == 0.0:
            break
        basis[k + 1] = image / beta
    v = np.abs(vectors[:, -1] @ basis[: k + 1])
    return v / np.linalg.norm(v), k + 1


def _upper(space: SampleSpace, level: float, v: FloatArray) -> tuple[float, int]:
    """Certified upper end: x = v/(1−θ) + 1 polished until ``T(λ)x < x``."""
    spent = 0
    base = max(level, space.least)
    for delta in (1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1):
        at = base * (1.0 + delta)
        image = space(at, v)
        spent += 1
        theta = float(v @ image)
        if theta >= 1.0:
            continue
        ones = np.ones(len(v))
        x = ones + v * (float(v @ space(at, ones)) / (1.0 - theta))
        spent += 1
        for _ in range(8):  # x ← 1 + T x keeps positivity and shrinks the defect
            moved = space(at, x)
            spent += 1
            if x.min() > 0.0 and (moved < x * (1.0 - 1e-13)).all():
                return at, spent
            x = ones + moved
    return math.inf, spent
