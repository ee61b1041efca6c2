"""Rates: a wrong slope, a wide error bar or no failure must fail a claim; a fit knows its error."""

import numpy as np
import pytest

from rmtstab.claims import rates
from rmtstab.claims.limits import mixing, signal, volterra
from rmtstab.claims.rates import HALF, NONE, ONE, SOFT_EDGE, Rate, intercept, judge_rates, supports

RATES = (Rate("a/b", HALF, (NONE, SOFT_EDGE, ONE)),)
SIZES = (100, 200, 400)


def judged(slope=-0.52, error=0.015, off=0.3, limit=0.0, bar=0.001):
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
    assert "-0.52 ± 0.01" in outcome.measured and "limit off by" in outcome.measured
    assert judged(limit=0.005).holds  # within four standard errors


@pytest.mark.parametrize(
    "wrong",
    [
        {"slope": -0.66},  # the soft edge's
        {"slope": -1.0},
        {"slope": -0.02},  # nothing is reached
        {"error": 0.03},  # cannot tell -1/2 from -2/3 at seven error bars
        {"off": 0.05},  # holds where it should fail
        {"slope": float("nan")},
        {"limit": -0.23},  # the closed form multiplied by 1.3, its slope right
        {"limit": 0.018},  # beyond four standard errors
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


@pytest.mark.parametrize(
    "rate", [*volterra.RATES[2:], *signal.OUTLIERS, *signal.ESCAPE], ids=lambda rate: rate.path
)
def test_the_nearest_exponents_are_named(rate):
    """Those that limits have: 0, 1/3, 1/2, 2/3, 1."""
    known = [0.0, -1 / 3, -0.5, -2 / 3, -1.0]
    at = known.index(pytest.approx(rate.claimed))
    assert {known[at - 1], known[at + 1]} <= set(rate.others)


def test_support_needs_every_neighbour():
    fit = {"slope": -0.8, "slope_error": 0.02}
    assert supports(fit, -2 / 3, [-0.5, -1.0])
    assert not supports(fit, -1.0, [-2 / 3])


def test_witnesses_leave_slope_and_limit_where_they_are_and_shrink_their_errors(rng):
    """Errors that their witness explains to a tenth: 60 draws a size do the work of 1,500."""
    sizes, slopes, limits, gain, wrong = (32, 64, 128, 256), [], [], [], []
    scale = np.array(sizes)[:, None] ** -0.5

    def drawn(m):  # skewed, its mean no zero
        seen = scale * (rng.standard_gamma(4.0, (4, m)) / 2.0 - 1.6)
        return seen, seen + 0.3 * seen**2 + 0.05 * scale * rng.standard_normal((4, m))

    truth = rates.fit_rate(sizes, drawn(100_000)[1])["slope"]
    for _ in range(100):
        (seen, errors), (alone, _) = drawn(60), drawn(3000)
        fit = rates.fit_rate(sizes, np.stack([errors, seen], axis=2), alone)
        slopes.append((fit["slope"] - truth) / fit["slope_error"])
        limits.append(rates.intercept(fit, HALF)[0] / rates.intercept(fit, HALF)[1])
        gain.append(fit["slope_error"] / rates.fit_rate(sizes, errors)["slope_error"])
        off = rates.fit_rate(sizes, np.stack([errors + 0.05, seen], axis=2), alone)
        wrong.append(rates.intercept(off, HALF)[0] / rates.intercept(off, HALF)[1])
    assert np.median(gain) < 0.3
    assert abs(np.mean(slopes)) < 0.35 and np.std(slopes) < 1.2
    assert abs(np.mean(limits)) < 0.5 and np.std(limits) < 1.2
    assert np.mean(np.array(wrong) > rates.OFF) > 0.8


@pytest.mark.parametrize("next_term", [-1.0, 0.0, 1.0])
def test_an_intercept_allows_for_a_next_term_of_the_leading_ones_size(next_term):
    sizes = np.array([60, 120, 240, 480])
    bias = 1.6 * (sizes**SOFT_EDGE + next_term / sizes)
    fit = {"sizes": sizes, "bias": bias, "bias_error": np.full(4, 0.001)}
    limit, error = intercept(fit, SOFT_EDGE)
    assert abs(limit) < 1.5 * error and error < 0.006
    off, error = intercept({**fit, "bias": bias + 0.03}, SOFT_EDGE)
    assert off > rates.OFF * error


def test_one_set_of_draws_judges_the_wrong_theory_too(rng):
    ratios = [1.0 + n**HALF * rng.standard_normal(800) for n in SIZES]
    drawn = {"a/b": rates.Drawn(SIZES, ratios), "c": rates.Drawn(SIZES, ratios, logarithm=True)}
    record = rates.judged_twice(drawn, {"beside": 3}, wrong=1.1)
    assert record["beside"] == record["wrong"]["beside"] == 3
    assert record["a"]["b"] == rates.fit_rate(SIZES, [r - 1.0 for r in ratios])
    assert record["wrong"]["a"]["b"] == rates.fit_rate(SIZES, [r / 1.1 - 1.0 for r in ratios])
    logs = [np.log(r / 1.1) for r in ratios]
    assert record["wrong"]["c"] == rates.fit_rate(SIZES, logs)


def test_a_trimmed_fit_does_not_follow_rare_errors(rng):
    """Of one sign, three in a hundred ten times as large: the slope is that of the others."""
    sizes, scores = (50, 100, 200), []
    for _ in range(200):
        rare = [1.0 + 9.0 * (rng.random(100) < 0.03) for _ in sizes]
        errors = [
            -r * (1.0 + 0.4 * rng.standard_normal(100)) / n
            for n, r in zip(sizes, rare, strict=True)
        ]
        fit = rates.fit_rate(sizes, errors, trimmed=True)
        scores.append((fit["slope"] + 1.0) / fit["slope_error"])
    assert abs(np.mean(scores)) < 0.3 and 0.7 < np.std(scores) < 1.3
    assert fit["slope_error"] < 0.08


def test_a_fit_finds_a_planted_slope_and_its_error(rng):
    sizes, scores = (50, 100, 200, 400), []
    for _ in range(300):
        errors = [n**SOFT_EDGE * (rng.standard_normal(80) - 1) for n in sizes]
        fit = rates.fit_rate(sizes, errors)
        scores.append((fit["slope"] - SOFT_EDGE) / fit["slope_error"])
    assert abs(np.mean(scores)) < 0.25
    assert 0.75 < np.std(scores) < 1.35  # the error bars are neither small nor idle
