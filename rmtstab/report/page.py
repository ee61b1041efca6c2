"""The page: claims with anchors, formulae and figures in one file that asks for nothing else."""

from __future__ import annotations

import base64
import html
import re
from dataclasses import dataclass
from typing import Any

from rmtstab.report.formulae import mathml
from rmtstab.report.words import mutation, number, there, verdict

Record = dict[str, Any]
FACTS = ("assumptions", "normalisation", "horizon", "source")
HEADLINE = "against_snr"
WIDE = 360.0  # points: on a narrow screen a wider figure keeps its size, and scrolls

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
PLACES = {"claims", "figures", "origin", "wrong-theories"}  # anchors of the page's own

STYLE = """
:root { color-scheme: light }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff }
body { max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem; overflow-wrap: anywhere }
h1 { line-height: 1.2 } h2 { margin-top: 2.5rem } h3 { margin: 0 0 .3rem; font-size: 1.05rem }
a { color: #00568a }
table { border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid #bbb; padding: .3rem .4rem; text-align: left }
td, th { vertical-align: top }
th, td:first-child { overflow-wrap: normal } th { white-space: nowrap }
section.claim { border-left: .35rem solid #767676; padding: .2rem 0 .2rem 1rem; margin: 1.5rem 0 }
section.holds { border-color: #00694b } section.fails { border-color: #a63603 }
.verdict { font-weight: 600; white-space: nowrap; color: #4a4a4a }
.holds .verdict, td.holds { color: #00543c } .fails .verdict, td.fails { color: #8c2d04 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem .8rem; margin: .5rem 0 }
dt { color: #4a4a4a } dd { margin: 0 }
div.formula, div.table { overflow-x: auto } div.formula { padding: .3rem 0 }
figure { margin: 1.5rem 0; break-inside: avoid } img { max-width: 100%; height: auto }
figcaption { font-size: .9rem; color: #333 }
code { font-size: .9em }
@media (max-width: 34rem) {
  dl { grid-template-columns: 1fr } dd { margin-left: 1rem }
  figure.wide { overflow-x: auto } figure.wide img { max-width: none }
}
@media print {
  body { max-width: none; font-size: 10pt } section.claim, tr { break-inside: avoid }
  nav { break-after: page } div.table { overflow: visible } th { white-space: normal }
  a { color: inherit; text-decoration: none }
}
"""


@dataclass(frozen=True)
class Picture:
    """A figure and what it shows.

    Attributes
    ----------
    svg, png : bytes
    caption : str
    """

    svg: bytes
    png: bytes
    caption: str


def anchor(name: Any) -> str:
    """Turn a name into one that is safe as an anchor and as a file's name.

    Parameters
    ----------
    name : str

    Returns
    -------
    str
        Letters, digits, ``-`` and ``_``.

    Examples
    --------
    >>> from rmtstab.report.page import anchor
    >>> anchor("../a b")
    'a-b'
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "-", str(name)).strip("-")[:80] or "unnamed"


def page(results: Record, pictures: dict[str, Picture], origin: dict[str, str]) -> str:
    """Lay out the report as one HTML file; every text in it is escaped.

    Parameters
    ----------
    results : dict
    pictures : dict of str to Picture
    origin : dict of str to str

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If two claims have one name, or the name of another part of the page.
    """
    claims = results["claims"]
    anchors = [anchor(claim["name"]) for claim in claims]
    anchors += [f"figure-{anchor(name)}" for name in pictures]
    if len({*anchors, *PLACES}) < len(anchors) + len(PLACES):
        raise ValueError(f"claims must have names that make anchors of their own, got {anchors}")
    first = [_figure(name, shown) for name, shown in pictures.items() if name == HEADLINE]
    rest = [_figure(name, shown) for name, shown in pictures.items() if name != HEADLINE]
    counts = [verdict(claim) for claim in claims]
    summary = ", ".join(
        f"{counts.count(word)} {words}"
        for word, words in (("holds", "hold"), ("fails", "fail"), ("reported", "are reported"))
        if word in counts
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>rmtstab validation</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>When does unlearning escape, and when does the model resist?</h1>
<p>{_text(len(claims))} claims: {_text(summary)}. Preset {_text(results["preset"]["name"])},
seed {_text(results["seed"])}. What follows ± is the claim's own error bar.</p>
{"".join(f"<p>{_text(note)}</p>" for note in results["notes"])}
</header>
{_contents(claims, pictures)}
<main>
{"".join(first)}
<h2 id="claims">Claims</h2>
{"".join(_claim(claim, pictures) for claim in claims)}
{_mutations(claims)}
<h2 id="figures">Figures</h2>
{"".join(rest)}
</main>
<footer>
<h2 id="origin">Where the numbers come from</h2>
{_facts({**origin, **{f"version of {k}": v for k, v in results["versions"].items()}})}
</footer>
</body>
</html>
"""


