"""Judges must be able to fail: made-up evidence in which the claim is false is refused."""

import math

import numpy as np
import pytest

from rmtstab.claims import CLAIMS, judges
from rmtstab.claims.catalogue import NETWORK_CLAIMS, THEORY_CLAIMS
from rmtstab.claims.presets import PROTOCOLS


def networks(rising=True):
    """Twelve networks whose resistance and escape time follow SNR, or run against it."""
    found = []
    for snr in (0.0, 0.5, 1.0, 2.0):
        for index in range(3):
            value = (snr if rising else 3.0 - snr) + 0.01 * index + 0.1
            found.append(
                {
                    "data": "signal_plus_noise", "snr": snr, "forget": "balanced", "index": index,
                    "protocols": {
                        p: {"resistance": value, "sgd_growth_upper": 0.9,
                            "finite_resistance": value}
                        for p in PROTOCOLS
                    },
                }
            )  # fmt: skip
    return found


def escapes(rising=True):
    return [
        {**n, "protocol": p, "resistance": n["protocols"][p]["resistance"],
         "escape_time": int(100 * n["protocols"][p]["resistance"])}
        for n in networks(rising)
        for p in PROTOCOLS
    ]  # fmt: skip


def evidence(rising=True):
    return {"networks": networks(rising), "escapes": escapes(rising)}


def test_resistance_must_rise():
    assert judges.resistance_rises(evidence()).holds
    assert not judges.resistance_rises(evidence(rising=False)).holds
    flat = evidence()
    for n in flat["networks"]:
        for p in PROTOCOLS:
            n["protocols"][p]["resistance"] = 1.0
    assert not judges.resistance_rises(flat).holds


def test_order_of_escape_times_is_told_apart():
    assert judges.escape_slows_when_scaled(evidence()).holds
    assert not judges.escape_slows_when_scaled(evidence(rising=False)).holds
    assert judges.escape_quickens_at_common_step(evidence(rising=False)).holds
    assert not judges.escape_quickens_at_common_step(evidence()).holds


def test_resistance_that_does_not_follow_its_prediction_is_refused():
    assert judges.finite_resistance(evidence()).holds
    off = evidence()
    for e in off["escapes"]:
        e["resistance"] *= 1.4
    assert not judges.finite_resistance(off).holds
    # right in the mean, wrong at each ratio: a constant prediction, and a reversed one
    constant = evidence()
    values = [n["protocols"]["common"]["resistance"] for n in constant["networks"]]
    for n in constant["networks"]:
        for p in PROTOCOLS:
            n["protocols"][p]["finite_resistance"] = float(np.exp(np.mean(np.log(values))))
    assert not judges.finite_resistance(constant).holds
    reversed_ = evidence()
    for n, value in zip(reversed_["networks"], values[::-1], strict=True):
        for p in PROTOCOLS:
            n["protocols"][p]["finite_resistance"] = value
    assert not judges.finite_resistance(reversed_).holds


def test_a_missing_resistance_is_not_an_infinite_one():
    found = evidence()
    for e in found["escapes"]:
        if e["snr"] > 0:
            e["resistance"] = None
    outcome = judges.resistance_rises(found)
    assert not outcome.holds and "27 values missing" in outcome.measured


def test_not_a_number_passes_nothing():
    nan = math.nan
    training = [{"training": {"loss": x, "starts": 1}} for x in (1e-30, nan, nan)]
    assert not judges.interpolation({"networks": training}).holds
    sharp = [{"sharpness_autograd": x, "sharpness_gram": 1.0} for x in (1.0, nan)]
    assert not judges.curvature({"networks": sharp}).holds
    cells = [{"z": z, "z_with_replacement": 4.0, "z_mean_only": 9.0} for z in (0.1, nan)]
    assert not judges.one_step({"one_step": cells}).holds
    found = evidence()
    for n in found["networks"]:
        n["map"] = {"cells": []}
    assert judges.plain_sgd_stable(found).holds
    found["networks"][5]["protocols"]["common"]["sgd_growth_upper"] = nan
    assert not judges.plain_sgd_stable(found).holds


def test_collapse_needs_both_ends():
    cell = {"snr": 0.3, "escaped": True, "log_peak": 3.0}
    assert not judges.collapse({"collapse": [cell], "preset": {"radius": 10.0}}).holds
    both = [{**cell, "snr": 0.0}, {**cell, "snr": 2.0, "escaped": False}]
    assert judges.collapse({"collapse": both, "preset": {"radius": 10.0}}).holds


def test_the_median_must_lie_below_the_mean_square():
    path = {
        "kind": "noise_driven", "mean_share": 0.7, "log_quantiles": [[0.0], [2.0], [4.0]],
        "linear_median": [2.0], "median_error": 0.1, "linear_median_error": 0.1,
        "mean_square_predicted": [math.exp(8.0)],
    }  # fmt: skip
    assert judges.median_run({"trajectories": [path]}).holds
    assert not judges.median_run({"trajectories": [{**path, "linear_median": [9.0]}]}).holds
    above = {**path, "mean_square_predicted": [1.0]}
    assert not judges.median_run({"trajectories": [above]}).holds


def test_an_escape_beyond_the_horizon_ranks_last():
    times = [(0.0, 5), (1.0, 9), (2.0, None)]
    assert judges.spearman(times)[0] == pytest.approx(1.0)
    assert math.isnan(judges.spearman([(0.0, 1), (0.0, 2)])[0])


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
    assert judges.balanced_accuracy(predicted, actual) == value


