r"""Joint law of the two largest eigenvalues at a soft edge for the Dyson indices 1 and 4.

The generating function of the numbers of eigenvalues in :math:`(y, x)` and beyond `x` is a Fredholm
Pfaffian,

.. math:: E \prod_i (1 - f(\lambda_i)) = \sqrt{\det\big(1 - f K\big)}, \qquad
    K = \begin{pmatrix} S & -\partial_y S \\ IS - \varepsilon & S^\top \end{pmatrix},

`f` being 1 beyond `x` and :math:`1 - z` between, and, with K of Airy and
:math:`B(x) = \int_x^\infty \mathrm{Ai}`,

.. math:: S_1 = K + \tfrac12\mathrm{Ai}(x)(1 - B(y)), \qquad S_4 = K - \tfrac12\mathrm{Ai}(x)B(y)

(for index 4 half of the matrix, without :math:`\varepsilon`). The jump of
:math:`\varepsilon = \tfrac12\mathrm{sgn}(x-y)` is integrated exactly for polynomials, panel by
panel, so that Gauss-Legendre quadrature converges exponentially.

C. A. Tracy and H. Widom, Commun. Pure Appl. Math. 58 (2005), 1197, for the kernels; F. Bornemann,
Math. Comp. 79 (2010), 871, for the quadrature.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rmtstab.laws.base import FloatArray

NODES = 48  # on each side of x
INNER = 96  # of the integrals that make the kernel
POINTS = 64  # on the circle of z: steps by which the root's phase is less than a quarter turn
LOWEST = -12.0  # both laws of the second are below 1e-16 here
REACH = 16.0


@lru_cache(maxsize=2)
def _rule(count: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gauss-Legendre on [-1, 1], and the matrix of integrals from -1 to each node."""
    node, weight = np.polynomial.legendre.leggauss(count)
    order = np.arange(count)
    values = np.polynomial.legendre.legvander(node, count)
    before = np.column_stack([-np.ones(count), values[:, : count - 1]])
    antiderivative = (values[:, 1:] - before) / (2 * order + 1)
    to_series = (order + 0.5)[:, None] * values[:, :count].T * weight
    return node, weight, antiderivative @ to_series


def joint(x: float, y: float, index: int) -> float:
    """P(largest <= x, second <= y), y <= x, in the variable of Painlevé II."""
    if y < LOWEST:
        return 0.0
    kernel, between = discretise(x, y, index)
    turn = 2.0 * np.pi * np.arange(POINTS // 2 + 1) / POINTS
    values = np.empty(turn.size, dtype=complex)
    for k, z in enumerate(np.exp(1j * turn)):
        matrix = np.eye(len(kernel)) - kernel * np.where(between, 1.0 - z, 1.0)
        values[k] = np.sqrt(np.linalg.det(matrix))
        if k and (values[k] * values[k - 1].conj()).real < 0.0:  # the branch that goes on
            values[k] = -values[k]
    share = np.where((turn == 0.0) | (turn == np.pi), 1.0, 2.0) / POINTS
    return float(np.sum(share * (values * (1.0 + np.exp(-1j * turn))).real))


def discretise(x: float, y: float, index: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Matrix of the kernel on (y, x) and beyond, and which columns lie between."""
    node, weight, integral = _rule(NODES)
    top = max(y, 0.0) + REACH
    x = min(x, top - 1.0)
    halves = 0.5 * (x - y), 0.5 * (top - x)
    points = np.concatenate([y + halves[0] * (1.0 + node), x + halves[1] * (1.0 + node)])
    weights = np.concatenate([half * weight for half in halves])
    blocks = _kernel(points, weights, index, top - y)
    if index == 1:
        # half of what lies below a node, less half of what lies above
        below = np.zeros((2 * NODES, 2 * NODES))
        for k, half in enumerate(halves):
            part = slice(k * NODES, (k + 1) * NODES)
            below[part, part] = half * integral
        below[NODES:, :NODES] = weights[:NODES]
        blocks[1][0] -= below - 0.5 * weights
    return np.block(blocks), np.tile(np.arange(2 * NODES) < NODES, 2)


def _kernel(
    points: FloatArray, weights: FloatArray, index: int, reach: float
) -> list[list[FloatArray]]:
    """Blocks of the kernel times the weights of its columns."""
    node, weight, integral = _rule(INNER)
    half = 0.5 * reach
    places = np.add.outer(points, half * (1.0 + node))
    ai, slope, _, _ = special.airy(places)
    weight = half * weight
    tails = ai @ (weight - half * integral).T  # of Ai, from each place on
    own, below = special.airy(points)[0], ai @ weight
    rest = 1.0 - below if index == 1 else -below
    diagonal = (ai * weight) @ ai.T + 0.5 * np.outer(own, rest)
    upper = -(ai * weight) @ slope.T - 0.5 * np.outer(own, own)
    lower = -(tails * weight) @ ai.T + 0.5 * np.outer(below, below)
    if index == 1:
        lower -= 0.5 * np.subtract.outer(below, below)
    factor = weights if index == 1 else 0.5 * weights
    return [[diagonal * factor, upper * factor], [lower * factor, diagonal.T * factor]]
