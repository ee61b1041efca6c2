"""Sums of products in float64: what a Gram matrix is accumulated in."""

from __future__ import annotations

import torch
from scipy.linalg.blas import dsyrk, ssyrk
from torch import Tensor

STRIP = 512  # rows mirrored at a time


class Accumulator:
    """``Σ_b A_b B_bᵀ`` in float64, each product in the precision of its factors.

    Without ``columns`` the sum is symmetric, ``Σ_b A_b A_bᵀ``; only its upper half is
    computed until `finish` mirrors it.

    Parameters
    ----------
    rows : int
    columns : int or None
        Of a rectangular sum.
    device : torch.device

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.accumulator import Accumulator
    >>> total = Accumulator(2, None, torch.device("cpu"))
    >>> total.add(torch.eye(2))
    >>> total.add(torch.ones(2, 3))
    >>> total.finish()
    tensor([[4., 3.],
            [3., 4.]], dtype=torch.float64)
    """

    def __init__(self, rows: int, columns: int | None, device: torch.device) -> None:
        self.is_symmetric = columns is None
        shape = rows, rows if columns is None else columns
        self.values = torch.zeros(shape, dtype=torch.float64, device=device)

    def add(self, left: Tensor, right: Tensor | None = None) -> None:
        """Add ``left @ right.T``, or ``left @ left.T`` to a symmetric sum."""
        if not left.shape[1]:
            return
        if right is not None:
            self.values += left @ right.mT
        elif left.device.type == "cpu":
            self._add_square(left.contiguous())
        else:
            self.values += left @ left.mT

    def add_block(self, rows: slice, columns: slice, block: Tensor) -> None:
        """Add a block; of a symmetric sum, blocks on and above the diagonal only."""
        self.values[rows, columns] += block

    def finish(self) -> Tensor:
        """Return the sum, a symmetric one mirrored to the bit."""
        if self.is_symmetric:
            for start in range(0, len(self.values), STRIP):
                rows = slice(start, start + STRIP)
                square = self.values[rows, rows]
                square.copy_(square.triu() + square.triu(1).mT)
                self.values[start + STRIP :, rows] = self.values[rows, start + STRIP :].mT
        return self.values

    def _add_square(self, left: Tensor) -> None:
        """Add the upper half of ``left @ left.T``: torch has no product that computes half."""
        syrk = dsyrk if left.dtype == torch.float64 else ssyrk
        product = torch.from_numpy(syrk(1.0, left.numpy().T, trans=True, lower=True).T)
        for start in range(0, len(product), STRIP):
            rows = slice(start, start + STRIP)
            self.values[rows, start:] += product[rows, start:]
