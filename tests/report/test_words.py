"""The words of a report: each verdict, number and comparison, as a reader sees it."""

import math

import pytest

from rmtstab.report import words

CLAIM = {
    "name": "slope", "statement": "It is one.", "normalisation": "none", "horizon": "any",
    "measured": "1.0", "fails": "elsewhere", "holds": True, "value": 1.2345678,
    "error_bar": 0.012345, "failing": 0.5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("holds", "word"),
    [(True, "holds"), (False, "fails"), (None, "reported"), ("True", "reported"), (1, "reported")],
)
def test_a_verdict_is_of_true_and_false_alone(holds, word):
    assert words.verdict(CLAIM | {"holds": holds}) == word


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.2345678, 0.012345, "1.235 ± 0.012"), (1.2345678, None, "1.235"),
        (1.2345678, math.nan, "1.235"), (0.0, 0.0, "0 ± 0"), (None, 0.1, "no number"),
        (math.nan, 0.1, "no number"), (math.inf, None, "inf"),
    ],
)  # fmt: skip
def test_numbers_carry_their_error_bars(value, error, text):
    assert words.number(CLAIM | {"value": value, "error_bar": error}) == text


@pytest.mark.parametrize(
    ("failing", "text"), [(0.5, " [there: 0.5]"), (None, ""), (math.nan, ""), (0.0, " [there: 0]")]
)
def test_the_failing_setting_has_its_number(failing, text):
    assert words.there(CLAIM | {"failing": failing}) == text
    assert words.there({}) == ""


def test_a_wrong_theory_that_passes_is_called_out():
    wrong = {"scale": 1.1, "value": 7.0, "holds": False}
    assert words.mutation(CLAIM) == ""
    assert words.mutation(CLAIM | {"mutation": wrong}) == "theory × 1.1: fails, as it must [7]"
    told = words.mutation(CLAIM | {"mutation": wrong | {"holds": True}})
    assert told == "theory × 1.1: holds, so that the claim says nothing [7]"


def test_a_table_has_a_block_a_claim():
    lines = words.table([CLAIM]).splitlines()
    assert lines[0] == "   holds  slope" and len(lines) == 5
    assert lines[3].strip() == "measured: 1.0 [1.235 ± 0.012]"
    assert lines[4].strip() == "fails: elsewhere [there: 0.5]"
    wrong = {"mutation": {"scale": 1.1, "value": 7.0, "holds": False}}
    assert words.table([CLAIM | wrong]).splitlines()[5].strip().startswith("theory × 1.1")
