"""The report and the docs in a real browser: silent, offline, legible, whole when narrow."""

from pathlib import Path

import pytest

from tests import chromium
from tests.report.test_report import results

DOCS = Path(__file__).parents[2] / "docs" / "_build" / "html"
NARROW, DARK = {"width": 400}, {"dark": True}
FIRST = [
    ("index.html", {}), ("index.html", NARROW), ("index.html", DARK),
    ("examples/plot_stability_map.html", NARROW), ("sweeps.html", NARROW),
    ("theory/tightness.html", NARROW), ("api/index.html", NARROW),
]  # fmt: skip
REST = [
    "examples/index.html", "results.html", "diagnose.html", "choose.html", "claims.html",
    "laws/marchenko_pastur.html", "api/generated/rmtstab.UnlearningProblem.html",
]  # fmt: skip
PAGES = [
    *FIRST,
    *(
        pytest.param(name, how, marks=pytest.mark.slow)
        for name in REST
        for how in ({}, NARROW, DARK)
    ),
]


@pytest.fixture(scope="module")
def browser():
    if chromium.find() is None:
        pytest.skip("needs a browser: chromium or google-chrome on the path")
    with chromium.browser() as found:
        yield found


@pytest.fixture(scope="module")
def report_page(tmp_path_factory):
    from rmtstab import report

    folder = tmp_path_factory.mktemp("report")
    report.write_origin(folder)
    # its widest table, and a figure that fits no narrow window
    wrong = {"scale": 1.02, "holds": False, "value": 777.125, "measured": "777 of 888"}
    report.write(folder, results(mutation=wrong, value=0.0123456789, error_bar=0.00123456789))
    return folder / "index.html"


def check(browser, path, **how):
    """Assert everything that a reader may expect of a page."""
    with browser.open(path.as_uri(), **how) as page:
        assert page.requests and not page.from_network
        assert not page.complaints
        assert not page.evaluate(chromium.PICTURES)
        assert not page.evaluate(chromium.CUT)
        assert not page.evaluate(chromium.FAINT)


@pytest.mark.parametrize("how", [{}, {"width": 400}, {"width": 700, "media": "print"}])
def test_the_report(browser, report_page, how):
    check(browser, report_page, **how)


def test_the_reports_formulae_and_contents(browser, report_page):
    with browser.open(report_page.as_uri(), width=400) as page:
        assert page.evaluate("document.querySelector('math').getBoundingClientRect().height") > 10
        assert page.evaluate("getComputedStyle(document.querySelector('math')).display") != "none"
        page.evaluate("document.querySelector('nav td a').click()")
        assert page.evaluate("location.hash") == "#bounds-enclose-growth"
        assert abs(page.evaluate("document.querySelector(location.hash)"
                                 ".getBoundingClientRect().top")) < 5  # fmt: skip


@pytest.mark.parametrize(("name", "how"), PAGES)
def test_the_docs(browser, name, how):
    if not DOCS.is_dir():
        pytest.skip("needs the docs: sphinx-build -b html docs docs/_build/html")
    check(browser, DOCS / name, **how)


BROKEN = """<!doctype html><meta charset="utf-8"><body style="background: #fff">
<img src="missing.png"><script>console.error("no"); undefined_name</script>
<img src="https://example.invalid/x.png" alt="x">
<p style="color: #bbb">faint</p>
<div style="width: 900px; height: 2em">wide</div>"""


def test_the_checks_can_fail(browser, tmp_path):
    path = tmp_path / "broken.html"
    path.write_text(BROKEN)
    with browser.open(path.as_uri(), width=400) as page:
        assert page.from_network == ["https://example.invalid/x.png"]
        assert any("no" in text for text in page.complaints) and len(page.complaints) >= 3
        assert len(page.evaluate(chromium.PICTURES)) == 2
        (cut,) = page.evaluate(chromium.CUT)
        assert "wide" in cut
        (faint,) = page.evaluate(chromium.FAINT)
        assert "faint" in faint
