"""Rates of convergence of the high-dimensional limits: fitted slopes against the claimed ones."""

import numpy as np
import pytest

from rmtstab.claims import limit_checks, rates

HALF, SOFT_EDGE, ONE = -0.5, -2 / 3, -1.0


def has_rate(fit, claimed, *others):
    """Within three errors of the claimed slope, and three errors or more tell the others apart."""
    assert abs(fit["slope"] - claimed) < 3 * fit["slope_error"]
    for other in others:
        assert abs(claimed - other) > 3 * fit["slope_error"]
        assert abs(fit["slope"] - claimed) < abs(fit["slope"] - other)


def test_a_fit_finds_a_planted_slope_and_its_error(rng):
    sizes, scores = (50, 100, 200, 400), []
    for statistic in ("rms", "median"):
        for _ in range(200):
            errors = [n**SOFT_EDGE * (rng.standard_normal(80) - 1) for n in sizes]
            fit = rates.fit_rate(sizes, errors, statistic)
            scores.append((fit["slope"] - SOFT_EDGE) / fit["slope_error"])
    assert abs(np.mean(scores)) < 0.25
    assert 0.75 < np.std(scores) < 1.35  # the error bars are neither small nor idle


def test_wachter(rng):
    found = limit_checks.wachter_rates(rng)
    has_rate(found["rate"], SOFT_EDGE, HALF, ONE)
    assert all(b > 0 for b in found["rate"]["bias"])  # sampled from above
    for row in found["rows"]:
        for level, share in row["below_quantile"].items():
            p = float(level)
            assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / row["draws"]) + 0.012
        corrected = abs(row["mean_over_sampled"] - 1)
        assert corrected < (1 - row["limit_over_sampled"]) / 8 + 4 * row["error"]
    # it fails for heavy tails: the distance grows with the size
    assert found["heavy_tailed"][0] < -0.1 and found["heavy_tailed"][2] < found["heavy_tailed"][0]


@pytest.mark.slow
def test_descent_ascent_edge(rng):
    found = limit_checks.descent_ascent_rates(rng)
    for name in ("over_parameterised", "under_parameterised"):
        has_rate(found[name], SOFT_EDGE, HALF, ONE)
    distances = found["wachter_distance"]
    assert distances[0] < 0.03 and distances[2] < 1e-5
    # it fails for an anisotropic covariance: 20 % stay where isotropic factors keep 4 %
    assert found["anisotropic"][2] > 0.12


def test_coherence(rng):
    found = limit_checks.coherence_rates(rng)
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
    found = limit_checks.outlier_rates(rng)
    has_rate(found["larger_class"], HALF, SOFT_EDGE, ONE)
    has_rate(found["smaller_class"], HALF, SOFT_EDGE, ONE)
    has_rate(found["edge"], SOFT_EDGE, HALF, ONE)
    assert found["inside"] >= 1 - found["delta"]
    assert all(0.15 < used < 0.6 for used in found["width_needed"])
    assert all(width < 0.6 for width in found["width_over_weyl"])


@pytest.mark.slow
def test_escape(rng):
    found = limit_checks.escape_rates(rng)
    has_rate(found["linear_noise"]["curvature"], SOFT_EDGE, ONE)
    has_rate(found["linear_noise"]["resistance"], HALF, ONE)
    has_rate(found["linear_signal"]["curvature"], HALF, ONE)
    has_rate(found["cnn_signal"]["curvature"], HALF, ONE)
    # measured, without a claimed exponent: at least as fast as n^{-1/2}
    for name in ("linear_signal", "cnn_signal"):
        fit = found[name]["resistance"]
        assert fit["slope"] < HALF + 3 * fit["slope_error"]
        assert fit["error"][-1] < 0.025
    share = list(found["mean_share"].values())
    assert share[0] == pytest.approx(1.0, rel=1e-9)
    assert share[2] < share[1] < 0.99 and share[2] < 0.95  # batch noise adds to the rate


@pytest.mark.slow
def test_volterra(rng):
    found = limit_checks.volterra_rates(rng)
    has_rate(found["noise"], ONE, SOFT_EDGE, HALF)
    has_rate(found["spiked"], ONE, SOFT_EDGE, HALF)
    has_rate(found["spiked_leading"], ONE, SOFT_EDGE, HALF)
    has_rate(found["mean"], SOFT_EDGE, HALF, ONE)
    has_rate(found["corner"], HALF, SOFT_EDGE, ONE)
    has_rate(found["capped"], HALF, SOFT_EDGE, ONE)
    # the spike's trace is worth a third of the distance at every size
    pairs = zip(found["spiked"]["error"], found["spiked_leading"]["error"], strict=True)
    assert all(with_it < 0.85 * without for with_it, without in pairs)
    unequal = found["unequal_norms"]
    assert unequal["lognormal"][2] < -0.7 and unequal["lognormal"][2] < unequal["lognormal"][0]
    assert unequal["large_spike"][2] < -0.08
    assert abs(unequal["signal"][2]) < 0.01  # as much energy, at one length
