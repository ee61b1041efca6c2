"""Every result travels: strict JSON, tables, maps, a notebook, a figure, a short true repr."""

import dataclasses
import json
import math

import numpy as np
import pytest

import rmtstab as rs
from rmtstab._record import Record, plain


@pytest.fixture(scope="module")
def dyn():
    rng = np.random.default_rng(0)
    problem = rs.UnlearningProblem.from_factors(
        rng.standard_normal((8, 5)), rng.standard_normal((4, 5))
    )
    return problem.dynamics(0.2, (2, 1), 0.3)


@pytest.fixture(scope="module")
def results(dyn):
    problem = dyn.problem
    return {
        "growth": dyn.growth(),
        "threshold": problem.critical_step_size((2, 1), 0.3),
        "estimate": dyn.lyapunov(0, steps=5, replicas=4),
        "coherence": problem.coherence(),
        "bound": dyn.bounds()[0],
        "trajectory": dyn.trajectory(4, quantiles=(0.1, 0.9), replicas=8, rng=0),
        "frontier": problem.frontier(0.2, [(1, 1), (4, 2)], [0.0, 0.5, 1.0]),
        "simulation": dyn.simulate(4, 3, 0),
    }


def test_every_result_is_strict_json(results):
    for name, result in results.items():
        assert isinstance(result, Record), name
        shown = json.loads(json.dumps(result.to_dict(), allow_nan=False))
        assert set(shown) == {field.name for field in dataclasses.fields(result)}
    assert results["coherence"].to_dict()["unlearning"] is None  # NaN: no mixing was given
    assert results["growth"].to_dict()["verdict"] == "escapes"
    assert results["frontier"].to_dict()["values"] == results["frontier"].values.tolist()


def test_plain_values():
    given = {1: np.float32(0.5), "a": (math.inf, -math.inf, math.nan), "z": 1 + 2j, "n": None}
    assert plain(given) == {
        "1": 0.5, "a": ["Infinity", "-Infinity", None], "z": [1.0, 2.0], "n": None
    }  # fmt: skip
    assert float(plain(-math.inf)) == -math.inf
    assert plain(np.array([[True], [False]])) == [[True], [False]]


def test_reprs_are_short_and_true(results):
    for result in results.values():
        assert len(repr(result)) < 420
        page = result._repr_html_()
        assert page.startswith("<table>") and type(result).__name__ in page
    assert "alphas=<3, 0 … 1>" in repr(results["frontier"])
    escaped = dataclasses.replace(results["threshold"], status="<script>")._repr_html_()
    assert "<script>" not in escaped and "&lt;script&gt;" in escaped


def test_a_frontier_is_a_map(results):
    frontier = results["frontier"]
    found = frontier.to_xarray()
    assert found["values"].dims == ("alpha", "batch")
    cell = found["values"].sel(alpha=0.5)[1]
    assert cell == frontier.values[1, 1] and cell["retain_batch"] == 4 and cell["forget_batch"] == 2
    assert found["verdicts"].values[2, 0] == "escapes" and found.attrs["level"] == 1.0
    table = frontier.to_dataframe()
    assert len(table) == 6 and {"values", "critical_alpha", "retain_batch"} <= set(table.columns)


def test_a_trajectory_is_a_table(results):
    path = results["trajectory"]
    found = path.to_xarray()
    assert found["displacement"].dims == ("step",) and found["quantiles"].dims == (
        "quantile",
        "step",
    )
    assert "observed" not in found  # not asked for
    plain_path = dataclasses.replace(path, quantiles=np.zeros((0, 0)))
    table = plain_path.to_dataframe()
    assert len(table) == 5 and table["retain_loss"].tolist() == path.retain_loss.tolist()
    assert len(results["simulation"].to_dataframe()) == 3 * 5
    row = results["threshold"].to_dataframe()
    assert row["value"].tolist() == [float(results["threshold"])]


def test_plot_calls_the_figure_made_for_it(results):
    from matplotlib.figure import Figure

    labels = {
        "growth": "share",
        "trajectory": "expected",
        "frontier": "mixing",
        "simulation": "‖w‖",
    }
    for name, label in labels.items():
        ax = Figure().add_subplot()
        assert results[name].plot(ax) is ax and ax.get_ylabel().startswith(label)
    with pytest.raises(TypeError, match="Threshold has no figure"):
        results["threshold"].plot()
    with pytest.raises(TypeError, match="Threshold is no table or map"):
        results["threshold"].to_xarray()


def test_plot_makes_a_figure_of_its_own(results):
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    ax = results["trajectory"].plot()
    assert len(ax.lines) == 3
    plt.close("all")
