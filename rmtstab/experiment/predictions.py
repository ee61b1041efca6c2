"""What theory says of one network: step sizes, growth, resistance, frontiers. No torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.claims.networks.records import PROTOCOLS
from rmtstab.experiment.presets import Preset
from rmtstab.unlearning.problem import UnlearningProblem

SAMPLING = "without_replacement"  # what the real runs do
FORGET_FACTOR = 10.0  # κ of the finite-horizon resistance


def step_sizes(
    problem: UnlearningProblem, batch_size: tuple[int, int], common: float
) -> dict[str, float]:
    """Step size of each protocol.

    ``sgd_scaled`` is half of plain SGD's own threshold at these batches,
    ``sharpness_scaled`` is ``0.05/λ_max(H_R)``, ``common`` is one for all networks.
    """
    threshold = float(problem.critical_step_size(batch_size, 0.0, sampling=SAMPLING))
    sharpness = retain_sharpness(problem)
    sizes = (0.5 * threshold, 0.05 / sharpness, common)
    return dict(zip(PROTOCOLS, sizes, strict=True))


def retain_sharpness(problem: UnlearningProblem) -> float:
    """``λ_max(H_R)``."""
    dyn = problem.dynamics(step_size=1.0, batch_size=1, alpha=0.0, sampling=SAMPLING)
    return float(np.max(dyn.mean_eigenvalues))


def comparison(problem: UnlearningProblem, preset: Preset, step_size: float) -> dict[str, Any]:
    """Predict resistance and escape time at the preset's mixing, for one step size."""
    batches = {"": preset.batch_size, "smallest_batch_": preset.batch_sizes[0]}
    result: dict[str, Any] = {"step_size": step_size}
    for prefix, batch_size in batches.items():
        dyn = problem.dynamics(
            step_size=step_size, batch_size=batch_size, alpha=preset.alpha, sampling=SAMPLING
        )
        growth = dyn.growth()
        sgd = problem.dynamics(
            step_size=step_size, batch_size=batch_size, alpha=0.0, sampling=SAMPLING
        )
        result |= {
            f"{prefix}growth_factor": growth.value,
            f"{prefix}growth_error": growth.error_bound,
            f"{prefix}sgd_growth_upper": sgd.growth().value + sgd.growth().error_bound,
            f"{prefix}resistance": dyn.resistance() if growth.value > 1 else None,
            f"{prefix}e_fold_steps": 2.0 / np.log(growth.value) if growth.value > 1 else None,
        }
        if prefix:
            continue
        slowest = 10.0 * (result["e_fold_steps"] or np.inf)
        path = dyn.trajectory(int(min(preset.escape_horizon, slowest)))
        passed = np.flatnonzero(path.displacement >= preset.radius**2 * path.displacement[0])
        result["escape_time"] = int(passed[0]) if passed.size else None
        grown = np.flatnonzero(path.forget_loss >= FORGET_FACTOR * path.forget_loss[0])
        result["finite_resistance"] = (
            float(
                path.retain_loss[grown[0]]
                / path.retain_loss[0]
                / (path.forget_loss[grown[0]] / path.forget_loss[0])
            )
            if grown.size
            else None
        )
    return result


def predicted_map(
    problem: UnlearningProblem,
    preset: Preset,
    step_size: float,
    batch_sizes: tuple[tuple[int, int], ...],
    alphas: FloatArray | None,
    frontiers: list[dict[str, float | None]],
    seed: int,
) -> dict[str, Any]:
    """Predict each cell of a (mixing × batch size) map.

    Without ``alphas``, the mixings are spread around both frontiers.
    """
    if alphas is None:
        levels = [level for f in frontiers for level in (f["mean_square"], f["typical"])]
        alphas = _spread(levels, preset.n_alphas)
    cells = [
        _cell(problem, preset, step_size, batch, float(alpha), seed)
        for alpha in alphas
        for batch in batch_sizes
    ]
    return {
        "step_size": step_size,
        "alphas": [float(a) for a in alphas],
        "batch_sizes": [list(b) for b in batch_sizes],
        "frontier_mean_square": [f["mean_square"] for f in frontiers],
        "frontier_typical": [f["typical"] for f in frontiers],
        "cells": cells,
    }


def finite_time_frontiers(
    problem: UnlearningProblem,
    preset: Preset,
    step_size: float,
    batch_sizes: tuple[tuple[int, int], ...],
    seed: int,
) -> list[dict[str, float | None]]:
    """Smallest escaping mixing at each batch size, mean-square and typical."""
    return [
        {
            kind: _frontier(escapes)
            for kind, escapes in (
                ("mean_square", _mean_square_test(problem, preset, step_size, batch)),
                ("typical", _typical_test(problem, preset, step_size, batch, seed)),
            )
        }
        for batch in batch_sizes
    ]


