"""The report folder: results.json, figures, and a self-contained page, all made from the former."""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmtstab.figures import validation
from rmtstab.report.origin import read_origin, write_origin
from rmtstab.report.page import Picture, anchor, page
from rmtstab.report.words import number, table
from rmtstab.sweeps.files import write_atomically
from rmtstab.sweeps.values import decode, encode

__all__ = ["Report", "compose", "number", "read", "table", "write", "write_origin"]


@dataclass(frozen=True)
class Report:
    """A report that is whole, and not yet on disk.

    Attributes
    ----------
    results : dict
        As they come back from ``text``.
    text : str
        Of results.json.
    pictures : dict of str to Picture
    """

    results: dict[str, Any]
    text: str
    pictures: dict[str, Picture]

    def page(self, folder: Path) -> str:
        """Lay out index.html, with the origin that a folder tells.

        Parameters
        ----------
        folder : Path

        Returns
        -------
        str
        """
        return page(self.results, self.pictures, read_origin(folder, self.text))

    def write(self, folder: Path) -> None:
        """Write results.json, the figures (SVG and PNG) and index.html, each whole or not at all.

        Parameters
        ----------
        folder : Path

        Raises
        ------
        OSError
            If a file cannot be written; what was there before stays.
        """
        shown = self.page(folder)
        figures = folder / "figures"
        figures.mkdir(exist_ok=True)
        for name, picture in self.pictures.items():
            write_atomically(figures / f"{anchor(name)}.svg", picture.svg)
            write_atomically(figures / f"{anchor(name)}.png", picture.png)
        write_atomically(folder / "results.json", self.text)
        write_atomically(folder / "index.html", shown)


def compose(results: dict[str, Any]) -> Report:
    """Draw a report; nothing is written.

    Parameters
    ----------
    results : dict
        Evidence of `rmtstab.experiment.run.collect`, with ``claims``, ``versions`` and ``notes``.

    Returns
    -------
    Report

    Raises
    ------
    Exception
        Of many kinds, where the results are none of a run.
    """
    text = json.dumps(encode(results), indent=1, sort_keys=True, allow_nan=False) + "\n"
    results = decode(json.loads(text))  # drawn from what is written, so that it can be drawn again
    pictures = {
        name: Picture(*validation.render(draw), caption)
        for name, (draw, caption) in validation.drawings(results).items()
    }
    page(results, pictures, {})  # it can be laid out
    return Report(results, text, pictures)


def write(folder: Path, results: dict[str, Any]) -> None:
    """Draw a report and write it, each file whole or not at all.

    Parameters
    ----------
    folder : Path
    results : dict
        As for `compose`.

    Raises
    ------
    OSError
        If a file cannot be written; what was there before stays.
    """
    compose(results).write(folder)


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
    path = folder / "results.json"
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise FileExistsError(errno.EEXIST, "results.json must be a file, got something else", path)
    try:
        results = decode(json.loads(path.read_text("utf-8")))
    except RecursionError:
        raise ValueError("results.json must not be nested so deeply") from None
    if not isinstance(results, dict):
        raise TypeError(f"results.json must hold an object, got {type(results).__name__}")
    return results
