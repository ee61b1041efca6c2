"""Files that are damaged, or were never whole, are refused in one line or read as something else.

Nothing else may come out of a parser: no exception from inside, no crash, no hang.
"""

import copy
import json

import numpy as np
import pytest

from rmtstab import verification
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


@pytest.mark.parametrize("number", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_sealed_certificate_of_anything_is_judged_or_refused(number, tmp_path):
    """The seal holds, so that what it seals is read."""
    rng, refused = np.random.default_rng(number), 0
    for _ in range(number):
        content = parsers.certificate()
        for _ in range(int(rng.integers(1, 3))):
            parsers.spoilt(content, rng)
        try:
            text = json.dumps(verification.seal(content)).encode()
        except ValueError as error:
            assert "content must hold JSON values only" in str(error)  # NaN
            continue
        try:
            refused += parsers.attempt("certificate", text, tmp_path) is not None
        except Exception as error:
            pytest.fail(f"{text!r:.600}: {error!r}")
    assert refused > number / 2


@pytest.mark.skipif(parsers.torch is None, reason="needs torch")
@pytest.mark.parametrize("number", [60, pytest.param(3_000, marks=pytest.mark.slow)])
def test_a_saved_network_with_another_header_is_read_or_refused(number, tmp_path):
    rng, data = np.random.default_rng(number), parsers.whole("network", tmp_path)
    with np.load(tmp_path / "network.npz") as arrays:
        header = json.loads(arrays["header"].tobytes())
    refused = 0
    for _ in range(number):
        changed = copy.deepcopy(header)
        parsers.spoilt(changed, rng)
        bad = parsers.with_header(data, changed, tmp_path)
        try:
            refused += parsers.attempt("network", bad, tmp_path) is not None
        except Exception as error:
            pytest.fail(f"{changed}: {error!r}")
    assert refused > number / 2


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
