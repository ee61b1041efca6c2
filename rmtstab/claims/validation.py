"""The validation run: which cells, in which stages, and the evidence they add up to."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rmtstab.claims import ledger
from rmtstab.claims.catalogue import CLAIMS
from rmtstab.claims.presets import PRESETS, PROTOCOLS, Preset
from rmtstab.claims.registry import Claim
from rmtstab.sweeps import Cell, load, run

Progress = Callable[[str, int], None]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def has_torch() -> bool:
    """Whether torch can be imported (without importing it)."""
    return importlib.util.find_spec("torch") is not None


def has_digits() -> bool:
    """Whether scikit-learn, which bundles the digits, can be imported."""
    return importlib.util.find_spec("sklearn") is not None


def collect(
    preset: Preset,
    seed: int,
    folder: Path,
    executor: Executor | None,
    device: str = "cpu",
    progress: Progress = lambda stage, size: None,
    claims: Sequence[Claim] | None = None,
) -> dict[str, Any]:
    """Run every cell of a preset that is not on disk yet; return the evidence.

    Parameters
    ----------
    preset : Preset
    seed : int
    folder : Path
        Where the cells' files are.
    executor : Executor or None
    device : str, default "cpu"
    progress : callable, optional
        ``progress(stage, size)`` announces a stage of ``size`` cells;
        ``progress("", 1)`` reports one done.
    claims : sequence of Claim, optional
        Only the stages that these need or use; default all. The cells are the
        same, so that another run takes them up.

    Returns
    -------
    dict
        JSON values: every number that a claim or a figure uses; a stage that
        did not run has no key.
    """
    claims = CLAIMS if claims is None else claims
    wanted = {stage for claim in claims for stage in (*claim.needs, *claim.uses)}

    def stage(name: str, cells: list[Cell]) -> list[dict[str, Any]]:
        progress(name, len(cells))
        task = partial(compute, folder=str(folder), device=device)
        # the run's manifest ties the folder to code and versions, wherever the folder is moved
        results = run(
            cells, task, folder, executor, lambda cell: progress("", 1), fingerprint="manifest"
        )
        return [{**cell.parameters, **result} for cell, result in results.items()]

    def cell(task: str, spec: dict[str, Any], **parameters: Any) -> Cell:
        identity = {k: spec[k] for k in ("data", "snr", "forget", "index")}
        return Cell.of(task, seed, preset=preset.name, **identity, **parameters)

    evidence: dict[str, Any] = {"preset": preset.describe(), "seed": seed}
    checks = [claim.name for claim in claims if claim.check is not None]
    theory = stage("theory", [Cell.of("theory", seed, name=name) for name in checks])
    evidence["theory"] = {result["name"]: result for result in theory}
    if not has_torch():
        return evidence

    specs = network_specs(preset)
    if "ledger" in wanted:
        evidence["ledger"] = stage("ledger", [cell("ledger", s) for s in specs])
    if wanted <= {"theory", "ledger"}:
        return evidence
    evidence["closed_form"] = closed_forms(preset)
    common = evidence["closed_form"]["common_step_size"]
    networks = stage("networks", [cell("network", s, common_step=common) for s in specs])
    for network in networks:
        network["weights"] = None  # megabytes; they stay in the cell's file
    plots = [n for n in networks if n["data"] == "signal_plus_noise"]
    evidence["networks"] = networks
    stages: dict[str, tuple[str, list[Cell]]] = {
        "collapse": (
            "collapse",
            [cell("collapse", n, common_step=common) for n in plots if n["index"] == 0],
        ),
        "one_step": (
            "one-step moments",
            [
                cell("one_step", n, common_step=common, fraction=fraction)
                for n in networks
                for fraction in (0.0, 0.5, 1.0)
            ],
        ),
        "trajectories": (
            "trajectories",
            [
                cell("trajectory", n, common_step=common, kind=kind)
                for n in plots
                if n["index"] == 0
                for kind in ("mean_driven", "noise_driven")
            ],
        ),
        "escapes": (
            "escapes",
            [cell("escape", n, common_step=common, protocol=p) for n in plots for p in PROTOCOLS],
        ),
        "outcomes": (
            "unlearning",
            outcome_cells(preset, networks, partial(cell, "outcome", common_step=common)),
        ),
    }
    for key, (name, cells) in stages.items():
        if key in wanted:
            evidence[key] = stage(name, cells)
    return evidence


def outcome_cells(
    preset: Preset, networks: list[dict[str, Any]], cell: Callable[..., Cell]
) -> list[Cell]:
    """List the cells of the maps: real unlearning at each predicted cell."""
    maps = []
    for n in networks:
        scales = [("map", preset.displacement)]
        if n["data"] == "signal_plus_noise" and n["index"] == 0:
            scales += [("common_map", preset.displacement), ("map", preset.natural_displacement)]
        for scale, displacement in scales:
            predicted = n[scale]["cells"]
            if displacement == preset.natural_displacement:
                predicted = predicted[::3]
            maps += [
                cell(
                    n,
                    scale=scale,
                    displacement=displacement,
                    step_size=n[scale]["step_size"],
                    alpha=p["alpha"],
                    batch_size=tuple(p["batch_size"]),
                )
                for p in predicted
            ]
    return maps


def network_specs(preset: Preset) -> list[dict[str, Any]]:
    """List the networks of a run."""
    specs: list[dict[str, Any]] = [
        {"data": "signal_plus_noise", "snr": snr, "forget": "balanced", "index": index}
        for snr in preset.snrs
        for index in range(preset.repeats)
    ]
    if has_digits():
        specs += [
            {"data": "digits", "snr": None, "forget": forget, "index": index}
            for forget in ("random", "sevens")
            for index in range(preset.digits_repeats)
        ]
    return specs


def closed_forms(preset: Preset) -> dict[str, Any]:
    """Closed-form curves against SNR, and the step size common to all networks.

    The common step is half of the smallest closed-form threshold of plain SGD,
    over the preset's ratios, at its smallest batch.
    """
    from rmtstab.theory import cnn
    from rmtstab.theory.high_dimensional import volterra_step_size

    sampling = "without_replacement"
    n_retain = preset.n - preset.n_forget

    def threshold(snr: float, batch: int) -> float:
        values = cnn.spectrum(n_retain, preset.dim, snr, preset.filters)
        return volterra_step_size(values, n_retain, batch, sampling)

    common = 0.5 * min(threshold(snr, preset.batch_sizes[0][0]) for snr in preset.snrs)
    positive = [snr for snr in preset.snrs if snr > 0]
    grid = np.geomspace(min(positive) / 10.0, max(positive) * 1.5, 60)
    curves: list[dict[str, Any]] = []
    for snr in grid:
        escape = cnn.escape(
            n_retain, preset.n_forget, preset.dim, snr, preset.filters, preset.alpha
        )
        coherence = cnn.coherence(n_retain, preset.n_forget, preset.dim, snr, preset.filters)
        sharpness = float(cnn.spectrum(n_retain, preset.dim, snr, preset.filters)[0])
        steps = (0.5 * threshold(snr, preset.batch_size[0]), 0.05 / sharpness, common)
        # an isotropic start puts n_forget/n of its square on the escaping directions
        lead = np.log(preset.radius) + 0.5 * np.log(preset.n / preset.n_forget)
        curves.append(
            {
                "snr": float(snr),
                "resistance": escape.resistance,
                "curvature": escape.curvature,
                "escape_time": {
                    name: float(lead / np.log1p(step * escape.curvature))
                    for name, step in zip(PROTOCOLS, steps, strict=True)
                },
                "coherence": {
                    axis: getattr(coherence, axis)
                    for axis in ("retain", "forget", "cross", "total")
                },
            }
        )
    return {"common_step_size": float(common), "curves": curves}


def compute(cell: Cell, folder: str, device: str) -> dict[str, Any]:
    """Compute one cell; runs in a worker process."""
    if cell.task == "theory":
        (check,) = (c.check for c in CLAIMS if c.name == cell["name"] and c.check is not None)
        return check(cell.rng())
    import torch

    torch.set_num_threads(1)
    from rmtstab.claims import networks, observations

    preset = PRESETS[cell["preset"]]
    spec = {k: cell[k] for k in ("data", "snr", "forget", "index")} | {"seed": cell.seed}
    if cell.task == "ledger":
        trained, _ = networks.train(preset, spec, device)
        real = cell["data"] == "digits"
        batches = preset.digits_batch_sizes if real else preset.batch_sizes
        return ledger.network(trained.problem(), batches, "digits" if real else "trained CNNs")
    if cell.task == "network":
        return networks.describe(preset, spec, cell["common_step"], device)
    record = _network_record(cell, folder)
    network = networks.restore(preset, spec, record["weights"], device)
    step_size = record["map"]["step_size"]
    smallest = tuple(record["map"]["batch_sizes"][0])
    if cell.task == "outcome":
        return observations.outcome(
            network,
            preset,
            cell["step_size"],
            tuple(cell["batch_size"]),
            cell["alpha"],
            cell["displacement"],
            cell.rng(),
        )
    if cell.task == "collapse":
        step_size = 0.5 / float(record["sharpness_retain"])
        found = observations.outcome(
            network, preset, step_size, smallest, 0.0, preset.displacement, cell.rng()
        )
        return {**found, "step_size": step_size, "batch_size": list(smallest)}
    if cell.task == "one_step":
        batch = tuple(record["map"]["batch_sizes"][len(record["map"]["batch_sizes"]) // 2])
        return observations.one_step(
            network, preset, step_size, batch, preset.alpha, cell["fraction"], cell.rng()
        )
    if cell.task == "escape":
        step_size = record["protocols"][cell["protocol"]]["step_size"]
        return observations.escape(network, preset, step_size, cell.rng())
    chosen = _most(record["map"]["cells"], cell["kind"])
    found = observations.trajectory(
        network, preset, step_size, tuple(chosen["batch_size"]), chosen["alpha"], cell.rng()
    )
    return {**found, "alpha": chosen["alpha"], "batch_size": chosen["batch_size"]}


def _network_record(cell: Cell, folder: str) -> dict[str, Any]:
    keep = ("preset", "data", "snr", "forget", "index", "common_step")
    parent = Cell.of("network", cell.seed, **{name: cell[name] for name in keep})
    record = load(parent, folder)
    if record is None:
        raise FileNotFoundError(f"the network of {cell.identity} is not on disk")
    return record


def _most(cells: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Pick a cell to follow: among those that grow, the fastest that the mean drives with noisy
    batches, or the one whose growth the noise-free mean carries least.
    """
    growing = [c for c in cells if c["mean_share"] is not None and c["growth_factor"] > 1.01]
    if kind == "noise_driven":
        return min(growing or cells, key=lambda c: c["mean_share"] or 0.0)
    full = max(c["batch_size"][0] for c in cells)
    driven = [c for c in growing if c["mean_share"] >= 0.97 and c["batch_size"][0] < full]
    return max(driven or growing or cells, key=lambda c: c["growth_factor"])


@contextmanager
def worker_pool(workers: int) -> Iterator[Executor]:
    """Open a pool of fresh processes with one BLAS thread each: results repeat to the bit."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
