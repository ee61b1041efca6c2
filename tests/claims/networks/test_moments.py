"""Made-up runs whose moments are not the linearised ones are refused."""

import math

import numpy as np
import pytest

from rmtstab.claims.networks import moments


def test_the_median_must_lie_below_the_mean_square():
    path = {
        "kind": "noise_driven", "mean_share": 0.7, "log_quantiles": [[0.0], [2.0], [4.0]],
        "linear_median": [2.0], "median_error": 0.1, "linear_median_error": 0.1,
        "mean_square_predicted": [math.exp(8.0)],
    }  # fmt: skip
    assert moments.median_run({"trajectories": [path]}).holds
    assert not moments.median_run({"trajectories": [{**path, "linear_median": [9.0]}]}).holds
    above = {**path, "mean_square_predicted": [1.0]}
    assert not moments.median_run({"trajectories": [above]}).holds


def test_one_wrong_moment_is_enough():
    cell = {
        "observed": 1.0005, "predicted": 1.0, "error": 1e-3, "batch_size": [4, 6], "flipped": 0.0,
        "z_with_replacement": 9.0, "z_forget_with_replacement": 9.0, "z_mean_only": 20.0,
    }  # fmt: skip
    cells = [{**cell, "noise": kind} for kind in ("both", "forget")] * 5
    assert moments.one_step({"one_step": cells}).holds
    assert moments.one_step_wrong({"one_step": cells}).holds is False
    for weak in ("z_with_replacement", "z_forget_with_replacement", "z_mean_only"):
        assert not moments.one_step({"one_step": [{**c, weak: 4.0} for c in cells]}).holds
    for wrong in (1.0051, math.nan):
        off = {**cells[0], "observed": wrong}
        assert not moments.one_step({"one_step": [*cells, off]}).holds
    assert not moments.one_step({"one_step": cells[::2]}).holds  # no forget batch above 1
    kinked = {**cells[0], "observed": 1.01, "flipped": 0.001}
    outcome = moments.one_step({"one_step": [*cells, kinked]})
    assert (
        outcome.holds and "left out beyond a kink: 1, deviating by up to 10.00" in outcome.measured
    )
    assert not moments.one_step({"one_step": [*cells, kinked, kinked]}).holds  # a sixth


def test_mean_square_is_judged_only_where_the_mean_drives():
    path = {
        "kind": "mean_driven", "mean_share": 0.95, "growth_factor": 1.1,
        "mean_square": list(np.ones(101)),
        "mean_square_predicted": list(np.ones(101)), "mean_square_error": list(np.full(101, 0.1)),
        "mean_square_skewness": list(np.zeros(101)),
    }  # fmt: skip

    def holds(*paths):
        evidence = {"trajectories": list(paths), "preset": {"check_replicas": 64}}
        return moments.many_steps(evidence).holds

    assert holds(path)
    for value in (0.4, 1.6):
        off = {**path, "mean_square": list(np.full(101, value))}
        assert not holds(off)
    assert not holds({**path, "growth_factor": 0.9, "mean_share": 21.9})
    assert not holds({**off, "mean_share": 0.5})  # nothing left to judge


def test_the_mean_of_skewed_runs_is_judged_without_its_skewness():
    """Means of 64 lognormal runs: the plain t is beyond 4 from below ten times as often."""
    pytest.importorskip("torch")
    from rmtstab.experiment import observations

    runs = np.random.default_rng(3).lognormal(sigma=2.0, size=(64, 4000))
    t = (runs.mean(axis=0) - np.exp(2.0)) / observations._standard_error(runs)
    skewness = observations._skewness(runs) / 8.0
    freed = np.array([moments.unskewed(*pair) for pair in zip(t, skewness, strict=True)])
    assert (t < -4.0).mean() > 0.02
    assert (np.abs(freed) > 4.0).mean() < 0.1 * (t < -4.0).mean()
    assert observations._skewness(np.full((3, 2), 0.5)).tolist() == [0.0, 0.0]
    # monotone, so that a mean far off is still far off
    assert moments.unskewed(-20.0, 0.6) < moments.unskewed(-10.0, 0.6) < -2.5
