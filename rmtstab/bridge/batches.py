"""Mini-batches of many replicas at once: indices, drawn without a loop over replicas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtstab import _checks
from rmtstab.sampling import SAMPLINGS, WITHOUT_REPLACEMENT, Scheme

SHUFFLED = "shuffled"
SCHEMES = (*SAMPLINGS, SHUFFLED)
BLOCK = 2**16  # random keys that a replica draws at a time
PORTION = 64  # steps whose keys are drawn and put in order at a time
Indices = NDArray[np.int64]
Draw = tuple[Indices, NDArray[np.bool_] | None]


def batch_sizes(
    batch_size: Any, n_retain: int, n_forget: int, alpha: float | None, sampling: str
) -> tuple[float, float]:
    """Return both batch sizes, or raise; shuffled epochs take whole numbers, as subsets do."""
    _checks.choice("sampling", sampling, SCHEMES)
    return _scheme(sampling).check_batches(batch_size, n_retain, n_forget, alpha)


def _scheme(sampling: str) -> Scheme:
    """Scheme of one batch: a shuffled epoch's is a uniform subset."""
    return WITHOUT_REPLACEMENT if sampling == SHUFFLED else Scheme.named(sampling)


def epoch_length(n: int, batch: float) -> int:
    """Batches an epoch; the last partial one is dropped."""
    return max(1, int(n // batch)) if n else 0


def draw(
    n: int, batch: float, sampling: str, replicas: int, seed: np.random.SeedSequence
) -> Iterator[Draw]:
    r"""Yield the batch of every replica, step after step, without end.

    A replica's batches depend neither on the number of replicas nor on how many steps
    are taken. Under shuffled epochs a set is permuted, walked through, its last partial
    batch dropped, and permuted again.

    Parameters
    ----------
    n : int
        Size of the set.
    batch : float
        Batch size; real under Bernoulli sampling.
    sampling : {"bernoulli", "without_replacement", "with_replacement", "shuffled"}
    replicas : int
    seed : numpy.random.SeedSequence

    Yields
    ------
    indices : ndarray, shape (replicas, width), int64
    present : ndarray, shape (replicas, width), bool, or None
        Under Bernoulli sampling the entries that count (rows differ in length).

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.bridge.batches import draw
    >>> indices, present = next(draw(6, 2, "shuffled", 3, np.random.SeedSequence(0)))
    >>> indices.shape, present is None
    ((3, 2), True)
    """
    size, scheme = int(batch), _scheme(sampling)
    steps = max(1, BLOCK // n)
    while True:
        (block,) = seed.spawn(1)
        if not scheme.exhausts:  # with replacement
            rng = np.random.default_rng(block)
            chosen = rng.integers(n, size=(replicas, max(1, BLOCK // size), size))
            yield from ((chosen[:, step], None) for step in range(chosen.shape[1]))
            continue
        for first in range(0, steps, PORTION):  # most runs end before a block does
            part = _keys(block, replicas, steps, n, first)
            if not scheme.fixed_size:
                yield from _bernoulli(part < batch / n)
                continue
            if sampling == SHUFFLED:
                length = epoch_length(n, batch)
                order = part.argsort(axis=-1)[..., : length * size]
                chosen = order.reshape(replicas, -1, size)
            elif size == n:
                chosen = np.broadcast_to(np.arange(n), part.shape)
            else:
                chosen = part.argpartition(size - 1, axis=-1)[..., :size]
            yield from ((chosen[:, step], None) for step in range(chosen.shape[1]))


def _keys(
    block: np.random.SeedSequence, replicas: int, steps: int, n: int, first: int
) -> NDArray[np.float64]:
    """Rows ``first`` to ``first + PORTION`` of a block's keys (replicas, steps, n), no others."""
    count = min(PORTION, steps - first)
    source = np.random.PCG64(block)
    rng = np.random.Generator(source)
    keys = np.empty((replicas, count, n))
    source.advance(first * n)
    for own in keys:
        rng.random(out=own)
        source.advance((steps - count) * n)
    return keys


def _bernoulli(included: NDArray[np.bool_]) -> Iterator[Draw]:
    """Included samples first, in as many columns as the fullest replica needs."""
    order = np.argsort(~included, axis=-1, kind="stable")
    counts = included.sum(axis=-1)
    for step in range(included.shape[1]):
        width = max(1, int(counts[:, step].max()))
        yield order[:, step, :width], np.arange(width) < counts[:, step, None]
