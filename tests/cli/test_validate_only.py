"""`--only` and `--list`: one claim from the evidence it needs; a false one fails end to end."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from rmtstab import claims
from rmtstab.claims import Outcome
from rmtstab.cli import main
from rmtstab.experiment import PRESETS
from rmtstab.experiment import run as experiment


def run(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


def validate(folder, *arguments):
    return run("validate", "--preset", "tiny", "--workers", 1, "--out", folder, *arguments)


@pytest.fixture(autouse=True)
def in_process(monkeypatch):
    """No worker processes: starting one takes longer than the checks."""
    monkeypatch.setattr(
        "rmtstab.experiment.validation.worker_pool", lambda workers: nullcontext(None)
    )


def test_list_names_every_claim_and_gathers_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("validate", "--list")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert len(lines) == len(claims.CLAIMS)
    for line, claim in zip(lines, claims.CLAIMS, strict=True):
        assert line == f"{claim.name}: {claim.statement}"
    assert not list(tmp_path.iterdir())
    named = run("validate", "--list", "--only", "volterra-threshold")
    assert len(named.output.splitlines()) == 1


def test_listing_loads_neither_torch_nor_figures():
    code = """import sys
from rmtstab.cli import main
try:
    main(["validate", "--list"])
except SystemExit:
    print([m for m in ("torch", "matplotlib") if m in sys.modules])"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


def test_theory_claims_run_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "closed_forms", lambda preset: 1 / 0)  # networks' step size
    names = ("gram-spectrum-intervals", "volterra-threshold")
    result = validate(tmp_path / "run", "--only", names[1], "--only", names[0])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "run" / "only"
    results = json.loads((folder / "results.json").read_text())
    assert tuple(claim["name"] for claim in results["claims"]) == names  # the report's order
    assert set(results["theory"]) == set(names) and "networks" not in results
    assert {path.stem for path in (folder / "figures").iterdir()} == set(names)
    cells = {path.name.split("-")[0] for path in (tmp_path / "run" / "cells").glob("*.json")}
    assert cells == {"theory"}
    assert "[there: " in result.output and "resistance-rises-with-snr" not in result.output


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda c: c.name)
def test_a_claim_runs_its_stages_only(claim, monkeypatch, tmp_path):
    ran = []

    def pretend(cells, task, folder, executor, on_done, fingerprint):
        ran.extend(cell.task for cell in cells)
        network = {
            "map": {"step_size": 1.0, "batch_sizes": [[3, 1]]}, "n_retain": 18,
            "active_filters": [1] * 24, "threshold": 1.0, "mean_frontier": {"0.5": 0.2},
        }  # fmt: skip
        return {cell: {**network, "columns": []} for cell in cells}

    monkeypatch.setattr(experiment, "has_torch", lambda: True)
    monkeypatch.setattr(experiment, "run", pretend)
    monkeypatch.setattr(experiment, "closed_forms", lambda preset: {"common_step_size": 1.0})
    monkeypatch.setattr(experiment, "spectra", lambda preset, networks: [])
    evidence = experiment.collect(PRESETS["tiny"], 0, tmp_path, None, claims=[claim])
    tasks = {"networks": "network", "escapes": "escape", "maps": "line",
             "trajectories": "trajectory"}  # fmt: skip
    stages = (*claim.needs, *claim.uses)
    assert set(ran) == {tasks.get(stage, stage) for stage in stages}
    assert set(stages) <= set(evidence)
    assert ("closed_form" in evidence) == claim.needs_torch


