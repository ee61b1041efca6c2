"""The mutation runner changes what it says, and its page is that of its results."""

import ast
import importlib.util
import json
import sys
from pathlib import Path

import pytest

VALIDATION = Path(__file__).parents[1] / "validation"


def script(name):
    spec = importlib.util.spec_from_file_location(name, VALIDATION / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # data classes look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sites():
    return script("mutation_sites")


SOURCE = '''
"""Text is left alone."""
import math

def f(x, y=2.0):
    if x <= 0:
        raise ValueError(f"x must be > 0, got {x + 1}")
    for z in x[1:]:
        y += -z
        y = z if not math.isnan(z) else min(y, z)
    return y * 3 if True and y else y - 1
'''
CHANGES = [
    ("constant", "2.0", "4.0"), ("early exit", "if x <= 0:", "if not x <= 0:"),
    ("comparison", "x <= 0", "x < 0"), ("comparison", "x <= 0", "x > 0"), ("constant", "0", "1"),
    ("index", "1", "2"), ("arithmetic", "y += -z", "y -= -z"), ("sign", "-z", "+z"),
    ("logic", "not math.isnan(z)", "not not math.isnan(z)"), ("min/max", "min(y, z)", "max(y, z)"),
    ("arithmetic", "y * 3", "y / 3"), ("constant", "3", "4"), ("constant", "True", "False"),
    ("logic", "True and y", "True or y"), ("arithmetic", "y - 1", "y + 1"), ("constant", "1", "2"),
]  # fmt: skip


def test_each_site_is_found_once_and_words_are_left_alone(sites):
    found = list(sites.sites(ast.parse(SOURCE)))
    changes = [(site.kind, site.before, site.after) for site in found]
    conditions = [change for change in changes if change[0] == "condition"]
    assert len(conditions) == 2  # the two conditional expressions
    assert sorted(change for change in changes if change[0] != "condition") == sorted(CHANGES)
    assert {site.function for site in found} == {"f"}


def test_a_mutant_differs_in_its_site_alone(sites):
    found = list(sites.sites(ast.parse(SOURCE)))
    plain = ast.unparse(ast.parse(SOURCE)).splitlines()
    for index, site in enumerate(found):
        changed = ast.unparse(sites.mutated(SOURCE, index)).splitlines()
        lines = [k for k, (a, b) in enumerate(zip(plain, changed, strict=True)) if a != b]
        assert len(lines) == 1, site
        space = {}
        exec(compile(sites.mutated(SOURCE, index), "mutant", "exec"), space)
        assert callable(space["f"])


def test_the_page_is_that_of_the_results():
    write = script("write_mutants")
    found, reasons = write.read()
    assert write.PAGE.read_text() == write.page(found, reasons), "run validation/write_mutants.py"
    alive = {row["name"] for row in found["mutants"] if row["outcome"] in ("survived", "no test")}
    assert set(reasons) <= alive  # nothing that a test kills is argued away
    killed = sum(row["outcome"] == "killed" for row in found["mutants"])
    judged = sum(row["outcome"] is not None for row in found["mutants"])
    assert killed >= 0.9 * (judged - len(reasons))
    planted = [row["outcome"] for row in found["mutants"] if row.get("planted")]
    assert len(planted) > 10 and set(planted) == {"killed"}
    worse = json.loads(json.dumps(found))
    drawn = [row for row in worse["mutants"] if not row.get("planted")]
    next(row for row in drawn if row["outcome"] == "killed")["outcome"] = "survived"
    assert "## Survivors" in write.page(worse, reasons)
