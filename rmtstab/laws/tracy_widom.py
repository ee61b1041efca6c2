"""Tracy–Widom laws: fluctuations of the largest eigenvalue at a soft edge."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import numpy as np

from rmtstab import _checks
from rmtstab.kernels import laws_tracy_widom as kernel
from rmtstab.laws import _airy_determinants, _airy_pfaffians
from rmtstab.laws import _tracy_widom_numeric as numeric
from rmtstab.laws import _tracy_widom_tails as tails
from rmtstab.laws._decimals import digits
from rmtstab.laws.base import FloatArray, Law

STORED = (1, 2, 4)
# Tables are in the variable t of Painlevé II; x = t / factor.
FACTORS: dict[str, dict[int, float]] = {
    "tracy_widom": {1: 1.0, 2: 1.0, 4: math.sqrt(2.0)},
    "stochastic_airy": {1: 1.0, 2: 1.0, 4: 2.0 ** (2.0 / 3.0)},
    "rmtstat": {1: 1.0, 2: 1.0, 4: 1.0},
}


@lru_cache(maxsize=32)
def _table(index: float, k: int) -> numeric.Table:
    """Return a stored table, or compute one (once a process)."""
    if k > 1 or index not in STORED:
        return numeric.airy_table(int(index), k) if k > 1 else numeric.stochastic_table(index)
    with np.load(Path(__file__).with_name("tracy_widom.npz"), allow_pickle=False) as stored:
        tail, density = stored[f"tail{index}"], stored[f"density{index}"]
        low, middle, high = (int(v) for v in stored[f"range{index}"])
    for array in (tail, density):
        array.flags.writeable = False
    return numeric.Table(tail, density, low, middle, high, 1.0)


@dataclass(frozen=True)
class TracyWidom(Law):
    r"""Tracy–Widom law of any Dyson index, and those of the next eigenvalues.

    .. math:: F_2(s) = \exp\Big(-\int_s^\infty (x-s)\,q(x)^2\,dx\Big), \quad
        F_1 = \sqrt{F_2}\;e^{-u/2}, \quad
        F_4(s/\sqrt2) = \sqrt{F_2}\,\cosh(u/2), \quad u = \int_s^\infty q(x)\,dx,

    with :math:`q'' = sq + 2q^3`, :math:`q \sim \mathrm{Ai}` at :math:`+\infty`.
    It is the limit of :math:`n^{2/3}(\lambda_k - 2)` (in the scaling
    ``"stochastic_airy"``, for every index) for the k-th largest eigenvalue of a
    Gaussian matrix whose spectrum fills :math:`[-2, 2]`; for other indices, that of the
    tridiagonal model.

    Parameters
    ----------
    dyson_index : float
        1 for real, 2 for complex, 4 for quaternion matrices, any number in
        ``[0.1, 100]`` for the tridiagonal model.
    scaling : {None, "tracy_widom", "stochastic_airy", "rmtstat"}
        Matters for index 4 only. `None` is ``"tracy_widom"``: the convention of Tracy
        and Widom (1996), Bornemann and Mathematica, mean -2.30688. ``"stochastic_airy"``
        (Ramírez, Rider and Virág) has mean -2.05520; ``"rmtstat"`` (the R package
        RMTstat and tables derived from it) -3.26243. Indices other than 1, 2 and 4 know
        the scaling ``"stochastic_airy"`` alone.
    k : int
        Which eigenvalue, 1 for the largest; up to 10 for indices 1, 2 and 4, else 1.
    loc, scale : float
        The law of ``loc + scale * x``.

    Raises
    ------
    TypeError
        If a parameter is not a number.
    ValueError
        If a parameter is outside its range, or ``scaling`` unknown.

    Notes
    -----
    For the largest eigenvalue and indices 1, 2, 4 logarithms of `F`, `1 - F` and of
    the density are tabulated as polynomials of degree 17 on unit panels, from a solution of
    Painlevé II at 170 digits (``validation/tabulate_tracy_widom.py``), down to values
    below the smallest double. Hence relative accuracy in both tails. Beyond, ``logpdf``,
    ``logcdf`` and ``logsf`` follow asymptotic expansions and never underflow.

    Other indices come from a partial differential equation of the stochastic Airy operator,
    the next eigenvalues from Fredholm determinants; at first use this takes less than a second of
    one core, and is then kept. There `F` and `1 - F` are accurate to about 1e-11 absolutely, the
    density to 1e-9 of its peak; below 1e-11 they are 0, and their logarithms ``-inf``.

    References
    ----------
    C. A. Tracy and H. Widom, Commun. Math. Phys. 159 (1994), 151, eq. (1.17);
    177 (1996), 727, eqs. (52)-(54). F. Bornemann, Math. Comp. 79 (2010), 871,
    for the determinants. J. Baik, R. Buckingham and J. DiFranco, Commun. Math. Phys.
    280 (2008), 463, for the constants of the left tail. J. Ramírez, B. Rider and
    B. Virág, J. Amer. Math. Soc. 24 (2011), 919, Theorem 1.2, for any index.

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
    >>> round(TracyWidom(2, k=2).mean(), 6), round(TracyWidom(6).mean(), 6)
    (-3.675437, -2.149787)
    """

    dyson_index: float
    scaling: str | None = None
    k: int = 1
    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        index = _checks.real("dyson_index", self.dyson_index, low=0.1, high=100.0)
        _checks.choice("scaling", self.scaling, (None, *FACTORS))
        classical = index in STORED
        k = _checks.integer("k", self.k, low=1, high=10)
        if not classical:
            if k > 1:
                raise ValueError(f"k must be 1 for dyson_index {index!r} (not 1, 2 or 4), got {k}")
            if self.scaling not in (None, "stochastic_airy"):
                raise ValueError(
                    f"scaling must be 'stochastic_airy' for dyson_index {index!r} (not 1, 2 or 4), "
                    f"got {self.scaling!r}"
                )
        scaling = self.scaling or "tracy_widom"
        if index != 4:  # one law, one value
            scaling = "tracy_widom" if classical else "stochastic_airy"
        object.__setattr__(self, "dyson_index", int(index) if classical else index)
        object.__setattr__(self, "scaling", scaling)
        object.__setattr__(self, "k", k)
        object.__setattr__(self, "loc", _checks.real("loc", self.loc))
        scale = _checks.real("scale", self.scale, low=1e-150, high=1e150)
        object.__setattr__(self, "scale", scale)

    @property
    def _stored(self) -> bool:
        """Whether logarithms are known far into the tails."""
        return self.k == 1 and self.dyson_index in STORED

    @property
    def _factor(self) -> float:
        table = _table(self.dyson_index, self.k)
        factor = FACTORS[self.scaling or ""].get(int(self.dyson_index), 1.0)
        return (factor if self.dyson_index in STORED else 1.0) * table.factor / self.scale

    def _edges(self) -> FloatArray:
        return np.array([[-math.inf, math.inf]])

    def joint_cdf(self, largest: float, second: float) -> float:
        r"""Probability that the largest eigenvalue is at most one number, the next another.

        Fredholm determinants (Pfaffians for indices 1 and 4) on :math:`(\text{largest}, \infty)`,
        with at most one eigenvalue between the two numbers.

        Parameters
        ----------
        largest, second : float
            The numbers.

        Returns
        -------
        float
            Accurate to about 1e-13; takes some milliseconds for index 2, .1 s for 1 and 4.

        Raises
        ------
        ValueError
            If the index is not 1, 2 or 4, or ``k`` not 1.
        """
        if self.dyson_index not in STORED or self.k != 1:
            raise ValueError(
                f"joint_cdf needs dyson_index 1, 2 or 4 and k 1, "
                f"got {self.dyson_index!r} and {self.k}"
            )
        x, y = (
            (_checks.real(name, value) - self.loc) * self._factor
            for name, value in (("largest", largest), ("second", second))
        )
        if x <= y or min(x, y) < -20.0:  # then the largest decides
            return self.cdf(largest) if min(x, y) > -20.0 else 0.0
        if self.dyson_index == 2:
            return _airy_determinants.joint(x, y)
        return _airy_pfaffians.joint(x, y, int(self.dyson_index))

    def _moment(self, order: int) -> float:
        """Trapezoidal rule in logarithms: geometric convergence, no overflow on the way."""
        table = _table(self.dyson_index, self.k)
        # where |x|**order times the density is largest: t**1.5 ~ order, -t**3 ~ 8 order
        low, high = table.low, table.high
        if self._stored:
            low -= math.ceil(3.0 * (8.0 * order) ** (1.0 / 3.0))
            high += math.ceil(3.0 * order ** (2.0 / 3.0))
        x = np.arange(16 * low + 1, 16 * high) / (16.0 * self._factor)
        with np.errstate(divide="ignore"):
            logarithm = self._logpdf(x) + (order * np.log(np.abs(x)) if order else 0.0)
        top = float(logarithm.max())
        total = np.sum(np.where(x < 0.0, (-1.0) ** order, 1.0) * np.exp(logarithm - top))
        total = float(total) / (16.0 * self._factor)
        with digits(40):
            return float(Decimal(total) * Decimal(top).exp())

    def _var(self) -> float:
        table = _table(self.dyson_index, self.k)
        x = np.arange(16 * table.low + 1, 16 * table.high) / (16.0 * self._factor)
        weights = self._pdf(x) / (16.0 * self._factor)
        return float(np.sum(weights * (x - self._moment(1)) ** 2))

    def _tail(self, x: FloatArray, mode: int) -> FloatArray:
        table, out = _table(self.dyson_index, self.k), np.empty(x.size)
        factor = self._factor
        off = kernel.tail(x, factor, table.tail, table.low, table.middle, table.high, mode, out)
        if off and self._stored and mode in (kernel.LOGCDF, kernel.LOGSF):
            t = factor * x
            far = t < table.low if mode == kernel.LOGCDF else t >= table.high
            expansion = tails.log_cdf if mode == kernel.LOGCDF else tails.log_sf
            out[far] = expansion(t[far], int(self.dyson_index))
        return out

    def _density(self, x: FloatArray, logarithm: bool) -> FloatArray:
        table, out = _table(self.dyson_index, self.k), np.empty(x.size)
        factor = self._factor
        off = kernel.density(x, factor, table.density, table.low, table.high, logarithm, out)
        if off and self._stored and logarithm:
            t = factor * x
            for far, expansion in (
                (t < table.low, tails.log_left_density),
                (t >= table.high, tails.log_right_density),
            ):
                out[far] = expansion(t[far], int(self.dyson_index)) + math.log(factor)
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
        table, out = _table(self.dyson_index, self.k), np.empty(q.size)
        kernel.quantile(
            q, self._factor, table.tail, table.low, table.middle, table.high, upper, out
        )
        return out

    def _ppf(self, q: FloatArray) -> FloatArray:
        return self._quantile(q, False)

    def _isf(self, q: FloatArray) -> FloatArray:
        return self._quantile(q, True)
