"""The ledger sees what is wrong: violated, missing and contradicted bounds, each by name."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rmtstab as rs
from rmtstab import bounds
from rmtstab.claims import ledger
from rmtstab.claims.brute_force import inclusion_covariance
from tests import naive
from tests.strategies import SAMPLINGS

NAMES = sorted(
    {b.name for b in rs.UnlearningProblem.from_factors(np.eye(3)).dynamics(0.5, 1, 0.0).bounds()}
)


def bound(name="a", kind="necessary", satisfied=True, rho=math.nan, step=math.nan):
    return rs.Bound(name, kind, satisfied, rho, step, "made up")


def judged(*entries):
    """Judge a ledger of made-up entries, the same for each scheme: (bounds, growth, step)."""
    book = ledger.Ledger()
    for sampling in SAMPLINGS:
        for found, growth, step in entries:
            exact = (growth, growth), None if step is None else (step, step)
            book.add("heavy", sampling, found, *exact)
    record = book.record()
    return ledger.judge({"theory": {"tightness-ledger": record}}), record


@given(st.integers(0, 2**32 - 1), st.integers(0, 11), st.sampled_from(["heavy", "spread"]))
def test_dense_growth_is_the_brute_force(seed, k, source):
    retain, forget, settings = getattr(ledger, source)(np.random.default_rng(seed), k)
    retain, forget = retain[:4], forget[:3]
    settings["batch_size"] = tuple(np.minimum(settings["batch_size"], (4, 3)).tolist())
    if retain.shape[2] > 5:
        retain, forget = retain[..., :5], forget[..., :5]
    hessians = [np.einsum("nci,ncj->nij", z, z) for z in (retain, forget)]
    exact = naive.growth_factor(*hessians, *settings.values())
    assert ledger.dense_growth(retain, forget, **settings) == pytest.approx(exact, rel=1e-10)


def test_an_honest_ledger_holds():
    found = [bound(rho=0.99, step=2.0), bound("b", "sufficient", False, 1.2, 0.99)]
    outcome, record = judged((found, 1.0, 1.0))
    assert outcome.holds and outcome.value == 0 and outcome.failing == 1
    assert len(record["rows"]) == 4


@pytest.mark.parametrize(
    "loose", [bound(rho=0.9, step=2.0), bound("b", "sufficient", False, 1.2, 0.9)]
)
def test_a_bound_that_is_never_attained_proves_nothing(loose):
    outcome, _ = judged(([loose], 1.0, 1.0))
    assert not outcome.holds and outcome.value == 0
    assert f"{loose.name} (bernoulli)" in outcome.measured
    assert "never attained to 5 %" in outcome.measured


def test_a_bound_must_be_attained_under_each_scheme():
    book = ledger.Ledger()
    for sampling, rho in zip(SAMPLINGS, (1.0, 1.0, 0.9), strict=True):
        book.add("heavy", sampling, [bound(rho=rho)], (1.0, 1.0), None)
    outcome = ledger.judge({"theory": {"tightness-ledger": book.record()}})
    assert not outcome.holds and f"but for a ({SAMPLINGS[2]})" in outcome.measured


@pytest.mark.parametrize(
    "wrong",
    [
        bound(rho=1.0 + 1e-9),
        bound(rho=0.5, step=1.0 - 1e-9),
        bound(kind="sufficient", satisfied=False, rho=1.0 - 1e-9),
        bound(kind="sufficient", satisfied=False, step=1.0 + 1e-9),
        bound(rho=math.inf),
    ],
)
def test_a_violation_beyond_the_slack_is_seen(wrong):
    outcome, _ = judged(([wrong], 1.0, 1.0))
    assert not outcome.holds and outcome.value >= 1


def test_a_verdict_against_the_exact_one_is_seen():
    unstable = judged(([bound(kind="sufficient", satisfied=True, rho=1.3)], 1.2, None))[0]
    stable = judged(([bound(satisfied=False, rho=0.7)], 0.8, None))[0]
    assert (
        unstable.value == stable.value == len(SAMPLINGS) and not unstable.holds and not stable.holds
    )


def test_a_bound_that_says_nothing_is_not_evaluated():
    outcome, _ = judged(([bound(rho=0.9), bound("mute")], 1.0, 1.0))
    assert not outcome.holds and "not evaluated: mute (heavy)" in outcome.measured
    assert not judged()[0].holds  # nothing was evaluated at all


def test_an_enclosure_is_no_violation():
    book = ledger.Ledger()
    book.add("heavy", "bernoulli", [bound(rho=1.05)], (1.0, 1.1), None)
    book.add("heavy", "bernoulli", [bound("b", "sufficient", False, rho=1.0)], (1.0, 1.1), None)
    assert all(row["violations"] == 0 for row in book.record()["rows"])


def test_networks_count(theory_evidence):
    book = ledger.Ledger()
    book.add("digits", "bernoulli", [bound("mean", rho=2.0)], (1.0, 1.0), None)
    evidence = {"theory": theory_evidence, "ledger": [book.record()]}
    outcome = ledger.judge(evidence)
    assert not outcome.holds and outcome.value == 1 and "digits" in outcome.measured


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_network_sized_problem_violates_nothing(sampling):
    rng = np.random.default_rng(0)
    problem = rs.UnlearningProblem.from_factors(
        rng.standard_normal((12, 30)), rng.standard_normal((5, 30))
    )
    record = ledger.network(problem, ((2, 1), (6, 2)), "trained CNNs")
    assert not record["wrong_verdicts"]
    assert {row["bound"] for row in record["rows"]} == set(NAMES)
    assert all(row["violations"] == 0 for row in record["rows"])


def test_ratios_are_summarised_over_sources():
    book = ledger.Ledger()
    for source, values in (("heavy", (0.2, 0.4)), ("spread", (1.0,))):
        for value in values:
            book.add(source, "bernoulli", [bound(rho=value)], (1.0, 1.0), None)
    book.add("spread", "bernoulli", [bound(rho=0.0)], (0.0, 0.0), None)  # counted, without a ratio
    (both,) = ledger.summarise(book.record()["rows"], over=())
    assert (both["minimum"], both["median"], both["maximum"]) == (0.2, 0.4, 1.0)
    assert (both["instances"], both["vacuous"], both["violations"]) == (4, 1, 0)
    assert [r["source"] for r in ledger.summarise(book.record()["rows"])] == ["heavy", "spread"]


def gathered(evaluate):
    """A small ledger whose bounds are those of ``evaluate``, and its judgement."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "evaluate", evaluate)
        patch.setattr(ledger, "EXTREMAL_DRAWS", 2)
        patch.setattr(ledger, "ENSEMBLE_DRAWS", 12)
        record = ledger.gather(np.random.default_rng(0))
    return record, ledger.judge({"theory": {"tightness-ledger": record}})


