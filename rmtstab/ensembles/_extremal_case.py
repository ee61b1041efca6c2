"""What the extremal families share: the record, the noise of a scheme, a direction's scalar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.sampling import Scheme

MEAN, TRACE, DIRECTION = "mean", "trace", "direction"
SINGLE, COHERENCE = "single sample", "unlearning coherence"
ONE_STEP, OPERATOR = "one step", "operator"


@dataclass(frozen=True)
class Extremal:
    """A problem with its growth factor in closed form, and the bounds that equal it.

    Attributes
    ----------
    family : str
        Name of the function that made it.
    retain, forget : ndarray, shape (n_retain, C, d) and (n_forget, C, d), float64
        Factors: ``H_i = Z_iᵀZ_i`` of the rows Z_i.
    step_size, batch_size, alpha, sampling
        The hyper-parameters at which equality holds.
    growth_factor : float
        ρ, exact.
    critical_step_size : float
        Largest η with ρ ≤ 1, exact; 0 where the mean ascends, NaN without a closed form.
    attained : tuple of str
        Names (`rmtstab.Bound.name`) of the bounds equal to ρ.
    attained_steps : tuple of str
        Names of the bounds whose step size is the critical one.
    """

    family: str
    retain: FloatArray
    forget: FloatArray
    step_size: float
    batch_size: tuple[float, float]
    alpha: float
    sampling: str
    growth_factor: float
    critical_step_size: float
    attained: tuple[str, ...]
    attained_steps: tuple[str, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """Keyword arguments of `rmtstab.UnlearningProblem.dynamics`."""
        return {
            "step_size": self.step_size,
            "batch_size": self.batch_size,
            "alpha": self.alpha,
            "sampling": self.sampling,
        }


@dataclass(frozen=True)
class SetNoise:
    """Weights and noise coefficients of both sets: retain, forget."""

    scheme: Scheme

    weights: tuple[float, float]
    sizes: tuple[int, int]
    coefficients: tuple[tuple[float, float], tuple[float, float]]

    @classmethod
    def of(
        cls, sizes: tuple[int, int], batch_size: tuple[float, float], alpha: float, sampling: str
    ) -> SetNoise:
        scheme = Scheme.named(sampling)
        sizes = (
            _checks.integer("n_retain", sizes[0], low=1),
            _checks.integer("n_forget", sizes[1], low=0),
        )
        batch_size = _checks.items("batch_size", batch_size, 2)
        alpha = _checks.real("alpha", alpha, low=0.0, high=1.0 if sizes[1] else 0.0)
        weights = (1.0 - alpha, alpha)
        noise = [(0.0, 0.0), (0.0, 0.0)]
        for s, name in enumerate(("batch_size[0]", "batch_size[1]")):
            if weights[s] > 0.0:
                noise[s] = noise_of(name, sizes[s], batch_size[s], scheme)
        return cls(scheme, weights, sizes, (noise[0], noise[1]))

    def scalar(self, retain: FloatArray, forget: FloatArray) -> tuple[float, float]:
        """``(d, N)`` of a direction, from the curvatures along it of the samples that have any."""
        drift, spread = 0.0, 0.0
        for s, h in enumerate((retain, forget)):
            (c, e), n, a = self.coefficients[s], self.sizes[s], self.weights[s]
            if a == 0.0:
                continue
            mean = float(h.sum()) / n
            drift += (a, -a)[s] * mean
            idle = n - h.size  # samples without curvature here
            about_mean = float(np.sum((h - mean) ** 2)) + idle * mean * mean
            spread += a * a * (c * about_mean + (c - e) * n * mean * mean)
        return drift, spread

    @property
    def silent(self) -> bool:
        """Whether no set with weight is noisy."""
        return all(c == 0.0 for c, _ in self.coefficients)

    @property
    def uncorrelated(self) -> bool:
        """Whether the noise has no term of a set's mean: samples are drawn by themselves."""
        return self.silent or not self.scheme.fixed_size


def noise_of(name: str, n: int, batch: float, scheme: Scheme) -> tuple[float, float]:
    """Coefficients (c, e) of one set's noise: ``Cov(x_i, x_j)/B² = c δ_ij − e/n``."""
    n = _checks.integer("n", n, low=1)
    return scheme.coefficients(n, scheme.check_batch(name, batch, n))


def gain(n: int, batch: float, scheme: Scheme) -> float:
    """``q``: noise of a lone sample over its squared mean, ``n/B − 1`` or ``(n − 1)/B``."""
    return n / batch - 1.0 if scheme.exhausts else (n - 1.0) / batch


def worst(scalars: list[tuple[float, float]], step_size: float) -> tuple[float, float]:
    """Largest ``(1 − ηd)² + η²N`` over the directions, and the smallest ``2d/(d² + N)``."""
    eta = _checks.real("step_size", step_size, low=0.0, high=1e150)
    rho = max((1.0 - eta * d) * (1.0 - eta * d) + eta * eta * noise for d, noise in scalars)
    steps = [2.0 * d / (d * d + noise) if d > 0.0 else 0.0 for d, noise in scalars]
    return rho, min(steps)


def rotation(rng: np.random.Generator, d: int) -> FloatArray:
    """Uniform orthogonal matrix."""
    q, r = np.linalg.qr(rng.standard_normal((d, d)))
    result: FloatArray = q * np.sign(np.diag(r))
    return result


def case_of(
    family: str,
    factors: FloatArray,
    n_retain: int,
    step_size: float,
    batch_size: tuple[float, float],
    alpha: float,
    sampling: str,
    rho: float,
    step: float,
    attained: list[str],
) -> Extremal:
    return Extremal(
        family=family,
        retain=np.ascontiguousarray(factors[:n_retain]),
        forget=np.ascontiguousarray(factors[n_retain:]),
        step_size=float(step_size),
        batch_size=(batch_size[0], batch_size[1]),
        alpha=float(alpha),
        sampling=sampling,
        growth_factor=float(rho),
        critical_step_size=float(step),
        attained=tuple(name for name in attained if name != OPERATOR),
        attained_steps=tuple(
            name for name in attained if name in (ONE_STEP, OPERATOR) and step > 0.0
        ),
    )
