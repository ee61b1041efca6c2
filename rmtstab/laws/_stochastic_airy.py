r"""Laws of the largest eigenvalues of the stochastic Airy operator, for any Dyson index.

The k-th largest eigenvalue is at most `x` if the diffusion
:math:`dp = (t - p^2)\,dt + \tfrac{2}{\sqrt\beta}\,dB`, started at :math:`t = x` from
:math:`+\infty` and again whenever it reaches :math:`-\infty`, does so fewer than `k` times. In the
angle :math:`p = c\cot\theta` the number `N` of passages through multiples of :math:`\pi`
has the generating function :math:`w = E\,z^N`, which solves the backward equation

.. math:: -w_x = \big(c\cos^2\theta - \tfrac xc\sin^2\theta + \tfrac{4}{\beta c^2}
    \sin^3\theta\cos\theta\big)w_\theta + \tfrac{2}{\beta c^2}\sin^4\theta\,w_{\theta\theta},
    \qquad w(\theta + \pi) = z\,w(\theta).

In the basis :math:`e^{(\log z/\pi + 2im)\theta}` its matrix has five diagonals; a few `z` on a
circle are carried from large `x` downward by collocation at Radau's points (order 9).

J. Ramírez, B. Rider and B. Virág, J. Amer. Math. Soc. 24 (2011), 919, Theorem 1.2;
A. Bloemendal and B. Virág, Probab. Theory Relat. Fields 156 (2013), 795, Theorem 1.7; the
Fourier form follows T. Trogdon and Y. Zhang, SIGMA 20 (2024), 005.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
STAGES = 5
BAND = 3 * STAGES - 1
FORGETS, LONGEST = 0.15, math.log(16.0)  # of a step's logarithm, where nothing is visible yet
NEGLIGIBLE = 1e-16


@lru_cache(maxsize=1)
def _collocation() -> tuple[FloatArray, FloatArray]:
    """Return Radau's points on (0, 1] and the integrals of their Lagrange polynomials."""
    inner = special.roots_jacobi(STAGES - 1, 1.0, 0.0)[0]
    points = np.append(0.5 * (1.0 + inner), 1.0)
    powers = np.arange(STAGES)
    integrals = points[:, None] ** (powers + 1) / (powers + 1)
    return points, integrals @ np.linalg.inv(points[:, None] ** powers)


