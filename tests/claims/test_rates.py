"""Rates: a wrong slope, a wide error bar or no failure must fail a claim; a fit knows its error."""

import numpy as np
import pytest

from rmtstab.claims import rates
from rmtstab.claims.limits import mixing, signal, volterra
from rmtstab.claims.rates import HALF, NONE, ONE, SOFT_EDGE, Rate, intercept, judge_rates, supports

RATES = (Rate("a/b", HALF, (NONE, SOFT_EDGE, ONE)),)
SIZES = (100, 200, 400)


def judged(slope=-0.52, error=0.03, off=0.3, limit=0.0, bar=0.001):
    """Judge a made-up fit whose mean errors tend to ``limit`` like n^(-1/2)."""
    fit = {
        "slope": slope,
        "slope_error": error,
        "sizes": SIZES,
        "bias": [limit + 0.4 * n**HALF for n in SIZES],
        "bias_error": [bar] * len(SIZES),
    }
    return judge_rates({"a": {"b": fit}}, RATES, failing=off, least=0.1)


def test_a_supported_rate_holds():
    outcome = judged()
    assert outcome.holds and outcome.failing == 0.3 and outcome.value == -0.52
    assert "-0.52 ± 0.03" in outcome.measured and "0.0% ± 0.2%" in outcome.measured
    assert judged(limit=0.005).holds  # within three standard errors


@pytest.mark.parametrize(
    "wrong",
    [
        {"slope": -0.66},  # the soft edge's
        {"slope": -1.0},
        {"slope": -0.02},  # nothing is reached
        {"error": 0.06},  # cannot tell -1/2 from -2/3
        {"off": 0.05},  # holds where it should fail
        {"slope": float("nan")},
        {"limit": -0.23},  # the closed form multiplied by 1.3, its slope right
        {"limit": 0.01},  # five standard errors
        {"limit": 0.03, "bar": 0.1},  # within the error bar, beyond the stated share
        {"limit": float("nan")},
    ],
)
def test_wrong_evidence_fails(wrong):
    assert not judged(**wrong).holds


def test_an_intercept_knows_its_error(rng):
    truth = 0.01 + 0.4 * np.array(SIZES) ** HALF
    bars = np.array([0.004, 0.003, 0.002])
    scores = []
    for _ in range(400):
        fit = {"sizes": SIZES, "bias": truth + bars * rng.standard_normal(3), "bias_error": bars}
        limit, error = intercept(fit, HALF)
        scores.append((limit - 0.01) / error)
    assert abs(np.mean(scores)) < 0.25 and 0.85 < np.std(scores) < 1.15


@pytest.mark.parametrize(
    "rate",
    [*volterra.RATES, *mixing.WACHTER, *mixing.WEIGHT_DECAY,
     *signal.COHERENCE, *signal.OUTLIERS, *signal.ESCAPE],
    ids=lambda rate: rate.path,
)  # fmt: skip
def test_rates_have_neighbours_on_both_sides(rate):
    assert NONE in rate.others and min(rate.others) < rate.claimed < max(rate.others)


@pytest.mark.parametrize("rate", [*volterra.RATES[2:], *signal.ESCAPE], ids=lambda rate: rate.path)
def test_the_nearest_exponents_are_named(rate):
    """Those that limits have: 0, 1/3, 1/2, 2/3, 1."""
    known = [0.0, -1 / 3, -0.5, -2 / 3, -1.0]
    at = known.index(pytest.approx(rate.claimed))
    assert {known[at - 1], known[at + 1]} <= set(rate.others)


def test_support_needs_every_neighbour():
    fit = {"slope": -0.8, "slope_error": 0.02}
    assert supports(fit, -2 / 3, [-0.5, -1.0])
    assert not supports(fit, -1.0, [-2 / 3])


def test_controls_leave_slope_and_limit_where_they_are_and_shrink_their_errors(rng):
    """Errors that their control explains to a seventh: a limit off by .02 is seen."""
    sizes, slopes, limits, plain, wrong = (32, 64, 128, 256), [], [], [], []
    for _ in range(150):
        c, rest = rng.standard_normal((2, 4, 60))
        errors = np.array(sizes)[:, None] ** -0.5 * (c + 0.1 * c**2 + 0.1 * rest)
        errors -= 0.1 * np.array(sizes)[:, None] ** -0.5  # of mean 0
        fit = rates.fit_rate(sizes, np.stack([errors, c], axis=2))
        slopes.append((fit["slope"] + 0.5) / fit["slope_error"])
        limits.append(rates.intercept(fit, ONE)[0] / rates.intercept(fit, ONE)[1])
        plain.append(fit["slope_error"] / rates.fit_rate(sizes, errors)["slope_error"])
        off = rates.fit_rate(sizes, np.stack([errors + 0.02, c], axis=2))
        wrong.append(rates.intercept(off, ONE)[0] / rates.intercept(off, ONE)[1])
    assert np.median(plain) < 0.5
    assert abs(np.mean(slopes)) < 0.35 and 0.7 < np.std(slopes) < 1.4
    assert abs(np.mean(limits)) < 0.25 and np.std(limits) < 0.5  # kept at a third of plain ones
    assert np.mean(np.array(wrong) > 3.0) > 0.8


def test_a_fit_finds_a_planted_slope_and_its_error(rng):
    sizes, scores = (50, 100, 200, 400), []
    for statistic in ("rms", "median"):
        for _ in range(200):
            errors = [n**SOFT_EDGE * (rng.standard_normal(80) - 1) for n in sizes]
            fit = rates.fit_rate(sizes, errors, statistic)
            scores.append((fit["slope"] - SOFT_EDGE) / fit["slope_error"])
    assert abs(np.mean(scores)) < 0.25
    assert 0.75 < np.std(scores) < 1.35  # the error bars are neither small nor idle
