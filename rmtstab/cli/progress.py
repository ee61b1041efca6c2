"""Progress: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol

INTERVAL = 30.0  # seconds between lines of a log


class Progress(Protocol):
    """Counts what is done, of what there is to do."""

    def stage(self, name: str, size: int) -> None:
        """Announce a stage of so many pieces of work."""

    def update(self, size: int = 1) -> None:
        """Report that so many more are done."""


class Bar:
    """A bar, redrawn in place."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def stage(self, name: str, size: int) -> None:
        """Name the stage, and lengthen the bar by its size."""
        self._bar.set_description(name)
        self._bar.total += size
        self._bar.refresh()

    def update(self, size: int = 1) -> None:
        """Move on."""
        self._bar.update(size)


class Lines:
    """Whole lines, with no carriage return, when a stage ends and now and then."""

    def __init__(self) -> None:
        self._name, self._done, self._total = "", 0, 0
        self._started = self._written = time.monotonic()

    def stage(self, name: str, size: int) -> None:
        """Name the stage, and add its size."""
        self._name, self._total = name, self._total + size

    def update(self, size: int = 1) -> None:
        """Count, and write a line if it is time."""
        self._done += size
        now = time.monotonic()
        if now - self._written >= INTERVAL or self._done == self._total:
            self._written = now
            spent = now - self._started
            line = f"{self._name}: {self._done} of {self._total}, {spent:.0f} s"
            print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Open a bar on a terminal, lines elsewhere.

    Yields
    ------
    Progress
    """
    if not sys.stderr.isatty():
        yield Lines()
        return
    from tqdm import tqdm

    with tqdm(total=0, unit="cell", dynamic_ncols=True) as bar:
        yield Bar(bar)
