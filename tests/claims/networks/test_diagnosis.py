"""Claims of the diagnosis: measures by hand, judges that can fail, a page that is fresh."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from rmtstab.claims.diagnosis_page import diagnosis_page
from rmtstab.claims.networks import diagnosis as judge

DOCS = Path(__file__).parents[3] / "docs"
EVIDENCE = DOCS / "evidence" / "diagnosis.json"
ALL_FLAGS = sorted({*judge.FLAGS, *judge.OF_COLLAPSE})
CLAIM = {claim.name: claim for claim in judge.CLAIMS}


def row(name="net", kind="mlp", tolerance=1e-2, **changes):
    """A 12 × 8 grid whose lower half collapses at step 40, everything predicted rightly."""
    late = np.where(np.arange(12)[:, None] < 6, -1, 40) + np.zeros((12, 8), dtype=int)
    twice = np.stack([late, late], axis=-1)
    events = {"real": twice, "same": twice, "other": late, "frozen": np.full((12, 8, 2), -1),
              "refined": twice[..., :1]}  # fmt: skip
    listed = {key: value.tolist() for key, value in events.items()}
    own = np.where(late < 0, 0, 3)  # forgets as it collapses: collapses
    phi = np.tile((np.arange(8) > 0).astype(int), (12, 1))
    made = {
        "network": name, "kind": kind, "tolerance": tolerance, "parameters": 10, "n": 5,
        "n_forget": 2,
        "steps": 150, "step_sizes": np.geomspace(0.01, 1.0, 12).tolist(),
        "alphas": np.linspace(0.0, 1.0, 8).tolist(), "collapse": dict(listed),
        "forgetting": dict(listed), "phi": phi.tolist(),
        "check_steps": np.tile([30, 40, 150], (12, 8, 1)).tolist(),
        "difference": np.zeros((12, 8, 3)).tolist(),
        "neighbours": own[..., None].repeat(4, -1).tolist(),
        "flags": {name: np.zeros((12, 8), dtype=int).tolist() for name in ALL_FLAGS},
    }  # fmt: skip
    return made | changes


def evidence():
    kinds = ["mlp"] * 3 + ["cnn"] * 3 + ["residual", "transformer"]
    rows = [row(f"net-{k}", kind) for k, kind in enumerate(kinds)]
    return [*rows, row("net-0-tight", "mlp", 1e-4, seed=1), row("net-0-tight", "mlp", 1e-4)]


def changed(events, cells, value):
    """Copy of a row's event with some cells of its first replica changed."""
    steps = np.array(events)
    steps[cells] = value
    return steps.tolist()


def test_measures_by_hand():
    made = row()
    assert judge.agreement(made, "same") == 1.0 and judge.repeatability(made) == 1.0
    assert judge.agreement(made, "frozen") == 0.5 and judge.side(made) == 0.5
    # Φ says escape in 7 of 8 columns of either half: right for 7/8 and 1/8
    assert judge.agreement(made, "phi") == pytest.approx(0.5)
    made["collapse"]["same"] = changed(made["collapse"]["same"], (11, slice(None), 0), -1)
    assert judge.agreement(made, "same") == pytest.approx((1.0 + 0.5 * (1 + 5 / 6)) / 2)
    made["collapse"]["same"] = changed(made["collapse"]["real"], (slice(6, 12),), 20)
    assert judge.median_ratio([made], "same") == pytest.approx(0.5)  # half of the events off by 2
    assert judge.median_ratio([made], "real") == 0.0
    later = np.roll(np.array(made["collapse"]["real"]), 2, axis=0)
    later[:2] = -1
    made["collapse"]["frozen"] = later.tolist()  # two of eleven steps of the grid's factor of 100
    assert judge.frontier_ratio(made, "frozen") == pytest.approx(100 ** (2 / 11))
    assert judge.frontier_ratio(made, "same") == 1.0
    cut = judge.fitted([made])
    assert judge.rule(made, cut) == max(judge.rule(made, c) for c in judge.product_of(made).ravel())


