"""Where closed form and exact operator meet: every bound of the theory on a problem."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab._results import Bound, FloatArray
from rmtstab.theory import coherence_bounds, mean, sufficient
from rmtstab.theory.noise import weighted_sets

if TYPE_CHECKING:
    from rmtstab.dynamics.linearised import Dynamics

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

    Raises
    ------
    ValueError
        With momentum: the bounds are those of the plain update.

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
    if dyn.momentum:
        raise ValueError(f"momentum must be 0 for closed-form bounds, got {dyn.momentum}")
    if not len(dyn.mean_eigenvalues):
        return []
    view = _View(dyn)
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
        basis, problem = dyn.basis, dyn.problem
        r = basis.n_active
        self.dyn = dyn
        self.mu = dyn.mean_eigenvalues + dyn.weight_decay
        self.sizes = (problem.n_retain, problem.n_forget)
        self.rows = np.ascontiguousarray(basis.rows[:, :r])
        self.offsets = problem.factors.offsets
        self.means = (basis.retain[:r, :r], basis.forget[:r, :r])
        self.sharpness, self.tops = _sample_tops(self.rows, self.offsets)
        self.settings: dict[str, Any] = {
            "step_size": dyn.step_size,
            "batch_size": self._batches(),
            "alpha": dyn.alpha,
            "sampling": dyn.sampling,
        }

    def members(self, index: int) -> slice:
        """Samples of one set."""
        split = self.sizes[0]
        return slice(0, split) if index == 0 else slice(split, sum(self.sizes))

    def set_rows(self, index: int) -> tuple[FloatArray, Any]:
        """Factor rows of one set, and how many belong to each of its samples."""
        members = self.members(index)
        first, last = self.offsets[members.start], self.offsets[members.stop]
        return self.rows[first:last], np.diff(self.offsets)[members]

    def best_direction(self) -> float:
        """Largest direction bound over D's eigenvectors and each sample's own direction."""
        seen = [self.tops[self.members(index)] for index, *_ in self.weighted()]
        tried = np.concatenate([np.eye(len(self.mu)), *seen])
        tried = tried[np.linalg.norm(tried, axis=1) > 0.5]
        along = np.add.reduceat(np.square(tried @ self.rows.T), self.offsets[:-1], axis=1)
        split = self.sizes[0]
        return max(
            coherence_bounds.direction(
                h[:split], h[split:], weight_decay=self.dyn.weight_decay, **self.settings
            )
            for h in along
        )

    def trace(self) -> float:
        """Rayleigh quotient at the range's projector."""
        samples = [self._sum_of_squares(index) for index in (0, 1)]
        sets = [float(np.sum(m * m)) for m in self.means]
        return coherence_bounds.trace(
            self.mu,
            (samples[0], samples[1]),
            (sets[0], sets[1]),
            sizes=self.sizes,
            **self.settings,
        )

    def _sum_of_squares(self, index: int) -> float:
        """``Σ_i tr H_i²``."""
        rows, widths = self.set_rows(index)
        if (widths == 1).all():
            return float(np.sum(np.sum(rows * rows, axis=1) ** 2))
        parts = np.split(rows, np.cumsum(widths)[:-1])
        return float(sum(np.sum((part @ part.T) ** 2) for part in parts))

    def single_sample(self) -> float:
        """One heavy sample."""
        heavy = [float(self.sharpness[self.members(i)].max(initial=0.0)) for i in (0, 1)]
        sets = [float(np.linalg.eigvalsh(m)[-1]) for m in self.means]
        return coherence_bounds.single_sample(
            (heavy[0], heavy[1]), (sets[0], sets[1]), sizes=self.sizes, **self.settings
        )

    def coherence(self) -> float:
        """Unlearning-coherence bound; 0 without curvature."""
        alpha = self.dyn.alpha
        unsigned = (1.0 - alpha) * self.means[0] + alpha * self.means[1]
        sharpness = max(float(np.linalg.eigvalsh(unsigned)[-1]), 0.0)
        sigma = self.dyn.problem.coherence(alpha).unlearning
        if not math.isfinite(sigma):
            return 0.0
        return coherence_bounds.coherence(sharpness, sigma, sizes=self.sizes, **self.settings)

    def sufficient(self) -> tuple[FloatArray, FloatArray, float, float]:
        """``(I − ηD)²``, ``η²Q₂``, and the step sizes of both sufficient conditions."""
        r, eta = len(self.mu), self.dyn.step_size
        noise, weighted = np.zeros((r, r)), np.zeros((r, r))
        for index, a, c, e, n in self.weighted():
            rows, widths = self.set_rows(index)
            if (widths == 1).all():
                turned = np.sum(rows * rows, axis=1)[:, None] * rows
            else:
                parts = np.split(rows, np.cumsum(widths)[:-1])
                turned = np.concatenate([part @ part.T @ part for part in parts])
            mean_curvature = self.means[index]
            noise += a * a * (c * rows.T @ turned - e * n * mean_curvature @ mean_curvature)
            sharp = np.repeat(self.sharpness[self.members(index)], widths)
            weighted += a * a * c * (rows.T * sharp) @ rows
        mix = np.diag(self.mu)
        return (
            np.diag((1.0 - eta * self.mu) ** 2),
            eta * eta * noise,
            sufficient.one_step(mix, noise),
            sufficient.operator(mix, weighted),
        )

    def weighted(self) -> list[tuple[int, float, float, float, int]]:
        """Sets with positive weight."""
        return weighted_sets(self.dyn.alpha, self.sizes, self._batches(), self.dyn.sampling)

    def _batches(self) -> tuple[float, float]:
        retain, forget = self.dyn.batch_size
        return (retain, forget) if self.dyn.sampling == "bernoulli" else (int(retain), int(forget))


def _sample_tops(rows: FloatArray, offsets: Any) -> tuple[FloatArray, FloatArray]:
    """``λ_max(H_i)`` and its unit eigenvector (zero where H_i = 0) of every sample."""
    if len(offsets) - 1 == len(rows):
        values = np.sum(rows * rows, axis=1)
        vectors = rows
    else:
        found = [
            np.linalg.svd(part, full_matrices=False)[1:] if len(part) else None
            for part in np.split(rows, offsets[1:-1])
        ]
        zero = np.zeros(rows.shape[1])
        values = np.array([0.0 if f is None else f[0][0] ** 2 for f in found])
        vectors = np.array([zero if f is None else f[1][0] for f in found])
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return values, np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
