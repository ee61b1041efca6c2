"""Resistance and escape time of one network under each step-size protocol: one durable cell.

Many data sets are compared over the signal-to-noise ratio, so that a cell trains its own network,
keeps no weights, and observes as many steps as escape takes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.experiment import networks, predictions
from rmtstab.experiment.networks import Network
from rmtstab.experiment.presets import Preset
from rmtstab.theory import measured_masks
from rmtstab.unlearning import Dynamics

RECORDS = 150  # of a run, over its predicted escape time
PATIENCE = 4.0  # predicted escape times that a run is given


def describe(
    preset: Preset, spec: dict[str, Any], common_step: float, device: str
) -> dict[str, Any]:
    """Train one network; say what theory predicts of its escapes, and what its real runs do.

    Parameters
    ----------
    preset : Preset
    spec : dict
        As for `rmtstab.experiment.data.load`.
    common_step : float
        The step size common to all networks.
    device : str

    Returns
    -------
    dict
        ``coherence``, ``mean_resistance`` (Ψ of small steps), ``measured_masks`` (its closed form
        at this network's masks) and ``protocols``: of each, ``step_size``, the exact
        ``resistance``, what Φᵏ predicts (``finite_resistance``, ``escape_time``) and what was
        ``observed``.
    """
    network, training = networks.train(preset, spec, device)
    problem = network.problem()
    sizes = predictions.step_sizes(problem, preset.batch_size, common_step)
    coherence = problem.coherence(alpha=preset.alpha)
    # by the mean alone: small steps, in which batches make no noise
    slow = problem.dynamics(
        step_size=1e-3 * sizes["sharpness_scaled"], batch_size=preset.batch_size,
        alpha=preset.alpha, sampling=predictions.SAMPLING,
    )  # fmt: skip
    found: dict[str, Any] = {
        "loss": training["loss"],
        "mean_resistance": slow.resistance(),
        "coherence": {axis: getattr(coherence, axis) for axis in ("retain", "forget", "cross")},
        "measured_masks": _closed_form(network, preset, spec["snr"]),
        "protocols": {},
    }
    for position, (name, step_size) in enumerate(sizes.items()):
        dyn = problem.dynamics(
            step_size=step_size,
            batch_size=preset.batch_size,
            alpha=preset.alpha,
            sampling=predictions.SAMPLING,
        )
        # the same starts and batches at each ratio of a data set: what they share cancels
        rng = np.random.default_rng([spec["seed"], spec["index"], 29, position])
        found["protocols"][name] = {
            "step_size": step_size,
            "resistance": dyn.resistance() if dyn.growth_factor() > 1.0 else None,
            "sgd_growth_upper": _upper(dyn.at(alpha=0.0)),
            **_compare(network, dyn, preset, rng),
        }
    return found


def _compare(
    network: Network, dyn: Dynamics, preset: Preset, rng: np.random.Generator
) -> dict[str, Any]:
    """Predict and observe; the steps at which losses are looked at are the same for both."""
    growth, factor = dyn.growth_factor(), predictions.FORGET_FACTOR
    fold = 2.0 / math.log(growth) if growth > 1.0 else math.inf
    horizon = int(min(preset.escape_horizon, 8.0 * fold))  # a start loses about one to transients
    path = dyn.trajectory(horizon)
    expected = _passage(path.displacement[None], preset.radius**2)
    steps = horizon if expected is None else int(min(horizon, PATIENCE * expected + 10.0))
    every = max(1, (expected or horizon) // RECORDS)

    def done(norms: FloatArray, _: FloatArray, forget: FloatArray) -> bool:
        # growth, once there, is monotone: looking at the last record costs O(1) a record
        far = norms[:, -1] >= preset.radius * norms[:, 0]
        return bool(far.all() and forget[:, -1].mean() >= factor * forget[:, 0].mean())

    runs = network.unlearn(
        step_size=dyn.step_size,
        batch_size=preset.batch_size,
        alpha=preset.alpha,
        steps=steps,
        initial=network.starts(preset.escape_replicas, preset.displacement, rng),
        rng=rng,
        record_every=every,
        until=done,
    )
    seen = runs.plan.recorded[: runs.displacement.shape[1]]
    records = np.unique(np.append(np.arange(0, horizon, every), horizon))
    passed = _passage(runs.displacement, preset.radius)
    resistance, error = _jackknife(runs.retain_loss, runs.forget_loss)
    return {
        "escape_time": expected,
        "finite_resistance": _resistance(
            path.retain_loss[None, records], path.forget_loss[None, records]
        ),
        "observed": {
            "resistance": resistance,
            "resistance_log_error": error,
            "escape_time": None if passed is None else int(seen[passed]),
            "flipped": float(runs.flipped.max()),
        },
    }


def _upper(dyn: Dynamics) -> float:
    growth = dyn.growth()
    return growth.value + growth.error_bound


def _closed_form(network: Network, preset: Preset, snr: float) -> dict[str, Any]:
    """Ψ and curvature of the escape, by the closed form at the masks of the trained network."""
    weights = network.weights.reshape(-1, network.patches.shape[2])
    on_signal, on_noise = ((network.patches[:, p] @ weights.T) > 0 for p in (0, -1))
    active = [float(on_signal[network.labels * s > 0].sum(axis=1).mean()) for s in (1.0, -1.0)]
    found = measured_masks.escape(
        on_noise, network.labels, network.n_retain, preset.dim, snr, preset.alpha,
        signal_filters=(active[0], active[1]),
    )  # fmt: skip
    return {
        "resistance": found.resistance if found.curvature > 0.0 else None,
        "curvature": found.curvature,
        "through_signal": found.through_signal,
    }


def _resistance(retain: FloatArray, forget: FloatArray) -> float | None:
    """``(R_t/R_0)/(F_t/F_0)`` at the first tenfold mean forget loss; None if it never is."""
    r, f = retain.mean(axis=0), forget.mean(axis=0)
    grown = np.flatnonzero(f >= predictions.FORGET_FACTOR * f[0])
    return float(r[grown[0]] / r[0] / (f[grown[0]] / f[0])) if grown.size else None


def _jackknife(retain: FloatArray, forget: FloatArray) -> tuple[float | None, float | None]:
    """Observed resistance with its bias of order 1/replicas removed, and its error, in logarithm.

    At high ratios two directions hold the retain loss: the mean of a few starts is a χ² with few
    degrees of freedom, whose logarithm lies below that of its mean.
    """
    whole = _resistance(retain, forget)
    if whole is None:
        return None, None
    row = int(np.argmax(forget.mean(axis=0) >= predictions.FORGET_FACTOR * forget[:, 0].mean()))
    others = ~np.eye(len(retain), dtype=bool)  # the step stays: it would jump, and add variance

    def growth(losses: FloatArray) -> FloatArray:
        ends = others @ losses[:, [0, row]]
        logs: FloatArray = np.log(ends[:, 1] / ends[:, 0])
        return logs

    left_out = growth(retain) - growth(forget)
    count = len(left_out)
    value = count * math.log(whole) - (count - 1) * float(left_out.mean())
    return math.exp(value), float(left_out.std() * math.sqrt(count - 1))


def _passage(rows: FloatArray, factor: float) -> int | None:
    """First column at which more than half of the rows have been ``factor`` times their start."""
    passed = np.maximum.accumulate(rows >= factor * rows[:, :1], axis=1)
    columns = np.flatnonzero(2 * passed.sum(axis=0) > len(rows))
    return int(columns[0]) if columns.size else None
