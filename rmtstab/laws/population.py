r"""From sample eigenvalues back to the population's: atoms and weights, with their errors.

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
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy import special

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab.laws.base import ComplexArray, FloatArray
from rmtstab.laws.spike_tests import read_spectrum

ANGLE = 0.5  # of the contour's ray with the axis; from 0.3 to 0.8 the errors are the same
STEP = 0.1  # of the contour and of the grid of atoms, in logarithms
QUIET = 10.0  # components below QUIET/n of the largest are no longer Gaussian: left out
MOST_ATOMS = 8
WEIGHTLESS = 1e-6
LEAST, MOST = 1e-30, 1e48  # of the largest eigenvalue: atoms of the law lie in [1e-50, 1e50]
# where the intervals of atoms cover as they should, in standard errors: gaps and weights
APART, PRESENT = 10.0, 4.0

# (aspect ratio, atoms, weights) → law: the class that asks for the fit gives itself
Family = Callable[[float, FloatArray, FloatArray], Any]


@dataclass(frozen=True, repr=False)
class PopulationFit(Record):
    """A population spectrum recovered from sample eigenvalues.

    Attributes
    ----------
    law : GeneralizedMarchenkoPastur
        Of the sample eigenvalues as they were given, without the spikes.
    atoms : ndarray, shape (n_atoms,), float64
        Population eigenvalues, increasing. Of a singular matrix the first is 0.
    weights : ndarray, shape (n_atoms,), float64
        Their shares of the features; they sum to 1.
    atom_errors, weight_errors : ndarray, shape (n_atoms,), float64
        Standard errors, by the limit theorem for Gaussian data with the population found. Two of
        them cover the truth in 93 to 96 % of draws where `is_resolved` (n = 100 to 300).
    covariance : ndarray, shape (2 n_atoms, 2 n_atoms), float64
        Of atoms and weights, from which the errors are taken; an atom at 0 has none.
    condition : float
        Ratio of the best to the worst determined combination of relative changes of the
        parameters: by how much noise is amplified.
    separation : float
        Least gap between neighbouring atoms, in its standard errors; infinite for one atom.
    p_value : float
        Of the residual: chi-squared, small where so few atoms do not explain the eigenvalues;
        NaN where no freedom is left.
    spikes : ndarray, shape (n_spikes,), float64
        The eigenvalues left out, decreasing.
    level : float
        Of the tests by which the number of atoms was chosen; NaN if it was given.
    """

    dimensions: ClassVar = {
        "atoms": ("atom",),
        "weights": ("atom",),
        "atom_errors": ("atom",),
        "weight_errors": ("atom",),
        "covariance": ("parameter", "parameter_"),
        "spikes": ("spike",),
    }

    law: Any
    atoms: FloatArray
    weights: FloatArray
    atom_errors: FloatArray
    weight_errors: FloatArray
    covariance: FloatArray = field(repr=False)
    condition: float
    separation: float
    p_value: float
    spikes: FloatArray
    level: float
    shape: tuple[int, int] = field(repr=False)
    dyson_index: int = field(repr=False)
    family: Family = field(repr=False)

    @property
    def n_atoms(self) -> int:
        """Number of atoms, one at zero included."""
        return self.atoms.size

    @property
    def is_resolved(self) -> bool:
        """Whether gaps between atoms exceed ten standard errors, and weights four.

        Otherwise other atoms explain the eigenvalues nearly as well, and the standard errors, being
        those of a linear expansion, are too small: with gaps of 3 to 9, intervals of 95 % cover the
        truth in 65 to 90 % of draws. Then look at `bootstrap`.
        """
        present = self.weights > PRESENT * self.weight_errors
        return bool(self.separation > APART and present.all())

    def bootstrap(self, n_draws: int = 50, rng: Any = 0) -> tuple[FloatArray, FloatArray]:
        """Fit as many atoms to draws of Gaussian data with the population found.

        The spread shows what the standard errors, being asymptotic, miss.

        Parameters
        ----------
        n_draws : int
            At least 2. One costs about as much as the eigenvalues of the data.
        rng : Generator or int
            Source of randomness, or its seed.

        Returns
        -------
        atoms, weights : ndarray, shape (n_draws, n_atoms), float64
        """
        draws = _checks.integer("n_draws", n_draws, low=2)
        source = _checks.generator("rng", rng)
        n, p = self.shape
        # each feature has one of the atoms: as many as the weights say, to rounding
        ends = np.rint(p * np.cumsum(self.weights)).astype(int)
        sizes = np.repeat(self.atoms, np.diff(ends, prepend=0))
        columns = np.sqrt(sizes[sizes > 0.0])
        found = []
        for _ in range(draws):
            data = source.standard_normal((n, columns.size))
            if self.dyson_index == 2:
                data = (data + 1j * source.standard_normal(data.shape)) / math.sqrt(2.0)
            values = np.linalg.svd(data * columns, compute_uv=False) ** 2 / n
            values = np.append(values, np.zeros(p - values.size))
            fit = fit_population(
                self.family, values, n, p, self.n_atoms, dyson_index=self.dyson_index
            )
            found.append((fit.atoms, fit.weights))
        atoms, weights = (np.array(column) for column in zip(*found, strict=True))
        return atoms, weights


class _Population(NamedTuple):
    """Positive atoms and their weights."""

    atoms: FloatArray
    weights: FloatArray


class _Noise(NamedTuple):
    """What is known of the residual at the contour's points: real parts, then imaginary ones."""

    mean: FloatArray
    whiten: FloatArray  # (components, 2 n_points)

    def square(self, data: _Data, population: _Population) -> float:
        """Return the whitened residual's squared length."""
        t, w = population
        return float(np.sum((self.whiten @ (data.columns(t) @ w - data.target - self.mean)) ** 2))


