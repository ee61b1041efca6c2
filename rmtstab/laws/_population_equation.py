r"""Silverstein's equation of data on a contour: its noise, and least squares in it.

The companion transform of the data, :math:`v_n(z) = \frac1n\sum_i (\lambda_i - z)^{-1}` with
`n` eigenvalues (zeros included), nearly solves Silverstein's equation,

.. math:: r(z) = -\frac1{v_n} + \gamma\sum_j\frac{w_jt_j}{1+t_jv_n} - z
    \approx z'(v)\,(v_n - v),

which is linear in the weights. On any contour around the spectrum :math:`n\,r` is Gaussian in the
limit, with the covariance (Bai and Silverstein's theorem, multiplied by :math:`z'`)

.. math:: \frac2\beta\Big[\frac1{(v_1-v_2)^2} - \frac{z'(v_1)\,z'(v_2)}{(z_1-z_2)^2}\Big],
    \qquad \Big(\frac2\beta - 1\Big)\frac{\gamma}{v\,z'}
    \sum_j\frac{w_jt_j^2}{(1+t_jv)^3}\ \text{its mean}.

Hence generalised least squares: weights on a grid first (a convex problem), merged into as many
atoms as asked, polished by Gauss and Newton. The residual is chi-squared, the errors are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from rmtstab.laws.base import ComplexArray, FloatArray

ANGLE = 0.5  # of the contour's ray with the axis; from 0.3 to 0.8 the errors are the same
STEP = 0.1  # of the contour and of the grid of atoms, in logarithms
QUIET = 10.0  # components below QUIET/n of the largest are no longer Gaussian: left out
WEIGHTLESS = 1e-6

# (aspect ratio, atoms, weights) → law: the class that asks for the fit gives itself
Family = Callable[[float, FloatArray, FloatArray], Any]


class Population(NamedTuple):
    """Positive atoms and their weights."""

    atoms: FloatArray
    weights: FloatArray


class Noise(NamedTuple):
    """What is known of the residual at the contour's points: real parts, then imaginary ones."""

    mean: FloatArray
    whiten: FloatArray  # (components, 2 n_points)

    def square(self, data: Equation, population: Population) -> float:
        """Return the whitened residual's squared length."""
        t, w = population
        return float(np.sum((self.whiten @ (data.columns(t) @ w - data.target - self.mean)) ** 2))


class Equation(NamedTuple):
    """Silverstein's equation at points of a contour."""

    family: Family
    z: ComplexArray
    v: ComplexArray
    ratio: float
    n: int
    dyson_index: int

    def noise(self, population: Population) -> Noise:
        """Mean and covariance of the residual for a population."""
        t, w = population
        law = self.family(self.ratio, t, w / math.fsum(w))
        v = -(1.0 - self.ratio) / self.z + self.ratio * law.stieltjes(self.z)
        rest = 1.0 / (1.0 + np.multiply.outer(v, t))
        s2, s3, s4 = ((t * rest) ** k @ (self.ratio * w) for k in (2, 3, 4))
        z1, z2, z3 = v**-2 - s2, 2.0 * (s3 - v**-3), 6.0 * (v**-4 - s4)

        def covariance(conjugate: bool) -> ComplexArray:
            other = [np.conj(a) if conjugate else a for a in (v, z1, self.z)]
            with np.errstate(divide="ignore", invalid="ignore"):
                out = np.subtract.outer(v, other[0]) ** -2.0
                out -= np.multiply.outer(z1, other[1]) * np.subtract.outer(self.z, other[2]) ** -2.0
            if not conjugate:  # the limit is Schwarz's derivative
                np.fill_diagonal(out, -(z3 / z1 - 1.5 * (z2 / z1) ** 2) / 6.0)
            return np.asarray(out)

        plain, crossed = covariance(False), covariance(True)
        blocks = [
            [(plain + crossed).real, (plain - crossed).imag],
            [(plain - crossed).imag.T, (crossed - plain).real],
        ]
        unit = np.tile(np.abs(self.z), 2)
        matrix = np.block(blocks) / (self.dyson_index * self.n**2) / np.outer(unit, unit)
        size, vectors = np.linalg.eigh(matrix)
        kept = size > size[-1] * min(QUIET / self.n, 0.1) ** 2
        whiten = (vectors[:, kept] / np.sqrt(size[kept])).T / unit
        mean = (t**2 * rest**3) @ w * self.ratio / (v * z1)
        mean *= (2.0 / self.dyson_index - 1.0) / self.n
        return Noise(in_parts(mean), whiten)

    def columns(self, t: FloatArray) -> FloatArray:
        """Part of the residual that is linear in the weights."""
        return in_parts(self.ratio * t / (1.0 + np.multiply.outer(self.v, t)))

    @property
    def target(self) -> FloatArray:
        """What the columns times the weights should give, but for noise."""
        return in_parts(self.z + 1.0 / self.v)

    def by_atom(self, population: Population) -> FloatArray:
        """Derivatives in the logarithms of atoms."""
        t, w = population
        rest = 1.0 / (1.0 + np.multiply.outer(self.v, t))
        return in_parts(self.ratio * w * t * rest**2)

    def jacobian(self, population: Population) -> FloatArray:
        """Derivatives in the logarithms of atoms, then in those of unscaled weights."""
        t, w = population
        by_weight = self.columns(t) * w
        by_weight -= np.multiply.outer(by_weight.sum(axis=1), w)
        return np.concatenate([self.by_atom(population), by_weight], axis=1)


def in_parts(values: Any) -> FloatArray:
    return np.concatenate([values.real, values.imag])


