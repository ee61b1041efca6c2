"""Files that are damaged, or were never whole, are refused in one line or read as something else.

Nothing else may come out of a parser: no exception from inside, no crash, no hang.
"""

import numpy as np
import pytest

from tests.fuzz import parsers

pytest.importorskip("flint")
kinds = pytest.mark.parametrize("kind", parsers.PARSERS)


@kinds
def test_whole_files_are_read(kind, tmp_path):
    assert parsers.attempt(kind, parsers.whole(kind, tmp_path), tmp_path) is None


@kinds
@pytest.mark.parametrize("number", [150, pytest.param(3_000, marks=pytest.mark.slow)])
def test_damaged_text_is_refused_by_name(kind, number, tmp_path):
    rng, data = np.random.default_rng(number), parsers.whole(kind, tmp_path)
    refused = 0
    for _ in range(number):
        bad = parsers.damaged(data, rng)
        try:
            # what is no longer of the sealed form is no cell: None, and computed again
            refused += parsers.attempt(kind, bad, tmp_path) is not None
        except Exception as error:
            pytest.fail(f"{bad!r:.400}: {error!r}")
    assert refused > number / 4 or kind in ("cell", "results")


@kinds
def test_truncated_at_every_byte(kind, tmp_path):
    data = parsers.whole(kind, tmp_path)
    for length in range(0, len(data), 1 + len(data) // 200):
        parsers.attempt(kind, data[:length], tmp_path)


def test_the_harness_sees_a_parser_that_raises_from_inside(tmp_path, monkeypatch):
    def reads(path):
        return {}[path.read_bytes()[0]]

    make, name, _ = parsers.PARSERS["cell"]
    monkeypatch.setitem(parsers.PARSERS, "cell", (make, name, reads))
    with pytest.raises(KeyError):
        parsers.attempt("cell", b"x", tmp_path)
    monkeypatch.setitem(parsers.PARSERS, "cell", (make, name, lambda path: int("x")))
    with pytest.raises(AssertionError, match="invalid literal"):
        parsers.attempt("cell", b"x", tmp_path)
