"""What BLAS cannot fuse of the second-moment operator, for rank-one samples."""

from __future__ import annotations

from typing import Any

from rmtstab.kernels._jit import jit


@jit()
def diagonal_noise(rows: Any, moved: Any, weights: Any, subtract: Any, out: Any) -> None:
    """``out_i = weights_i ⟨rows_i, moved_i⟩ rows_i``, and scale ``moved_i`` by ``subtract_i``.

    With ``moved = rows M`` the rows of ``out`` are the weighted
    ``(h_iᵀ M h_i) h_iᵀ``, so that ``rowsᵀ out = Σ weights_i H_i M H_i``. One
    pass: each row is read while in the first-level cache.

    Parameters
    ----------
    rows, moved : ndarray, shape (n, r)
        ``moved`` is scaled in place when ``subtract`` is not empty.
    weights : ndarray, shape (n,)
    subtract : ndarray, shape (n,) or (0,)
    out : ndarray, shape (n, r)
        Overwritten.
    """
    n, r = rows.shape
    scale = subtract.shape[0] > 0
    body = r - r % 4
    for i in range(n):
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for k in range(0, body, 4):
            s0 += rows[i, k] * moved[i, k]
            s1 += rows[i, k + 1] * moved[i, k + 1]
            s2 += rows[i, k + 2] * moved[i, k + 2]
            s3 += rows[i, k + 3] * moved[i, k + 3]
        for k in range(body, r):
            s0 += rows[i, k] * moved[i, k]
        q = weights[i] * ((s0 + s1) + (s2 + s3))
        for k in range(r):
            out[i, k] = q * rows[i, k]
        if scale:
            for k in range(r):
                moved[i, k] *= subtract[i]


@jit()
def block_noise(rows: Any, moved: Any, offsets: Any, weights: Any, folded: bool, out: Any) -> None:
    """``out_i = weights_i B_i rows_i``, ``B_i = moved_i rows_iᵀ``, for ragged blocks of rows.

    Parameters
    ----------
    rows, moved : ndarray, shape (N, r)
    offsets : ndarray, shape (n + 1,), int64
        Rows of sample i are ``offsets[i]:offsets[i + 1]``.
    weights : ndarray, shape (n,)
    folded : bool
        Take ``B_i + B_iᵀ`` in place of ``B_i``.
    out : ndarray, shape (N, r)
        Overwritten.
    """
    r = rows.shape[1]
    for i in range(offsets.shape[0] - 1):
        for a in range(offsets[i], offsets[i + 1]):
            for k in range(r):
                out[a, k] = 0.0
            for b in range(offsets[i], offsets[i + 1]):
                total = 0.0
                for k in range(r):
                    total += moved[a, k] * rows[b, k]
                    if folded:
                        total += moved[b, k] * rows[a, k]
                q = weights[i] * total
                for k in range(r):
                    out[a, k] += q * rows[b, k]
