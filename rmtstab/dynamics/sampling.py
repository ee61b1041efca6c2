"""Mini-batch schemes: the two coefficients with which each enters the second moment."""

from __future__ import annotations

from typing import Any

from rmtstab import _checks

SAMPLINGS = ("bernoulli", "without_replacement", "with_replacement")
Pair = tuple[float, float]


def noise_coefficients(n: int, batch: float, sampling: str) -> tuple[float, float]:
    r"""Coefficients ``(c, e)`` of the noise ``c Σ H_i M H_i − e n H M H`` of one set.

    ================= ====================== =====
    sampling          c                      e
    ================= ====================== =====
    bernoulli         (1 − B/n)/(nB)         0
    without           (n − B)/(nB(n − 1))    c
    with replacement  1/(nB)                 c
    ================= ====================== =====

    They are the covariances of the inclusion counts over ``B²``: ``Cov(x_i, x_j)/B²``
    is ``c δ_ij − e/n`` (proof in docs/theory/second_moment).

    Parameters
    ----------
    n : int
        Size of the set.
    batch : float
        Valid for the scheme; not checked here.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    (float, float)

    Examples
    --------
    >>> from rmtstab.dynamics.sampling import noise_coefficients
    >>> noise_coefficients(5, 5, "without_replacement")
    (0.0, 0.0)
    """
    if n == 0:
        return 0.0, 0.0
    if sampling == "bernoulli":
        return (1.0 - batch / n) / (n * batch), 0.0
    if sampling == "with_replacement":
        c = 1.0 / (n * batch)
    else:
        c = 0.0 if n == 1 else (n - batch) / (n * batch * (n - 1.0))
    return c, c


def check_batches(
    batch_size: Any, n_retain: int, n_forget: int, alpha: float | None, sampling: str
) -> Pair:
    """Return the batch sizes of both sets as floats, or raise.

    One number means both sets. The batch size of an empty set is not read; at
    ``alpha`` 0 or 1 neither is that of the set without weight when one number
    was given.
    """
    if isinstance(batch_size, tuple | list) or getattr(batch_size, "ndim", 0) == 1:
        if len(batch_size) != 2:
            raise ValueError(
                f"batch_size must be one number or a pair (retain, forget), got {batch_size!r}"
            )
        given: tuple[Any, Any] = (batch_size[0], batch_size[1])
        read = (True, n_forget > 0)
    else:
        given = (batch_size, batch_size)
        read = (alpha != 1.0, n_forget > 0 and alpha != 0.0)
    sizes = ((n_retain, "n_retain"), (n_forget, "n_forget"))
    result = []
    for value, (n, label), used in zip(given, sizes, read, strict=True):
        if not used:
            result.append(float(min(max(value, 1), n)) if n else 0.0)
        elif sampling == "bernoulli":
            result.append(
                _checks.real("batch_size", value, low=0, high=n, low_open=True, high_label=label)
            )
        else:
            whole = value.item() if getattr(value, "ndim", None) == 0 else value
            if isinstance(whole, float) and whole.is_integer():
                whole = int(whole)
            result.append(
                float(_checks.integer("batch_size", whole, low=1, high=n, high_label=label))
            )
    return result[0], result[1]
