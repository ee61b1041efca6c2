"""Spiked models: outliers of a bulk, and what their eigenvectors know."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rmtstab import _checks
from rmtstab.laws.base import ComplexArray, FloatArray, SpectralLaw
from rmtstab.laws.generalized_marchenko_pastur import GeneralizedMarchenkoPastur
from rmtstab.laws.marchenko_pastur import MarchenkoPastur
from rmtstab.laws.semicircle import Semicircle
from rmtstab.laws.spike_estimate import SpikeEstimate, estimate

KINDS = ("covariance", "additive", "wigner", "rectangular")


class _Response(NamedTuple):
    """Of each spike: its outlier, the outlier's slope in it, and whether it separates."""

    place: FloatArray
    slope: FloatArray
    separate: NDArray[np.bool_]


@dataclass(frozen=True, init=False)
class Spiked(SpectralLaw):
    r"""A bulk and a fixed number of spikes (Baik, Ben Arous and Péché).

    ``kind="covariance"``: eigenvalues of ``T**0.5 @ X @ X.T @ T**0.5 / n``, `X` of shape
    ``(d, n)`` standardised, `T` with eigenvalues :math:`\ell_k` and 1 otherwise. A spike
    separates if :math:`|\ell - 1| > \sqrt\gamma`, and then its eigenvalue tends to

    .. math:: \lambda(\ell) = \ell\Big(1 + \frac{\gamma}{\ell-1}\Big).

    With ``population`` the other eigenvalues of `T` have the law :math:`\sum_jw_j\delta_{t_j}`, and
    :math:`\lambda(\ell) = \psi(\ell) = \ell + \gamma\ell\sum_jw_jt_j/(\ell-t_j)`
    where :math:`\psi' > 0`.

    ``kind="additive"``: eigenvalues of :math:`\sum_k\theta_k u_ku_k^\top + XX^\top/n` with
    orthonormal :math:`u_k`. A spike separates if :math:`\theta > \gamma + \sqrt\gamma`, at
    :math:`\theta + \theta/(\theta - \gamma)`: the same as :math:`\ell = 1 + \theta - \gamma`.
    This is the Gram matrix of signal-plus-noise data, with :math:`\gamma = n/d` there and
    :math:`\theta = n\,\mathrm{SNR}^2` for one class, :math:`n_\pm\mathrm{SNR}^2` for two.

    ``kind="rectangular"``: eigenvalues of :math:`YY^\top`, the *squared* singular values of
    :math:`Y = \sum_k\theta_k u_kv_k^\top + X/\sqrt n` with fixed directions. A spike separates if
    :math:`\theta > \gamma^{1/4}`, at :math:`(1+\theta^2)(\gamma+\theta^2)/\theta^2`: the
    covariance spike :math:`\ell = 1 + \theta^2` with its factor scores held fixed.

    ``kind="wigner"``: eigenvalues of :math:`\sum_k\theta_ku_ku_k^\top + W`, `W` symmetric with
    entries of variance ``scale / n``. A spike separates if :math:`|\theta| > 1`, at
    :math:`\theta + 1/\theta`, beyond a semicircle of radius 2.

    Parameters
    ----------
    aspect_ratio : float
        :math:`\gamma = d/n`, in ``(0, inf)``; 1 for ``"wigner"``.
    spikes : array_like, shape (n_spikes,)
        Positive (of either sign for ``"wigner"``); may be empty.
    kind : {"covariance", "additive", "wigner", "rectangular"}
        What a spike is, as above.
    scale : float
        Variance of the noise. It multiplies the spikes too: covariance and additive ones by
        `scale`, the others by its root.
    population : array_like, shape (n_atoms, 2), optional
        Pairs (eigenvalue, weight) of the rest of `T`, for ``"covariance"``; one at 1 by default.

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
    Statist. Sinica 17 (2007), 1617, Theorems 3 and 4. Z. Bai and J. Yao, J. Multivariate Anal.
    106 (2012), 167, Theorems 4.1-4.2 (population). F. Benaych-Georges and R. R. Nadakuditi,
    Adv. Math. 227 (2011), 494, Theorems 2.1 and 2.2 (additive, Wigner); J. Multivariate Anal.
    111 (2012), 120, Theorems 2.8-2.10 (rectangular).

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
    >>> Spiked(1.0, [2.0, -0.5], kind="wigner").outliers().tolist()
    [2.5, nan]
    """

    aspect_ratio: float
    spikes: tuple[float, ...]
    kind: str = "covariance"
    scale: float = 1.0
    population: tuple[tuple[float, float], ...] | None = None

    def __init__(
        self,
        aspect_ratio: float,
        spikes: Any,
        kind: str = "covariance",
        scale: float = 1.0,
        population: Any = None,
    ) -> None:
        ratio = _checks.real("aspect_ratio", aspect_ratio, low=0.0, low_open=True)
        none = isinstance(spikes, tuple | list) and not len(spikes)
        values = _checks.array("spikes", np.zeros(0) if none else spikes, ndim=1)
        _checks.choice("kind", kind, KINDS)
        if kind == "wigner" and ratio != 1.0:
            raise ValueError(f"aspect_ratio must be 1 for kind='wigner', got {ratio!r}")
        if kind != "wigner" and (values <= 0.0).any():
            raise ValueError(f"spikes must be > 0, got {float(values.min())!r}")
        if kind == "wigner" and (values == 0.0).any():
            raise ValueError("spikes must not be 0")
        object.__setattr__(self, "aspect_ratio", ratio)
        object.__setattr__(self, "spikes", tuple(values.tolist()))
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "scale", _checks.real("scale", scale, low=0.0, low_open=True))
        object.__setattr__(self, "population", self._read(population))

    def _read(self, population: Any) -> tuple[tuple[float, float], ...] | None:
        if population is None:
            return None
        if self.kind != "covariance":
            raise ValueError(f"population goes with kind='covariance', got kind={self.kind!r}")
        pairs = _checks.array("population", population, ndim=2)
        if pairs.shape[1] != 2:
            raise ValueError(f"population must have shape (n_atoms, 2), got {pairs.shape}")
        try:
            law = GeneralizedMarchenkoPastur(self.aspect_ratio, pairs[:, 0], pairs[:, 1])
        except ValueError as error:  # it speaks of atoms and weights
            raise ValueError(f"population: {error}") from None
        for spike in self.spikes:
            if any(spike == atom for atom, _ in law.population):
                raise ValueError(f"spikes must not be atoms of the population, got {spike!r}")
        return law.population

    @classmethod
    def from_outliers(
        cls,
        eigenvalues: Any,
        n_samples: int,
        n_features: int,
        *,
        kind: str = "covariance",
        scale: float = 1.0,
        confidence: float = 0.95,
        dyson_index: int = 1,
    ) -> SpikeEstimate:
        r"""Spikes from observed outliers: inverse of `outliers`, debiased, with intervals.

        Parameters
        ----------
        eigenvalues : array_like, shape (n_outliers,)
            Of ``X @ X.T / n_samples`` (squared singular values for ``"rectangular"``), each
            beyond the edge of the bulk: those that a test found.
        n_samples, n_features : int
            Columns and rows of the data; the side of the matrix twice for ``"wigner"``.
        kind : {"covariance", "additive", "wigner", "rectangular"}
            What a spike is.
        scale : float
            Variance of the noise; for an unknown one that of `MarchenkoPastur.fit`.
        confidence : float
            Of each interval, in (0, 1).
        dyson_index : {1, 2}
            Real or complex data.

        Returns
        -------
        SpikeEstimate
            ``.law`` (a `Spiked`), ``.spikes``, ``.standard_errors``, ``.intervals``, ``.overlaps``.

        Raises
        ------
        ValueError
            If an eigenvalue lies within the bulk, where the map has no inverse.

        Notes
        -----
        The noise has ``n_features - n_outliers`` dimensions, and covariance spikes repel
        each other by Lawley's :math:`\ell_i\ell_j/(n(\ell_i-\ell_j))`: both are taken out.
        Intervals are normal, on a logarithmic scale for covariance spikes. Near the transition
        they are too short: there an outlier is only *given* to be outside.

        References
        ----------
        D. N. Lawley, Biometrika 43 (1956), 128, eq. (3.5). Z. Bai and X. Ding, Random Matrices
        Theory Appl. 1 (2012), 1150011, for the inverse.

        Examples
        --------
        >>> from rmtstab.laws import Spiked
        >>> found = Spiked.from_outliers([4.2], n_samples=400, n_features=101)
        >>> found.spikes.round(4).tolist(), found.intervals.round(2).tolist()
        ([3.8627], [[3.36, 4.45]])
        """
        _checks.choice("kind", kind, KINDS)
        return estimate(cls, eigenvalues, n_samples, n_features, kind, scale, confidence,
                        dyson_index)  # fmt: skip

    @cached_property
    def bulk(self) -> SpectralLaw:
        """The law of all eigenvalues but the outliers."""
        if self.kind == "wigner":
            return Semicircle(2.0 * math.sqrt(self.scale))
        if self.population is None:
            return MarchenkoPastur(self.aspect_ratio, self.scale)
        atoms, weights = np.array(self.population).T
        return GeneralizedMarchenkoPastur(self.aspect_ratio, atoms * self.scale, weights)

    @cached_property
    def transition(self) -> float:
        """Spike (in units of the scale) above which an eigenvalue leaves the bulk upward."""
        root = math.sqrt(self.aspect_ratio)
        if self.population is not None:
            return _last_critical(self.aspect_ratio, self.population)
        return {
            "covariance": 1.0 + root,
            "additive": self.aspect_ratio + root,
            "wigner": 1.0,
            "rectangular": math.sqrt(root),
        }[self.kind]

    @property
    def lower_transition(self) -> float:
        """Spike below which an eigenvalue leaves downward; NaN where none does.

        Not given for a population: there a spike separates where ``outliers`` is not NaN.
        """
        if self.kind == "wigner":
            return -1.0
        if self.kind != "covariance" or self.aspect_ratio >= 1.0 or self.population is not None:
            return math.nan
        return 1.0 - math.sqrt(self.aspect_ratio)

    @cached_property
    def _response(self) -> _Response:
        """Everything below in units of the scale, NaN where a spike does not separate."""
        spikes, gamma = np.array(self.spikes), self.aspect_ratio
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if self.population is not None:
                atoms, weights = np.array(self.population).T
                gaps = spikes[:, None] - atoms
                place = spikes * (1.0 + gamma * np.sum(weights * atoms / gaps, axis=1))
                slope = 1.0 - gamma * np.sum(weights * (atoms / gaps) ** 2, axis=1)
                separate = slope > 0.0
                if gamma >= 1.0:  # nothing leaves between the bulk and zero
                    separate &= place > 0.0
            else:
                m, separate = self._offset(spikes)
                unit = 1.0 if self.kind == "wigner" else gamma
                root = math.sqrt(unit)
                slope = (m - root) * (m + root) / (m * m)  # 1 - γ/m², without its cancellation
                if self.kind == "wigner":
                    place = m + 1.0 / m
                else:
                    ell = spikes if self.kind == "covariance" else 1.0 + m
                    place = ell * (1.0 + gamma / m)
        return _Response(
            np.where(separate, place, np.nan), np.where(separate, slope, np.nan), separate
        )

    def _offset(self, spikes: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return ``l - 1`` of the equivalent covariance spike, and who separates."""
        if self.kind == "wigner":
            return spikes, np.abs(spikes) > 1.0
        separate = spikes > self.transition
        if self.kind == "covariance":
            if not math.isnan(self.lower_transition):
                separate |= spikes < self.lower_transition
            return spikes - 1.0, separate
        m = spikes * spikes if self.kind == "rectangular" else spikes - self.aspect_ratio
        return m, separate

    def outliers(self) -> FloatArray:
        """Limits of the eigenvalues that leave the bulk.

        Returns
        -------
        ndarray, shape (n_spikes,), float64
            In the order of the spikes; NaN for a spike that does not separate (its
            eigenvalue tends to the edge). Squared singular values for ``"rectangular"``.
        """
        unit = math.sqrt(self.scale) if self.kind == "wigner" else self.scale
        return unit * self._response.place

    def overlaps(self, side: str = "left") -> FloatArray:
        r"""Limits of the squared cosine between a spike's direction and its eigenvector.

        Parameters
        ----------
        side : {"left", "right"}
            The direction in the matrix itself (dimension `d`), or on the samples' side
            (dimension `n`): :math:`v_k`, or the factor scores of a covariance spike above 1.

        Returns
        -------
        ndarray, shape (n_spikes,), float64
            With :math:`m = \ell - 1 = \theta^2`: :math:`(1 - \gamma/m^2)/(1 + \gamma/m)` on the
            left, :math:`(1 - \gamma/m^2)/(1 + 1/m)` on the right; :math:`1 - \gamma/m^2` for
            additive spikes, :math:`1 - \theta^{-2}` for Wigner's, :math:`\ell\psi'/\psi` with a
            population; 0 for a spike that does not separate, NaN where the notion
            does not apply.
        """
        _checks.choice("side", side, ("left", "right"))
        place, slope, separate = self._response
        spikes, gamma = np.array(self.spikes), self.aspect_ratio
        if self.kind in ("additive", "wigner"):
            value = slope if side == "left" else np.full(spikes.shape, np.nan)
        elif self.population is not None:
            value = spikes * slope / place if side == "left" else np.full(spikes.shape, np.nan)
        else:
            m, _ = self._offset(spikes)
            with np.errstate(divide="ignore", invalid="ignore"):
                if side == "left":
                    value = slope / (1.0 + gamma / m)
                else:
                    value = np.where(m > 0.0, slope / (1.0 + 1.0 / m), np.nan)
        return np.where(separate, value, 0.0)

    def fluctuation(self, dyson_index: int = 1) -> FloatArray:
        r"""Limit of :math:`\sqrt n` times the standard deviation of each outlier.

        For Gaussian data, with :math:`\lambda' = 1 - \gamma/m^2` the slope of the outlier in
        its spike (:math:`\psi'` with a population),

        .. math:: \ell\sqrt{2\lambda'/\beta},\quad
            \frac{\theta}{\theta-\gamma}\sqrt{2\lambda'/\beta},\quad
            \sqrt{2(\ell^2\lambda' - m^2\lambda'^2)/\beta},\quad \sqrt{2(1-\theta^{-2})/\beta}

        for covariance, additive, rectangular and Wigner spikes. The third is the first without
        the share of the factor scores' own length: data into which one fixed direction was
        injected vary less than draws from a spiked population. With p the side of the
        matrix, n is :math:`p/\gamma` in all cases: the columns of noise.

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

        References
        ----------
        J. Baik, G. Ben Arous and S. Péché (2005), D. Paul (2007), Z. Bai and J. Yao (2012), as
        above; S. Péché, Probab. Theory Related Fields 134 (2006), 127 (Wigner). The additive
        and rectangular forms are derived in docs/laws/spiked.
        """
        dyson_index = _checks.choice("dyson_index", dyson_index, (1, 2))
        _, slope, _ = self._response
        spikes, gamma = np.array(self.spikes), self.aspect_ratio
        unit = self.scale
        if self.kind == "covariance":
            variance = spikes**2 * slope
        elif self.kind == "wigner":
            variance, unit = slope, math.sqrt(self.scale)
        else:
            m, _ = self._offset(spikes)
            if self.kind == "additive":
                variance = (1.0 + gamma / m) ** 2 * slope
            else:
                # ℓ²λ' − m²λ'² = λ'(1 + 2m + γ)
                variance = slope * (1.0 + 2.0 * m + gamma)
        return unit * np.sqrt(2.0 / dyson_index * variance)

    def edges(self) -> FloatArray:
        """Edges of the bulk, shape ``(n_intervals, 2)``."""
        return self.bulk.edges()

    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Point masses of the bulk."""
        return self.bulk.atoms()

    def moment(self, order: int) -> float:
        """Moment of the bulk about zero.

        Parameters
        ----------
        order : int
            At least 0.
        """
        return self.bulk.moment(order)

    def var(self) -> float:
        """Variance of the bulk."""
        return self.bulk.var()

    def edge_scale(self) -> float:
        """Tracy–Widom scale of the bulk's upper edge."""
        scale: float = self.bulk.edge_scale()
        return scale

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
        return np.asarray(self.bulk.stieltjes(z))


def _last_critical(gamma: float, population: tuple[tuple[float, float], ...]) -> float:
    """Return the spike above every atom at which ψ' vanishes: Newton's method from the left."""
    atoms, weights = np.array(population).T
    top, weight = population[-1]
    spike = top * (1.0 + math.sqrt(gamma * weight))  # ψ' <= 0 here, and convexity does the rest
    for _ in range(200):
        ratio = atoms / (spike - atoms)
        value = gamma * float(np.sum(weights * ratio**2)) - 1.0
        slope = -2.0 * gamma * float(np.sum(weights * ratio**2 / (spike - atoms)))
        step = value / slope
        spike -= step
        if abs(step) <= 1e-15 * spike:
            break
    return spike
