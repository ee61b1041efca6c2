"""Spacings of eigenvalues in the bulk, and the number of them in an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy.special import wrightomega

from rmtstab import _checks
from rmtstab.kernels import laws_tracy_widom as kernel
from rmtstab.laws import _sine_determinants
from rmtstab.laws import _tracy_widom_numeric as numeric
from rmtstab.laws._decimals import digits
from rmtstab.laws.base import FloatArray, Law, evaluate

ORIGINS = ("eigenvalue", "point")
SMALLEST = 3e-15  # of a tabulated density: determinants give 1e-16 there
NEAREST = 1e-5  # below, a single power of s
LONGEST = 16.0  # where more eigenvalues may lie than the determinants count


class _Table(NamedTuple):
    """Logarithms of the tails and of the slope in t, a row a unit panel.

    ``t = factor (s + log s)``, the inverse of Wright's omega: powers of s below, Gaussians above.
    """

    panels: numeric.Table
    power: float  # F ~ s**power under the panels
    log_s: float  # where they begin
    log_f: float  # of F there
    log_density: float


def _values(s: FloatArray, index: int, k: int, origin: str) -> FloatArray:
    """Sf and density of the law at each point, (len(s), 2)."""
    counts = np.array([_sine_determinants.counts(float(v), index)[:k] for v in s])
    if origin == "point":
        return np.asarray(counts[:, k - 1, :2] * [1.0, -1.0])
    return np.asarray(counts[:, :, 1:].sum(axis=1) * [-1.0, 1.0])


@lru_cache(maxsize=32)
def _table(index: int, k: int, origin: str) -> _Table:
    """Tabulate a law, once a process."""
    centre = float(k) if origin == "eigenvalue" else k - 0.5
    place = np.linspace(0.7, 1.3, 13) * centre
    peak = _values(place, index, k, origin)[:, 1] * place / (1.0 + place)
    factor = 6.0 * float(peak.max())  # a few panels a standard deviation
    middle = math.floor(factor * (centre + math.log(centre)))
    found: dict[int, FloatArray] = {}
    for row, step in ((middle, 1), (middle - 1, -1)):  # outward, as far as determinants resolve
        while True:
            s = wrightomega((row + 0.5 * (1.0 + numeric.NODES)) / factor)
            values = _values(s, index, k, origin)
            if values[:, 1].min() < SMALLEST or s.min() < NEAREST:
                break
            values[:, 1] *= s / (1.0 + s) / factor
            found[row] = values
            row += step
    low, high = min(found), max(found) + 1
    sf, slopes = np.moveaxis(np.array([found[row] for row in range(low, high)]), 2, 0)
    inside, whole = numeric.integrals(slopes)
    powers = numeric.polynomials(np.log(slopes))
    # F from below, 1 - F from above: all terms positive
    pairs = k * (k + 1) // 2 if origin == "eigenvalue" else k * (k - 1) // 2
    power = float(k + index * pairs)
    start = float(wrightomega(low / factor))
    log_slope = float(np.polynomial.polynomial.polyval(-1.0, powers[0]))
    log_density = log_slope + math.log(factor * (1.0 + start) / start)
    first = math.exp(log_density) * start / power
    below = first + (np.cumsum(whole) - whole)[:, None] + inside
    last = sf[-1, 0] - (whole[-1] - inside[-1, 0])
    above = last + np.cumsum(whole[::-1])[::-1, None] - inside
    half = int(np.searchsorted(below[:, 0], 0.5))
    tail = np.where(np.arange(high - low)[:, None] < half, below, above)
    panels = numeric.Table(numeric.polynomials(np.log(tail)), powers, low, low + half, high, factor)
    return _Table(panels, power, math.log(start), math.log(first), log_density)


@dataclass(frozen=True)
class Spacing(Law):
    r"""Law of the spacings of eigenvalues in the bulk of a large random matrix.

    With :math:`E_\beta(j; s)` the probability of `j` eigenvalues in an interval of length `s`, the
    mean spacing being 1, the distance from an eigenvalue to the k-th next one has the density

    .. math:: p_\beta(k; s) = \frac{d^2}{ds^2} \sum_{j=0}^{k-1} (k - j)\,E_\beta(j; s), \qquad
        E_2(0; s) = \det\Big(1 - \frac{\sin\pi(x-y)}{\pi(x-y)}\Big)_{L^2(0,s)},

    and the distance from a fixed point to the k-th eigenvalue above it exceeds `s` with probability
    :math:`\sum_{j<k} E_\beta(j; s)`.

    Parameters
    ----------
    dyson_index : {1, 2, 4}
        Real, complex or quaternion matrices (orthogonal, unitary, symplectic class).
    k : int
        Which neighbour, from 1 to 10.
    origin : {"eigenvalue", "point"}
        Whence the distance is taken: an eigenvalue, or a fixed place of the spectrum.
    loc, scale : float
        The law of ``loc + scale * s``: `scale` is the mean spacing.

    Raises
    ------
    TypeError
        If a parameter is not a number.
    ValueError
        If a parameter is outside its range.

    Notes
    -----
    The law holds where the density of eigenvalues is positive and, over a few spacings, constant:
    spacings of a spectrum are to be divided by their local mean (multiply eigenvalues' differences
    by ``p * law.pdf``, or take differences of ``p * law.cdf(eigenvalues)``). At an edge it fails.

    Tables of logarithms, from Fredholm determinants by Gauss-Legendre quadrature, are computed in
    less than a second at first use. `F`, `1 - F` and the density are accurate to 1e-13 absolutely;
    where the density in units of the mean spacing is below about 1e-14, `F` continues to
    zero as the power that repulsion asks for, :math:`s^{k + \beta k(k+1)/2}`, and `1 - F` is 0.
    Wigner's surmise for the nearest neighbour is off by up to .016, .005, .002 in density.

    See Also
    --------
    gap_probability : the probabilities E themselves.
    TracyWidom : at the edge.

    References
    ----------
    M. L. Mehta, *Random Matrices*, 3rd ed. (2004), eqs. (6.1.16) and (6.1.17) with chapters 7 and
    11. F. Bornemann, Math. Comp. 79 (2010), 871, for the determinants.

    Examples
    --------
    >>> from rmtstab.laws import Spacing
    >>> law = Spacing(1)
    >>> round(law.mean(), 9), round(law.var(), 6)
    (1.0, 0.285531)
    >>> round(Spacing(2).cdf(0.1), 12), round(Spacing(4, k=2).median(), 6)
    (0.001088007283, 1.989615)
    >>> round(Spacing(2, origin="point").mean(), 6)
    0.589997
    """

    dyson_index: int = 1
    k: int = 1
    origin: str = "eigenvalue"
    loc: float = 0.0
    scale: float = 1.0
    accuracy: ClassVar[float] = 1e-13

    def __post_init__(self) -> None:
        index = _checks.choice("dyson_index", self.dyson_index, (1, 2, 4))
        object.__setattr__(self, "dyson_index", index)
        object.__setattr__(self, "dyson_index", int(self.dyson_index))
        object.__setattr__(self, "k", _checks.integer("k", self.k, low=1, high=10))
        _checks.choice("origin", self.origin, ORIGINS)
        object.__setattr__(self, "loc", _checks.real("loc", self.loc))
        scale = _checks.real("scale", self.scale, low=1e-150, high=1e150)
        object.__setattr__(self, "scale", scale)

    @property
    def _table(self) -> _Table:
        return _table(self.dyson_index, self.k, self.origin)

    def _edges(self) -> FloatArray:
        return np.array([[0.0, math.inf]])

    def _places(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Spacings in units of their mean, and their logarithms."""
        s = np.maximum(x, 0.0) / self.scale
        with np.errstate(divide="ignore"):
            return s, np.log(s)

    def _tail(self, x: FloatArray, mode: int) -> FloatArray:
        (s, log_s), out, table = self._places(x), np.empty(x.size), self._table
        t = table.panels
        kernel.tail(s + log_s, t.factor, t.tail, t.low, t.middle, t.high, mode, out)
        under = (log_s < table.log_s) & (s > 0.0)
        log_f = table.log_f + table.power * (log_s[under] - table.log_s)
        if mode in (kernel.CDF, kernel.LOGCDF):
            out[under] = np.exp(log_f) if mode == kernel.CDF else log_f
        else:
            out[under] = -np.expm1(log_f) if mode == kernel.SF else np.log1p(-np.exp(log_f))
        return out

    def _logpdf(self, x: FloatArray) -> FloatArray:
        (s, log_s), out, table = self._places(x), np.empty(x.size), self._table
        t = table.panels
        kernel.density(s + log_s, t.factor, t.density, t.low, t.high, True, out)
        with np.errstate(invalid="ignore"):
            out += np.log1p(s) - log_s
        under = (log_s < table.log_s) & (s > 0.0)
        out[under] = table.log_density + (table.power - 1.0) * (log_s[under] - table.log_s)
        out[s == math.inf] = -math.inf
        out[s == 0.0] = np.where((x[s == 0.0] == 0.0) & (table.power == 1.0), 0.0, -math.inf)
        return out - math.log(self.scale)

    def _pdf(self, x: FloatArray) -> FloatArray:
        return np.asarray(np.exp(self._logpdf(x)))

    def _cdf(self, x: FloatArray) -> FloatArray:
        return self._tail(x, kernel.CDF)

    def _sf(self, x: FloatArray) -> FloatArray:
        return self._tail(x, kernel.SF)

    def _logcdf(self, x: FloatArray) -> FloatArray:
        return self._tail(x, kernel.LOGCDF)

    def _logsf(self, x: FloatArray) -> FloatArray:
        return self._tail(x, kernel.LOGSF)

    def _quantile(self, q: FloatArray, upper: bool) -> FloatArray:
        table, out = self._table, np.empty(q.size)
        t = table.panels
        kernel.quantile(q, t.factor, t.tail, t.low, t.middle, t.high, upper, out)
        with np.errstate(divide="ignore"):
            log_f = np.log1p(-q) if upper else np.log(q)
        under = np.minimum(log_f - table.log_f, 0.0) / table.power
        s = np.where(under < 0.0, np.exp(table.log_s + under), wrightomega(out))
        return np.asarray(self.scale * s)

    def _ppf(self, q: FloatArray) -> FloatArray:
        return self._quantile(q, False)

    def _isf(self, q: FloatArray) -> FloatArray:
        return self._quantile(q, True)

    def _moment(self, order: int) -> float:
        """Gauss quadrature on each panel, and what lies under them."""
        table = self._table
        t, start, power = table.panels, math.exp(table.log_s), table.power
        node, weight = np.polynomial.legendre.leggauss(24)
        rows = np.arange(t.low, t.high)[:, None] + 0.5 * (1.0 + node)
        place = (rows / t.factor).ravel()
        out = np.empty(place.size)
        kernel.density(place, t.factor, t.density, t.low, t.high, True, out)
        weights = np.tile(weight, len(rows)) * (0.5 / t.factor)
        total = float(np.sum(weights * np.exp(out + order * np.log(wrightomega(place)))))
        total += math.exp(table.log_density) * start ** (order + 1) / (power + order)
        with digits(40):
            return float(Decimal(total) * Decimal(self.scale) ** order)


