"""Maps at natural size: real runs from w* and from displacements that a reader would call large.

Losses mean something there, masks flip, and the linear theory has to say where it stops. Every
cell of a (batch size, mixing) grid is run for real and predicted twice from the weights w* alone:
in function space (the network linearised, the loss kept) and with frozen curvature (the loss
expanded too, with the gradients at w*); with the same batches, in function space with others, and
with a wrong theory's step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rmtstab import _checks, bridge
from rmtstab._results import FloatArray
from rmtstab.bridge.curves import majority
from rmtstab.bridge.expansions import frozen, isotropic_move, started_at
from rmtstab.bridge.factors import Data
from rmtstab.bridge.frozen import frozen_curvature
from rmtstab.bridge.runs import Runs
from rmtstab.experiment import data, networks, predictions
from rmtstab.experiment.presets import Preset

PREDICTORS = ("function_space", "frozen", "other_batches", "scaled")
WRONG = 1.25  # what the step of the wrong theory is multiplied by
LOSSES = {"half_squared_error": bridge.half_squared_error, "logistic": bridge.logistic}
RESIDUAL_STEPS, RESIDUAL_REPLICAS = 150, 2  # at most, of a ResNet-8
RESIDUAL_DISPLACEMENTS = (0.0, 0.005)  # over ‖w*‖
RECORD_EVERY = 2
LEVELS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # of the distance from w*, over ‖w*‖, that runs pass
# beyond signal plus noise losses may part within a hundredth of the norm, and then explode
FINE_LEVELS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, *LEVELS)
CEILING = 1e12  # losses beyond it are alike


def displaced_maps(
    model: nn.Module,
    loss: Any,
    retain: Any,
    forget: Any,
    *,
    step_size: float,
    batch_sizes: Sequence[tuple[int, int]],
    alphas: Any,
    displacements: Sequence[float],
    steps: int,
    replicas: int,
    seed: Any,
    record_every: int = RECORD_EVERY,
    levels: Sequence[float] = LEVELS,
) -> list[dict[str, Any]]:
    """Run and predict a grid of cells from several displacements of one network.

    Parameters
    ----------
    model : torch.nn.Module
        At its trained weights w*.
    loss : callable
    retain, forget : pair of tensors
    step_size : float
        η.
    batch_sizes : sequence of (int, int)
    alphas : array_like
        Mixings.
    displacements : sequence of float
        ``‖w_0 − w*‖/‖w*‖``, in one direction, isotropic on the range of the gradients.
    steps, replicas : int
        Horizon; runs a cell, each with batches of its own.
    seed : int or sequence of int
    record_every : int, default 2
        Steps between records.
    levels : sequence of float
        Distances from w* over ‖w*‖ at which losses are compared, in increasing order.

    Returns
    -------
    list of dict
        One a displacement: ``displacement``, ``flipped`` (share of ReLU masks that the start
        changes; None where the model has no ``activation_pattern``) and ``cells``. A cell has
        ``batch_size``, ``alpha``; ``real`` and each of `PREDICTORS`: ``outcome``, ``forgets``
        and ``collapses`` (the majority's steps, None: never), and the medians over replicas of
        the log losses (``log_retain``, ``log_forget``) at the step ``at`` at which the real
        forget loss passes that of no skill (else the last); ``flipped`` and ``travelled``
        (``‖w − w*‖/‖w*‖``) at the end, and ``log_start``, the forget loss at the start; and
        ``along``: of each of ``levels`` beyond the start that the median real run passes, the log
        forget losses, real and predicted, when it first does.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> from rmtstab.experiment.natural_size import displaced_maps
    >>> x = torch.randn(12, 2, 20, generator=torch.Generator().manual_seed(0)).double()
    >>> y = torch.tensor([1.0, -1.0]).double().repeat(6)
    >>> model = bridge.TwoLayerReLUCNN(dim=20, filters=3)
    >>> found = displaced_maps(model, bridge.logistic, (x[:8], y[:8]), (x[8:], y[8:]),
    ...                        step_size=0.1, batch_sizes=[(4, 2)], alphas=[0.0, 0.5],
    ...                        displacements=(0.0, 0.05), steps=5, replicas=2, seed=0)
    >>> len(found), len(found[0]["cells"]), found[0]["cells"][0]["function_space"]["outcome"]
    (2, 2, 'keeps')
    """
    step_size = _checks.real("step_size", step_size, low=0.0, low_open=True)
    batch_sizes = [
        _checks.integers(f"batch_sizes[{k}]", pair, 2, low=1)
        for k, pair in enumerate(_checks.each("batch_sizes", batch_sizes))
    ]
    alphas = _checks.probabilities("alphas", _checks.array("alphas", alphas, ndim=1))
    displacements = [
        _checks.real(f"displacements[{k}]", value, low=0.0)
        for k, value in enumerate(_checks.each("displacements", displacements))
    ]
    steps = _checks.integer("steps", steps, low=1)
    replicas = _checks.integer("replicas", replicas, low=1)
    record_every = _checks.integer("record_every", record_every, low=1)
    levels = [
        _checks.real(f"levels[{k}]", value, low=0.0, low_open=True)
        for k, value in enumerate(_checks.each("levels", levels))
    ]
    rng = _checks.generator("seed", seed, several=True)
    net = bridge.linearise(model, loss, retain, forget)
    reference = net.references[1]
    if reference is None:
        raise ValueError("forget must hold at least one sample, got 0")
    move, change = isotropic_move(net, rng)
    size = float(net.space.weight_norm)
    chance = reference.chance
    seeds = [int(s) for s in rng.integers(2**31, size=2)]
    linear, expanded = net, frozen(net)
    found = []
    for displacement in displacements:
        shift = displacement * size
        starts = [started_at(n, shift * change) for n in (linear, expanded)]
        common = {
            "alpha": alphas, "steps": steps, "replicas": replicas, "record_every": record_every,
        }  # fmt: skip
        initial = np.tile(shift * move, (replicas, 1))
        cells: list[dict[str, Any]] = []
        for batch_size in batch_sizes:
            real = bridge.unlearn(
                model, loss, retain, forget, step_size=step_size, batch_size=batch_size,
                rng=seeds[0], initial=initial, **common,
            )  # fmt: skip
            pair = [[step_size], [WRONG * step_size]]  # one grid: a step costs what it costs
            here, other = (
                starts[0].run(pair, batch_size, rng=chosen, **common) for chosen in seeds
            )
            fixed = here  # half squared error is its own expansion
            if loss is not bridge.half_squared_error:
                fixed = starts[1].run(pair[:1], batch_size, rng=seeds[0], **common)
            # in the order of PREDICTORS
            predicted = ((here, 0), (fixed, 0), (other, 0), (here, 1))
            compared = [level for level in levels if level > displacement]
            cells += _cells(real, predicted, batch_size, alphas, size, chance, compared)
        found.append(
            {
                "displacement": float(displacement),
                "flipped": _flipped(model, retain, forget, shift * move),
                "cells": cells,
            }
        )
    return found


def _cells(
    real: bridge.UnlearningRuns,
    predicted: Sequence[tuple[Runs, int]],
    batch_size: tuple[int, int],
    alphas: FloatArray,
    size: float,
    chance: float,
    levels: Sequence[float],
) -> list[dict[str, Any]]:
    lost = np.median(real.forget_loss, axis=1) >= chance  # cells × records
    at = np.where(lost.any(axis=1), lost.argmax(axis=1), len(real.steps) - 1)
    flipped = np.median(real.flipped, axis=1)
    travelled = np.median(real.displacement[..., -1], axis=1) / size
    cells = []
    for k, alpha in enumerate(alphas):
        cell: dict[str, Any] = {
            "batch_size": list(batch_size),
            "alpha": float(alpha),
            "at": int(real.steps[at[k]]),
            "log_start": _log(real.forget_loss[k, :, 0]),
            "flipped": None if math.isnan(flipped[k]) else float(flipped[k]),
            "travelled": float(min(travelled[k], CEILING)),
            "real": _observe(real, (k,), at[k]),
        }
        for name, (runs, row) in zip(PREDICTORS, predicted, strict=True):
            cell[name] = _observe(runs, (row, k), at[k])
        distance = np.median(real.displacement[k], axis=0) / size
        cell["along"] = []
        for level in levels:
            if not (distance >= level).any():
                continue
            record = int(np.argmax(distance >= level))
            losses = {"real": _log(real.forget_loss[k, :, record])} | {
                name: _log(runs.forget_loss[row, k, :, record])
                for name, (runs, row) in zip(PREDICTORS, predicted, strict=True)
            }
            cell["along"].append({"level": level, **losses})
        cells.append(cell)
    return cells


def _observe(runs: Runs, cell: tuple[int, ...], at: int) -> dict[str, Any]:
    def step(steps: FloatArray) -> int | None:
        value = float(majority(steps[cell]))
        return None if math.isinf(value) else int(value)

    return {
        "outcome": str(runs.outcome[cell]),
        "forgets": step(runs.forget_step),
        "collapses": step(runs.collapse_step),
        "log_retain": _log(runs.retain_loss[cell][:, at]),
        "log_forget": _log(runs.forget_loss[cell][:, at]),
    }


def _log(losses: FloatArray) -> float:
    """Logarithm of the median, within a floor and a ceiling."""
    return math.log(min(max(float(np.median(losses)), 1.0 / CEILING), CEILING))


def _flipped(model: nn.Module, retain: Any, forget: Any, move: FloatArray) -> float | None:
    """Share of ReLU masks that a displacement changes."""
    pattern = getattr(model, "activation_pattern", None)
    if pattern is None:
        return None
    inputs = torch.cat([retain[0], forget[0]])
    rest: NDArray[np.bool_] = pattern(inputs).cpu().numpy()
    weights = [p for p in model.parameters() if p.requires_grad]
    kept = [w.detach().clone() for w in weights]
    with torch.no_grad():
        try:
            start = 0
            for w in weights:
                part = torch.as_tensor(move[start : start + w.numel()], dtype=w.dtype)
                w.add_(part.view_as(w).to(w.device))
                start += w.numel()
            moved = pattern(inputs).cpu().numpy()
        finally:
            for w, old in zip(weights, kept, strict=True):
                w.copy_(old)
    return float(np.mean(rest != moved))


def describe(
    preset: Preset, spec: dict[str, Any], loss: str, architecture: str, device: str
) -> dict[str, Any]:
    """Train one network under a loss, and map it at natural size: one durable cell.

    Parameters
    ----------
    preset : Preset
    spec : dict
        As for `rmtstab.experiment.data.load`.
    loss : str
        ``"half_squared_error"``; ``"logistic"``: the interpolating network is trained on, to
        ``preset.natural_loss``; ``"cross_entropy"``, of a ResNet-8, to the same.
    architecture : {"cnn", "resnet8"}
    device : str

    Returns
    -------
    dict
        ``training_loss``, ``step_size`` (half of plain SGD's threshold at the smallest batch, at
        the largest output curvature that the loss can have; of a ResNet-8 a quarter of the step
        that is safe on the retain set) and ``maps``. A step of a ResNet-8 costs a hundred of the
        CNN's: its maps start at `RESIDUAL_DISPLACEMENTS`, have the least and largest batch sizes,
        `RESIDUAL_STEPS` steps and `RESIDUAL_REPLICAS` runs a cell at most. Beyond signal plus
        noise each step is recorded, and losses are compared from a two-thousandth of ‖w*‖ on.
    """
    model: nn.Module
    _checks.choice("architecture", architecture, ("cnn", "resnet8"))
    data.check_spec(preset, spec, images=architecture == "resnet8")
    _checks.choice("loss", loss, list(LOSSES) if architecture == "cnn" else ["cross_entropy"])
    displacements, steps = preset.natural_displacements, preset.natural_steps
    replicas = preset.natural_replicas
    synthetic = spec["data"] == "signal_plus_noise"
    fineness: dict[str, Any] = {} if synthetic else {"record_every": 1, "levels": FINE_LEVELS}
    if architecture == "resnet8":
        displacements = RESIDUAL_DISPLACEMENTS
        steps, replicas = min(steps, RESIDUAL_STEPS), min(replicas, RESIDUAL_REPLICAS)
        model, value, retain, forget = _residual(preset, spec)
        kind: Any = torch.nn.CrossEntropyLoss()
        shares = _batch_sizes(preset, spec, len(retain[0]), len(forget[0]))
        batch_sizes = tuple(dict.fromkeys((shares[0], shares[-1])))
        net = bridge.linearise(model, kind, retain, forget)
        found = frozen_curvature(net, batch_sizes[0][0], predictions.SAMPLING)
        step_size = 0.25 * found.safe_step_size
    else:
        network, training = networks.train(preset, spec, device)
        sizes = network.n_retain, len(network.labels) - network.n_retain
        batch_sizes = _batch_sizes(preset, spec, *sizes)
        kind, value = LOSSES[loss], training["loss"]
        bound = 1.0
        if loss == "logistic":
            bound = 0.25  # of its output curvature
            value = _train_on(network, _threshold(network, batch_sizes[0]), preset.natural_loss)
        step_size = 0.5 * _threshold(network, batch_sizes[0]) / bound
        model, retain, forget = network.model, network.retain, network.forget
    maps = displaced_maps(
        model, kind, retain, forget, step_size=step_size, batch_sizes=batch_sizes,
        alphas=np.linspace(0.0, 1.0, preset.natural_alphas),
        displacements=displacements, steps=steps, replicas=replicas,
        seed=[spec["seed"], spec["index"], 41], **fineness,
    )  # fmt: skip
    return {"training_loss": value, "step_size": step_size, "maps": maps}


def _threshold(network: networks.Network, batch_size: tuple[int, int]) -> float:
    """Plain SGD's threshold where the output curvature is 1."""
    problem = network.problem()
    return float(problem.critical_step_size(batch_size, 0.0, sampling=predictions.SAMPLING))


def _batch_sizes(
    preset: Preset, spec: dict[str, Any], n_retain: int, n_forget: int
) -> tuple[tuple[int, int], ...]:
    """Batch sizes of the maps; of real images the same shares of their sets."""
    if spec["data"] == "signal_plus_noise":
        return preset.natural_batch_sizes
    whole = preset.n - preset.n_forget
    shares = [retain / whole for retain, _ in preset.natural_batch_sizes]
    return tuple((max(1, round(s * n_retain)), max(1, round(s * n_forget))) for s in shares)


def _residual(preset: Preset, spec: dict[str, Any]) -> tuple[nn.Module, float, Data, Data]:
    """Train a ResNet-8 on 8 × 8 images of two classes, by Adam, its batch statistics at rest."""
    images, labels, n_retain = data.load_images(preset, spec)
    x = torch.tensor(images, dtype=torch.float32)[:, None]
    y = torch.tensor(labels > 0, dtype=torch.long)
    seed = int(np.random.default_rng([spec["seed"], spec["index"], 47]).integers(2**31))
    model = bridge.residual_net(8, channels=1, classes=2, seed=seed)
    weights = list(model.parameters())
    optimiser = torch.optim.Adam(weights, 3e-3)
    value = math.inf
    for _ in range(networks.TRAINING_STEPS):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        value = float(loss.detach())
        if value < preset.natural_loss:
            break
        slopes = torch.autograd.grad(loss, weights)
        for weight, slope in zip(weights, slopes, strict=True):
            weight.grad = slope
        optimiser.step()
    return model, value, (x[:n_retain], y[:n_retain]), (x[n_retain:], y[n_retain:])


def _train_on(network: networks.Network, step_size: float, level: float) -> float:
    """Full-batch descent on the logistic loss until it is below a level."""
    inputs, targets = network.data
    weights = [p for p in network.model.parameters() if p.requires_grad]
    value = math.inf
    for _ in range(networks.TRAINING_STEPS):
        loss = bridge.logistic(network.model(inputs), targets)
        value = float(loss.detach())
        if value < level:
            break
        slopes = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, slope in zip(weights, slopes, strict=True):
                weight.sub_(slope, alpha=step_size)
    return value
