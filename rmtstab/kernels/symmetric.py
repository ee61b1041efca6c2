"""Symmetric matrices as packed vectors, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab.kernels._jit import jit


@jit()
def pack(matrix: Any, out: Any) -> None:
    """Upper triangle by rows, off-diagonal entries times √2: inner products are kept.

    Parameters
    ----------
    matrix : ndarray, shape (r, r)
        Only the upper triangle is read.
    out : ndarray, shape (r (r + 1) / 2,)
        Overwritten.
    """
    r = matrix.shape[0]
    root = np.sqrt(2.0)
    at = 0
    for i in range(r):
        out[at] = matrix[i, i]
        for j in range(i + 1, r):
            out[at + j - i] = root * matrix[i, j]
        at += r - i


@jit()
def unpack(vector: Any, out: Any) -> None:
    """Undo `pack`, both triangles.

    Parameters
    ----------
    vector : ndarray, shape (r (r + 1) / 2,)
    out : ndarray, shape (r, r)
        Overwritten.
    """
    r = out.shape[0]
    half = 1.0 / np.sqrt(2.0)
    at = 0
    for i in range(r):
        out[i, i] = vector[at]
        for j in range(i + 1, r):
            out[i, j] = half * vector[at + j - i]
        at += r - i
    mirror(out)


@jit()
def mirror(matrix: Any) -> None:
    """Copy the upper triangle onto the lower one, in tiles that stay in cache.

    Parameters
    ----------
    matrix : ndarray, shape (r, r)
    """
    r = matrix.shape[0]
    tile = 64
    for top in range(0, r, tile):
        for left in range(top, r, tile):
            for i in range(top, min(top + tile, r)):
                for j in range(max(left, i + 1), min(left + tile, r)):
                    matrix[j, i] = matrix[i, j]
