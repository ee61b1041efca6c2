r"""Gram blocks of one weight, in the cheapest of three orders.

With slopes ``g`` (R functions, O channels, T positions) and columns ``x`` (I rows) of a product
layer, ``⟨J_ia, J_jb⟩ = Σ_{ts} ⟨g_ia^t, g_jb^s⟩ ⟨x_i^t, x_j^s⟩``. For a pair of samples:

- *jacobian*: form ``g xᵀ`` (R × O·I), one product of all samples: ``R² O I``;
- *kernel*: both inner Grams, then their entrywise product: ``T² I + R² T² O``;
- *pair*: ``x_iᵀx_j``, through it to ``g_i``, then with ``g_j``: ``T² I + R T² O + R² T O``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from rmtstab.bridge.accumulator import Accumulator

Factors = tuple[Tensor, Tensor]  # columns (n, I, T) and slopes (n, R, O, T)
TILE = 4_000_000  # numbers of the largest intermediate of a tile of sample pairs
OVERHEAD = 20.0  # multiply-adds that moving a number through memory costs


def order_costs(
    n_pairs: float, n_samples: float, functions: tuple[int, int], sizes: tuple[int, int, int]
) -> dict[str, float]:
    """Multiply-adds of each order.

    Parameters
    ----------
    n_pairs : float
        Sample pairs: n²/2 of a symmetric Gram, n·n' of a cross-Gram.
    n_samples : float
        n, or n + n'.
    functions : tuple of int
        R of either side.
    sizes : tuple of int
        Channels O, fan-in I, positions T.

    Returns
    -------
    dict of float

    Examples
    --------
    >>> from rmtstab.bridge.contraction import order_costs
    >>> costs = order_costs(32**2 / 2, 32, (10, 10), (512, 4608, 16))
    >>> min(costs, key=costs.get)
    'pair'
    """
    (r, q), (channels, fan_in, positions) = functions, sizes
    weights = channels * fan_in
    inner = positions**2 * fan_in
    return {
        "jacobian": n_samples * r * weights * positions + n_pairs * r * q * weights,
        "kernel": n_pairs * (inner + r * q * positions**2 * (channels + OVERHEAD)),
        "pair": n_pairs
        * (
            inner + r * positions * channels * (positions + OVERHEAD) + r * q * positions * channels
        ),
    }


def add_kernel(total: Accumulator, left: Factors, right: Factors | None) -> None:
    """Add a weight's Gram in the *kernel* order.

    Parameters
    ----------
    total : Accumulator
    left, right : (columns (n, I, T), slopes (n, R, O, T))
        ``right`` None for a symmetric Gram.
    """
    for rows, columns, (x, g), (y, h) in _tiles(left, right, _kernel_size):
        inner = x.mT.flatten(0, 1) @ y.mT.flatten(0, 1).mT  # (i t, j s)
        (n, r, _, t), (m, q, _, s) = g.shape, h.shape
        if t == s == 1:
            outer = (g.flatten(0, 1)[..., 0] @ h.flatten(0, 1)[..., 0].mT).view(n, r, m, q)
            block = outer * inner[:, None, :, None]
        else:
            outer = g.permute(0, 1, 3, 2).flatten(0, 2) @ h.permute(0, 1, 3, 2).flatten(0, 2).mT
            block = (outer.view(n, r, t, m, q, s) * inner.view(n, 1, t, m, 1, s)).sum((2, 5))
        total.add_block(rows, columns, block.reshape(n * r, m * q))


def add_pair(total: Accumulator, left: Factors, right: Factors | None) -> None:
    """Add a weight's Gram in the *pair* order; arguments as in `add_kernel`."""
    for rows, columns, (x, g), (y, h) in _tiles(left, right, _pair_size):
        (n, r, o, t), (m, q, _, s) = g.shape, h.shape
        inner = (x.mT.flatten(0, 1) @ y.mT.flatten(0, 1).mT).view(n, t, m * s)
        through = (g.flatten(1, 2) @ inner).view(n, r, o, m, s)
        by_right = through.permute(3, 0, 1, 2, 4).reshape(m, n * r, o * s)
        block = by_right @ h.reshape(m, q, o * s).mT
        total.add_block(rows, columns, block.transpose(0, 1).reshape(n * r, m * q))


def _kernel_size(g: Tensor, h: Tensor) -> int:
    return g.shape[1] * g.shape[3] * h.shape[1] * h.shape[3]


def _pair_size(g: Tensor, h: Tensor) -> int:
    return max(g[0].numel() * h.shape[3], h[0].numel() * g.shape[3] // max(h.shape[1], 1))


def _tiles(
    left: Factors, right: Factors | None, size: Callable[[Tensor, Tensor], int]
) -> Iterator[tuple[slice, slice, Factors, Factors]]:
    """Yield blocks of sample pairs whose largest intermediate stays small."""
    other = left if right is None else right
    (x, g), (y, h) = left, other
    step = max(1, int((TILE / max(size(g, h), 1)) ** 0.5))
    r, q = g.shape[1], h.shape[1]
    for i in range(0, len(g), step):
        a = slice(i, min(i + step, len(g)))
        for j in range(i if right is None else 0, len(h), step):
            b = slice(j, min(j + step, len(h)))
            yield (
                slice(a.start * r, a.stop * r),
                slice(b.start * q, b.stop * q),
                (x[a], g[a]),
                (y[b], h[b]),
            )
