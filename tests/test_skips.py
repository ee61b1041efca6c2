"""In CI a skipped test fails, save for what needs a GPU."""

from types import SimpleNamespace

import pytest

from tests import conftest


@pytest.mark.parametrize("no_skip", [True, False])
@pytest.mark.parametrize(
    ("reason", "allowed"),
    [("needs a browser", False), ("could not import 'distributed'", False), ("needs a GPU", True)],
)
def test_a_skip_fails_where_none_is_allowed(monkeypatch, no_skip, reason, allowed):
    monkeypatch.setattr(conftest, "NO_SKIP", no_skip)
    place = ("test_it.py", 3, f"Skipped: {reason}")
    found = conftest.no_skip(SimpleNamespace(skipped=True, outcome="skipped", longrepr=place))
    assert (found.outcome == "failed") == (no_skip and not allowed)
    if found.outcome == "failed":
        assert found.longrepr == f"RMTSTAB_NO_SKIP is set. Skipped: {reason}"


def test_an_expected_failure_and_a_pass_stay(monkeypatch):
    monkeypatch.setattr(conftest, "NO_SKIP", True)
    known = SimpleNamespace(skipped=True, outcome="skipped", longrepr="", wasxfail="known")
    assert conftest.no_skip(known).outcome == "skipped"
    assert conftest.no_skip(SimpleNamespace(skipped=False, outcome="passed")).outcome == "passed"
