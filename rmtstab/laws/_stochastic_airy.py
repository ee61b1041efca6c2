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

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
STAGES = 5


def _collocation() -> tuple[FloatArray, FloatArray]:
    """Return Radau's points on (0, 1] and the integrals of their Lagrange polynomials."""
    inner = special.roots_jacobi(STAGES - 1, 1.0, 0.0)[0]
    points = np.append(0.5 * (1.0 + inner), 1.0)
    powers = np.arange(STAGES)
    integrals = points[:, None] ** (powers + 1) / (powers + 1)
    return points, integrals @ np.linalg.inv(points[:, None] ** powers)


def distribution(beta: float, k: int, fineness: float = 1.0) -> tuple[FloatArray, ...]:
    """Return x (increasing, evenly spaced), F and f of the k-th largest eigenvalue.

    From where F exceeds 1e-14 to where 1 - F is below 1e-15.
    """
    # where 1 - F ~ exp(-2/3 beta x^(3/2)) = 1e-16, and exp(-4/3 x^(3/2)) forgets the layer
    start = max((55.0 / beta) ** (2.0 / 3.0), 6.5)
    c = math.sqrt(start)
    # a small index starts far out, where nothing moves fast
    fall = math.sqrt(min(start, 6.5 + 2.0 * beta * beta)) if k == 1 else math.sqrt(start)
    step = fineness / (fall + 2.0 * k ** (1.0 / 3.0) + 2.5 * math.sqrt(beta))
    count = 4 if k == 1 else 2 * k + 12
    radius = 10.0 ** (-12.0 / count)
    z = radius * np.exp(2j * np.pi * np.arange(count // 2 + 1) / count)
    mu = np.log(z) / np.pi
    modes = _modes(beta, start, c)
    m = np.arange(-modes, modes + 1.0)
    rate = mu[:, None] + 2j * m  # (z, m)
    fixed, moving = _diagonals(rate, beta, c)
    points, weights = _collocation()
    state = _initial(start, beta, c, z, mu, m)
    x, levels, band = start, [], 3 * STAGES - 1
    matrix = np.zeros((3 * band + 1, STAGES * rate.size), dtype=complex)
    while True:
        for b in range(STAGES):
            operator = -step * (fixed + (x - step * points[b]) * moving)
            for s in range(-2, 3):
                for a in range(STAGES):
                    row = matrix[2 * band + STAGES * s + a - b]
                    row[b::STAGES] = weights[a, b] * operator[2 + s]
        matrix[2 * band] += 1.0
        right = np.repeat(state, STAGES)[:, None]
        state = linalg.lapack.zgbsv(band, band, matrix, right)[2][STAGES - 1 :: STAGES, 0]
        x -= step
        shaped = state.reshape(rate.shape)
        levels.append((shaped.sum(axis=1), -c * (rate * shaped).sum(axis=1)))
        if len(levels) % 8 == 0 and _below(levels[-1][0], radius, count, k) < 1e-13:
            break
        if x < -40.0 * max(1.0, beta ** (-1.0 / 3.0)) * k:
            raise ArithmeticError("the distribution function did not fall to zero")
    grid = x + step * np.arange(len(levels))
    values = np.array([w for w, _ in levels])[::-1]
    slopes = np.array([w for _, w in levels])[::-1]
    return (
        grid,
        np.array([_below(w, radius, count, k) for w in values]),
        np.array([_below(w, radius, count, k) for w in slopes]),
    )


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


def _modes(beta: float, start: float, c: float) -> int:
    """Return the number of modes that resolve the first layer."""
    place, width = _layer(start, beta)
    return max(80, math.ceil(7.5 * (c * c + place * place) / (c * width)))


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
    basis = np.exp(-2j * np.multiply.outer(theta, m)) / points
    return np.asarray((w @ basis).ravel())


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
