"""Softmax cross-entropy of many runs at once: losses, right answers, slopes in the outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rmtstab.kernels._jit import jit

LOG2_E = 1.4426950408889634
LOG_2_HIGH, LOG_2_LOW = 6.93145751953125e-1, 1.42860682030941723212e-6  # log 2 in two parts
LOGS = 8  # samples that share a logarithm: their product is at most C⁸
LEAST = -708.0  # exp of less is no normal number, and nothing beside the largest term, 1


@jit(fastmath={"contract"})  # fused multiply-adds, which leave NaN alone
def _exponentials(values: Any) -> None:
    """Replace numbers ≤ 0 by their exponentials, to 2 units in the last place.

    Cody and Waite's reduction and thirteen terms: a loop that compiles to vectors, six times
    as fast as calls of libm, which is what most of the time of a record would go to.
    """
    for i in range(values.shape[0]):
        v = max(values[i], LEAST)
        n = math.floor(v * LOG2_E + 0.5)
        r = (v - n * LOG_2_HIGH) - n * LOG_2_LOW
        p = 1.0 / 6227020800.0
        p = p * r + 1.0 / 479001600.0
        p = p * r + 1.0 / 39916800.0
        p = p * r + 1.0 / 3628800.0
        p = p * r + 1.0 / 362880.0
        p = p * r + 1.0 / 40320.0
        p = p * r + 1.0 / 5040.0
        p = p * r + 1.0 / 720.0
        p = p * r + 1.0 / 120.0
        p = p * r + 1.0 / 24.0
        p = p * r + 1.0 / 6.0
        p = p * r + 0.5
        p = p * r + 1.0
        p = p * r + 1.0
        values[i] = p * np.int64((np.int64(n) + 1023) << 52).view(np.float64)


@jit()
def evaluate(outputs: Any, first: int, labels: Any, classes: int, losses: Any, right: Any) -> None:
    """Mean loss and share of right answers of each run on some of its samples.

    Parameters
    ----------
    outputs : ndarray, shape (runs, N, C) or (runs, N, C − 1), float64
        C − 1: the last output is 0, as where all are taken less the last.
    first : int
        The samples are those from here on, as many as labels.
    labels : ndarray, shape (n,), int64
    classes : int
        C.
    losses, right : ndarray, shape (runs,), float64
        Filled: ``mean (log Σ exp f − f_y)`` and the share of samples whose first largest
        output is the label's; inf and 0 where any output is not finite.
    """
    runs, n, given = outputs.shape[0], labels.shape[0], outputs.shape[2]
    f = np.empty((classes, n))  # samples last: classes are few, and loops over few are slow
    own, top, check, inner = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    rivals = np.empty(n, dtype=np.int64)
    for run in range(runs):
        for i in range(n):
            for j in range(given):
                f[j, i] = outputs[run, first + i, j]
            if given < classes:
                f[given, i] = 0.0
            own[i] = f[labels[i], i]
        top[:], check[:], rivals[:] = -math.inf, 0.0, 0
        for j in range(classes):
            for i in range(n):
                value = f[j, i]
                check[i] += value
                top[i] = value if value > top[i] else top[i]
                rivals[i] += (value > own[i]) | ((value == own[i]) & (j < labels[i]))
        if not math.isfinite(check.sum()):  # an infinity or a NaN among the outputs
            losses[run], right[run] = math.inf, 0.0
            continue
        for j in range(classes):
            for i in range(n):
                f[j, i] -= top[i]
        _exponentials(f.reshape(classes * n))
        inner[:] = 0.0
        for j in range(classes):
            for i in range(n):
                inner[i] += f[j, i]
        hits, total = 0, 0.0
        for low in range(0, n, LOGS):
            factor = 1.0
            for i in range(low, min(low + LOGS, n)):
                hits += rivals[i] == 0
                total += top[i] - own[i]
                factor *= inner[i]
            total += math.log(factor)
        losses[run], right[run] = total / n, hits / n


@jit()
def slopes(outputs: Any, labels: Any, weights: Any, classes: int, out: Any) -> None:
    """Gradients ``ω_b (p − e_y)`` of each run's batch loss in its outputs.

    Parameters
    ----------
    outputs : ndarray, shape (replicas, cells, width, C) or (…, C − 1), float64
        C − 1: the last output is 0, and its slope, less the sum of the others, is left out.
    labels : ndarray, shape (replicas, width), int64
    weights : ndarray, shape (replicas, width), float64
    classes : int
        C.
    out : ndarray, of the shape of outputs, float64
        Filled; NaN where a sample's outputs are not finite.
    """
    replicas, cells, width, given = outputs.shape
    scratch, finite = np.empty(width * classes), np.empty(width, dtype=np.bool_)
    for replica in range(replicas):
        for cell in range(cells):
            for b in range(width):
                top, finite[b] = 0.0 if given < classes else -math.inf, True
                for j in range(given):
                    f = outputs[replica, cell, b, j]
                    finite[b] &= math.isfinite(f)
                    top = max(top, f)
                for j in range(classes):
                    f = outputs[replica, cell, b, j] if j < given else 0.0
                    scratch[b * classes + j] = f - top if finite[b] else 0.0
            _exponentials(scratch)
            for b in range(width):
                total = 0.0
                for j in range(classes):
                    total += scratch[b * classes + j]
                factor = weights[replica, b] if finite[b] else math.nan
                for j in range(given):
                    out[replica, cell, b, j] = factor * scratch[b * classes + j] / total
                if labels[replica, b] < given:
                    out[replica, cell, b, labels[replica, b]] -= factor
