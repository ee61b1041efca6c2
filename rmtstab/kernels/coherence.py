"""One pass over a Gram matrix: norms of its sample blocks."""

from __future__ import annotations

from typing import Any

from rmtstab.kernels._jit import jit


@jit()
def block_norms(gram: Any, width: int, out: Any) -> None:
    """Write ``S_ik = ‖Z_iᵀZ_k‖_F`` of C × C blocks of a symmetric Gram matrix.

    Parameters
    ----------
    gram : ndarray, shape (n·C, n·C)
    width : int
        C; for 1, absolute values.
    out : ndarray, shape (n, n)
        Overwritten; may be ``gram`` itself for width 1.
    """
    n = out.shape[0]
    for i in range(n):
        for k in range(i, n):
            if width == 1:
                value = abs(gram[i, k])
            else:
                total = 0.0
                for a in range(width):
                    for b in range(width):
                        entry = gram[i * width + a, k * width + b]
                        total += entry * entry
                value = total**0.5
            out[i, k] = value
            out[k, i] = value
