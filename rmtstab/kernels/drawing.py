"""One batch of a set, drawn inside a kernel."""

from __future__ import annotations

from typing import Any

from rmtstab.kernels._jit import jit


@jit()
def draw_batch(
    rng: Any, scheme: int, order: Any, position: int, batch: float, chosen: Any
) -> tuple[int, int]:
    """Fill ``chosen`` with one batch; returns how many, and the place in the epoch.

    Parameters
    ----------
    rng : numpy.random.Generator
    scheme : int
        0 Bernoulli, 1 without replacement, 2 with replacement, 3 epoch shuffling.
    order : ndarray, shape (n,), int64
        A permutation of the set, kept from batch to batch; shuffled as far as it is needed.
    position : int
        Place in the epoch; n at first.
    batch : float
    chosen : ndarray, shape (n,) at least, int64
        Overwritten.
    """
    n = order.shape[0]
    if scheme == 0:
        count = 0
        for i in range(n):
            if rng.random() < batch / n:
                chosen[count] = i
                count += 1
        return count, position
    size = int(batch)
    for b in range(size):
        if scheme == 2:
            chosen[b] = min(int(rng.random() * n), n - 1)
        elif scheme == 1 and size == n:
            chosen[b] = b
        else:
            start = b if scheme == 1 else position
            if start == n:  # a new epoch
                start = 0
            swap = start + min(int(rng.random() * (n - start)), n - start - 1)
            chosen[b] = order[swap]
            order[swap] = order[start]
            order[start] = chosen[b]
            position = start + 1
    return size, position
