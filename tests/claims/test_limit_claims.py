"""Judges of the limits' rates: a wrong slope, a wide error bar or no failure must fail them."""

import pytest

from rmtstab.claims.limit_claims import LIMIT_CLAIMS, judge_of
from rmtstab.claims.rates import supports

JUDGE = judge_of((("a/b", -0.5, (-2 / 3, -1.0)),), lambda r: r["off"], 0.1)


def record(slope=-0.52, error=0.03, off=0.3):
    return {"a": {"b": {"slope": slope, "slope_error": error}}, "off": off}


def test_a_supported_rate_holds():
    outcome = JUDGE(record())
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
    assert not JUDGE(record(**wrong)).holds


def test_support_needs_every_neighbour():
    fit = {"slope": -0.8, "slope_error": 0.02}
    assert supports(fit, -2 / 3, [-0.5, -1.0])
    assert not supports(fit, -1.0, [-2 / 3])


def test_every_limit_names_its_failing_setting():
    assert len({claim.name for claim in LIMIT_CLAIMS}) == len(LIMIT_CLAIMS)
    for claim in LIMIT_CLAIMS:
        assert claim.fails and claim.source.startswith("derived in docs/theory")
        assert not claim.needs_torch
