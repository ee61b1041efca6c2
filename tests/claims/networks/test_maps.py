"""Made-up maps: a right theory's hold, and those of wrong ones are refused."""

import copy
import math

import numpy as np
import pytest

from rmtstab.claims.networks import map_cells, maps
from rmtstab.claims.networks.records import PROTOCOLS
from rmtstab.claims.networks.redraw import redraw

LEVEL = math.log(10.0)


def truth(data="signal_plus_noise", networks=12):
    """Predictions of a made-up theory on 12 × 16 maps, two planes, frontiers that move."""
    lines = []
    for k in range(networks):
        for plane, share in (("half", 0.5), ("near", 0.95)):
            eta = share * (0.1 + 0.02 * (k % 4))
            alphas = np.linspace(0.0, 0.4, 16)
            for column, batch in enumerate(np.geomspace(4, 48, 12).astype(int)):
                spread = 0.3 + 0.5 / math.sqrt(batch) + 0.0 * alphas
                mean = 30.0 * (alphas - 0.02 - 0.03 * (k % 4) - 0.1 * share) - 0.05 * column
                square = mean + 1.6 * spread
                z = (np.maximum(mean, 0.0) - LEVEL) / spread
                chance = [0.5 * math.erfc(-v / math.sqrt(2)) for v in z]
                early = [0.5 * math.erfc(-(v + 0.7) / math.sqrt(2)) for v in z]
                told = {
                    "peak": np.maximum(mean, 0.0), "peak_error": 0.1 * spread,
                    "probability": chance, "probability_wrong": chance, "forgets": early,
                    "forgets_wrong": early, "mean": mean, "spread": spread,
                    "mean_square": square, "mean_square_peak": np.maximum(square, 0.0),
                }  # fmt: skip
                lines.append(
                    {
                        "data": data, "snr": 0.5 * (k % 4), "forget": "balanced", "index": k // 4,
                        "plane": plane, "step_size": eta, "batch_size": [int(batch), 1],
                        "alphas": alphas.tolist(), "horizons": [100],
                        "predicted": {n: [np.asarray(v).tolist()] for n, v in told.items()},
                        "observed": {"flipped": 0.0},
                    }
                )  # fmt: skip
    planes = [{"name": n, "axes": ["batch_size", "alpha"], "share": 0.5} for n in ("half", "near")]
    preset = {"radius": 10.0, "displacement": 1e-7, "map_replicas": 4, "map_linear_replicas": 120,
              "planes": planes}  # fmt: skip
    kept = [{"data": d, "sgd_growth_upper": [0.9]} for d in ("signal_plus_noise", "digits")]
    return {"preset": preset, "networks": kept, "maps": lines}


@pytest.fixture(scope="module")
def right():
    return redraw(truth(), np.random.default_rng(0))


JUDGED = [claim for claim in maps.CLAIMS if "maps" in claim.needs]


@pytest.mark.parametrize("claim", JUDGED, ids=lambda c: c.name)
def test_a_right_theory_holds_and_a_wrong_one_does_not(claim, right):
    evidence = right
    if "digits" in claim.name:
        evidence = redraw(truth("digits", 2), np.random.default_rng(1))
    record = claim.record(evidence)
    assert record["holds"] is True, record["measured"]
    if claim.judge_wrong is not None:
        assert record["mutation"]["holds"] is False and record["mutation"]["scale"] == 1.1


def test_runs_that_grow_faster_than_predicted_are_refused():
    faster = redraw(truth(), np.random.default_rng(2), growth=1.1)
    for judge in (maps.displacement, maps.calibration, maps.forgetting, maps.heavy_tailed_zone):
        assert judge(faster).holds is False, judge
    assert maps.displacement(faster).value == pytest.approx(1.1, abs=0.02)
    assert not maps.displacement(redraw(truth(), np.random.default_rng(3), growth=1.05)).holds


def test_classes_that_a_number_tells_prove_nothing(right):
    """Where one step size and one frontier serve all, theory leads no rule."""
    alike = copy.deepcopy(right)
    for line in alike["maps"]:
        alphas = np.array(line["alphas"])
        line["step_size"] = 0.1
        line["predicted"]["peak"] = [(40.0 * alphas).tolist()]
        line["predicted"]["probability"] = [(40.0 * alphas >= LEVEL).astype(float).tolist()]
        line["observed"]["escaped"] = [(4 * (40.0 * alphas >= LEVEL)).tolist()]
    outcome = maps.classes(alike)
    assert outcome.value == 1.0 and not outcome.holds and "at least 0.0%" in outcome.measured


