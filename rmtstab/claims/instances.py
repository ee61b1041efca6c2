"""Random instances on which the claims are judged: small problems, and Gram matrices."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from rmtstab._results import Bound, FloatArray
from rmtstab.sampling import SAMPLINGS
from rmtstab.unlearning.problem import UnlearningProblem

Rng = np.random.Generator
Settings = dict[str, Any]
Draw = tuple[FloatArray, FloatArray, Settings]
MIXINGS = (0.0, 0.05, 0.3, 1.0)


def random_problem(rng: Rng) -> UnlearningProblem:
    """Random sizes and ranks; the samples' norms spread over a decade."""
    d = int(rng.integers(2, 7))
    shape = int(rng.integers(2, 9)), int(rng.integers(1, 7))
    outputs = int(rng.integers(1, 3))
    sets = [
        rng.standard_normal((n, outputs, d)) * 10.0 ** rng.uniform(-0.5, 0.5, size=(n, 1, 1))
        for n in shape
    ]
    return UnlearningProblem.from_factors(*sets)


def heavy(rng: Rng, k: int) -> Draw:
    """Draw of the *heavy* ensemble: few dimensions, the samples' scales over two decades."""
    d, c = int(rng.integers(1, 7)), int(rng.integers(1, 3))
    sizes = int(rng.integers(2, 9)), int(rng.integers(1, 7))
    sets = [
        rng.standard_normal((n, c, d)) * 10.0 ** rng.uniform(-1.0, 1.0, size=(n, 1, 1))
        for n in sizes
    ]
    return sets[0], sets[1], _settings(rng, sets, _batches(rng, *sizes), k)


def spread(rng: Rng, k: int) -> Draw:
    """Draw of the *spread* ensemble: d ≥ 4, sets of 8 and 6 alike samples, batches of 1 or 2."""
    d = int(rng.integers(4, 9))
    sets = [rng.standard_normal((n, 1, d)) for n in (8, 6)]
    return sets[0], sets[1], _settings(rng, sets, _batches(rng, 2, 2), k)


def wide(rng: Rng, k: int) -> Draw:
    """Draw of the *wide* ensemble: 20 dimensions, 30 + 20 alike samples, batches of 1 and 2."""
    z = rng.standard_normal((50, 1, 20))
    return z[:30], z[30:], _settings(rng, [z[:30], z[30:]], (1, 2), k)


def _batches(rng: Rng, *largest: int) -> tuple[int, int]:
    retain, forget = (int(rng.integers(1, most + 1)) for most in largest)
    return retain, forget


def _settings(rng: Rng, sets: list[FloatArray], batch_size: tuple[int, int], k: int) -> Settings:
    """Hyper-parameters: mixing and sampling in turn, ``η λ_max(H̄)`` log-uniform in [0.2, 3]."""
    alpha = MIXINGS[k % 4]
    means = [np.einsum("nci,ncj->ij", z, z) / len(z) for z in sets]
    top = float(np.linalg.eigvalsh((1.0 - alpha) * means[0] + alpha * means[1])[-1])
    return {
        "step_size": float(np.exp(rng.uniform(np.log(0.2), np.log(3.0)))) / top,
        "batch_size": batch_size,
        "alpha": alpha,
        "sampling": SAMPLINGS[(k // 4) % 3],
    }


def linear_gram(n: int, dim: int, snr: float, _: int, rng: Rng) -> FloatArray:
    """Gram matrix of signal plus noise itself, labels divided out."""
    x = rng.standard_normal((n, dim))
    x[:, 0] = snr * math.sqrt(dim)
    return np.asarray(x @ x.T)


def cnn_gram(n: int, dim: int, snr: float, filters: int, rng: Rng) -> FloatArray:
    """Gram matrix of the two-layer CNN with independent masks; classes alternate."""
    noise = rng.standard_normal((n, dim))
    noise[:, 0] = 0.0
    masks = (rng.random((n, 2 * filters)) < 0.5).astype(float)
    parity = np.arange(n) % 2
    same = (parity[:, None] == parity[None, :]) * (filters * snr**2 * dim)
    return np.asarray(((masks @ masks.T) * (noise @ noise.T) + same) / filters**2)


def exact_step_size(factors: FloatArray, batch: float, sampling: str = "bernoulli") -> float:
    """Plain SGD's critical step size on these gradients, one a row."""
    problem = UnlearningProblem.from_factors(factors, factors[:0])
    return float(problem.critical_step_size(batch, 0.0, sampling=sampling))


def scaled(bounds: Iterable[Bound], scale: float) -> list[Bound]:
    """Bounds of a wrong theory: both numbers of each multiplied."""
    return [
        replace(b, rho_bound=scale * b.rho_bound, critical_step_size=scale * b.critical_step_size)
        for b in bounds
    ]
