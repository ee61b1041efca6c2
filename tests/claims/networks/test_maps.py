"""Made-up maps that do not follow the frontier are refused."""

import math

import pytest

from rmtstab.claims.networks import maps
from rmtstab.claims.networks.records import PROTOCOLS


@pytest.mark.parametrize(
    ("predicted", "actual", "value"),
    [
        ([1, 1, 0, 0], [1, 1, 0, 0], 1.0),
        ([1, 1, 1, 1], [1, 1, 1, 0], 0.5),  # a majority vote
        ([0, 0, 1, 1], [1, 1, 0, 0], 0.0),
        ([1, 0, 0, 0], [1, 1, 0, 0], 0.75),
    ],
)
def test_balanced_accuracy(predicted, actual, value):
    assert maps.balanced_accuracy(predicted, actual) == value


def test_balanced_accuracy_of_one_class_is_not_a_number():
    assert math.isnan(maps.balanced_accuracy([1, 1], [1, 1]))


def map_evidence(wrong=0):
    """A 2 × 10 map whose observed classes follow the typical frontier but for some cells."""
    cells, observed = [], []
    for k in range(20):
        escapes = k >= 10
        peak = math.log(10.0) + (1.0 if escapes else -1.0)
        spot = {"alpha": 0.01 * (k + 1), "batch_size": [4, 1]}
        cells.append(
            {**spot, "log_peak_typical": peak, "log_peak_error": 0.1,
             "log_peak_mean_square": math.log(10.0) + 0.5}
        )  # fmt: skip
        seen = escapes != (k < wrong)
        observed.append(
            {**spot, "data": "signal_plus_noise", "snr": 1.0, "forget": "balanced", "index": 0,
             "scale": "map", "displacement": 1e-7, "escaped": seen, "forgot": seen,
             "log_peak_error": 0.1, "flipped": 0.0}
        )  # fmt: skip
    network = {
        "data": "signal_plus_noise", "snr": 1.0, "forget": "balanced", "index": 0,
        "map": {"cells": cells}, "kink_margin": 1e-6, "weight_norm": 1.0,
    }  # fmt: skip
    preset = {
        "radius": 10.0, "displacement": 1e-7, "natural_displacement": 0.05,
        "replicas": 16, "linear_replicas": 16,
    }  # fmt: skip
    return {"preset": preset, "networks": [network], "outcomes": observed}


def test_frontier_accuracy_needs_97_percent():
    assert maps.heatmaps(map_evidence()).holds
    outcome = maps.heatmaps(map_evidence(wrong=1))
    assert outcome.value == pytest.approx(0.5 * (1 + 10 / 11)) and not outcome.holds
    assert "mean-square frontier 50.0%" in maps.heatmaps(map_evidence()).measured


def test_cells_within_the_monte_carlo_error_do_not_count():
    close = map_evidence(wrong=1)
    close["networks"][0]["map"]["cells"][0]["log_peak_error"] = 2.0
    outcome = maps.heatmaps(close)
    assert outcome.holds and "19 of 20 cells" in outcome.measured
    assert "(95.5% on all)" in outcome.measured


def test_what_was_observed_does_not_select_cells():
    noisy = map_evidence(wrong=7)
    for cell in noisy["outcomes"][:7]:
        cell["log_peak_error"] = math.nan
    assert not maps.heatmaps(noisy).holds


def test_mostly_undecided_maps_prove_nothing():
    vague = map_evidence()
    for cell in vague["networks"][0]["map"]["cells"][:15]:
        cell["log_peak_error"] = 2.0
    assert not maps.heatmaps(vague).holds


def test_heavy_tailed_zone_is_where_the_frontiers_disagree():
    resisting = map_evidence()  # the made-up mean square escapes everywhere
    outcome = maps.heavy_tailed_zone(resisting)
    assert outcome.holds and "10 decided cells" in outcome.measured
    assert not maps.heavy_tailed_zone(map_evidence(wrong=3)).holds


def test_collapse_needs_both_ends():
    cell = {"snr": 0.3, "escaped": True, "log_peak": 3.0}
    assert not maps.collapse({"collapse": [cell], "preset": {"radius": 10.0}}).holds
    both = [{**cell, "snr": 0.0}, {**cell, "snr": 2.0, "escaped": False}]
    assert maps.collapse({"collapse": both, "preset": {"radius": 10.0}}).holds


def test_plain_sgd_needs_every_certificate():
    network = {
        "data": "signal_plus_noise",
        "map": {"cells": [{"alpha": 0.0, "growth_factor": 0.9, "growth_error": 0.01}]},
        "protocols": {p: {"sgd_growth_upper": 0.9} for p in PROTOCOLS},
    }
    assert maps.plain_sgd_stable({"networks": [network]}).holds
    for wrong in (math.nan, 1.0):
        broken = {**network, "protocols": {p: {"sgd_growth_upper": wrong} for p in PROTOCOLS}}
        assert not maps.plain_sgd_stable({"networks": [network, broken]}).holds
