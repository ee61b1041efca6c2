"""Spiked models: outliers of a Marchenko–Pastur bulk, and what their eigenvectors know."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab.laws.base import ComplexArray, FloatArray, SpectralLaw
from rmtstab.laws.marchenko_pastur import MarchenkoPastur


@dataclass(frozen=True, init=False)
class Spiked(SpectralLaw):
    r"""Marchenko–Pastur bulk with a fixed number of spikes (Baik, Ben Arous and Péché).

    ``kind="covariance"``: eigenvalues of ``T**0.5 @ X @ X.T @ T**0.5 / n``, `X` of shape
    ``(d, n)`` standardised, `T` with eigenvalues :math:`\ell_k` and 1 otherwise. A spike
    separates if :math:`|\ell - 1| > \sqrt\gamma`, and then its eigenvalue tends to

    .. math:: \lambda(\ell) = \ell\Big(1 + \frac{\gamma}{\ell-1}\Big).

    ``kind="additive"``: eigenvalues of :math:`\sum_k\theta_k u_ku_k^\top + XX^\top/n` with
    orthonormal :math:`u_k`. A spike separates if :math:`\theta > \gamma + \sqrt\gamma`, at
    :math:`\theta + \theta/(\theta - \gamma)`: the same as :math:`\ell = 1 + \theta - \gamma`.
    This is the Gram matrix of signal-plus-noise data, with :math:`\gamma = n/d` there and
    :math:`\theta = n\,\mathrm{SNR}^2` for one class, :math:`n_\pm\mathrm{SNR}^2` for two.

    Parameters
    ----------
    aspect_ratio : float
        :math:`\gamma = d/n`, in ``(0, inf)``.
    spikes : array_like, shape (n_spikes,)
        Positive; may be empty.
    kind : {"covariance", "additive"}
        What a spike is, as above.
    scale : float
        Multiplies the matrix: the variance of the noise.

    Raises
    ------
    TypeError, ValueError
        If the parameters are not as above.

    Notes
    -----
    ``pdf``, ``cdf`` and the others are those of the bulk: outliers have no mass in the limit.
    Below 1 a covariance spike separates under the bulk only for ``aspect_ratio < 1``.

    References
    ----------
    J. Baik, G. Ben Arous and S. Péché, Ann. Probab. 33 (2005), 1643, Theorem 1.1. J. Baik and
    J. W. Silverstein, J. Multivariate Anal. 97 (2006), 1382, Theorems 1.1-1.3. D. Paul,
    Statist. Sinica 17 (2007), 1617, Theorems 3 and 4. F. Benaych-Georges and
    R. R. Nadakuditi, Adv. Math. 227 (2011), 494, Theorems 2.1 and 2.2 (additive).

    Examples
    --------
    >>> from rmtstab.laws import Spiked
    >>> law = Spiked(aspect_ratio=0.25, spikes=[3.0, 1.2])
    >>> law.transition
    1.5
    >>> law.outliers().tolist()
    [3.375, nan]
    >>> law.overlaps().round(12).tolist()
    [0.833333333333, 0.0]
    """

    aspect_ratio: float
    spikes: tuple[float, ...]
    kind: str
    scale: float

    def __init__(
        self, aspect_ratio: float, spikes: Any, kind: str = "covariance", scale: float = 1.0
    ) -> None:
        ratio = _checks.real("aspect_ratio", aspect_ratio, low=0.0, low_open=True)
        values = _checks.array("spikes", np.asarray(spikes, dtype=float), ndim=1)
        if (values <= 0.0).any():
            raise ValueError(f"spikes must be > 0, got {float(values.min())!r}")
        _checks.choice("kind", kind, ("covariance", "additive"))
        object.__setattr__(self, "aspect_ratio", ratio)
        object.__setattr__(self, "spikes", tuple(values.tolist()))
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "scale", _checks.real("scale", scale, low=0.0, low_open=True))

    @cached_property
    def bulk(self) -> MarchenkoPastur:
        """The law of all eigenvalues but the outliers."""
        return MarchenkoPastur(self.aspect_ratio, self.scale)

    @property
    def transition(self) -> float:
        """Spike above which an eigenvalue leaves the bulk upward."""
        start = 1.0 if self.kind == "covariance" else self.aspect_ratio
        return start + math.sqrt(self.aspect_ratio)

    @property
    def lower_transition(self) -> float:
        """Spike below which an eigenvalue leaves downward; NaN where none does."""
        if self.kind == "additive" or self.aspect_ratio >= 1.0:
            return math.nan
        return 1.0 - math.sqrt(self.aspect_ratio)

    def _separation(self) -> tuple[FloatArray, np.ndarray[Any, Any]]:
        """Return ``l - 1`` of the equivalent covariance spikes, and which separate."""
        spikes = np.array(self.spikes)
        offset = spikes - (1.0 if self.kind == "covariance" else self.aspect_ratio)
        separate = spikes > self.transition
        if not math.isnan(self.lower_transition):
            separate |= spikes < self.lower_transition
        return np.where(separate, offset, np.nan), separate

    def outliers(self) -> FloatArray:
        """Limits of the eigenvalues that leave the bulk.

        Returns
        -------
        ndarray, shape (n_spikes,), float64
            In the order of the spikes; NaN for a spike that does not separate (its
            eigenvalue tends to the edge).
        """
        m, _ = self._separation()
        return self.scale * (1.0 + m) * (1.0 + self.aspect_ratio / m)

    def overlaps(self, side: str = "left") -> FloatArray:
        r"""Limits of the squared cosine between a spike's direction and its eigenvector.

        Parameters
        ----------
        side : {"left", "right"}
            The direction in the matrix itself (dimension `d`), or that of the factor
            scores (dimension `n`; covariance spikes above 1 only).

        Returns
        -------
        ndarray, shape (n_spikes,), float64
            With :math:`m = \ell - 1`: :math:`(1 - \gamma/m^2)/(1 + \gamma/m)` on the left,
            :math:`(1 - \gamma/m^2)/(1 + 1/m)` on the right; :math:`1 - \gamma/m^2` for
            additive spikes; 0 for a spike that does not separate, NaN where the notion
            does not apply.
        """
        _checks.choice("side", side, ("left", "right"))
        m, separate = self._separation()
        ratio = self.aspect_ratio
        common = 1.0 - ratio / (m * m)
        if self.kind == "additive":
            value = common if side == "left" else np.full(m.shape, np.nan)
        elif side == "left":
            value = common / (1.0 + ratio / m)
        else:
            value = np.where(m > 0.0, common / (1.0 + 1.0 / m), np.nan)
        return np.where(separate, value, 0.0)

    def fluctuation(self, dyson_index: int = 1) -> FloatArray:
        r"""Limit of :math:`\sqrt n` times the standard deviation of each outlier.

        The fluctuation of a simple outlier is Gaussian, of standard deviation
        :math:`\ell\sqrt{2(1-\gamma/(\ell-1)^2)/\beta}` for Gaussian data, and
        :math:`\frac{\theta}{\theta-\gamma}\sqrt{2(1-\gamma/(\theta-\gamma)^2)/\beta}`
        for an additive spike of fixed direction (derived in docs/laws/spiked). With p the
        side of the matrix, n is :math:`p/\gamma` in both cases: the columns of noise.

        Parameters
        ----------
        dyson_index : {1, 2}
            Real or complex data.

        Returns
        -------
        ndarray, shape (n_spikes,), float64
            NaN for a spike that does not separate.

        Raises
        ------
        ValueError
            If the index is neither 1 nor 2.
        """
        _checks.choice("dyson_index", dyson_index, (1, 2))
        m, _ = self._separation()
        spread = np.sqrt(2.0 / dyson_index * (1.0 - self.aspect_ratio / (m * m)))
        size = 1.0 + m if self.kind == "covariance" else 1.0 + self.aspect_ratio / m
        return self.scale * size * spread

    def edges(self) -> FloatArray:
        """Edges of the bulk, shape ``(1, 2)``."""
        return self.bulk.edges()

    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Point masses of the bulk."""
        return self.bulk.atoms()

    def moment(self, order: int) -> float:
        """Moment of the bulk about zero."""
        return self.bulk.moment(order)

    def _pdf(self, x: FloatArray) -> FloatArray:
        return self.bulk._pdf(x)

    def _cdf(self, x: FloatArray) -> FloatArray:
        return self.bulk._cdf(x)

    def _sf(self, x: FloatArray) -> FloatArray:
        return self.bulk._sf(x)

    def _ppf(self, q: FloatArray) -> FloatArray:
        return self.bulk._ppf(q)

    def _isf(self, q: FloatArray) -> FloatArray:
        return self.bulk._isf(q)

    def _stieltjes(self, z: ComplexArray) -> ComplexArray:
        return self.bulk._stieltjes(z)