def test_flags_are_those_of_the_range_check():
    torch = pytest.importorskip("torch")
    from rmtstab import bridge
    from tests.bridge.test_linearised import LOSS, trained

    model, *data = trained()
    net = bridge.linearise(model, LOSS, *data[:2])
    etas = np.geomspace(0.3, 3.0, 6)[:, None]
    run = net.run(etas, (6, 3), [0.3, 0.5], 80, replicas=1, rng=0)
    fine = net.refine(run)
    again = fine.run(etas, (6, 3), [0.3, 0.5], 80, replicas=1, rng=0)
    check = fine.check(again)
    made = {
        "collapse": {"real": np.zeros((6, 2, 1)).tolist()},
        "flags": {name: getattr(check, name).tolist() for name in ALL_FLAGS},
    }
    np.testing.assert_array_equal(judge.flagged(made), check.flagged)
    np.testing.assert_array_equal(judge.flagged(made, judge.OF_COLLAPSE), check.collapse_flagged)
    np.testing.assert_array_equal(judge.flagged(made, ("beyond",)), check.beyond)
    assert check.flagged.any() and torch.is_tensor(data[0][0])


def test_flags_before_refinement_are_by_tolerance_and_margin():
    made = row()
    assert not judge.flagged_held(made).any()
    made["difference"] = np.where(
        np.arange(12)[:, None, None] == 7, 0.2, made["difference"]
    ).tolist()
    own = np.array(made["neighbours"])
    own[2, 3, 1] = 1
    made["neighbours"] = own.tolist()
    found = judge.flagged_held(made)
    assert found[7].all() and found[2, 3] and found.sum() == 9
    assert not judge.flagged_held(made, tolerance=0.3)[7].any()


def test_a_brief_row_has_no_rivals_and_is_named_by_its_seed():
    made = row(seed=1)
    assert judge.label(made) == "net/1" and judge.best(made) == "refined"
    for event in ("forgetting", "collapse"):
        whole = made[event]
        made[event] = {
            "real": [[cell[:1] for cell in line] for line in whole["real"]],
            "same": [[cell[:1] for cell in line] for line in whole["same"]],
            "refined": whole["refined"],
        }
    del made["phi"], made["difference"]
    assert judge.agreement(made, "refined") == 1.0 and math.isnan(judge.repeatability(made))
    assert math.isnan(judge.agreement(made, "frozen")) and math.isnan(judge.agreement(made, "phi"))
    assert judge.median_ratio([made], "refined") == 0.0
    page = diagnosis_page([*evidence(), made])
    assert "| net/1 |" in page and "| – |" in page
    assert "nan" not in page.split("## Claims")[0]


def test_all_claims_hold_of_a_perfect_prediction():
    for name, claim in CLAIM.items():
        assert claim.judge({"diagnosis": evidence()}).holds, name


def one_sided(rows):
    rows[1]["collapse"]["real"] = np.full((12, 8, 2), 40).tolist()


def wrong_plain(rows):
    rows[4]["collapse"]["refined"] = changed(rows[4]["collapse"]["refined"], slice(6, 8), -1)


def wrong_unflagged(rows):
    rows[6]["collapse"]["refined"] = changed(rows[6]["collapse"]["refined"], slice(6, 8), -1)


def half_flagged(rows):
    rows[7]["flags"]["drifts"] = (np.arange(96).reshape(12, 8) % 2).tolist()


def late(rows):
    for made in judge.plain(rows):
        for event in ("collapse", "forgetting"):
            made[event]["refined"] = changed(made[event]["refined"], slice(6, 12), 45)


def frozen_is_in_time(rows):
    for made in judge.plain(rows):
        for event in ("collapse", "forgetting"):
            made[event]["frozen"] = made[event]["real"]


def late_with_others(rows, source="other"):
    for made in rows:
        for event in ("collapse", "forgetting"):
            made[event][source] = changed(made[event]["other"], slice(6, 12), 45)


def late_when_refined(rows):
    late_with_others(rows, "refined_other")


def no_better_than_a_rule(rows):
    for made in rows:
        product = judge.product_of(made)
        real = np.where(product[..., None] > 0.1, 40, -1).repeat(2, -1)
        made["collapse"]["real"] = made["collapse"]["refined"] = real.tolist()


