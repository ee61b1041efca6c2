"""The cells of a validation run: which there are, and how a worker computes one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rmtstab.claims import ledger
from rmtstab.claims.claim import Check
from rmtstab.experiment import predictions
from rmtstab.experiment.planes import Plane, frontier_key
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


def natural_specs(preset: Preset) -> list[dict[str, Any]]:
    """List the networks that are mapped at natural size, with their losses and architectures."""
    losses = ("half_squared_error", "logistic")
    found: list[dict[str, Any]] = [
        {"data": "signal_plus_noise", "snr": preset.natural_snr, "forget": "balanced",
         "index": index, "loss": loss, "architecture": "cnn"}
        for index in range(preset.natural_networks)
        for loss in losses
    ]  # fmt: skip
    if preset.natural_others:
        found += [
            {"data": data, "snr": None, "forget": "random", "index": 0, "loss": loss,
             "architecture": kind}
            for data in ("digits", "photographs", "textures")
            for kind, loss in (*(("cnn", loss) for loss in losses), ("resnet8", "cross_entropy"))
        ]  # fmt: skip
    return found


def one_step_settings(network: dict[str, Any], preset: Preset) -> list[dict[str, Any]]:
    """Where one step is checked: middle batches, and half the forget samples at twice the
    preset's mixing, where the forget batch's noise shows.
    """
    batches = network["map"]["batch_sizes"]
    n_forget = len(network["active_filters"]) - network["n_retain"]
    half = batches[0][0], max(1, n_forget // 2)
    return [
        {"noise": "both", "batch_size": batches[len(batches) // 2], "alpha": preset.alpha},
        {"noise": "forget", "batch_size": half, "alpha": min(1.0, 2.0 * preset.alpha)},
    ]


def plane_specs(preset: Preset) -> list[dict[str, Any]]:
    """List the networks that only planes over the ratio need: those that are not the preset's."""
    along = {snr for plane in preset.planes if plane.axes[0] == "snr" for snr in plane.snrs}
    ratios = sorted(along - set(preset.snrs))
    return [
        {"data": "signal_plus_noise", "snr": snr, "forget": "balanced", "index": index}
        for snr in ratios
        for index in range(preset.repeats)
    ]


def plane_cells(
    preset: Preset, networks: list[dict[str, Any]], cell: Callable[..., Cell]
) -> list[Cell]:
    """List the cells of the maps: of a network, one batch size or one line of a plane each."""
    found: list[Cell] = []
    for plane in preset.planes:
        ratios = plane.snrs or preset.snrs
        known = ratios if plane.axes[0] == "snr" else preset.snrs
        chosen = [n for n in networks if n["snr"] in ratios and n["snr"] in known]
        if plane.digits:
            chosen += [n for n in networks if n["data"] == "digits"]
        key = frontier_key(plane.share)
        frontiers: dict[Any, list[float]] = {}
        for n in chosen:  # one axis of mixings for all networks of a map
            frontiers.setdefault(_panel(plane, n), []).append(n["mean_frontier"][key])
        for n in chosen:
            sizes = n["n_retain"], len(n["active_filters"]) - n["n_retain"]
            batches = plane.batch_sizes(n["map"]["batch_sizes"][0][0], *sizes)
            alphas: tuple[float, ...] = (plane.alpha,)
            if plane.axes[1] == "alpha":
                alphas = plane.alphas(_reach(plane, frontiers[_panel(plane, n)]))
            if plane.axes == ("snr", "alpha"):
                batches = batches[:1]
            lines = [batches] if plane.axes[0] == "snr" else [(b,) for b in batches]
            found += [
                cell(
                    n,
                    plane=plane.name,
                    step_size=plane.share * n["threshold"],
                    batch_sizes=line,
                    alphas=alphas,
                    horizons=plane.horizons or (preset.horizon,),
                )
                for line in lines
            ]
    return found


def _panel(plane: Plane, network: dict[str, Any]) -> Any:
    """Tell the map in which a network's cells are drawn."""
    return plane.name if plane.axes[0] == "snr" else (network["snr"], network["forget"])


def _reach(plane: Plane, frontiers: list[float]) -> float:
    """Frontier that sets the axis: the middle network's, or the largest over the ratios."""
    return float(max(frontiers) if plane.axes[0] == "snr" else np.median(frontiers))


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
    from rmtstab.experiment import escapes, natural_size, networks, observations

    if cell.task == "data_axis":
        from rmtstab.experiment import data_axis

        names = data_axis.Setting.__dataclass_fields__
        setting = data_axis.Setting(**{name: cell[name] for name in names})
        return data_axis.describe(setting, [cell.seed, cell["index"], 43])
    spec = {k: cell[k] for k in ("data", "snr", "forget", "index")} | {"seed": cell.seed}
    if cell.task == "ledger":
        trained, _ = networks.train(preset, spec, device)
        real = cell["data"] == "digits"
        batches = preset.digits_batch_sizes if real else preset.batch_sizes
        return ledger.network(trained.problem(), batches, "digits" if real else "trained CNNs")
    if cell.task == "escape":
        return escapes.describe(preset, spec, cell["common_step"], device)
    if cell.task == "natural_size":
        how = cell["loss"], cell["architecture"]
        return natural_size.describe(preset, spec, *how, device)
    if cell.task == "network":
        return networks.describe(preset, spec, cell["common_step"], device)
    record = _network_record(cell, folder)
    network = networks.restore(preset, spec, record["weights"], device)
    step_size = record["map"]["step_size"]
    smallest = tuple(record["map"]["batch_sizes"][0])
    if cell.task == "line":
        return _line(network, preset, cell)
    if cell.task == "collapse":
        step_size = 0.5 / float(record["sharpness_retain"])
        found = observations.outcome(
            network, preset, step_size, smallest, 0.0, preset.displacement, cell.rng()
        )
        return {**found, "step_size": step_size, "batch_size": list(smallest)}
    if cell.task == "one_step":
        batch = cell["batch_size"][0], cell["batch_size"][1]
        return observations.one_step(
            network, preset, step_size, batch, cell["alpha"], cell["fraction"], cell.rng()
        )
    chosen = _most(record["map"]["cells"], cell["kind"])
    found = observations.trajectory(
        network, preset, step_size, tuple(chosen["batch_size"]), chosen["alpha"], cell.rng()
    )
    return {**found, "alpha": chosen["alpha"], "batch_size": chosen["batch_size"]}


def _line(network: Any, preset: Preset, cell: Cell) -> dict[str, Any]:
    """Predict and observe each batch size of a line of a map."""
    from rmtstab.experiment import observations

    problem, rng, columns = network.problem(), cell.rng(), []
    for given in cell["batch_sizes"]:
        ours, theirs = rng.spawn(2)  # what is predicted and what is observed share no draw
        setting = cell["step_size"], (given[0], given[1]), cell["alphas"], cell["horizons"]
        columns.append(
            {
                "batch_size": given,
                "predicted": predictions.column(problem, preset, *setting, ours),
                "observed": observations.column(network, preset, *setting, theirs),
            }
        )
    return {"columns": columns}


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
