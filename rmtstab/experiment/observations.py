"""What the real networks do: each function is one durable cell of a validation run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.func import functional_call, grad, vmap

from rmtstab._results import FloatArray
from rmtstab.bridge.losses import per_sample
from rmtstab.experiment import networks, predictions
from rmtstab.experiment.networks import Network
from rmtstab.experiment.presets import Preset

LIMIT = 60.0  # of a logarithm: runs that overflow have this displacement


def outcome(
    network: Network,
    preset: Preset,
    step_size: float,
    batch_size: tuple[int, int],
    alpha: float,
    displacement: float,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Run one setting: how far replicas got, by displacement and by forget loss.

    Runs end once more than half of the replicas have passed both levels,
    ``radius`` for the displacement and ``radius²`` for the forget loss: the
    medians are decided then.
    """
    log_radius = np.log(preset.radius)

    def decided(norms: FloatArray, _: FloatArray, forget: FloatArray) -> bool:
        far = _log_peak(norms) >= log_radius
        forgot = _log_peak(forget) >= 2.0 * log_radius
        return bool(2 * far.sum() > len(far) and 2 * forgot.sum() > len(far))

    runs = network.unlearn(
        step_size=step_size,
        batch_size=batch_size,
        alpha=alpha,
        steps=preset.horizon,
        initial=network.starts(preset.replicas, displacement, rng),
        rng=rng,
        until=decided,
    )
    peaks = _log_peak(runs.displacement)
    forget_peaks = _log_peak(runs.forget_loss)
    return {
        "log_peak": float(np.median(peaks)),
        "log_peak_error": predictions.bootstrap_error(peaks),
        "escaped": bool(np.median(peaks) >= log_radius),
        "forgot": bool(np.median(forget_peaks) >= 2.0 * log_radius),
        "log_forget_peak": float(np.median(forget_peaks)),
        "steps": runs.displacement.shape[1] - 1,
        "escape_time": _median_passage(runs.displacement, preset.radius),
        "flipped": float(runs.flipped.max()),
    }


