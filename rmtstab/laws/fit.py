"""From eigenvalues to a law: noise level, number of spikes, goodness of fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab.laws.base import FloatArray, SpectralLaw
from rmtstab.laws.generalized_marchenko_pastur import GeneralizedMarchenkoPastur
from rmtstab.laws.spike_tests import number_of_spikes, read_spectrum

METHODS = ("median", "ks", "mle")
LARGEST_DRAW = 400  # eigenvalues of a bootstrap draw; larger spectra are modelled at this size
GROUPS = 40  # atoms that stand for the weights of the samples


# (aspect ratio, variance) → law: the class that asks for the fit gives itself
Family = Callable[[float, float], SpectralLaw]


@dataclass(frozen=True, repr=False)
class SpectrumFit(Record):
    """A noise law fitted to eigenvalues.

    Attributes
    ----------
    law : MarchenkoPastur or GeneralizedMarchenkoPastur
        Of the eigenvalues that are not spikes, as they were given (divided by ``n_samples``).
        For weighted samples it describes the Gram matrix on the samples' side:
        the same nonzero eigenvalues.
    scale : float
        Variance of the noise.
    n_spikes : int
    error_rate : float
        Probability of one spike too many, where `n_spikes` was ``"auto"``; NaN otherwise.
    spikes : ndarray, shape (n_spikes,), float64
        The eigenvalues taken for signal, decreasing.
    ks_distance : float
        Largest distance between the distribution functions of the nonzero eigenvalues
        without spikes and of the law.
    method : str
    """

    dimensions: ClassVar = {
        "spikes": ("spike",),
    }

    law: SpectralLaw
    scale: float
    n_spikes: int
    error_rate: float
    spikes: FloatArray
    ks_distance: float
    method: str
    shape: tuple[int, int] = field(repr=False)
    family: Family = field(repr=False)
    weights: FloatArray | None = field(repr=False, default=None)

    @cached_property
    def p_value(self) -> float:
        """P-value of `ks_distance`: `goodness` with its defaults."""
        return self.goodness()

    def goodness(self, n_draws: int = 199, rng: Any = 0) -> float:
        """P-value of the distance, by parametric bootstrap.

        Eigenvalues of one matrix repel, and the scale was fitted: tables of
        Kolmogorov's law do not apply. White noise of the same shape is drawn, fitted in
        the same way, and its distance compared.

        Parameters
        ----------
        n_draws : int
            The least possible value is ``1 / (n_draws + 1)``.
        rng : Generator or int
            Source of randomness, or its seed.

        Returns
        -------
        float
            Small where the eigenvalues are not those of white noise and spikes.

        Notes
        -----
        Above 400 eigenvalues matrices of the same aspect ratio with 400 are drawn, and
        ``size * ks_distance`` is compared, whose law depends on the size only
        logarithmically.
        """
        draws = _checks.integer("n_draws", n_draws, low=1)
        source = _checks.generator("rng", rng)
        n, p = self.shape
        shrink = min(1.0, LARGEST_DRAW / min(n, p))
        size = max(1, round(n * shrink)), max(1, round(p * shrink))
        seen = min(n, p) * self.ks_distance
        shares = None if self.weights is None else _regroup(self.weights, size[0])
        noise = _NoiseLaw(self.family, *size, shares)
        count = 0
        for _ in range(draws):
            values = noise.draw(source)
            distance = noise.distance(values, noise.scale(values, self.method))
            count += min(size) * distance >= seen
        return (count + 1) / (draws + 1)


class _NoiseLaw:
    """Nonzero eigenvalues of white noise of unit variance, ``X.T @ diag(weights) @ X``."""

    def __init__(
        self,
        family: Family,
        n: int,
        p: int,
        weights: FloatArray | None = None,
        unit: float = 1.0,
    ) -> None:
        self.n, self.p, self.weights = n, p, weights
        self.rank = min(n, p)
        if weights is None:
            self.law: SpectralLaw = family(p / n, unit)
            self.atom = max(0.0, 1.0 - n / p)
        else:
            groups = _regroup(weights, min(weights.size, GROUPS))
            # the n x n Gram matrix: n rows, p columns, population p * weights
            atoms = groups * (p * unit * weights.sum() / groups.sum() * groups.size / weights.size)
            share = np.full(groups.size, 1.0 / groups.size)
            self.law = GeneralizedMarchenkoPastur(n / p, atoms, share)
            self.atom = max(0.0, 1.0 - p / n)

    def cdf(self, x: FloatArray) -> FloatArray:
        """Distribution function of a nonzero eigenvalue."""
        return np.asarray((self.law.cdf(x) - self.atom) / (1.0 - self.atom))

    def scale(self, values: FloatArray, method: str) -> float:
        """Variance of the noise from its eigenvalues, decreasing."""
        mean = float(np.mean(values)) / (self.law.mean() / (1.0 - self.atom))
        if method == "mle":
            return mean
        half = self.atom + 0.5 * (1.0 - self.atom)
        middle = float(np.median(values)) / float(self.law.ppf(half))
        if method == "median":
            return middle
        from scipy.optimize import minimize_scalar

        width = 3.0 / math.sqrt(self.rank)
        found = minimize_scalar(
            lambda t: self.distance(values, middle * math.exp(t)),
            bounds=(-width, width), method="bounded", options={"xatol": 1e-4 * width},
        )  # fmt: skip
        return middle * math.exp(float(found.x))

    def distance(self, values: FloatArray, scale: float) -> float:
        """Kolmogorov's distance of the eigenvalues, decreasing."""
        cdf, m = self.cdf(values[::-1] / scale), values.size
        steps = np.arange(m + 1) / m
        return float(max(np.max(steps[1:] - cdf), np.max(cdf - steps[:-1])))

    def draw(self, source: np.random.Generator) -> FloatArray:
        """Eigenvalues of one matrix, decreasing; white noise by its bidiagonal form."""
        from scipy.linalg import eigh_tridiagonal

        if self.weights is not None:
            matrix = source.standard_normal((self.n, self.p)) * np.sqrt(self.weights)[:, None]
            return np.asarray(np.linalg.svd(matrix, compute_uv=False) ** 2)
        large, small = max(self.n, self.p), self.rank
        diagonal = source.chisquare(large - np.arange(small))
        lower = source.chisquare(np.arange(small - 1, 0, -1.0))
        main = diagonal + np.concatenate([[0.0], lower])
        side = np.sqrt(diagonal[:-1] * lower)
        return np.asarray(eigh_tridiagonal(main, side, eigvals_only=True)[::-1] / self.n)


