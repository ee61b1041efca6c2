"""What theory says of one network: step sizes, growth, resistance, frontiers. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.claims.networks.records import PROTOCOLS, WRONG
from rmtstab.dynamics.mixings import simulate_mixings
from rmtstab.experiment.presets import Preset
from rmtstab.unlearning.problem import UnlearningProblem

SAMPLING = "without_replacement"  # what the real runs do
FORGET_FACTOR = 10.0  # κ of the finite-horizon resistance
DIGITS = 5  # decimals of what a map keeps
Batched = Sequence[tuple[int, int]]


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


def growth_cells(
    problem: UnlearningProblem, step_size: float, batch_sizes: Batched, frontier: float
) -> dict[str, Any]:
    """Certified growth without ascent, and a little and well beyond the mean's frontier."""
    alphas = [0.0, *sorted({min(1.0, factor * frontier) for factor in (0.9, 1.15, 1.4)})]
    return {
        "step_size": step_size,
        "alphas": alphas,
        "batch_sizes": [list(b) for b in batch_sizes],
        "cells": [
            _growth(problem, step_size, batch, alpha) for alpha in alphas for batch in batch_sizes
        ],
    }


def growth_upper(
    problem: UnlearningProblem, step_size: float, batch_size: tuple[int, int]
) -> float:
    """Certified upper end of plain SGD's growth factor."""
    growth = problem.dynamics(
        step_size=step_size, batch_size=batch_size, alpha=0.0, sampling=SAMPLING
    ).growth()
    return growth.value + growth.error_bound


def mean_frontier(problem: UnlearningProblem, preset: Preset, step_size: float) -> float:
    """Smallest mixing at which full batches escape within the horizon, to 1 %; at most 1."""
    sizes = problem.n_retain, problem.n_forget

    def escapes(alpha: float) -> bool:
        dyn = problem.dynamics(
            step_size=step_size, batch_size=sizes, alpha=alpha, sampling=SAMPLING
        )
        path = dyn.trajectory(preset.horizon).displacement
        return bool(path.max() >= preset.radius**2 * path[0])

    low, high = 1e-3, 1.0
    if not escapes(high):
        return high
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if escapes(middle) else (middle, high)
    return math.sqrt(low * high)


def column(
    problem: UnlearningProblem,
    preset: Preset,
    step_size: float,
    batch_size: tuple[int, int],
    alphas: Sequence[float],
    horizons: Sequence[int],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Predict one batch size of a map: typical runs and the mean square at every mixing.

    The linearised runs at all mixings share starts and batches. Everything is looked at
    every `record_step` steps, as the real runs are.

    Parameters
    ----------
    problem : UnlearningProblem
    preset : Preset
    step_size : float
    batch_size : (int, int)
    alphas : sequence of float
    horizons : sequence of int
        Ascending.
    rng : numpy.random.Generator

    Returns
    -------
    dict
        One list a horizon, of one number a mixing: ``peak`` (median log peak displacement)
        and its standard error ``peak_error``, ``probability`` that a run escapes, the same
        of a theory whose log growth is `WRONG` times as large (``probability_wrong``),
        ``forgets`` and ``forgets_wrong`` (that its forget loss reaches radius²), ``mean`` and
        ``spread`` of the log displacement at the horizon, and half the logarithm of the mean
        square, ``mean_square`` at the horizon and ``mean_square_peak``.
    """
    every, level = record_step(horizons), math.log(preset.radius)
    runs = simulate_mixings(
        problem, step_size, batch_size, alphas, SAMPLING, steps=horizons[-1],
        replicas=preset.map_linear_replicas, rng=rng, record_every=every,
    )  # fmt: skip
    logs = runs.log_displacement - runs.log_displacement[:, :1]
    with np.errstate(invalid="ignore"):
        forget = runs.log_forget_loss - runs.log_forget_loss[:, :1]
    moments = np.array(
        [
            problem.dynamics(
                step_size=step_size, batch_size=batch_size, alpha=alpha, sampling=SAMPLING
            ).trajectory(horizons[-1]).displacement[::every]
            for alpha in alphas
        ]
    ).T  # fmt: skip
    squares = 0.5 * np.log(moments / moments[0])
    found: dict[str, list[Any]] = {}
    for horizon in horizons:
        last = horizon // every + 1
        peaks, final = logs[:, :last].max(axis=1), logs[:, last - 1]
        lost = forget[:, :last].max(axis=1)
        values = {
            "peak": np.median(peaks, axis=0),
            "peak_error": median_error(peaks),
            "probability": (peaks >= level).mean(axis=0),
            "probability_wrong": (WRONG * peaks >= level).mean(axis=0),
            "forgets": (lost >= 2.0 * level).mean(axis=0),
            "forgets_wrong": (WRONG * lost >= 2.0 * level).mean(axis=0),
            "mean": final.mean(axis=0),
            "spread": final.std(axis=0, ddof=1),
            "mean_square": squares[last - 1],
            "mean_square_peak": squares[:last].max(axis=0),
        }
        for name, value in values.items():
            found.setdefault(name, []).append(np.round(value, DIGITS).tolist())
    return found


def record_step(horizons: Sequence[int]) -> int:
    """Steps between two looks at a run: a tenth of the shortest horizon, or what divides all."""
    tenth = max(1, horizons[0] // 10)
    return next(e for e in range(tenth, 0, -1) if not any(h % e for h in horizons))


def median_error(values: FloatArray) -> FloatArray:
    """Standard error of the median over rows, from the order statistics on either side of it."""
    count = len(values)
    ordered = np.sort(values, axis=0)
    low = max(0, math.floor(0.5 * (count - math.sqrt(count))))
    result: FloatArray = 0.5 * (ordered[count - 1 - low] - ordered[low])
    return result


def bootstrap_error(values: FloatArray, seed: int = 0) -> float:
    """Bootstrap standard error of the median."""
    rng = np.random.default_rng(seed)
    draws = values[rng.integers(len(values), size=(400, len(values)))]
    return float(np.median(draws, axis=1).std(ddof=1))


def _growth(
    problem: UnlearningProblem, step_size: float, batch: tuple[int, int], alpha: float
) -> dict[str, Any]:
    dyn = problem.dynamics(step_size=step_size, batch_size=batch, alpha=alpha, sampling=SAMPLING)
    growth = dyn.growth()
    mean = float(np.max((1.0 - step_size * np.asarray(dyn.mean_eigenvalues)) ** 2))
    return {
        "alpha": alpha,
        "batch_size": list(batch),
        "growth_factor": growth.value,
        "growth_error": growth.error_bound,
        "growth_converged": growth.converged,
        "verdict": growth.verdict.value,
        "reason": growth.reason.name,
        # how much of the growth the noise-free mean carries
        "mean_share": float(np.log(mean) / np.log(growth.value)) if growth.value > 1 else None,
    }
