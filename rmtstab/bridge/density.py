"""Spectral density of a curvature operator by stochastic Lanczos quadrature."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.sparse.linalg import LinearOperator
from scipy.special import erf

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import Estimate, FloatArray
from rmtstab.bridge.estimates import check_operator

WIDTHS = 1e-150, 1e150  # of smoothing: squares of densities are doubles


@dataclass(frozen=True, repr=False)
class SpectralDensity(Record):
    """Eigenvalue distribution as seen by each of several random probes.

    Each probe gives a discrete measure with the same first ``2 · n_steps − 1`` moments as
    the operator seen from it; their mean estimates the spectrum, their spread its error.

    Attributes
    ----------
    nodes, weights : ndarray, shape (n_probes, n_steps), float64
        Ritz values and their masses, which sum to 1 a probe; padded with mass 0 where
        Lanczos found an invariant subspace early.
    size : int
        d, the number of eigenvalues.
    """

    dimensions: ClassVar = {
        "nodes": ("probe", "node"),
        "weights": ("probe", "node"),
    }
    drawn_by = "spectral_density"

    nodes: FloatArray
    weights: FloatArray
    size: int

    def moment(self, order: int) -> Estimate:
        """``tr A^order / d`` with its standard error over probes.

        Parameters
        ----------
        order : int

        Returns
        -------
        Estimate
        """
        order = _checks.integer("order", order, low=0)
        value, error = self._over_probes((self.weights * self.nodes**order).sum(axis=1))
        return Estimate(float(value), float(error))

    def cdf(self, x: Any) -> tuple[FloatArray, FloatArray]:
        """Share of eigenvalues ≤ x, and its standard error over probes.

        Parameters
        ----------
        x : array_like

        Returns
        -------
        tuple of ndarray, of the shape of x
        """
        points = _checks.array("x", x)
        below = self.nodes[:, :, None] <= points.ravel()
        value, error = self._over_probes((self.weights[:, :, None] * below).sum(axis=1))
        return value.reshape(points.shape), error.reshape(points.shape)

    def smooth_cdf(self, x: Any, width: float) -> tuple[FloatArray, FloatArray]:
        """`cdf` of the density smoothed by a normal law of standard deviation ``width``.

        Parameters
        ----------
        x : array_like
        width : float
            In [1e-150, 1e150], in the units of eigenvalues.

        Returns
        -------
        tuple of ndarray, of the shape of x
        """
        points = _checks.array("x", x)
        width = _checks.real("width", width, low=WIDTHS[0], high=WIDTHS[1])
        with np.errstate(over="ignore"):  # infinitely far: 0 or 1
            steps = (points.ravel() - self.nodes[:, :, None]) / (width * math.sqrt(2.0))
        value, error = self._over_probes(
            (self.weights[:, :, None] * 0.5 * (1 + erf(steps))).sum(axis=1)
        )
        return value.reshape(points.shape), error.reshape(points.shape)

    def pdf(self, x: Any, width: float) -> tuple[FloatArray, FloatArray]:
        """Density smoothed by a normal law, and its standard error over probes.

        Parameters
        ----------
        x : array_like
        width : float
            Standard deviation of the smoothing, in [1e-150, 1e150], in the units of eigenvalues.

        Returns
        -------
        tuple of ndarray, of the shape of x
        """
        points = _checks.array("x", x)
        width = _checks.real("width", width, low=WIDTHS[0], high=WIDTHS[1])
        with np.errstate(over="ignore"):  # infinitely far: 0
            steps = (points.ravel() - self.nodes[:, :, None]) / width
            kernel = np.exp(-0.5 * steps**2) / (width * math.sqrt(2.0 * math.pi))
        value, error = self._over_probes((self.weights[:, :, None] * kernel).sum(axis=1))
        return value.reshape(points.shape), error.reshape(points.shape)

    @property
    def support(self) -> tuple[float, float]:
        """Smallest and largest Ritz value."""
        seen = self.nodes[self.weights > 0]
        return float(seen.min()), float(seen.max())

    def _over_probes(self, draws: FloatArray) -> tuple[FloatArray, FloatArray]:
        n = len(draws)
        error = (
            draws.std(axis=0, ddof=1) / math.sqrt(n) if n > 1 else np.full(draws.shape[1:], np.inf)
        )
        mean: FloatArray = draws.mean(axis=0)
        return mean, error


def spectral_density(
    operator: LinearOperator,
    n_probes: int = 10,
    n_steps: int = 80,
    *,
    rng: np.random.Generator | int = 0,
) -> SpectralDensity:
    r"""Estimate the eigenvalue distribution of a symmetric operator.

    ``E[gᵀ f(A) g] = tr f(A)/d`` for g uniform on the sphere, each by Gauss quadrature on
    the Lanczos matrix of A from g. The Lanczos basis is orthogonalised twice against all
    of itself at each step: no eigenvalue appears twice (no ghosts).

    Parameters
    ----------
    operator : scipy.sparse.linalg.LinearOperator
        Symmetric, of real numbers.
    n_probes : int, default 10
        Random starting vectors.
    n_steps : int, default 80
        Products a probe; the basis takes ``n_steps · d`` numbers.
    rng : numpy.random.Generator or int, default 0

    Returns
    -------
    SpectralDensity

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    Golub and Meurant, *Matrices, Moments and Quadrature* (2010), Chapter 7; Ghorbani,
    Krishnan and Xiao, arXiv:1901.10159, for Hessians of networks.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse.linalg import aslinearoperator
    >>> from rmtstab import bridge
    >>> density = bridge.spectral_density(aslinearoperator(np.diag([1.0, 2.0, 3.0])))
    >>> [round(end, 9) for end in density.support]
    [1.0, 3.0]
    """
    d = check_operator(operator)
    n_probes = _checks.integer("n_probes", n_probes, low=1)
    n_steps = min(_checks.integer("n_steps", n_steps, low=1), d)
    rng = _checks.generator("rng", rng)
    nodes, weights = np.zeros((n_probes, n_steps)), np.zeros((n_probes, n_steps))
    basis = np.empty((n_steps, d))
    for probe in range(n_probes):
        diagonal, off = _lanczos(operator, rng.standard_normal(d), basis)
        values, vectors = eigh_tridiagonal(diagonal, off)
        nodes[probe, : len(values)] = values
        weights[probe, : len(values)] = vectors[0] ** 2
    return SpectralDensity(nodes, weights, d)


def _lanczos(
    operator: LinearOperator, start: FloatArray, basis: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Diagonal and off-diagonal of the Lanczos matrix; ``basis`` (n_steps, d) is written over."""
    n_steps = len(basis)
    diagonal, off = np.zeros(n_steps), np.zeros(n_steps - 1)
    basis[0] = start / np.linalg.norm(start)
    scale = 0.0
    for step in range(n_steps):
        vector = operator.matvec(basis[step])
        diagonal[step] = basis[step] @ vector
        scale = max(scale, float(np.linalg.norm(vector)))
        known = basis[: step + 1]
        for _ in range(2):  # twice is enough (Kahan)
            vector = vector - (known @ vector) @ known
        length = float(np.linalg.norm(vector))
        if step + 1 == n_steps:
            break
        if length <= 1e-13 * scale:  # an invariant subspace
            return diagonal[: step + 1], off[:step]
        off[step] = length
        basis[step + 1] = vector / length
    return diagonal, off
