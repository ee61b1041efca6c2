"""One replica of linearised minibatch descent–ascent, batches drawn inside."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab.kernels._jit import jit
from rmtstab.kernels.drawing import draw_batch

BERNOULLI, WITHOUT, WITH, SHUFFLED = 0, 1, 2, 3


@jit()
def _apply_sample(rows: Any, first: int, last: int, w: Any, factor: float, out: Any) -> None:
    """``out += factor H_i w``, four partial sums a row."""
    r = w.shape[0]
    body = r - r % 4
    for a in range(first, last):
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for k in range(0, body, 4):
            s0 += rows[a, k] * w[k]
            s1 += rows[a, k + 1] * w[k + 1]
            s2 += rows[a, k + 2] * w[k + 2]
            s3 += rows[a, k + 3] * w[k + 3]
        for k in range(body, r):
            s0 += rows[a, k] * w[k]
        slope = factor * ((s0 + s1) + (s2 + s3))
        for k in range(r):
            out[k] += slope * rows[a, k]


@jit()
def _accumulate(
    rng: Any,
    scheme: int,
    order: Any,
    position: int,
    low: int,
    batch: float,
    rows: Any,
    offsets: Any,
    w: Any,
    factor: float,
    chosen: Any,
    out: Any,
) -> int:
    """Add ``factor Σ_{i in batch} x_i H_i w`` to ``out``; returns the place in the epoch."""
    count, position = draw_batch(rng, scheme, order, position, batch, chosen)
    for b in range(count):
        i = low + chosen[b]
        _apply_sample(rows, offsets[i], offsets[i + 1], w, factor, out)
    return position


@jit()
def replica(
    rng: Any,
    scheme: int,
    rows: Any,
    offsets: Any,
    n_retain: int,
    batches: Any,
    factors: Any,
    keep: float,
    momentum: float,
    w: Any,
    log_norm: Any,
    losses: Any,
) -> None:
    """Run one replica in place and record ``log ‖w_k‖``, and the losses if asked.

    Parameters
    ----------
    rng : numpy.random.Generator
        This replica's own.
    scheme : int
        0 Bernoulli, 1 without replacement, 2 with replacement, 3 epoch shuffling.
    rows : ndarray, shape (N, r)
        Factors, one row per column of Z.
    offsets : ndarray, shape (n + 1,), int64
    n_retain : int
    batches : ndarray, shape (2,)
        Batch sizes; a batch of 0 skips its set.
    factors : ndarray, shape (2,)
        ``−η(1−α)/B_r`` and ``+ηα/B_f``.
    keep : float
        ``1 − ηλ`` of weight decay.
    momentum : float
    w : ndarray, shape (r,)
        Start; overwritten.
    log_norm : ndarray, shape (steps + 1,)
        Overwritten; −inf once w is exactly 0.
    losses : ndarray, shape (2, steps + 1) or (2, 0)
        Logarithms of ``½ wᵀH_R w`` and ``½ wᵀH_F w``; overwritten.
    """
    r = w.shape[0]
    n = offsets.shape[0] - 1
    sizes = (n_retain, n - n_retain)
    retain_order = np.arange(sizes[0])
    forget_order = np.arange(sizes[1])
    chosen = np.empty(max(n, int(batches.max())), dtype=np.int64)
    retain_position, forget_position = sizes[0], sizes[1]
    change = np.zeros(r)
    previous = w.copy()
    scale = 0.0
    steps = log_norm.shape[0] - 1
    for k in range(steps + 1):
        square = 0.0
        for p in range(r):
            square += w[p] * w[p]
        log_norm[k] = scale + 0.5 * np.log(square) if square > 0.0 else -np.inf
        if losses.shape[1] > 0:
            for s in range(2):
                total = 0.0
                low = 0 if s == 0 else n_retain
                for a in range(offsets[low], offsets[low + sizes[s]]):
                    dot = 0.0
                    for p in range(r):
                        dot += rows[a, p] * w[p]
                    total += dot * dot
                losses[s, k] = -np.inf
                if total > 0.0:
                    losses[s, k] = 2.0 * scale + np.log(0.5 * total / sizes[s])
        if k == steps:
            break
        if square > 1e200 or (0.0 < square < 1e-200):
            norm = np.sqrt(square)
            scale += np.log(norm)
            for p in range(r):
                w[p] /= norm
                previous[p] /= norm
        for p in range(r):
            change[p] = 0.0
        if batches[0] > 0.0:
            retain_position = _accumulate(
                rng, scheme, retain_order, retain_position, 0,
                batches[0], rows, offsets, w, factors[0], chosen, change,
            )  # fmt: skip
        if batches[1] > 0.0:
            forget_position = _accumulate(
                rng, scheme, forget_order, forget_position, n_retain,
                batches[1], rows, offsets, w, factors[1], chosen, change,
            )  # fmt: skip
        for p in range(r):
            new = keep * w[p] + change[p] + momentum * (w[p] - previous[p])
            previous[p] = w[p]
            w[p] = new
