"""Largest and smallest eigenvalue of a Wishart matrix at finite n."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rmtstab import _checks
from rmtstab.laws._extreme import EXACT, ExtremeLaw, Limit
from rmtstab.laws._interval_probability import Ensemble, wishart
from rmtstab.laws.base import FloatArray
from rmtstab.laws.tracy_widom import TracyWidom


@dataclass(frozen=True)
class WishartExtreme(ExtremeLaw, abc.ABC):
    """What the laws of the largest and the smallest eigenvalue share."""

    n: int
    p: int
    dyson_index: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", _checks.integer("n", self.n, low=1))
        object.__setattr__(self, "p", _checks.integer("p", self.p, low=1))
        index = _checks.choice("dyson_index", self.dyson_index, (1, 2))
        object.__setattr__(self, "dyson_index", index)

    @property
    def is_exact(self) -> bool:
        """Whether ``min(n, p)`` is at most 100: computed, not approximated."""
        return min(self.n, self.p) <= EXACT

    @property
    def _sides(self) -> tuple[int, int]:
        return max(self.n, self.p), min(self.n, self.p)

    @property
    def _ensemble(self) -> Ensemble:
        return wishart(*self._sides, self.dyson_index)

    @property
    def _roots(self) -> tuple[float, float]:
        """Square roots of the sizes; half a unit less for real data (Ma, 2012)."""
        shift = 0.5 if self.dyson_index == 1 else 0.0
        large, small = self._sides
        return math.sqrt(large - shift), math.sqrt(small - shift)

    def edges(self) -> FloatArray:
        """Edges of the support, ``[[0, inf]]``."""
        return np.array([[0.0, math.inf]])

    def _angle(self, v: float) -> float:
        return math.exp(0.5 * min(v, 700.0))

    def _to_v(self, x: FloatArray) -> FloatArray:
        return np.where(x > 0.0, np.log(x), np.where(np.isnan(x), np.nan, -np.inf))

    def _from_v(self, v: FloatArray) -> FloatArray:
        return np.exp(v)

    def _stretch(self, x: FloatArray) -> FloatArray:
        return 1.0 / x


@dataclass(frozen=True)
class WishartMax(WishartExtreme):
    r"""Largest eigenvalue of ``X.conj().T @ X``, `X` of shape ``(n, p)``, standard Gaussian.

    Real entries have variance 1, complex ones :math:`E|x|^2 = 1`. With another variance divide
    the eigenvalue by it; multiply an eigenvalue of the covariance ``XᵀX/n`` by `n`.

    .. math:: P(\lambda_1 \le x) \propto \prod_i\sqrt{h_i}\;\mathrm{Pf}\,S(x)\ (\beta = 1),
        \qquad \prod_i h_i(x)\ (\beta = 2),

    with :math:`h_i(x)` the squared norms of the monic orthogonal polynomials of the weight cut off
    at `x`, and `S` the skew products of the orthonormal ones (docs/laws/finite_n).

    Parameters
    ----------
    n, p : int
        Shape of `X`, at least 1; exchanging them changes nothing.
    dyson_index : {1, 2}, default 1
        Real or complex data.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not as above.

    Notes
    -----
    Exact for ``min(n, p) <= 100``: probabilities are right to 1e-12 for n, p ≤ 20 and to 1e-10 up
    to 100; both tails keep relative accuracy down to 1e-300, logarithms beyond.
    For larger matrices (``is_exact`` is false) the law is Tracy–Widom's with the centre and
    scale of Johnstone and Ma,

    .. math:: \mu = (\sqrt{n_-}+\sqrt{p_-})^2, \quad
        \sigma = (\sqrt{n_-}+\sqrt{p_-})\,(n_-^{-1/2}+p_-^{-1/2})^{1/3},

    :math:`n_- = n - \tfrac12` for real data, `n` for complex: at 100 off by .0095
    in probability at most (falling as ``min(n, p)**(-2/3)``), and a 5 % test rejects 4.95 %.

    References
    ----------
    C. G. Khatri, Ann. Math. Statist. 35 (1964), 1807 (complex); N. G. de Bruijn, J. Indian
    Math. Soc. 19 (1955), 133; M. Chiani, J. Multivariate Anal. 129 (2014), 69 (real).
    I. M. Johnstone, Ann. Statist. 29 (2001), 295, Theorem 1.1; Z. Ma, Bernoulli 18 (2012),
    322, Theorem 1.

    See Also
    --------
    rmtstab.laws.number_of_spikes : tests for unknown noise.

    Examples
    --------
    >>> from rmtstab.laws import WishartMax
    >>> law = WishartMax(n=10, p=5)
    >>> round(law.sf(law.isf(0.05)), 12)
    0.05
    >>> round(WishartMax(5, 3, dyson_index=2).cdf(5.0), 12)
    0.024286626489
    """

    @property
    def _powers(self) -> tuple[float, float]:
        return 0.5 * self.dyson_index * self.n * self.p, math.nan

    @cached_property
    def _limit(self) -> Limit:
        a, b = self._roots
        scale = (a + b) * (1.0 / a + 1.0 / b) ** (1.0 / 3.0)
        return Limit(TracyWidom(self.dyson_index), (a + b) ** 2, scale)


@dataclass(frozen=True)
class WishartMin(WishartExtreme):
    r"""The ``min(n, p)``-th largest eigenvalue of ``X.conj().T @ X``: the smallest nonzero one.

    `X` has shape ``(n, p)`` and standard Gaussian entries as in `WishartMax`.

    Parameters
    ----------
    n, p : int
        Shape of `X`, at least 1; exchanging them changes nothing.
    dyson_index : {1, 2}, default 1
        Real or complex data.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not as above.

    Notes
    -----
    Exact for ``min(n, p) <= 100``, as `WishartMax`. For larger matrices with ``|n - p| <= 100``,
    where the edge at zero is felt, it is the exact law at ``min(n, p) = 100`` with the same
    excess, scaled by the ratio of ``n + p`` (Edelman, Guionnet and Péché: error
    ``O(1/min(n, p)**2)``, measured below .015); for a larger excess
    :math:`(\log\lambda - \log\mu)/\tau` is minus a Tracy–Widom variable,

    .. math:: \mu = (\sqrt{n_-}-\sqrt{p_-})^2, \quad
        \tau = (p_-^{-1/2}-n_-^{-1/2})^{1/3}/(\sqrt{n_-}-\sqrt{p_-}),

    off by at most .012.

    References
    ----------
    A. Edelman, SIAM J. Matrix Anal. Appl. 9 (1988), 543. A. Edelman, A. Guionnet and S. Péché,
    Ann. Appl. Probab. 26 (2016), 1659, Theorem 1 (scaling). Z. Ma, Bernoulli 18 (2012), 322,
    Theorem 2 (logarithmic scale; the shift of its centre is left out: the error is larger
    with it at these sizes).

    Examples
    --------
    >>> from rmtstab.laws import WishartMin
    >>> law = WishartMin(n=4, p=4, dyson_index=2)
    >>> round(law.mean(), 12)  # exponential of rate 4
    0.25
    """

    _largest = False

    @property
    def _powers(self) -> tuple[float, float]:
        return 0.5 * self.dyson_index * (abs(self.n - self.p) + 1), math.nan

    @cached_property
    def _limit(self) -> Limit:
        large, small = self._sides
        if large - small <= EXACT:
            model = WishartMin(EXACT + large - small, EXACT, self.dyson_index)
            return Limit(model, 0.0, (model.n + model.p) / (large + small))
        a, b = self._roots
        scale = (1.0 / b - 1.0 / a) ** (1.0 / 3.0) / (a - b)
        return Limit(
            TracyWidom(self.dyson_index), 2.0 * math.log(a - b), scale, -1.0,
            self._to_v, self._from_v, self._stretch,
        )  # fmt: skip
