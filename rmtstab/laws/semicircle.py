"""Semicircle law: eigenvalues of a Wigner matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import numpy as np

from rmtstab import _checks
from rmtstab.kernels import laws_two_poles as kernel
from rmtstab.laws._decimals import digits
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
        `R`, in ``[1e-150, 1e150]``.
    loc : float
        The centre.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not a number, or outside its range.

    Notes
    -----
    The variance is ``radius**2 / 4``; even moments about the centre are Catalan
    numbers times ``(radius / 2)**order``.

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
    loc: float = 0.0

    def __post_init__(self) -> None:
        radius = _checks.real("radius", self.radius, low=1e-150, high=1e150)
        object.__setattr__(self, "radius", radius)
        object.__setattr__(self, "loc", _checks.real("loc", self.loc))

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

    def _moment(self, order: int) -> float:
        if order % 2:
            return 0.0
        with digits(40):
            catalan = Decimal(math.comb(order, order // 2)) / (order // 2 + 1)
            return float(catalan * (Decimal(self.radius) / 2) ** order)

    def _var(self) -> float:
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