def _regroup(weights: FloatArray, count: int) -> FloatArray:
    """Means of `count` equal shares of the sorted weights."""
    ordered = np.sort(weights)
    if count == ordered.size:
        return ordered
    total = np.concatenate([[0.0], np.cumsum(ordered)])
    ends = np.interp(np.linspace(0.0, ordered.size, count + 1), np.arange(ordered.size + 1), total)
    return np.asarray(np.diff(ends) * count / ordered.size)


def fit_noise(
    family: Family,
    eigenvalues: Any,
    n_samples: Any,
    n_features: Any = None,
    n_spikes: Any = "auto",
    method: str = "median",
    level: float = 0.05,
    weights: Any = None,
) -> SpectrumFit:
    """Fit the law; the arguments are those of `MarchenkoPastur.fit`."""
    _checks.choice("method", method, METHODS)
    values, n, p = read_spectrum(eigenvalues, n_samples, n_features)
    shares = None
    if weights is not None:
        shares = _checks.array("weights", weights, ndim=1)
        if shares.shape != (n,) or (shares <= 0.0).any():
            raise ValueError(f"weights must be n_samples={n} positive numbers")
        shares = shares / shares.sum()
    if isinstance(n_spikes, str):
        _checks.choice("n_spikes", n_spikes, ("auto",))
        count, rate = _count(family, values, n, p, level, shares, method), level
    else:
        count = _checks.integer(
            "n_spikes", n_spikes, low=0, high=values.size - 1, high_label="nonzero eigenvalues - 1"
        )
        rate = math.nan
    # without the spikes' directions the noise is (n - k) x (p - k), divided by n still
    rest = values[count:]
    trimmed = None if shares is None else _trim(shares, count)
    noise = _NoiseLaw(family, n - count, p - count, trimmed)
    unit = 1.0 if shares is not None else (n - count) / n
    scale = noise.scale(rest / unit, method)
    fitted = _NoiseLaw(family, n - count, p - count, noise.weights, scale * unit)
    return SpectrumFit(
        law=fitted.law,
        scale=scale,
        n_spikes=count,
        error_rate=rate,
        spikes=values[:count].copy(),
        ks_distance=noise.distance(rest / unit, scale),
        method=method,
        shape=(n - count, p - count),
        family=family,
        weights=noise.weights,
    )


def _trim(shares: FloatArray, count: int) -> FloatArray:
    """Weights of ``n - count`` samples: the mean ones of as many groups, of the same mean."""
    return shares if count == 0 else _regroup(shares, shares.size - count)


def _count(
    family: Family,
    values: FloatArray,
    n: int,
    p: int,
    level: float,
    shares: FloatArray | None,
    method: str,
) -> int:
    """Spikes by sequential tests; with weights by the Tracy–Widom law at the law's own edge."""
    if shares is None:
        return number_of_spikes(values, n, p, level=level).n_spikes
    from rmtstab.laws.tracy_widom import TracyWidom

    rate = _checks.real("level", level, low=0.0, high=1.0, low_open=True, high_open=True)
    critical = TracyWidom(1).isf(rate)
    for k in range(values.size - 1):
        noise = _NoiseLaw(family, n - k, p - k, _trim(shares, k))
        scale = noise.scale(values[k:], method)
        law = noise.law
        assert isinstance(law, GeneralizedMarchenkoPastur)
        edge = law.support()[1] + critical * law.edge_scale() * (p - k) ** (-2.0 / 3.0)
        if values[k] <= scale * edge:
            return k
    return values.size - 1
