"""The one decorator of every compiled kernel."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])
CACHE = "_cache"  # where a Numba dispatcher keeps its cache; it has no public hook


def jit(**options: Any) -> Callable[[F], F]:
    """Compile in nopython mode, lazily, cached on disk, without the GIL.

    Lazily, because an eager signature costs its compilation or cache load at
    import. Fast-math stays off: it would break NaN propagation and the
    summation order on which reproducibility rests. ``options`` (``parallel``,
    ``inline``…) go to `numba.njit`. Where no folder can hold the cache, or its disk
    is full, kernels are compiled anew in each process, and one warning says so.
    """

    def decorate(function: F) -> F:
        try:
            compiled: Any = numba.njit(cache=True, nogil=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            _warn_once(error)
            plain: F = numba.njit(nogil=True, **options)(function)
            return plain
        cache = getattr(compiled, CACHE, None)  # absent when compilation is switched off
        if cache is not None:
            setattr(compiled, CACHE, _ForgivingCache(cache))
        result: F = compiled
        return result

    return decorate


class _ForgivingCache:
    """Numba's cache, whose disk errors cost time instead of the call."""

    def __init__(self, cache: Any) -> None:
        self._inner = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def load_overload(self, *arguments: Any) -> Any:
        try:
            return self._inner.load_overload(*arguments)
        except OSError as error:
            _warn_once(error)
            return None  # a miss

    def save_overload(self, *arguments: Any) -> None:
        try:
            self._inner.save_overload(*arguments)
        except OSError as error:
            _warn_once(error)


_warned = False


def _warn_once(error: Exception) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"compiled kernels cannot be cached and are compiled anew in each process: {error}; "
            "set NUMBA_CACHE_DIR to a folder that can be written",
            stacklevel=4,
        )
