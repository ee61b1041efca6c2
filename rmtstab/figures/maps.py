"""The maps of a validation run: which figures there are, their layout, captions from the data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from rmtstab.claims.claim import Evidence
from rmtstab.claims.networks.map_cells import Cells, Panel, panel, read
from rmtstab.figures._style import COLUMN
from rmtstab.figures.agreement import calibration, displacement_agreement
from rmtstab.figures.outcome_map import LABELS, map_handles, outcome_map

Record = dict[str, Any]
Drawings = dict[str, tuple[Callable[[], Any], str]]
SYNTHETIC = "signal_plus_noise"
BARS = {
    "share": "share of runs that escaped",
    "displacement": "log₁₀ of the median displacement over the start's",
}


def map_drawings(results: Evidence) -> Drawings:
    """Name the figures of a run's maps: two a plane and horizon, outcome and displacement.

    Parameters
    ----------
    results : dict
        As in results.json.

    Returns
    -------
    dict of str to (callable, str)
    """
    found: Drawings = {}
    cells = read(results, SYNTHETIC) if results.get("maps") else None
    if cells is not None and len(cells):
        found["maps_agreement"] = partial(_agreement, cells), _agreement_caption(cells)
    for data in (SYNTHETIC, "digits"):
        lines = [line for line in results.get("maps", ()) if line["data"] == data]
        for plane in results["preset"]["planes"] if lines else ():
            own = [line for line in lines if line["plane"] == plane["name"]]
            horizons = own[0]["horizons"] if own else ()
            for horizon in horizons:
                panels = _panels(results, plane, own, horizon)
                name = "maps_" + plane["name"].replace("-", "_")
                name += "" if data == SYNTHETIC else "_digits"
                name += f"_{horizon}" if len(horizons) > 1 else ""
                for shown in BARS:
                    draw = partial(_draw, panels, shown)
                    text = _caption(results, plane, panels, horizon, shown, data)
                    found[name if shown == "share" else f"{name}_{shown}"] = draw, text
    return found


def _agreement(cells: Cells) -> Any:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(COLUMN, 0.5 * COLUMN))
    displacement_agreement(axes[0], cells)
    calibration(axes[1], cells)
    return figure


def _agreement_caption(cells: Cells) -> str:
    networks = len(np.unique(cells.network))
    return (
        f"Every cell of the maps with α > 0 ({len(cells)} cells of {networks} networks on "
        f"signal-plus-noise data, {cells.runs} runs each) against its prediction. Left: mean log "
        "displacement at the horizon, of linearised runs and by the mean square; right: share of "
        "runs that escaped against the predicted probability, in bins, with standard errors over "
        "networks, beside a theory whose log growth is 1.1 times as large."
    )


def _panels(
    results: Evidence, plane: Record, lines: list[Record], horizon: int
) -> dict[str, Panel]:
    """Maps of a plane by their titles."""
    if plane["axes"][0] == "snr":
        return {"": panel(results, lines, horizon)}
    groups: dict[str, list[Record]] = {}
    for line in lines:
        title = f"forget {line['forget']}" if line["snr"] is None else f"SNR {line['snr']:g}"
        groups.setdefault(title, []).append(line)
    return {title: panel(results, own, horizon) for title, own in groups.items()}


def _draw(panels: dict[str, Panel], shown: str) -> Any:
    """One journal column wide, two panels a row, the legend below."""
    import matplotlib.pyplot as plt

    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    handles = map_handles(list(panels.values()), shown)
    height = (0.46 if columns == 2 else 0.75) * rows + 0.13 + 0.055 * -(-len(handles) // 2)
    figure, axes = plt.subplots(
        rows, columns, figsize=(COLUMN, height * COLUMN), squeeze=False, sharex="col"
    )
    for ax in axes.ravel()[len(panels) :]:
        ax.set_axis_off()
    for k, (ax, (title, found)) in enumerate(zip(axes.ravel(), panels.items(), strict=False)):
        mesh = outcome_map(ax, found, shown)
        ax.set_title(title)
        if found.axes[1] == "alpha":
            ax.locator_params(axis="y", nbins=4)  # short labels: the layout is found before ticks
        if k % columns == 0:
            ax.set_ylabel(LABELS[found.axes[1]])
        if k + columns >= len(panels):
            ax.set_xlabel(LABELS[found.axes[0]])
            ax.tick_params(labelbottom=True)
    figure.colorbar(
        mesh, ax=axes, label=BARS[shown], location="top", aspect=45, shrink=0.9, pad=0.02
    )
    figure.legend(handles=handles, loc="outside lower center", ncols=2, columnspacing=1.0)
    return figure


def _caption(
    results: Evidence, plane: Record, panels: dict[str, Panel], horizon: int, shown: str, data: str
) -> str:
    """Say what is drawn, in numbers of the run."""
    preset, found = results["preset"], list(panels.values())
    cells = sum(p.share.size for p in found)
    networks = ", ".join(sorted({str(p.networks) for p in found}))
    runs = ", ".join(sorted({str(p.runs) for p in found}))
    off, open_ = (sum(int(getattr(p, n).sum()) for p in found) for n in ("off", "undecided"))
    where = "digits 0–4 against 5–9" if data == "digits" else "signal-plus-noise data"
    fixed = {
        "snr": "" if plane["axes"][1] == "batch_size" else ", smallest batches",
    }.get(plane["axes"][0], "")
    if plane["axes"][1] == "batch_size":
        fixed = f", α = {plane['alpha']:g}"
    text = (
        f"Real unlearning within {horizon} steps on {where}, η = {plane['share']:g} of plain SGD's "
        f"own threshold at the smallest batch{fixed}: {cells} cells, {networks} networks a panel, "
        f"{runs} runs a cell. "
    )
    if shown == "share":
        counts = {
            kind: sum(int((p.kind == kind).sum()) for p in found)
            for kind in ("resisted", "forgot", "escaped and forgot", "escaped")
        }
        names = ("resisted", "forgot without escaping", "escaped and forgot",
                 "escaped without forgetting")  # fmt: skip
        text += (
            f"Colour: share of runs whose displacement grew {preset['radius']:g} times. By the "
            "majority of runs "
            + ", ".join(f"{n} cells {name}" for n, name in zip(counts.values(), names, strict=True))
            + f" (forgot: forget loss {preset['radius'] ** 2:g} times the start's). "
        )
    else:
        text += "Colour: median log displacement at the horizon; white: the escape level. "
    return text + (
        "Lines: predicted frontiers of the typical run and of the mean square, of the middle "
        f"network, shaded over the networks' range. Framed: {open_} cells within the prediction's "
        f"error or spread; {off} cells whose share the prediction gives a chance below 1e-4."
    )
