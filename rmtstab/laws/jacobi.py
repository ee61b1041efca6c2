"""Jacobi law: eigenvalues of a beta (MANOVA) matrix."""

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

DIGITS = 60


def beta_edges(p: Decimal, n1: Decimal, n2: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    """Return lower edge, 1 - upper edge, and width of the Jacobi law, without cancellation."""
    n = n1 + n2
    first, second = (n1 * (n - p)).sqrt(), (p * n2).sqrt()
    low = ((n1 - p) * n / (first + second) / n) ** 2  # (first - second)² / n²
    third, fourth = (n2 * (n - p)).sqrt(), (p * n1).sqrt()
    high = ((n2 - p) * n / (third + fourth) / n) ** 2
    return low, high, 4 * first * second / n**2


@dataclass(frozen=True)
class Jacobi(TwoPolesLaw):
    r"""Jacobi law with density

    .. math:: f(x) = \frac{n_1+n_2}{2\pi p}\,
        \frac{\sqrt{(\lambda_+-x)(x-\lambda_-)}}{x(1-x)}, \qquad
        \lambda_\pm = \Big(\frac{\sqrt{n_1(n_1+n_2-p)} \pm \sqrt{p\,n_2}}{n_1+n_2}\Big)^2,

    and atoms :math:`1 - n_1/p` at 0 and :math:`1 - n_2/p` at 1 where positive. It is the
    limit of the eigenvalues of :math:`A(A+B)^{-1}`, `A` and `B` independent Wishart
    matrices of size `p` with ``n1`` and ``n2`` degrees of freedom, as the three grow
    in proportion; only their ratios matter.

    Parameters
    ----------
    p, n1, n2 : float
        Positive, with ``n1 + n2 > p`` (otherwise `A + B` is singular), and neither
        ``n1 / p`` nor ``n2 / p`` outside ``[1e-150, 1e150]``.
    loc : float
        Shift of the whole law, atoms included.

    Raises
    ------
    TypeError, ValueError
        If the parameters are not as above.

    Notes
    -----
    With ``n = n1 + n2`` the mean is ``n1 / n``, the variance ``p n1 n2 / n**3``.

    See Also
    --------
    Wachter : the law of the ratio `x/(1-x)`, rescaled.

    References
    ----------
    K. W. Wachter, Ann. Statist. 8 (1980), 937, §1; I. M. Johnstone, Ann. Statist. 36
    (2008), 2638, §2. The forms evaluated are derived in docs/laws/wachter.

    Examples
    --------
    >>> from rmtstab.laws import Jacobi
    >>> law = Jacobi(p=1, n1=3, n2=5)
    >>> law.edges().round(8).tolist()
    [[0.08603279, 0.72646721]]
    >>> law.mean()
    0.375
    """

    p: float
    n1: float
    n2: float
    loc: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "loc", _checks.real("loc", self.loc))
        for name in ("p", "n1", "n2"):
            value = _checks.real(name, getattr(self, name), low=0.0, low_open=True)
            object.__setattr__(self, name, value)
        for name in ("n1", "n2"):
            ratio = Decimal(getattr(self, name)) / Decimal(self.p)
            if not Decimal("1e-150") <= ratio <= Decimal("1e150"):
                raise ValueError(f"{name} / p must lie in [1e-150, 1e150], got {ratio:.3g}")
        if not Decimal(self.n1) + Decimal(self.n2) > Decimal(self.p):
            raise ValueError(
                f"n1 + n2 must exceed p={self.p!r} (A + B is singular otherwise), "
                f"got n1={self.n1!r}, n2={self.n2!r}"
            )

    def _digits(self) -> AbstractContextManager[None]:
        decades = [math.log10(v) for v in (self.p, self.n1, self.n2)]
        return digits(DIGITS + 3 * int(max(decades) - min(decades)))

    @cached_property
    def _poles(self) -> kernel.Poles:
        with self._digits():
            p, n1, n2 = Decimal(self.p), Decimal(self.n1), Decimal(self.n2)
            low, high, width = beta_edges(p, n1, n2)
            n = n1 + n2
            norm = float(n / p) / (2.0 * math.pi)
            lower = side(low, 1 - low, width, norm)
            upper = side(high, 1 - high, width, norm)
            left, right = split(low), split(1 - high)
            at_zero, at_one = max(Decimal(0), 1 - n1 / p), max(Decimal(0), 1 - n2 / p)
            return kernel.Poles(
                *left, *right, width=float(width), mobius=0.0, norm=norm,
                d0=0.0, d1=1.0, e0=1.0, e1=-1.0, mass=float(1 - at_zero - at_one),
                low_atom=float(at_zero), low_at=0.0, high_atom=float(at_one), high_at=1.0,
                lower=lower[0], lower_near=lower[1], lower_far=lower[2],
                upper=upper[0], upper_near=upper[1], upper_far=upper[2],
                line0=float((n1 - p) / (2 * p)), line1=float((p - n2) / (2 * p)), line2=-1.0,
                root=float(n / (2 * p)), product=float((n - p) / p), scale=1.0,
            )  # fmt: skip

    def _moment(self, order: int) -> float:
        if order == 0:
            return 1.0
        with self._digits():
            p, n1, n2 = Decimal(self.p), Decimal(self.n1), Decimal(self.n2)
            low, high, _ = beta_edges(p, n1, n2)
            value = moment(order, low, 1 - high, Decimal(1), Decimal(-1))
            return float((n1 + n2) / (2 * p) * value + max(Decimal(0), 1 - n2 / p))

    def edge_scale(self) -> float:
        r"""Tracy–Widom scale of the top edge.

        With `d` the side of the matrices, :math:`d^{2/3}(\lambda_1 - \lambda_+)/\text{scale}`
        tends to the Tracy–Widom law; where ``n2 <= p`` the top edge is 1 or touches it
        (``n2 = p``, a hard edge: `ValueError`).

        Returns
        -------
        float
            :math:`C^{-2/3}`, where the density is :math:`C\sqrt{\lambda_+-x}/\pi` at the edge.
        """
        left, right = self._edges()[0]
        if right >= 1.0:
            raise ValueError("n2 must differ from p for a soft top edge: this one is hard, at 1")
        size = 0.5 * (self.n1 + self.n2) / self.p
        rise = size * math.sqrt(right - left) / (right * (1.0 - right))
        return float(rise ** (-2.0 / 3.0))

    def _var(self) -> float:
        with self._digits():
            p, n1, n2 = Decimal(self.p), Decimal(self.n1), Decimal(self.n2)
            return float(p * n1 * n2 / (n1 + n2) ** 3)
