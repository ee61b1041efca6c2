r"""Laws of the k-th largest eigenvalue for the Dyson indices 1, 2 and 4, by determinants.

With :math:`T_s` the kernel :math:`\tfrac12\mathrm{Ai}\big(\tfrac{x+y}2\big)` on
:math:`(s, \infty)` and :math:`\tau_i` its eigenvalues, the numbers of eigenvalues beyond
`s` have the generating functions

.. math:: E_2\,z^N = \prod_i\big(1 - (1-z)\tau_i^2\big), \qquad
    E_1\,z^N = \frac{D(a) + t\,D(-a)}{1 + t}, \quad D(a) = \prod_i(1 - a\tau_i),

where :math:`z = 2t/(1+t^2)` and :math:`a = (1-t^2)/(1+t^2)`; for index 4 every second
eigenvalue of index 1 counts. Derived in docs/laws/tracy_widom from:

P. Ferrari and H. Spohn, J. Phys. A 38 (2005), L557; M. Dieng, Int. Math. Res. Not. 2005, 2263,
Theorem 1.2; F. Bornemann, Math. Comp. 79 (2010), 871, for the quadrature; P. Forrester and
E. Rains, Random Matrix Models and their Applications (2001), 171, for the decimation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

FloatArray = NDArray[np.float64]
RADIUS = 0.9


def eigenvalues(s: FloatArray, nodes: int) -> FloatArray:
    """Eigenvalues of T, shape (len(s), nodes), for s above -30."""
    found = np.empty((s.size, nodes))
    upper = np.triu_indices(nodes)
    kernel = np.zeros((nodes, nodes))
    point, weight = np.polynomial.legendre.leggauss(nodes)
    for row, left in zip(found, s, strict=True):
        half = 13.0 - min(left, 0.0)  # Ai(13) = 1e-15
        x, root = half * (1.0 + point), np.sqrt(half * weight)
        kernel[upper] = special.airy(left + 0.5 * (x[upper[0]] + x[upper[1]]))[0]
        row[:] = np.linalg.eigvalsh(0.5 * root[:, None] * kernel * root, UPLO="U")
    return found


def below(s: FloatArray, index: int, k: int) -> FloatArray:
    """P(k-th largest eigenvalue <= s), s the variable of Painlevé II."""
    count = 2 * k if index == 4 else k
    tau = eigenvalues(s, 60 + 4 * count)
    if index == 2:
        return _poisson_binomial(tau**2, k)
    tau = tau[:, np.abs(tau).max(axis=0) > 1e-20]
    # the products are large and cancel: long doubles, where the machine has them
    points = 2 * count + 24
    turn = np.pi * np.arange(points + 1, dtype=np.longdouble)[1::2] / points  # half a circle
    z = RADIUS * np.exp(1j * turn)
    t = (1.0 - np.sqrt(1.0 - z * z)) / z
    a = (1.0 - t * t) / (1.0 + t * t)
    up, down = (np.prod(1.0 - sign * a[:, None, None] * tau, axis=2) for sign in (1.0, -1.0))
    values = (up + t[:, None] * down) / (1.0 + t[:, None])
    order = np.arange(count)
    back = np.exp(-1j * np.outer(order, turn)) * RADIUS ** -order[:, None].astype(np.longdouble)
    return np.asarray(2.0 * (back.sum(axis=0) @ values).real / points, dtype=float)


def _poisson_binomial(rates: FloatArray, k: int) -> FloatArray:
    """P(fewer than k successes) of independent trials, one row of rates a point; all positive."""
    terms = np.zeros((k, rates.shape[0]))
    terms[0] = 1.0
    for p in rates.T:
        terms[1:] = terms[1:] * (1.0 - p) + terms[:-1] * p
        terms[0] *= 1.0 - p
    return np.asarray(terms.sum(axis=0))


def joint(x: float, y: float) -> float:
    """P(largest <= x, second <= y) for index 2, y <= x: none beyond x, at most one beyond y."""
    point, weight = np.polynomial.legendre.leggauss(60)
    top = max(y, 0.0) + 16.0
    x = min(x, top - 1.0)
    # nodes on both sides of x
    halves = 0.5 * (x - y), 0.5 * (top - x)
    points = np.concatenate([y + halves[0] * (1.0 + point), x + halves[1] * (1.0 + point)])
    weights = np.concatenate([half * weight for half in halves])
    ai, slope = special.airy(points)[:2]
    gap = points[:, None] - points
    same = gap == 0.0
    kernel = (np.outer(ai, slope) - np.outer(slope, ai)) / np.where(same, 1.0, gap)
    kernel = np.where(same, slope**2 - points * ai**2, kernel)
    kernel *= np.sqrt(np.outer(weights, weights))
    near, cross, far = kernel[:60, :60], kernel[:60, 60:], kernel[60:, 60:]
    rest = np.eye(60) - far
    rates = np.linalg.eigvalsh(near + cross @ np.linalg.solve(rest, cross.T))
    few = _poisson_binomial(np.clip(rates, 0.0, 1.0)[None], 2)
    return float(np.linalg.det(rest) * few[0])
