"""Wachter law: eigenvalues of an F-matrix, one sample covariance against another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cached_property

import numpy as np

from rmtstab import _checks
from rmtstab.kernels import laws_two_poles as kernel
from rmtstab.laws._edge_polynomial import split
from rmtstab.laws._two_poles import TwoPolesLaw, side
from rmtstab.laws.jacobi import DIGITS, beta_edges


@dataclass(frozen=True)
class Wachter(TwoPolesLaw):
    r"""Wachter law with density

    .. math:: f(x) = \frac{1-\gamma_2}{2\pi}\,
        \frac{\sqrt{(b-x)(x-a)}}{x(\gamma_1+\gamma_2x)}, \qquad
        a, b = \Big(\frac{1 \mp \sqrt{\gamma_1+\gamma_2-\gamma_1\gamma_2}}{1-\gamma_2}\Big)^2,

    and an atom :math:`1 - 1/\gamma_1` at zero when :math:`\gamma_1 > 1`. It is the limit of the
    eigenvalues of :math:`S_1 S_2^{-1}`, :math:`S_i` independent sample covariance matrices
    of white noise (or of one common covariance) with :math:`d/n_i \to \gamma_i`.

    Parameters
    ----------
    numerator_ratio : float
        :math:`\gamma_1 = d/n_1`, in ``(0, inf)``.
    denominator_ratio : float
        :math:`\gamma_2 = d/n_2`, in ``(0, 1)``: otherwise :math:`S_2` is singular.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not a number, or outside its range.

    Notes
    -----
    The mean is ``1 / (1 - denominator_ratio)``. With the forget set in the numerator and
    the retain set in the denominator the upper edge `b` gives the critical
    mixing ``1 / (1 + b)`` of the mean dynamics.

    References
    ----------
    K. W. Wachter, Ann. Statist. 8 (1980), 937, §1; Z. D. Bai and J. W. Silverstein,
    *Spectral Analysis of Large Dimensional Random Matrices* (2010), Theorem 4.10. The
    Stieltjes transform is derived in docs/laws/wachter.

    Examples
    --------
    >>> from rmtstab.laws import Wachter
    >>> law = Wachter(numerator_ratio=0.5, denominator_ratio=0.2)
    >>> law.edges().round(6).tolist()
    [[0.079385, 4.920615]]
    >>> law.mean()
    1.25
    """

    numerator_ratio: float
    denominator_ratio: float

    def __post_init__(self) -> None:
        top = _checks.real("numerator_ratio", self.numerator_ratio, low=0.0, low_open=True)
        bottom = _checks.real(
            "denominator_ratio",
            self.denominator_ratio,
            low=0.0,
            high=1.0,
            low_open=True,
            high_open=True,
        )
        object.__setattr__(self, "numerator_ratio", top)
        object.__setattr__(self, "denominator_ratio", bottom)

    @cached_property
    def _poles(self) -> kernel.Poles:
        with localcontext() as context:
            context.prec = DIGITS + 2 * int(abs(math.log10(self.numerator_ratio)))
            first, second = Decimal(self.numerator_ratio), Decimal(self.denominator_ratio)
            h = (first + second - first * second).sqrt()
            low = ((1 - first) / (1 + h)) ** 2  # ((1 - h)/(1 - second))²
            right = split(((1 + h) / (1 - second)) ** 2)
            p, n1, n2 = Decimal(1), 1 / first, 1 / second
            beta_low, beta_high, beta_width = beta_edges(p, n1, n2)
            norm = float(n1 + n2) / (2.0 * math.pi)
            lower = side(beta_low, 1 - beta_low, beta_width, norm)
            upper = side(beta_high, 1 - beta_high, beta_width, norm)
            atom = max(Decimal(0), 1 - 1 / first)
            return kernel.Poles(
                *split(low), *right, width=float(4 * h / (1 - second) ** 2),
                mobius=float(second / first), norm=float(1 - second) / (2.0 * math.pi),
                d0=0.0, d1=1.0, e0=float(first), e1=float(second), mass=float(1 - atom),
                low_atom=float(atom), low_at=0.0, high_atom=0.0, high_at=math.inf,
                lower=lower[0], lower_near=lower[1], lower_far=lower[2],
                upper=upper[0], upper_near=upper[1], upper_far=upper[2],
                line0=float((1 - first) / 2), line1=-float((1 + second) / 2), line2=0.0,
                root=float((1 - second) / 2), product=1.0, scale=1.0,
            )  # fmt: skip

    def moment(self, order: int) -> float:
        """Moment about zero, by a Gauss rule whose size follows the distance of the pole.

        Parameters
        ----------
        order : int
            At least 0.

        Returns
        -------
        float
        """
        k = _checks.integer("order", order, low=0)
        if k == 0:
            return 1.0
        law = self._poles
        distance = (law.left + law.e0 / law.e1) / law.width
        rate = 2.0 * math.asinh(math.sqrt(distance))
        points, weights = self._integral(k + 3 + int(40.0 / rate))
        values = points ** (k - 1) / (law.e0 + law.e1 * points)
        return law.norm * float(np.sum(weights * values))

    def mean(self) -> float:
        """Mean, ``1 / (1 - denominator_ratio)``."""
        return 1.0 / (1.0 - self.denominator_ratio)

    def edge_scale(self) -> float:
        r"""Tracy–Widom scale of the top edge.

        With `d` the side of the matrices, :math:`d^{2/3}(\lambda_1 - \lambda_+)/\text{scale}`
        tends to the Tracy–Widom law.

        Returns
        -------
        float
            :math:`C^{-2/3}`, where the density is :math:`C\sqrt{\lambda_+-x}/\pi` at the edge.
        """
        left, right = self.support()
        pole = right * (self.numerator_ratio + self.denominator_ratio * right)
        rise = 0.5 * (1.0 - self.denominator_ratio) * math.sqrt(right - left) / pole
        return float(rise ** (-2.0 / 3.0))
