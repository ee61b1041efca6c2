"""The cell that trains one network and watches it escape."""

import numpy as np
import pytest

from rmtstab.experiment import PRESETS

torch = pytest.importorskip("torch")
from rmtstab.experiment import escapes  # noqa: E402 (needs torch)

SPEC = {"data": "signal_plus_noise", "snr": 1.0, "forget": "balanced", "index": 0, "seed": 3}


@pytest.fixture(scope="module")
def found():
    return escapes.describe(PRESETS["tiny"], SPEC, 0.05, "cpu")


def test_the_record_is_whole(found):
    assert found["loss"] < 1e-20
    for name, step in (("common", 0.05), ("sharpness_scaled", None)):
        protocol = found["protocols"][name]
        assert step is None or protocol["step_size"] == step
        assert protocol["observed"]["flipped"] == 0.0
    assert 0.0 < found["mean_resistance"] < 1.0
    assert found["measured_masks"]["through_signal"] in (True, False)


def test_resistance_is_read_at_the_first_tenfold_forget_loss():
    steps = np.arange(30.0)
    forget = np.exp(0.2 * steps)[None] * np.ones((3, 1))
    retain = np.exp(0.1 * steps)[None] * np.ones((3, 1))
    at = np.ceil(np.log(10.0) / 0.2)  # the first step at which forget loss has grown tenfold
    value, error = escapes._jackknife(retain, forget)
    assert value == pytest.approx(np.exp(-0.1 * at)) and error == pytest.approx(0.0, abs=1e-12)
    assert escapes._jackknife(retain[:, :5], forget[:, :5]) == (None, None)


def test_few_starts_bias_the_logarithm_and_the_jackknife_removes_it(rng):
    """R_0 is a χ² of two directions: the log of its mean over four lies .13 below that of E R_0."""
    found = []
    for _ in range(4000):
        retain = np.stack([rng.chisquare(2, size=4), np.full(4, 2.0)], axis=1)
        forget = np.tile([1.0, 10.0], (4, 1))
        raw = np.log(escapes._resistance(retain, forget) * 10.0)
        found.append([raw, np.log(escapes._jackknife(retain, forget)[0] * 10.0)])
    raw, corrected = np.mean(found, axis=0)
    assert raw == pytest.approx(0.13, abs=0.03)
    assert abs(corrected) < 0.025
