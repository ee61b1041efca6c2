"""All claims: complete, distinct, each in one file, and able to fail."""

import ast
import inspect
import math
from pathlib import Path

import numpy as np
import pytest

from rmtstab import claims
from rmtstab.claims import CLAIMS, SUBJECTS, Outcome, theory_claim

THEORY = [claim for claim in CLAIMS if not claim.needs_torch]
NETWORKS = [claim for claim in CLAIMS if claim.needs_torch]
FOLDER = Path(claims.__file__).parent


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: s.__name__.split("claims.")[1])
def test_statement_check_and_judge_live_in_one_file(subject):
    for claim in subject.CLAIMS:
        for function in (claim.judge, claim.check):
            if function is not None:
                assert inspect.unwrap(function).__module__ == subject.__name__, claim.name


def test_claims_read_evidence_only():
    """Nothing of the experiment is imported, deferred or not."""
    files = sorted(FOLDER.rglob("*.py"))
    assert len(files) > len(SUBJECTS)
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "experiment" not in ast.unparse(node), path


def test_claims_are_complete_and_distinct():
    names = [claim.name for claim in CLAIMS]
    assert len(set(names)) == len(names)
    for claim in CLAIMS:
        for field in ("statement", "latex", "assumptions", "normalisation", "horizon", "source"):
            assert getattr(claim, field), (claim.name, field)
        assert claim.fails
    assert all(claim.needs_torch for claim in NETWORKS)
    assert not any(claim.needs_torch for claim in THEORY)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("second-moment-operator", {"worst_z": 6.0}),
        ("second-moment-operator", {"worst_wrong_z": 2.0}),
        ("bounds-enclose-growth", {"violations": 1}),
        ("bounds-enclose-growth", {"other_scheme_violated": 0.0}),
        ("mirror-law", {"mean_square": [1.03, 0.0]}),
        ("mirror-law", {"typical": [0.9, 0.01]}),
        ("mirror-law", {"typical": [1.0, 0.03]}),
        ("mirror-law", {"variance": 2.0}),
        ("mirror-law", {"strong": {"mean_square": 1.0, "typical": 1.03, "noise": 0.4}}),
        ("gram-spectrum-intervals", {"inside": 0.5}),
        ("gram-spectrum-intervals", {"outlier_bias": -0.02}),
        ("gram-spectrum-intervals", {"correlated_top_over_bound": 0.9}),
        ("coherence-closed-form", {"worst": 0.2}),
        ("coherence-closed-form", {"uneven_ratio": 1.01}),
        ("escape-closed-form", {"rows": [{"n": n, "snr": 1.0, "curvature_ratio": 1.0,
                                          "resistance_ratio": 1.0, "curvature_error": 0.02,
                                          "resistance_error": 0.01} for n in (60, 240)]}),
        ("escape-closed-form", {"rows": [{"n": n, "snr": 1.0, "curvature_ratio": 1.2,
                                          "resistance_ratio": 1.0, "curvature_error": 0.01,
                                          "resistance_error": 0.01} for n in (60, 240)]}),
        ("escape-closed-form", {"few_filters": [{"snr": 1.0, "ratio": 1.04, "error": 0.001}]}),
        ("volterra-threshold", {"slope": -0.1}),
        ("volterra-threshold", {"uneven_slope": -1.0}),
        ("tightness-ledger", {"wrong_verdicts": ["mean (heavy)"]}),
    ],
)  # fmt: skip
def test_theory_claims_can_fail(name, broken, theory_evidence):
    (claim,) = (c for c in THEORY if c.name == name)
    assert claim.judge({"theory": theory_evidence}).holds
    damaged = {**theory_evidence, name: {**theory_evidence[name], **broken}}
    assert not claim.judge({"theory": damaged}).holds


def test_every_claim_fails_of_a_wrong_theory(theory_evidence, wrong_evidence):
    for claim in THEORY:
        if claim.name in theory_evidence:
            record = claim.record({"theory": theory_evidence, "mutations": wrong_evidence})
            assert record["holds"] and record["mutation"]["holds"] is False, claim.name
            assert record["mutation"]["scale"] == claim.mutation


def test_every_theory_claim_has_its_wrong_theory():
    assert all(claim.mutation in (1.02, 1.1) for claim in THEORY)


def test_a_claim_that_holds_of_a_wrong_theory_does_not_hold(theory_evidence):
    name = "coherence-closed-form"
    (claim,) = (c for c in THEORY if c.name == name)
    blind = {"theory": theory_evidence, "mutations": {name: theory_evidence[name]}}
    assert claim.judge(blind).holds
    assert claim.record(blind)["holds"] is False and claim.record(blind)["mutation"]["holds"]
    assert "mutation" not in claim.record({"theory": theory_evidence})


def test_a_wrong_theory_of_the_same_draws_is_not_drawn_again(theory_evidence):
    claim = theory_claim(
        name="mine", check=lambda rng: {"off": 0.01, "wrong": {"off": 0.2}}, mutation=1.1,
        same_draws=True, judge=lambda r: Outcome("", r["off"], 0.0, r["off"] < 0.1),
        **dict.fromkeys(("statement", "latex", "assumptions", "normalisation", "horizon",
                         "source", "fails"), "-"),
    )  # fmt: skip
    record = claim.record({"theory": {"mine": claim.check(np.random.default_rng(0))}})
    assert record["holds"] and record["mutation"] == {
        "scale": 1.1, "holds": False, "value": 0.2, "measured": "",
    }  # fmt: skip
    blind = claim.record({"theory": {"mine": {"off": 0.01, "wrong": {"off": 0.02}}}})
    assert blind["holds"] is False
    with pytest.raises(ValueError, match="same_draws needs a mutation"):
        theory_claim(
            name="mine", check=claim.check, judge=claim.judge, same_draws=True, statement="-"
        )


@pytest.mark.slow
@pytest.mark.parametrize("claim", [c for c in THEORY if c.long], ids=lambda c: c.name)
def test_long_claims_hold_and_fail_of_a_wrong_theory(claim):
    evidence = {"theory": {claim.name: claim.check(np.random.default_rng(1))}}
    assert claim.judge_wrong is not None  # what takes long is drawn once
    record = claim.record(evidence)
    assert record["holds"] and record["mutation"]["holds"] is False


def test_the_failing_setting_is_measured(theory_evidence):
    assert set(theory_evidence) <= {claim.name for claim in THEORY}
    for claim in THEORY:
        if claim.name in theory_evidence:
            record = claim.record({"theory": theory_evidence})
            assert math.isfinite(record["failing"]) and record["failing"] != record["value"]
            assert "figure" in theory_evidence[claim.name] or claim.name == "tightness-ledger"


def test_every_stage_named_is_one_that_runs():
    alone = {"escapes", "natural_size", "data_axis"}  # they train networks of their own
    after = {"networks", "maps", "collapse", "one_step", "trajectories"}
    for claim in NETWORKS:
        found = set(claim.needs)
        assert found <= alone or (claim.needs[0] == "networks" and found <= after), claim.name
        assert not claim.uses
        assert claim.check is None
    for claim in THEORY:
        assert claim.needs == ("theory",) and set(claim.uses) <= {"ledger"} and claim.check
