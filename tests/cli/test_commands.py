"""The command line as a whole: entry points, exit codes, sweeps, plain output in a log."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import xarray
from click.testing import CliRunner

import rmtstab
from rmtstab.cli import exits, main
from rmtstab.sweeps import FolderInUse, experiments
from tests.report.test_report import NAME, results

SWEEP = """experiment = "spectrum"
seed = 3
[axes]
snr = [0.0, 1.0]
n = [4, 6]
[fixed]
dim = 8
"""


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "map.toml"
    path.write_text(SWEEP)
    return path


def test_python_m_rmtstab_and_version():
    for arguments in (["--version"], ["--help"]):
        command = [sys.executable, "-m", "rmtstab", *arguments]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "rmtstab" in run.stdout
    assert call("--version").output == f"rmtstab, version {rmtstab.__version__}\n"


def test_info():
    shown = json.loads(call("info", "--json").output)
    assert shown["versions"]["rmtstab"].startswith(rmtstab.__version__ + "+")
    assert shown["extras"]["sweeps"] == "complete"
    lines = call("info").output
    assert "numpy" in lines and "[sweeps]" in lines and "NUMBA_NUM_THREADS" in lines


def test_a_sweep_from_a_file(tmp_path, file):
    result = call("sweep", file)
    assert result.exit_code == 0, result.output
    assert "spectrum, 4 cells (2 snr × 2 n); 0 raised" in result.output
    found = xarray.open_zarr(tmp_path / "map" / "result.zarr").load()
    assert found.sizes == {"snr": 2, "n": 2, "rank": 6, "side": 2} and found.attrs["seed"] == 3
    other = call("sweep", file, "--seed", 4, "--out", tmp_path / "other", "--json")
    shown = json.loads(other.stdout)
    assert shown == {"cells": 4, "raised": 0, "result": str(tmp_path / "other" / "result.zarr")}
    assert xarray.open_zarr(shown["result"]).attrs["seed"] == 4


def test_what_a_sweep_would_do(tmp_path, file):
    assert "spectrum, 4 cells (2 snr × 2 n)" in call("sweep", file, "--dry-run").output
    assert json.loads(call("sweep", file, "--dry-run", "--json").output)["cells"] == 4
    assert os.listdir(tmp_path) == ["map.toml"]
    listed = json.loads(call("sweep", "--list", "--json").output)
    assert set(listed) == set(experiments()) and listed["growth"]["parameters"]["dim"] == 150
    assert "alpha = 0.3" in call("sweep", "--list").output


def test_cells_that_raise_have_a_code_of_their_own(tmp_path, file):
    file.write_text(SWEEP.replace("[4, 6]", "[1, 4]"))
    result = call("sweep", file)
    assert result.exit_code == exits.CELLS_RAISED
    assert "the first of 2 that raised" in result.output and "n must be >= 2" in result.output
    assert (tmp_path / "map" / "result.zarr").is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.toml"], "does not exist"),
        ([], "FILE must be given, or --list"),
        (["FILE", "--workers", "2", "--scheduler", "tcp://a:1"], "exclude each other"),
        (["FILE", "--scheduler", "nowhere"], "where must be None, 'processes', a scheduler's"),
        (["FILE", "--workers", "0"], "not in the range x>=1"),
        (["FILE", "--seed", "-1"], "not in the range x>=0"),
    ],
)
def test_wrong_use_of_sweep(file, arguments, message):
    result = call("sweep", *[file if word == "FILE" else word for word in arguments])
    assert result.exit_code == 2 and message in result.output and "Traceback" not in result.output


def test_a_wrong_file_is_one_line(file):
    file.write_text(SWEEP.replace("spectrum", "os.system"))
    result = call("sweep", file)
    assert result.exit_code == 2
    assert result.output.strip().splitlines()[-1].startswith("Error: experiment must be one of")


def test_no_scheduler_there(file):
    result = call("sweep", file, "--scheduler", "tcp://127.0.0.1:9", "--timeout", 0.3)
    assert result.exit_code == exits.UNAVAILABLE
    assert "scheduler must answer within 0.3 s" in result.output


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), exits.IO_ERROR, "No space left"),
        (FileExistsError(errno.EEXIST, "File exists"), exits.IN_THE_WAY, "File exists"),
        (PermissionError(errno.EACCES, "Permission denied"), exits.IN_THE_WAY, "Permission"),
        (FolderInUse("folder must not be in use"), exits.IN_USE, "must not be in use"),
        (ConnectionError("scheduler must answer"), exits.UNAVAILABLE, "scheduler must answer"),
        (ImportError("needs xarray"), exits.UNAVAILABLE, "needs xarray"),
        (KeyboardInterrupt(), exits.INTERRUPTED, "interrupted"),
    ],
)
def test_exit_codes(monkeypatch, raised, code, words):
    def breaks():
        raise raised

    monkeypatch.setattr("rmtstab.cli.info.facts", breaks)
    result = call("info")
    assert result.exit_code == code and words in result.output


def test_exit_codes_are_one_each():
    codes = [value for name, value in vars(exits).items() if name.isupper()]
    assert len(codes) == len(set(codes)) == 10
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert documented == {0, *codes}
    listed = set(re.findall(r"\d+", main.epilog))
    assert listed == {str(code) for code in documented}


def test_every_command_prints_json_and_takes_no_value_for_it():
    for name in main.list_commands(None):
        command = main.get_command(None, name)
        commands = [command]
        if name == "law":
            commands = [command.get_command(None, law) for law in command.list_commands(None)]
        for each in commands:
            (option,) = [found for found in each.params if "--json" in found.opts]
            assert option.is_flag, each.name


def test_a_report_as_json(tmp_path, monkeypatch):
    monkeypatch.setattr("rmtstab.report.read", lambda folder: results())
    monkeypatch.setattr("rmtstab.claims.claim.Claim.record", lambda c, found: found["claims"][0])
    monkeypatch.setattr("rmtstab.figures.validation.render", lambda draw: (b"<svg/>", b""))
    result = call("report", tmp_path, "--json")
    shown = json.loads(result.stdout, parse_constant=pytest.fail)
    assert result.exit_code == 0 and shown["report"] == str(tmp_path / "index.html")
    (claim,) = shown["claims"]
    assert claim["name"] == NAME and claim["error_bar"] is None and claim["failing"] == "Infinity"


def test_a_fault_of_the_program_is_no_failed_claim(monkeypatch):
    def breaks():
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("rmtstab.cli.info.facts", breaks)
    result = call("info")
    assert result.exit_code == exits.CRASHED
    assert "ZeroDivisionError: inside" in result.stderr  # with its traceback: to be reported
    assert result.stderr.splitlines()[-1].startswith("Error: a fault of the program")


def test_a_log_has_no_carriage_returns(file, tmp_path):
    command = [sys.executable, "-m", "rmtstab", "sweep", str(file)]
    run = subprocess.run(command, capture_output=True, check=True)
    assert b"\r" not in run.stderr and b"\x1b" not in run.stdout + run.stderr
    assert b"map: 4 of 4" in run.stderr


def test_completion_names_commands_and_values():
    environment = {**os.environ, "_RMTSTAB_COMPLETE": "bash_complete"}
    for words, current, expected in (
        ("rmtstab fro", 1, "plain,frontier"),
        ("rmtstab frontier --sampling with_", 3, "plain,with_replacement"),
        ("rmtstab validate --preset qu", 3, "plain,quick"),
        ("rmtstab validate --only escape-q", 3, "plain,escape-quickens-with-snr"),
    ):
        settings = {"COMP_WORDS": words, "COMP_CWORD": str(current)}
        run = subprocess.run(
            [sys.executable, "-c", "from rmtstab.cli import main; main(prog_name='rmtstab')"],
            env={**environment, **settings}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert expected in run.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--foo"], "No such option '--foo'. See rmtstab --help."),
        (["froniter"], "No such command 'froniter'"),
        (["frontier"], "Missing argument 'DATA'. See rmtstab frontier --help."),
        (["law", "mpp"], "'mpp' is not one of mp, "),
        (["law", "mp"], "Missing option '--aspect-ratio'. See rmtstab law mp --help."),
        (["law", "mp", "--aspect-ratio", "-1"], "aspect_ratio must lie in [1e-150, 1e+150]"),
        (["verify", "nothing.json"], "File 'nothing.json' does not exist"),
        (["report", "nowhere"], "Directory 'nowhere' does not exist"),
        (["sweep"], "FILE must be given, or --list"),
        (["validate", "--preset", "quik"], "preset must be one of quick, full, tiny, got 'quik'"),
        (["validate", "--only", "escape"], "did you mean 'escape-"),
        (["diagnose", "x.py:f"], "Missing option '--step-size'"),
        (["law", "mp", "--aspect-ratio", "1", "--plot", "no/x.png"], "must lie in a folder that"),
        (["law", "mp", "--aspect-ratio", "1", "--plot", "x.xyz"], "must end in .pdf, .png, .svg"),
        (["report", "."], "folder must hold the results.json of a validation run, got .: there is"),
    ],
)
def test_wrong_input_is_one_line_and_code_2(arguments, message):
    result = call(*arguments)
    assert result.exit_code == exits.USAGE and not result.stdout
    assert len(result.stderr.splitlines()) == 1 and message in result.stderr
    assert result.stderr.startswith("Error: ") and not result.stderr.rstrip().endswith("..")


def test_no_arguments_show_the_help():
    for arguments in ([], ["law"]):
        result = call(*arguments)
        assert result.exit_code == exits.USAGE and "Commands:" in result.output


def test_a_certificate_as_json(tmp_path):
    pytest.importorskip("flint")
    problem = rmtstab.UnlearningProblem.from_factors([[1.0], [0.5]])
    path = problem.dynamics(0.1, 1, 0.0).certificate().save(tmp_path / "growth.json")
    result = call("verify", path, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout, parse_constant=pytest.fail)["proved"] is True
    assert "proved: growth < " in call("verify", path).output
