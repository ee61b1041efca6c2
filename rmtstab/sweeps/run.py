"""Run a grid on any executor; what is computed is on disk before it is reported."""

from __future__ import annotations

import json
import os
import pickle
import queue
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab.sweeps.files import FolderInUse, locked, read_sealed, write_atomically, write_sealed
from rmtstab.sweeps.grid import Cell
from rmtstab.sweeps.provenance import fingerprint as fingerprint_of
from rmtstab.sweeps.provenance import versions
from rmtstab.sweeps.values import decode, dumps, encode

__all__ = ["Failure", "FolderInUse", "load", "run", "write_atomically"]

Result = dict[str, Any]
PULSE = 15.0  # seconds without a result, after which to ask whether the scheduler is still there
IN_FLIGHT = 1024  # tasks an executor holds at once: its memory does not grow with the grid
LOST = (
    "executor must stay until the last cell, got none: its scheduler has ended or cannot be "
    "reached, or its tasks were cancelled; the same call goes on from what is stored"
)


@dataclass(frozen=True, repr=False)
class Failure(Record):
    """A cell that raised.

    Attributes
    ----------
    cell : Cell
    error : str
        Type and message, as in ``"ValueError: odd"``.
    traceback : str
        Where it was raised.
    """

    cell: Cell
    error: str
    traceback: str