def column(
    network: Network,
    preset: Preset,
    step_size: float,
    batch_size: tuple[int, int],
    alphas: Sequence[float],
    horizons: Sequence[int],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Unlearn at one batch size of a map: every mixing, in as few compiled calls as draws allow.

    Neighbouring mixings have draws of their own (two calls, of every second mixing each);
    within a call all mixings share them.

    Parameters
    ----------
    network : Network
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
        One list a horizon, of one number a mixing: how many runs ``escaped`` (displacement
        ``radius`` times the start's), ``forgot`` (forget loss radius² times the start's), and
        did ``both``; ``mean`` and ``median`` of the log displacement at the horizon; and
        ``flipped``, the largest share of masks that differ after the last step, one number.
    """
    every, level = predictions.record_step(horizons), np.log(preset.radius)
    shape = len(alphas), preset.map_replicas, horizons[-1] // every + 1
    norms, losses, flipped = np.empty(shape), np.empty(shape), 0.0
    for part in range(min(2, len(alphas))):
        runs = network.unlearn(
            step_size=step_size,
            batch_size=batch_size,
            alpha=np.array(alphas[part::2]),
            steps=horizons[-1],
            initial=network.starts(preset.map_replicas, preset.displacement, rng),
            rng=rng,
            record_every=every,
        )
        norms[part::2], losses[part::2] = runs.displacement, runs.forget_loss
        flipped = max(flipped, float(runs.flipped.max()))
    with np.errstate(over="ignore", divide="ignore"):
        logs, forget = (np.log(v / v[..., :1]).clip(-LIMIT, LIMIT) for v in (norms, losses))
    found: dict[str, Any] = {"flipped": flipped}
    for horizon in horizons:
        last = horizon // every + 1
        final = logs[..., last - 1]
        escaped = logs[..., :last].max(axis=-1) >= level
        forgot = forget[..., :last].max(axis=-1) >= 2.0 * level
        values = {
            "escaped": escaped.sum(axis=1),
            "forgot": forgot.sum(axis=1),
            "both": (escaped & forgot).sum(axis=1),
            "mean": final.mean(axis=1).round(predictions.DIGITS),
            "median": np.median(final, axis=1).round(predictions.DIGITS),
        }
        for name, value in values.items():
            found.setdefault(name, []).append(value.tolist())
    return found


def trajectory(
    network: Network,
    preset: Preset,
    step_size: float,
    batch_size: tuple[int, int],
    alpha: float,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Follow many replicas over the horizon, beside Φᵏ and the linearised simulation."""
    runs = network.unlearn(
        step_size=step_size,
        batch_size=batch_size,
        alpha=alpha,
        steps=preset.horizon,
        initial=network.starts(preset.check_replicas, preset.displacement, rng),
        rng=rng,
    )
    problem = network.problem()
    dyn = problem.dynamics(
        step_size=step_size, batch_size=batch_size, alpha=alpha, sampling=predictions.SAMPLING
    )
    path = dyn.trajectory(preset.horizon)
    linear = dyn.simulate(preset.horizon, preset.linear_replicas, rng)
    logs = np.log(runs.displacement / runs.displacement[:, :1])
    linear_norms = np.asarray(linear.displacement)
    linear_logs = np.log(linear_norms / linear_norms[:, :1])
    squares = (runs.displacement / runs.displacement[:, :1]) ** 2
    rate = dyn.lyapunov(rng, replicas=64, steps=preset.horizon)
    growth = dyn.growth()
    mean = float(np.max((1.0 - step_size * np.asarray(dyn.mean_eigenvalues)) ** 2))
    scale = (preset.displacement * np.linalg.norm(network.weights)) ** 2
    return {
        "growth_factor": growth.value,
        "mean_share": float(np.log(mean) / np.log(growth.value)) if growth.value > 1 else None,
        "lyapunov": rate.value,
        "lyapunov_error": rate.standard_error,
        "mean_square": squares.mean(axis=0).tolist(),
        "mean_square_error": _standard_error(squares).tolist(),
        "mean_square_skewness": _skewness(squares).tolist(),
        "mean_square_predicted": (path.displacement / path.displacement[0]).tolist(),
        "log_quantiles": np.quantile(logs, (0.1, 0.5, 0.9), axis=0).tolist(),
        "median_error": predictions.bootstrap_error(logs[:, -1]),
        "linear_median": np.median(linear_logs, axis=0).tolist(),
        "linear_median_error": predictions.bootstrap_error(linear_logs[:, -1]),
        "retain_loss": runs.retain_loss.mean(axis=0).tolist(),
        "retain_loss_error": _standard_error(runs.retain_loss).tolist(),
        "retain_loss_predicted": (path.retain_loss / path.displacement[0] * scale).tolist(),
        "forget_loss": runs.forget_loss.mean(axis=0).tolist(),
        "forget_loss_error": _standard_error(runs.forget_loss).tolist(),
        "forget_loss_predicted": (path.forget_loss / path.displacement[0] * scale).tolist(),
        "flipped": float(runs.flipped.max()),
    }


def one_step(
    network: Network,
    preset: Preset,
    step_size: float,
    batch_size: tuple[int, int],
    alpha: float,
    fraction: float,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Compare ``E[‖w⁺‖² | w]`` with ``tr Φ(wwᵀ)`` at a point w of a real run.

    The point lies a fraction of the predicted escape time along the run. Many
    batches are drawn there, with the network's own gradients; no rare run can
    spoil the mean. The z-scores of three wrong formulas (drawing with replacement,
    from both sets or from the forget set alone, and no batch noise at all) stand
    beside it.
    """
    problem = network.problem()
    true = problem.dynamics(
        step_size=step_size, batch_size=batch_size, alpha=alpha, sampling=predictions.SAMPLING
    )
    steps = int(fraction * min(preset.horizon, true.escape_time(preset.radius)))
    runs = network.unlearn(
        step_size=step_size,
        batch_size=batch_size,
        alpha=alpha,
        steps=steps,
        initial=network.starts(1, preset.displacement, rng),
        rng=rng,
    )
    point = runs.final[0]
    slopes = _sample_gradients(network, point)
    weights = _signed_batches(
        (network.n_retain, len(network.labels) - network.n_retain),
        batch_size,
        alpha,
        preset.resamples,
        rng,
    )
    along, gram = slopes @ point, slopes @ slopes.T
    quadratic = np.einsum("ki,ki->k", weights @ gram, weights)
    squares = point @ point - 2.0 * step_size * (weights @ along) + step_size**2 * quadratic
    inside = problem.from_predictions(network.gradients() @ point)
    outside = float(point @ point - inside @ inside)

    def predicted(sampling: str, batches: tuple[int, int] = batch_size) -> float:
        dyn = problem.dynamics(
            step_size=step_size, batch_size=batches, alpha=alpha, sampling=sampling
        )
        return float(np.trace(dyn.apply(np.outer(inside, inside)))) + outside

    observed = float(squares.mean())
    error = float(squares.std(ddof=1) / np.sqrt(len(squares)))
    own = predicted(predictions.SAMPLING)
    # noise of the forget batch: (n − B)/(n − 1) of what it is with replacement (none at B = n)
    n_retain, n_forget = network.n_retain, len(network.labels) - network.n_retain
    noise = predicted(predictions.SAMPLING, (n_retain, batch_size[1])) - predicted(
        predictions.SAMPLING, (n_retain, n_forget)
    )
    replaced = own + noise * ((n_forget - 1) / max(n_forget - batch_size[1], 1) - 1.0)
    mean_step = point - step_size * (_signed_mean(network, alpha) @ slopes)
    return {
        "steps": steps,
        "observed": observed,
        "error": error,
        "predicted": own,
        "z": _z(observed, own, error),
        "z_with_replacement": _z(observed, predicted("with_replacement"), error),
        "z_forget_with_replacement": _z(observed, replaced, error),
        "z_mean_only": _z(observed, float(mean_step @ mean_step), error),
        "flipped": float(runs.flipped.max()),
    }


def _z(observed: float, predicted: float, error: float) -> float:
    """Deviation in standard errors; rounding counts as one where nothing is random."""
    return (observed - predicted) / max(error, 1e-12 * abs(predicted))


def _signed_mean(network: Network, alpha: float) -> FloatArray:
    n_forget = len(network.labels) - network.n_retain
    return np.concatenate(
        [
            np.full(network.n_retain, (1.0 - alpha) / network.n_retain),
            np.full(n_forget, -alpha / n_forget),
        ]
    )


def _signed_batches(
    sizes: tuple[int, int],
    batches: tuple[int, int],
    alpha: float,
    draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Uniform subsets of both sets, as signed sample weights (draws, n)."""
    parts = []
    for n, b, a in zip(sizes, batches, (1.0 - alpha, -alpha), strict=True):
        order = rng.random((draws, n)).argsort(axis=1)
        parts.append(np.where(order < b, a / b, 0.0))
    return np.concatenate(parts, axis=1)


def _sample_gradients(network: Network, displacement: FloatArray) -> FloatArray:
    """Gradient of each sample's loss at w* + displacement, (n, n_parameters)."""
    centre = network.model.weights.detach()
    shift = torch.as_tensor(displacement, dtype=centre.dtype, device=centre.device)
    weights = centre + shift.view_as(centre)

    def objective(weights: torch.Tensor, sample: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        output = functional_call(network.model, {"weights": weights}, (sample[None],))
        return per_sample(networks.LOSS, output, label[None])[0]

    slopes = vmap(grad(objective), in_dims=(None, 0, 0))(weights, *network.data)
    result: FloatArray = slopes.flatten(1).cpu().numpy()
    return result


def _log_peak(values: FloatArray) -> FloatArray:
    """``max_t log(x_t/x_0)`` of each row."""
    peaks: FloatArray = np.log(values.max(axis=1) / values[:, 0])
    return peaks


def _median_passage(norms: FloatArray, radius: float) -> int | None:
    """First step at which more than half of the rows have reached ``radius`` times their start."""
    passed = np.maximum.accumulate(norms >= radius * norms[:, :1], axis=1)
    steps = np.flatnonzero(2 * passed.sum(axis=0) > len(norms))
    return int(steps[0]) if steps.size else None


def _standard_error(values: FloatArray) -> FloatArray:
    result: FloatArray = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return result


def _skewness(values: FloatArray) -> FloatArray:
    """Third central moment over the cubed deviation, 0 where nothing is random."""
    centred = values - values.mean(axis=0)
    deviation = values.std(axis=0, ddof=1)
    scaled = centred / np.where(deviation > 0.0, deviation, 1.0)  # before the cube, which overflows
    result: FloatArray = (scaled**3).mean(axis=0)
    return result
