"""A sweep is data: read, written, refused when wrong; its result labelled, with its units."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import xarray

import rmtstab as rs
from rmtstab.sweeps import Sweep, experiment, experiments


def line(rng, x, slope=2.0):
    return {"y": slope * x, "noise": rng.standard_normal(), "label": f"x={x}"}


def test_the_dataset_is_labelled(tmp_path):
    sweep = Sweep(line, {"x": [1.0, 2.0], "slope": [1, 2, 3]}, units={"x": "s", "y": "m"})
    found = sweep.run(tmp_path)
    assert found.sizes == {"x": 2, "slope": 3} and len(sweep) == 6 and sweep.shape == (2, 3)
    assert found["y"].sel(x=2.0, slope=3) == 6.0
    assert found["y"].attrs["units"] == "m" and found["x"].attrs["units"] == "s"
    assert found["label"].values[1, 0] == "x=2.0"
    assert found.attrs["seed"] == 0 and found.attrs["experiment"] == "line"
    assert json.loads(found.attrs["sweep"])["axes"]["slope"] == [1, 2, 3]
    assert "numpy" in json.loads(found.attrs["versions"])
    assert len(np.unique(found["noise"])) == 6  # each cell has its own generator
    assert xarray.open_zarr(tmp_path / "result.zarr").load().identical(found)
    assert sorted(os.listdir(tmp_path)) == [".lock", "cells", "result.zarr"]


def test_a_wider_sweep_takes_up_the_cells_of_a_narrower_one(tmp_path):
    few = Sweep(line, {"x": [1.0, 2.0]}).run(tmp_path)
    more = Sweep(line, {"x": [0.0, 1.0, 2.0]}).run(tmp_path)
    assert more.sel(x=[1.0, 2.0])["noise"].equals(few["noise"])
    assert len(list((tmp_path / "cells").glob("*.json"))) == 3


def test_toml_round_trip(tmp_path):
    sweep = Sweep(
        "growth", {"alpha": [0.1, 0.2], "batch_size": [[4, 1], [8, 2]], "sampling": ["bernoulli"]},
        {"snr": 1e-5, "n_retain": 12, "n_forget": 4}, seed=7,
    )  # fmt: skip
    path = tmp_path / "sweep.toml"
    sweep.to_toml(path)
    again = Sweep.from_toml(path)
    assert again == sweep and again.cells() == sweep.cells()
    found = again.run(tmp_path / "out")
    assert Sweep.from_toml(tmp_path / "out" / "sweep.toml") == sweep
    assert found.attrs["sweep"] == path.read_text()
    assert list(found["batch_size"].values) == ["4/1", "8/2"]


def test_toml_round_trip_of_any_text_and_name(tmp_path, monkeypatch):
    home = sys.modules["rmtstab.sweeps.experiment"]
    monkeypatch.setattr(home, "REGISTERED", dict(home.REGISTERED))

    @experiment("in_any_tongue", units={})
    def spoken(rng, αλφα=1.0, text="", number=0):
        return {"y": αλφα}

    texts = ["", 'a"b', "\\", "\U0001f600", "tab\t", "\x7f", "é\n", "\u2028", "'" * 3]
    axes = {"text": texts, "αλφα": [1.0, 5e-324, 1e22, -0.0], "number": [2**70, -1]}
    sweep = Sweep("in_any_tongue", axes)
    sweep.to_toml(tmp_path / "sweep.toml")
    again = Sweep.from_toml(tmp_path / "sweep.toml")
    assert again == sweep and again.cells() == sweep.cells()


def test_more_cells_than_can_be_listed_are_refused(tmp_path):
    many = range(10**4)
    with pytest.raises(ValueError, match="at most 10,000,000 cells, got 100,000,000: split"):
        Sweep(line, {"x": many, "slope": many})
    path = tmp_path / "sweep.toml"
    path.write_text('experiment = "growth"\n[axes]\nalpha = {linspace = [0.0, 1.0, 1000000000000]}')
    with pytest.raises(ValueError, match=r"axis 'alpha': number must lie in \[1, 1e\+07\]"):
        Sweep.from_toml(path)
    with pytest.raises(ValueError, match="slope must be finite, got nan"):
        Sweep(line, {"slope": [1.0, math.nan]})


def test_spacings(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(
        'experiment = "coherence"\n[axes]\nsnr = {geomspace = [0.1, 10.0, 3]}\n'
        "alpha = {linspace = [0, 1, 3]}\n"
    )
    sweep = Sweep.from_toml(path)
    assert sweep.axes["alpha"] == [0.0, 0.5, 1.0]
    np.testing.assert_allclose(sweep.axes["snr"], [0.1, 1.0, 10.0])


HEAD = 'experiment = "coherence"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("experiment = ", "must be TOML"),
        ("[axes]\nsnr = [1]", "must hold experiment"),
        (HEAD + "run = 'os.system'", "must hold experiment .* got run"),
        ('experiment = "os.system"', "experiment must be one of cnn_unlearning, .* did you mean"),
        (HEAD + "[axes]\nsnt = [1.0]", "got 'snt': did you mean 'snr'"),
        (HEAD + "[axes]\nsnr = 1.0", "axis 'snr' must be a sequence, got 1.0"),
        (HEAD + "[axes]\nsnr = []", "axis 'snr' must have at least one value"),
        (HEAD + "[axes]\nsnr = [1.0, 1.0]", "axis 'snr' must have each value once, got 1.0 twice"),
        (HEAD + "[axes]\nsnr = [nan]", "snr must be finite"),
        (HEAD + "[axes]\nsnr = {linspace = [0, 1]}", r"must be \[first, last, number\]"),
        (HEAD + "[axes]\nsnr = {geomspace = [0, 1, 3]}", "end must be > 0"),
        (HEAD + "[axes]\nsnr = {randspace = [0, 1, 3]}", "a table with linspace or geomspace"),
        (HEAD + "[axes]\nsnr = [1.0]\n[fixed]\nsnr = 1.0", "fixed must hold no axis, got 'snr'"),
        (HEAD + "seed = -1\n[axes]\nsnr = [1.0]", "seed must be >= 0"),
        (HEAD + "axes = 3", "axes must be a table, got 3"),
        (HEAD + "axes = [1]", "axes must be a table"),
        (HEAD + "seed = " + "[" * 5000, "must be TOML of a sweep, got tables too deep"),
    ],
)
def test_wrong_files_are_named(tmp_path, text, message):
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    with pytest.raises((ValueError, TypeError), match=message):
        Sweep.from_toml(path)


def test_own_functions_are_not_written_and_must_take_rng():
    with pytest.raises(ValueError, match="must be the name of a registered one"):
        Sweep(line, {"x": [1.0]}).to_toml()
    with pytest.raises(TypeError, match="must be a function of rng first, got"):
        Sweep(lambda x: {}, {"x": [1.0]})
    with pytest.raises(ValueError, match="axes or fixed must give x to line"):
        Sweep(line, {"slope": [1.0]})
    with pytest.raises(ValueError, match="name must be new, got 'growth'"):
        experiment("growth", units={})(line)


def test_failures_are_recorded_and_named(tmp_path):
    def picky(rng, x):
        if x == 2:
            raise ZeroDivisionError("two")
        return {"y": x, "many": np.arange(x), "word": "w"}

    found = Sweep(picky, {"x": [1, 2, 3]}).run(tmp_path)
    np.testing.assert_array_equal(found["y"], [1.0, math.nan, 3.0])
    np.testing.assert_array_equal(found["many"][2], [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(found["many"][0], [0.0, math.nan, math.nan])
    assert list(found["word"].values) == ["w", "", "w"]
    texts = list(found["error"].values)
    assert texts[0] == texts[2] == "" and "ZeroDivisionError: two" in texts[1]
    assert "in picky" in texts[1]
    with pytest.raises(ZeroDivisionError, match="two"):
        Sweep(picky, {"x": [1, 2, 3]}).run(errors="raise")


def test_outputs_of_two_kinds_are_refused():
    with pytest.raises(ValueError, match="output 'y' must be numbers, or text, of one number"):
        Sweep(lambda rng, x: {"y": x}, {"x": [1, "a"]}).run()
    with pytest.raises(ValueError, match="outputs must have names other than the axes'"):
        Sweep(lambda rng, x: {"x": x}, {"x": [1]}).run()


def test_where():
    sweep = Sweep("spectrum", {"snr": [0.0, 1.0]}, {"n": 6, "dim": 10})
    for where in ("elsewhere", 3, "http://127.0.0.1"):
        with pytest.raises(ValueError, match="where must be None, 'processes', a scheduler's"):
            sweep.run(where=where)
    with pytest.raises(ValueError, match="workers must come with where='processes'"):
        sweep.run(workers=2)


def test_every_experiment_runs_and_has_units():
    small = {"n_retain": 6, "n_forget": 3, "dim": 12}
    fixed = {
        "growth": {**small, "batch_size": 2}, "coherence": small, "spectrum": {"n": 6, "dim": 12},
        "simulation": {**small, "batch_size": [2, 1], "steps": 5, "replicas": 4},
    }  # fmt: skip
    for name, parameters in fixed.items():
        assert experiments()[name].summary
        found = Sweep(name, {"snr": [0.5]}, parameters).run()
        assert "error" not in found, found["error"].values[0]
        assert all(found[v].attrs["units"] for v in found.data_vars)
    assert found.attrs["experiment"] == "simulation"


def test_growth_is_that_of_the_problem():
    found = Sweep("growth", {"alpha": [0.0, 0.3]}, {"instance": 3, "n_retain": 8, "n_forget": 4,
                  "dim": 6, "batch_size": [2, 1]}).run()  # fmt: skip
    from rmtstab.experiment.registered import rows

    drawn = rows(np.random.default_rng(3), 12, 6, 0.5)
    problem = rs.UnlearningProblem.from_factors(drawn[:8], drawn[8:])
    exact = [problem.dynamics(1.0, (2, 1), a).growth_factor() for a in (0.0, 0.3)]
    np.testing.assert_array_equal(found["growth"], exact)


@pytest.mark.slow
def test_networks_unlearn_in_a_sweep():
    pytest.importorskip("torch")
    found = Sweep(
        "cnn_unlearning", {"alpha": [0.0, 0.6]},
        {"n_retain": 8, "n_forget": 4, "dim": 30, "filters": 4, "batch_size": [8, 4], "steps": 20,
         "replicas": 2},
    ).run()  # fmt: skip
    assert (found["training_loss"] < 1e-15).all()
    assert list(found["verdict"].values) == ["stable", "escapes"]
    assert found["log_peak"][0] < 0.1 < found["log_peak"][1]


SMALL = {"n_retain": 8, "n_forget": 4, "dim": 30, "filters": 4, "batch_size": [4, 2], "steps": 30,
         "replicas": 3}  # fmt: skip


def test_a_function_space_map_is_that_of_the_linearised_network(tmp_path):
    torch = pytest.importorskip("torch")
    from rmtstab.experiment.registered_networks import trained_network

    path = tmp_path / "map.toml"
    path.write_text(
        'experiment = "function_space"\nseed = 3\n[axes]\nalpha = [0.0, 0.9]\n[fixed]\n'
        + "\n".join(f"{name} = {value}" for name, value in SMALL.items())
        + "\nobserve = true\n"
    )
    threads = torch.get_num_threads()
    sweep = Sweep.from_toml(path)
    found = sweep.run(tmp_path / "out")
    assert torch.get_num_threads() == threads  # the caller's own number is back
    assert xarray.open_zarr(tmp_path / "out" / "result.zarr").load().identical(found)
    assert list(found["outcome"].values) == ["keeps", "forgets_then_collapses"]
    assert found["observed"].values[0] == "keeps" != found["observed"].values[1]
    assert found["forget_step"].attrs["units"] == "steps" and found["forget_step"][0] == np.inf
    model, loss, retain, _, net = trained_network("signal_plus_noise", 8, 4, 30, 0.5, 4, 0)
    with torch.no_grad():
        assert float(loss(model(retain[0]), retain[1])) < 0.02
    for cell, loss_there in zip(sweep.cells(), found["forget_loss"].values, strict=True):
        run = net.run(
            4.0, (4, 2), cell["alpha"], 30, replicas=3, rng=int(cell.rng().integers(2**63))
        )
        assert np.median(run.forget_loss[:, -1]) == pytest.approx(loss_there, rel=1e-12)


def test_a_network_that_does_not_train_is_a_failed_cell():
    pytest.importorskip("torch")
    one = {"snr": [0.5]}
    found = Sweep("function_space", one, {**SMALL, "data": "digitz"}).run()
    assert "data must be one of 'signal_plus_noise', 'digits'" in str(found["error"].values[0])


def test_without_xarray_the_core_works_and_a_sweep_says_why():
    code = (
        "import sys, tempfile, importlib.util\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda n, *a: None if n == 'xarray' else real(n, *a)\n"
        "from rmtstab.sweeps import Sweep, product, run\n"
        "run(product('t', 0, {'x': [1]}), lambda cell: {'y': 1}, tempfile.mkdtemp())\n"
        "assert 'xarray' not in sys.modules and 'dask' not in sys.modules\n"
        "try:\n    Sweep('coherence', {'snr': [1.0]}).run()\n"
        "except ImportError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "needs xarray; install it with `pip install rmtstab[sweeps]`" in run.stdout