def gap_probability(k: int, length: Any, dyson_index: int = 1) -> Any:
    r"""Probability that an interval in the bulk holds exactly `k` eigenvalues.

    Parameters
    ----------
    k : int
        From 0 to 10.
    length : array_like of real numbers, any shape
        In mean spacings; in ``[0, 16]``.
    dyson_index : {1, 2, 4}
        Real, complex or quaternion matrices.

    Returns
    -------
    float or ndarray, shape of `length`, float64
        Accurate to 1e-14 absolutely.

    Raises
    ------
    TypeError, ValueError
        If an argument is outside its range.

    See Also
    --------
    Spacing : the laws that these probabilities give.

    References
    ----------
    M. L. Mehta, *Random Matrices*, 3rd ed. (2004), chapters 6, 7 and 11.

    Examples
    --------
    >>> from rmtstab.laws import gap_probability
    >>> round(gap_probability(0, 1.0, dyson_index=2), 12)
    0.170217421379
    >>> sum(gap_probability(k, 1.0) for k in range(8)).__round__(12)
    1.0
    """
    dyson_index = _checks.choice("dyson_index", dyson_index, (1, 2, 4))
    count = _checks.integer("k", k, low=0, high=10)
    lengths = _checks.array("length", length)
    if ((lengths < 0.0) | (lengths > LONGEST)).any():
        raise ValueError(f"length must lie in [0, {LONGEST:g}], got {lengths}")

    def probabilities(s: FloatArray) -> FloatArray:
        rows = [_sine_determinants.counts(float(v), int(dyson_index))[:, 0] for v in s]
        below = np.array(rows).reshape(s.size, -1) if s.size else np.zeros((0, count + 1))
        return np.asarray(below[:, count] - (below[:, count - 1] if count else 0.0))

    return evaluate(probabilities, lengths)
