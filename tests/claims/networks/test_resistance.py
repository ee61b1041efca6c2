"""Made-up evidence in which resistance or escape time does not follow SNR is refused."""

import math

import numpy as np
import pytest

from rmtstab.claims.networks import resistance
from rmtstab.claims.networks.records import PROTOCOLS


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
    assert resistance.resistance_rises(evidence()).holds
    assert not resistance.resistance_rises(evidence(rising=False)).holds
    flat = evidence()
    for n in flat["networks"]:
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
    for e in off["escapes"]:
        e["resistance"] *= 1.4
    assert not resistance.finite_resistance(off).holds
    # right in the mean, wrong at each ratio: a constant prediction, and a reversed one
    constant = evidence()
    values = [n["protocols"]["common"]["resistance"] for n in constant["networks"]]
    for n in constant["networks"]:
        for p in PROTOCOLS:
            n["protocols"][p]["finite_resistance"] = float(np.exp(np.mean(np.log(values))))
    assert not resistance.finite_resistance(constant).holds
    reversed_ = evidence()
    for n, value in zip(reversed_["networks"], values[::-1], strict=True):
        for p in PROTOCOLS:
            n["protocols"][p]["finite_resistance"] = value
    assert not resistance.finite_resistance(reversed_).holds


def test_a_missing_resistance_is_not_an_infinite_one():
    found = evidence()
    for e in found["escapes"]:
        if e["snr"] > 0:
            e["resistance"] = None
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
    for e in found["escapes"]:
        e["resistance"] *= float(np.exp(0.05 * rng.normal()))
    assert resistance.finite_resistance(found).holds
    for e in found["escapes"]:
        e["resistance"] *= factor
    assert not resistance.finite_resistance(found).holds
