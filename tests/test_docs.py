"""The pages: the front page's lines run, the reference is complete, wrong pages are noticed."""

import importlib
import inspect
import re
import types
from pathlib import Path

import pytest

from tests.public import objects as public_objects

DOCS = Path(__file__).parents[1] / "docs"


def load(path, monkeypatch):
    """Import a file of the pages' own."""
    monkeypatch.syspath_prepend(str(DOCS / "extensions"))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lines_of_the_front_page_run(capsys):
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 10
    exec(compile(code, "index.md", "exec"), {})
    said = capsys.readouterr().out
    assert "because" in said and "tolerable mixing: 0." in said
    plt.close("all")


PACKAGES = (
    "rmtstab", "rmtstab.bounds", "rmtstab.bridge", "rmtstab.claims", "rmtstab.curvature",
    "rmtstab.dynamics", "rmtstab.ensembles", "rmtstab.experiment", "rmtstab.figures",
    "rmtstab.laws", "rmtstab.sweeps", "rmtstab.theory", "rmtstab.unlearning",
)  # fmt: skip


def public(module):
    """Functions and classes that a package names in ``__all__``, and those of its modules."""
    for name in module.__all__:
        thing = getattr(module, name)
        if isinstance(thing, types.ModuleType):
            if module.__name__ != "rmtstab" and hasattr(thing, "__all__"):
                yield from public(thing)
        elif inspect.isclass(thing) or inspect.isroutine(thing):
            yield thing


def test_every_public_name_is_in_the_reference_and_documented(monkeypatch):
    pytest.importorskip("torch")
    reference = load(DOCS / "extensions" / "reference.py", monkeypatch)
    listed = []
    for name in (name for rows in reference.sections().values() for name in rows):
        owner, _, attribute = name.rpartition(".")
        listed.append(getattr(importlib.import_module(owner), attribute))
    for package in PACKAGES:
        for thing in public(importlib.import_module(package)):
            assert any(thing is other for other in listed), thing
            assert inspect.getdoc(thing), thing
    assert len(listed) == len({id(thing) for thing in listed}) > 100


def test_everything_that_public_calls_return_or_hold_has_a_page(monkeypatch):
    pytest.importorskip("torch")
    reference = load(DOCS / "extensions" / "reference.py", monkeypatch)
    listed = [thing for _, thing in public_objects()]
    assert not reference.parts(listed)
    names = [thing.__name__ for thing in listed]
    assert {"LyapunovBounds", "FrontierLaws", "PopulationFit", "SecondMoment"} <= set(names)
    fewer = [thing for thing in listed if thing.__name__ not in ("Growth", "Curves")]
    assert {thing.__name__ for thing in reference.parts(fewer)} == {"Growth", "Curves"}


SHORT = "|".join(name.partition(".")[2] for name in PACKAGES[1:])
CALLED = re.compile(rf"`(?:rmtstab\.|rs\.)?((?:{SHORT})(?:\.[A-Za-z_]\w*)+)")


def test_what_the_pages_call_by_its_name_exists_and_has_a_page():
    """As `experiment.data.photographs`: of a module, one object at least."""
    pytest.importorskip("torch")
    listed = [thing for _, thing in public_objects()]
    homes = {thing.__module__ for thing in listed}
    texts = [path.read_text() for path in DOCS.rglob("*.md") if "_build" not in path.parts]
    texts += [(DOCS.parent / "README.md").read_text()]
    changes = (DOCS.parent / "CHANGELOG.md").read_text()
    texts += [changes.partition("### Changed")[0]]  # below it are former names
    names = {name for text in texts for name in CALLED.findall(text)}
    assert {"experiment.natural_size.displaced_maps", "bridge.expansions"} <= names
    for name in sorted(names):
        found, owner = importlib.import_module("rmtstab"), None
        for part in name.split("."):
            found, owner = (
                getattr(found, part, None) or importlib.import_module(f"{found.__name__}.{part}"),
                found,
            )
        if isinstance(found, types.ModuleType):
            # a module of claims has its page in docs/claims: nobody calls their functions
            claims = found.__name__.startswith("rmtstab.claims.")
            assert claims or any(home.startswith(found.__name__) for home in homes), name
        elif inspect.isclass(found) or inspect.isroutine(found):
            seen = owner if inspect.isclass(owner) else found
            assert any(seen is thing for thing in listed), name


PAGE = """<html><body><h1 id="top">T</h1>{}</body></html>"""


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="missing.html">x</a>', "link to missing.html leads nowhere"),
        ('<a href="#nowhere">x</a>', "link to #nowhere has no such anchor"),
        ('<script src="https://cdn.example/x.js"></script>', "loads https://cdn.example/x.js"),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', "loads //cdn.example/x.css"),
        ('<img src="page.html">', "picture page.html has no text"),
        (r"<p>\\frac{1}{2}</p>".replace("\\\\", "\\"), "LaTeX is left as it is"),
        ('<a href="#top">x</a><a href="https://example.org">y</a><code>\\frac</code>', None),
    ],
)
def test_wrong_pages_are_noticed(tmp_path, monkeypatch, body, fault):
    checker = load(DOCS / "check_pages.py", monkeypatch)
    monkeypatch.setattr(checker, "missing", lambda folder: [])
    monkeypatch.setattr(checker, "FORMULAE", 0)
    (tmp_path / "page.html").write_text(PAGE.format(body))
    found = checker.faults(tmp_path)
    assert len(found) == (fault is not None) and all(fault in line for line in found)


def test_formulae_become_mathml(monkeypatch):
    pytest.importorskip("latex2mathml")
    mathml = load(DOCS / "extensions" / "mathml.py", monkeypatch).mathml
    assert "<mfrac><mn>1</mn><mn>2</mn></mfrac>" in mathml(r"\tfrac12", "inline")
    assert "<mo>&#x02AB0;</mo>" in mathml(r"A\succeq B", "inline")
    with pytest.raises(ValueError, match="formula must be LaTeX that latex2mathml reads"):
        mathml(r"\frac{", "inline")
