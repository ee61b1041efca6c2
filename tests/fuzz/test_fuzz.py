"""Every public callable takes hostile arguments: the right result, or an error that names one.

A case is a call that the callable's own documentation makes, with one argument replaced: by the
same value in another type, memory layout or byte order (the result must be the same), by its
near and far multiples, by NaN, infinity or a mask at a random place, by values of every other
kind. Neither warnings nor exceptions from the inside may leak, nothing may hang, and no input
may change. ``python -m tests.fuzz.test_fuzz rmtstab.figures`` lists the faults of a package.
"""

import collections
import sys
import tempfile

import matplotlib as mpl
import numpy as np
import pytest

from tests.fuzz import calls, outcomes
from tests.fuzz.judging import SECONDS, cases, judge, recorded

PARTS = "theory", "sampling", "curvature", "ensembles", "unlearning", "dynamics", "bounds"
CHEAP = tuple(f"rmtstab.{part}" for part in (*PARTS, "verification"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    mpl.use("agg")
    return tmp_path_factory.mktemp("examples")


def test_hostile_arguments_are_refused_by_name(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # hostile paths are written to
    rng, size = np.random.default_rng(20), 3_000
    drawn = []
    for made in recorded(folder, CHEAP).values():
        for call in made[:1]:
            drawn += [(call, case) for case in cases(call, rng)]
    usual, faults, kinds = {}, [], collections.Counter()
    for k in rng.permutation(len(drawn))[:size]:
        call, case = drawn[k]
        if call.name not in usual:
            usual[call.name] = outcomes.attempt(call, SECONDS)
        if usual[call.name].kind == "accepted":
            found, fault = judge(call, usual[call.name], case)
            kinds[found.kind] += 1
            faults += [fault] * (fault is not None)
    assert not faults, "\n".join([f"{len(faults)} faults", *faults[:40]])
    assert kinds["accepted"] > size / 10
    assert kinds["refused"] > size / 2
    assert sum(kinds.values()) > 2 * size / 3


def raises_inside(width, scale=1.0):
    return [1.0] * width[0]


def doubles(values):
    values *= 2.0
    return values


def loses(values):
    return float(np.float32(values[0]))


def nothing(value):
    return value if value == 1.0 else float("nan")


@pytest.mark.parametrize(
    ("function", "arguments", "case", "fault"),
    [
        (raises_inside, {"width": (2,)}, ("width", 3, False), "raises TypeError"),
        (raises_inside, {"width": (2,)}, ("width", {}, False), "raises KeyError"),
        (doubles, {"values": np.ones(2)}, ("values", np.ones(3), False), "changed its input"),
        (doubles, {"values": np.ones(2)}, ("values", np.full(2, 1e308), False), "RuntimeWarning"),
        (loses, {"values": [0.1]}, ("values", np.array([0.1, 0.2]), True), None),
        (nothing, {"value": 1.0}, ("value", 2.0, False), "gives NaN"),
        (nothing, {"value": 1.0}, ("value", np.nan, False), None),
        (loses, {"values": [0.25]}, ("values", np.array([0.5]), True), "gives 0.5, not 0.25"),
    ],
)
def test_the_harness_sees_faults(function, arguments, case, fault):
    call = calls.Call(function.__name__, function, arguments)
    _, found = judge(call, outcomes.attempt(call, SECONDS), case)
    assert (found is None) if fault is None else (fault in found)


def main(prefixes):
    """List the faults of callables of the modules with a prefix."""
    mpl.use("agg")
    rng, counts = np.random.default_rng(0), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        _list_faults(recorded(folder, tuple(prefixes)), rng, counts)
    print(dict(counts))


def _list_faults(found, rng, counts):
    for name, made in found.items():
        if not made:
            print(f"no call of {name}")
        for call in made[:1]:
            usual = outcomes.attempt(call, SECONDS)
            if usual.kind != "accepted":
                print(f"{name} refuses its own example: {usual.text}")
            for case in cases(call, rng) if usual.kind == "accepted" else ():
                outcome, fault = judge(call, usual, case)
                counts[outcome.kind] += 1
                if fault:
                    print(fault, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
