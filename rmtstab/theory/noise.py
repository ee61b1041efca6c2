"""The sets with weight and the noise of their batches, as the bounds read them."""

from __future__ import annotations

import math
from typing import Any

from rmtstab import _checks
from rmtstab.sampling import Scheme


def mixing(alpha: Any, sizes: tuple[int, int]) -> float:
    """Return a mixing in [0, 1]; a set with weight must hold a sample.

    Parameters
    ----------
    alpha : float
    sizes : (int, int)
        n_retain, n_forget.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If it is not a number in [0, 1], or gives weight to an empty set.
    """
    value = _checks.real("alpha", alpha, low=0.0, high=1.0)
    for label, n, a in (("n_retain", sizes[0], 1.0 - value), ("n_forget", sizes[1], value)):
        if a > 0.0 and n < 1:
            raise ValueError(f"alpha={value:g} gives weight to an empty set, got {label}={n}")
    return value


def least_batch(room: float, slope: float, sizes: list[int], sampling: str) -> float:
    """Smallest common batch size B with ``slope/B ≤ room``.

    Parameters
    ----------
    room, slope : float
        slope ≥ 0.
    sizes : list of int
        Of the sets with weight.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    float
        1 (0 for Bernoulli) where every B will do, NaN where none up to the smaller set does.
    """
    least = Scheme.named(sampling).least_batch
    if slope <= 0.0:
        return least if room >= 0.0 else float("nan")
    if room <= 0.0 or slope > room * min(sizes) * (1.0 + 1e-12):
        return float("nan")
    return max(slope / room, least)


def admissible_batch(batch: float, sizes: tuple[int, int], alpha: float) -> float:
    """Return the batch size, or NaN where it exceeds a weighted set.

    Parameters
    ----------
    batch : float
    sizes : (int, int)
        n_retain, n_forget.
    alpha : float

    Returns
    -------
    float
    """
    largest = min(n for n, a in zip(sizes, (1.0 - alpha, alpha), strict=True) if a > 0.0)
    return batch if batch <= largest * (1.0 + 1e-12) else math.nan


def weighted_sets(
    alpha: float, sizes: tuple[int, int], batch_sizes: tuple[float, float], sampling: str
) -> list[tuple[int, float, float, float, int]]:
    """List ``(set, a, c, e, n)`` of the sets with positive weight.

    Parameters
    ----------
    alpha : float
    sizes : (int, int)
    batch_sizes : (float, float)
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    list of (int, float, float, float, int)
        The set (0 retain, 1 forget), its weight, noise coefficients and size.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range.
    """
    alpha, scheme = mixing(alpha, sizes), Scheme.named(sampling)
    parts: list[tuple[int, float, float, float, int]] = []
    batches = _checks.items("batch_size", batch_sizes, 2)
    pairs: Any = zip((1.0 - alpha, alpha), sizes, batches, strict=True)
    for index, (a, n, b) in enumerate(pairs):
        if a > 0.0:
            c, e = scheme.coefficients(n, scheme.check_batch("batch_size", b, n))
            parts.append((index, a, c, e, n))
    return parts


def both_sets(
    sizes: tuple[int, int], batch_sizes: tuple[float, float], sampling: str
) -> list[tuple[int, float, float, float, int]]:
    """List `weighted_sets` at equal weights, for what is asked over all mixings.

    Parameters
    ----------
    sizes : (int, int)
    batch_sizes : (float, float)
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    list of (int, float, float, float, int)

    Raises
    ------
    ValueError
        If a set is empty: then there is one mixing.
    """
    if 0 in sizes:
        raise ValueError(f"sizes must be of two sets for a critical alpha, got {sizes}")
    return weighted_sets(0.5, sizes, batch_sizes, sampling)
