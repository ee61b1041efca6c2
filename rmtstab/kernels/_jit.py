"""The one decorator of every compiled kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def jit(**options: Any) -> Callable[[F], F]:
    """Compile in nopython mode, lazily, cached on disk, without the GIL.

    Lazily, because an eager signature costs its compilation or cache load at
    import. Fast-math stays off: it would break NaN propagation and the
    summation order on which reproducibility rests. ``options`` (``parallel``,
    ``inline``…) go to `numba.njit`.
    """
    compiled: Callable[[F], F] = numba.njit(cache=True, nogil=True, **options)
    return compiled