def distribution(beta: float, k: int, fineness: float = 1.0) -> tuple[FloatArray, ...]:
    """Return x (increasing), F and f of the k-th largest eigenvalue.

    From where F exceeds 1e-14 to where 1 - F is below 1e-15.
    """
    # where 1 - F ~ exp(-2/3 beta x^(3/2)) = 1e-16, and exp(-4/3 x^(3/2)) forgets the layer
    visible = (55.0 / beta) ** (2.0 / 3.0)
    start = max(visible, 6.5)
    c = math.sqrt(start)
    # a small index starts far out, where nothing moves fast
    fall = 0.7 * math.sqrt(min(start, 6.5 + 2.0 * beta * beta)) if k == 1 else math.sqrt(start)
    shortest = fineness / (fall + 2.0 * k ** (1.0 / 3.0) + 2.9 * math.sqrt(beta))
    count = 4 if k == 1 else 2 * k + 12
    radius = 10.0 ** (-12.0 / count)
    z = radius * np.exp(2j * np.pi * np.arange(count // 2 + 1) / count)
    operator = _Operator(beta, c, z, _modes(beta, start, c))
    state = _initial(start, beta, c, z, operator.mu, operator.m)
    x, places, levels = start, [], []
    while True:
        # what is wrong before anything is visible is forgotten, too, and the order is 9
        forgotten = max(x, 0.0) ** 1.5 - visible**1.5
        step = shortest * math.exp(min(max(FORGETS * forgotten, 0.0), LONGEST))
        state = operator.advance(state, x, step)
        x -= step
        places.append(x)
        levels.append((state.sum(axis=1), -c * (operator.rate * state).sum(axis=1)))
        if len(levels) % 8 == 0:
            if _below(levels[-1][0], radius, count, k) < 1e-13:
                break
            state = operator.trim(state)
        if x < -40.0 * max(1.0, beta ** (-1.0 / 3.0)) * k:
            raise ArithmeticError("the distribution function did not fall to zero")
    return (
        np.array(places[::-1]),
        np.array([_below(w, radius, count, k) for w, _ in reversed(levels)]),
        np.array([_below(w, radius, count, k) for _, w in reversed(levels)]),
    )


class _Operator:
    """The equation in modes: a matrix of five diagonals, linear in x, for each z."""

    def __init__(self, beta: float, c: float, z: ComplexArray, modes: int) -> None:
        self.beta, self.c = beta, c
        self.mu: ComplexArray = np.asarray(np.log(z) / np.pi, dtype=complex)
        self._keep(modes)

    def _keep(self, modes: int) -> None:
        self.m = np.arange(-modes, modes + 1.0)
        self.rate: ComplexArray = self.mu[:, None] + 2j * self.m  # (z, m)
        self._fixed, self._moving = _diagonals(self.rate, self.beta, self.c)
        self._matrix = np.zeros((3 * BAND + 1, STAGES * self.rate.size), dtype=complex)

    def advance(self, state: ComplexArray, x: float, step: float) -> ComplexArray:
        """One step down from x."""
        points, weights = _collocation()
        matrix = self._matrix
        for b in range(STAGES):
            operator = -step * (self._fixed + (x - step * points[b]) * self._moving)
            for s in range(-2, 3):
                for a in range(STAGES):
                    row = matrix[2 * BAND + STAGES * s + a - b]
                    row[b::STAGES] = weights[a, b] * operator[2 + s]
        matrix[2 * BAND] += 1.0
        right = np.repeat(state.ravel(), STAGES)[:, None]
        solution = linalg.lapack.zgbsv(BAND, BAND, matrix, right)[2]
        return np.asarray(solution[STAGES - 1 :: STAGES, 0].reshape(state.shape))

    def trim(self, state: ComplexArray) -> ComplexArray:
        """Leave out the highest modes once the layer, widening, has lost them."""
        modes = state.shape[1] // 2
        size = np.abs(state).max(axis=0)
        size = np.maximum(size, size[::-1])[modes:]
        last = int(np.flatnonzero(size > NEGLIGIBLE * size.max())[-1])
        kept = max(_least_modes(self.beta), math.ceil(1.1 * last))
        if kept > 0.9 * modes:  # not worth the new matrix
            return state
        self._keep(kept)
        return np.ascontiguousarray(state[:, modes - kept : modes + kept + 1])


def _layer(x: float, beta: float) -> tuple[float, float]:
    """Return the place and the width of the layer between explosion and escape at large x.

    The critical path is p = Ai'/Ai; to first order in the noise the layer is normal.
    """
    node, weight = np.polynomial.laguerre.laggauss(40)
    ai, slope, _, _ = special.airye(x)
    span = node / (4.0 * math.sqrt(x))
    ratio = special.airye(x + span)[0] / ai
    fall = np.exp(-4.0 * (2.0 / 3.0) * ((x + span) ** 1.5 - x**1.5) + node)
    spread = np.sum(weight * ratio**4 * fall) / (4.0 * math.sqrt(x))
    return float(slope / ai), math.sqrt(4.0 / beta * float(spread))


def _least_modes(beta: float) -> int:
    """Return how many modes are needed to the end: where the noise vanishes they decay slowly."""
    return 115 + min(15, int(2.0 * beta))


def _modes(beta: float, start: float, c: float) -> int:
    """Return the number of modes that resolve the first layer."""
    place, width = _layer(start, beta)
    return max(_least_modes(beta), math.ceil(5.0 * (c * c + place * place) / (c * width)))


def _below(w: ComplexArray, radius: float, count: int, k: int) -> float:
    """Return P(N < k), or its slope, from the generating function on half a circle."""
    whole = np.concatenate([w, w[1 : count - len(w) + 1].conj()[::-1]])
    coefficients = np.fft.fft(whole).real / count
    return float(np.sum(coefficients[:k] * radius ** -np.arange(k, dtype=float)))


def _initial(
    x: float, beta: float, c: float, z: ComplexArray, mu: ComplexArray, m: FloatArray
) -> ComplexArray:
    """Return the coefficients at large x, where explosion is decided by the layer."""
    points = 4 * len(m)
    theta = np.pi * (np.arange(points) + 0.5) / points
    place, width = _layer(x, beta)
    stays = special.ndtr((c / np.tan(theta) - place) / width)
    w = (stays + np.multiply.outer(z, 1.0 - stays)) * np.exp(-np.multiply.outer(mu, theta))
    modes = m.astype(int)
    turned = np.exp(-1j * np.pi * modes / points) / points  # the points lie amid their intervals
    return np.asarray(np.fft.fft(w)[:, modes] * turned)


def _diagonals(rate: ComplexArray, beta: float, c: float) -> tuple[ComplexArray, ComplexArray]:
    """Return the operator's diagonals in LAPACK's band storage, its fixed part and that in x."""
    noise = 2.0 / (beta * c * c)
    drift = {
        0: c / 2,
        1: c / 4 + noise / 4j,
        -1: c / 4 - noise / 4j,
        2: -noise / 8j,
        -2: noise / 8j,
    }
    slope = {0: -0.5 / c, 1: 0.25 / c, -1: 0.25 / c, 2: 0.0, -2: 0.0}
    spread = {0: 0.375, 1: -0.25, -1: -0.25, 2: 0.0625, -2: 0.0625}
    fixed = np.zeros((5, *rate.shape), dtype=complex)
    moving = np.zeros_like(fixed)
    for s in range(-2, 3):  # mode m goes to mode m + s: row 2 + s of the band
        fixed[2 + s] = drift[s] * rate + noise * spread[s] * rate * rate
        moving[2 + s] = slope[s] * rate
        lost = slice(rate.shape[1] - s, None) if s > 0 else slice(0, -s)
        if s:
            fixed[2 + s][:, lost] = 0.0
            moving[2 + s][:, lost] = 0.0
    return fixed.reshape(5, -1), moving.reshape(5, -1)
