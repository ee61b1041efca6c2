"""The report folder: results.json, figures, and a self-contained page, all made from the former."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import math
import platform
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from rmtstab.claims.judges import network_key
from rmtstab.claims.registry import Evidence
from rmtstab.sweeps.run import write_atomically

Record = dict[str, Any]
SYNTHETIC = "signal_plus_noise"
LEDGER = "tightness-ledger"


def versions() -> dict[str, str]:
    """Versions of Python and of what the numbers depend on."""
    found = {"python": platform.python_version()}
    for name in ("rmtstab", "numpy", "scipy", "numba", "torch", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def source_digest() -> str:
    """Digest of the package's own source: cells of other code are not taken up."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:20]


def write(folder: Path, results: Record) -> None:
    """Write results.json, the figures (SVG and PNG) and index.html, each whole or not at all.

    Parameters
    ----------
    folder : Path
    results : dict
        Evidence of `rmtstab.claims.validation.collect`, with ``claims``,
        ``versions`` and ``notes``.
    """
    text = json.dumps(results, indent=1, sort_keys=True)
    results = json.loads(text)  # drawn from what is written, so that it can be drawn again
    pictures: dict[str, bytes] = {}
    captions: dict[str, str] = {}
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    for name, (draw, caption) in _drawings(results).items():
        svg, png = _render(draw)
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


Drawings = dict[str, tuple[Callable[[], Any], str]]


def _drawings(results: Evidence) -> Drawings:
    """Name the figures that the evidence allows: how to draw, and the caption."""
    found = {**_network_drawings(results), **_theory_drawings(results)}
    return {name: found[name] for name in ("against_snr", *found) if name in found}


def _theory_drawings(results: Evidence) -> Drawings:
    """Name the figure of each theory claim that was judged."""
    claims = {claim["name"]: claim for claim in results["claims"]}
    found: Drawings = {}
    for name, record in results["theory"].items():
        if name not in claims:
            continue
        caption = f"{name}: {claims[name]['statement']} Fails: {claims[name]['fails']}."
        if "figure" in record:
            found[name] = (partial(_check, record["figure"]), caption)
        elif "rows" in record and name == LEDGER:
            found[name] = (partial(_sandwich, results), caption)
    return found


def _check(figure: Record) -> Any:
    import matplotlib.pyplot as plt

    from rmtstab import figures
    from rmtstab.figures._style import COLUMN

    drawn, ax = plt.subplots(figsize=(1.3 * COLUMN, 0.9 * COLUMN))
    figures.check_series(ax, figure)
    ax.legend()
    return drawn


def _sandwich(results: Evidence) -> Any:
    import matplotlib.pyplot as plt

    from rmtstab import figures
    from rmtstab.claims import ledger
    from rmtstab.figures._style import COLUMN

    drawn, axes = plt.subplots(1, 2, figsize=(2.6 * COLUMN, 1.5 * COLUMN))
    points = ledger.points(ledger.rows_of(results))
    for ax, ratio in zip(axes, (False, True), strict=True):
        figures.bound_sandwich(ax, points, ratio=ratio)
    handles, labels = axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=3)
    return drawn


def _network_drawings(results: Evidence) -> Drawings:
    if "networks" not in results:
        return {}
    horizon, radius = results["preset"]["horizon"], results["preset"]["radius"]
    maps = (
        f"Outcome of real unlearning within {horizon} steps (class: median replica; escape: "
        f"{radius:g} times the start displacement), η = ½ of plain SGD's threshold at the smallest "
        "batch. Lines: predicted finite-time frontiers; between them rare runs carry the mean "
        "square."
    )
    drawings: Drawings = {
        "against_snr": (
            lambda: _against_snr(results),
            "Resistance, escape time and coherence against SNR. Points: mean and standard error "
            "over networks (filled: exact from Φ; open: measured on real runs); curves: closed "
            "forms. The order of escape times depends on the step-size protocol; the order of "
            "resistance does not.",
        ),
        "maps": (
            lambda: _maps(results, "map", SYNTHETIC),
            maps + " Mixings chosen for each panel.",
        ),
        "maps_common": (
            lambda: _maps(results, "common_map", SYNTHETIC),
            maps + " One common scale of mixings.",
        ),
        "spectra": (
            lambda: _spectra(results),
            "Eigenvalues of the trained networks' Gram matrices, the Marchenko–Pastur bulk of wide "
            "networks with independent masks, the same at finite m, and one outlier per class.",
        ),
        "trajectories": (
            lambda: _trajectories(results),
            "Real runs, Φᵏ and the typical (Lyapunov) rate; top: the map's fastest mean-driven "
            "cell, below: its least mean-driven escaping cell. Right: retain and forget loss.",
        ),
    }
    if any(n["data"] == "digits" for n in results["networks"]):
        drawings["maps_digits"] = (
            lambda: _maps(results, "map", "digits"),
            maps + " Digits 0–4 against 5–9.",
        )
    needs = {"against_snr": "escapes", "spectra": "networks", "trajectories": "trajectories"}
    return {k: v for k, v in drawings.items() if needs.get(k, "outcomes") in results}


