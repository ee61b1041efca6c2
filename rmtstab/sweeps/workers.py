"""Where cells are computed: here, in processes, or on a Dask cluster."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from rmtstab import _checks

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SCHEMES = ("tcp://", "tls://", "ucx://", "ws://", "wss://", "inproc://")


@contextlib.contextmanager
def workers_at(where: Any, *, workers: int | None = None, timeout: float = 10.0) -> Iterator[Any]:
    """Open what computes cells, and close it if it was opened here.

    Parameters
    ----------
    where : None, "processes", "tcp://host:port", distributed.Client or Executor
    workers : int, optional
        Processes; default one a core.
    timeout : float, default 10
        Seconds to wait for a scheduler.

    Yields
    ------
    None, Executor or distributed.Client
        An ``executor`` for `rmtstab.sweeps.run`.

    Raises
    ------
    TypeError, ValueError
        If ``where`` is none of these, or ``workers`` does not go with it.
    ImportError
        If distributed is not installed.
    ConnectionError
        If the scheduler does not answer in time.
    """
    local = isinstance(where, str) and where == "processes"
    if workers is not None and not local:
        raise ValueError(f"workers must come with where='processes', got where={where!r}")
    if where is None or hasattr(where, "submit"):
        yield where
    elif local:
        count = _checks.integer("workers", workers or os.cpu_count() or 1, low=1)
        with worker_pool(count) as pool:
            yield pool
    elif isinstance(where, str) and where.startswith(SCHEMES):
        with _client(where, _checks.real("timeout", timeout, low=0.0, low_open=True)) as client:
            yield client
    else:
        raise ValueError(
            "where must be None, 'processes', a scheduler's address such as "
            f"'tcp://127.0.0.1:8786', or a client, got {where!r}"
        )


@contextlib.contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Open a pool of fresh processes with one BLAS thread each; they end with this one.

    Parameters
    ----------
    workers : int

    Yields
    ------
    ProcessPoolExecutor
    """
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, context, initializer=_end_with_parent) as pool:
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _end_with_parent() -> None:
    """Leave when the process that gathers the results has been killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _client(address: str, timeout: float) -> Iterator[Any]:
    try:
        import distributed
    except ImportError as error:
        raise ImportError(
            "a scheduler needs distributed; install it with `pip install rmtstab[sweeps]`"
        ) from error
    try:
        connect: Any = distributed.Client  # it carries no types
        client = connect(address, timeout=timeout, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise ConnectionError(
            f"scheduler must answer within {timeout:g} s, got nothing from {address}: start one "
            "with `dask scheduler`, or name its address"
        ) from error
    with client:
        yield client
