"""One pass over a Gram matrix: norms of its blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab.kernels._jit import jit


@jit()
def block_norms(gram: Any, row_offsets: Any, column_offsets: Any, out: Any) -> None:
    """``out[i, j] = ‖gram[block i, block j]‖_F`` of a tile of the Gram matrix.

    Parameters
    ----------
    gram : ndarray, shape (M, N)
        Read once, row by row.
    row_offsets : ndarray, shape (m + 1,), int64
    column_offsets : ndarray, shape (n + 1,), int64
    out : ndarray, shape (m, n)
        Overwritten.
    """
    m, n = out.shape
    for i in range(m):
        for j in range(n):
            out[i, j] = 0.0
        for p in range(row_offsets[i], row_offsets[i + 1]):
            for j in range(n):
                total = 0.0
                for q in range(column_offsets[j], column_offsets[j + 1]):
                    total += gram[p, q] * gram[p, q]
                out[i, j] += total
        for j in range(n):
            out[i, j] = np.sqrt(out[i, j])
