"""Roy's largest root: the top eigenvalue of one Wishart matrix against another, at finite n."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rmtstab import _checks
from rmtstab.laws._extreme import EXACT, ExtremeLaw, Limit
from rmtstab.laws._interval_probability import Ensemble, double_wishart
from rmtstab.laws.base import FloatArray
from rmtstab.laws.tracy_widom import TracyWidom


@dataclass(frozen=True)
class RoysRoot(ExtremeLaw):
    r"""Largest root :math:`\theta(p, m, n)` of :math:`\det(B - \theta(A + B)) = 0`.

    :math:`A \sim W_p(\Sigma, m)` (error) and :math:`B \sim W_p(\Sigma, n)` (hypothesis) are
    independent Wishart matrices of one common covariance, on which the law does not depend.
    The largest eigenvalue `f` of :math:`A^{-1}B` is :math:`\theta/(1-\theta)`; a squared
    canonical correlation of `p` and `q` variables over `N` samples has the law
    ``RoysRoot(p, N - 1 - q, q)``.

    Parameters
    ----------
    p : int
        Number of variables, at least 1.
    m : int
        Degrees of freedom of `A`, at least `p`.
    n : int
        Degrees of freedom of `B`, at least 1.
    dyson_index : {1, 2}, default 1
        Real or complex data.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not as above.

    Notes
    -----
    ``RoysRoot(p, m, n)`` and ``RoysRoot(n, m + n - p, p)`` are one law. Exact for
    ``min(p, n) <= 100`` (errors as for `WishartMax`). Beyond, ``is_exact`` is false and
    :math:`(\mathrm{logit}\,\theta - \mu)/\sigma` has the Tracy–Widom law, with Johnstone's

    .. math:: \mu = 2\log\tan\frac{\varphi+\psi}2, \quad \sigma^3 =
        \frac{16}{N^2}\frac1{\sin^2(\varphi+\psi)\sin\varphi\sin\psi}, \quad
        \sin^2\frac\psi2 = \frac{\min(p,n)-s}N,\ \sin^2\frac\varphi2 = \frac{\max(p,n)-s}N,

    :math:`N = m + n - 2s`, s = 1/2 for real data, 0 for complex.

    References
    ----------
    I. M. Johnstone, Ann. Statist. 36 (2008), 2638, Definition 1 and Theorem 1. M. Chiani,
    J. Multivariate Anal. 143 (2016), 467, for the Pfaffian. K. V. Mardia, J. T. Kent and
    J. M. Bibby, *Multivariate Analysis* (1979), §3.7, for the parameters.

    See Also
    --------
    rmtstab.laws.Wachter : limit of all the roots.

    Examples
    --------
    >>> from scipy import stats
    >>> from rmtstab.laws import RoysRoot
    >>> law = RoysRoot(p=1, m=8, n=3)  # one variable: a beta law
    >>> abs(law.isf(0.05) - float(stats.beta(1.5, 4).isf(0.05))) < 1e-12
    True
    >>> round(RoysRoot(p=5, m=40, n=10).isf(0.05), 6)
    0.532179
    """

    p: int
    m: int
    n: int
    dyson_index: int = 1

    def __post_init__(self) -> None:
        p = _checks.integer("p", self.p, low=1)
        object.__setattr__(self, "p", p)
        m = _checks.integer("m", self.m)
        if m < p:
            raise ValueError(f"m must be >= p={p} (A is singular otherwise), got {m}")
        object.__setattr__(self, "m", m)
        object.__setattr__(self, "n", _checks.integer("n", self.n, low=1))
        index = _checks.choice("dyson_index", self.dyson_index, (1, 2))
        object.__setattr__(self, "dyson_index", index)

    @property
    def is_exact(self) -> bool:
        """Whether ``min(p, n)`` is at most 100: computed, not approximated."""
        return min(self.p, self.n) <= EXACT

    @property
    def _degrees(self) -> tuple[int, int, int]:
        """The same law with ``n >= p``."""
        if self.n >= self.p:
            return self.p, self.m, self.n
        return self.n, self.m + self.n - self.p, self.p

    @property
    def _ensemble(self) -> Ensemble:
        return double_wishart(*self._degrees, self.dyson_index)

    @property
    def _powers(self) -> tuple[float, float]:
        p, m, n = self._degrees
        half = 0.5 * self.dyson_index
        return half * n * p, -half * (m - p + 1)

    def _exact_log(self, v: float, upper: bool) -> float:
        if not upper:
            return super()._exact_log(v, False)
        p, m, n = self._degrees  # 1 - θ, the angle from the upper end without cancellation
        mirrored = double_wishart(p, n, m, self.dyson_index)
        return mirrored.log_exceedance(math.atan(math.exp(-0.5 * v)), upper=False)

    def edges(self) -> FloatArray:
        """Edges of the support, ``[[0, 1]]``."""
        return np.array([[0.0, 1.0]])

    def _angle(self, v: float) -> float:
        return math.atan(math.exp(0.5 * v))

    def _to_v(self, x: FloatArray) -> FloatArray:
        inside = np.clip(x, 0.0, 1.0)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(inside) - np.log1p(-inside))

    def _from_v(self, v: FloatArray) -> FloatArray:
        return np.exp(-np.logaddexp(0.0, -v))

    def _stretch(self, x: FloatArray) -> FloatArray:
        return 1.0 / (x * (1.0 - x))

    @cached_property
    def _limit(self) -> Limit:
        p, m, n = self._degrees
        shift = 0.5 if self.dyson_index == 1 else 0.0
        total = m + n - 2.0 * shift
        psi = 2.0 * math.asin(math.sqrt((p - shift) / total))
        phi = 2.0 * math.asin(math.sqrt((n - shift) / total))
        centre = 2.0 * math.log(math.tan(0.5 * (phi + psi)))
        cube = 16.0 / (total**2 * math.sin(phi + psi) ** 2 * math.sin(phi) * math.sin(psi))
        return Limit(
            TracyWidom(self.dyson_index), centre, cube ** (1.0 / 3.0), 1.0,
            self._to_v, self._from_v, self._stretch,
        )  # fmt: skip
