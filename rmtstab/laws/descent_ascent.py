"""Descent–ascent law: the limit spectrum of the mix-Hessian of isotropic retain and forget sets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from rmtstab import _checks
from rmtstab.laws._free_poisson import DIGITS, FreePoissonLaw


@dataclass(frozen=True)
class DescentAscent(FreePoissonLaw):
    r"""Descent–ascent law, the free difference of two weighted Marchenko–Pastur laws.

    It is the limit spectrum of :math:`D(\alpha) = (1-\alpha)H_R - \alpha H_F + \lambda I`,
    with :math:`H_R = ZZ^\top/n_r` of independent standardised entries, ``Z`` of shape
    ``(d, n_r)``, and :math:`H_F` likewise of ``n_f`` samples, as :math:`d/n_r \to \gamma_r`
    and :math:`d/n_f \to \gamma_f`:

    .. math:: R(g) = \frac{1-\alpha}{1-\gamma_r(1-\alpha)g} - \frac{\alpha}{1+\gamma_f\alpha g},
        \qquad \zeta(g) = R(g) + \frac1g = x - \lambda .

    Parameters
    ----------
    retain_ratio, forget_ratio : float
        :math:`\gamma_r = d/n_r` and :math:`\gamma_f = d/n_f`, in ``[1e-50, 1e50]``.
    alpha : float
        Mixing, in ``[0, 1]``: 0 is descent on the retain set alone, 1 ascent alone.
        If positive, at least 1e-50.
    weight_decay : float
        :math:`\lambda \ge 0`; it shifts the law.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not a number, or outside its range.

    Notes
    -----
    In ``u = 1/g`` the law is compound free Poisson with rates
    :math:`1/\gamma_r, 1/\gamma_f` and jumps :math:`\gamma_r(1-\alpha), -\gamma_f\alpha`.
    All real critical points of :math:`\zeta` give edges: two, one interval; four, two.
    The density is that of the one root in the upper half-plane, bracketed along
    the curve where :math:`\zeta` is real. An atom of mass
    :math:`\max(0, 1 - 1/\gamma_r - 1/\gamma_f)` sits at :math:`\lambda` (a set of
    weight zero does not count). The rule is proved in docs/laws/descent_ascent.

    References
    ----------
    Derived in docs/laws/descent_ascent; the R-transform of the Marchenko–Pastur law
    is in Hiai and Petz, *The Semicircle Law, Free Random Variables and Entropy*
    (2000), §3.3.

    Examples
    --------
    >>> from rmtstab.laws import DescentAscent
    >>> law = DescentAscent(retain_ratio=0.2, forget_ratio=0.5, alpha=0.3)
    >>> law.edges().round(6).tolist()
    [[-0.36125, 1.239525]]
    >>> round(law.mean(), 12)
    0.4
    """

    retain_ratio: float
    forget_ratio: float
    alpha: float
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        for name in ("retain_ratio", "forget_ratio"):
            value = _checks.real(name, getattr(self, name), low=1e-50, high=1e50)
            object.__setattr__(self, name, value)
        alpha = _checks.real("alpha", self.alpha, low=0.0, high=1.0)
        if 0.0 < alpha < 1e-50:
            raise ValueError(f"alpha must be 0 or at least 1e-50, got {alpha!r}")
        decay = _checks.real("weight_decay", self.weight_decay, low=0.0)
        object.__setattr__(self, "alpha", alpha)
        object.__setattr__(self, "weight_decay", decay)

    def _digits(self) -> int:
        values = self.retain_ratio, self.forget_ratio, self.alpha or 1.0
        return DIGITS + 2 * int(max(abs(math.log10(v)) for v in values))

    def _jumps(self) -> tuple[list[Decimal], list[Decimal]]:
        retain, forget = Decimal(self.retain_ratio), Decimal(self.forget_ratio)
        alpha = Decimal(self.alpha)
        pairs = [(1 / retain, retain * (1 - alpha)), (1 / forget, -forget * alpha)]
        kept = [(r, p) for r, p in pairs if p != 0]
        return [r for r, _ in kept], [p for _, p in kept]

    def _frame(self) -> tuple[Decimal, Decimal, Decimal]:
        rates, _ = self._jumps()
        atom = max(Decimal(0), 1 - sum(rates, Decimal(0)))
        return Decimal(1), atom, Decimal(self.weight_decay)

    def edge_scale(self) -> float:
        r"""Tracy–Widom scale of the top edge.

        With `d` the side of the matrix, :math:`d^{2/3}(\lambda_1 - \lambda_+)/\text{scale}` tends
        to the Tracy–Widom law.

        Returns
        -------
        float
            At the top critical point `u` of ψ, :math:`(u^4\psi''(u)/2)^{1/3}`.
        """
        rates, jumps = self._jumps()
        pairs = [(float(r * p * p), float(p)) for r, p in zip(rates, jumps, strict=True)]
        u = -1.0 / self.stieltjes(self.support()[1])
        for _ in range(6):  # ψ'(u) = 0, of which the edge's transform knows half the digits
            slope = sum(c / (u - p) ** 2 for c, p in pairs) - 1.0
            u += 0.5 * slope / sum(c / (u - p) ** 3 for c, p in pairs)
        bend = sum(c / (u - p) ** 3 for c, p in pairs)  # ψ''/2
        return float((u**4 * bend) ** (1.0 / 3.0))
