"""The cells of a validation run: which there are, and how a worker computes one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rmtstab.claims import ledger
from rmtstab.claims.claim import Check
from rmtstab.experiment.presets import Preset
from rmtstab.sweeps import Cell, load


def network_specs(preset: Preset, digits: bool) -> list[dict[str, Any]]:
    """List the networks of a run, with or without those on digits."""
    specs: list[dict[str, Any]] = [
        {"data": "signal_plus_noise", "snr": snr, "forget": "balanced", "index": index}
        for snr in preset.snrs
        for index in range(preset.repeats)
    ]
    if digits:
        specs += [
            {"data": "digits", "snr": None, "forget": forget, "index": index}
            for forget in ("random", "sevens")
            for index in range(preset.digits_repeats)
        ]
    return specs


def escape_specs(preset: Preset) -> list[dict[str, Any]]:
    """List the networks whose escapes are compared: every ratio on every data set."""
    return [
        {"data": "signal_plus_noise", "snr": snr, "forget": "balanced", "index": index}
        for index in range(preset.data_sets)
        for snr in preset.compared_snrs
    ]


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


def compute(
    cell: Cell, folder: str, device: str, preset: Preset, checks: dict[str, Check]
) -> dict[str, Any]:
    """Compute one cell; runs in a worker process.

    Parameters
    ----------
    cell : Cell
    folder : str
        Where the cells' files are.
    device : str
    preset : Preset
    checks : dict
        Check of each theory claim by its name.

    Returns
    -------
    dict
        JSON values.
    """
    if cell.task == "theory":
        return checks[cell["name"]](cell.rng())
    if cell.task == "mutation":
        same = Cell.of("theory", cell.seed, name=cell["name"]).rng()  # the draws of the theory
        return checks[cell["name"]](same, cell["scale"])
    import torch

    torch.set_num_threads(1)
    from rmtstab.experiment import escapes, networks, observations

    spec = {k: cell[k] for k in ("data", "snr", "forget", "index")} | {"seed": cell.seed}
    if cell.task == "ledger":
        trained, _ = networks.train(preset, spec, device)
        real = cell["data"] == "digits"
        batches = preset.digits_batch_sizes if real else preset.batch_sizes
        return ledger.network(trained.problem(), batches, "digits" if real else "trained CNNs")
    if cell.task == "escape":
        return escapes.describe(preset, spec, cell["common_step"], device)
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
