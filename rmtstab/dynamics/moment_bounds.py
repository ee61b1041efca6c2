r"""Both sides of ``⟨X, Φᵏ(X)⟩/‖X‖² = ∫ θᵏ dω(θ)`` at every k, from a few Lanczos steps.

ω has mass 1 on ``[−b, b]``, ``b ≥ ρ(Φ)``, and m Lanczos steps give m rows of its Jacobi matrix. The
error of a Gauss rule is a derivative of ``θᵏ`` of order 2m times a positive integral; with a
node prescribed at ``±b`` it is one of order 2m + 1 times an integral whose sign is known too.
Even derivatives of an even power and odd ones of an odd power are never negative:

    k even:  Gauss ≤ ∫ θᵏ dω ≤ Gauss–Lobatto(−b, b),    k odd:  Radau(−b) ≤ ∫ θᵏ dω ≤ Radau(b).
"""

from __future__ import annotations

import math

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.dynamics.certificate import EPS

CLOSE = 1e-13  # of b: least way out of a prescribed node; rounding that its row may have


class MomentBounds:
    """Lower and upper bounds on ``∫ (θ/b)ᵏ dω`` over k.

    Parameters
    ----------
    diagonal, beside : ndarray, shape (m,)
        Jacobi matrix: its diagonal, and what stands beside it. The last of these leads to the
        step that was not taken; it is 0 where the space is whole, and both bounds are exact.
    bound : float, > 0
        b.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.dynamics.moment_bounds import MomentBounds
    >>> known = MomentBounds(np.array([0.0]), np.array([0.5]), 1.0)  # of mean 0, variance ¼
    >>> [ends.round(4).tolist() for ends in known.over(0, 4)]
    [[1.0, 0.0, 0.0, -0.1875], [1.0, 0.0, 1.0, 0.1875]]
    """

    def __init__(self, diagonal: FloatArray, beside: FloatArray, bound: float) -> None:
        diagonal, beside = diagonal / bound, beside / bound
        gauss = _Rule(diagonal, beside[:-1])
        self._even = self._odd = (gauss, gauss)
        square = float(beside[-1]) ** 2
        if square == 0.0:
            return
        node, low, high = _outside(gauss, square)
        both = 2.0 * node / (low - high)
        lobatto = _extended(diagonal, beside, both, both * low - node)
        self._even = gauss, lobatto
        self._odd = (
            _extended(diagonal, beside, square, square * low - node),
            _extended(diagonal, beside, square, square * high + node),
        )

    def over(self, first: int, count: int) -> tuple[FloatArray, FloatArray]:
        """Bounds at ``first, …, first + count − 1``.

        Parameters
        ----------
        first, count : int
            Even.

        Returns
        -------
        lower, upper : ndarray, shape (count,)
        """
        ends = np.empty((2, count))
        for end, even, odd in zip(ends, self._even, self._odd, strict=True):
            end[0::2] = even.powers(first, count // 2, odd=False)
            end[1::2] = odd.powers(first, count // 2, odd=True)
        return ends[0], ends[1]

    def logs_at(self, step: int) -> tuple[float, float]:
        """Logarithms of the bounds at one step, which may lie beyond the floating-point range.

        Parameters
        ----------
        step : int
            k ≥ 0.

        Returns
        -------
        lower, upper : float
            −inf for a bound that is not positive.
        """
        lower, upper = self._odd if step % 2 else self._even
        return lower.log_power(step), upper.log_power(step)


class _Rule:
    """Nodes and weights of a Jacobi matrix."""

    def __init__(self, diagonal: FloatArray, beside: FloatArray) -> None:
        m = len(diagonal)
        matrix = np.zeros((m, m))
        matrix.flat[:: m + 1] = diagonal
        matrix.flat[m :: m + 1] = beside  # eigh reads the lower triangle
        self.nodes, vectors = np.linalg.eigh(matrix)
        self.weights: FloatArray = vectors[0] ** 2
        self.last: FloatArray = vectors[-1] ** 2
        self._table = np.empty((m, 0))

    def powers(self, first: int, count: int, *, odd: bool) -> FloatArray:
        """``Σ w x^(first + 2i)``, one power more where odd, ``i = 0, …, count − 1``."""
        if self._table.shape[1] != count:  # one for all stretches of this length
            self._table = np.square(self.nodes)[:, None] ** np.arange(count)
        weights = self.weights * np.abs(self.nodes) ** first
        result: FloatArray = (weights * self.nodes if odd else weights) @ self._table
        return result

    def log_power(self, step: int) -> float:
        """``log Σ w x^step``; −inf where the sum is not positive."""
        if step == 0:
            return 0.0
        with np.errstate(divide="ignore"):
            logs = np.log(self.weights) + step * np.log(np.abs(self.nodes))
        top = float(logs.max())
        if top == -math.inf:
            return top
        terms = np.exp(logs - top) * np.sign(self.nodes) ** (step % 2)
        total = float(terms.sum())
        return top + math.log(total) if total > 0.0 else -math.inf


def _outside(gauss: _Rule, square: float) -> tuple[float, float, float]:
    """Where the prescribed nodes ``∓c`` stand, and the last entries of ``(T ± c)⁻¹`` there.

    ``c = 1``, or a little more where a node of the Gauss rule is so near that rounding of T
    shows in these entries: ``[−c, c]`` holds the spectrum too.
    """
    node, away = 1.0, CLOSE
    while True:
        gaps = np.array([gauss.nodes + node, gauss.nodes - node])
        if gaps[0, 0] > 0.0 > gaps[1, -1]:
            shows = EPS * square * float((gauss.last / np.square(gaps)).sum(axis=1).max())
            if shows <= CLOSE:
                break
        node, away = 1.0 + away, 2.0 * away
    low, high = (gauss.last / gaps).sum(axis=1)
    return node, float(low), float(high)


def _extended(diagonal: FloatArray, beside: FloatArray, square: float, entry: float) -> _Rule:
    """Rule of the matrix with one more row."""
    longer = np.append(beside[:-1], math.sqrt(square))
    return _Rule(np.append(diagonal, entry), longer)
