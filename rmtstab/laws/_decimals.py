"""Decimal arithmetic of the laws: contexts that never overflow, and exact splitting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext


@contextmanager
def digits(count: int) -> Iterator[None]:
    """Compute with ``count`` digits and all exponents there are."""
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = count, MAX_EMAX, MIN_EMIN
        yield


def split(value: Decimal) -> tuple[float, float]:
    """Return a number as an unevaluated sum of two doubles."""
    high = float(value)
    return high, float(value - Decimal(high))