def linear_peaks(
    problem: UnlearningProblem,
    preset: Preset,
    step_size: float,
    batch_size: tuple[int, int],
    alpha: float,
    seed: int,
) -> FloatArray:
    """``max_{k≤K} log(‖w_k‖/‖w_0‖)`` of each linearised run, isotropic starts."""
    dyn = problem.dynamics(
        step_size=step_size, batch_size=batch_size, alpha=alpha, sampling=SAMPLING
    )
    runs = dyn.simulate(preset.horizon, preset.linear_replicas, np.random.default_rng(seed))
    logs = runs.log_displacement
    peaks: FloatArray = logs.max(axis=1) - logs[:, 0]
    return peaks


def bootstrap_error(values: FloatArray, seed: int = 0) -> float:
    """Bootstrap standard error of the median."""
    rng = np.random.default_rng(seed)
    draws = values[rng.integers(len(values), size=(400, len(values)))]
    return float(np.median(draws, axis=1).std(ddof=1))


def _cell(
    problem: UnlearningProblem,
    preset: Preset,
    step_size: float,
    batch: tuple[int, int],
    alpha: float,
    seed: int,
) -> dict[str, Any]:
    dyn = problem.dynamics(step_size=step_size, batch_size=batch, alpha=alpha, sampling=SAMPLING)
    growth = dyn.growth()
    rate = dyn.lyapunov(np.random.default_rng(seed), replicas=64, steps=preset.horizon)
    path = dyn.trajectory(preset.horizon).displacement
    passed = np.flatnonzero(path >= preset.radius**2 * path[0])
    peaks = linear_peaks(problem, preset, step_size, batch, alpha, seed)
    mean = float(np.max((1.0 - step_size * np.asarray(dyn.mean_eigenvalues)) ** 2))
    return {
        "alpha": alpha,
        "batch_size": list(batch),
        "growth_factor": growth.value,
        "growth_error": growth.error_bound,
        "growth_converged": growth.converged,
        "verdict": growth.verdict.value,
        "reason": growth.reason.name,
        "lyapunov": rate.value,
        "lyapunov_error": rate.standard_error,
        # how much of the growth the noise-free mean carries
        "mean_share": float(np.log(mean) / np.log(growth.value)) if growth.value > 1 else None,
        "escape_time_mean_square": int(passed[0]) if passed.size else None,
        "log_peak_mean_square": float(0.5 * np.log(path.max() / path[0])),
        "log_peak_typical": float(np.median(peaks)),
        "log_peak_error": bootstrap_error(peaks, seed),
        "bounds": [
            {"name": b.name, "kind": b.kind, "rho_bound": b.rho_bound, "satisfied": b.satisfied}
            for b in dyn.bounds()
        ],
    }


Test = Callable[[float], bool]


def _mean_square_test(
    problem: UnlearningProblem, preset: Preset, step_size: float, batch: tuple[int, int]
) -> Test:
    def escapes(alpha: float) -> bool:
        dyn = problem.dynamics(
            step_size=step_size, batch_size=batch, alpha=alpha, sampling=SAMPLING
        )
        path = dyn.trajectory(preset.horizon).displacement
        return bool(path.max() >= preset.radius**2 * path[0])

    return escapes


def _typical_test(
    problem: UnlearningProblem, preset: Preset, step_size: float, batch: tuple[int, int], seed: int
) -> Test:
    def escapes(alpha: float) -> bool:  # the same draws at every mixing
        peaks = linear_peaks(problem, preset, step_size, batch, alpha, seed)
        return bool(np.median(peaks) >= np.log(preset.radius))

    return escapes


def _frontier(escapes: Test) -> float | None:
    """Smallest mixing that escapes within the horizon, to 1 %; None if α = 1 does not."""
    if escapes(0.0):
        return 0.0
    if not escapes(1.0):
        return None
    low, high = 1e-4, 1.0
    if escapes(low):
        return low
    while high / low > 1.01:
        middle = np.sqrt(low * high)
        low, high = (low, middle) if escapes(middle) else (middle, high)
    return float(np.sqrt(low * high))


def _spread(frontier: list[float | None], n_alphas: int) -> FloatArray:
    """α = 0 and a geometric range around the frontiers, its ends included."""
    known = [max(f, 1e-3) if f is not None else 1.0 for f in frontier]
    low, high = min(known) / 1.35, min(1.0, max(known) * 1.35)
    return np.concatenate([[0.0], np.geomspace(low, high, n_alphas - 1)])
