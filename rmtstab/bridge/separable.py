r"""Gram blocks of weights whose slopes are ``g[r, o, t] = a[r, o] b[o, t]`` in every sample.

So it is where functions of the outputs read a channel only through one sum over its positions:
the last convolution before global pooling and a linear head. All R rows of a sample are then
multiples of one, channel by channel, and

``⟨J_ir, J_jq⟩ = Σ_o a_i[r, o] a_j[q, o] ⟨b_i[o] x_iᵀ, b_j[o] x_jᵀ⟩``

takes ``O I + R² O`` multiply-adds a pair of samples instead of ``R² O I``, and ``O I T`` a sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rmtstab.bridge.accumulator import Accumulator
from rmtstab.bridge.contraction import TILE
from rmtstab.bridge.recording import Call

Separated = tuple[Tensor, Tensor]  # a (n, R, O) and b (n, O, T)
SEPARABLE = "separable"  # the order's name
CHUNK = 8  # samples looked at together
ROUNDING = 16.0  # units of rounding within which slopes separate


def separate(slopes: Tensor) -> Separated | None:
    """Split slopes into ``a[r, o] b[o, t]``, or return None where they do not within rounding.

    Parameters
    ----------
    slopes : Tensor, shape (n, R, O, T)

    Returns
    -------
    (Tensor, shape (n, R, O), Tensor, shape (n, O, T)), or None

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.separable import separate
    >>> a, b = torch.ones(1, 2, 3, 1), torch.arange(12.0).view(1, 1, 3, 4)
    >>> [part.shape for part in separate(a * b)], separate(torch.randn(1, 2, 3, 4))
    ([torch.Size([1, 2, 3]), torch.Size([1, 3, 4])], None)
    """
    parts: list[Separated] = []
    wrong: list[Tensor] = []
    tolerance = ROUNDING * torch.finfo(slopes.dtype).eps
    for g in torch.split(slopes, CHUNK):
        sizes = g.abs().amax(3)  # of each row, (n, R, O)
        largest = sizes.argmax(1)[:, None, :, None].expand(-1, 1, -1, g.shape[3])
        b = g.gather(1, largest)[:, 0]
        squares = b.square().sum(2)
        a = torch.einsum("nrot,not->nro", g, b) / torch.where(squares > 0, squares, 1.0)[:, None]
        rest = torch.addcmul(g, a[..., None], b[:, None], value=-1.0).abs_().amax(3)
        wrong.append((rest > tolerance * sizes).any())
        if not parts and bool(wrong[0]):  # most weights leave here
            return None
        parts.append((a, b))
    if bool(torch.stack(wrong).any()):
        return None
    return torch.cat([a for a, _ in parts]), torch.cat([b for _, b in parts])


def add_separable(
    total: Accumulator,
    call: Call,
    sides: Sequence[tuple[Tensor, Separated]],
    scale: Tensor | None,
    step: int,
) -> None:
    """Add a weight's Gram.

    Parameters
    ----------
    total : Accumulator
    call : Call
        The only use of the weight.
    sides : sequence of (inputs, separated slopes)
        One for a symmetric Gram, two for a cross-Gram.
    scale : Tensor, shape (O, I), or None
        ``P^{1/2}`` of the weight.
    step : int
        Channels at a time.
    """
    channels = sides[0][1][0].shape[2]
    for start in range(0, channels, step):
        at = slice(start, start + step)
        rows = [_rows(call, inputs, b[:, at], scale, at) for inputs, (_, b) in sides]
        factors = [a[:, :, at] for _, (a, _) in sides]
        _add_channels(total, rows, factors)


def _rows(call: Call, inputs: Tensor, b: Tensor, scale: Tensor | None, at: slice) -> Tensor:
    """``b[o] xᵀ`` of some channels, (o, n, I)."""
    parts = []
    for x, slopes in zip(torch.split(inputs, CHUNK), torch.split(b, CHUNK), strict=True):
        parts.append(slopes @ call.columns(x)[:, 0].mT)
    rows = torch.cat(parts).transpose(0, 1)
    return rows.contiguous() if scale is None else rows * scale[at, None]


def _add_channels(total: Accumulator, rows: Sequence[Tensor], factors: Sequence[Tensor]) -> None:
    """Add the channels' ``Σ_o a_i[r, o] a_j[q, o] ⟨row_io, row_jo⟩``, some samples at a time."""
    (y, z), (a, c) = (rows[0], rows[-1]), (factors[0], factors[-1])
    (n, r, o), (m, q, _) = a.shape, c.shape
    step = max(1, TILE // max(o * m * max(r, q), 1))
    for first in range(0, n, step):
        here = slice(first, min(first + step, n))
        start = first if total.is_symmetric else 0
        inner = y[:, here] @ z[:, start:].mT  # (o, i, j)
        left = a[here, None] * inner.permute(1, 2, 0)[:, :, None]  # (i, j, r, o)
        block = left @ c[start:].mT  # (i, j, r, q)
        total.add_block(
            slice(here.start * r, here.stop * r),
            slice(start * q, m * q),
            block.transpose(1, 2).reshape((here.stop - here.start) * r, (m - start) * q),
        )
