"""Progress: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

INTERVAL = 30.0  # seconds between lines of a log


class Lines:
    """Counts work as a bar does, and writes whole lines: no carriage returns in a log."""

    def __init__(self, total: int, label: str) -> None:
        self.total, self.label, self.count = total, label, 0
        self._started = self._written = time.monotonic()

    def update(self, size: int = 1) -> None:
        """Report that so much more is done."""
        self.count += size
        now = time.monotonic()
        if now - self._written >= INTERVAL or self.count == self.total:
            self._written = now
            spent = now - self._started
            line = f"{self.label}: {self.count} of {self.total}, {spent:.0f} s"
            print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress(total: int, label: str) -> Iterator[Any]:
    """Open a bar on a terminal, or `Lines` elsewhere; both have ``update(size=1)``.

    Parameters
    ----------
    total : int
    label : str

    Yields
    ------
    tqdm.tqdm or Lines
    """
    if not sys.stderr.isatty():
        yield Lines(total, label)
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=label, dynamic_ncols=True) as bar:
        yield bar