@pytest.fixture(scope="module")
def honest():
    """What is asked for in that ledger, in order: the same draws each time."""
    found, evaluate = [], bounds.evaluate

    def keep(*arguments):
        found.append(evaluate(*arguments))
        return found[-1]

    assert gathered(keep)[1].holds
    return found


@pytest.mark.parametrize("name", NAMES)
def test_five_per_cent_too_tight_fails_by_name(name, honest):
    """The mutation check of the claim itself: one bound at a time, its constant off by 1.05."""
    answers = iter(honest)

    def tighter(b):
        up = 1.05 if b.kind == "necessary" else 1 / 1.05
        return replace(b, rho_bound=b.rho_bound * up, critical_step_size=b.critical_step_size / up)

    record, outcome = gathered(
        lambda *_: [tighter(b) if b.name == name else b for b in next(answers)]
    )
    assert not outcome.holds and not list(answers)
    assert {row["bound"] for row in record["rows"] if row["violations"]} == {name}


def test_every_bound_loosened_fails(honest):
    """Nothing is violated, but nothing is attained either: each bound is named, by scheme."""
    answers = iter(honest)

    def looser(b):
        down = 0.6 if b.kind == "necessary" else 1 / 0.6
        return replace(
            b, rho_bound=b.rho_bound * down, critical_step_size=b.critical_step_size / down
        )

    _, outcome = gathered(lambda *_: [looser(b) for b in next(answers)])
    assert not outcome.holds and outcome.value == outcome.failing == 0
    for name in NAMES:
        for sampling in SAMPLINGS:
            assert f"{name} ({sampling})" in outcome.measured


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_covariances_follow_from_the_definition(sampling):
    for n, batch in ((1, 1), (4, 1), (5, 3), (6, 6)):
        found = inclusion_covariance(n, batch, sampling)
        np.testing.assert_allclose(found, naive.batch_covariance(n, batch, sampling), atol=1e-14)
