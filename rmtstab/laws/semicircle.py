"""Semicircle law: eigenvalues of a Wigner matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rmtstab import _checks
from rmtstab.kernels import laws_two_poles as kernel
from rmtstab.laws._edge_polynomial import tail_polynomial
from rmtstab.laws._two_poles import TwoPolesLaw


@dataclass(frozen=True)
class Semicircle(TwoPolesLaw):
    r"""Semicircle law with density :math:`f(x) = \frac{2}{\pi R^2}\sqrt{R^2 - x^2}` on `[-R, R]`.

    It is the limit of the eigenvalues of a Hermitian matrix of size `n` whose
    entries are independent up to symmetry, with mean 0 and variance
    :math:`R^2/(4n)`; radius 2 is variance 1.

    Parameters
    ----------
    radius : float
        `R`, positive.

    Raises
    ------
    TypeError, ValueError
        If the radius is not a finite positive number.

    Notes
    -----
    The variance is ``radius**2 / 4``.

    References
    ----------
    E. P. Wigner, Ann. Math. 67 (1958), 325, with the normalisation of Anderson, Guionnet
    and Zeitouni, *An Introduction to Random Matrices* (2010), eq. (2.1.3).

    Examples
    --------
    >>> from rmtstab.laws import Semicircle
    >>> law = Semicircle()
    >>> law.support(), law.var()
    ((-2.0, 2.0), 1.0)
    >>> round(law.cdf(-1.9), 15)
    0.006660005505071
    """

    radius: float = 2.0

    def __post_init__(self) -> None:
        radius = _checks.real("radius", self.radius, low=0.0, low_open=True)
        object.__setattr__(self, "radius", radius)

    @cached_property
    def _poles(self) -> kernel.Poles:
        r = self.radius
        constants = np.array([0.5, 0.0, 1.0, 1.0, 0.0, 1.0])
        near = tail_polynomial(1.0, 0.0, 0.5, 8.0 / math.pi)
        far = np.zeros(1)
        for table in (constants, near, far):
            table.flags.writeable = False
        return kernel.Poles(
            left=-r, left_low=0.0, right=r, right_low=0.0, width=2.0 * r, mobius=0.0,
            norm=2.0 / math.pi / r / r, d0=1.0, d1=0.0, e0=1.0, e1=0.0, mass=1.0,
            low_atom=0.0, low_at=-math.inf, high_atom=0.0, high_at=math.inf,
            lower=constants, lower_near=near, lower_far=far,
            upper=constants, upper_near=near, upper_far=far,
            line0=0.0, line1=-1.0, line2=0.0, root=1.0, product=2.0, scale=0.5 * r * r,
        )  # fmt: skip

    def moment(self, order: int) -> float:
        """Moment about zero: Catalan numbers times ``(radius/2)**order``, 0 for odd orders.

        Parameters
        ----------
        order : int
            At least 0.

        Returns
        -------
        float
        """
        k = _checks.integer("order", order, low=0)
        if k % 2:
            return 0.0
        return math.comb(k, k // 2) / (k // 2 + 1) * (0.5 * self.radius) ** k

    def var(self) -> float:
        """Variance, ``radius**2 / 4``."""
        return 0.25 * self.radius * self.radius

    def edge_scale(self) -> float:
        r"""Tracy–Widom scale of the top edge.

        :math:`n^{2/3}(\lambda_1 - \text{radius})/\text{scale}` tends to the Tracy–Widom law, `n`
        the side of the matrix.

        Returns
        -------
        float
            ``radius / 2``.
        """
        return 0.5 * self.radius
