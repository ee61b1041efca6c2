"""Fuse patch Grams and mask Grams into the Gram matrix of a two-layer ReLU CNN."""

from __future__ import annotations

from typing import Any

from rmtstab.kernels._jit import jit


@jit()
def fuse_panel(patch_gram: Any, mask_gram: Any, scale: Any, first: int, out: Any) -> None:
    """Write one panel of ``K``, both triangles of it.

    ``out[i, k] = scale_i scale_k Σ_pq mask_gram[ip, kq] patch_gram[ip, kq]``
    for the samples ``i`` of the panel (rows, from ``first`` on) and every
    ``k ≥ i``; mirrored below the diagonal.

    Parameters
    ----------
    patch_gram : ndarray, shape (b * P, (n - first) * P)
        Inner products of patches; rows are the panel's.
    mask_gram : ndarray, shape (b * P, (n - first) * P)
        Numbers of filters active on both patches.
    scale : ndarray, shape (n,)
        Factor of each sample.
    first : int
        Index of the panel's first sample.
    out : ndarray, shape (n, n)
        Overwritten.
    """
    n = scale.shape[0]
    n_patches = patch_gram.shape[1] // (n - first)
    for row in range(patch_gram.shape[0] // n_patches):
        for column in range(row, n - first):
            total = 0.0
            for p in range(n_patches):
                for q in range(n_patches):
                    total += (
                        patch_gram[row * n_patches + p, column * n_patches + q]
                        * mask_gram[row * n_patches + p, column * n_patches + q]
                    )
            value = scale[first + row] * scale[first + column] * total
            out[first + row, first + column] = value
            out[first + column, first + row] = value