def run(
    cells: Iterable[Cell],
    function: Callable[[Cell], Result],
    folder: str | os.PathLike[str],
    executor: Executor | Any = None,
    on_done: Callable[[Cell], None] | None = None,
    *,
    errors: Literal["raise", "record"] = "raise",
    chunk_size: int = 1,
    fingerprint: str | None = None,
) -> dict[Cell, Any]:
    """Compute every cell that is not on disk yet, and return all results.

    One sealed JSON file a cell, written whole or not at all, by this process, as soon as the
    cell is computed. Interrupted, the next call takes up where this one was; a file that is
    damaged, or that another version of the function or of its libraries wrote, is computed
    again, with a warning.

    Parameters
    ----------
    cells : iterable of Cell
    function : callable
        ``function(cell)`` → dict of numbers, text, lists, dicts and NumPy arrays; a module-level
        function, so that an executor of processes can send it.
    folder : path
        Where the files are; made if it is not there. Workers need not see it.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Anything with ``submit`` that returns futures; without one, cells run here, in order.
    on_done : callable, optional
        Called with each cell as its result is there.
    errors : {"raise", "record"}
        What to do with a cell that raises. Either way it is on disk, with its traceback, and
        computed again by the next call. ``"record"`` goes on, and puts a `Failure` in the
        result's place; ``"raise"`` cancels what has not started and raises the first.
    chunk_size : int, default 1
        Cells a task of the executor: many where a cell takes less than its overhead.
    fingerprint : str, optional
        What tells one version of the function from another; default
        `rmtstab.sweeps.fingerprint` of it.

    Returns
    -------
    dict of Cell to dict
        In the order of ``cells``, whatever order they finished in; equal cells once.

    Raises
    ------
    FolderInUse
        If another run computes in the folder.
    OSError
        If a file cannot be written, or the executor is lost (`ConnectionError`); what was
        written before stays.
    TypeError, ValueError
        If an argument is not as above.
    Exception
        With ``errors="raise"``, the first exception of a cell.

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
    try:
        cells = list(dict.fromkeys(cells))
    except TypeError:  # nothing to iterate over, or what has no hash
        raise TypeError(f"cells must be cells, got {type(cells).__name__}") from None
    for cell in cells:
        _checks.instance("cells", cell, Cell)
    if not callable(function):
        raise TypeError(f"function must be callable, got {function!r}")
    if on_done is not None:
        _checks.function("on_done", on_done)
    _checks.choice("errors", errors, ("raise", "record"))
    chunk_size = _checks.integer("chunk_size", chunk_size, low=1)
    folder = _checks.path("folder", folder)
    folder.mkdir(parents=True, exist_ok=True)
    mark = fingerprint_of(function) if fingerprint is None else str(fingerprint)

    results: dict[Cell, Any] = {}
    missing, unfit = [], {"damaged": 0, "stale": 0}
    for cell in cells:
        state, stored = _read(folder, cell, mark)
        if state == "result":
            results[cell] = stored
            if on_done:
                on_done(cell)
            continue
        missing.append(cell)
        if state in unfit:
            unfit[state] += 1
    if missing:
        _warn(unfit, folder)
        with locked(folder):
            _fill(results, missing, function, folder, mark, executor, on_done, errors, chunk_size)
    return {cell: results[cell] for cell in cells}


def load(cell: Cell, folder: str | os.PathLike[str]) -> Result | None:
    """Return a stored result, whatever version of its function wrote it.

    Parameters
    ----------
    cell : Cell
    folder : path

    Returns
    -------
    dict or None
        None where there is none, or a damaged one, or the cell raised.

    Examples
    --------
    >>> import tempfile
    >>> from rmtstab.sweeps import Cell, load, run
    >>> cell = Cell.of("square", 0, x=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = run([cell], lambda cell: {"y": cell["x"] ** 2}, folder)
    ...     load(cell, folder)
    {'y': 9}
    """
    state, stored = _read(
        _checks.path("folder", folder), _checks.instance("cell", cell, Cell), None
    )
    return stored if state == "result" else None


def _fill(
    results: dict[Cell, Any],
    missing: Sequence[Cell],
    function: Callable[[Cell], Result],
    folder: Path,
    mark: str,
    executor: Any,
    on_done: Callable[[Cell], None] | None,
    errors: str,
    chunk_size: int,
) -> None:
    """Compute cells, store each as it comes, and add it to the results."""
    for cell, text, error in _computed(missing, function, executor, chunk_size):
        if text is not None:
            kept = f'{{"fingerprint": {json.dumps(mark)}, {text[1:]}'
            write_sealed(_path(folder, cell), kept)
            results[cell] = decode(json.loads(text)["result"])
        else:
            assert error is not None
            failure = Failure(
                cell,
                f"{type(error).__name__}: {error}",
                "".join(traceback.format_exception(error)),
            )
            record = {"cell": cell.identity, "fingerprint": mark, "error": failure.error}
            write_sealed(_path(folder, cell), dumps({**record, "traceback": failure.traceback}))
            if errors == "raise":
                raise error
            results[cell] = failure
        if on_done:
            on_done(cell)


KNOWN: set[str] = set()  # fingerprints of functions that this process has in that form
KNOWING = threading.Lock()
Outcome = tuple[str | None, Exception | None]  # a stored text, or what was raised


def _computed(
    cells: Sequence[Cell], function: Callable[[Cell], Result], executor: Any, chunk_size: int
) -> Iterator[tuple[Cell, str | None, Exception | None]]:
    """Yield each cell with its outcome, as they come."""
    if executor is None:
        for cell in cells:
            yield cell, *_compute(function, cell)
        return
    client = None
    if hasattr(executor, "get_executor"):  # a Dask client
        client, executor = executor, executor.get_executor(pure=False)
    if not hasattr(executor, "submit"):
        raise TypeError(f"executor must have submit, got {type(executor).__name__}")
    chunks = iter([cells[k : k + chunk_size] for k in range(0, len(cells), chunk_size)])
    done: queue.SimpleQueue[Future[list[Outcome]]] = queue.SimpleQueue()
    running: dict[Future[list[Outcome]], Sequence[Cell]] = {}

    mark = _mark_to_check(function)

    def submit() -> None:
        chunk = next(chunks, None)
        if chunk is not None:
            future = executor.submit(compute_chunk, function, chunk, versions(), mark)
            running[future] = chunk
            future.add_done_callback(done.put)

    try:
        for _ in range(IN_FLIGHT):
            submit()
        while running:
            future = _next(done, client)
            chunk = running.pop(future)
            try:
                outcomes = future.result()
            except CancelledError:  # not by us
                raise ConnectionError(LOST) from None
            except (WorkersDiffer, BrokenExecutor):
                raise
            except Exception as failure:  # the worker died of it, or it could not be sent
                outcomes = [(None, failure)] * len(chunk)
            submit()
            for cell, outcome in zip(chunk, outcomes, strict=True):
                yield cell, *outcome
    finally:
        for future in list(running):
            future.cancel()


def _next(done: queue.SimpleQueue[Any], client: Any) -> Any:
    """Wait for a future; a Dask client that has lost its scheduler may never end one."""
    absences = 0
    while absences < 2:
        try:
            return done.get(timeout=PULSE)
        except queue.Empty:
            away = client is not None and client.status != "running"
            absences = absences + 1 if away else 0
    raise ConnectionError(LOST)


class WorkersDiffer(RuntimeError):
    """Workers run other code than the process that gathers their results."""


def _mark_to_check(function: Callable[[Cell], Result]) -> str | None:
    """Fingerprint that workers must find too; None where the code itself travels to them."""
    try:
        sent = pickle.dumps(function)
    except Exception:  # pickle raises anything; Dask then sends a function by its code
        return None
    if b"__main__" in sent:
        return None
    mark = fingerprint_of(function)
    with KNOWING:
        KNOWN.add(mark)  # threads of this process need not look
    return mark


def _check_function(function: Callable[[Cell], Result], mark: str) -> None:
    """Refuse a function whose module this worker has read in another form; asked once."""
    with KNOWING:  # before any cell of it runs, which may fill its caches
        if mark not in KNOWN:
            if fingerprint_of(function) != mark:
                raise WorkersDiffer(
                    "workers must have the function as this process has it, got another: it, or "
                    "what it names, was changed after they read its module; restart them"
                )
            KNOWN.add(mark)


def compute_chunk(
    function: Callable[[Cell], Result],
    cells: Sequence[Cell],
    expected: dict[str, str],
    mark: str | None = None,
) -> list[Outcome]:
    """Compute cells in a worker: what to store of each, or what it raised."""
    found = versions()
    if found != expected:
        names = [name for name in expected if found.get(name) != expected[name]]
        raise WorkersDiffer(
            "workers must run the same versions as this process, got "
            + "; ".join(f"{name} {found.get(name)} for {expected[name]}" for name in names)
        )
    if mark is not None:
        _check_function(function, mark)
    outcomes = []
    for cell in cells:
        text, error = _compute(function, cell)
        if error is not None:
            error = _portable(error)
        outcomes.append((text, error))
    return outcomes


def _compute(function: Callable[[Cell], Result], cell: Cell) -> Outcome:
    # As text, so that a fresh result and a stored one are the same to the bit.
    started = time.perf_counter()
    try:
        result = encode(function(cell))
        if not isinstance(result, dict):
            raise TypeError(f"function must return a dict, got {type(result).__name__}")
        seconds = time.perf_counter() - started
        return dumps({"cell": cell.identity, "seconds": seconds, "result": result}), None
    except Exception as error:
        return None, error


def _portable(error: Exception) -> Exception:
    """Return an exception that can be sent, with its traceback here as a note."""
    text = "".join(traceback.format_exception(error))
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:  # pickle raises anything
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(f"In the worker:\n{text}")
    return error


def _path(folder: Path, cell: Cell) -> Path:
    return folder / f"{cell.key}.json"


def _read(folder: Path, cell: Cell, mark: str | None) -> tuple[str, Any]:
    """Return what is stored of a cell: result, failure, damaged, stale or absent."""
    try:
        data = read_sealed(_path(folder, cell))
    except FileNotFoundError:
        return "absent", None
    if data is None:
        return "damaged", None
    stored = json.loads(data)
    if stored.get("cell") != cell.identity:
        return "damaged", None
    if "result" not in stored:
        return "failure", None
    if mark is not None and stored.get("fingerprint") != mark:
        return "stale", None
    try:
        return "result", decode(stored["result"])
    except (ValueError, TypeError, KeyError):
        return "damaged", None


def _warn(unfit: dict[str, int], folder: Path) -> None:
    if unfit["damaged"]:
        warnings.warn(
            f"{unfit['damaged']} cells in {folder} were damaged: computed again", stacklevel=3
        )
    if unfit["stale"]:
        warnings.warn(
            f"{unfit['stale']} cells in {folder} were computed by another version of the function "
            "or of its libraries: computed again",
            stacklevel=3,
        )
