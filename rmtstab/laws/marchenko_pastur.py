"""Marchenko–Pastur law: eigenvalues of a sample covariance matrix of white noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

import numpy as np

from rmtstab import _checks
from rmtstab.kernels import laws_marchenko_pastur as kernel
from rmtstab.laws._decimals import digits, split
from rmtstab.laws._edge_polynomial import tail_polynomial
from rmtstab.laws.base import ComplexArray, FloatArray, SpectralLaw


class _Tables(NamedTuple):
    constants: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class MarchenkoPastur(SpectralLaw):
    r"""Marchenko–Pastur law with density

    .. math:: f(x) = \frac{\sqrt{(\lambda_+ - x)(x - \lambda_-)}}{2\pi\gamma\sigma^2 x},
        \qquad \lambda_\pm = \sigma^2(1 \pm \sqrt\gamma)^2,

    on :math:`[\lambda_-, \lambda_+]`, and an atom of mass :math:`1 - 1/\gamma`
    at zero when :math:`\gamma > 1`. It is the limit of the eigenvalues of
    ``X @ X.T / n``, `X` of shape ``(d, n)`` with independent entries of mean
    0 and variance :math:`\sigma^2`, as ``d / n`` tends to :math:`\gamma`.

    Parameters
    ----------
    aspect_ratio : float
        :math:`\gamma = d/n`, in ``[1e-150, 1e150]``.
    scale : float
        :math:`\sigma^2`, the variance of an entry, in ``[1e-300, 1e300]``.
    loc : float
        Shift of the whole law, atom included: a ridge added to the matrix.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not a number, outside its range, or the upper edge overflows.

    Notes
    -----
    With ``loc`` 0 the mean is `scale` whatever the ratio, the variance
    ``aspect_ratio * scale**2``, the moments Narayana polynomials in the ratio,

    .. math:: E x^k = \sigma^{2k} \sum_{r=0}^{k-1} \frac{\gamma^r}{r+1}
        \binom{k}{r} \binom{k-1}{r}.

    Edges are held in twice the working precision, tails are computed from
    their own edge, and the arcsine form of the distribution function is used
    only where nothing cancels in it: pdf, cdf and sf keep their relative
    accuracy up to the edges, for ratios on both sides of 1 and at 1, where the
    density behaves as :math:`x^{-1/2}` at zero.

    References
    ----------
    V. A. Marchenko and L. A. Pastur, Math. USSR-Sbornik 1 (1967), 457, §1, with
    the normalisation of Bai and Silverstein, *Spectral Analysis of Large
    Dimensional Random Matrices* (2010), eq. (3.1.1). The forms evaluated are
    derived in docs/laws/marchenko_pastur.

    Examples
    --------
    >>> from rmtstab.laws import MarchenkoPastur
    >>> law = MarchenkoPastur(aspect_ratio=0.25)
    >>> law.support()
    (0.25, 2.25)
    >>> round(law.cdf(1.0), 12)
    0.553390081275
    >>> MarchenkoPastur(aspect_ratio=4.0).atoms()
    ((0.0, 0.75),)
    """

    aspect_ratio: float
    scale: float = 1.0
    loc: float = 0.0

    def __post_init__(self) -> None:
        ratio = _checks.real("aspect_ratio", self.aspect_ratio, low=1e-150, high=1e150)
        scale = _checks.real("scale", self.scale, low=1e-300, high=1e300)
        top = scale * (1.0 + math.sqrt(ratio)) ** 2
        _checks.real("scale * (1 + sqrt(aspect_ratio))**2, the upper edge,", top)
        object.__setattr__(self, "aspect_ratio", ratio)
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "loc", _checks.real("loc", self.loc))

    @cached_property
    def _tables(self) -> _Tables:
        return _tabulate(self.aspect_ratio, self.scale)

    @cached_property
    def _inverse(self) -> tuple[FloatArray, FloatArray]:
        """Inverses of the two tails, over 40 octaves, in logarithms."""
        constants, low, high = self._tables
        half = float(constants[kernel.HALF])
        tables = np.empty((320, 2)), np.empty((320, 2))
        kernel.invert(math.log2(half), constants, low, False, tables[0])
        kernel.invert(math.log2(1.0 - half), constants, high, True, tables[1])
        for table in tables:
            table.flags.writeable = False
        return tables

    def _edges(self) -> FloatArray:
        c = self._tables.constants
        pair = [c[kernel.LEFT] + c[kernel.LEFT_LOW], c[kernel.RIGHT] + c[kernel.RIGHT_LOW]]
        return np.array([pair]) / float(c[kernel.UNIT])

    def _atoms(self) -> tuple[tuple[float, float], ...]:
        mass = float(self._tables.constants[kernel.ATOM])
        return ((0.0, mass),) if mass > 0.0 else ()

    def _moment(self, order: int) -> float:
        if order == 0:
            return 1.0
        with digits(40):  # the terms span more decades than a double
            gamma = Decimal(self.aspect_ratio)
            term = total = Decimal(1)
            for r in range(order - 1):
                term *= gamma * ((order - r) * (order - 1 - r)) / ((r + 1) * (r + 2))
                total += term
            return float(total * Decimal(self.scale) ** order)

    def _var(self) -> float:
        return self.aspect_ratio * self.scale * self.scale

    def _pdf(self, x: FloatArray) -> FloatArray:
        out = np.empty(x.size)
        kernel.density(x, self._tables.constants, out)
        if self.aspect_ratio == 1.0:
            out[x == 0.0] = math.inf
        return out

    def _cdf(self, x: FloatArray) -> FloatArray:
        out = np.empty(x.size)
        kernel.cumulative(x, *self._tables, False, out)
        return out

    def _sf(self, x: FloatArray) -> FloatArray:
        out = np.empty(x.size)
        kernel.cumulative(x, *self._tables, True, out)
        return out

    def _ppf(self, q: FloatArray) -> FloatArray:
        out = np.empty(q.size)
        kernel.quantile(q, *self._tables, *self._inverse, False, out)
        return out

    def _isf(self, q: FloatArray) -> FloatArray:
        out = np.empty(q.size)
        kernel.quantile(q, *self._tables, *self._inverse, True, out)
        return out

    def _stieltjes(self, z: ComplexArray) -> ComplexArray:
        out = np.empty(z.size, dtype=np.complex128)
        c = self._tables.constants
        kernel.stieltjes(z, c, self.aspect_ratio, self.scale * float(c[kernel.UNIT]), out)
        return out


def _tabulate(ratio: float, scale: float) -> _Tables:
    """Edges to twice the working precision, and the polynomials of the two tails.

    With q the root of ``min(ratio, 1/ratio)`` and u, w the distances from the
    lower and upper edge in units of the width, the conditional distribution is
    ``(8/π) ∫₀ᵘ √(t(1-t)) / ((1-q)² + 4qt) dt``, and ``(1+q)² - 4qt`` from above.
    """
    exponent = math.frexp(scale)[1]
    unit = 1.0 if abs(exponent) < 300 else math.ldexp(1.0, -exponent)
    with digits(60 + 2 * int(abs(math.log10(ratio)))):
        gamma, sigma = Decimal(ratio), Decimal(scale * unit)
        root = gamma.sqrt()
        c = np.empty(kernel.SIZE)
        c[kernel.UNIT] = unit
        c[kernel.LEFT], c[kernel.LEFT_LOW] = split(sigma * (1 - root) ** 2)
        c[kernel.RIGHT], c[kernel.RIGHT_LOW] = split(sigma * (1 + root) ** 2)
        c[kernel.WIDTH] = float(4 * sigma * root)
        c[kernel.DENSITY] = unit / (2.0 * math.pi * float(gamma * sigma))
        small = min(gamma, 1 / gamma)
        q = small.sqrt()
        c[kernel.MASS] = float(min(Decimal(1), 1 / gamma))
        c[kernel.ATOM] = float(max(Decimal(0), 1 - 1 / gamma))
        c[kernel.ROOT], c[kernel.GAP] = float(q), float(1 - small)
        c[kernel.STRETCH] = float((1 + q) / (1 - q)) if q != 1 else math.inf
        c[kernel.DRIFT] = float((1 - q) ** 2)
        reach = float((1 - q) ** 2 / (4 * q))
    c[kernel.CUT] = min(0.5, reach)
    low = tail_polynomial(c[kernel.DRIFT], 4.0 * c[kernel.ROOT], c[kernel.CUT], 8.0 / math.pi)
    high = tail_polynomial((1.0 + c[kernel.ROOT]) ** 2, -4.0 * c[kernel.ROOT], 0.5, 8.0 / math.pi)
    c[kernel.DEPTH] = 16.0 / (3.0 * math.pi) / c[kernel.DRIFT] if reach > 0.0 else math.inf
    c[kernel.HALF] = 1.0 - 0.5**1.5 * np.polynomial.polynomial.polyval(1.0, high)
    for table in (c, low, high):
        table.flags.writeable = False
    return _Tables(c, low, high)
