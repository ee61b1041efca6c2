"""The validation run: which stages, and the evidence they add up to."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rmtstab.claims import CLAIMS, Claim
from rmtstab.experiment.cells import (
    compute,
    escape_specs,
    natural_specs,
    network_specs,
    one_step_settings,
    plane_cells,
    plane_specs,
)
from rmtstab.experiment.closed_form import closed_forms, spectra
from rmtstab.experiment.presets import Preset
from rmtstab.sweeps import Cell, run

Progress = Callable[[str, int], None]


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
    checks = {claim.name: claim.check for claim in claims if claim.check is not None}
    wanted = {stage for claim in claims for stage in (*claim.needs, *claim.uses)}

    def stage(name: str, cells: list[Cell]) -> list[dict[str, Any]]:
        progress(name, len(cells))
        task = partial(compute, folder=str(folder), device=device, preset=preset, checks=checks)
        # the run's manifest ties the folder to code and versions, wherever the folder is moved
        results = run(
            cells, task, folder, executor, lambda cell: progress("", 1), fingerprint="manifest"
        )
        return [{**cell.parameters, **result} for cell, result in results.items()]

    def cell(task: str, spec: dict[str, Any], **parameters: Any) -> Cell:
        identity = {k: spec[k] for k in ("data", "snr", "forget", "index")}
        return Cell.of(task, seed, preset=preset.name, **identity, **parameters)

    evidence: dict[str, Any] = {"preset": preset.describe(), "seed": seed}
    theory = stage("theory", [Cell.of("theory", seed, name=name) for name in checks])
    evidence["theory"] = {result["name"]: result for result in theory}
    if preset.mutations:
        wrong = stage(
            "wrong theories",
            [
                Cell.of("mutation", seed, name=claim.name, scale=claim.mutation)
                for claim in claims
                if None not in (claim.mutation, claim.check) and claim.judge_wrong is None
            ],
        )
        evidence["mutations"] = {result["name"]: result for result in wrong}
    if not has_torch():
        return evidence

    specs = network_specs(preset, digits=has_digits())
    if "ledger" in wanted:
        evidence["ledger"] = stage("ledger", [cell("ledger", s) for s in specs])
    if wanted <= {"theory", "ledger"}:
        return evidence
    evidence["closed_form"] = closed_forms(preset)
    common = evidence["closed_form"]["common_step_size"]
    if "escapes" in wanted:  # these networks are trained in their cells
        cells = [cell("escape", s, common_step=common) for s in escape_specs(preset)]
        evidence["escapes"] = stage("escapes", cells)
    if "natural_size" in wanted:
        cells = [
            cell("natural_size", s, loss=s["loss"], architecture=s["architecture"])
            for s in natural_specs(preset)
            if has_digits() or s["data"] not in ("digits", "photographs")
        ]
        evidence["natural_size"] = stage("natural size", cells)
    if "data_axis" in wanted:
        from rmtstab.experiment import data_axis  # needs torch

        cells = [
            Cell.of("data_axis", seed, index=index, **asdict(setting))
            for setting in data_axis.of_preset(preset)
            for index in range(preset.axis_sets)
        ]
        evidence["data_axis"] = stage("data axis", cells)
    if wanted <= {"theory", "ledger", "escapes", "natural_size", "data_axis"}:
        return evidence
    networks = stage("networks", [cell("network", s, common_step=common) for s in specs])
    for network in networks:
        network["weights"] = None  # megabytes; they stay in the cell's file
    plots = [n for n in networks if n["data"] == "signal_plus_noise"]
    evidence["networks"] = networks
    evidence["spectra"] = spectra(preset, networks)
    stages: dict[str, tuple[str, list[Cell]]] = {
        "collapse": (
            "collapse",
            [cell("collapse", n, common_step=common) for n in plots if n["index"] == 0],
        ),
        "one_step": (
            "one-step moments",
            [
                cell("one_step", n, common_step=common, fraction=fraction, **setting)
                for n in networks
                for fraction in (0.0, 0.5, 1.0)
                for setting in one_step_settings(n, preset)
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
    }
    for key, (name, cells) in stages.items():
        if key in wanted:
            evidence[key] = stage(name, cells)
    if "maps" in wanted:
        others = [cell("network", s, common_step=common) for s in plane_specs(preset)]
        mapped = networks + (stage("networks of the planes", others) if others else [])
        lines = plane_cells(preset, mapped, partial(cell, "line", common_step=common))
        evidence["maps"] = [
            {**{k: v for k, v in line.items() if k not in ("columns", "batch_sizes")}, **column}
            for line in stage("maps", lines)
            for column in line["columns"]
        ]
    return evidence
