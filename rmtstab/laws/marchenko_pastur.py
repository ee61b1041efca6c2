"""Marchenko–Pastur law: eigenvalues of a sample covariance matrix of white noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rmtstab import _checks
from rmtstab.kernels import laws_marchenko_pastur as kernel
from rmtstab.laws._decimals import digits, split
from rmtstab.laws._edge_polynomial import tail_polynomial
from rmtstab.laws.base import ComplexArray, FloatArray, SpectralLaw

if TYPE_CHECKING:
    from rmtstab.laws.fit import SpectrumFit


PANEL_DEGREE = 6


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
    def _panels(self) -> FloatArray:
        """Polynomials of both tails, the upper one first; see the kernel's ``_tail``."""
        constants, low, high = self._tables
        offset = float(constants[kernel.OFFSET])
        ends = np.array([offset, offset + 0.5]).view(np.int64) >> kernel.SHIFT
        nodes, to_series, to_powers = _panel_rule()

        def fit(first: float, count: int, tail: FloatArray, upper_tail: bool) -> FloatArray:
            octave, step = np.divmod(np.arange(count), 1 << kernel.PANEL_BITS)
            size = first * np.exp2(octave)[:, None]
            u = size * (1.0 + (step[:, None] + nodes) / (1 << kernel.PANEL_BITS)) - first
            values = np.empty(u.size)
            kernel.masses(u.ravel(), constants, tail, upper_tail, values)
            # in this order: the coefficients decay faster than the powers grow
            return np.asarray(values.reshape(u.shape) @ to_series @ to_powers)

        upper = fit(kernel.HIGH_OFFSET, kernel.UPPER, high, True)
        lower = fit(offset, int(ends[1] - ends[0]) + 1, low, False)
        panels = np.concatenate([upper, lower])
        panels.flags.writeable = False
        return panels

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

    def edge_scale(self) -> float:
        r"""Tracy–Widom scale of the top edge.

        :math:`n^{2/3}(\lambda_1 - \lambda_+)/\text{scale}` tends to the Tracy–Widom law
        (index 1 for real data, 2 for complex), `n` the number of samples.

        Returns
        -------
        float
            :math:`\sigma^2(1+\sqrt\gamma)^{4/3}\gamma^{-1/6}`

        References
        ----------
        I. M. Johnstone, Ann. Statist. 29 (2001), 295, Theorem 1.1.

        Examples
        --------
        >>> from rmtstab.laws import MarchenkoPastur
        >>> round(MarchenkoPastur(1.0).edge_scale(), 6)  # 4**(2/3)
        2.519842
        """
        root = math.sqrt(self.aspect_ratio)
        return float(self.scale * (1.0 + root) ** (4.0 / 3.0) / np.cbrt(root))

    @classmethod
    def from_shape(cls, n_samples: int, n_features: int, scale: float = 1.0) -> MarchenkoPastur:
        """Build the law of a sample covariance from the shape of its data.

        Parameters
        ----------
        n_samples, n_features : int
            At least 1; ``aspect_ratio = n_features / n_samples``. Finance's ``q = T/N`` is the
            inverse of the ratio: this method cannot mistake one for the other.
        scale : float
            Variance of an entry.

        Returns
        -------
        MarchenkoPastur

        Examples
        --------
        >>> from rmtstab.laws import MarchenkoPastur
        >>> MarchenkoPastur.from_shape(n_samples=1000, n_features=100).aspect_ratio
        0.1
        """
        n = _checks.integer("n_samples", n_samples, low=1)
        return cls(_checks.integer("n_features", n_features, low=1) / n, scale)

    def shrink(self, eigenvalues: Any, loss: str = "frobenius") -> Any:
        r"""Shrink sample eigenvalues to estimate a spiked covariance optimally.

        An eigenvalue above the bulk comes from a spike :math:`\ell` whose direction is seen with
        squared cosine `c`; it becomes the eigenvalue that minimises the loss given both.
        Those within the bulk become `scale`. Eigenvectors stay.

        Parameters
        ----------
        eigenvalues : array_like of real numbers, any shape
            Of the sample covariance.
        loss : str
            ``"frobenius"``, ``"operator"`` or ``"nuclear"``: norm of the error; with
            ``"_precision"``, of the inverses' error; with ``"_ratio"``, ``"_inverse_ratio"`` or
            ``"_whitened"`` (not ``"operator"``) of :math:`A^{-1}B-I`, :math:`B^{-1}A-I`,
            :math:`A^{-1/2}BA^{-1/2}-I`, `A` the truth; or ``"stein"``, ``"entropy"``,
            ``"divergence"``, ``"frechet"``, ``"affinity"``.

        Returns
        -------
        float or ndarray, shape of `eigenvalues`, float64

        Raises
        ------
        ValueError
            If the loss is unknown.

        References
        ----------
        D. L. Donoho, M. Gavish and I. M. Johnstone, Ann. Statist. 46 (2018), 1742, Table 2:
        the losses whose rule has a closed form.

        Examples
        --------
        >>> from rmtstab.laws import MarchenkoPastur
        >>> MarchenkoPastur(0.25).shrink([2.0, 3.375], "operator").round(12).tolist()
        [1.0, 3.0]
        """
        from rmtstab.laws.shrinkage import shrink_spikes

        return shrink_spikes(eigenvalues, self.aspect_ratio, self.scale, loss)

    @classmethod
    def fit(
        cls,
        eigenvalues: Any,
        n_samples: int,
        n_features: int | None = None,
        n_spikes: int | str = "auto",
        method: str = "median",
        *,
        level: float = 0.05,
        weights: Any = None,
    ) -> SpectrumFit:
        r"""Fit the noise of a sample covariance: its level, its spikes, and how well it fits.

        Parameters
        ----------
        eigenvalues : array_like, shape (n_features,) or (min(n_samples, n_features),)
            Of ``X.T @ X / n_samples`` (``X.T @ diag(weights) @ X`` with `weights`, summing to 1):
            all of them, or the nonzero ones of a singular matrix; in any order. Of a
            correlation matrix alike. A network's Gram matrix is that of ``n_features``
            samples in ``n_samples`` dimensions: pass ``eigvalsh(K) / dim`` and ``n_samples=dim``.
        n_samples : int
            One less than the number of rows if their mean was taken out.
        n_features : int, optional
            The number of eigenvalues when not given.
        n_spikes : int or "auto"
            How many of the largest are signal; by `number_of_spikes` when ``"auto"``.
        method : {"median", "ks", "mle"}
            How the variance is found: from the median, robust to missed spikes; by the least
            Kolmogorov distance; or as the mean, which is the likelihood's maximum for white
            noise.
        level : float
            Error rate of the number of spikes.
        weights : array_like, shape (n_samples,), optional
            Of the samples, as in an exponentially weighted covariance; positive, rescaled to sum
            to 1.

        Returns
        -------
        SpectrumFit
            ``.law``, ``.scale``, ``.n_spikes``, ``.error_rate``, ``.ks_distance``, ``.p_value``.

        Raises
        ------
        TypeError, ValueError
            If an argument is outside its range.

        Notes
        -----
        Without `k` spikes the noise has ``n_samples - k`` samples and ``n_features - k``
        dimensions, hence the ratio (M − k)/(N − k) of MP-PCA. Ten thousand eigenvalues take
        tens of milliseconds; ``p_value`` is a bootstrap of 199 draws, computed on first use.

        References
        ----------
        S. Kritchman and B. Nadler, IEEE Trans. Signal Process. 57 (2009), 3930; J. Veraart et al.,
        NeuroImage 142 (2016), 394 (MP-PCA); Z. Burda et al., Physica A 343 (2004), 295 (weights).

        Examples
        --------
        >>> import numpy as np
        >>> from rmtstab.laws import MarchenkoPastur
        >>> X = 2 * np.random.default_rng(0).standard_normal((400, 100))
        >>> X[:, 0] *= 3
        >>> found = MarchenkoPastur.fit(np.linalg.eigvalsh(X.T @ X / 400), n_samples=400)
        >>> found.n_spikes, abs(found.scale - 4.0) < 0.1
        (1, True)
        """
        from rmtstab.laws.fit import fit_noise

        return fit_noise(cls, eigenvalues, n_samples, n_features, n_spikes, method, level, weights)

    def _pdf(self, x: FloatArray) -> FloatArray:
        out = np.empty(x.size)
        kernel.density(x, self._tables.constants, out)
        if self.aspect_ratio == 1.0:
            out[x == 0.0] = math.inf
        return out

    def _cdf(self, x: FloatArray) -> FloatArray:
        out = np.empty(x.size)
        kernel.cumulative(x, self._tables.constants, self._panels, False, out)
        return out

    def _sf(self, x: FloatArray) -> FloatArray:
        out = np.empty(x.size)
        kernel.cumulative(x, self._tables.constants, self._panels, True, out)
        return out

    def _ppf(self, q: FloatArray) -> FloatArray:
        out = np.empty(q.size)
        kernel.quantile(q, *self._tables, *self._inverse, self._panels, False, out)
        return out

    def _isf(self, q: FloatArray) -> FloatArray:
        out = np.empty(q.size)
        kernel.quantile(q, *self._tables, *self._inverse, self._panels, True, out)
        return out

    def _stieltjes(self, z: ComplexArray) -> ComplexArray:
        out = np.empty(z.size, dtype=np.complex128)
        c = self._tables.constants
        kernel.stieltjes(z, c, self.aspect_ratio, self.scale * float(c[kernel.UNIT]), out)
        return out


