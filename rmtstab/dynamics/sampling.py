"""Mini-batch schemes: inclusion variances, and which batch sizes each accepts."""

from __future__ import annotations

from typing import Any

from rmtstab import _checks

SAMPLINGS = ("without_replacement", "with_replacement", "bernoulli")


def coefficients(n: int, batch_size: float, sampling: str) -> tuple[float, float]:
    """Return ``(c, e)`` of ``c Σ H_i M H_i − e n H_s M H_s``, one set's noise.

    The inclusion counts divided by B have variance ``n c (1 − e/(n c)…)``; see
    docs/theory for the table of all three schemes.
    """
    if sampling == "bernoulli":
        return (1.0 - batch_size / n) / (n * batch_size), 0.0
    if sampling == "with_replacement":
        c = 1.0 / (n * batch_size)
    else:
        c = 0.0 if n == 1 else (n - batch_size) / (n * batch_size * (n - 1.0))
    return c, c


def batch_pair(batch_size: Any, sizes: tuple[int, int], sampling: str) -> tuple[float, float]:
    """Validate a batch size for both sets, or a pair; an empty forget set takes any."""
    _checks.choice("sampling", sampling, SAMPLINGS)
    pair = batch_size if isinstance(batch_size, tuple | list) else (batch_size, batch_size)
    if len(pair) != 2:
        raise ValueError(f"batch_size must be one number or a pair, got {batch_size!r}")
    found = []
    for value, n, label in zip(pair, sizes, ("n_retain", "n_forget"), strict=True):
        if n == 0:
            found.append(1.0)
        elif sampling == "bernoulli":
            size = _checks.real("batch_size", value, low=0, high=n, low_open=True, high_label=label)
            found.append(size)
        else:
            found.append(
                float(_checks.integer("batch_size", value, low=1, high=n, high_label=label))
            )
    return found[0], found[1]
