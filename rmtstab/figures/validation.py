"""The figures of a validation run, laid out from its evidence: nothing is computed here."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from rmtstab.claims import ledger
from rmtstab.claims.claim import Evidence
from rmtstab.claims.networks.records import network_key
from rmtstab.figures._style import COLUMN, style
from rmtstab.figures.against_snr import (
    coherence_against_snr,
    escape_against_snr,
    resistance_against_snr,
)
from rmtstab.figures.bound_tightness import bound_tightness
from rmtstab.figures.check_series import check_series
from rmtstab.figures.data_axis import data_axis_drawings
from rmtstab.figures.gram_spectrum import gram_spectrum
from rmtstab.figures.maps import map_drawings
from rmtstab.figures.natural_size import natural_size_drawings
from rmtstab.figures.trajectories import losses, trajectories

Record = dict[str, Any]
Drawings = dict[str, tuple[Callable[[], Any], str]]
SYNTHETIC = "signal_plus_noise"
LEDGER = "tightness-ledger"
SPECTRA = 4  # ratios drawn at most, the ends among them
BOXES = (
    " Boxes: middle half of the problems; whiskers: 5 to 95 %; bars: medians. Blue: lower bounds; "
    "red: upper."
)


def drawings(results: Evidence) -> Drawings:
    """Name the figures that a run's evidence allows.

    Parameters
    ----------
    results : dict
        As in results.json.

    Returns
    -------
    dict of str to (callable, str)
        How to draw it (`render` does), and its caption; the first is the report's headline.
    """
    found = {**_network_drawings(results), **_theory_drawings(results)}
    return {name: found[name] for name in ("against_snr", *found) if name in found}


def render(draw: Callable[[], Any]) -> tuple[bytes, bytes]:
    """Draw in the house style, without a display; return SVG and PNG."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

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
        elif name == LEDGER:
            found[name] = (partial(_tightness, results), caption + BOXES)
    return found


def _check(figure: Record) -> Any:
    import matplotlib.pyplot as plt

    height = 0.75 + 0.05 * len(figure["series"])  # the legend stands below, clear of the points
    drawn, ax = plt.subplots(figsize=(COLUMN, height * COLUMN))
    check_series(ax, figure)
    ax.set_ylabel(textwrap.fill(figure["y_label"], 30))  # what the column's height holds
    drawn.legend(loc="outside lower center", ncols=1 if _is_wordy(figure) else 2)
    return drawn


def _is_wordy(figure: Record) -> bool:
    return max(len(series["label"]) + 20 * ("slope" in series) for series in figure["series"]) > 24


def _tightness(results: Evidence) -> Any:
    import matplotlib.pyplot as plt

    points = ledger.points(ledger.rows_of(results))
    bounds = {(point["kind"], point["bound"]) for point in points}
    drawn, ax = plt.subplots(figsize=(COLUMN, (0.3 + 0.07 * len(bounds)) * COLUMN))
    bound_tightness(ax, points)
    return drawn


def _network_drawings(results: Evidence) -> Drawings:
    found: Drawings = {}
    if "escapes" in results:
        found["against_snr"] = (
            lambda: _against_snr(results),
            f"Resistance, escape time and coherence of {_counted(results)}. Points: mean; error "
            "bars: one standard error over networks (filled: exact from Φ; open: measured on real "
            "runs); curves: closed forms.",
        )
    return (
        found
        | data_axis_drawings(results)
        | natural_size_drawings(results)
        | _map_drawings(results)
    )


def _map_drawings(results: Evidence) -> Drawings:
    if "networks" not in results:
        return {}
    drawings: Drawings = {
        "spectra": (
            lambda: _spectra(results),
            "Eigenvalues of the trained networks' Gram matrices, the Marchenko–Pastur bulk of wide "
            "networks with independent masks, the same at finite m, and one outlier per class.",
        ),
        "trajectories": (
            lambda: _trajectories(results),
            "Real runs, Φᵏ and the typical (Lyapunov) rate; retain and forget loss. Upper pair: "
            "the map's fastest mean-driven cell, lower: its least mean-driven escaping cell.",
        ),
    }
    needs = {"spectra": "spectra", "trajectories": "trajectories"}
    found = {k: v for k, v in drawings.items() if needs[k] in results}
    return found | map_drawings(results)


def _counted(results: Evidence) -> str:
    networks = results["escapes"]
    ratios = sorted({n["snr"] for n in networks})
    return f"{len(networks)} networks at SNR {', '.join(f'{snr:g}' for snr in ratios)}"


def _against_snr(results: Evidence) -> Any:
    import matplotlib.pyplot as plt

    networks = results["escapes"]
    curves = results["closed_form"]["curves"]
    figure, axes = plt.subplots(3, 1, figsize=(COLUMN, 3.6 * COLUMN))
    seen = [
        {"snr": n["snr"], "protocol": name, **found["observed"]}
        for n in networks
        for name, found in n["protocols"].items()
    ]
    resistance_against_snr(axes[0], networks, seen, curves)
    escape_against_snr(axes[1], networks, seen, curves)
    coherence_against_snr(axes[2], networks, curves)
    return figure


def _legend_below(figure: Any, axes: Any) -> None:
    """One legend for all panels, each label once."""
    found: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    figure.legend(
        found.values(), found.keys(), loc="outside lower center", ncols=2, columnspacing=1.0
    )


def _spectra(results: Evidence) -> Any:
    """Draw each ratio's first network's eigenvalues under the closed forms of the evidence."""
    import matplotlib.pyplot as plt

    values = {network_key(n): n["gram_eigenvalues"] for n in results["networks"]}
    laws = results["spectra"]
    shown = [laws[round(k)] for k in np.linspace(0, len(laws) - 1, min(SPECTRA, len(laws)))]
    size = (COLUMN, (0.25 + 0.45 * len(shown)) * COLUMN)
    figure, axes = plt.subplots(len(shown), 1, figsize=size, squeeze=False)
    for ax, law in zip(axes.flat, shown, strict=True):
        gram_spectrum(ax, values[network_key(law)], law)
        ax.set_title(f"SNR {law['snr']:g}")
    for ax in axes.flat[:-1]:
        ax.set_xlabel("")  # the panels' ranges differ: ticks stay
    _legend_below(figure, axes.flat)
    return figure


def _trajectories(results: Evidence) -> Any:
    import matplotlib.pyplot as plt

    positive = [t for t in results["trajectories"] if t["snr"] > 0]
    snr = min(t["snr"] for t in positive)
    chosen = {t["kind"]: t for t in positive if t["snr"] == snr}
    figure, axes = plt.subplots(4, 1, figsize=(COLUMN, 2.9 * COLUMN), sharex=True)
    for row, kind in zip((axes[:2], axes[2:]), ("mean_driven", "noise_driven"), strict=True):
        path = chosen[kind]
        trajectories(row[0], path)
        losses(row[1], path)
        share = path["mean_share"]
        r, f = path["batch_size"]
        carried = "" if share is None else f"\nthe mean carries {share:.2f} of log ρ"
        row[0].set_title(f"SNR {snr:g}, α = {path['alpha']:.2g}, batches {r}/{f}{carried}")
    for ax in axes:
        ax.label_outer()
    _legend_below(figure, axes)
    return figure
