"""Made-up records along the data axis: trends and coherences that are wrong are refused."""

import numpy as np
import pytest

from rmtstab.claims.networks import data_axis
from rmtstab.theory import cnn

SNRS = (0.0, 0.3, 1.0, 2.0, 4.0)
BASE = {"n": 60, "n_forget": 12, "dim": 150, "filters": 8, "label_noise": 0.0, "positive": 0.5,
        "forget": "random", "membership_auc_before": 0.9, "membership_auc": 0.5}  # fmt: skip


def records(rng, scale=1.0, rising=True):
    found = []
    for snr in SNRS:
        known = cnn.coherence(48, 12, 150, snr, 8)
        for index in range(6):
            noise = float(np.exp(0.03 * rng.normal()))
            price = (1.0 + snr if rising else 9.0 - snr) * noise
            found.append(
                {**BASE, "snr": snr, "index": index, "resistance": price, "retain_loss": price,
                 "steps": int(100 * price), "distance": 0.2,
                 **{f"coherence_{a}": scale * noise * getattr(known, a) for a in data_axis.AXES}}
            )  # fmt: skip
    found += [{**found[12], "forget": kind, "index": i} for kind in ("class", "hardest")
              for i in range(3)]  # fmt: skip
    return {"data_axis": found}


def test_the_ratio_is_varied_alone(rng):
    found = records(rng)
    assert len(data_axis.along(found, "snr")) == 30
    kinds = {r["forget"] for r in data_axis.along(found, "forget")}
    assert kinds == {"random", "class", "hardest"}


def test_prices_must_rise(rng):
    assert data_axis.price_rises(records(rng)).holds
    assert not data_axis.price_rises(records(rng, rising=False)).holds
    never = records(rng)
    for r in never["data_axis"]:
        r["steps"] = None if r["snr"] > 3.0 else r["steps"]
    assert data_axis.price_rises(never).holds  # never forgotten: later than all others


@pytest.mark.parametrize(
    ("scale", "holds"), [(1.0, True), (1.1, True), (1.3, False), (0.75, False)]
)
def test_coherence_must_be_the_closed_forms(scale, holds, rng):
    assert data_axis.coherence_agrees(records(rng, scale)).holds == holds


def test_the_report_names_what_was_varied(rng):
    outcome = data_axis.forget_sets(records(rng))
    assert outcome.holds is None and "hardest" in outcome.measured
