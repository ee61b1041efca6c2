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
                        p: {"resistance": value, "sgd_growth_factor": 0.9,
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


def test_resistance_off_by_a_third_is_refused():
    found = evidence()
    assert judges.finite_resistance(found).holds
    for e in found["escapes"]:
        e["resistance"] *= 1.33
    assert not judges.finite_resistance(found).holds


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
    preset = {"radius": 10.0, "displacement": 1e-7, "natural_displacement": 0.05}
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


def test_one_wrong_moment_is_enough():
    cells = [{"z": 0.5, "z_with_replacement": 4.0, "z_mean_only": 20.0}] * 5
    assert judges.one_step({"one_step": cells}).holds
    assert not judges.one_step({"one_step": [*cells, {**cells[0], "z": -5.1}]}).holds


def test_mean_square_is_judged_only_where_the_mean_drives():
    path = {
        "kind": "mean_driven", "mean_share": 0.95, "mean_square": list(np.ones(101)),
        "mean_square_predicted": list(np.ones(101)), "mean_square_error": list(np.full(101, 0.1)),
    }  # fmt: skip
    assert judges.many_steps({"trajectories": [path]}).holds
    off = {**path, "mean_square": list(np.full(101, 1.6))}
    assert not judges.many_steps({"trajectories": [off]}).holds
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
        ("one-step-moments", {"worst_z": 6.0}),
        ("bound-sandwich", {"violations": 1}),
        ("spectral-intervals", {"inside": 0.5}),
        ("coherence-formula", {"worst": 0.2}),
        ("volterra-gap", {"slope": -0.1}),
    ],
)
def test_theory_claims_can_fail(name, broken, theory_evidence):
    claims = {c.name: c for c in THEORY_CLAIMS}
    titles = {
        "one-step-moments": "second-moment-operator",
        "bound-sandwich": "bounds-enclose-growth",
        "spectral-intervals": "gram-spectrum-intervals",
        "coherence-formula": "coherence-closed-form",
        "volterra-gap": "volterra-threshold",
    }
    judge = claims[titles[name]].judge
    assert judge({"theory": theory_evidence}).holds
    damaged = {**theory_evidence, name: {**theory_evidence[name], **broken}}
    assert not judge({"theory": damaged}).holds
