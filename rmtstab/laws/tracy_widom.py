"""Tracy–Widom laws: fluctuations of the largest eigenvalue at a soft edge."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rmtstab import _checks
from rmtstab.kernels import laws_tracy_widom as kernel
from rmtstab.laws import _tracy_widom_tails as tails
from rmtstab.laws._decimals import digits
from rmtstab.laws.base import FloatArray, Law

# Tables are in the variable t of Painlevé II; x = t / factor.
FACTORS: dict[str, dict[int, float]] = {
    "tracy_widom": {1: 1.0, 2: 1.0, 4: math.sqrt(2.0)},
    "stochastic_airy": {1: 1.0, 2: 1.0, 4: 2.0 ** (2.0 / 3.0)},
    "rmtstat": {1: 1.0, 2: 1.0, 4: 1.0},
}


class _Table(NamedTuple):
    tail: FloatArray
    density: FloatArray
    low: int
    middle: int
    high: int


@lru_cache(maxsize=3)
def _table(index: int) -> _Table:
    with np.load(Path(__file__).with_name("tracy_widom.npz"), allow_pickle=False) as stored:
        tail, density = stored[f"tail{index}"], stored[f"density{index}"]
        low, middle, high = (int(v) for v in stored[f"range{index}"])
    for array in (tail, density):
        array.flags.writeable = False
    return _Table(tail, density, low, middle, high)


@dataclass(frozen=True)
class TracyWidom(Law):
    r"""Tracy–Widom law of Dyson index :math:`\beta` = 1, 2 or 4.

    .. math:: F_2(s) = \exp\Big(-\int_s^\infty (x-s)\,q(x)^2\,dx\Big), \quad
        F_1 = \sqrt{F_2}\;e^{-u/2}, \quad
        F_4(s/\sqrt2) = \sqrt{F_2}\,\cosh(u/2), \quad u = \int_s^\infty q(x)\,dx,

    with :math:`q'' = sq + 2q^3`, :math:`q \sim \mathrm{Ai}` at :math:`+\infty`.
    It is the limit of :math:`n^{2/3}(\lambda_1 - 2)` (in the scaling
    ``"stochastic_airy"``, for every index) for the largest eigenvalue of a
    Gaussian matrix whose spectrum fills :math:`[-2, 2]`.

    Parameters
    ----------
    dyson_index : {1, 2, 4}
        1 for real, 2 for complex, 4 for quaternion matrices.
    scaling : {None, "tracy_widom", "stochastic_airy", "rmtstat"}
        Matters for index 4 only. `None` is ``"tracy_widom"``: the convention of Tracy
        and Widom (1996), Bornemann and Mathematica, mean -2.30688. ``"stochastic_airy"``
        (Ramírez, Rider and Virág) has mean -2.05520; ``"rmtstat"`` (the R package
        RMTstat and tables derived from it) -3.26243.

    Raises
    ------
    TypeError
        If ``dyson_index`` is not a number.
    ValueError
        If ``dyson_index`` is not positive, or ``scaling`` unknown.
    NotImplementedError
        For other positive indices: not yet.

    Notes
    -----
    Logarithms of `F`, `1 - F` and of the density are tabulated as polynomials of
    degree 17 on unit panels, from a solution of Painlevé II at 170 digits
    (``validation/tabulate_tracy_widom.py``), down to values below the smallest
    double. Hence relative accuracy in both tails. Beyond, ``logpdf``, ``logcdf`` and
    ``logsf`` follow asymptotic expansions and never underflow.

    References
    ----------
    C. A. Tracy and H. Widom, Commun. Math. Phys. 159 (1994), 151, eq. (1.17);
    177 (1996), 727, eqs. (52)-(54). F. Bornemann, Math. Comp. 79 (2010), 871,
    for the determinants against which the tables are tested. J. Baik,
    R. Buckingham and J. DiFranco, Commun. Math. Phys. 280 (2008), 463, for the
    constants of the left tail.

    Examples
    --------
    >>> from rmtstab.laws import TracyWidom
    >>> law = TracyWidom(2)
    >>> round(law.cdf(-2.0), 12)
    0.413224142505
    >>> law.sf(50.0) < 1e-200
    True
    >>> round(TracyWidom(4).mean(), 6), round(TracyWidom(4, "rmtstat").mean(), 6)
    (-2.306885, -3.262428)
    """

    dyson_index: int
    scaling: str | None = None
    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        index = _checks.real("dyson_index", self.dyson_index, low=0.0, low_open=True)
        if index not in (1.0, 2.0, 4.0):
            raise NotImplementedError(
                f"dyson_index must be 1, 2 or 4, got {self.dyson_index!r}: "
                "other positive indices are not yet available"
            )
        object.__setattr__(self, "dyson_index", int(index))
        _checks.choice("scaling", self.scaling, (None, *FACTORS))
        matters = self.dyson_index == 4 and self.scaling is not None
        object.__setattr__(self, "scaling", self.scaling if matters else "tracy_widom")
        object.__setattr__(self, "loc", _checks.real("loc", self.loc))
        scale = _checks.real("scale", self.scale, low=1e-150, high=1e150)
        object.__setattr__(self, "scale", scale)

    @property
    def _factor(self) -> float:
        return FACTORS[self.scaling or "tracy_widom"][self.dyson_index] / self.scale

    def _edges(self) -> FloatArray:
        return np.array([[-math.inf, math.inf]])

    def _moment(self, order: int) -> float:
        """Trapezoidal rule in logarithms: geometric convergence, no overflow on the way."""
        table = _table(self.dyson_index)
        # where |x|**order times the density is largest: t**1.5 ~ order, -t**3 ~ 8 order
        low = table.low - math.ceil(3.0 * (8.0 * order) ** (1.0 / 3.0))
        high = table.high + math.ceil(3.0 * order ** (2.0 / 3.0))
        x = np.arange(16 * low + 1, 16 * high) / (16.0 * self._factor)
        with np.errstate(divide="ignore"):
            logarithm = self._logpdf(x) + (order * np.log(np.abs(x)) if order else 0.0)
        top = float(logarithm.max())
        total = np.sum(np.where(x < 0.0, (-1.0) ** order, 1.0) * np.exp(logarithm - top))
        total = float(total) / (16.0 * self._factor)
        with digits(40):
            return float(Decimal(total) * Decimal(top).exp())

    def _var(self) -> float:
        table = _table(self.dyson_index)
        x = np.arange(16 * table.low + 1, 16 * table.high) / (16.0 * self._factor)
        weights = self._pdf(x) / (16.0 * self._factor)
        return float(np.sum(weights * (x - self._moment(1)) ** 2))

    def _tail(self, x: FloatArray, mode: int) -> FloatArray:
        table, out = _table(self.dyson_index), np.empty(x.size)
        factor = self._factor
        off = kernel.tail(x, factor, table.tail, table.low, table.middle, table.high, mode, out)
        if off and mode in (kernel.LOGCDF, kernel.LOGSF):
            t = factor * x
            far = t < table.low if mode == kernel.LOGCDF else t >= table.high
            expansion = tails.log_cdf if mode == kernel.LOGCDF else tails.log_sf
            out[far] = expansion(t[far], self.dyson_index)
        return out

    def _density(self, x: FloatArray, logarithm: bool) -> FloatArray:
        table, out = _table(self.dyson_index), np.empty(x.size)
        factor = self._factor
        off = kernel.density(x, factor, table.density, table.low, table.high, logarithm, out)
        if off and logarithm:
            t = factor * x
            for far, expansion in (
                (t < table.low, tails.log_left_density),
                (t >= table.high, tails.log_right_density),
            ):
                out[far] = expansion(t[far], self.dyson_index) + math.log(factor)
        return out

    def _pdf(self, x: FloatArray) -> FloatArray:
        return self._density(x, False)

    def _logpdf(self, x: FloatArray) -> FloatArray:
        return self._density(x, True)

    def _cdf(self, x: FloatArray) -> FloatArray:
        return self._tail(x, kernel.CDF)

    def _sf(self, x: FloatArray) -> FloatArray:
        return self._tail(x, kernel.SF)

    def _logcdf(self, x: FloatArray) -> FloatArray:
        return self._tail(x, kernel.LOGCDF)

    def _logsf(self, x: FloatArray) -> FloatArray:
        return self._tail(x, kernel.LOGSF)

    def _quantile(self, q: FloatArray, upper: bool) -> FloatArray:
        table, out = _table(self.dyson_index), np.empty(q.size)
        kernel.quantile(
            q, self._factor, table.tail, table.low, table.middle, table.high, upper, out
        )
        return out

    def _ppf(self, q: FloatArray) -> FloatArray:
        return self._quantile(q, False)

    def _isf(self, q: FloatArray) -> FloatArray:
        return self._quantile(q, True)
