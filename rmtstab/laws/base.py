"""What every spectral law shares: SciPy's method names, one way in, one way out."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtstab import _checks

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
Function = Callable[[FloatArray], FloatArray]


def evaluate(function: Function, values: FloatArray) -> Any:
    """Apply a function of a flat array; the shape comes back, and a scalar stays one."""
    result = function(values.ravel()).reshape(values.shape)
    return float(result) if result.ndim == 0 else result


def points(name: str, value: Any) -> FloatArray:
    """Read arguments of a density: real, any shape, NaN and infinities allowed."""
    return _checks.array(name, value, finite=False)


class Law(abc.ABC):
    r"""A deterministic law of eigenvalues, frozen once built.

    A law is :math:`F = \sum_i a_i\,\delta_{x_i} + f(x)\,dx` with total mass 1.

    Conventions shared by all laws: ``pdf`` is the density `f` of the continuous
    part, which integrates to ``1 - sum of the atoms' masses``; ``cdf(x)`` is
    :math:`F(-\infty, x]` and includes atoms; ``sf = 1 - cdf`` is computed on its
    own, so that small values keep their relative accuracy; ``ppf(q)`` is the
    smallest `x` with ``cdf(x) >= q`` and ``isf(q)`` the smallest with ``sf(x) <= q``.

    Arguments may be numbers or arrays of any shape, of integers or floats;
    everything is computed and returned in float64, a scalar (or an array
    without axes) as `float`. NaN gives NaN. Objects hold no mutable state and
    may be shared between threads.
    """

    @abc.abstractmethod
    def _pdf(self, x: FloatArray) -> FloatArray: ...

    @abc.abstractmethod
    def _cdf(self, x: FloatArray) -> FloatArray: ...

    @abc.abstractmethod
    def _sf(self, x: FloatArray) -> FloatArray: ...

    @abc.abstractmethod
    def _ppf(self, q: FloatArray) -> FloatArray: ...

    @abc.abstractmethod
    def _isf(self, q: FloatArray) -> FloatArray: ...

    @abc.abstractmethod
    def edges(self) -> FloatArray:
        """Edges of the continuous part, one row ``(left, right)`` an interval.

        Returns
        -------
        ndarray, shape (n_intervals, 2), float64
            In increasing order.
        """

    @abc.abstractmethod
    def moment(self, order: int) -> float:
        """Moment about zero, ``E x**order``, atoms included.

        Parameters
        ----------
        order : int
            At least 0.

        Returns
        -------
        float
        """

    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Point masses, as pairs ``(location, mass)``; empty when there are none."""
        return ()

    def support(self) -> tuple[float, float]:
        """Hull ``(left, right)`` of the continuous part; atoms are separate."""
        edges = self.edges()
        return float(edges[0, 0]), float(edges[-1, 1])

    def pdf(self, x: Any) -> Any:
        """Density of the continuous part at `x` (atoms are not in it).

        Parameters
        ----------
        x : array_like of real numbers, any shape

        Returns
        -------
        float or ndarray, shape of `x`, float64
        """
        return evaluate(self._pdf, points("x", x))

    def logpdf(self, x: Any) -> Any:
        """Logarithm of `pdf`; ``-inf`` where the density vanishes."""
        return evaluate(self._logpdf, points("x", x))

    def cdf(self, x: Any) -> Any:
        """Probability of values at most `x`, atoms included.

        Parameters
        ----------
        x : array_like of real numbers, any shape

        Returns
        -------
        float or ndarray, shape of `x`, float64
        """
        return evaluate(self._cdf, points("x", x))

    def logcdf(self, x: Any) -> Any:
        """Logarithm of `cdf`, accurate also where `cdf` is close to 1."""
        return evaluate(self._logcdf, points("x", x))

    def sf(self, x: Any) -> Any:
        """Probability of values above `x`, with its own relative accuracy.

        Parameters
        ----------
        x : array_like of real numbers, any shape

        Returns
        -------
        float or ndarray, shape of `x`, float64
        """
        return evaluate(self._sf, points("x", x))

    def logsf(self, x: Any) -> Any:
        """Logarithm of `sf`, accurate also where `sf` is close to 1."""
        return evaluate(self._logsf, points("x", x))

    def ppf(self, q: Any) -> Any:
        """Quantile: the smallest `x` with ``cdf(x) >= q``.

        Parameters
        ----------
        q : array_like of probabilities, any shape
            In ``[0, 1]``; anything else raises `ValueError`.

        Returns
        -------
        float or ndarray, shape of `q`, float64
        """
        return evaluate(self._ppf, _checks.probabilities("q", q))

    def isf(self, q: Any) -> Any:
        """Upper quantile: the smallest `x` with ``sf(x) <= q``; accurate for tiny `q`.

        Parameters
        ----------
        q : array_like of probabilities, any shape
            In ``[0, 1]``; anything else raises `ValueError`.

        Returns
        -------
        float or ndarray, shape of `q`, float64
        """
        return evaluate(self._isf, _checks.probabilities("q", q))

    def rvs(self, size: int | tuple[int, ...] | None = None, rng: Any = None) -> Any:
        """Draw independent values of the law (not eigenvalues of one matrix, which repel).

        Parameters
        ----------
        size : int or tuple of int, optional
            Shape of the answer; one `float` when not given.
        rng : Generator or int, optional
            Source of randomness, or the seed of one; a fresh one when not given.

        Returns
        -------
        float or ndarray, shape `size`, float64
        """
        source = np.random.default_rng() if rng is None else _checks.generator("rng", rng)
        return self.ppf(source.random(size))

    def mean(self) -> float:
        """Mean, atoms included."""
        return self.moment(1)

    def var(self) -> float:
        """Variance, atoms included."""
        return self.moment(2) - self.moment(1) ** 2

    def std(self) -> float:
        """Standard deviation, atoms included."""
        return math.sqrt(self.var())

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Equal-tailed interval that holds a given probability.

        Parameters
        ----------
        confidence : float
            In ``[0, 1]``.

        Returns
        -------
        tuple of two floats
            ``ppf((1 - confidence) / 2)`` and ``isf`` of the same.
        """
        tail = (1.0 - _checks.real("confidence", confidence, low=0.0, high=1.0)) / 2.0
        return self.ppf(tail), self.isf(tail)

    def _logpdf(self, x: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self._pdf(x)))

    def _logcdf(self, x: FloatArray) -> FloatArray:
        return _log_of_pair(self._cdf(x), self._sf(x))

    def _logsf(self, x: FloatArray) -> FloatArray:
        return _log_of_pair(self._sf(x), self._cdf(x))


class SpectralLaw(Law):
    r"""A limit law of spectra: bounded support, and a Stieltjes transform."""

    @abc.abstractmethod
    def _stieltjes(self, z: ComplexArray) -> ComplexArray: ...

    def stieltjes(self, z: Any) -> Any:
        r"""Stieltjes transform :math:`m(z) = \int dF(x)/(x - z)`.

        Parameters
        ----------
        z : array_like of real or complex numbers, any shape
            Real numbers must lie outside the support and off the atoms (NaN
            otherwise). A complex number with imaginary part ``+0`` stands for the
            boundary value from above, ``-0`` for that from below.

        Returns
        -------
        complex or ndarray, shape of `z`
            Real (float64) for real `z`, complex128 otherwise; ``Im m > 0`` in the
            upper half-plane and ``m(z) ~ -1/z`` at infinity.
        """
        raw = np.asarray(z)
        if raw.dtype.kind == "c":
            values = np.ascontiguousarray(raw, dtype=np.complex128)
            result = self._stieltjes(values.ravel()).reshape(raw.shape)
            return complex(result) if result.ndim == 0 else result
        return evaluate(self._real_stieltjes, points("z", z))

    def _real_stieltjes(self, z: FloatArray) -> FloatArray:
        inside = np.isnan(z)
        for left, right in self.edges():
            inside |= (z >= left) & (z <= right) if left == right else (z > left) & (z < right)
        for location, _ in self.atoms():
            inside |= z == location
        result = np.where(np.isinf(z), -0.0 * np.sign(z), np.nan)
        outside = ~inside & np.isfinite(z)
        result[outside] = self._stieltjes(z[outside].astype(np.complex128)).real
        return result


def _log_of_pair(value: FloatArray, complement: FloatArray) -> FloatArray:
    """Return ``log(value)``, through the complement where the value is close to 1."""
    with np.errstate(divide="ignore"):
        return np.where(value < 0.5, np.log(value), np.log1p(-complement))
