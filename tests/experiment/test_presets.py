"""Presets are values: a run is what they say, whatever they are called."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

import rmtstab as rs
from rmtstab.claims import Claim, Outcome, theory_claim
from rmtstab.cli import main
from rmtstab.experiment import PRESETS, Preset

TINY = PRESETS["tiny"]


def draw(rng):
    return {"mean": float(rng.normal(size=400).mean())}


MINE = theory_claim(
    name="mean-of-normals", check=draw,
    judge=lambda r: Outcome(f"mean {r['mean']:.2f}", r["mean"], 0.05, abs(r["mean"]) < 0.25),
    statement="Normal numbers have mean 0.", latex="E g = 0", assumptions="none",
    normalisation="none", horizon="none", source="textbook", fails="for mean 1",
)  # fmt: skip


def widths(evidence):
    found = [len(n["active_filters"]) for n in evidence["networks"]]
    return Outcome(f"{found} samples", float(found[0]), float("nan"), True)


SIZES = Claim(
    name="sizes", statement="Networks have the sizes asked for.", latex="n", assumptions="none",
    normalisation="none", horizon="none", source="none", fails="never", judge=widths,
)  # fmt: skip


def test_named_presets_are_unchanged():
    quick = PRESETS["quick"]
    assert quick.batch_sizes == ((4, 1), (8, 2), (16, 4), (32, 8), (48, 12))
    assert quick.batch_size == (16, 4) and quick.snrs == (0.0, 0.3, 0.7, 2.0)


def test_batches_follow_the_sets():
    assert Preset("x", n=30, n_forget=6).batch_sizes == ((2, 1), (4, 1), (8, 2), (16, 4), (24, 6))
    assert Preset("x", n=30, n_forget=6).batch_size == (8, 2)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"n": 10, "n_forget": 9}, r"n_forget must lie in \[2, n - 2=8\], got 9"),
        ({"filters": 0}, "filters must be >= 1 and finite, got 0"),
        ({"snrs": ()}, "snrs must hold a number, got none"),
        ({"snrs": (0.1, 0.1)}, "snrs must differ from each other"),
        ({"snrs": (-1.0,)}, "snrs must lie in"),
        ({"batch_sizes": ((64, 1),)}, r"batch_sizes must lie in \[1, n - n_forget=48\], got 64"),
        ({"batch_size": (4,)}, r"batch_size must hold pairs \(retain, forget\)"),
        ({"batch_size": 3}, r"batch_size must hold pairs \(retain, forget\)"),
        ({"batch_size": np.array([[1, 2]])}, r"batch_size must hold pairs \(retain, forget\)"),
        ({"batch_sizes": 3}, "batch_sizes must be a list, tuple or array, got 3"),
        ({"batch_sizes": np.array([1, 2])}, r"batch_sizes must hold pairs \(retain, forget\)"),
        ({"natural_batch_sizes": None}, "natural_batch_sizes must be a list, tuple or array"),
        ({"alpha": 0.0}, r"alpha must lie in \(0, 1\], got 0.0"),
        ({"horizon": 1.5}, "horizon must be an integer"),
    ],
)
def test_sizes_that_do_not_fit(sizes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Preset("mine", **sizes)


def test_own_claims_are_judged_and_reported(tmp_path):
    run = rs.experiment.validate(TINY, claims=[MINE], out=tmp_path / "run", workers=1)
    assert [c["name"] for c in run.claims] == ["mean-of-normals"] and run.failed == []
    page = run.report()
    assert "mean-of-normals" in page.read_text()


def test_a_replaced_preset_runs_what_it_says(tmp_path, monkeypatch):
    """A known fault: the named preset ran instead."""
    pytest.importorskip("torch")
    monkeypatch.setattr(rs.experiment.run, "has_digits", lambda: False)
    small = dataclasses.replace(TINY, snrs=(1.0,), filters=3, dim=40)
    run = rs.experiment.validate(small, claims=[SIZES], out=tmp_path / "run", workers=1)
    assert run.results["preset"]["filters"] == 3
    network = run.results["networks"][0]
    assert max(network["active_filters"]) <= 2 * 3
    assert network["gram_eigenvalues"] and len(network["gram_eigenvalues"]) == small.n
    again = dataclasses.replace(small, filters=4)
    with pytest.raises(ValueError, match="out must be a new folder"):
        rs.experiment.validate(again, claims=[SIZES], out=tmp_path / "run", workers=1)


def test_command_line_changes_sizes(tmp_path):
    result = CliRunner().invoke(
        main,
        ["validate", "--preset", "tiny", "--snr", "0,1.5", "--filters", "5", "--n", "20",
         "--n-forget", "4", "--only", "second-moment-operator", "--workers", "1",
         "--out", str(tmp_path / "run")],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    preset = json.loads((tmp_path / "run" / "run.json").read_text())["preset"]
    assert preset["snrs"] == [0.0, 1.5] and preset["filters"] == 5
    assert preset["batch_sizes"][-1] == [16, 4] and preset["name"].startswith("tiny-")
    for wrong, message in (("a,b", "snr must be numbers like"), ("-1", "snrs must lie in")):
        result = CliRunner().invoke(main, ["validate", "--snr", wrong])
        assert result.exit_code == 2 and message in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"preset": "slow"}, ValueError, "preset must be one of quick, full, tiny, got 'slow'"),
        ({"preset": 3}, TypeError, "preset must be a Preset or a name, got 3"),
        ({"claims": ["no-such"]}, ValueError, "claims must be Claim values or names"),
        ({"claims": [MINE, MINE]}, ValueError, "claims must have names of their own"),
        ({"workers": 0}, ValueError, "workers must be >= 1"),
        ({"seed": -1}, ValueError, "seed must be >= 0"),
    ],
)
def test_bad_input(how, error, message, tmp_path):
    with pytest.raises(error, match=message):
        rs.experiment.validate(**({"preset": TINY, "out": tmp_path / "x"} | how))
    assert not (tmp_path / "x").exists()
