"""The main job through its command line: a whole tiny run, and every way to call it wrongly."""

import errno
import json
import os
import random
import re
import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from click.testing import CliRunner

from rmtstab import report
from rmtstab.cli import exits, main
from rmtstab.experiment import PRESETS, Validation, run
from rmtstab.experiment.provenance import take_folder
from rmtstab.figures.validation import drawings
from rmtstab.sweeps import worker_pool
from tests.report.test_hostile import spoilt
from tests.report.test_report import results


def validate(*arguments):
    return CliRunner().invoke(main, ["validate", *map(str, arguments)])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("run") / "tiny"
    result = validate("--preset", "tiny", "--seed", 3, "--workers", 2, "--out", folder)
    assert result.exit_code in (0, 1), result.output  # tiny claims are worth nothing
    return folder, result


def test_the_report_is_whole(tiny):
    folder, result = tiny
    results = json.loads((folder / "results.json").read_text())
    assert results["seed"] == 3 and results["versions"]["numpy"]
    assert results["claims"][0]["name"] == "resistance-rises-with-snr"
    for claim in results["claims"]:
        assert claim["name"] in result.output and claim["normalisation"] and claim["fails"]
    page = (folder / "index.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == len(list((folder / "figures").glob("*.svg")))
    assert len(list((folder / "figures").glob("*.png"))) >= 5
    # self-contained: the page asks for nothing from elsewhere
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)


def test_curvature_is_exact_on_every_network(tiny):
    results = json.loads((tiny[0] / "results.json").read_text())
    for network in results["networks"]:
        assert network["sharpness_autograd"] == pytest.approx(network["sharpness_gram"], rel=1e-9)
        assert network["training"]["interpolates"]
        assert network["map"]["cells"][0]["growth_converged"]


DRAWN = (
    "closed_form", "collapse", "data_axis", "escapes", "maps", "natural_size", "networks",
    "one_step", "spectra", "trajectories",
)  # fmt: skip


@pytest.mark.parametrize("number", [25, pytest.param(1_000, marks=pytest.mark.slow)])
def test_spoilt_records_of_networks_are_drawn_or_said_to_be_damaged(tiny, number):
    """No figure hangs, warns or ends in anything but an ordinary error, which has a code."""
    whole, draw = report.read(tiny[0]), random.Random(number)
    names, drawn = [name for name in DRAWN if name in whole], 0
    assert len(names) >= 9
    for _ in range(number):
        name = draw.choice(names)
        records = {**whole, **spoilt({name: whole[name], "notes": [], "seed": 3}, draw)}
        with warnings.catch_warnings(), mpl.rc_context({"backend": "agg"}):
            warnings.simplefilter("error", RuntimeWarning)
            try:
                pictures = drawings(records)
                pictures[draw.choice(sorted(pictures))][0]()
                drawn += 1
            except (RuntimeWarning, ImportError, AssertionError):
                raise
            except Exception as error:
                # NumPy has types of its own, of a TypeError too
                assert type(error).__module__.partition(".")[0] in ("builtins", "numpy"), error
            finally:
                plt.close("all")
    assert drawn > number / 2


def test_a_report_of_damaged_networks_is_refused_with_a_code(tiny, tmp_path):
    records = json.loads((tiny[0] / "results.json").read_text())
    records["escapes"][0]["snr"] = "0.5"
    (tmp_path / "results.json").write_text(json.dumps(records))
    told = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert told.exit_code == exits.DAMAGED and "damaged, TypeError" in told.output
    assert not (tmp_path / "index.html").exists()


def test_a_finished_run_resumes_to_the_same_bytes(tiny):
    folder, _ = tiny
    before = (folder / "results.json").read_bytes()
    stamp = {p.name: p.stat().st_mtime_ns for p in (folder / "cells").iterdir()}
    removed = sorted((folder / "cells").glob("line-*"))[0]
    removed.unlink()
    validate("--preset", "tiny", "--seed", 3, "--workers", 1, "--out", folder)
    assert (folder / "results.json").read_bytes() == before
    after = {p.name: p.stat().st_mtime_ns for p in (folder / "cells").iterdir()}
    assert {name for name in after if after[name] != stamp[name]} == {removed.name}