@lru_cache(maxsize=1)
def _panel_rule() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Chebyshev's nodes on [0, 1]; from values there to coefficients, to powers of ``2t - 1``."""
    order = np.arange(PANEL_DEGREE + 1)
    nodes = np.cos(np.pi * (order + 0.5) / (PANEL_DEGREE + 1))
    series = np.linalg.inv(np.polynomial.chebyshev.chebvander(nodes, PANEL_DEGREE))
    rows = [np.polynomial.chebyshev.cheb2poly([0] * k + [1]) for k in range(order.size)]
    powers = np.array([np.pad(row, (0, PANEL_DEGREE + 1 - row.size)) for row in rows])
    return 0.5 * (1.0 + nodes), np.ascontiguousarray(series.T), powers


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
    c[kernel.HARD] = float(reach == 0.0)
    # a power of two, no larger than the distance of the pole of the density
    c[kernel.OFFSET] = math.ldexp(0.5, math.frexp(min(0.25, reach))[1]) if reach > 0.0 else 0.25
    low = tail_polynomial(c[kernel.DRIFT], 4.0 * c[kernel.ROOT], c[kernel.CUT], 8.0 / math.pi)
    high = tail_polynomial((1.0 + c[kernel.ROOT]) ** 2, -4.0 * c[kernel.ROOT], 0.5, 8.0 / math.pi)
    c[kernel.DEPTH] = 16.0 / (3.0 * math.pi) / c[kernel.DRIFT] if reach > 0.0 else math.inf
    c[kernel.HALF] = 1.0 - 0.5**1.5 * np.polynomial.polynomial.polyval(1.0, high)
    for table in (c, low, high):
        table.flags.writeable = False
    return _Tables(c, low, high)
