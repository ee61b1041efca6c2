"""Noise of a mini-batch scheme: the two coefficients with which it enters the second moment."""

from __future__ import annotations

from typing import Any

from rmtstab import _checks

SAMPLINGS = ("bernoulli", "without_replacement", "with_replacement")


def coefficients(n: int, batch_size: float, sampling: str) -> tuple[float, float]:
    r"""Coefficients ``(c, e)`` of ``c Σ H_i M H_i − e n H M H``, the noise of one set.

    ================= ====================== =====
    sampling          c                      e
    ================= ====================== =====
    bernoulli         (1 − B/n)/(nB)         0
    without           (n − B)/(nB(n − 1))    c
    with replacement  1/(nB)                 c
    ================= ====================== =====

    Parameters
    ----------
    n : int
        Size of the set, at least 1.
    batch_size : float
        In [1, n]; in (0, n] and real for Bernoulli sampling.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    (float, float)

    Raises
    ------
    ValueError
        If the batch size is outside its range or the sampling unknown.

    References
    ----------
    Variances of the inclusion counts; derived in docs/theory.

    Examples
    --------
    >>> from rmtstab.theory.noise import coefficients
    >>> coefficients(4, 4, "without_replacement")
    (0.0, 0.0)
    >>> coefficients(4, 2, "bernoulli")
    (0.0625, 0.0)
    """
    n = _checks.integer("n", n, low=1)
    _checks.choice("sampling", sampling, SAMPLINGS)
    if sampling == "bernoulli":
        b = _checks.real("batch_size", batch_size, low=0, high=n, low_open=True, high_label="n")
        return (1.0 - b / n) / (n * b), 0.0
    b = _checks.integer("batch_size", batch_size, low=1, high=n, high_label="n")
    if sampling == "with_replacement":
        c = 1.0 / (n * b)
    else:
        c = 0.0 if n == 1 else (n - b) / (n * b * (n - 1.0))
    return c, c


def inverse_batch(n: int, sampling: str) -> tuple[float, float]:
    """``(κ, o)`` with ``c = κ(1/B − o)``: the noise of a set is affine in its inverse batch size.

    Examples
    --------
    >>> from rmtstab.theory.noise import inverse_batch
    >>> inverse_batch(4, "bernoulli"), inverse_batch(4, "with_replacement")
    ((0.25, 0.25), (0.25, 0.0))
    """
    n = _checks.integer("n", n, low=1)
    _checks.choice("sampling", sampling, SAMPLINGS)
    if sampling == "with_replacement":
        return 1.0 / n, 0.0
    if sampling == "bernoulli":
        return 1.0 / n, 1.0 / n
    return (0.0 if n == 1 else 1.0 / (n - 1.0)), 1.0 / n


def mixing(alpha: Any, sizes: tuple[int, int]) -> float:
    """Return a mixing in [0, 1]; a set with weight must hold a sample."""
    value = _checks.real("alpha", alpha, low=0.0, high=1.0)
    for label, n, a in (("n_retain", sizes[0], 1.0 - value), ("n_forget", sizes[1], value)):
        if a > 0.0 and n < 1:
            raise ValueError(f"alpha={value:g} gives weight to an empty set, got {label}={n}")
    return value


def least_batch(room: float, slope: float, sizes: list[int], sampling: str) -> float:
    """Smallest common batch size B with ``slope/B ≤ room``, slope ≥ 0.

    ``sizes`` are those of the sets with weight. 1 (0 for Bernoulli) where every B
    will do, NaN where none up to the smaller set does.
    """
    least = 0.0 if sampling == "bernoulli" else 1.0
    if slope <= 0.0:
        return least if room >= 0.0 else float("nan")
    if room <= 0.0 or slope > room * min(sizes) * (1.0 + 1e-12):
        return float("nan")
    return max(slope / room, least)


def weighted_sets(
    alpha: float, sizes: tuple[int, int], batch_sizes: tuple[float, float], sampling: str
) -> list[tuple[int, float, float, float, int]]:
    """List ``(set, a, c, e, n)`` of the sets with positive weight: 0 retain, 1 forget."""
    alpha = mixing(alpha, sizes)
    parts: list[tuple[int, float, float, float, int]] = []
    pairs: Any = zip((1.0 - alpha, alpha), sizes, batch_sizes, strict=True)
    for index, (a, n, b) in enumerate(pairs):
        if a > 0.0:
            c, e = coefficients(n, b, sampling)
            parts.append((index, a, c, e, n))
    return parts
