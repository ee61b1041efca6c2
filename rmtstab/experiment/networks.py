"""Train a network of a validation run, read its curvature, and let theory speak of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from rmtstab import bridge
from rmtstab._results import FloatArray
from rmtstab.bridge.factors import Data, resolve_device
from rmtstab.curvature import cnn_gram, kink_margin
from rmtstab.experiment import data, predictions
from rmtstab.experiment.planes import frontier_key, shares
from rmtstab.experiment.presets import Preset
from rmtstab.unlearning.problem import UnlearningProblem

TRAINING_STEPS, STARTS = 2000, 8
LOSS = bridge.half_squared_error


class Network:
    """A network at its interpolating weights, with its data split and its problem."""

    def __init__(
        self,
        model: bridge.TwoLayerReLUCNN,
        patches: FloatArray,
        labels: FloatArray,
        n_retain: int,
        device: str,
    ) -> None:
        self.model, self.n_retain = model, n_retain
        self.patches, self.labels = patches, labels
        self.to(device)

    def to(self, device: str) -> Network:
        """Move model and data to a device, in place."""
        place = resolve_device(device)
        self.model.to(place)
        self.data: Data = (
            torch.tensor(self.patches, device=place), torch.tensor(self.labels, device=place),
        )  # fmt: skip
        self.retain: Data = tuple(t[: self.n_retain] for t in self.data)  # type: ignore[assignment]
        self.forget: Data = tuple(t[self.n_retain :] for t in self.data)  # type: ignore[assignment]
        return self

    @property
    def weights(self) -> FloatArray:
        """Filters, (2, m, dim)."""
        return self.model.weights.detach().cpu().numpy()

    def gram(self) -> FloatArray:
        """Closed-form Gram matrix of the per-sample curvatures, retain first."""
        return cnn_gram(self.weights, self.patches, self.labels)

    def problem(self) -> UnlearningProblem:
        """Return the unlearning problem of that Gram matrix."""
        return UnlearningProblem.from_gram(self.gram(), self.n_retain)

    def gradients(self) -> FloatArray:
        """``∇f_i`` at the weights, (n, n_parameters), by autograd."""
        return bridge.sample_factors(self.model, LOSS, self.data)[:, 0]

    def unlearn(self, **settings: Any) -> bridge.UnlearningRuns:
        """Run the real unlearning; settings as for `rmtstab.bridge.unlearn`."""
        return bridge.unlearn(self.model, LOSS, self.retain, self.forget, **settings)

    def starts(self, replicas: int, size: float, rng: np.random.Generator) -> FloatArray:
        """Displacements of norm ``size·‖w*‖``, isotropic on the range of the gradients."""
        _, _, basis = np.linalg.svd(self.gradients(), full_matrices=False)
        rank = np.linalg.matrix_rank(self.gram(), hermitian=True)
        directions = rng.standard_normal((replicas, rank)) @ basis[:rank]
        norms = np.linalg.norm(directions, axis=1, keepdims=True)
        starts: FloatArray = directions * (size * np.linalg.norm(self.weights) / norms)
        return starts


def train(preset: Preset, spec: dict[str, Any], device: str) -> tuple[Network, dict[str, Any]]:
    """Train by gradient descent and polish to interpolation; also say how that went.

    Always on the CPU: networks of this size train faster there than a GPU launches their
    kernels, and the runs on every device start from the same weights.
    With few filters, gradient descent silences some sample's filters for good
    in about one start of five; such a start is given up for a fresh one, and counted.
    """
    patches, labels, n_retain = data.load(preset, spec)
    real = spec["data"] != "signal_plus_noise"
    seeds = np.random.default_rng([spec["seed"], spec["index"], 3]).integers(2**31, size=STARTS)
    for starts, seed in enumerate(seeds, start=1):  # noqa: B007 (read after the loop)
        model = bridge.TwoLayerReLUCNN(
            patches.shape[2],
            preset.digits_filters if real else preset.filters,
            scale=1.0 if real else 0.1,
            seed=int(seed),
        )
        network = Network(model, patches, labels, n_retain, "cpu")
        descent = bridge.gradient_descent(
            network.model,
            network.data,
            step_size=0.5 * len(labels) / float(np.linalg.eigvalsh(network.gram())[-1]),
            steps=TRAINING_STEPS,
            tolerance=1e-2 if real else 1e-4,
        )
        polish = bridge.gauss_newton(network.model, network.data)
        if polish.converged:
            break
    return network.to(device), {
        "starts": starts,
        "descent_steps": descent.steps,
        "descent_loss": descent.loss,
        "polish_steps": polish.steps,
        "loss": polish.loss,
        "interpolates": polish.converged,
    }


def restore(preset: Preset, spec: dict[str, Any], weights: Any, device: str) -> Network:
    """Rebuild a trained network from its stored weights."""
    patches, labels, n_retain = data.load(preset, spec)
    values = torch.tensor(weights, dtype=torch.float64)
    model = bridge.TwoLayerReLUCNN(values.shape[2], values.shape[1])
    with torch.no_grad():
        model.weights.copy_(values)
    return Network(model, patches, labels, n_retain, device)


def describe(
    preset: Preset, spec: dict[str, Any], common_step: float, device: str
) -> dict[str, Any]:
    """Train a network and record curvature, coherence, predictions: one durable cell."""
    network, training = train(preset, spec, device)
    gram, problem = network.gram(), network.problem()
    n, weights = len(gram), network.weights
    values = np.linalg.eigvalsh(gram)
    masks = network.patches @ weights.reshape(-1, weights.shape[2]).T > 0
    coherence = problem.coherence(alpha=preset.alpha)
    real = spec["data"] != "signal_plus_noise"
    batch_sizes = preset.digits_batch_sizes if real else preset.batch_sizes
    record: dict[str, Any] = {
        "weights": weights.tolist(),
        "training": training,
        "n_retain": network.n_retain,
        "weight_norm": float(np.linalg.norm(weights)),
        "kink_margin": kink_margin(weights, network.patches),
        "rank": problem.rank,
        "gram_eigenvalues": values[::-1].tolist(),
        "sharpness_retain": predictions.retain_sharpness(problem),
        "sharpness_gram": float(values[-1] / n),
        "sharpness_autograd": bridge.largest_hessian_eigenvalue(network.model, LOSS, network.data),
        # filters active on each sample's last patch: the noise patch of signal-plus-noise data
        "active_filters": masks[:, -1].sum(axis=1).tolist(),
        "mask_overlap": _overlap(masks[:, -1]),
        "coherence": {
            axis: getattr(coherence, axis)
            for axis in ("retain", "forget", "cross", "total", "unlearning")
        },
    }
    threshold = float(
        problem.critical_step_size(batch_sizes[0], 0.0, sampling=predictions.SAMPLING)
    )
    record["threshold"] = threshold
    record["mean_frontier"] = {
        frontier_key(share): predictions.mean_frontier(problem, preset, share * threshold)
        for share in shares(preset.planes)
    }
    step = 0.5 * threshold
    record["map"] = predictions.growth_cells(
        problem, step, batch_sizes, predictions.mean_frontier(problem, preset, step)
    )
    record["sgd_growth_upper"] = [
        predictions.growth_upper(problem, share * threshold, batch_size)
        for share in shares(preset.planes)
        for batch_size in batch_sizes
    ]
    if not real:
        sizes = predictions.step_sizes(problem, preset.batch_size, common_step)
        record["protocols"] = {
            name: predictions.comparison(problem, preset, size) for name, size in sizes.items()
        }
    return record


def _overlap(masks: Any) -> float:
    """Mean number of filters that two different samples share, over that of independent masks."""
    shared = masks.astype(float) @ masks.T
    off = ~np.eye(len(masks), dtype=bool)
    counts = masks.sum(axis=1)
    expected = np.outer(counts, counts)[off].mean() / masks.shape[1]
    return float(shared[off].mean() / expected) if expected else math.nan