def contour(family: Family, values: FloatArray, n: int, ratio: float, dyson_index: int) -> Equation:
    """Evaluate the data's companion transform on a ray around the spectrum."""
    # not nearer to zero: a few eigenvalues at a hard edge are no limit
    z = ladder(float(values[-1 - values.size // 20]) / 1.5, 1.5 * float(values[0]))
    z = z * np.exp(1j * ANGLE)
    v = (1.0 / (values - z[:, None])).sum(axis=1) - (n - values.size) / z
    return Equation(family, z, v / n, ratio, n, dyson_index)


def ladder(low: float, high: float) -> FloatArray:
    """Geometric steps over a range, at least forty."""
    return np.geomspace(low, high, max(40, math.ceil(math.log(high / low) / STEP)))


def atom_grid(values: FloatArray, n: int, features: int) -> FloatArray:
    """Return where atoms may lie, for nonzero eigenvalues, decreasing."""
    # at most the largest eigenvalue, and above the least by what smoothing does
    low, high = float(values[-1]) / (1.0 + math.sqrt(features / n)) ** 2, 1.2 * float(values[0])
    return ladder(low if features <= n else min(low, 1e-4 * high), high)


def on_grid(data: Equation, grid: FloatArray) -> tuple[Population, Noise]:
    """Weights on a grid of atoms, at first without their covariance, then with it."""
    from scipy.optimize import nnls

    unit = np.tile(np.abs(data.z), 2)
    noise = Noise(np.zeros(unit.size), np.diag(data.n / unit))
    population = Population(np.ones(1), np.ones(1))
    for _ in range(3):
        matrix = noise.whiten @ data.columns(grid)
        weight = 1e3 * np.max(np.abs(matrix))  # they sum to 1
        matrix = np.vstack([matrix, np.full(grid.size, weight)])
        right = np.append(noise.whiten @ (data.target + noise.mean), weight)
        found, _ = nnls(matrix, right, maxiter=50 * grid.size)
        kept = found > 1e-6
        population = Population(grid[kept], found[kept] / found[kept].sum())
        noise = data.noise(population)
    return population, noise


def merged(population: Population, count: int) -> Population:
    """Merge neighbours of least cost, or split the heaviest, until there are as many as asked."""
    places, weights = np.log(population.atoms), population.weights
    while places.size > count:
        cost = weights[1:] * weights[:-1] / (weights[1:] + weights[:-1]) * np.diff(places) ** 2
        k = int(np.argmin(cost))
        total = weights[k] + weights[k + 1]
        middle = (weights[k] * places[k] + weights[k + 1] * places[k + 1]) / total
        places = np.concatenate([places[:k], [middle], places[k + 2 :]])
        weights = np.concatenate([weights[:k], [total], weights[k + 2 :]])
    while places.size < count:
        k = int(np.argmax(weights))
        half = 0.5 * weights[k]
        places = np.concatenate([places[:k], places[k] + [-0.1, 0.1], places[k + 1 :]])
        weights = np.concatenate([weights[:k], [half, half], weights[k + 1 :]])
    return Population(np.exp(places), weights)


def polish(data: Equation, noise: Noise, start: Population, grid: FloatArray) -> Population:
    """Least squares in the logarithms of atoms, within the grid, and of weights."""
    from scipy.optimize import least_squares

    count = start.atoms.size
    right = noise.whiten @ (data.target + noise.mean)

    def read(place: FloatArray) -> Population:
        weights = np.exp(place[count:] - np.max(place[count:]))
        return Population(np.exp(place[:count]), weights / weights.sum())

    def residual(place: FloatArray) -> FloatArray:
        population = read(place)
        return noise.whiten @ (data.columns(population.atoms) @ population.weights) - right

    def jacobian(place: FloatArray) -> FloatArray:
        return noise.whiten @ data.jacobian(read(place))

    # what the data do not determine wanders off to a bound
    low = np.repeat([math.log(grid[0]), math.log(WEIGHTLESS)], count)
    high = np.repeat([math.log(grid[-1]), 0.0], count)
    centre = np.concatenate([np.log(start.atoms), np.log(start.weights)])
    centre = np.clip(centre, low + 1e-6, high - 1e-6)
    found = least_squares(residual, centre, jac=jacobian, bounds=(low, high), max_nfev=100)
    population = read(found.x)
    order = np.argsort(population.atoms)
    return Population(population.atoms[order], population.weights[order])


class Fit(NamedTuple):
    """Atoms found, in units of the mean eigenvalue, and what is known of them."""

    population: Population
    noise: Noise
    covariance: FloatArray
    condition: float
    p_value: float

    def gain_over(self, other: Fit, data: Equation) -> float:
        """By how much the residual's square is smaller, in units of this fit's noise."""
        return self.noise.square(data, other.population) - self.noise.square(data, self.population)


def fit_atoms(data: Equation, guess: Population, noise: Noise, grid: FloatArray) -> Fit | None:
    """Polish a guess; None if the data determine fewer combinations than it has parameters."""
    for _ in range(3):  # the covariance is that of the population found
        guess = polish(data, noise, guess, grid)
        noise = data.noise(guess)
    t, w = guess
    count = t.size
    free = 2 * count - 1  # the sum of unscaled weights means nothing
    excess = len(noise.whiten) - free
    if excess < 0:
        return None
    _, size, right = np.linalg.svd(noise.whiten @ data.jacobian(guess), full_matrices=False)
    size = np.maximum(size[:free], 1e-100)
    p_value = special.gammaincc(0.5 * excess, 0.5 * noise.square(data, guess)) if excess else np.nan
    change = np.zeros((2 * count, 2 * count))
    change[:count, :count] = np.diag(t)
    change[count:, count:] = np.diag(w) - np.outer(w, w)
    root = change @ (right[:free].T / size)
    return Fit(guess, noise, root @ root.T, float(size[0] / size[-1]), float(p_value))
