"""Factors of a Gram matrix that networks gave: rows whose products it holds."""

from __future__ import annotations

import numpy as np

from rmtstab._results import FloatArray


def factor_rows(gram: FloatArray) -> FloatArray:
    """Rows whose inner products are a Gram matrix, without what is rounding.

    Products in float32 leave eigenvalues of either sign: the most negative one measures them.

    Parameters
    ----------
    gram : ndarray, shape (N, N), float64

    Returns
    -------
    ndarray, shape (N, rank), float64
    """
    values, vectors = np.linalg.eigh(gram)
    floor = max(len(gram) * np.finfo(np.float64).eps * values[-1], -4.0 * values[0])
    kept = values > floor
    rows: FloatArray = vectors[:, kept] * np.sqrt(values[kept])
    return rows