def _text(value: Any) -> str:
    return html.escape(UNPRINTABLE.sub("\ufffd", str(value)))


def _contents(claims: list[Record], pictures: dict[str, Picture]) -> str:
    """Table of contents: each claim with its verdict and number, each figure."""
    rows = "".join(
        f'<tr><td class="{verdict(claim)}">{verdict(claim)}</td>'
        f'<td><a href="#{anchor(claim["name"])}">{_text(claim["name"])}</a></td>'
        f"<td>{_text(number(claim))}</td></tr>"
        for claim in claims
    )
    figures = ", ".join(f'<a href="#figure-{anchor(name)}">{_text(name)}</a>' for name in pictures)
    return f"""<nav aria-label="Contents">
<h2>Contents</h2>
<p><a href="#claims">Claims</a>, <a href="#figures">figures</a>,
<a href="#origin">where the numbers come from</a>.</p>
<div class="table"><table><thead><tr><th scope="col">verdict</th><th scope="col">claim</th>
<th scope="col">measured</th></tr></thead><tbody>{rows}</tbody></table></div>
<p>Figures: {figures}.</p>
</nav>"""


def _claim(claim: Record, pictures: dict[str, Picture]) -> str:
    name, word = claim["name"], verdict(claim)
    shown = ""
    if name in pictures:
        shown = f' (<a href="#figure-{anchor(name)}">figure</a>)'
    facts = {
        "measured": f"{claim['measured']} [{number(claim)}]",
        **{key: claim[key] for key in FACTS},
        "nearest failure": claim["fails"] + there(claim),
        **({"a wrong theory": mutation(claim)} if mutation(claim) else {}),
    }
    return f"""<section class="claim {word}" id="{anchor(name)}">
<h3><a href="#{anchor(name)}">{_text(name)}</a> <span class="verdict">{word}</span></h3>
<p>{_text(claim["statement"])}{shown}</p>
{_formula(claim["latex"])}
{_facts(facts)}
</section>
"""


def _mutations(claims: list[Record]) -> str:
    """Table of what each claim says of a wrong theory; empty where none was tried."""
    rows = "".join(
        f'<tr><td class="{"fails" if claim["mutation"]["holds"] else "holds"}">'
        f"{'holds' if claim['mutation']['holds'] else 'fails, as it must'}</td>"
        f'<td><a href="#{anchor(claim["name"])}">{_text(claim["name"])}</a></td>'
        f"<td>× {claim['mutation']['scale']:g}</td><td>{_text(number(claim))}</td>"
        f"<td>{_text(number({**claim['mutation'], 'error_bar': None}))}</td></tr>"
        for claim in claims
        if "mutation" in claim
    )
    if not rows:
        return ""
    return f"""<h2 id="wrong-theories">What a wrong theory scores</h2>
<p>Each claim that needs no network, judged once more with every number of the theory multiplied:
it must fail.</p>
<div class="table">
<table><thead><tr><th scope="col">verdict</th><th scope="col">claim</th><th scope="col">theory</th>
<th scope="col">its number</th><th scope="col">the wrong one's</th></tr></thead>
<tbody>{rows}</tbody></table></div>"""


def _formula(latex: Any) -> str:
    try:
        return f'<div class="formula">{mathml(str(latex), "block")}</div>'
    except ValueError:
        return f'<div class="formula"><code>{_text(latex)}</code></div>'


def _facts(facts: dict[str, Any]) -> str:
    rows = "".join(f"<dt>{_text(key)}</dt><dd>{_text(value)}</dd>" for key, value in facts.items())
    return f"<dl>{rows}</dl>"


def _figure(name: str, shown: Picture) -> str:
    size = re.search(rb'<svg [^>]*?width="([\d.]+)pt"', shown.svg)
    wide = ' class="wide"' if size and float(size[1]) > WIDE else ""
    source = f"data:image/svg+xml;base64,{base64.b64encode(shown.svg).decode()}"
    return (
        f'<figure id="figure-{anchor(name)}"{wide}><img alt="Figure {_text(name)}: '
        f'{_text(shown.caption.split(". ")[0])}" src="{source}">'
        f"<figcaption>{_text(shown.caption)}</figcaption></figure>\n"
    )
