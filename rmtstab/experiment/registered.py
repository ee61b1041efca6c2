"""Experiments that a TOML sweep can name: growth, simulation, spectrum, coherence, networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab._results import FloatArray, Verdict
from rmtstab.ensembles.signal_plus_noise import SignalPlusNoise
from rmtstab.laws.marchenko_pastur import MarchenkoPastur
from rmtstab.sweeps.experiment import experiment
from rmtstab.unlearning import Dynamics, UnlearningProblem

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
    source = rng if instance is None else np.random.default_rng(instance)
    drawn = rows(source, n_retain + n_forget, dim, snr)
    problem = UnlearningProblem.from_factors(drawn[:n_retain], drawn[n_retain:])
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
    drawn = rows(rng, n_retain + n_forget, dim, snr)
    problem = UnlearningProblem.from_factors(drawn[:n_retain], drawn[n_retain:])
    return problem_coherence(problem, alpha)


def problem_coherence(problem: UnlearningProblem, alpha: float) -> dict[str, Any]:
    """Return a problem's coherence on the three axes, of all, and under the mixing."""
    found = problem.coherence(alpha=alpha)
    names = ("retain", "forget", "cross", "total", "unlearning")
    return {f"coherence_{name}": getattr(found, name) for name in names}


@experiment(
    "cnn_unlearning",
    {
        **SETTING, "filters": "1", "relative_step": "SGD's critical step", "displacement": "‖w*‖",
        "steps": "steps", "replicas": "runs", "step_size": "inverse curvature",
        "growth": "1 a step", "log_peak": "1", "log_forget_peak": "1", "escaped": "share of runs",
        "radius": "1", "training_loss": "½ mean (f − y)²",
    },
)  # fmt: skip
def cnn_unlearning(
    rng: np.random.Generator,
    n_retain: int = 24,
    n_forget: int = 6,
    dim: int = 60,
    snr: float = 0.5,
    filters: int = 8,
    relative_step: float = 0.5,
    batch_size: Any = (4, 1),
    alpha: float = 0.3,
    displacement: float = 1e-6,
    steps: int = 50,
    replicas: int = 8,
    radius: float = 10.0,
) -> dict[str, Any]:
    """Real networks: train a ReLU CNN to interpolation, unlearn, and what theory says of it."""
    import torch

    from rmtstab import bridge, curvature

    torch.set_num_threads(1)
    patches, labels = SignalPlusNoise(n_retain + n_forget, dim, snr).sample(rng)
    data = torch.tensor(patches), torch.tensor(labels)
    model = bridge.TwoLayerReLUCNN(dim, filters, scale=0.1, seed=int(rng.integers(2**31)))

    def gram() -> FloatArray:
        return curvature.cnn_gram(model.weights.detach().numpy(), patches, labels)

    slope = 0.5 * len(labels) / float(np.linalg.eigvalsh(gram())[-1])
    bridge.gradient_descent(model, data, step_size=slope, steps=2000, tolerance=1e-4)
    training = bridge.gauss_newton(model, data)
    if not training.converged:
        raise RuntimeError(f"training must interpolate, got a loss of {training.loss:.3g}")
    matrix = gram()
    problem = UnlearningProblem.from_gram(matrix, n_retain)
    pair = (batch_size, batch_size) if isinstance(batch_size, int) else tuple(batch_size)
    step_size = relative_step * float(problem.critical_step_size(pair, 0.0))
    found = problem.dynamics(step_size, pair, alpha).growth()
    factors = bridge.sample_factors(model, bridge.half_squared_error, data)[:, 0]
    basis = np.linalg.svd(factors, full_matrices=False)[2][: problem.rank]
    starts = rng.standard_normal((replicas, len(basis))) @ basis
    size = displacement * float(np.linalg.norm(model.weights.detach().numpy()))
    starts *= size / np.linalg.norm(starts, axis=1, keepdims=True)
    runs = bridge.unlearn(
        model, bridge.half_squared_error,
        (data[0][:n_retain], data[1][:n_retain]), (data[0][n_retain:], data[1][n_retain:]),
        step_size=step_size, batch_size=pair, alpha=alpha, steps=steps, initial=starts, rng=rng,
    )  # fmt: skip
    peaks = np.max(runs.displacement / runs.displacement[:, :1], axis=1)
    forget = np.max(runs.forget_loss / runs.forget_loss[:, :1], axis=1)
    return {
        "step_size": step_size,
        "growth": found.value,
        "verdict": found.verdict.value,
        "log_peak": np.median(np.log(peaks)),
        "log_forget_peak": np.median(np.log(forget)),
        "escaped": np.mean(peaks >= radius),
        "training_loss": training.loss,
        **problem_coherence(problem, alpha),
    }
