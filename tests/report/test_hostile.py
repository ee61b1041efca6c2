"""Hostile records: the page stays well-formed and inert, or one line says what is damaged."""

import copy
import json
import math
import os
import random
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from rmtstab import report
from rmtstab.cli import exits, main
from rmtstab.report.formulae import ATTRIBUTES, ELEMENTS, mathml
from rmtstab.report.page import UNPRINTABLE
from tests.report.test_report import HOSTILE, results

VOID = {"meta", "img"}
LAYOUT = {
    "html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "h3", "p", "nav", "a",
    "div", "table", "thead", "tbody", "tr", "th", "td", "main", "section", "span", "dl", "dt",
    "dd", "footer", "figure", "img", "figcaption", "code",
}  # fmt: skip
PLAIN = {"lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "src", "alt",
         "aria-label", "scope"}  # fmt: skip
DEEP = json.loads("[" * 150 + "]" * 150)
VALUES = (
    *HOSTILE, *(r"\text{<script>alert(1)</script>}", r"\href{javascript:alert(1)}{x}"),
    None, True, 0, -1, 10**400, 1e308, -0.0, math.nan, math.inf, "NaN", "1e999", "", "\ud800",
    [], {}, [[]], {"$float": "nan"}, {"holds": True}, DEEP,
)  # fmt: skip


class Strict(HTMLParser):
    """Raises unless tags are balanced, known, and lead nowhere but into the page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.targets = [], [], []
        self.feed(text)
        self.close()
        assert not self.open
        assert len(set(self.ids)) == len(self.ids)
        assert {target[1:] for target in self.targets} <= set(self.ids)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        inside = "math" in self.open or tag == "math"
        assert tag in (ELEMENTS if inside else LAYOUT), tag
        assert set(found) <= ({"xmlns"} | ATTRIBUTES if inside else PLAIN), attrs
        assert found.get("src", "data:image/svg+xml;base64,").startswith("data:image/svg+xml;")
        self.targets += [found["href"]] if "href" in found else []
        self.ids += [found["id"]] if "id" in found else []
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        assert not UNPRINTABLE.search(data)


def places(value, path=()):
    """Every place in nested records."""
    yield path
    if isinstance(value, dict | list):
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield from places(value[key], (*path, key))


def spoilt(records, draw):
    """The records with one to three places replaced, lost, renamed or doubled."""
    records = copy.deepcopy(records)
    for _ in range(draw.randint(1, 3)):
        *path, last = draw.choice([place for place in places(records) if place])
        inside = records
        for key in path:
            inside = inside[key]
        kind = draw.randrange(4)
        if kind == 0:
            del inside[last]
        elif kind == 1 and isinstance(inside, list):
            inside.append(inside[last])
        elif kind == 1:
            inside[str(draw.choice(HOSTILE))] = inside[last]
        else:
            inside[last] = copy.deepcopy(draw.choice(VALUES))
    return records


def outcome(records, folder):
    """Text of the page, or None where the records are refused."""
    try:
        return report.compose(records).page(folder)
    except (OSError, ImportError, AssertionError):
        raise
    except Exception as error:
        assert type(error).__module__ in ("builtins", "numpy.exceptions"), error
        return None


WRONG = {"scale": 1.02, "holds": False, "value": 1.5, "measured": "x"}


def test_spoilt_records_give_a_whole_page_or_none(tmp_path, monkeypatch):
    monkeypatch.setattr("rmtstab.figures.validation.render", lambda draw: (b"<svg/>", b""))
    draw, shown = random.Random(0), 0
    Strict(outcome(results(mutation=WRONG), tmp_path))
    for _ in range(600):
        text = outcome(spoilt(results(mutation=WRONG), draw), tmp_path)
        if text is not None:
            shown += 1
            Strict(text)
    assert 200 < shown < 500  # neither all refused nor all let through


@pytest.mark.parametrize("text", [value for value in VALUES if isinstance(value, str)])
def test_hostile_words_everywhere(tmp_path, monkeypatch, text):
    monkeypatch.setattr("rmtstab.figures.validation.render", lambda draw: (b"<svg/>", b""))
    words = dict.fromkeys(("statement", "latex", "fails", "horizon", "source", "measured"), text)
    records = results(**words) | {"seed": text, "notes": [text], "versions": {text: text}}
    (tmp_path / "origin.json").write_text(json.dumps({"command": text, "date": [text]}))
    Strict(report.compose(records).page(tmp_path))


@pytest.mark.parametrize(
    "latex",
    [r"\text{<script>alert(1)</script>}", r"\href{javascript:alert(1)}{x}", r"\style{color:red}{x}",
     r"\class{a}{x}"],
)  # fmt: skip
def test_a_formula_holds_no_link_style_or_tag(latex):
    with pytest.raises(ValueError, match="formula must hold no link, style or tag, got"):
        mathml(latex)


def test_the_strict_parser_can_fail():
    wrong = (
        "<p><b>x</b></p>", "<p></div>", "<p onload='x'></p>", "<a href='#nowhere'></a>",
        "<p id='a'></p><p id='a'></p>", "<p>", "<img src='https://x.invalid'>",
    )  # fmt: skip
    for text in wrong:
        with pytest.raises((AssertionError, IndexError)):
            Strict(text)


def test_claims_of_one_name_are_refused(monkeypatch):
    monkeypatch.setattr("rmtstab.figures.validation.render", lambda draw: (b"<svg/>", b""))
    records = results()
    records["claims"] *= 2
    with pytest.raises(ValueError, match="claims must have names that make anchors of their own"):
        report.compose(records)
    with pytest.raises(ValueError, match="anchors of their own"):
        report.compose(results(name="origin"))


def call(folder):
    return CliRunner().invoke(main, ["report", str(folder)])


CONTENTS = {
    "nothing": "", "cut": '{"claims": [', "a list": "[]", "a number": '{"claims": 3}',
    "no evidence": '{"claims": [{"name": "bounds-enclose-growth"}]}',
    "unknown claims": '{"claims": [{"name": "x"}]}', "deep": "[" * 10**5,
    "NaN": '{"claims": NaN}', "a long number": '{"claims": ' + "9" * 5000 + "}",
    "objects": '{"claims": [{"$array": "gASV", "dtype": "O", "shape": [1]}]}',
    "no text": b"\xff\xfe\x00",
}  # fmt: skip


@pytest.mark.parametrize("kind", CONTENTS)
def test_damaged_results_have_a_code_and_a_line_of_their_own(tmp_path, kind):
    content = CONTENTS[kind]
    path = tmp_path / "results.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = call(tmp_path)
    assert result.exit_code == exits.DAMAGED and not result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: folder must hold the results.json of a validation run, got ")
    assert os.listdir(tmp_path) == ["results.json"]


def test_something_in_the_way_has_a_code_of_its_own(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "results.json")
    result = call(tmp_path)
    assert result.exit_code == exits.IN_THE_WAY and "must be a file" in result.stderr
    (tmp_path / "results.json").unlink()
    monkeypatch.setattr(report, "read", lambda folder: results())
    monkeypatch.setattr("rmtstab.claims.claim.Claim.record", lambda c, found: found["claims"][0])
    (tmp_path / "figures").write_text("mine")
    result = call(tmp_path)
    assert result.exit_code == exits.IN_THE_WAY and len(result.stderr.splitlines()) == 1
    assert (tmp_path / "figures").read_text() == "mine"
    (tmp_path / "figures").unlink()
    (tmp_path / "index.html").mkdir()
    assert call(tmp_path).exit_code == 0  # set aside
    assert (tmp_path / "index.html").is_file()
