"""The place of a file, checked before anything is computed; and a figure, drawn there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


class OutFile(click.ParamType[Path]):
    """A file that can be written: a known ending, in a folder that is there.

    Parameters
    ----------
    *endings : str
    """

    name = "file"

    def __init__(self, *endings: str) -> None:
        self.endings = endings

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path, or fail in one line."""
        path = Path(value)
        if path.suffix.lower() not in self.endings:
            self.fail(f"must end in {', '.join(self.endings)}, got {str(path)!r}", param, ctx)
        if path.is_dir():
            self.fail(f"must be a file, got the folder {str(path)!r}", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"must lie in a folder that exists, got {str(path)!r}", param, ctx)
        if not os.access(path.parent, os.W_OK):
            self.fail(f"must lie in a folder that can be written, got {str(path)!r}", param, ctx)
        return path


FIGURE = OutFile(".pdf", ".png", ".svg")


def draw(path: Path, plot: Callable[[Any], Any], *, width: float = 1.4) -> None:
    """Draw a figure in the house's look, without a display.

    Parameters
    ----------
    path : Path
    plot : callable
        ``plot(ax)``.
    width : float
        In columns of a page.
    """
    from matplotlib.figure import Figure

    from rmtstab.figures import COLUMN, style

    with style():
        figure = Figure(figsize=(width * COLUMN, COLUMN))
        plot(figure.add_subplot())
        figure.savefig(path)
