r"""Numbers of eigenvalues in an interval of the bulk, by determinants (Dyson indices 1, 2, 4).

The sine kernel on an interval of length `s` (in mean spacings) commutes with reflection. With
:math:`\lambda_j` its eigenvalues on the even or the odd functions, and :math:`N_\pm` sums of
independent trials of these chances,

.. math:: P(N_2 \le m) = P(N_+ + N_- \le m), \qquad
    P(N_1 \le 2m) = P(N_+ \le m), \quad P(N_1 \le 2m+1) = P(N_- \le m),

and :math:`P(N_4 \le m)` at `s` is the mean of :math:`P(N_\pm \le m)` at `2s`. On a fixed interval
the kernel is analytic in `s`, so that derivatives of determinants are traces. Derived in
docs/laws/spacing from:

M. L. Mehta, *Random Matrices*, 3rd ed. (2004), chapters 6, 7, 11 and appendix A.7; F. Bornemann,
Math. Comp. 79 (2010), 871, for the quadrature, and Markov Process. Related Fields 16 (2010), 803,
section 5, for the counts.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from rmtstab.laws.base import ComplexArray, FloatArray

POINTS = 32  # on the circle of the generating function: more than eigenvalues that may occur
RADIUS = 0.8


@lru_cache(maxsize=1)
def _circle() -> tuple[ComplexArray, ComplexArray]:
    """Half a circle of arguments, and the sums that give P(N <= m) from values there."""
    turn = np.pi * np.arange(POINTS + 1)[1::2] / POINTS
    order = np.arange(POINTS // 2)
    back = np.exp(-1j * np.outer(order, turn)) * RADIUS ** -order[:, None].astype(float)
    return RADIUS * np.exp(1j * turn), np.asarray(2.0 / POINTS * np.cumsum(back, axis=0))


@lru_cache(maxsize=32)
def _rule(nodes: int) -> tuple[FloatArray, FloatArray]:
    return np.polynomial.legendre.leggauss(nodes)


def counts(s: float, index: int) -> FloatArray:
    """``P(N <= m)`` and its first two derivatives in s, rows m = 0, 1, ...; s > 0."""
    if index == 4:
        even, odd = _parts(2.0 * s)
        return np.asarray(0.5 * _sums(even + odd) * np.array([1.0, 2.0, 4.0]))
    even, odd = _parts(s)
    if index == 1:  # in turn
        return np.asarray(np.stack([_sums(even), _sums(odd)], axis=1).reshape(-1, 3))
    (a, a1, a2), (b, b1, b2) = even.T, odd.T
    product = [a * b, a1 * b + a * b1, a2 * b + 2.0 * a1 * b1 + a * b2]
    return _sums(np.stack(product, axis=1))


def _sums(values: ComplexArray) -> FloatArray:
    """Turn values on the circle into probabilities."""
    return np.asarray((_circle()[1] @ values).real)


def _parts(s: float) -> tuple[ComplexArray, ComplexArray]:
    """Generating functions of both parities on the circle, with two derivatives, (points, 3)."""
    x, weight = _rule(20 + 2 * int(s))
    x, root = 0.5 * (1.0 + x), np.sqrt(0.5 * weight)
    unit = np.outer(root, root)
    y = 1.0 - _circle()[0]

    def kernel(u: FloatArray) -> FloatArray:
        """Kernel of the difference u, interval (-1, 1), and its derivatives in s."""
        angle = 0.5 * np.pi * s * u
        sine = np.sin(angle)
        return np.stack(
            [0.5 * s * np.sinc(0.5 * s * u), 0.5 * np.cos(angle), -0.25 * np.pi * u * sine]
        )

    difference, total = kernel(np.subtract.outer(x, x)), kernel(np.add.outer(x, x))
    found = []
    for matrices in (difference + total, difference - total):
        rates, basis = np.linalg.eigh(unit * matrices[0])
        first, second = (basis.T @ (unit * matrix) @ basis for matrix in matrices[1:])
        inverse = 1.0 / (1.0 - np.multiply.outer(y, rates))
        value = np.prod(1.0 / inverse, axis=1)
        slope = -y * (inverse @ np.diag(first))
        bend = -y * (inverse @ np.diag(second))
        bend -= y**2 * np.sum(inverse @ first**2 * inverse, axis=1)
        found.append(np.stack([value, value * slope, value * (slope**2 + bend)], axis=1))
    return found[0], found[1]