class _Data(NamedTuple):
    """Silverstein's equation at points of a contour."""

    family: Family
    z: ComplexArray
    v: ComplexArray
    ratio: float
    n: int
    dyson_index: int

    def noise(self, population: _Population) -> _Noise:
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
        return _Noise(_real(mean), whiten)

    def columns(self, t: FloatArray) -> FloatArray:
        """Part of the residual that is linear in the weights."""
        return _real(self.ratio * t / (1.0 + np.multiply.outer(self.v, t)))

    @property
    def target(self) -> FloatArray:
        """What the columns times the weights should give, but for noise."""
        return _real(self.z + 1.0 / self.v)

    def jacobian(self, population: _Population) -> FloatArray:
        """Derivatives in the logarithms of atoms, then in those of unscaled weights."""
        t, w = population
        rest = 1.0 / (1.0 + np.multiply.outer(self.v, t))
        by_atom = _real(self.ratio * w * t * rest**2)
        by_weight = self.columns(t) * w
        by_weight -= np.multiply.outer(by_weight.sum(axis=1), w)
        return np.concatenate([by_atom, by_weight], axis=1)


def _real(values: Any) -> FloatArray:
    return np.concatenate([values.real, values.imag])


def fit_population(
    family: Family,
    eigenvalues: Any,
    n_samples: Any,
    n_features: Any = None,
    n_atoms: Any = "auto",
    n_spikes: Any = 0,
    level: Any = 0.05,
    dyson_index: Any = 1,
) -> PopulationFit:
    """Recover the population; the arguments are those of `GeneralizedMarchenkoPastur.fit`."""
    values, n, p = read_spectrum(eigenvalues, n_samples, n_features)
    dyson_index = _checks.choice("dyson_index", dyson_index, (1, 2))
    top = float(values[0])
    if not LEAST <= top <= MOST:
        raise ValueError(
            f"eigenvalues must have their largest in [{LEAST:g}, {MOST:g}], got {top!r}"
        )
    rate = _checks.real("level", level, low=0.0, high=1.0, low_open=True, high_open=True)
    count = _checks.integer(
        "n_spikes", n_spikes, low=0, high=values.size - 1, high_label="nonzero eigenvalues - 1"
    )
    # without the spikes' directions the data are (n - k) x (p - k), divided by n still
    spikes, values, n, p = values[:count], values[count:], n - count, p - count
    divisor = n / (n + count)
    seen = values[values > 1e-10 * values[0]] / divisor
    # fewer nonzero eigenvalues than the shape allows: that many features are exactly zero
    features = p if seen.size == min(n, p) else seen.size
    at_zero = int(features < p)
    automatic = isinstance(n_atoms, str)
    if automatic:
        _checks.choice("n_atoms", n_atoms, ("auto",))
        count, most = 1, MOST_ATOMS - at_zero
    else:
        count = _checks.integer("n_atoms", n_atoms, low=1 + at_zero, high=MOST_ATOMS) - at_zero
        most = count
    unit = float(seen.sum()) / features
    data = _contour(family, seen / unit, n, features / n, dyson_index)
    # an atom is at most the largest eigenvalue, and above the least by what smoothing does
    low, high = float(seen[-1]) / (1.0 + math.sqrt(features / n)) ** 2, 1.2 * float(seen[0])
    grid = _ladder(low if features <= n else min(low, 1e-4 * high), high) / unit
    start, noise = _on_grid(data, grid)
    best = _fit(data, _merged(start, count), noise, grid)
    if best is None:
        raise ValueError(
            f"n_atoms must be at most {(len(noise.whiten) + 1) // 2 + at_zero} for what these "
            f"eigenvalues determine, got {count + at_zero}"
        )
    while count < most and best.p_value < rate:
        count += 1
        richer = _fit(data, _merged(start, count), noise, grid)
        # the truth, too, is rejected at times: then another atom does not help
        if richer is None or special.gammaincc(1.0, 0.5 * richer.gain_over(best, data)) > rate:
            break
        best = richer
    return _assemble(
        family, best, unit, features, (n, p), spikes, rate if automatic else math.nan, dyson_index
    )


