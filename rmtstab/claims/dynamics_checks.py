"""Checks of the second-moment operator and its bounds, each on instances of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.claims.figure_data import figure_of, series
from rmtstab.ensembles import SignalPlusNoise
from rmtstab.unlearning.problem import UnlearningProblem

SAMPLINGS = ("without_replacement", "with_replacement", "bernoulli")


def bound_sandwich(rng: np.random.Generator) -> dict[str, Any]:
    """Closed-form bounds against the exact growth factor on random problems."""
    violations, thresholds, crossed, fixed = 0, 0, 0, 0
    lower: list[float] = []
    upper: list[float] = []
    for k in range(150):
        problem = _random_problem(rng)
        batch = (
            int(rng.integers(1, problem.n_retain + 1)),
            int(rng.integers(1, problem.n_forget + 1)),
        )
        alpha = (0.0, 0.05, 0.3, 1.0)[k % 4]
        largest = problem.factors.singular_values[0] ** 2 / problem.factors.n_samples
        dyn = problem.dynamics(
            step_size=float(rng.uniform(0.2, 1.5)) / largest,
            batch_size=batch,
            alpha=alpha,
            sampling=SAMPLINGS[k % 3],
        )
        growth = dyn.growth()
        slack = 1e-10 * growth.value + growth.error_bound
        bounds = dyn.bounds()
        below = [b.rho_bound for b in bounds if b.kind == "necessary"]
        above = [
            b.rho_bound for b in bounds if b.kind == "sufficient" and b.rho_bound == b.rho_bound
        ]
        violations += sum(not b <= growth.value + slack for b in below)
        if dyn.sampling != "bernoulli":  # the nearest failure: another scheme's noise
            fixed += 1
            other = problem.dynamics(dyn.step_size, batch, alpha, "bernoulli").bounds()
            crossed += any(
                b.kind == "necessary" and not b.rho_bound <= growth.value + slack for b in other
            )
        violations += sum(not b >= growth.value - slack for b in above)
        stable = growth.value <= 1.0 + slack
        violations += sum(
            b.satisfied and not stable for b in bounds if b.kind == "sufficient"
        ) + sum(stable and not b.satisfied for b in bounds if b.kind == "necessary")
        for b in bounds:
            if 0.0 < b.critical_step_size < np.inf:
                thresholds += 1
                there = problem.dynamics(
                    step_size=b.critical_step_size,
                    batch_size=batch,
                    alpha=alpha,
                    sampling=SAMPLINGS[k % 3],
                ).growth()
                low, high = there.value * (1 - 1e-9), there.value + there.error_bound
                violations += high < 1.0 - 1e-9 if b.kind == "necessary" else low > 1.0 + 1e-9
        lower.append(max(below) / growth.value)
        upper.append(growth.value / min(above))
    return {
        "instances": len(lower),
        "violations": int(violations),
        "lower_median": float(np.median(lower)),
        "lower_1_percent": float(np.quantile(lower, 0.01)),
        "upper_median": float(np.median(upper)),
        "upper_1_percent": float(np.quantile(upper, 0.01)),
        "thresholds": thresholds,
        "other_scheme_violated": crossed / fixed,
        "figure": figure_of(
            "quantile of the instances",
            "tightness",
            [
                series(name, np.linspace(0.0, 1.0, len(values)), sorted(values))
                for name, values in (("best lower / ρ", lower), ("ρ / best upper", upper))
            ],
            levels=[1.0],
        ),
    }


def one_step_moments(rng: np.random.Generator) -> dict[str, Any]:
    """``E[‖w⁺‖² | w]`` from drawn batches and explicit factors, against ``tr Φ(wwᵀ)``."""
    scores: list[float] = []
    wrong: list[float] = []
    for k in range(18):
        sampling = SAMPLINGS[k % 3]
        retain, forget = rng.standard_normal((7, 5)), rng.standard_normal((4, 5))
        problem = UnlearningProblem.from_factors(retain, forget)
        step, batch, alpha = 0.2, (2, 1), 0.4
        w = rng.standard_normal(5)
        draws = 100_000
        moves = np.zeros((draws, 5))
        for factors, b, a in ((retain, batch[0], 1 - alpha), (forget, batch[1], -alpha)):
            counts = _inclusions(len(factors), b, sampling, draws, rng)
            moves += a / b * (counts * (factors @ w)) @ factors
        squares = ((w - step * moves) ** 2).sum(axis=1)
        error = squares.std(ddof=1) / np.sqrt(draws)
        inside = problem.from_predictions(np.concatenate([retain, forget]) @ w)
        for name in SAMPLINGS:
            dyn = problem.dynamics(step_size=step, batch_size=batch, alpha=alpha, sampling=name)
            predicted = float(np.trace(dyn.apply(np.outer(inside, inside))))
            (scores if name == sampling else wrong).append((squares.mean() - predicted) / error)
    return {
        "worst_z": float(np.abs(scores).max()),
        "tests": len(scores),
        "median_wrong_z": float(np.median(np.abs(wrong))),
        "worst_wrong_z": float(np.abs(wrong).max()),
        "figure": figure_of(
            "rank",
            "deviation (standard errors)",
            [
                series(name, np.linspace(0.0, 1.0, len(z)), sorted(np.abs(z)))
                for name, z in (("its own formula", scores), ("another scheme's (fails)", wrong))
            ],
            logarithmic="y",
            levels=[5.0],
        ),
    }


def typical_below_mean_square(rng: np.random.Generator) -> dict[str, Any]:
    """Lyapunov rate against ``½ log ρ`` where batch noise is strong, and where it is absent."""
    patches, _ = SignalPlusNoise(40, 100, 0.0).sample(rng)
    problem = UnlearningProblem.from_factors(patches[:32, 1], patches[32:, 1])
    threshold = float(problem.critical_step_size((2, 1), 0.0, sampling="without_replacement"))
    rows: list[dict[str, Any]] = []
    for batch in ((2, 1), (32, 8)):
        dyn = problem.dynamics(
            step_size=4.0 * threshold, batch_size=batch, alpha=0.1, sampling="without_replacement"
        )
        rate = dyn.lyapunov(rng, replicas=64, steps=300)
        rows.append(
            {
                "batch_size": list(batch),
                "mean_square_rate": float(dyn.escape_rate()),
                "lyapunov": rate.value,
                "lyapunov_error": rate.standard_error,
            }
        )
    lines = [
        series(
            name,
            ["2/1", "32/8"],
            [row[key] for row in rows],
            error=None if error is None else [row[error] for row in rows],
        )
        for name, key, error in (
            ("½ log ρ", "mean_square_rate", None),
            ("Lyapunov rate", "lyapunov", "lyapunov_error"),
        )
    ]
    return {"rows": rows, "figure": figure_of("batches, retain/forget", "rate per step", lines)}


def _random_problem(rng: np.random.Generator) -> UnlearningProblem:
    """Random sizes and ranks; the samples' norms spread over a decade."""
    d = int(rng.integers(2, 7))
    shape = int(rng.integers(2, 9)), int(rng.integers(1, 7))
    outputs = int(rng.integers(1, 3))
    sets = [
        rng.standard_normal((n, outputs, d)) * 10.0 ** rng.uniform(-0.5, 0.5, size=(n, 1, 1))
        for n in shape
    ]
    return UnlearningProblem.from_factors(*sets)


def _inclusions(n: int, b: int, sampling: str, draws: int, rng: np.random.Generator) -> FloatArray:
    if sampling == "bernoulli":
        return (rng.random((draws, n)) < b / n).astype(float)
    if sampling == "with_replacement":
        return rng.multinomial(b, np.full(n, 1.0 / n), size=draws).astype(float)
    return (rng.random((draws, n)).argsort(axis=1) < b).astype(float)
