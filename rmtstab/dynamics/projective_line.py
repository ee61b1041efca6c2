r"""Lyapunov exponent of random products of 2 × 2 matrices, between two certified ends.

For any bounded g on directions, ``inf_u F(u) ≤ λ₁ ≤ sup_u F(u)`` with
``F(u) = E log‖Mu‖ + E g(M·u) − g(u)``. Here g is piecewise linear in the angle and solves
``F = const`` at the nodes of a grid; between nodes F strays by half a cell times a bound on its
derivative. Both ends hold at every g and close as the cells shrink. Proof in
docs/theory/lyapunov.
"""

from __future__ import annotations

import math

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.curvature.factors import IntArray

CELLS = 1024
WORK = 1_000_000  # cells times matrices
FEWEST = 64
EDGE = 1e-9  # of a cell: images are widened by it against rounding
STEEP = 1e4  # range of a g that is of no use
SINGULAR = 1e-9  # least |det M|/‖M‖² that is followed


def exponent(operators: FloatArray, probabilities: FloatArray) -> tuple[float, float]:
    """Lower and upper end of the top Lyapunov exponent.

    Parameters
    ----------
    operators : ndarray, shape (m, k, k)
        k at most 2.
    probabilities : ndarray, shape (m,)

    Returns
    -------
    (float, float)
        Equal for k = 1; infinite where a 2 × 2 matrix is singular to rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.dynamics.projective_line import exponent
    >>> turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    >>> low, high = exponent(np.array([turn, 3.0 * turn]), np.array([0.5, 0.5]))
    >>> round(low, 6), round(high, 6)  # ½ log 3
    (0.549306, 0.549306)
    """
    if operators.shape[1] == 1:
        with np.errstate(divide="ignore"):
            value = float(probabilities @ np.log(np.abs(operators[:, 0, 0])))
        return value, value
    dets = np.linalg.det(operators)
    if (np.abs(dets) <= SINGULAR * np.einsum("bij,bij->b", operators, operators)).any():
        return -math.inf, math.inf
    cells = int(np.clip(WORK // len(operators), FEWEST, CELLS))
    angles = np.pi * np.arange(cells) / cells
    images = operators @ np.stack([np.cos(angles), np.sin(angles)])
    logs = np.log(np.hypot(images[:, 0], images[:, 1]))
    at = np.mod(np.arctan2(images[:, 1], images[:, 0]) / np.pi, 1.0) * cells
    g = _poisson(at, probabilities, probabilities @ logs)
    node = np.floor(at).astype(np.int64)
    part = at - node
    after = (1.0 - part) * g[node % cells] + part * g[(node + 1) % cells]
    f = probabilities @ (logs + after) - g
    slopes = (np.roll(g, -1) - g) * cells / np.pi
    stray = 0.5 * np.pi / cells * _steepest(operators, dets, probabilities, at, slopes)
    pairs = np.stack([f, np.roll(f, -1)])
    return float((pairs.min(0) - stray).min()), float((pairs.max(0) + stray).max())


def _poisson(at: FloatArray, probabilities: FloatArray, growth: FloatArray) -> FloatArray:
    """Solve ``growth + Pg − g = const``, P the interpolated step; any g is admissible."""
    cells = len(growth)
    system = np.zeros((cells + 1, cells + 1))
    rows = np.broadcast_to(np.arange(cells), at.shape)
    node = np.floor(at).astype(np.int64)
    weights = np.broadcast_to(probabilities[:, None], at.shape)
    np.add.at(system, (rows, node % cells), weights * (1.0 - (at - node)))
    np.add.at(system, (rows, (node + 1) % cells), weights * (at - node))
    system[np.arange(cells), np.arange(cells)] -= 1.0
    system[:cells, -1] = -1.0
    system[-1, :cells] = 1.0
    target = np.append(-growth, 0.0)
    try:
        found = np.linalg.solve(system, target)
    except np.linalg.LinAlgError:
        return np.zeros(cells)
    result: FloatArray = found[:-1]
    # several directions that every matrix keeps: no g parts their rates, and none is needed
    return result if np.ptp(result) < STEEP else np.zeros(cells)


def _steepest(
    operators: FloatArray,
    dets: FloatArray,
    probabilities: FloatArray,
    at: FloatArray,
    slopes: FloatArray,
) -> FloatArray:
    """Bound on ``|E[(log‖Mu‖)' + φ' g'(φ)] − g'|`` over each cell, φ the image's angle."""
    cells = len(slopes)
    width = np.pi / cells
    # ‖Mu‖² = a + b cos 2(θ − θ₀), so (log‖Mu‖)' and φ' = det/‖Mu‖² are explicit
    _, singular, right = np.linalg.svd(operators)
    a, b = (
        0.5 * (singular[:, :1] ** 2 + singular[:, 1:] ** 2),
        0.5 * (singular[:, :1] ** 2 - singular[:, 1:] ** 2),
    )
    offset = np.arctan2(right[:, :1, 1], right[:, :1, 0])
    middle = width * (np.arange(cells) + 0.5) - offset
    cosine, sine = np.cos(2.0 * middle), np.sin(2.0 * middle)
    change = 2.0 * b * (np.abs(sine) + width) * 0.5 * width  # of ‖Mu‖² over half a cell
    size = a + b * cosine
    least = np.maximum(size - change, a - b)
    log_slope = -b * sine / size
    bend = 0.5 * width * (2.0 * b / least + 2.0 * (b / least) ** 2)
    fast, slow = dets[:, None] / least, dets[:, None] / (size + change)
    forward = dets[:, None] > 0.0
    following = np.roll(at, -1, axis=1)
    first = np.where(forward, at, following)
    run = np.mod(np.where(forward, following - at, at - following), cells)
    begin = np.floor(first - EDGE)
    count = np.minimum(np.floor(first + run + EDGE) - begin + 1.0, cells).astype(np.int64)
    begin = np.mod(begin, cells).astype(np.int64)
    low, high = _least(slopes, begin, count), -_least(-slopes, begin, count)
    corners = np.stack([fast * low, fast * high, slow * low, slow * high])
    down = probabilities @ (log_slope - bend + corners.min(0)) - slopes
    up = probabilities @ (log_slope + bend + corners.max(0)) - slopes
    result: FloatArray = np.maximum(np.abs(down), np.abs(up))
    return result


def _least(values: FloatArray, start: IntArray, span: IntArray) -> FloatArray:
    """Least value over runs of cells, by a table of runs of length 2^k."""
    table = [values]
    while 2 ** len(table) <= int(span.max()):
        half = 2 ** (len(table) - 1)
        table.append(np.minimum(table[-1], np.roll(table[-1], -half)))
    level = np.frexp(span.astype(float))[1] - 1
    runs = np.stack(table)
    last = np.mod(start + span - (1 << level), len(values))
    result: FloatArray = np.minimum(runs[level, start], runs[level, last])
    return result
