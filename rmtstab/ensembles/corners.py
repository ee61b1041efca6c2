"""Top eigenvalues of a model of independent rows, from corners that grow until they settle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rmtstab._results import FloatArray


def top_of_corners(
    rows: Callable[[int, int], FloatArray],
    top: Callable[[FloatArray], FloatArray],
    first: int,
    whole: int,
    same: float,
) -> FloatArray:
    """Draw rows until twice as many leave the top eigenvalues as they are.

    By interlacing they rise with the corner.

    Parameters
    ----------
    rows : callable
        ``rows(start, stop)`` draws so many rows, first axis.
    top : callable
        Top eigenvalues of the corner of rows.
    first, whole : int
        Rows of the first corner, and of the model.
    same : float
        Relative change of values that have settled.

    Returns
    -------
    ndarray, float64
    """
    drawn = rows(0, first)
    values = top(drawn)
    while len(drawn) < whole:
        before, more = values, min(whole, 2 * len(drawn))
        drawn = np.concatenate([drawn, rows(len(drawn), more)])
        values = top(drawn)
        if (np.abs(values - before) <= same * np.abs(values)).all():
            break
    return values