def test_runs_that_the_mean_square_tells_refuse_the_typical_frontier(right):
    escaping = copy.deepcopy(right)
    for line in escaping["maps"]:
        square = np.array(line["predicted"]["mean_square_peak"])
        line["observed"]["escaped"] = (4 * (square >= LEVEL)).tolist()
    outcome = maps.classes(escaping)
    assert outcome.failing == 1.0 > outcome.value and not outcome.holds


def test_cells_left_open_by_an_error_band_fail_the_claim(right):
    vague = copy.deepcopy(right)
    for line in vague["maps"][::5]:
        line["predicted"]["peak_error"] = [[9.0] * 16]
    assert maps.classes(right).holds and not maps.classes(vague).holds
    assert "% of the cells within the prediction's error" in maps.classes(vague).measured


def test_the_zone_is_where_the_frontiers_disagree(right):
    cells = map_cells.read(right)
    assert 0 < cells.zone.sum() < len(cells)
    escaping = copy.deepcopy(right)
    for line in escaping["maps"]:
        square = np.array(line["predicted"]["mean_square_peak"])
        line["observed"]["escaped"] = (4 * (square >= LEVEL)).tolist()
    outcome = maps.heavy_tailed_zone(escaping)
    assert outcome.value == 0.0 and not outcome.holds


def test_a_zone_of_few_decided_cells_is_not_judged(right):
    few = copy.deepcopy(right)
    few["maps"] = few["maps"][::3]
    outcome = maps.heavy_tailed_zone(few)
    assert outcome.holds is None and "of 150" in outcome.measured


def test_maps_of_two_networks_prove_nothing():
    two = redraw(truth(networks=2), np.random.default_rng(0))
    for judge in (maps.displacement, maps.calibration, maps.classes, maps.heavy_tailed_zone):
        assert judge(two).holds is False


@pytest.mark.slow
def test_false_alarms_are_rare():
    """A judge at one in a thousand fails at most five times in five hundred."""
    failed = {claim.name: 0 for claim in JUDGED if "digits" not in claim.name}
    for rng in np.random.default_rng(7).spawn(500):
        drawn = redraw(truth(), rng)
        for claim in JUDGED:
            if claim.name in failed:
                failed[claim.name] += claim.judge(drawn).holds is False
    assert max(failed.values()) <= 5, failed


def test_collapse_needs_both_ends():
    cell = {"snr": 0.3, "escaped": True, "log_peak": 3.0}
    assert not maps.collapse({"collapse": [cell], "preset": {"radius": 10.0}}).holds
    both = [{**cell, "snr": 0.0}, {**cell, "snr": 2.0, "escaped": False}]
    assert maps.collapse({"collapse": both, "preset": {"radius": 10.0}}).holds


def test_plain_sgd_needs_every_certificate():
    network = {
        "data": "signal_plus_noise",
        "sgd_growth_upper": [0.91],
        "protocols": {p: {"sgd_growth_upper": 0.9} for p in PROTOCOLS},
    }
    assert maps.plain_sgd_stable({"networks": [network]}).holds
    for wrong in (math.nan, 1.0):
        broken = {**network, "protocols": {p: {"sgd_growth_upper": wrong} for p in PROTOCOLS}}
        assert not maps.plain_sgd_stable({"networks": [network, broken]}).holds
        assert not maps.plain_sgd_stable(
            {"networks": [network, {**network, "sgd_growth_upper": [wrong]}]}
        ).holds


def test_a_panel_lays_the_networks_of_a_ratio_out(right):
    lines = [x for x in right["maps"] if x["plane"] == "half" and x["snr"] == 0.5]
    found = map_cells.panel(right, lines, 100)
    assert found.share.shape == (16, 12) and found.networks == 3 and found.runs == 12
    first = [x for x in lines if x["batch_size"][0] == 4]
    seen = np.array([x["observed"]["escaped"][0] for x in first]).sum(axis=0) / 12
    np.testing.assert_allclose(found.share[:, 0], seen)
    assert set(np.unique(found.kind)) <= {"resisted", "forgot", "escaped and forgot", "escaped"}
    assert not found.off.any() and 0 < found.undecided.sum() < 60
    shifted = copy.deepcopy(lines)
    for line in shifted:
        line["observed"]["escaped"][0][-1] = 0  # surely escaping, and none did
    assert map_cells.panel(right, shifted, 100).off[-1].all()


def test_a_frontier_is_where_a_column_first_reaches_the_level():
    peaks = np.array([[0.0, 3.0, 0.0], [1.0, 4.0, 0.5], [3.0, 5.0, 0.9]])
    found = map_cells.frontier(peaks, np.array([0.0, 0.1, 0.2]), 2.0)
    np.testing.assert_allclose(found, [0.15, 0.0, math.nan])
