"""Made-up runs whose moments are not the linearised ones are refused."""

import math

import numpy as np

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
        "observed": 1.0005, "predicted": 1.0, "error": 1e-3, "batch_size": [4, 6],
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


def test_mean_square_is_judged_only_where_the_mean_drives():
    path = {
        "kind": "mean_driven", "mean_share": 0.95, "growth_factor": 1.1,
        "mean_square": list(np.ones(101)),
        "mean_square_predicted": list(np.ones(101)), "mean_square_error": list(np.full(101, 0.1)),
    }  # fmt: skip
    assert moments.many_steps({"trajectories": [path]}).holds
    off = {**path, "mean_square": list(np.full(101, 1.6))}
    assert not moments.many_steps({"trajectories": [off]}).holds
    shrinking = {**path, "growth_factor": 0.9, "mean_share": 21.9}
    assert not moments.many_steps({"trajectories": [shrinking]}).holds
    noisy = {**off, "mean_share": 0.5}
    assert not moments.many_steps({"trajectories": [noisy]}).holds  # nothing left to judge
