"""Intervals of a population's atoms and weights, by the profile of the residual's square."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rmtstab.laws._population_equation import (
    WEIGHTLESS,
    Equation,
    Family,
    Noise,
    Population,
    atom_grid,
    contour,
    polish,
)
from rmtstab.laws.base import FloatArray

STRIDE = 0.5  # of the search for an end, in logarithms, at most at first
NEAR = 0.01  # ends are right to this part of a standard error


class Ends(NamedTuple):
    """Lower and upper ends, 0 and infinite (or 1, of weights) where open."""

    atoms: FloatArray
    weights: FloatArray
    is_open: NDArray[np.bool_]


class Profile:
    """The least square of the residual with one atom, or one weight, held at a value.

    Atoms keep their order: their logarithms are one of them and the gaps on both sides.
    """

    def __init__(
        self, family: Family, values: FloatArray, n: int, features: int, dyson_index: int
    ) -> None:
        self.unit = float(values.sum()) / features
        ratio = features / n
        self.data: Equation = contour(family, values / self.unit, n, ratio, dyson_index)
        self.grid = atom_grid(values, n, features) / self.unit

    def ends(self, atoms: FloatArray, weights: FloatArray, deviations: float) -> Ends:
        """Find intervals that reach the square of ``deviations`` above the least residual."""
        guess = Population(atoms / self.unit, weights)
        self.noise: Noise = self.data.noise(guess)
        self.best = best = polish(self.data, self.noise, guess, self.grid)
        self.least = self.noise.square(self.data, best)
        count, share = atoms.size, best.weights
        rows = np.linalg.pinv(self.noise.whiten @ self.data.jacobian(best))
        by_atom, by_weight = rows[:count], rows[count:] - share @ rows[count:]
        out = Ends(np.empty((count, 2)), np.ones((count, 2)), np.zeros(count, dtype=bool))
        for i, side in np.ndindex(count, 2):
            place, error = math.log(float(best.atoms[i])), float(np.linalg.norm(by_atom[i]))
            reach = math.log(float(self.grid[-1 if side else 0])) - place
            end = self._end(partial(self._with_atom, i), place, error, reach, deviations)
            out.atoms[i, side] = self.unit * math.exp(end)
            out.is_open[i] |= math.isinf(end)
            if count > 1:
                place = float(special.logit(share[i]))
                error = float(np.linalg.norm(by_weight[i]) / (1.0 - share[i]))
                reach = (1.0 if side else -1.0) * -math.log(WEIGHTLESS) - place
                end = self._end(partial(self._with_weight, i), place, error, reach, deviations)
                out.weights[i, side] = special.expit(end)
                out.is_open[i] |= math.isinf(end)
        return out

    def _end(
        self,
        refit: Callable[[float, Population], tuple[float, Population]],
        start: float,
        error: float,
        reach: float,
        deviations: float,
    ) -> float:
        """Return where the root of the square's excess is ``deviations``, infinite if nowhere."""
        from scipy.optimize import brentq

        known = {0.0: -deviations}  # by the distance from the start
        inner = {0.0: self.best}  # what was fitted there, to start from

        def excess(distance: float) -> float:
            if distance not in known:
                near = inner[max(d for d in inner if d <= distance)]
                square, found = refit(start + math.copysign(distance, reach), near)
                known[distance] = math.sqrt(max(square - self.least, 0.0)) - deviations
                if known[distance] < 0.0:
                    inner[distance] = found
            return known[distance]

        most, low = abs(reach), 0.0
        high = min(deviations * error, STRIDE, most)
        if high == 0.0:  # a level that no number of deviations tells from 0
            return start
        while excess(high) < 0.0:
            if high == most:
                return math.copysign(math.inf, reach)
            low, high = high, min(2.0 * high, most)
        distance = brentq(excess, low, high, xtol=max(NEAR * min(error, high), 1e-300))
        return start + math.copysign(float(distance), reach)

    def _with_atom(self, i: int, value: float, near: Population) -> tuple[float, Population]:
        """Fit all but atom i, of the given logarithm."""
        t, w = near
        count = t.size
        order = np.arange(count)
        # logarithms of atoms from the gaps between neighbours
        steps = (order[1:] <= order[:, None]).astype(float) - (order[1:] <= i)

        def read(x: FloatArray) -> Population:
            weights = np.exp(x[count - 1 :] - np.max(x[count - 1 :]))
            return Population(np.exp(value + steps @ x[: count - 1]), weights / weights.sum())

        def slopes(population: Population) -> FloatArray:
            both = self.data.jacobian(population)
            return np.concatenate([both[:, :count] @ steps, both[:, count:]], axis=1)

        start = np.concatenate([np.diff(np.log(t)), np.log(w)])
        low = np.concatenate([np.zeros(count - 1), np.full(count, math.log(WEIGHTLESS))])
        high = np.concatenate([np.full(count - 1, self._span), np.zeros(count)])
        return self._least(read, slopes, start, low, high)

    def _with_weight(self, i: int, value: float, near: Population) -> tuple[float, Population]:
        """Fit all but weight i, of the given logarithm of its odds."""
        t, w = near
        count = t.size
        steps, others = np.tri(count), np.arange(count) != i
        share = 1.0 / (1.0 + math.exp(-value))

        def read(x: FloatArray) -> Population:
            weights = np.full(count, share)
            rest = np.exp(x[count:] - np.max(x[count:]))
            weights[others] = (1.0 - share) * rest / rest.sum()
            return Population(np.exp(steps @ x[:count]), weights)

        def slopes(population: Population) -> FloatArray:
            rest = population.weights[others]
            columns = self.data.columns(population.atoms)[:, others]
            mean = columns @ rest / (1.0 - share)
            by_weight = (columns - mean[:, None]) * rest
            return np.concatenate([self.data.by_atom(population) @ steps, by_weight], axis=1)

        rest = w[others]
        start = np.concatenate([np.log(t[:1]), np.diff(np.log(t)), np.log(rest / rest.max())])
        first = np.log(self.grid[[0, -1]])
        low = np.concatenate(
            [first[:1], np.zeros(count - 1), np.full(count - 1, math.log(WEIGHTLESS))]
        )
        high = np.concatenate([first[1:], np.full(count - 1, self._span), np.zeros(count - 1)])
        return self._least(read, slopes, start, low, high)

    @property
    def _span(self) -> float:
        return math.log(self.grid[-1] / self.grid[0])

    def _least(
        self,
        read: Callable[[FloatArray], Population],
        slopes: Callable[[Population], FloatArray],
        start: FloatArray,
        low: FloatArray,
        high: FloatArray,
    ) -> tuple[float, Population]:
        """Return the least square of the residual within bounds, and where it is."""
        from scipy.optimize import least_squares

        whiten, data = self.noise.whiten, self.data
        right = whiten @ (data.target + self.noise.mean)

        def residual(x: FloatArray) -> FloatArray:
            population = read(x)
            return (
                np.asarray(whiten @ (data.columns(population.atoms) @ population.weights)) - right
            )

        def jacobian(x: FloatArray) -> FloatArray:
            return np.asarray(whiten @ slopes(read(x)))

        start = np.clip(start, low + 1e-6, high - 1e-6)
        found = least_squares(residual, start, jac=jacobian, bounds=(low, high), max_nfev=100)
        return 2.0 * float(found.cost), read(found.x)
