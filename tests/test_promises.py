"""Every promise of the page names tests, and every test that it names is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "promises.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def missing(text):
    """Tests that a text names and the tree lacks."""
    found = []
    for file, name in NAMED.findall(text):
        path = ROOT / file
        if not path.is_file():
            found.append(file)
            continue
        tree = ast.parse(path.read_text())
        tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        if not any(t.startswith("test_") and t == (name or t) for t in tests):
            found.append(f"{file}::{name}")
    return found


def promises(text):
    """Items of the page's lists that begin in bold: the promises."""
    return [item for item in re.split(r"\n(?=- |\n)", text) if item.startswith("- **")]


def test_every_named_test_is_there():
    assert missing(PAGE.read_text()) == []


def test_every_promise_names_a_test():
    found = promises(PAGE.read_text())
    assert len(found) > 20
    assert [item for item in found if not NAMED.search(item)] == []


def test_the_checks_can_fail():
    text = "`tests/test_promises.py::test_nothing` `tests/none.py` `tests/test_promises.py`"
    assert missing(text) == ["tests/test_promises.py::test_nothing", "tests/none.py"]
    assert promises("# A\n\n- **x** y\n  z\n- w\n- **v**\n\ntext") == ["- **x** y\n  z", "- **v**"]
