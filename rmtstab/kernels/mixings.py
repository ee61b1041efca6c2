"""Linearised minibatch descent–ascent at many mixings at once, under the same batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab.kernels._jit import jit
from rmtstab.kernels.drawing import draw_batch


@jit()
def _record(forget: Any, n_forget: int, w: Any, scale: Any, log_norm: Any, log_forget: Any) -> None:
    """Logarithms of ``‖w‖`` and of ``½ wᵀH_F w`` at each mixing."""
    rank, mixings = w.shape
    square, loss, dot = np.zeros(mixings), np.zeros(mixings), np.zeros(mixings)
    for k in range(rank):
        for a in range(mixings):
            square[a] += w[k, a] * w[k, a]
    for row in range(forget.shape[0]):
        dot[:] = 0.0
        for k in range(rank):
            x = forget[row, k]
            for a in range(mixings):
                dot[a] += x * w[k, a]
        for a in range(mixings):
            loss[a] += dot[a] * dot[a]
    for a in range(mixings):
        log_norm[a], log_forget[a] = -np.inf, -np.inf
        if square[a] > 0.0:
            log_norm[a] = scale[a] + 0.5 * np.log(square[a])
        if loss[a] > 0.0:
            log_forget[a] = 2.0 * scale[a] + np.log(0.5 * loss[a] / n_forget)


@jit()
def _rescale(w: Any, scale: Any) -> None:
    """Divide by its largest number each mixing that has gone far off 1."""
    rank, mixings = w.shape
    top = np.zeros(mixings)
    for k in range(rank):
        for a in range(mixings):
            top[a] = max(top[a], abs(w[k, a]))
    for a in range(mixings):
        if top[a] > 1e50 or 0.0 < top[a] < 1e-50:
            scale[a] += np.log(top[a])
            for k in range(rank):
                w[k, a] /= top[a]


@jit()
def replica_over_mixings(
    rng: Any,
    scheme: int,
    rows: Any,
    offsets: Any,
    n_retain: int,
    batches: Any,
    factors: Any,
    every: int,
    w: Any,
    log_norm: Any,
    log_forget: Any,
) -> None:
    """Run one replica at every mixing, from one start and with one draw of the batches.

    Parameters
    ----------
    rng : numpy.random.Generator
        This replica's own.
    scheme : int
        0 Bernoulli, 1 without replacement, 2 with replacement.
    rows : ndarray, shape (N, r)
        Factors, one row per column of Z.
    offsets : ndarray, shape (n + 1,), int64
    n_retain : int
    batches : ndarray, shape (2,)
    factors : ndarray, shape (2, mixings)
        ``−η(1−α)/B_r`` and ``+ηα/B_f``.
    every : int
        Steps between two records.
    w : ndarray, shape (r, mixings)
        Starts; overwritten.
    log_norm, log_forget : ndarray, shape (records, mixings)
        ``log ‖w_k‖`` and ``log ½ w_kᵀH_F w_k`` at k = 0, every, 2 every, …; overwritten.
    """
    rank, mixings = w.shape
    n = offsets.shape[0] - 1
    orders = np.arange(n_retain), np.arange(n - n_retain)
    chosen = np.empty(n, dtype=np.int64)
    slopes = np.empty((rows.shape[0], mixings))
    touched = np.empty(rows.shape[0], dtype=np.int64)
    scale = np.zeros(mixings)
    forget = rows[offsets[n_retain] :]
    records = log_norm.shape[0]
    for record in range(records):
        _record(forget, n - n_retain, w, scale, log_norm[record], log_forget[record])
        if record == records - 1:
            break
        for _ in range(every):
            count = 0
            for part in range(2):
                low = 0 if part == 0 else n_retain
                drawn, _ = draw_batch(rng, scheme, orders[part], 0, batches[part], chosen)
                for b in range(drawn):
                    i = low + chosen[b]
                    for row in range(offsets[i], offsets[i + 1]):
                        touched[count] = row
                        slope = slopes[count]
                        slope[:] = 0.0
                        for k in range(rank):
                            x = rows[row, k]
                            for a in range(mixings):
                                slope[a] += x * w[k, a]
                        for a in range(mixings):
                            slope[a] *= factors[part, a]
                        count += 1
            for b in range(count):
                slope = slopes[b]
                for k in range(rank):
                    x = rows[touched[b], k]
                    for a in range(mixings):
                        w[k, a] += x * slope[a]
            _rescale(w, scale)
