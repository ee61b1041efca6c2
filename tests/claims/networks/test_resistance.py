"""Made-up evidence in which resistance or escape time does not follow SNR is refused."""

import copy
import math

import numpy as np
import pytest

from rmtstab.claims.networks import resistance
from rmtstab.claims.networks.records import PROTOCOLS

SNRS = (0.0, 0.5, 1.0, 2.0)


def networks(rising=True):
    """Twelve networks whose resistance and escape time follow SNR, or run against it."""
    found = []
    for snr in SNRS:
        for index in range(3):
            value = (snr if rising else 3.0 - snr) + 0.01 * index + 0.1
            protocol = {
                "resistance": value, "finite_resistance": value,
                "observed": {"resistance": value, "escape_time": int(100 * value)},
            }  # fmt: skip
            found.append(
                {
                    "snr": snr, "index": index, "mean_resistance": value,
                    "measured_masks": {"resistance": value},
                    "protocols": {p: copy.deepcopy(protocol) for p in PROTOCOLS},
                }
            )  # fmt: skip
    return found


def evidence(rising=True):
    curves = [{"snr": snr, "resistance": 1.2 * (snr + 0.1)} for snr in SNRS]
    return {"escapes": networks(rising), "closed_form": {"curves": curves}}


def observed(found):
    """Every observed record."""
    return [p["observed"] for n in found["escapes"] for p in n["protocols"].values()]


def test_resistance_must_rise():
    assert resistance.resistance_rises(evidence()).holds
    assert not resistance.resistance_rises(evidence(rising=False)).holds
    flat = evidence()
    for n in flat["escapes"]:
        for p in PROTOCOLS:
            n["protocols"][p]["resistance"] = 1.0
    assert not resistance.resistance_rises(flat).holds


def test_order_of_escape_times_is_told_apart():
    assert resistance.escape_slows_when_scaled(evidence()).holds
    assert not resistance.escape_slows_when_scaled(evidence(rising=False)).holds
    assert resistance.escape_quickens_at_common_step(evidence(rising=False)).holds
    assert not resistance.escape_quickens_at_common_step(evidence()).holds


def test_resistance_that_does_not_follow_its_prediction_is_refused():
    assert resistance.finite_resistance(evidence()).holds
    off = evidence()
    for e in observed(off):
        e["resistance"] *= 1.4
    assert not resistance.finite_resistance(off).holds
    # right in the mean, wrong at each ratio: a constant prediction, and a reversed one
    values = [n["mean_resistance"] for n in evidence()["escapes"]]
    level = float(np.exp(np.mean(np.log(values))))
    for wrong in ([level] * len(values), values[::-1]):
        found = evidence()
        for n, value in zip(found["escapes"], wrong, strict=True):
            for p in PROTOCOLS:
                n["protocols"][p]["finite_resistance"] = value
        assert not resistance.finite_resistance(found).holds


def test_closed_form_is_judged_above_the_transition():
    right = resistance.closed_form_resistance(evidence())
    assert right.holds and "all refused" in right.measured
    below = evidence()
    for n in below["escapes"]:
        if n["snr"] < resistance.TRANSITION:
            n["measured_masks"]["resistance"] *= 2.0
    found = resistance.closed_form_resistance(below)
    assert found.holds and found.failing == pytest.approx(math.log(2.0))
    for wrong in (lambda n: 1.25 * n["mean_resistance"], lambda n: 0.9, lambda n: n["snr"] ** 2):
        off = evidence()
        for n in off["escapes"]:
            n["measured_masks"]["resistance"] = wrong(n)
        assert not resistance.closed_form_resistance(off).holds
    noisy = evidence()  # nothing can be told apart: the wrong theories pass too
    for n in noisy["escapes"]:
        n["measured_masks"]["resistance"] *= math.exp(1.0 * (n["index"] - 1))
    outcome = resistance.closed_form_resistance(noisy)
    assert not outcome.holds and "× 1.25 pass" in outcome.measured


def test_a_missing_resistance_is_not_an_infinite_one():
    found = evidence()
    for n in found["escapes"]:
        for p in n["protocols"].values():
            if n["snr"] > 0:
                p["observed"]["resistance"] = None
    outcome = resistance.resistance_rises(found)
    assert not outcome.holds and "27 values missing" in outcome.measured


def test_an_escape_beyond_the_horizon_ranks_last():
    times = [(k, snr, t) for k in range(3) for snr, t in ((0.0, 5), (1.0, 9), (2.0, None))]
    assert resistance.trend(times) == pytest.approx(1 / 216)
    assert resistance.trend(times, rising=False) > 0.99


def test_a_trend_needs_data_sets_and_ratios():
    assert math.isnan(resistance.trend([(0, 0.0, 1), (0, 1.0, 2), (0, 2.0, 3)]))
    assert math.isnan(resistance.trend([(k, snr, snr) for k in range(3) for snr in (0.0, 1.0)]))


def test_what_a_data_set_shares_does_not_make_a_trend(rng):
    """Blocks cancel: networks of one data set, all alike, reject as often as asked."""
    hits = 0
    for _ in range(400):
        shared = rng.normal(size=5)[:, None] * 10.0
        values = shared + rng.normal(size=(5, 4))
        cells = [(i, float(j), float(values[i, j])) for i in range(5) for j in range(4)]
        hits += resistance.trend(cells) < 0.05
    assert hits <= 400 * 0.05 + 4 * (400 * 0.05 * 0.95) ** 0.5


@pytest.mark.parametrize("factor", [1.33, 1 / 1.33])
def test_a_finite_resistance_a_third_off_is_refused(factor, rng):
    found = evidence()
    for e in observed(found):
        e["resistance"] *= float(np.exp(0.05 * rng.normal()))
    assert resistance.finite_resistance(found).holds
    for e in observed(found):
        e["resistance"] *= factor
    assert not resistance.finite_resistance(found).holds


# log escape times at a common step, SNR 0, .3, .7, 1.3, 2: means, and spread within a data set,
# of sixteen data sets of the quick preset's sizes
MEANS, SPREAD = (5.69, 5.83, 5.57, 5.33, 5.34), 0.095


def passes(means, data_sets, draws, rng):
    """How often the trend of made-up escape times passes the claim's test."""
    hits = 0
    for _ in range(draws):
        logs = np.array(means) + SPREAD * rng.normal(size=(data_sets, len(means)))
        cells = [(i, float(j), float(logs[i, j])) for i in range(data_sets)
                 for j in range(len(means))]  # fmt: skip
        hits += resistance.trend(cells, rising=False) < resistance.CHANCE
    return hits


def test_eight_data_sets_have_the_power_that_three_lacked(rng):
    """Right: at most one in a thousand missed (two here); flat: one in a thousand passes."""
    assert passes(MEANS, 8, 1000, rng) >= 998
    assert passes(MEANS, 3, 300, rng) < 240
    assert passes([5.5] * 5, 8, 1000, rng) <= 5
    assert passes(MEANS[::-1], 8, 200, rng) == 0