def test_balanced_accuracy_of_one_class_is_not_a_number():
    assert math.isnan(judges.balanced_accuracy([1, 1], [1, 1]))


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
    assert judges.heatmaps(map_evidence()).holds
    outcome = judges.heatmaps(map_evidence(wrong=1))
    assert outcome.value == pytest.approx(0.5 * (1 + 10 / 11)) and not outcome.holds
    assert "mean-square frontier 50.0%" in judges.heatmaps(map_evidence()).measured


def test_cells_within_the_monte_carlo_error_do_not_count():
    close = map_evidence(wrong=1)
    close["networks"][0]["map"]["cells"][0]["log_peak_error"] = 2.0
    outcome = judges.heatmaps(close)
    assert outcome.holds and "19 of 20 cells" in outcome.measured
    assert "(95.5% on all)" in outcome.measured


def test_what_was_observed_does_not_select_cells():
    noisy = map_evidence(wrong=7)
    for cell in noisy["outcomes"][:7]:
        cell["log_peak_error"] = math.nan
    assert not judges.heatmaps(noisy).holds


def test_mostly_undecided_maps_prove_nothing():
    vague = map_evidence()
    for cell in vague["networks"][0]["map"]["cells"][:15]:
        cell["log_peak_error"] = 2.0
    assert not judges.heatmaps(vague).holds


def test_heavy_tailed_zone_is_where_the_frontiers_disagree():
    resisting = map_evidence()  # the made-up mean square escapes everywhere
    outcome = judges.heavy_tailed_zone(resisting)
    assert outcome.holds and "10 decided cells" in outcome.measured
    assert not judges.heavy_tailed_zone(map_evidence(wrong=3)).holds


def test_one_wrong_moment_is_enough():
    cells = [{"z": 0.5, "z_with_replacement": 4.0, "z_mean_only": 20.0}] * 5
    assert judges.one_step({"one_step": cells}).holds
    assert not judges.one_step({"one_step": [*cells, {**cells[0], "z": -5.1}]}).holds


def test_mean_square_is_judged_only_where_the_mean_drives():
    path = {
        "kind": "mean_driven", "mean_share": 0.95, "growth_factor": 1.1,
        "mean_square": list(np.ones(101)),
        "mean_square_predicted": list(np.ones(101)), "mean_square_error": list(np.full(101, 0.1)),
    }  # fmt: skip
    assert judges.many_steps({"trajectories": [path]}).holds
    off = {**path, "mean_square": list(np.full(101, 1.6))}
    assert not judges.many_steps({"trajectories": [off]}).holds
    shrinking = {**path, "growth_factor": 0.9, "mean_share": 21.9}
    assert not judges.many_steps({"trajectories": [shrinking]}).holds
    noisy = {**off, "mean_share": 0.5}
    assert not judges.many_steps({"trajectories": [noisy]}).holds  # nothing left to judge


def test_claims_are_complete_and_distinct():
    names = [claim.name for claim in CLAIMS]
    assert len(set(names)) == len(names)
    for claim in CLAIMS:
        for field in ("statement", "latex", "assumptions", "normalisation", "horizon", "source"):
            assert getattr(claim, field), (claim.name, field)
        assert claim.fails
    assert all(claim.needs_torch for claim in NETWORK_CLAIMS)
    assert not any(claim.needs_torch for claim in THEORY_CLAIMS)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("second-moment-operator", {"worst_z": 6.0}),
        ("second-moment-operator", {"worst_wrong_z": 2.0}),
        ("bounds-enclose-growth", {"violations": 1}),
        ("bounds-enclose-growth", {"other_scheme_violated": 0.0}),
        ("typical-below-mean-square", {"rows": [{"mean_square_rate": 0.1, "lyapunov": 0.1,
                                                 "lyapunov_error": 0.01}] * 2}),
        ("gram-spectrum-intervals", {"inside": 0.5}),
        ("gram-spectrum-intervals", {"correlated_top_over_bound": 0.9}),
        ("coherence-closed-form", {"worst": 0.2}),
        ("coherence-closed-form", {"uneven_ratio": 1.01}),
        ("escape-closed-form", {"rows": [{"n": n, "snr": 1.0, "curvature_ratio": 1.2,
                                          "resistance_ratio": 1.0, "curvature_error": 0.01,
                                          "resistance_error": 0.01} for n in (60, 240)]}),
        ("escape-closed-form", {"few_filters": [{"snr": 1.0, "ratio": 1.04, "error": 0.001}]}),
        ("volterra-threshold", {"slope": -0.1}),
        ("volterra-threshold", {"uneven_slope": -1.0}),
        ("tightness-ledger", {"wrong_verdicts": ["mean (heavy)"]}),
    ],
)  # fmt: skip
def test_theory_claims_can_fail(name, broken, theory_evidence):
    (claim,) = (c for c in THEORY_CLAIMS if c.name == name)
    assert claim.judge({"theory": theory_evidence}).holds
    damaged = {**theory_evidence, name: {**theory_evidence[name], **broken}}
    assert not claim.judge({"theory": damaged}).holds


@pytest.mark.parametrize("claim", THEORY_CLAIMS, ids=lambda c: c.name)
def test_the_failing_setting_is_measured(claim, theory_evidence):
    record = claim.record({"theory": theory_evidence})
    assert math.isfinite(record["failing"]) and record["failing"] != record["value"]
    assert "figure" in theory_evidence[claim.name] or claim.name == "tightness-ledger"


def test_every_stage_named_is_one_that_runs():
    stages = {"networks", "escapes", "outcomes", "collapse", "one_step", "trajectories"}
    for claim in NETWORK_CLAIMS:
        assert claim.needs[0] == "networks" and set(claim.needs) <= stages and not claim.uses
        assert claim.check is None
    for claim in THEORY_CLAIMS:
        assert claim.needs == ("theory",) and set(claim.uses) <= {"ledger"} and claim.check
