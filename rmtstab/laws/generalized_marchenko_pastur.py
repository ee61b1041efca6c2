"""Generalised Marchenko–Pastur law: sample covariance of a discrete population spectrum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab.laws._free_poisson import DIGITS, FreePoissonLaw

if TYPE_CHECKING:
    from rmtstab.laws.population import PopulationFit


@dataclass(frozen=True, init=False)
class GeneralizedMarchenkoPastur(FreePoissonLaw):
    r"""Generalised Marchenko–Pastur law of population :math:`H = \sum_j w_j \delta_{t_j}`.

    It is the limit of the eigenvalues of ``T**0.5 @ X @ X.T @ T**0.5 / n``, `X` of shape
    ``(d, n)`` with independent standardised entries, the population covariance `T`
    having spectrum `H`, as ``d / n`` tends to :math:`\gamma`. Its companion transform
    :math:`v(z) = -(1-\gamma)/z + \gamma m(z)` inverts

    .. math:: z(v) = -\frac1v + \gamma \sum_j \frac{w_j t_j}{1 + t_j v},

    the density is :math:`f(x) = \Im v(x + i0)/(\pi\gamma)`, and there is an atom of mass
    :math:`\max(w_0, 1 - 1/\gamma)` at zero, :math:`w_0` the population's weight at zero.

    Parameters
    ----------
    aspect_ratio : float
        :math:`\gamma = d/n`, in ``[1e-50, 1e50]``.
    atoms : array_like, shape (n_atoms,)
        Population eigenvalues: 0 or in ``[1e-50, 1e50]``, not all 0; equal ones are merged.
        The method ``atoms()`` gives the point masses of the *law*; the argument
        is kept as ``population``.
    weights : array_like, shape (n_atoms,), optional
        Their weights: 0 or at least 1e-50, summing to 1 within 1e-12; rescaled to sum to 1.
        Equal when not given.
    loc : float
        Shift of the whole law, atom included.
    population : array_like, shape (n_atoms, 2), optional
        Pairs (eigenvalue, weight), in place of the two.

    Attributes
    ----------
    aspect_ratio : float
    population : tuple of (float, float)
        Pairs (eigenvalue, weight), in increasing order, weights positive.

    Raises
    ------
    TypeError, ValueError
        If the parameters are not as above.

    Notes
    -----
    No smoothing parameter is involved: edges are the zeros of `z'(v)`, found in 60
    digits (all of them, by convexity between poles), and between them one
    complex root is polished from the nearer edge, where nothing cancels.

    References
    ----------
    J. W. Silverstein and Z. D. Bai, J. Multivariate Anal. 54 (1995), 175, eq. (1.4).
    J. W. Silverstein and S.-I. Choi, ibid. 54 (1995), 295, Theorems 4.1 and 4.2.
    Z. D. Bai and J. W. Silverstein, Ann. Probab. 27 (1999), 1536, for the masses of the
    intervals. N. El Karoui, Ann. Probab. 35 (2007), 663, eq. (3), for the edge scale.

    Examples
    --------
    >>> from rmtstab.laws import GeneralizedMarchenkoPastur
    >>> law = GeneralizedMarchenkoPastur(0.1, atoms=[1, 8], weights=[0.5, 0.5])
    >>> law.edges().round(6).tolist()
    [[0.560011, 1.424704], [4.881888, 12.033398]]
    >>> law.masses().tolist()
    [0.5, 0.5]
    """

    aspect_ratio: float
    population: tuple[tuple[float, float], ...]
    loc: float

    def __init__(
        self,
        aspect_ratio: float,
        atoms: Any = None,
        weights: Any = None,
        loc: float = 0.0,
        *,
        population: Any = None,
    ) -> None:
        ratio = _checks.real("aspect_ratio", aspect_ratio, low=1e-50, high=1e50)
        if (atoms is None) == (population is None):
            raise TypeError("give either atoms (and weights) or population, pairs of both")
        if population is not None:
            pairs = _checks.array("population", population, ndim=2)
            if pairs.shape[1] != 2 or weights is not None:
                raise ValueError(f"population must hold pairs (atom, weight), got {population!r}")
            atoms, weights = pairs.T
        places = _checks.array("atoms", atoms, ndim=1)
        if places.size == 0:
            raise ValueError("atoms must hold at least one value, got none")
        equal = np.full(places.size, 1.0 / places.size)
        masses = equal if weights is None else _checks.array("weights", weights, ndim=1)
        if masses.shape != places.shape:
            raise ValueError(
                f"weights must have the shape of atoms, {places.shape}, got {masses.shape}"
            )
        if (places < 0.0).any():
            raise ValueError(f"atoms must be >= 0, got {float(places.min())!r}")
        if (masses < 0.0).any():
            raise ValueError(f"weights must be >= 0, got {float(masses.min())!r}")
        if ((places > 0.0) & ((places < 1e-50) | (places > 1e50))).any():
            raise ValueError("atoms must be 0 or lie in [1e-50, 1e50]")
        if ((masses > 0.0) & (masses < 1e-50)).any():
            raise ValueError("weights must be 0 or at least 1e-50")
        total = math.fsum(masses)
        if not abs(total - 1.0) <= 1e-12:
            raise ValueError(f"weights must sum to 1, got {total!r}")
        merged: dict[float, list[float]] = {}
        for t, w in zip(places.tolist(), masses.tolist(), strict=True):
            if w > 0.0:
                merged.setdefault(abs(t), []).append(w)
        merged_pairs = tuple((t, math.fsum(merged[t])) for t in sorted(merged))
        if merged_pairs[-1][0] == 0.0:
            raise ValueError("atoms must hold a positive value with positive weight, got only 0")
        object.__setattr__(self, "aspect_ratio", ratio)
        object.__setattr__(self, "population", merged_pairs)
        object.__setattr__(self, "loc", _checks.real("loc", loc))

    def _weights(self) -> tuple[list[Decimal], list[Decimal]]:
        places = [Decimal(t) for t, _ in self.population]
        weights = [Decimal(w) for _, w in self.population]
        total = sum(weights, Decimal(0))
        return [w / total for w in weights], places

    def _digits(self) -> int:
        values = [self.aspect_ratio, *(v for pair in self.population for v in pair if v > 0.0)]
        return DIGITS + 2 * int(max(abs(math.log10(v)) for v in values))

    def _jumps(self) -> tuple[list[Decimal], list[Decimal]]:
        weights, places = self._weights()
        gamma = Decimal(self.aspect_ratio)
        kept = [(gamma * w, t) for w, t in zip(weights, places, strict=True) if t > 0]
        return [r for r, _ in kept], [t for _, t in kept]

    def _frame(self) -> tuple[Decimal, Decimal, Decimal]:
        weights, places = self._weights()
        gamma = Decimal(self.aspect_ratio)
        at_zero = weights[0] if places[0] == 0 else Decimal(0)
        return 1 / gamma, max(at_zero, 1 - 1 / gamma), Decimal(0)

    def _weight_at_zero(self) -> float:
        weights, places = self._weights()
        return float(weights[0]) if places[0] == 0 else 0.0

    def edge_scale(self) -> float:
        r"""Tracy–Widom scale of the top edge.

        With :math:`\lambda_1` the largest eigenvalue and :math:`\lambda_+` the top edge,
        :math:`n^{2/3}(\lambda_1 - \lambda_+)/\text{scale}` tends to the Tracy–Widom
        law (index 1 for real data, 2 for complex).

        Returns
        -------
        float
            :math:`\big[u^3\big(1 + \gamma\sum_j w_j t_j^3/(u-t_j)^3\big)\big]^{1/3}`
            at the top critical point `u`.
        """
        curve = self._curve
        ratios = curve.pole / curve.d[-1]
        u = float(curve.root[-1])
        return u * float(np.cbrt(1.0 + np.sum(curve.rate * ratios**3)))

    @classmethod
    def fit(
        cls,
        eigenvalues: Any,
        n_samples: int,
        n_features: int | None = None,
        n_atoms: int | str = "auto",
        *,
        n_spikes: int = 0,
        level: float = 0.05,
        dyson_index: int = 1,
    ) -> PopulationFit:
        r"""Recover the population spectrum from sample eigenvalues.

        Generalised least squares in Silverstein's equation on a contour around the spectrum, with
        the covariance that the limit theorem of linear statistics gives it: standard errors and a
        test of fit come with the atoms.

        Parameters
        ----------
        eigenvalues : array_like, shape (n_features,) or (min(n_samples, n_features),)
            Of ``X.T @ X / n_samples``: all of them, or the nonzero ones of a singular matrix; in
            any order.
        n_samples : int
            One less than the number of rows if their mean was taken out.
        n_features : int, optional
            The number of eigenvalues when not given.
        n_atoms : int or "auto"
            From 1 to 8, one at zero included; the fewest that tests accept when ``"auto"``.
        n_spikes : int
            How many of the largest eigenvalues to leave out. Outliers of single features are
            no limit: count them with `MarchenkoPastur.fit` or by eye, and read them with
            `Spiked.from_outliers`.
        level : float
            Of these tests, in (0, 1).
        dyson_index : int
            1 for real data, 2 for complex.

        Returns
        -------
        PopulationFit
            ``.law``, ``.atoms``, ``.weights``, their errors, ``.resolved``, ``.separation``,
            ``.condition``, ``.p_value``, ``.intervals()``, ``.bootstrap()``.

        Raises
        ------
        TypeError, ValueError
            If an argument is outside its range.

        Notes
        -----
        The inverse problem is ill-posed: smoothing by Marchenko and Pastur hides
        what lies within a distance of about :math:`t\sqrt\gamma`, and only the smallness of the
        eigenvalues' fluctuations, of order `1/n`, brings it back. A continuous population is
        described by a few atoms, more of them the more data there are. Two atoms too near are
        found as one by ``"auto"``, and with a small ``separation`` if two are asked for.
        Errors presume Gaussian entries; other fourth moments add to them. A zero atom
        is found where the rank shows it, that is below ``min(n_samples, n_features)``.

        References
        ----------
        N. El Karoui, Ann. Statist. 36 (2008), 2757, for the convex problem on a grid; W. Li,
        J. Chen, Y. Qin, Z. Bai and J. Yao, J. Statist. Plann. Inference 143 (2013), 1887, for least
        squares in Silverstein's equation; Z. D. Bai and J. W. Silverstein, Ann. Probab. 32
        (2004), 553, Theorem 1.1, for the covariance.

        Examples
        --------
        >>> import numpy as np
        >>> from rmtstab.laws import GeneralizedMarchenkoPastur
        >>> X = np.random.default_rng(0).standard_normal((600, 200))
        >>> X[:, :100] *= 3.0
        >>> values = np.linalg.eigvalsh(X.T @ X / 600)
        >>> found = GeneralizedMarchenkoPastur.fit(values, n_samples=600)
        >>> found.atoms.round(1).tolist(), found.weights.round(2).tolist()
        ([1.0, 9.1], [0.5, 0.5])
        >>> found.is_resolved
        True
        """
        from rmtstab.laws.population import fit_population

        return fit_population(
            cls, eigenvalues, n_samples, n_features, n_atoms, n_spikes, level, dyson_index
        )

    def shrink(self, eigenvalues: Any) -> Any:
        r"""Shrink sample eigenvalues to the least squared error, whatever the population.

        .. math:: d(x) = \frac{x}{|1-\gamma-\gamma x\,m(x+i0)|^2},

        Ledoit and Péché's limit of :math:`u^\top\Sigma u` for the sample eigenvector of
        `x`: rotation-invariant shrinkage by the population law. Outliers too.

        Parameters
        ----------
        eigenvalues : array_like of real numbers, any shape
            Of the sample covariance; at least 0.

        Returns
        -------
        float or ndarray, shape of `eigenvalues`, float64

        Raises
        ------
        ValueError
            If an eigenvalue is negative.

        References
        ----------
        O. Ledoit and S. Péché, Probab. Theory Related Fields 151 (2011), 233, Theorem 3.

        Examples
        --------
        >>> from rmtstab.laws import GeneralizedMarchenkoPastur
        >>> law = GeneralizedMarchenkoPastur(0.1, atoms=[1, 8], weights=[0.5, 0.5])
        >>> law.shrink([1.0, 7.0]).round(6).tolist()
        [1.060601, 7.933877]
        """
        from rmtstab.laws.shrinkage import shrink_rotation

        zero = 0.0
        if self.aspect_ratio > 1.0 and self._weight_at_zero() == 0.0:
            # the companion's transform at 0 solves γ Σ w t v/(1 + t v) = 1
            t, w = np.array(self.population).T
            low, high = 0.0, self.aspect_ratio / ((self.aspect_ratio - 1.0) * t[0])
            for _ in range(200):
                v = 0.5 * (low + high)
                if self.aspect_ratio * float(np.sum(w * t * v / (1.0 + t * v))) < 1.0:
                    low = v
                else:
                    high = v
            zero = 1.0 / ((self.aspect_ratio - 1.0) * v)
        return shrink_rotation(self, self.aspect_ratio, eigenvalues, zero)