def function_space_is_blind(rows):
    rows[-1]["collapse"]["same"] = changed(rows[-1]["collapse"]["same"], slice(6, 8), -1)


def frozen_in_time(rows):
    """One step of the grid late, where two are asked."""
    rows[-2]["collapse"]["frozen"] = np.roll(rows[-2]["collapse"]["real"], 1, axis=0).tolist()


def stability_sees(rows):
    rows[-2]["phi"] = (np.array(rows[-2]["collapse"]["real"])[..., 0] >= 0).astype(int).tolist()


def only_the_first_seed(rows):
    del rows[-2]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("diagnosis-grids-have-two-sides", one_sided),
        ("diagnosis-agrees-on-plain-networks", wrong_plain),
        ("diagnosis-agrees-where-it-trusts-itself", wrong_unflagged),
        ("diagnosis-agrees-where-it-trusts-itself", half_flagged),
        ("diagnosis-times-with-the-same-batches", late),
        ("diagnosis-times-with-the-same-batches", frozen_is_in_time),
        ("diagnosis-times-with-other-batches", late_with_others),
        ("diagnosis-times-with-other-batches", late_when_refined),
        ("diagnosis-beats-a-one-number-rule", no_better_than_a_rule),
        ("linear-stability-is-blind-beside-ascent", stability_sees),
        ("linear-stability-is-blind-beside-ascent", function_space_is_blind),
        ("frozen-curvature-is-late-when-interpolating", frozen_in_time),
        ("frozen-curvature-is-late-when-interpolating", stability_sees),
        ("frozen-curvature-is-late-when-interpolating", only_the_first_seed),
    ],
)
def test_each_claim_can_fail(name, damage):
    rows = evidence()
    damage(rows)
    assert not CLAIM[name].judge({"diagnosis": rows}).holds


def test_a_right_theory_is_scored_by_its_own_runs():
    rng = np.random.default_rng(0)
    rows = evidence()
    for n, made in enumerate(rows):  # each run early or late in all of its cells
        made["n"] = n
        factor = np.exp2(0.3 * rng.standard_normal(9))
        steps = np.rint(40.0 * factor) * np.ones((12, 8, 1))
        for event in ("collapse", "forgetting"):
            made[event]["refined_runs"] = steps.tolist()
    scores = judge.scores_of_a_right_theory(rows, draws=400)
    # medians of |z − median of 7| and of |z − z'|, both normal: √(1 + 1/4.7) against √2
    assert 0.6 < np.median(scores) < 1.0 and np.mean(scores > 1.3) < 0.2
    for made in rows:  # the same batches in all networks: more is left to chance
        made["n"] = 5
        for event in ("collapse", "forgetting"):
            made[event]["refined_runs"] = rows[0][event]["refined_runs"]
    shared = judge.scores_of_a_right_theory(rows, draws=400)
    assert np.mean(shared > 1.3) > 1.5 * np.mean(scores > 1.3)
    text = CLAIM["diagnosis-times-with-other-batches"].judge({"diagnosis": rows}).measured
    assert "taken for the real ones" in text


@pytest.mark.parametrize("name", list(CLAIM)[1:])
def test_nothing_to_judge_is_no_success(name):
    assert not CLAIM[name].judge({"diagnosis": []}).holds


def test_claims_are_complete():
    from rmtstab.claims import CLAIMS

    assert not {claim.name for claim in CLAIMS} & set(CLAIM)
    for claim in judge.CLAIMS:
        for field in ("statement", "latex", "assumptions", "normalisation", "horizon", "source"):
            assert getattr(claim, field), (claim.name, field)
        assert claim.fails and claim.needs == ("diagnosis",)


def test_the_page_is_that_of_the_evidence():
    rows = json.loads(EVIDENCE.read_text())
    page = (DOCS / "diagnosis_accuracy.md").read_text()
    assert page == diagnosis_page(rows), "run python validation/write_diagnosis.py"
    assert all(math.isfinite(judge.agreement(made, "same")) for made in rows)
    less = diagnosis_page(rows[:2])
    rows[0]["collapse"]["same"] = np.full((12, 8, 2), -1).tolist()
    assert less != diagnosis_page(rows[:2])
