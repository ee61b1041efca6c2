"""``rmtstab frontier`` prints the map, draws it, and refuses bad files in one line."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from rmtstab.cli import main


def call(*arguments):
    return CliRunner().invoke(main, ["frontier", *map(str, arguments)])


@pytest.fixture
def data(tmp_path, rng):
    path = tmp_path / "factors.npz"
    np.savez(path, retain=rng.standard_normal((8, 3)), forget=rng.standard_normal((4, 3)))
    return path


def test_map_is_printed_and_drawn(tmp_path, data):
    image = tmp_path / "map.png"
    result = call(data, "--batch-sizes", "1,8", "--alphas", 3, "--out", image)
    assert result.exit_code == 0, result.output
    assert "1/1" in result.output and "8/4" in result.output and "critical" in result.output
    assert image.stat().st_size > 1000
    horizon = call(data, "--horizon", 5, "--radius", 2.0, "--alphas", 3)
    assert horizon.exit_code == 0 and "escapes above 4" in horizon.output


def test_forget_batches_reason_and_advice(data):
    result = call(data, "--batch-sizes", "2/3,8/1", "--alphas", 3)
    assert "2/3" in result.output and "8/1" in result.output
    assert "first to escape (α = 0.5, batches" in result.output
    assert "--horizon K" in result.output


def test_json_is_strict_and_is_the_map(data):
    import rmtstab as rs

    result = call(data, "--batch-sizes", "1,8/2", "--alphas", 3, "--step-size", 0.2, "--json")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.output, parse_constant=pytest.fail)
    with np.load(data) as arrays:
        problem = rs.UnlearningProblem.from_factors(arrays["retain"], arrays["forget"])
    found = problem.frontier(0.2, [(1, 1), (8, 2)], [0.0, 0.5, 1.0])
    assert shown["frontier"] == found.to_dict()
    assert shown["frontier"]["verdicts"][2] == ["escapes", "escapes"]
    assert shown["settings"]["step_size"] == 0.2 and len(shown["reasons"]) == 2


def test_without_a_forget_set_it_says_so(tmp_path):
    gram, retain = tmp_path / "gram.npz", tmp_path / "retain.npz"
    np.savez(gram, gram=np.eye(4), n_retain=4)
    np.savez(retain, retain=np.eye(4))
    for path in (gram, retain):
        result = call(path, "--batch-sizes", "2")
        assert result.exit_code == 0 and "n_forget=0" in result.output
        assert "no forget set in the file: plain SGD" in result.output
        assert "critical" not in result.output and "2/0" not in result.output
        told = json.loads(call(path, "--batch-sizes", "2", "--json").output)
        assert told["frontier"]["critical_alpha"] is None and "plain SGD" in told["reasons"][0]
    refused = call(gram, "--batch-sizes", "2/1")
    assert refused.exit_code == 2 and "there is no forget set" in refused.output


def one_line(result):
    """The message of a usage error, which is the last line."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    lines = result.output.strip().splitlines()
    assert lines[-1].startswith("Error: ")
    return lines[-1]


def npz(**arrays):
    def write(path):
        with open(path, "wb") as file:
            np.savez(file, **arrays)

    return write


def npy(path):
    with open(path, "wb") as file:
        np.save(file, np.eye(3))


def truncated(path):
    npz(retain=np.eye(30), forget=np.eye(30))(path)
    path.write_bytes(path.read_bytes()[:600])


def flipped(path):
    npz(retain=np.eye(30), forget=np.eye(30))(path)
    damaged = bytearray(path.read_bytes())
    damaged[300] ^= 1
    path.write_bytes(damaged)


def text(path):
    path.write_text("retain\n1 2 3\n")


def pickled(path):
    npz(retain=np.array([{"a": 1}], dtype=object))(path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (npz(nothing=np.eye(2)), "must hold `retain` and perhaps `forget`"),
        (npz(gram=np.eye(2)), "must hold `retain` and perhaps `forget`"),
        (npz(gram=np.eye(2), n_retain=1.5), "n_retain must be an integer, got 1.5"),
        (npz(retain=np.zeros((3, 2)), forget=np.zeros((1, 2))), "factors that are all zero"),
        (npz(retain=np.full((3, 2), np.nan)), "must be finite"),
        (npz(retain=np.array(["a"])), "must hold real numbers"),
        (npz(retain=np.eye(3), forget=np.eye(2)), "must share one dimension d"),
        (npy, "got an .npy file of one array"),
        (truncated, "got a truncated .npz"),
        (flipped, "got a damaged one"),
        (text, "got no .npz"),
        (pickled, "got a damaged one"),
    ],
)
def test_wrong_files(tmp_path, write, message):
    path = tmp_path / "bad.npz"
    write(path)
    assert message in one_line(call(path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch-sizes", "9"], "n_retain=8"),
        (["--batch-sizes", "2.5"], "batch-sizes must be whole numbers or pairs"),
        (["--batch-sizes", "2/9"], "n_forget=4"),
        (["--batch-sizes", "2/1/1"], "batch-sizes must be whole numbers or pairs"),
        (["--batch-sizes", ""], "batch-sizes must be whole numbers or pairs"),
        (["--alphas", "0"], "0 is not in the range x>=2"),
        (["--alphas", "1"], "1 is not in the range x>=2"),
        (["--alphas", "-3"], "-3 is not in the range x>=2"),
        (["--horizon", "0"], "horizon must be >= 1"),
        (["--step-size", "nan"], "step_size must be"),
        (["--out", "missing/map.png"], "must lie in a folder that exists, got 'missing/map.png'"),
        (["--out", "map.xyz"], "must end in .pdf, .png, .svg, got 'map.xyz'"),
        (["--out", "map"], "must end in .pdf, .png, .svg, got 'map'"),
    ],
)
def test_wrong_options(data, arguments, message):
    assert message in one_line(call(data, *arguments))
