"""Linearised descent–ascent, one replica: batches drawn and applied step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab.kernels._jit import jit

WITHOUT_REPLACEMENT, WITH_REPLACEMENT, BERNOULLI = 0, 1, 2


@jit()
def draw(generator: Any, scheme: int, batch_size: float, order: Any, chosen: Any) -> int:
    """Draw a batch from ``order`` (a permutation, reshuffled in place); return its size."""
    n = order.shape[0]
    if scheme == 2:
        count = 0
        for i in range(n):
            if generator.random() * n < batch_size:
                chosen[count] = i
                count += 1
        return count
    size = int(batch_size)
    for k in range(size):
        if scheme == 1:
            chosen[k] = int(generator.random() * n)
        else:
            j = k + int(generator.random() * (n - k))
            order[k], order[j] = order[j], order[k]
            chosen[k] = order[k]
    return size


@jit()
def dot(a: Any, b: Any) -> float:
    """Inner product in four partial sums: no long chain of additions, one fixed order."""
    r = a.shape[0]
    s0 = s1 = s2 = s3 = 0.0
    whole = r - r % 4
    for p in range(0, whole, 4):
        s0 += a[p] * b[p]
        s1 += a[p + 1] * b[p + 1]
        s2 += a[p + 2] * b[p + 2]
        s3 += a[p + 3] * b[p + 3]
    for p in range(whole, r):
        s0 += a[p] * b[p]
    return (s0 + s1) + (s2 + s3)


@jit()
def descend(
    w: Any, factors: Any, chosen: Any, count: int, coefficient: float, gradient: Any
) -> None:
    """Add ``coefficient · Σ_{i chosen} H_i w`` to ``gradient``; factors are (n, C, r)."""
    r = w.shape[0]
    for k in range(count):
        sample = factors[chosen[k]]
        for c in range(sample.shape[0]):
            row = sample[c]
            product = coefficient * dot(row, w)
            for p in range(r):
                gradient[p] += product * row[p]


@jit()
def run(
    generator: Any,
    w: Any,
    retain: Any,
    forget: Any,
    batch_retain: float,
    batch_forget: float,
    scheme: int,
    step_size: float,
    alpha: float,
    weight_decay: float,
    with_losses: bool,
    squares: Any,
) -> None:
    """Run one replica from ``w`` (overwritten), renormalised at every step.

    Parameters
    ----------
    generator : numpy.random.Generator
    w : ndarray, shape (r,)
        Start; a unit vector at return.
    retain, forget : ndarray, shape (n, C, r)
        Factors.
    with_losses : bool
        Whether the losses are wanted: each costs a pass over all samples.
    squares : ndarray, shape (steps + 1, 3)
        Overwritten: ``2 log‖w_k‖`` and, over ``‖w_k‖²``, the excess losses
        ``½ w_kᵀH_s w_k`` of retain and forget.
    """
    r = w.shape[0]
    order_retain = np.arange(retain.shape[0])
    order_forget = np.arange(forget.shape[0])
    chosen = np.empty(max(retain.shape[0], forget.shape[0]), dtype=np.int64)
    gradient = np.empty(r)
    logarithm = 0.0
    for step in range(squares.shape[0]):
        norm = dot(w, w)
        if norm == 0.0:
            for later in range(step, squares.shape[0]):
                squares[later, 0] = -np.inf
                squares[later, 1] = 0.0
                squares[later, 2] = 0.0
            return
        logarithm += np.log(norm)
        scale = 1.0 / np.sqrt(norm)
        for p in range(r):
            w[p] *= scale
        squares[step, 0] = logarithm
        if with_losses:
            squares[step, 1] = half_mean_square(w, retain)
            squares[step, 2] = half_mean_square(w, forget)
        if step == squares.shape[0] - 1:
            return
        for p in range(r):
            gradient[p] = weight_decay * w[p]
        if alpha < 1.0:
            count = draw(generator, scheme, batch_retain, order_retain, chosen)
            descend(w, retain, chosen, count, (1.0 - alpha) / batch_retain, gradient)
        if alpha > 0.0:
            count = draw(generator, scheme, batch_forget, order_forget, chosen)
            descend(w, forget, chosen, count, -alpha / batch_forget, gradient)
        for p in range(r):
            w[p] -= step_size * gradient[p]


@jit()
def half_mean_square(w: Any, factors: Any) -> float:
    """``½ mean_i ‖Z_iᵀ w‖²``; 0 for an empty set."""
    n, width, _ = factors.shape
    total = 0.0
    for i in range(n):
        for c in range(width):
            product = dot(factors[i, c], w)
            total += product * product
    return 0.5 * total / n if n else 0.0
