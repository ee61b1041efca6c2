"""The report folder: results.json, figures, and a self-contained page, all made from the former."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rmtstab.figures import validation
from rmtstab.report.origin import read_origin, write_origin
from rmtstab.report.page import Picture, anchor, page
from rmtstab.report.words import number, table
from rmtstab.sweeps.files import write_atomically
from rmtstab.sweeps.values import decode, encode

__all__ = ["number", "read", "table", "write", "write_origin"]


def write(folder: Path, results: dict[str, Any]) -> None:
    """Write results.json, the figures (SVG and PNG) and index.html, each whole or not at all.

    Parameters
    ----------
    folder : Path
    results : dict
        Evidence of `rmtstab.experiment.run.collect`, with ``claims``, ``versions`` and ``notes``.

    Raises
    ------
    OSError
        If a file cannot be written; what was there before stays.
    """
    text = json.dumps(encode(results), indent=1, sort_keys=True, allow_nan=False) + "\n"
    results = decode(json.loads(text))  # drawn from what is written, so that it can be drawn again
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    pictures = {}
    for name, (draw, caption) in validation.drawings(results).items():
        svg, png = validation.render(draw)
        write_atomically(figures / f"{anchor(name)}.svg", svg)
        write_atomically(figures / f"{anchor(name)}.png", png)
        pictures[name] = Picture(svg, caption)
    write_atomically(folder / "results.json", text)
    origin = read_origin(folder, text)
    write_atomically(folder / "index.html", page(results, pictures, origin))


def read(folder: Path) -> dict[str, Any]:
    """Read the results of a report folder.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    dict

    Raises
    ------
    OSError, ValueError, TypeError
        If they are not there, or damaged.
    """
    results = decode(json.loads((folder / "results.json").read_text("utf-8")))
    if not isinstance(results, dict):
        raise TypeError(f"results.json must hold an object, got {type(results).__name__}")
    return results
