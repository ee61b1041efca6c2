"""Coherence, outliers and escape of signal-plus-noise data: fitted slopes against the claimed."""

import numpy as np
import pytest

from rmtstab.claims.limits import signal
from tests.claims.limits.rates import HALF, ONE, SOFT_EDGE, THIRD, has_rate


def test_coherence(rng):
    found = signal.coherence_rates(rng)
    has_rate(found["leading"], ONE, SOFT_EDGE, HALF)
    # n^{-1/2} up to logarithms, which the width of the asymptotic interval knows: slope 0 over it
    has_rate(found["coherence_over_width"], 0.0, HALF)
    second, leading = (np.array(found[k]["bias"]) for k in ("second_order", "leading"))
    errors = np.array(found["second_order"]["bias_error"])
    assert (np.abs(second) < 0.35 * np.abs(leading) + 3 * errors).all()
    for row in found["coverage"]:
        error = np.sqrt(0.05 * 0.95 / 300)
        assert max(row["below"], row["above"]) < 0.05 + 4 * error
        assert row["outside_halved"] > 0.25
        assert row["outside_interval"] == 0
        assert 0.15 < row["width_needed"] < 0.5  # conservative: two to seven times
        assert abs(row["mean_over_sampled"] - 1) < 0.01 + 3 * row["mean_error"]
    # the leading order fails in three dimensions: 10 % stay, however many samples
    assert min(found["few_dimensions"]) > 0.05


@pytest.mark.slow
def test_outliers_and_edge(rng):
    found = signal.outlier_rates(rng)
    has_rate(found["larger_class"], HALF, SOFT_EDGE, ONE)
    has_rate(found["smaller_class"], HALF, SOFT_EDGE, ONE)
    has_rate(found["edge"], SOFT_EDGE, HALF, ONE)
    assert found["inside"] >= 1 - found["delta"]
    assert all(0.15 < used < 0.6 for used in found["width_needed"])
    assert all(width < 0.6 for width in found["width_over_weyl"])
    assert min(found["uneven_noise"]) > 0.1  # five times what the claim allows


@pytest.mark.slow
def test_escape(rng):
    found = signal.escape_rates(rng)
    has_rate(found["linear_noise"]["curvature"], SOFT_EDGE, HALF, ONE)
    has_rate(found["linear_noise"]["resistance"], HALF, ONE)
    has_rate(found["linear_signal"]["curvature"], HALF, THIRD, SOFT_EDGE, ONE)
    has_rate(found["cnn_signal"]["curvature"], HALF, THIRD, SOFT_EDGE, ONE)
    # measured, without a claimed exponent: at least as fast as n^{-1/2}
    for name in ("linear_signal", "cnn_signal"):
        fit = found[name]["resistance"]
        assert fit["slope"] < HALF + 3 * fit["slope_error"]
        assert fit["error"][-1] < 0.025
    share = list(found["mean_share"].values())
    assert share[0] == pytest.approx(1.0, rel=1e-9)
    assert share[2] < share[1] < 0.99 and share[2] < 0.95  # batch noise adds to the rate
