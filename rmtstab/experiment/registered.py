"""Experiments that a TOML sweep can name: growth, simulation, spectrum, coherence."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from rmtstab._results import FloatArray, Verdict
from rmtstab.ensembles.signal_plus_noise import SignalPlusNoise
from rmtstab.laws.marchenko_pastur import MarchenkoPastur
from rmtstab.sweeps.experiment import experiment
from rmtstab.unlearning import Dynamics, UnlearningProblem

SMALL = 256  # samples
SETTING = {
    "n_retain": "samples", "n_forget": "samples", "dim": "1", "snr": "1", "alpha": "1",
    "batch_size": "samples", "step_size": "inverse curvature", "weight_decay": "curvature",
    "momentum": "1", "instance": "1", "sampling": "1",
}  # fmt: skip


def rows(rng: np.random.Generator, n: int, dim: int, snr: float) -> FloatArray:
    """Draw gradients ``±snr·e₁ + ξ/√dim`` of a linear model on signal-plus-noise data.

    Parameters
    ----------
    rng : numpy.random.Generator
    n, dim : int
    snr : float

    Returns
    -------
    ndarray, shape (n, dim), float64
        Squared norm 1 + snr² in the mean.
    """
    patches, _ = SignalPlusNoise(n, dim, snr).sample(rng)
    total: FloatArray = patches.sum(axis=1) / np.sqrt(dim)
    return total


def drawn_problem(
    rng: np.random.Generator, n_retain: int, n_forget: int, dim: int, snr: float
) -> UnlearningProblem:
    """Draw the problem of a linear model on signal-plus-noise data."""
    drawn = rows(rng, n_retain + n_forget, dim, snr)
    return UnlearningProblem.from_factors(drawn[:n_retain], drawn[n_retain:])


@functools.lru_cache(maxsize=64)  # small ones, which cost as much to draw as to solve
def shared_problem(
    instance: int, n_retain: int, n_forget: int, dim: int, snr: float
) -> UnlearningProblem:
    """Draw the problem of an instance, once for all of its cells that follow."""
    return drawn_problem(np.random.default_rng(instance), n_retain, n_forget, dim, snr)


def dynamics_of(
    rng: np.random.Generator,
    n_retain: int,
    n_forget: int,
    dim: int,
    snr: float,
    instance: int | None,
    **settings: Any,
) -> Dynamics:
    """Draw a problem and set it in motion; the same problem in all cells of one ``instance``."""
    if instance is None:
        problem = drawn_problem(rng, n_retain, n_forget, dim, snr)
    elif n_retain + n_forget <= SMALL:
        problem = shared_problem(instance, n_retain, n_forget, dim, snr)
    else:
        problem = drawn_problem(np.random.default_rng(instance), n_retain, n_forget, dim, snr)
    batch_size = settings.pop("batch_size")
    pair = batch_size if isinstance(batch_size, int) else tuple(batch_size)
    return problem.dynamics(batch_size=pair, **settings)


@experiment(
    "growth",
    {**SETTING, "growth": "1 a step", "error_bound": "1 a step", "escape_rate": "1/step"},
)
def growth(
    rng: np.random.Generator,
    n_retain: int = 48,
    n_forget: int = 12,
    dim: int = 150,
    snr: float = 0.5,
    step_size: float = 1.0,
    batch_size: Any = (8, 2),
    alpha: float = 0.3,
    sampling: str = "without_replacement",
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    instance: int | None = None,
) -> dict[str, Any]:
    """Theory map: exact growth factor of the second moment, its certificate and verdict."""
    dyn = dynamics_of(
        rng, n_retain, n_forget, dim, snr, instance, step_size=step_size, batch_size=batch_size,
        alpha=alpha, sampling=sampling, weight_decay=weight_decay, momentum=momentum,
    )  # fmt: skip
    found = dyn.growth()
    return {
        "growth": found.value,
        "error_bound": found.error_bound,
        "escape_rate": dyn.escape_rate(),
        "escapes": found.verdict is Verdict.ESCAPES,
        "verdict": found.verdict.value,
    }


@experiment(
    "simulation",
    {
        **SETTING, "steps": "steps", "replicas": "runs", "lyapunov": "1/step",
        "lyapunov_error": "1/step", "escape_rate": "1/step", "escaped": "share of runs",
        "median": "1", "radius": "1",
    },
)  # fmt: skip
def simulation(
    rng: np.random.Generator,
    n_retain: int = 48,
    n_forget: int = 12,
    dim: int = 150,
    snr: float = 0.5,
    step_size: float = 1.0,
    batch_size: Any = (8, 2),
    alpha: float = 0.3,
    sampling: str = "without_replacement",
    steps: int = 100,
    replicas: int = 32,
    radius: float = 10.0,
    instance: int | None = None,
) -> dict[str, Any]:
    """Linearised simulation: typical rate, median distance, share of runs that escape."""
    dyn = dynamics_of(
        rng, n_retain, n_forget, dim, snr, instance,
        step_size=step_size, batch_size=batch_size, alpha=alpha, sampling=sampling,
    )  # fmt: skip
    runs = np.asarray(dyn.simulate(steps, replicas, rng))
    ratio = runs / runs[:, :1]
    rate = dyn.lyapunov(rng, replicas=replicas, steps=steps)
    return {
        "median": np.median(ratio[:, -1]),
        "escaped": np.mean(ratio.max(axis=1) >= radius),
        "lyapunov": rate.value,
        "lyapunov_error": rate.standard_error,
        "escape_rate": dyn.escape_rate(),
    }


@experiment(
    "spectrum",
    {"n": "samples", "dim": "1", "snr": "1", "eigenvalues": "curvature", "edges": "curvature"},
    {"eigenvalues": ("rank",), "edges": ("side",)},
)
def spectrum(
    rng: np.random.Generator, n: int = 60, dim: int = 150, snr: float = 0.5
) -> dict[str, Any]:
    """Spectrum of the samples' Gram matrix, largest first, beside the edges of its bulk's law."""
    drawn = rows(rng, n, dim, snr)
    values = np.linalg.eigvalsh(drawn @ drawn.T)[::-1]
    return {"eigenvalues": values, "edges": np.array(MarchenkoPastur(n / dim).support())}


@experiment(
    "coherence",
    {k: SETTING.get(k, "1") for k in ("n_retain", "n_forget", "dim", "snr", "alpha")},
)
def coherence(
    rng: np.random.Generator,
    n_retain: int = 48,
    n_forget: int = 12,
    dim: int = 150,
    snr: float = 0.5,
    alpha: float = 0.3,
) -> dict[str, Any]:
    """Coherence of the retain set, the forget set, between them, and under the mixing."""
    return problem_coherence(drawn_problem(rng, n_retain, n_forget, dim, snr), alpha)


def problem_coherence(problem: UnlearningProblem, alpha: float) -> dict[str, Any]:
    """Return a problem's coherence on the three axes, of all, and under the mixing."""
    found = problem.coherence(alpha=alpha)
    names = ("retain", "forget", "cross", "total", "unlearning")
    return {f"coherence_{name}": getattr(found, name) for name in names}
