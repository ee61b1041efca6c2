"""Run a grid on any executor; what is computed is on disk before the next cell starts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, as_completed
from pathlib import Path
from typing import Any

from rmtstab.sweeps.grid import Cell

Result = dict[str, Any]


def run(
    cells: Iterable[Cell],
    function: Callable[[Cell], Result],
    folder: str | os.PathLike[str],
    executor: Executor | None = None,
    on_done: Callable[[Cell], None] | None = None,
) -> dict[Cell, Result]:
    """Compute every cell that is not on disk yet, and return all results.

    One JSON file a cell, written whole or not at all (temporary file, then an
    atomic rename), by the process that computed it. Interrupted, the next call
    takes up where this one was; a file that cannot be read is computed again.

    Parameters
    ----------
    cells : iterable of Cell
    function : callable
        ``function(cell)`` → dict of JSON values; a module-level function, so
        that an executor of processes can send it.
    folder : path
        Where the files are; made if it is not there.
    executor : concurrent.futures.Executor or alike, optional
        Anything with ``submit``; without one, cells run here, in order.
    on_done : callable, optional
        Called with each cell as its result is there.

    Returns
    -------
    dict of Cell to dict
        In the order of ``cells``, whatever order they finished in; equal cells once.

    Raises
    ------
    Exception
        The first exception of a cell, after the cells not yet started are
        cancelled; what others computed stays on disk.

    Examples
    --------
    >>> import tempfile
    >>> from rmtstab.sweeps import product, run
    >>> cells = product("square", 0, {"x": [1, 2, 3]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     results = run(cells, lambda cell: {"y": cell["x"] ** 2}, folder)
    >>> [result["y"] for result in results.values()]
    [1, 4, 9]
    """
    cells = list(dict.fromkeys(cells))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[Cell, Result] = {}
    missing = []
    for cell in cells:
        stored = _load(folder, cell)
        if stored is None:
            missing.append(cell)
            continue
        results[cell] = stored
        if on_done:
            on_done(cell)
    if executor is None:
        for cell in missing:
            results[cell] = _compute(function, cell, folder)
            if on_done:
                on_done(cell)
    else:
        futures: dict[Future[Result], Cell] = {
            executor.submit(_compute, function, cell, folder): cell for cell in missing
        }
        try:
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                if on_done:
                    on_done(futures[future])
        except BaseException:
            for future in futures:
                future.cancel()
            raise
    return {cell: results[cell] for cell in cells}


def _compute(function: Callable[[Cell], Result], cell: Cell, folder: Path) -> Result:
    # Through JSON, so that a fresh result and a stored one are the same to the bit.
    started = time.perf_counter()
    result = function(cell)
    seconds = time.perf_counter() - started
    text = json.dumps({"cell": cell.identity, "seconds": seconds, "result": result})
    write_atomically(folder / f"{cell.key}.json", text)
    stored: Result = json.loads(text)["result"]
    return stored


def _load(folder: Path, cell: Cell) -> Result | None:
    try:
        stored = json.loads((folder / f"{cell.key}.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    if not isinstance(stored, dict) or stored.get("cell") != cell.identity:
        return None
    result: Result = stored["result"]
    return result


def write_atomically(path: Path, data: str | bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data.encode() if isinstance(data, str) else data)
    os.replace(temporary, path)