def _against_snr(results: Evidence) -> Any:
    import matplotlib.pyplot as plt

    from rmtstab import figures
    from rmtstab.figures._style import COLUMN

    networks = [n for n in results["networks"] if n["data"] == SYNTHETIC]
    curves = results["closed_form"]["curves"]
    figure, axes = plt.subplots(1, 3, figsize=(3 * COLUMN, 1.25 * COLUMN))
    figures.resistance_against_snr(axes[0], networks, results["escapes"], curves)
    figures.escape_against_snr(axes[1], networks, results["escapes"], curves)
    figures.coherence_against_snr(axes[2], networks, curves)
    for ax in axes:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=1)
    return figure


def _maps(results: Evidence, scale: str, data: str) -> Any:
    import matplotlib.pyplot as plt

    from rmtstab import figures
    from rmtstab.figures._style import COLUMN
    from rmtstab.figures.outcome_map import class_handles, classify

    networks = [n for n in results["networks"] if n["data"] == data and n["index"] == 0]
    size = results["preset"]["displacement"]
    figure, axes = plt.subplots(
        1, len(networks), figsize=(0.75 * COLUMN * len(networks), 1.05 * COLUMN), squeeze=False
    )
    classes: set[str] = set()
    for ax, network in zip(axes[0], networks, strict=True):
        cells = [
            c
            for c in results["outcomes"]
            if network_key(c) == network_key(network)
            and c["scale"] == scale
            and c["displacement"] == size
        ]
        figures.outcome_map(ax, network[scale], cells)
        classes |= {classify(c) for c in cells}
        subject = f"SNR {network['snr']:g}" if data == SYNTHETIC else f"forget {network['forget']}"
        ax.set_title(f"{subject}, η = {network[scale]['step_size']:.3g}")
    lines, _ = axes[0][0].get_legend_handles_labels()
    figure.legend(handles=[*class_handles(classes), *lines], loc="outside lower center", ncols=2)
    return figure


def _spectra(results: Evidence) -> Any:
    import matplotlib.pyplot as plt

    from rmtstab import figures
    from rmtstab.figures._style import COLUMN
    from rmtstab.laws import MarchenkoPastur
    from rmtstab.theory import cnn

    preset = results["preset"]
    networks = [n for n in results["networks"] if n["data"] == SYNTHETIC and n["index"] == 0]
    figure, axes = plt.subplots(
        1, len(networks), figsize=(0.75 * COLUMN * len(networks), 1.0 * COLUMN), squeeze=False
    )
    n, dim, filters = preset["n"], preset["dim"], preset["filters"]
    half = dim / (2.0 * filters)  # of the noise, shared between samples; the rest is their own
    law = MarchenkoPastur(aspect_ratio=n / dim)
    for ax, network in zip(axes[0], networks, strict=True):
        values = np.array(network["gram_eigenvalues"])
        counts = np.array(network["active_filters"], dtype=float)
        top = half * (1.0 + law.support()[1])
        scale = max(1.0, (counts.max() / filters) ** 2)
        grid = np.linspace(0.0, 1.25 * top * scale, 500)
        predicted = n * cnn.spectrum(n, dim, network["snr"], filters)[:2]
        theory = {
            "grid": grid,
            "limit": law.pdf((grid - half) / half) / half,
            "finite": cnn.bulk_density(grid, counts, dim, filters, smoothing=1e-2),
            "outliers": [float(v) for v in predicted if v > top * (1 + 1e-9)],
        }
        figures.gram_spectrum(ax, values, theory)
        ax.set_title(f"SNR {network['snr']:g}")
    lines, _ = axes[0][0].get_legend_handles_labels()
    figure.legend(handles=lines, loc="outside lower center", ncols=3)
    return figure


def _trajectories(results: Evidence) -> Any:
    import matplotlib.pyplot as plt

    from rmtstab import figures
    from rmtstab.figures._style import COLUMN

    positive = [t for t in results["trajectories"] if t["snr"] > 0]
    snr = min(t["snr"] for t in positive)
    chosen = {t["kind"]: t for t in positive if t["snr"] == snr}
    figure, axes = plt.subplots(2, 2, figsize=(2 * COLUMN, 2.0 * COLUMN))
    for row, kind in zip(axes, ("mean_driven", "noise_driven"), strict=True):
        path = chosen[kind]
        figures.trajectories(row[0], path)
        figures.losses(row[1], path)
        share = path["mean_share"]
        r, f = path["batch_size"]
        row[0].set_title(f"SNR {snr:g}, α = {path['alpha']:.2g}, batches {r}/{f}")
        if share is not None:
            row[1].set_title(f"the mean carries {share:.2f} of log ρ")
    for ax in axes[-1]:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=1)
    return figure


def _render(draw: Callable[[], Any]) -> tuple[bytes, bytes]:
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    from rmtstab.figures._style import style

    before = mpl.get_backend()
    plt.switch_backend("Agg")
    try:
        with style():
            figure = draw()
            images = []
            for kind in ("svg", "png"):
                buffer = io.BytesIO()
                metadata = {"Date": None} if kind == "svg" else {}
                figure.savefig(buffer, format=kind, metadata=metadata)
                images.append(buffer.getvalue())
            plt.close(figure)
    finally:
        plt.switch_backend(before)
    return images[0], images[1]


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
<h2>Figures</h2>
{"".join(images[1:])}
</html>
"""