def test_the_report_says_what_a_wrong_theory_scores(tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", replace(PRESETS["tiny"], mutations=True))
    result = validate(tmp_path / "run", "--only", "gram-spectrum-intervals")
    assert result.exit_code == 0, result.output
    assert "theory × 1.1: fails, as it must" in result.output
    folder = tmp_path / "run" / "only"
    page = (folder / "index.html").read_text()
    assert "What a wrong theory scores" in page and "<td>× 1.1</td>" in page
    results = json.loads((folder / "results.json").read_text())
    honest, wrong = (results[k]["gram-spectrum-intervals"] for k in ("theory", "mutations"))
    assert wrong["outlier_bias"] == pytest.approx((1 + honest["outlier_bias"]) / 1.1 - 1)
    # a judge that cannot fail is found out, also when the report is drawn again
    results["mutations"]["gram-spectrum-intervals"] = honest
    (folder / "results.json").write_text(json.dumps(results))
    again = run("report", folder)
    assert again.exit_code == 1 and "holds, so that the claim says nothing" in again.output


@pytest.mark.slow
def test_a_network_claim_alone(tmp_path):
    result = validate(tmp_path / "run", "--only", "networks-interpolate")
    assert result.exit_code == 0, result.output
    cells = {path.name.split("-")[0] for path in (tmp_path / "run" / "cells").glob("*.json")}
    assert cells == {"network"}
    again = run("report", tmp_path / "run" / "only")
    assert again.exit_code == 0, again.output


def test_only_does_not_overwrite_a_whole_report(tmp_path):
    folder = tmp_path / "run"
    assert validate(folder, "--only", "gram-spectrum-intervals").exit_code == 0
    (folder / "results.json").write_text("whole")
    assert validate(folder, "--only", "gram-spectrum-intervals").exit_code == 0
    assert (folder / "results.json").read_text() == "whole"


@pytest.mark.parametrize(
    ("name", "near"),
    [("voltera-threshold", "volterra-threshold"), ("ledger", "tightness-ledger")],
)
def test_unknown_names(name, near, tmp_path):
    result = validate(tmp_path / "new", "--only", name)
    assert result.exit_code == 2
    text = " ".join(result.output.split())
    assert f"got '{name}': did you mean '{near}'?" in text and "--list" in text
    assert not (tmp_path / "new").exists()


def test_a_claim_that_cannot_run_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "has_torch", lambda: False)
    result = validate(tmp_path / "new", "--only", "networks-interpolate")
    assert result.exit_code == 2 and "torch is not installed" in " ".join(result.output.split())
    assert not (tmp_path / "new").exists()


def test_a_false_claim_fails_everywhere(tmp_path, monkeypatch):
    """Its judge says no: FAIL in the table, `fail` on the page, exit code 1, also when redrawn."""

    def false(evidence):
        return Outcome("made to fail", 7.0, 0.5, False, 3.0)

    name = "gram-spectrum-intervals"
    broken = tuple(replace(c, judge=false) if c.name == name else c for c in claims.CLAIMS)
    monkeypatch.setattr(claims, "CLAIMS", broken)
    result = validate(tmp_path / "run", "--only", name, "--only", "volterra-threshold")
    assert result.exit_code == 1
    assert f"fails  {name}" in result.output and "holds  volterra-threshold" in result.output
    assert f"1 of 2 claims fail: {name}" in result.output
    assert "[7 ± 0.5]" in result.output and "[there: 3]" in result.output
    folder = tmp_path / "run" / "only"
    page = (folder / "index.html").read_text()
    assert page.count('<section class="claim fails"') == 1 and "made to fail" in page
    stored = {
        c["name"]: c["holds"] for c in json.loads((folder / "results.json").read_text())["claims"]
    }
    assert stored == {name: False, "volterra-threshold": True}
    assert run("report", folder).exit_code == 1
    monkeypatch.undo()
    assert run("report", folder).exit_code == 0  # judged again, by the honest judge


@pytest.mark.slow
def test_the_script_of_one_claim(tmp_path):
    script = Path(__file__).parents[2] / "validation" / "run_claim.py"
    name = "gram-spectrum-intervals"
    done = subprocess.run(
        [sys.executable, script, name, "--out", tmp_path],
        cwd=script.parents[1], env={**os.environ, "PYTHONPATH": str(script.parents[1])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / f"{name}.json").read_text())
    assert record["holds"] and record["evidence"]["draws"] == 60
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".svg", ".png"}
