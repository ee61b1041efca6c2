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


def weighted_sets(
    alpha: float, sizes: tuple[int, int], batch_sizes: tuple[float, float], sampling: str
) -> list[tuple[int, float, float, float, int]]:
    """List ``(set, a, c, e, n)`` of the sets with positive weight: 0 retain, 1 forget."""
    alpha = _checks.real("alpha", alpha, low=0.0, high=1.0)
    parts: list[tuple[int, float, float, float, int]] = []
    pairs: Any = zip((1.0 - alpha, alpha), sizes, batch_sizes, strict=True)
    for index, (a, n, b) in enumerate(pairs):
        if a > 0.0:
            c, e = coefficients(n, b, sampling)
            parts.append((index, a, c, e, n))
    return parts
