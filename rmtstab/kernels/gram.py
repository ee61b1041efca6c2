"""Fuse patch Grams and mask Grams into the Gram matrix of a two-layer ReLU CNN."""

from __future__ import annotations

from typing import Any

from rmtstab.kernels._jit import jit


@jit()
def add_products(patch_gram: Any, mask_gram: Any, out: Any) -> None:
    """Add ``Σ_p mask_gram[p, i, k] patch_gram[p, i, k]`` to ``out[i, k]`` in one pass.

    Parameters
    ----------
    patch_gram : ndarray, shape (P, b, n)
        Inner products of patches.
    mask_gram : ndarray, shape (P, b, n)
        Numbers of filters active on both patches.
    out : ndarray, shape (b, n)
        Added to.
    """
    for i in range(out.shape[0]):
        for p in range(patch_gram.shape[0]):
            for k in range(out.shape[1]):
                out[i, k] += mask_gram[p, i, k] * patch_gram[p, i, k]
