"""One pass over a Gram matrix: norms of its blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab.kernels._jit import jit


@jit()
def block_norms(gram: Any, offsets: Any, out: Any) -> None:
    """``out[i, j] = ‖gram[block i, block j]‖_F``, both triangles.

    Parameters
    ----------
    gram : ndarray, shape (N, N)
        Symmetric; the upper triangle of blocks is read.
    offsets : ndarray, shape (n + 1,), int64
    out : ndarray, shape (n, n)
        Overwritten.
    """
    n = offsets.shape[0] - 1
    for i in range(n):
        for j in range(i, n):
            total = 0.0
            for p in range(offsets[i], offsets[i + 1]):
                for q in range(offsets[j], offsets[j + 1]):
                    total += gram[p, q] * gram[p, q]
            out[i, j] = np.sqrt(total)
            out[j, i] = out[i, j]
