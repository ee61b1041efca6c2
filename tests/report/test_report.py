"""The report: one wording, anchors, formulae, origin; hostile records stay text; strict JSON."""

import errno
import json
import math
import os
import re
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from rmtstab import report
from rmtstab.claims import CLAIMS
from rmtstab.cli import exits, main
from rmtstab.report.formulae import mathml
from rmtstab.report.origin import commit, write_origin

NAME = "bounds-enclose-growth"


def results(**changes):
    (claim,) = (c for c in CLAIMS if c.name == NAME)
    words = ("name", "statement", "latex", "assumptions", "normalisation", "horizon", "source",
             "fails")  # fmt: skip
    record = {key: getattr(claim, key) for key in words}
    record |= {"measured": "0 of 9", "value": 0.0, "error_bar": math.nan, "holds": True}
    figure = {
        "x_label": "n", "y_label": "gap", "logarithmic": "", "levels": [],
        "series": [{"label": "gap", "x": [1.0, 2.0], "y": [0.5, 0.25]}],
    }  # fmt: skip
    return {
        "claims": [{**record, "failing": math.inf, **changes}],
        "theory": {NAME: {"figure": figure}},
        "preset": {"name": "tiny"},
        "seed": 3,
        "versions": {"numpy": "2"},
        "notes": ["a note"],
    }


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links, self.attributes = [], [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if tag == "a" else []


def test_the_page(tmp_path):
    write_origin(tmp_path)
    report.write(tmp_path, results())
    page = (tmp_path / "index.html").read_text()
    found = Tags(page)
    assert set(found.links) <= {f"#{name}" for name in found.ids}  # contents and figures
    assert len(found.ids) == len(set(found.ids)) and NAME in found.ids
    assert "math" in found.tags and "<nav" in page and "1 hold" in page
    assert re.search(rf"{commit()}.*[0-9a-f]{{64}}", page, re.DOTALL)
    origin = json.loads((tmp_path / "origin.json").read_text())
    assert set(origin) == {"command", "date", "commit"} and origin["date"] in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    (image,) = re.findall(r"<img [^>]*>", page)
    assert 'alt="Figure bounds-enclose-growth: ' in image


def test_results_are_strict_json_and_come_back(tmp_path):
    given = results()
    report.write(tmp_path, given)
    json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)
    back = report.read(tmp_path)
    assert math.isnan(back["claims"][0]["error_bar"]) and back["claims"][0]["failing"] == math.inf
    assert back["theory"] == given["theory"]


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='x",
    "</section></main>",
    "&lt;b&gt;",
    "javascript:alert(1)",
    "\x00\x1b[31m",
    "$\\frac{1}{2}$ <b>",
    "../../evil",
    "--><svg>",
)


def hostile(value, text):
    """The same records, with each text replaced, where the page's layout is not what they name."""
    if isinstance(value, str):
        return text
    if isinstance(value, list):
        return [hostile(item, text) for item in value]
    if isinstance(value, dict):
        return {key: item if key == "logarithmic" else hostile(item, text)
                for key, item in value.items()}  # fmt: skip
    return value


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_records_stay_text(tmp_path, text, monkeypatch):
    import rmtstab.figures.validation as drawings

    svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    monkeypatch.setattr(drawings, "render", lambda draw: (svg, b"png"))
    given = hostile(results(), text)
    given["theory"] = {text: next(iter(given["theory"].values()))}
    given["seed"], given["versions"] = text, {text: text}
    (tmp_path / "origin.json").write_text(json.dumps({"command": text, "date": [text]}))
    inside = tmp_path / "folder"
    inside.mkdir()
    report.write(inside, given)
    safe = Tags((inside / "index.html").read_text())
    plain = tmp_path / "plain"
    plain.mkdir()
    report.write(plain, results())
    known = Tags((plain / "index.html").read_text())
    allowed = {"code", "b"} | {tag for tag in safe.tags if tag.startswith("m")}
    assert set(safe.tags) - allowed <= set(known.tags)
    assert "b" not in safe.tags and "script" not in safe.tags and "svg" not in safe.tags
    assert not {name for name in safe.attributes if name.startswith("on")}
    assert sorted(os.listdir(tmp_path)) == ["folder", "origin.json", "plain"]


def test_one_wording():
    for holds, word in ((True, "holds"), (False, "fails"), (None, "reported")):
        shown = report.table(results(holds=holds)["claims"])
        assert shown.split()[0] == word and NAME in shown


def test_a_formula_that_cannot_be_read_is_shown_as_it_is(tmp_path):
    report.write(tmp_path, results(latex=r"<b> \frac{"))
    assert r"<code>&lt;b&gt; \frac{</code>" in (tmp_path / "index.html").read_text()


def test_every_claims_formula_is_rendered():
    for claim in CLAIMS:
        assert not re.search(r"\\[A-Za-z]", mathml(claim.latex))


def test_a_full_disk_has_a_code_of_its_own(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(report, "read", lambda folder: results())
    monkeypatch.setattr(
        "rmtstab.claims.claim.Claim.record", lambda claim, found: found["claims"][0]
    )
    monkeypatch.setattr(report, "write_atomically", full)
    result = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert result.exit_code == exits.IO_ERROR and "No space left on device" in result.output