@pytest.mark.slow
def test_workers_do_not_change_results(tiny, tmp_path):
    validate("--preset", "tiny", "--seed", 3, "--workers", 1, "--out", tmp_path / "one")
    assert (tmp_path / "one/results.json").read_bytes() == (tiny[0] / "results.json").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "slow"], "preset must be one of quick, full, tiny, got 'slow'"),
        (["--seed", "x"], "'x' is not a valid integer"),
        (["--seed", "-1"], "-1 is not in the range x>=0"),
        (["--workers", "0"], "0 is not in the range x>=1"),
        (["--device", "cuda:77"], "device must be one of cpu"),
        (["--device", "potato"], "device must be one of cpu"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path):
    result = validate("--preset", "tiny", "--out", tmp_path / "new", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "new").exists()


def test_folder_of_another_run_is_left_alone(tiny):
    folder, _ = tiny
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    result = validate("--preset", "tiny", "--seed", 4, "--out", folder)
    assert result.exit_code == 2
    assert "got" in result.output and "seed 3" in " ".join(result.output.split())
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    result = validate("--preset", "tiny", "--out", tmp_path)
    assert result.exit_code == 2 and "other files in it" in " ".join(result.output.split())
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    result = validate("--preset", "tiny", "--out", tmp_path / "file" / "below")
    assert result.exit_code == exits.IN_THE_WAY
    assert "out must be a writable folder" in " ".join(result.output.split())


def test_a_full_disk_at_the_manifest_leaves_nothing_and_the_folder_can_be_used_again(
    tmp_path, monkeypatch
):
    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = tmp_path / "run"
    monkeypatch.setattr(os, "replace", full)
    result = validate("--preset", "tiny", "--out", folder)
    assert result.exit_code == exits.IO_ERROR and len(result.stderr.splitlines()) == 1
    assert "out must be a writable folder" in result.stderr
    assert list(folder.iterdir()) == []
    monkeypatch.undo()
    (folder / ".run.json.1.2.0123.tmp").write_text("of a run that was killed")
    take_folder(folder, PRESETS["tiny"], 0, "cpu")
    assert [path.name for path in folder.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, exits.IO_ERROR), (errno.EACCES, exits.IN_THE_WAY)]
)
def test_what_the_report_meets_on_disk_is_no_failed_claim(tmp_path, monkeypatch, number, code):
    def breaks(path, data):
        raise OSError(number, os.strerror(number))

    found = Validation(tmp_path / "run", results(holds=False), 1.0)
    monkeypatch.setattr("rmtstab.cli.validate.gather", lambda *given, **options: found)
    monkeypatch.setattr("rmtstab.report.write_atomically", breaks)
    result = validate("--preset", "tiny", "--out", tmp_path / "run")
    assert result.exit_code == code and "Traceback" not in result.output
    monkeypatch.undo()
    monkeypatch.setattr("rmtstab.cli.validate.gather", lambda *given, **options: found)
    assert validate("--preset", "tiny", "--out", tmp_path / "run").exit_code == exits.CLAIM_FAILS


def test_without_torch_the_theory_claims_run(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "has_torch", lambda: False)
    result = validate("--preset", "tiny", "--workers", 1, "--out", tmp_path / "theory")
    assert result.exit_code == 0, result.output
    assert "did not run: torch is not installed" in result.output
    assert "second-moment-operator" in result.output
    assert "resistance-rises-with-snr" not in result.output
    results = json.loads((tmp_path / "theory" / "results.json").read_text())
    assert "networks" not in results


def test_thread_settings_are_put_back():
    before = dict(os.environ)
    with worker_pool(1):
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert dict(os.environ) == before


def test_help():
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0 and "validate" in result.output
    assert "--preset" in validate("--help").output


def test_report_is_drawn_again_from_results(tiny):
    folder, result = tiny
    page = (folder / "index.html").read_bytes()
    (folder / "index.html").unlink()
    again = CliRunner().invoke(main, ["report", str(folder)])
    assert again.exit_code == result.exit_code, again.output
    assert (folder / "index.html").read_bytes() == page


def test_report_of_nothing(tmp_path):
    result = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert result.exit_code == 2 and "must hold the results.json" in " ".join(result.output.split())
