"""Where closed form and exact operator meet: every bound of the theory on a problem."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from rmtstab._results import Bound, FloatArray
from rmtstab.theory import coherence_bounds, mean, sufficient
from rmtstab.theory.noise import weighted_sets

if TYPE_CHECKING:
    from rmtstab.dynamics.dynamics import Dynamics

DERIVED = "derived in docs/theory/bounds"


def evaluate(dyn: Dynamics) -> list[Bound]:
    """Evaluate the closed-form bounds on a problem's dynamics.

    Parameters
    ----------
    dyn : Dynamics

    Returns
    -------
    list of Bound
        Lower bounds on ρ (necessary conditions) from the largest down, then
        upper bounds (sufficient conditions) from the smallest up; conditions
        that give a step size only come last.

    Notes
    -----
    Cost: one small eigenproblem and a few products with the factors; Φ itself
    is never applied.

    Examples
    --------
    >>> import numpy as np
    >>> import rmtstab as rs
    >>> problem = rs.UnlearningProblem.from_factors(np.eye(2), np.empty((0, 2)))
    >>> bounds = problem.dynamics(step_size=1.0, batch_size=1, alpha=0.0).bounds()
    >>> sorted(b.name for b in bounds if b.kind == "sufficient")
    ['one step', 'operator']
    """
    view = _View(dyn)
    if not view.mu.size:
        return []
    lower = [
        ("mean", mean.growth(view.mu, dyn.step_size), DERIVED, mean.critical_step_size(view.mu)),
        ("trace", view.trace(), "Mulayoff & Michaeli (16) at alpha = 0; " + DERIVED, math.nan),
        (
            "direction",
            view.best_direction(),
            "Mulayoff & Michaeli (15) at alpha = 0; " + DERIVED,
            math.nan,
        ),
        ("single sample", view.single_sample(), DERIVED, math.nan),
        (
            "unlearning coherence",
            view.coherence(),
            "Dexter et al. Theorem 1 at alpha = 0; " + DERIVED,
            math.nan,
        ),
    ]
    necessary = [
        Bound(name, "necessary", value <= 1.0, value, step, source)
        for name, value, source, step in lower
    ]
    squared, spread, step_one, step_operator = view.sufficient()
    top = float(np.linalg.eigvalsh(squared + spread)[-1])
    upper = [
        Bound("one step", "sufficient", top <= 1.0, top, step_one, DERIVED),
        Bound(
            "operator",
            "sufficient",
            dyn.step_size <= step_operator,
            math.nan,
            step_operator,
            "Dexter et al. Theorem 2 at alpha = 0; " + DERIVED,
        ),
    ]
    return [*sorted(necessary, key=lambda b: -b.rho_bound), *upper]


class _View:
    """The few numbers that the bounds need, read off a problem once."""

    def __init__(self, dyn: Dynamics) -> None:
        phi = dyn.second_moment
        self.dyn = dyn
        self.mu = phi.eigenvalues
        self.sizes = dyn.problem.sizes
        self.width = phi.width
        split = self.sizes[0] * self.width
        self.parts = (phi.factors[:, :split], phi.factors[:, split:])
        self.means = tuple(
            part @ part.T / max(n, 1) for part, n in zip(self.parts, self.sizes, strict=True)
        )
        self.settings = {
            "sizes": self.sizes,
            "step_size": dyn.step_size,
            "batch_size": self._integral_batches(),
            "alpha": dyn.alpha,
            "sampling": dyn.sampling,
        }

    def blocks(self, index: int) -> FloatArray:
        """Factors of one set as (n, r, C)."""
        part = self.parts[index]
        return part.reshape(len(part), self.sizes[index], self.width).transpose(1, 0, 2)

    def sharpness(self, index: int) -> tuple[FloatArray, FloatArray]:
        """``λ_max(H_i)`` and its eigenvector, for each sample of a set."""
        blocks = self.blocks(index)
        inner = np.einsum("irc,ire->ice", blocks, blocks)
        values, vectors = np.linalg.eigh(inner)
        tops = np.einsum("irc,ic->ir", blocks, vectors[:, :, -1])
        norms = np.linalg.norm(tops, axis=1, keepdims=True)
        return values[:, -1], np.divide(tops, norms, out=np.zeros_like(tops), where=norms > 0)

    def best_direction(self) -> float:
        """Largest direction bound over D's eigenvectors and each sample's own direction."""
        directions = [np.eye(len(self.mu))]
        for index, *_ in self.weighted():
            directions.append(self.sharpness(index)[1])
        tried = np.concatenate(directions)
        tried = tried[np.linalg.norm(tried, axis=1) > 0.5]
        along = [
            np.square(tried @ part).reshape(len(tried), n, self.width).sum(axis=2)
            if n
            else np.zeros((len(tried), 0))
            for part, n in zip(self.parts, self.sizes, strict=True)
        ]
        settings = {k: v for k, v in self.settings.items() if k != "sizes"}
        return max(
            coherence_bounds.direction(
                retain, forget, weight_decay=self.dyn.weight_decay, **settings
            )
            for retain, forget in zip(*along, strict=True)
        )

    def trace(self) -> float:
        samples = tuple(self._sum_of_squares(index) for index in (0, 1))
        sets = tuple(float(np.sum(m * m)) for m in self.means)
        return coherence_bounds.trace(
            self.mu, (samples[0], samples[1]), (sets[0], sets[1]), **self.settings
        )

    def _sum_of_squares(self, index: int) -> float:
        """``Σ_i tr H_i²``."""
        blocks = self.blocks(index)
        inner = np.einsum("irc,ire->ice", blocks, blocks)
        return float(np.sum(inner * inner))

    def single_sample(self) -> float:
        heavy, sets = [], []
        for index in (0, 1):
            n = self.sizes[index]
            heavy.append(float(self.sharpness(index)[0].max(initial=0.0)) if n else 0.0)
            sets.append(float(np.linalg.eigvalsh(self.means[index])[-1]))
        return coherence_bounds.single_sample(
            (heavy[0], heavy[1]), (sets[0], sets[1]), **self.settings
        )

    def coherence(self) -> float:
        alpha = self.dyn.alpha
        unsigned = (1.0 - alpha) * self.means[0] + alpha * self.means[1]
        sharpness = max(float(np.linalg.eigvalsh(unsigned)[-1]), 0.0)
        sigma = self.dyn.problem.coherence(alpha).unlearning
        if not math.isfinite(sigma):
            return 0.0
        return coherence_bounds.coherence(sharpness, sigma, **self.settings)

    def sufficient(self) -> tuple[FloatArray, FloatArray, float, float]:
        """``(I − ηD)²``, ``η²Q₂``, and the step sizes of both sufficient conditions."""
        r, eta = len(self.mu), self.dyn.step_size
        noise, weighted = np.zeros((r, r)), np.zeros((r, r))
        for index, a, c, e, n in self.weighted():
            blocks, mean_curvature = self.blocks(index), self.means[index]
            inner = np.einsum("irc,ire->ice", blocks, blocks)
            twice = np.einsum("irc,ice->ire", blocks, inner)
            squares = np.einsum("ire,ise->rs", twice, blocks)
            noise += a * a * (c * squares - e * n * mean_curvature @ mean_curvature)
            sharp = self.sharpness(index)[0]
            weighted += a * a * c * np.einsum("i,irc,isc->rs", sharp, blocks, blocks, optimize=True)
        mix = np.diag(self.mu)
        squared = np.diag((1.0 - eta * self.mu) ** 2)
        return (
            squared,
            eta * eta * noise,
            sufficient.one_step(mix, noise),
            sufficient.operator(mix, weighted),
        )

    def weighted(self) -> list[tuple[int, float, float, float, int]]:
        """Sets with positive weight."""
        return weighted_sets(
            self.dyn.alpha, self.sizes, self._integral_batches(), self.dyn.sampling
        )

    def _integral_batches(self) -> tuple[float, float]:
        if self.dyn.sampling == "bernoulli":
            return self.dyn.batch_size
        return int(self.dyn.batch_size[0]), int(self.dyn.batch_size[1])
