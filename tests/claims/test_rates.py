"""Rates: a wrong slope, a wide error bar or no failure must fail a claim; a fit knows its error."""

import numpy as np
import pytest

from rmtstab.claims import rates
from rmtstab.claims.rates import HALF, ONE, SOFT_EDGE, Rate, judge_rates, supports

RATES = (Rate("a/b", HALF, (SOFT_EDGE, ONE)),)


def judged(slope=-0.52, error=0.03, off=0.3):
    record = {"a": {"b": {"slope": slope, "slope_error": error}}}
    return judge_rates(record, RATES, failing=off, least=0.1)


def test_a_supported_rate_holds():
    outcome = judged()
    assert outcome.holds and outcome.failing == 0.3 and outcome.value == -0.52
    assert "-0.52 ± 0.03" in outcome.measured


@pytest.mark.parametrize(
    "wrong",
    [
        {"slope": -0.66},  # the soft edge's
        {"slope": -1.0},
        {"error": 0.06},  # cannot tell -1/2 from -2/3
        {"off": 0.05},  # holds where it should fail
        {"slope": float("nan")},
    ],
)
def test_wrong_evidence_fails(wrong):
    assert not judged(**wrong).holds


def test_support_needs_every_neighbour():
    fit = {"slope": -0.8, "slope_error": 0.02}
    assert supports(fit, -2 / 3, [-0.5, -1.0])
    assert not supports(fit, -1.0, [-2 / 3])


def test_a_fit_finds_a_planted_slope_and_its_error(rng):
    sizes, scores = (50, 100, 200, 400), []
    for statistic in ("rms", "median"):
        for _ in range(200):
            errors = [n**SOFT_EDGE * (rng.standard_normal(80) - 1) for n in sizes]
            fit = rates.fit_rate(sizes, errors, statistic)
            scores.append((fit["slope"] - SOFT_EDGE) / fit["slope_error"])
    assert abs(np.mean(scores)) < 0.25
    assert 0.75 < np.std(scores) < 1.35  # the error bars are neither small nor idle
