"""The two-layer ReLU CNN stepped by mini-batch descent–ascent, many runs at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rmtstab.kernels._jit import jit

SQUARED, LOGISTIC = 0, 1


@jit()
def _output(rows: Any, signs: Any) -> float:
    """Output of one sample from its patches' products with the filters, (P, K); NaN if one is."""
    total = 0.0
    for p in range(rows.shape[0]):
        for k in range(signs.shape[0]):
            if not rows[p, k] <= 0.0:
                total += signs[k] * rows[p, k]
    return total


@jit()
def _pull(rows: Any, signs: Any, slope: float) -> None:
    """Turn products (P, K) into the slope of the loss in them, in place."""
    for p in range(rows.shape[0]):
        for k in range(signs.shape[0]):
            rows[p, k] = 0.0 if rows[p, k] <= 0.0 else slope * signs[k]


@jit()
def _value(kind: int, scale: float, f: float, y: float) -> float:
    """``scale/2 (f − y)²``, or ``log(1 + exp(−y f))``."""
    if kind == 0:
        return 0.5 * scale * (f - y) * (f - y)
    z = -y * f
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


@jit()
def _slope(kind: int, scale: float, f: float, y: float) -> float:
    """Derivative of `_value` in f."""
    if kind == 0:
        return scale * (f - y)
    z = y * f
    if z > 0.0:
        e = math.exp(-z)
        return -y * e / (1.0 + e)
    return -y / (1.0 + math.exp(z))


@jit()
def step_runs(
    patches: Any,
    labels: Any,
    signs: Any,
    kind: int,
    scale: float,
    cuts: Any,
    n_retain: int,
    indices: Any,
    factors: Any,
    recorded: Any,
    start: Any,
    state: Any,
    records: Any,
    first: int,
    last: int,
) -> None:
    """Step some of the runs through a stretch of batches, in place.

    Parameters
    ----------
    patches : ndarray, shape (n, P, d), float64
    labels : ndarray, shape (n,), float64
    signs : ndarray, shape (K,), float64
        Output weight of each filter.
    kind, scale : int, float
        Loss: see `_value`.
    cuts : ndarray, shape (2,), float64
        Outputs and labels of the retain and the forget set on one side of it are one class; NaN
        for none.
    n_retain : int
    indices : ndarray, shape (steps, replicas, width), int64
        Drawn samples.
    factors : ndarray, shape (steps, n_cells, replicas, width), float64
        ``−η ω`` of each drawn sample; 0 leaves it out.
    recorded : ndarray, shape (steps + 1,), int64
        Row of ``records`` for the state before each step and after the last, or −1.
    start : ndarray, shape (d, K), float64
        Weights from which displacements are measured.
    state : ndarray, shape (n_cells, replicas, d, K), float64
        Weights, changed in place.
    records : ndarray, shape (5, n_cells, replicas, rows), float64
        Retain loss and accuracy, forget loss and accuracy, displacement.
    first, last : int
        Runs to step, counted ``cell · replicas + replica``.
    """
    steps, replicas, width = indices.shape
    n, n_patches, dim = patches.shape
    drawn = np.empty((width * n_patches, dim))
    products = np.empty((width * n_patches, signs.shape[0]))
    everything = np.empty((n * n_patches, signs.shape[0]))
    move = np.empty((dim, signs.shape[0]))
    present = np.empty(width, dtype=np.int64)
    for run in range(first, last):
        cell, replica = run // replicas, run % replicas
        weights = state[cell, replica]
        for step in range(steps + 1):
            row = recorded[step]
            if row >= 0:
                np.dot(patches.reshape(n * n_patches, dim), weights, everything)
                _record(
                    everything, n_patches, labels, signs, kind, scale, cuts, n_retain, weights,
                    start, records, cell, replica, row,
                )  # fmt: skip
            if step == steps:
                break
            count = 0
            for b in range(width):
                if factors[step, cell, replica, b] != 0.0:
                    own = slice(count * n_patches, (count + 1) * n_patches)
                    drawn[own] = patches[indices[step, replica, b]]
                    present[count] = b
                    count += 1
            if count == 0:  # an empty batch
                continue
            seen = drawn[: count * n_patches]
            slopes = products[: count * n_patches]
            np.dot(seen, weights, slopes)
            for c in range(count):
                rows = slopes[c * n_patches : (c + 1) * n_patches]
                y = labels[indices[step, replica, present[c]]]
                factor = factors[step, cell, replica, present[c]]
                _pull(rows, signs, factor * _slope(kind, scale, _output(rows, signs), y))
            np.dot(seen.T, slopes, move)
            weights += move


@jit()
def _record(
    products: Any,
    n_patches: int,
    labels: Any,
    signs: Any,
    kind: int,
    scale: float,
    cuts: Any,
    n_retain: int,
    weights: Any,
    start: Any,
    records: Any,
    cell: int,
    replica: int,
    row: int,
) -> None:
    """Losses, accuracies and displacement of one run, from all samples' products (n P, K)."""
    n = labels.shape[0]
    for part in range(2):
        low, high = (0, n_retain) if part == 0 else (n_retain, n)
        cut = cuts[part]
        loss, right, finite = 0.0, 0, True
        for i in range(low, high):
            f = _output(products[i * n_patches : (i + 1) * n_patches], signs)
            finite = finite and math.isfinite(f)
            loss += _value(kind, scale, f, labels[i])
            if (f > cut) == (labels[i] > cut):
                right += 1
        count = max(high - low, 1)
        if math.isnan(loss):
            loss = math.inf
        records[2 * part, cell, replica, row] = loss / count
        share = right / count if finite else 0.0
        records[2 * part + 1, cell, replica, row] = math.nan if math.isnan(cut) else share
    square = 0.0
    for i in range(weights.shape[0]):
        for k in range(weights.shape[1]):
            square += (weights[i, k] - start[i, k]) ** 2
    records[4, cell, replica, row] = math.sqrt(square) if not math.isnan(square) else math.inf
