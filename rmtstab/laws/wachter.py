"""Wachter law: eigenvalues of an F-matrix, one sample covariance against another."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from rmtstab import _checks
from rmtstab.kernels import laws_two_poles as kernel
from rmtstab.laws._decimals import digits, split
from rmtstab.laws._two_poles import TwoPolesLaw, moment, side
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
        :math:`\gamma_1 = d/n_1`, in ``[1e-150, 1e150]``.
    denominator_ratio : float
        :math:`\gamma_2 = d/n_2`, in ``[1e-150, 1)``: at 1 and above :math:`S_2` is singular.
    loc : float
        Shift of the whole law, atom included.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not a number, or outside its range.

    Notes
    -----
    The mean is ``1 / (1 - denominator_ratio)``, the variance
    :math:`(\gamma_1+\gamma_2-\gamma_1\gamma_2)/(1-\gamma_2)^3`. With the forget set in the
    numerator and the retain set in the denominator the upper edge `b` gives the
    critical mixing ``1 / (1 + b)`` of the mean dynamics.

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
    loc: float = 0.0

    def __post_init__(self) -> None:
        top = _checks.real("numerator_ratio", self.numerator_ratio, low=1e-150, high=1e150)
        bottom = _checks.real(
            "denominator_ratio", self.denominator_ratio, low=1e-150, high=1.0, high_open=True
        )
        object.__setattr__(self, "loc", _checks.real("loc", self.loc))
        object.__setattr__(self, "numerator_ratio", top)
        object.__setattr__(self, "denominator_ratio", bottom)

    def _digits(self) -> AbstractContextManager[None]:
        pair = self.numerator_ratio, self.denominator_ratio
        return digits(DIGITS + 2 * sum(int(abs(math.log10(v))) for v in pair))

    def _exact_edges(self) -> tuple[Decimal, Decimal, Decimal]:
        """Return both edges and the width."""
        first, second = Decimal(self.numerator_ratio), Decimal(self.denominator_ratio)
        h = (first + second - first * second).sqrt()
        low = ((1 - first) / (1 + h)) ** 2  # ((1 - h)/(1 - second))²
        return low, ((1 + h) / (1 - second)) ** 2, 4 * h / (1 - second) ** 2

    @cached_property
    def _poles(self) -> kernel.Poles:
        with self._digits():
            first, second = Decimal(self.numerator_ratio), Decimal(self.denominator_ratio)
            low, high, width = self._exact_edges()
            p, n1, n2 = Decimal(1), 1 / first, 1 / second
            beta_low, beta_high, beta_width = beta_edges(p, n1, n2)
            norm = float(n1 + n2) / (2.0 * math.pi)
            lower = side(beta_low, 1 - beta_low, beta_width, norm)
            upper = side(beta_high, 1 - beta_high, beta_width, norm)
            atom = max(Decimal(0), 1 - 1 / first)
            return kernel.Poles(
                *split(low), *split(high), width=float(width),
                mobius=float(second / first), norm=float(1 - second) / (2.0 * math.pi),
                d0=0.0, d1=1.0, e0=float(first), e1=float(second), mass=float(1 - atom),
                low_atom=float(atom), low_at=0.0, high_atom=0.0, high_at=math.inf,
                lower=lower[0], lower_near=lower[1], lower_far=lower[2],
                upper=upper[0], upper_near=upper[1], upper_far=upper[2],
                line0=float((1 - first) / 2), line1=-float((1 + second) / 2), line2=0.0,
                root=float((1 - second) / 2), product=1.0, scale=1.0,
            )  # fmt: skip

    def _moment(self, order: int) -> float:
        if order == 0:
            return 1.0
        with self._digits():
            first, second = Decimal(self.numerator_ratio), Decimal(self.denominator_ratio)
            low, high, _ = self._exact_edges()
            value = moment(order, low, high, first, second)
            return float((1 - second) / 2 * value)

    def edge_scale(self) -> float:
        r"""Tracy–Widom scale of the top edge.

        With `d` the side of the matrices, :math:`d^{2/3}(\lambda_1 - \lambda_+)/\text{scale}`
        tends to the Tracy–Widom law.

        Returns
        -------
        float
            :math:`C^{-2/3}`, where the density is :math:`C\sqrt{\lambda_+-x}/\pi` at the edge.
        """
        left, right = self._edges()[0]
        pole = right * (self.numerator_ratio + self.denominator_ratio * right)
        rise = 0.5 * (1.0 - self.denominator_ratio) * math.sqrt(right - left) / pole
        return float(rise ** (-2.0 / 3.0))

    def _var(self) -> float:
        with self._digits():
            first, second = Decimal(self.numerator_ratio), Decimal(self.denominator_ratio)
            return float((first + second - first * second) / (1 - second) ** 3)
