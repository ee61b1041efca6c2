"""The report folder: results.json, figures, and a self-contained page, all made from the former."""

from __future__ import annotations

import base64
import html
import json
import math
from pathlib import Path
from typing import Any

from rmtstab.figures import validation
from rmtstab.sweeps.run import write_atomically

Record = dict[str, Any]


def write(folder: Path, results: Record) -> None:
    """Write results.json, the figures (SVG and PNG) and index.html, each whole or not at all.

    Parameters
    ----------
    folder : Path
    results : dict
        Evidence of `rmtstab.experiment.run.collect`, with ``claims``,
        ``versions`` and ``notes``.
    """
    text = json.dumps(results, indent=1, sort_keys=True)
    results = json.loads(text)  # drawn from what is written, so that it can be drawn again
    pictures: dict[str, bytes] = {}
    captions: dict[str, str] = {}
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    for name, (draw, caption) in validation.drawings(results).items():
        svg, png = validation.render(draw)
        write_atomically(figures / f"{name}.svg", svg)
        write_atomically(figures / f"{name}.png", png)
        pictures[name], captions[name] = svg, caption
    write_atomically(folder / "results.json", text + "\n")
    write_atomically(folder / "index.html", _page(results, pictures, captions))


def table(claims: list[Record]) -> str:
    """Lay out the claims as text: verdict, name, statement, conditions, what was measured."""
    words = {True: "PASS", False: "FAIL", None: "info"}
    blocks = []
    for claim in claims:
        block = [
            f"{words[claim['holds']]}  {claim['name']}",
            f"      {claim['statement']}",
            f"      normalisation: {claim['normalisation']}; horizon: {claim['horizon']}",
            f"      measured: {claim['measured']} [{number(claim)}]",
            f"      fails: {claim['fails']}{_there(claim)}",
        ]
        if "mutation" in claim:
            block.append(f"      {_mutation(claim)}")
        blocks.append("\n".join(block))
    return "\n".join(blocks)


def number(claim: Record) -> str:
    """Value and error bar of a claim, as text."""
    value, error = claim["value"], claim["error_bar"]
    if value is None or math.isnan(value):
        return "no number"
    bar = "" if error is None or math.isnan(error) else f" ± {error:.2g}"
    return f"{value:.4g}{bar}"


def _there(claim: Record) -> str:
    """The claim's number in its failing setting, as text."""
    failing = claim.get("failing")
    return "" if failing is None or math.isnan(failing) else f" [there: {failing:.4g}]"


def _mutation(claim: Record) -> str:
    """What the wrong theory scored, as text."""
    wrong = claim["mutation"]
    verdict = "holds, so that the claim says nothing" if wrong["holds"] else "fails, as it must"
    return f"theory × {wrong['scale']:g}: {verdict} [{number({**wrong, 'error_bar': None})}]"


def _mutation_table(claims: list[Record]) -> str:
    """Table of what each claim says of a wrong theory; empty where none was tried."""
    rows = [
        f'<tr class="{"fail" if claim["mutation"]["holds"] else "pass"}">'
        f"<td>{'holds' if claim['mutation']['holds'] else 'fails, as it must'}</td>"
        f"<td>{html.escape(claim['name'])}</td><td>× {claim['mutation']['scale']:g}</td>"
        f"<td>{number(claim)}</td><td>{number({**claim['mutation'], 'error_bar': None})}</td>"
        f"<td>{html.escape(claim['mutation']['measured'])}</td></tr>"
        for claim in claims
        if "mutation" in claim
    ]
    if not rows:
        return ""
    return (
        "<h2>What a wrong theory scores</h2><p>Each claim that needs no network, judged once more "
        "with every number of the theory multiplied: it must fail.</p>"
        "<table><tr><th>verdict</th><th>claim</th><th>theory</th><th>its number</th>"
        f"<th>the wrong theory's</th><th>measured</th></tr>{''.join(rows)}</table>"
    )


def _page(results: Record, pictures: dict[str, bytes], captions: dict[str, str]) -> str:
    words = {True: ("pass", "holds"), False: ("fail", "fails"), None: ("info", "reported")}
    rows = []
    for claim in results["claims"]:
        kind, verdict = words[claim["holds"]]
        cells = [
            f"<b>{html.escape(claim['name'])}</b><br>{html.escape(claim['statement'])}"
            f"<br><code>{html.escape(claim['latex'])}</code>",
            html.escape(f"{claim['assumptions']}. {claim['normalisation']}. ")
            + f"<i>Horizon:</i> {html.escape(claim['horizon'])}",
            html.escape(f"{claim['measured']} [{number(claim)}]"),
            html.escape(claim["fails"] + _there(claim)),
        ]
        rows.append(
            f'<tr class="{kind}"><td>{verdict}</td>'
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + "</tr>"
        )
    images = [
        f'<figure id="{name}"><img alt="{html.escape(captions[name])}" '
        f'src="data:image/svg+xml;base64,{base64.b64encode(svg).decode()}">'
        f"<figcaption>{html.escape(captions[name])}</figcaption></figure>"
        for name, svg in pictures.items()
    ]
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in results["notes"])
    used = ", ".join(f"{k} {v}" for k, v in results["versions"].items())
    preset = results["preset"]["name"]
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>rmtstab validation</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; max-width: 72rem }}
body {{ margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; font-size: 13px }} code {{ font-size: 11px }}
td, th {{ border: 1px solid #ccc; padding: .4rem; vertical-align: top; text-align: left }}
.pass td:first-child {{ background: #d6ece0 }} .fail td:first-child {{ background: #f6c7b6 }}
.info td:first-child {{ background: #eee }}
figure {{ margin: 2rem 0 }} img {{ max-width: 100% }} figcaption {{ font-size: 13px; color: #333 }}
</style>
<h1>When does unlearning escape, and when does the model resist?</h1>
<p>Preset {html.escape(preset)}, seed {results["seed"]}. {html.escape(used)}.</p>{notes}
{"".join(images[:1])}
<h2>Claims</h2>
<table><tr><th>verdict</th><th>claim</th><th>conditions</th><th>measured</th>
<th>nearest setting in which it fails</th></tr>{"".join(rows)}</table>
{_mutation_table(results["claims"])}
<h2>Figures</h2>
{"".join(images[1:])}
</html>
"""