def _contour(family: Family, values: FloatArray, n: int, ratio: float, dyson_index: int) -> _Data:
    """Evaluate the data's companion transform on a ray around the spectrum."""
    # not nearer to zero: a few eigenvalues at a hard edge are no limit
    z = _ladder(float(values[-1 - values.size // 20]) / 1.5, 1.5 * float(values[0]))
    z = z * np.exp(1j * ANGLE)
    v = (1.0 / (values - z[:, None])).sum(axis=1) - (n - values.size) / z
    return _Data(family, z, v / n, ratio, n, dyson_index)


def _ladder(low: float, high: float) -> FloatArray:
    """Geometric steps over a range, at least forty."""
    return np.geomspace(low, high, max(40, math.ceil(math.log(high / low) / STEP)))


def _on_grid(data: _Data, grid: FloatArray) -> tuple[_Population, _Noise]:
    """Weights on a grid of atoms, at first without their covariance, then with it."""
    from scipy.optimize import nnls

    unit = np.tile(np.abs(data.z), 2)
    noise = _Noise(np.zeros(unit.size), np.diag(data.n / unit))
    population = _Population(np.ones(1), np.ones(1))
    for _ in range(3):
        matrix = noise.whiten @ data.columns(grid)
        weight = 1e3 * np.max(np.abs(matrix))  # they sum to 1
        matrix = np.vstack([matrix, np.full(grid.size, weight)])
        right = np.append(noise.whiten @ (data.target + noise.mean), weight)
        found, _ = nnls(matrix, right, maxiter=50 * grid.size)
        kept = found > 1e-6
        population = _Population(grid[kept], found[kept] / found[kept].sum())
        noise = data.noise(population)
    return population, noise


def _merged(population: _Population, count: int) -> _Population:
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
    return _Population(np.exp(places), weights)


def _polish(data: _Data, noise: _Noise, start: _Population, grid: FloatArray) -> _Population:
    """Least squares in the logarithms of atoms, within the grid, and of weights."""
    from scipy.optimize import least_squares

    count = start.atoms.size
    right = noise.whiten @ (data.target + noise.mean)

    def read(place: FloatArray) -> _Population:
        weights = np.exp(place[count:] - np.max(place[count:]))
        return _Population(np.exp(place[:count]), weights / weights.sum())

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
    return _Population(population.atoms[order], population.weights[order])


class _Fit(NamedTuple):
    """Atoms found, in units of the mean eigenvalue, and what is known of them."""

    population: _Population
    noise: _Noise
    covariance: FloatArray
    condition: float
    p_value: float

    def gain_over(self, other: _Fit, data: _Data) -> float:
        """By how much the residual's square is smaller, in units of this fit's noise."""
        return self.noise.square(data, other.population) - self.noise.square(data, self.population)


def _fit(data: _Data, guess: _Population, noise: _Noise, grid: FloatArray) -> _Fit | None:
    """Polish a guess; None if the data determine fewer combinations than it has parameters."""
    for _ in range(3):  # the covariance is that of the population found
        guess = _polish(data, noise, guess, grid)
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
    return _Fit(guess, noise, root @ root.T, float(size[0] / size[-1]), float(p_value))


def _assemble(
    family: Family,
    fit: _Fit,
    unit: float,
    features: int,
    shape: tuple[int, int],
    spikes: FloatArray,
    level: float,
    dyson_index: int,
) -> PopulationFit:
    """Return to the units of the data, with the atom at zero."""
    n, p = shape
    share, count = features / p, fit.population.atoms.size
    atoms, weights = unit * fit.population.atoms, share * fit.population.weights
    factor = np.repeat([unit, share], count)
    covariance = fit.covariance * np.outer(factor, factor)
    step = np.diff(np.eye(count, 2 * count), axis=0)
    with np.errstate(divide="ignore"):
        steps = np.diff(atoms) / np.sqrt(np.einsum("ia,ab,ib->i", step, covariance, step))
    if features < p:  # an atom at zero, of a weight known exactly
        atoms, weights = np.append(0.0, atoms), np.append(1.0 - share, weights)
        covariance = np.insert(covariance, [0, count], 0.0, axis=0)
        covariance = np.insert(covariance, [0, count], 0.0, axis=1)
    errors = np.sqrt(np.diag(covariance))
    return PopulationFit(
        law=family(p / n, atoms * (n / (n + spikes.size)), weights / math.fsum(weights)),
        atoms=atoms,
        weights=weights,
        atom_errors=errors[: atoms.size],
        weight_errors=errors[atoms.size :],
        covariance=covariance,
        condition=fit.condition,
        separation=float(steps.min(initial=math.inf)),
        p_value=fit.p_value,
        spikes=spikes.copy(),
        level=level,
        shape=shape,
        dyson_index=dyson_index,
        family=family,
    )
