"""What every spectral law shares: SciPy's method names, one way in, one way out."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rmtstab import _checks
from rmtstab.laws._decimals import digits
from rmtstab.laws._expectation import expectation, moment_in_units

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


FAR = 1e10  # in units of the farthest edge: beyond it two terms of the series in 1/z are exact


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

    A law is a frozen dataclass: ``eval(repr(law)) == law`` and
    ``dataclasses.replace(law, ...)`` hold. Laws that accept ``loc`` are shifted by
    it. A subclass states its standard form (``loc`` = 0) in the hooks ``_pdf``,
    ``_cdf``, ``_sf``, ``_ppf``, ``_isf``, ``_edges``, ``_atoms``, ``_moment`` and, where
    it has a closed form, ``_var``; everything else follows.
    """

    loc: float = 0.0
    accuracy: ClassVar[float] = 2e-15  # absolute, of cdf and sf; the tests hold each law to it

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

    def _edges(self) -> FloatArray:
        raise NotImplementedError

    def _atoms(self) -> tuple[tuple[float, float], ...]:
        return ()

    def _moment(self, order: int) -> float:
        raise NotImplementedError

    def _var(self) -> float:
        centre = self.mean()
        return expectation(self, lambda x: (x - centre) ** 2)

    def edges(self) -> FloatArray:
        """Edges of the continuous part, one row ``(left, right)`` an interval.

        Returns
        -------
        ndarray, shape (n_intervals, 2), float64
            In increasing order.
        """
        return self._edges() + self.loc

    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Point masses, as pairs ``(location, mass)``; empty when there are none."""
        return tuple((at + self.loc, mass) for at, mass in self._atoms())

    def moment(self, order: int) -> float:
        """Moment about zero, ``E x**order``, atoms included.

        Parameters
        ----------
        order : int
            At least 0.

        Returns
        -------
        float
            Infinite where it exceeds the largest double.
        """
        k = _checks.integer("order", order, low=0)
        if self.loc == 0.0:
            return self._moment(k)
        parts = [self._moment(j) for j in range(k + 1)]
        if not np.isfinite(parts).all():  # then the shift may cancel it, or not
            bounded = np.isfinite(self.edges()).all()
            return moment_in_units(self, k, 0.0) if bounded else parts[k]
        with digits(40):
            shift = Decimal(self.loc)
            terms = [math.comb(k, j) * shift ** (k - j) * Decimal(m) for j, m in enumerate(parts)]
            total, largest = sum(terms, Decimal(0)), max(map(abs, terms))
        if abs(total) < Decimal("0.001") * largest and np.isfinite(self.edges()).all():
            return moment_in_units(self, k, 0.0)  # the sum has lost digits
        return float(total)

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
        return evaluate(self._pdf, points("x", x) - self.loc)

    def logpdf(self, x: Any) -> Any:
        """Logarithm of `pdf`; ``-inf`` where the density vanishes.

        Parameters
        ----------
        x : array_like of real numbers, any shape
        """
        return evaluate(self._logpdf, points("x", x) - self.loc)

    def cdf(self, x: Any) -> Any:
        """Probability of values at most `x`, atoms included.

        Parameters
        ----------
        x : array_like of real numbers, any shape

        Returns
        -------
        float or ndarray, shape of `x`, float64
        """
        return evaluate(self._cdf, points("x", x) - self.loc)

    def logcdf(self, x: Any) -> Any:
        """Logarithm of `cdf`, accurate also where `cdf` is close to 1.

        Parameters
        ----------
        x : array_like of real numbers, any shape
        """
        return evaluate(self._logcdf, points("x", x) - self.loc)

    def sf(self, x: Any) -> Any:
        """Probability of values above `x`, with its own relative accuracy.

        Parameters
        ----------
        x : array_like of real numbers, any shape

        Returns
        -------
        float or ndarray, shape of `x`, float64
        """
        return evaluate(self._sf, points("x", x) - self.loc)

    def logsf(self, x: Any) -> Any:
        """Logarithm of `sf`, accurate also where `sf` is close to 1.

        Parameters
        ----------
        x : array_like of real numbers, any shape
        """
        return evaluate(self._logsf, points("x", x) - self.loc)

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
        return evaluate(lambda p: self._ppf(p) + self.loc, _checks.probabilities("q", q))

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
        return evaluate(lambda p: self._isf(p) + self.loc, _checks.probabilities("q", q))

    def rvs(
        self,
        size: int | tuple[int, ...] | None = None,
        random_state: Any = None,
        *,
        rng: Any = None,
    ) -> Any:
        """Draw independent values of the law (not eigenvalues of one matrix, which repel).

        Parameters
        ----------
        size : int or tuple of int, optional
            Shape of the answer; one `float` when not given.
        random_state : Generator, RandomState, SeedSequence, BitGenerator or int, optional
            Source of randomness, or the seed of one; a fresh one when not given.
        rng : as `random_state`, optional
            The same by SciPy's newer name; give one of the two.

        Returns
        -------
        float or ndarray, shape `size`, float64

        Raises
        ------
        TypeError
            If both sources are given, or one that is none of the above.
        """
        if rng is not None and random_state is not None:
            raise TypeError("random_state and rng are one argument under two names: give one")
        source = random_state if rng is None else rng
        return self.ppf(_checks.random_source("random_state", source).random(size))

    def mean(self) -> float:
        """Mean, atoms included."""
        return self.moment(1)

    def median(self) -> float:
        """Median, ``ppf(0.5)``."""
        return float(self.ppf(0.5))

    def var(self) -> float:
        """Variance, atoms included; never by a difference of moments, which cancels."""
        return self._var()

    def std(self) -> float:
        """Standard deviation, atoms included."""
        return math.sqrt(self.var())

    def stats(self, moments: str = "mv") -> Any:
        """Mean, variance, skewness and excess kurtosis, as in SciPy.

        Parameters
        ----------
        moments : str
            Letters among ``"mvsk"``: which, in the order of the answer.

        Returns
        -------
        float or tuple of floats
            A float when one letter is given.

        Raises
        ------
        ValueError
            If another letter occurs, or none.
        """
        if not isinstance(moments, str) or not moments or set(moments) - set("mvsk"):
            raise ValueError(f"moments must consist of letters among 'mvsk', got {moments!r}")
        found = tuple(self._standard_moment("mvsk".index(letter) + 1) for letter in moments)
        return found if len(found) > 1 else found[0]

    def _standard_moment(self, order: int) -> float:
        if order < 3:
            return self.mean() if order == 1 else self.var()
        centre, unit = self.mean(), self.std()
        value = expectation(self, lambda x: ((x - centre) / unit) ** order)
        return value - 3.0 if order == 4 else value

    def expect(
        self,
        function: Callable[[Any], Any] | None = None,
        lb: float = -math.inf,
        ub: float = math.inf,
        conditional: bool = False,
    ) -> float:
        """Expectation of a function, atoms included, over ``[lb, ub]``.

        Parameters
        ----------
        function : callable, optional
            Of a number, or of an array of numbers (then it is called once for many);
            the identity when not given. An integrable singularity at an edge is allowed.
        lb, ub : float
            Ends of the range.
        conditional : bool
            Whether to divide by the probability of the range.

        Returns
        -------
        float
            By the double-exponential rule in the probability (see docs/laws): about
            1e-13 of the largest value for functions smooth inside each interval.

        Examples
        --------
        >>> from rmtstab.laws import Semicircle
        >>> round(Semicircle().expect(lambda x: x**4), 12)
        2.0
        """
        lower = -math.inf if _is(lb, -math.inf) else _checks.real("lb", lb)
        upper = math.inf if _is(ub, math.inf) else _checks.real("ub", ub)
        conditional = _checks.flag("conditional", conditional)
        if function is not None:
            _checks.function("function", function)
        given = (lambda x: x) if function is None else function
        value = expectation(self, given, lower, upper)
        if not conditional:
            return value
        inside = expectation(self, np.ones_like, lower, upper)
        if inside == 0.0:
            raise ValueError(
                f"conditional needs a probability between lb and ub, got 0 in [{lb}, {ub}]"
            )
        return value / inside

    def entropy(self) -> float:
        r"""Differential entropy :math:`-\int f\log f`; ``-inf`` for a law with atoms.

        Returns
        -------
        float
        """
        if self.atoms():
            return -math.inf

        def information(x: FloatArray) -> FloatArray:
            logarithm = np.asarray(self.logpdf(x))
            return np.where(np.isfinite(logarithm), -logarithm, 0.0)

        return expectation(self, information)

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

    @abc.abstractmethod
    def edge_scale(self) -> float:
        r"""Tracy–Widom scale of the top edge; each law says by which size it is normalised."""

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
        try:
            raw = np.asarray(z)
        except ValueError:  # ragged nesting, which `points` refuses
            raw = np.zeros(0)
        if raw.dtype.kind != "c":
            return evaluate(self._real_stieltjes, points("z", z))
        _checks.no_mask("z", z)
        values = np.ascontiguousarray(raw, dtype=np.complex128).ravel()
        result = self._complex_stieltjes(values).reshape(raw.shape)
        return complex(result) if result.ndim == 0 else result

    def _complex_stieltjes(self, z: ComplexArray) -> ComplexArray:
        """Evaluate above the axis alone: ``m(conj z) = conj m(z)``, whatever a kernel does."""
        below = np.signbit(z.imag)
        infinite = np.isinf(z.real) | np.isinf(z.imag)
        far = np.fmax(np.abs(z.real), np.abs(z.imag)) > FAR * np.abs(self.edges()).max()
        unknown = np.isnan(z) & ~infinite
        far |= unknown
        above = np.where(far, 1j, np.where(below, z.conj(), z))
        # by parts: complex arithmetic with a real number loses the sign of a zero
        above.real -= self.loc
        result = self._stieltjes(above)
        seen = np.where(far & ~infinite & ~unknown, np.where(below, z.conj(), z), 1.0)
        with np.errstate(over="ignore", under="ignore"):
            inverse = _inverse(seen)
        series = np.where(infinite, 0.0, -(1.0 + self.mean() * inverse) * inverse)
        result = np.where(far, series, result)
        # rounding of what is nearly real, which it is at the axis
        result.imag = np.where(result.imag < 0.0, 0.0, result.imag)
        result = np.where(unknown, complex(math.nan, math.nan), result)
        return np.where(below, result.conj(), result)

    def _real_stieltjes(self, z: FloatArray) -> FloatArray:
        inside = np.isnan(z)
        for left, right in self.edges():
            inside |= (z >= left) & (z <= right) if left == right else (z > left) & (z < right)
        for location, _ in self.atoms():
            inside |= z == location
        result = np.where(np.isinf(z), -0.0 * np.sign(z), np.nan)
        far = np.abs(z) > FAR * np.abs(self.edges()).max()
        distant = z[far & np.isfinite(z)]
        result[far & np.isfinite(z)] = -(1.0 + self.mean() / distant) / distant
        outside = ~inside & np.isfinite(z) & ~far
        result[outside] = self._stieltjes((z[outside] - self.loc).astype(np.complex128)).real
        return result


def _inverse(z: ComplexArray) -> ComplexArray:
    """Return 1/z, whatever the size: by a power of two, so that no square overflows."""
    exponent = np.frexp(np.fmax(np.abs(z.real), np.abs(z.imag)))[1]
    near = np.ldexp(z.real, -exponent) + 1j * np.ldexp(z.imag, -exponent)
    inverse = 1.0 / near
    return np.asarray(np.ldexp(inverse.real, -exponent) + 1j * np.ldexp(inverse.imag, -exponent))


def _log_of_pair(value: FloatArray, complement: FloatArray) -> FloatArray:
    """Return ``log(value)``, through the complement where the value is close to 1."""
    with np.errstate(divide="ignore"):
        return np.where(value < 0.5, np.log(value), np.log1p(-complement))


def _is(value: Any, infinity: float) -> bool:
    """Whether a bound is the infinity of its side, which stands for no bound."""
    value = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
    return isinstance(value, float | np.floating) and bool(value == infinity)
