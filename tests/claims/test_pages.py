"""Generated pages follow the code: stale ones fail here, with the command that writes them."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rmtstab as rs
from rmtstab.claims import CLAIMS, ledger, pages
from rmtstab.claims.pages import outcomes_table

DOCS = Path(__file__).parents[2] / "docs"


def test_claims_page_is_fresh():
    page = (DOCS / "claims.md").read_text()
    assert page == pages.claims_page(CLAIMS), "run python validation/write_claims.py"


def test_a_changed_claim_makes_the_page_stale():
    changed = (replace(CLAIMS[0], fails="nowhere"), *CLAIMS[1:])
    assert pages.claims_page(changed) != pages.claims_page(CLAIMS)
    assert all(f"### {claim.name}\n" in pages.claims_page(CLAIMS) for claim in CLAIMS)


def test_tightness_page_lists_the_bounds_of_the_code():
    problem = rs.UnlearningProblem.from_factors(np.eye(3), np.eye(3)[:1] / 9)
    names = {b.name for b in problem.dynamics(0.5, (1, 1), 0.05).bounds()}
    page = (DOCS / "theory" / "tightness.md").read_text()
    assert pages.bounds_of_page(page) == names, (
        "run rmtstab validate --only tightness-ledger, then validation/write_tightness.py"
    )
    for source in ("extremal", "heavy", "spread", "trained CNNs", "digits"):
        assert f"{source} (" in page


def test_tightness_page_from_evidence(theory_evidence):
    evidence = {"theory": theory_evidence, "preset": {"name": "tiny"}, "seed": 4}
    page = pages.tightness_page(evidence)
    rows = ledger.rows_of(evidence)
    assert pages.bounds_of_page(page) == {row["bound"] for row in rows}
    assert "Preset tiny, seed 4: 0 violations" in page
    fewer = {**theory_evidence, "tightness-ledger": {
        "rows": [r for r in rows if r["bound"] != "trace"], "wrong_verdicts": []}}  # fmt: skip
    smaller = pages.tightness_page({**evidence, "theory": fewer})
    assert pages.bounds_of_page(page) - pages.bounds_of_page(smaller) == {"trace"}
    with pytest.raises(KeyError):
        pages.tightness_page({"theory": {}})


def outcome(**changes):
    return {"name": "a", "holds": True, "value": 1.0, "error_bar": math.nan, "failing": math.nan,
            **changes}  # fmt: skip


def test_outcomes_of_two_runs_stand_side_by_side():
    one = {"preset": {"name": "full"}, "seed": 0, "claims": [outcome(), outcome(name="b")]}
    two = {"preset": {"name": "full"}, "seed": 1, "claims": [outcome(holds=False, error_bar=0.5)]}
    table = outcomes_table([one, two]).splitlines()
    assert table[2] == "| claim | seed 0 | seed 1 | wrong theory | fails |"
    assert table[4] == "| [a](claims.md#a) | holds: 1 | **fails**: 1 ± 0.5 | – | – |"
    assert table[5] == "| [b](claims.md#b) | holds: 1 | not run | – | – |"
    with pytest.raises(ValueError, match="runs must be of one preset, got"):
        outcomes_table([one, {**two, "preset": {"name": "quick"}}])
