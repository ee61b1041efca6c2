"""Every batch that a scheme can draw, where these can be listed, and its operator."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.curvature.factors import IntArray
from rmtstab.dynamics.update import Update
from rmtstab.sampling import Scheme

RELATED = 1e-13  # cosine of two samples' factors from which they count as related


def patterns(
    scheme: Scheme, n: int, batch: float, members: int, limit: int
) -> tuple[FloatArray, FloatArray] | None:
    """How often some of a set's samples are drawn, with probabilities.

    Parameters
    ----------
    scheme : Scheme
    n : int
        Size of the set.
    batch : float
    members : int
        How many samples are followed, at most n.
    limit : int
        Most patterns listed.

    Returns
    -------
    counts : ndarray, shape (m, members)
    probabilities : ndarray, shape (m,)
        None in place of both where there are more.

    Examples
    --------
    >>> from rmtstab.dynamics.batches import patterns
    >>> from rmtstab.sampling import WITHOUT_REPLACEMENT
    >>> counts, chances = patterns(WITHOUT_REPLACEMENT, 4, 1, 2, 100)
    >>> counts.tolist(), chances.tolist()
    ([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.5, 0.25, 0.25])
    """
    rest = n - members
    if not scheme.fixed_size:
        if members > 62 or 2**members > limit:
            return None
        counts = np.array(list(itertools.product((0.0, 1.0), repeat=members)))
        taken, p = counts.sum(1), batch / n
        chances = p**taken * (1.0 - p) ** (members - taken)
    else:
        most = int(batch)
        least = 0 if rest else most
        if scheme.exhausts:
            numbers = range(max(0, most - rest), min(members, most) + 1)
            total = sum(math.comb(members, k) for k in numbers)
        else:
            numbers = range(least, most + 1)
            total = sum(math.comb(members + k - 1, k) for k in numbers)
        if total > limit:
            return None
        rows, weights = [], []
        for k in numbers:
            for row in _rows(members, k, scheme.exhausts):
                rows.append(row)
                if scheme.exhausts:
                    weights.append(math.comb(rest, most - k) / math.comb(n, most))
                else:
                    ways = math.factorial(most) / math.factorial(most - k)
                    ways /= math.prod(math.factorial(c) for c in row)
                    weights.append(ways * rest ** (most - k) / n**most)
        counts, chances = np.array(rows, dtype=float), np.array(weights)
    possible = chances > 0.0
    return counts[possible], chances[possible]


def _rows(members: int, number: int, distinct: bool) -> Iterator[list[int]]:
    pick = itertools.combinations if distinct else itertools.combinations_with_replacement
    for chosen in pick(range(members), number):
        row = [0] * members
        for index in chosen:
            row[index] += 1
        yield row


def blocks(update: Update) -> list[IntArray]:
    """Samples with weight, in groups whose curvatures share no direction.

    Parameters
    ----------
    update : Update

    Returns
    -------
    list of ndarray of int
        Indices of samples; those without curvature are left out.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    offsets = update.curvatures.factors.offsets
    rows = update.basis.rows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0.0)
    n_retain, n = update.sizes[0], sum(update.sizes)
    owners = np.repeat(np.arange(n, dtype=np.int32), np.diff(offsets))  # as old SciPy wants
    near = np.abs(unit @ unit.T) > RELATED
    first, second = np.nonzero(near)
    graph = csr_array((np.ones(len(first)), (owners[first], owners[second])), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    weights = update.weights
    seen = np.zeros(n, dtype=bool)
    seen[owners[norms[:, 0] > 0.0]] = True
    seen[:n_retain] &= weights[0] > 0.0
    seen[n_retain:] &= weights[1] > 0.0
    return [np.flatnonzero(seen & (labels == k)) for k in np.unique(labels[seen])]


def operators(
    update: Update, members: IntArray, limit: int
) -> tuple[FloatArray, FloatArray] | None:
    """The update's operator at every batch, on the directions that some samples see.

    Parameters
    ----------
    update : Update
        Without momentum.
    members : ndarray of int
        A group of `blocks`.
    limit : int
        Most batches listed.

    Returns
    -------
    operators : ndarray, shape (m, k, k)
    probabilities : ndarray, shape (m,)
        None in place of both where there are more batches.
    """
    offsets, n_retain = update.curvatures.factors.offsets, update.sizes[0]
    drawn, chances = np.zeros((1, 0)), np.ones(1)
    for s, signed in enumerate((update.alpha - 1.0, update.alpha)):
        inside = int(np.count_nonzero((members < n_retain) == (s == 0)))
        if not inside:
            continue
        found = patterns(
            update.scheme, update.sizes[s], update.batch_size[s], inside, limit // len(chances)
        )
        if found is None:
            return None
        counts, p = found
        gains = counts * (update.step_size * signed / update.batch_size[s])
        drawn = np.hstack([np.repeat(drawn, len(p), 0), np.tile(gains, (len(chances), 1))])
        chances = np.outer(chances, p).ravel()
    rows = np.concatenate([update.basis.rows[offsets[i] : offsets[i + 1]] for i in members])
    widths = np.diff(offsets)[members]
    _, singular, directions = np.linalg.svd(rows, full_matrices=False)
    rank = int(np.count_nonzero(singular > max(rows.shape) * np.finfo(float).eps * singular[0]))
    local = rows @ directions[:rank].T
    keep = 1.0 - update.step_size * update.weight_decay
    gains = np.repeat(drawn, widths, axis=1)
    moved = np.einsum("mi,ij,ik->mjk", gains, local, local, optimize=True)
    result: FloatArray = keep * np.eye(rank) + moved
    return result, chances
