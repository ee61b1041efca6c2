"""Laws of singular values: square roots of eigenvalues."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rmtstab import _checks
from rmtstab.laws._expectation import moment_in_units
from rmtstab.laws.base import FloatArray, Law, SpectralLaw


@dataclass(frozen=True)
class SingularValues(Law):
    r"""Law of :math:`\sqrt x`, `x` following a law on ``[0, inf)``: singular values.

    .. math:: f(s) = 2s\,f_{\text{eigenvalues}}(s^2), \qquad
        F(s) = F_{\text{eigenvalues}}(s^2).

    Of a Marchenko–Pastur law it is the limit of the singular values of ``X / sqrt(n)``; at
    aspect ratio 1 the quarter circle, of radius ``2 sqrt(scale)``.

    Parameters
    ----------
    eigenvalues : SpectralLaw
        The law of the squares.
    loc : float
        Shift of the whole law, atoms included.

    Raises
    ------
    TypeError, ValueError
        If the parameters are not as above.

    Notes
    -----
    There is no Stieltjes transform in closed form: that of the squares knows the symmetrised
    law only, :math:`m_\pm(z) = z\,m(z^2)`.

    Examples
    --------
    >>> from rmtstab.laws import MarchenkoPastur, SingularValues
    >>> quarter_circle = SingularValues(MarchenkoPastur(1.0))
    >>> quarter_circle.support()
    (0.0, 2.0)
    >>> round(quarter_circle.pdf(1.0), 12)  # sqrt(4 - 1) / pi
    0.551328895422
    >>> SingularValues(MarchenkoPastur(0.25)).support()
    (0.5, 1.5)
    """

    eigenvalues: SpectralLaw
    loc: float = 0.0

    def __post_init__(self) -> None:
        law = self.eigenvalues
        if not isinstance(law, SpectralLaw):
            raise TypeError(f"eigenvalues must be a spectral law, got {type(law).__name__}")
        low = min([law.support()[0], *(at for at, _ in law.atoms())])
        if low < 0.0:
            raise ValueError(f"eigenvalues must live on [0, inf), got a law from {low!r} on")
        object.__setattr__(self, "loc", _checks.real("loc", self.loc))

    def edge_scale(self) -> float:
        r"""Tracy–Widom scale of the top edge :math:`s_+`, in the size that `eigenvalues` uses.

        Returns
        -------
        float
            That of the eigenvalues over :math:`2s_+`.
        """
        squares = self.eigenvalues
        return squares.edge_scale() / (2.0 * math.sqrt(squares.support()[1]))

    def _edges(self) -> FloatArray:
        return np.sqrt(self.eigenvalues.edges())

    def _atoms(self) -> tuple[tuple[float, float], ...]:
        return tuple((float(np.sqrt(at)), mass) for at, mass in self.eigenvalues.atoms())

    def _moment(self, order: int) -> float:
        if order % 2 == 0:
            return self.eigenvalues.moment(order // 2)
        return moment_in_units(self, order, self.loc)

    def _pdf(self, x: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore", over="ignore"):
            value = x * (2.0 * self.eigenvalues.pdf(x * x))
            hard = np.isnan(value) & (x == 0.0)  # 0 times infinity: the limit from the right
        if hard.any():
            tiny = 1e-100
            value = np.where(hard, 2.0 * tiny * self.eigenvalues.pdf(tiny * tiny), value)
        return np.where(x < 0.0, 0.0, np.where(np.isinf(x), 0.0, value))

    def _cdf(self, x: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            return np.where(x < 0.0, 0.0, self.eigenvalues.cdf(x * x))

    def _sf(self, x: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            return np.where(x < 0.0, 1.0, self.eigenvalues.sf(x * x))

    def _ppf(self, q: FloatArray) -> FloatArray:
        return np.asarray(np.sqrt(self.eigenvalues.ppf(q)))

    def _isf(self, q: FloatArray) -> FloatArray:
        return np.asarray(np.sqrt(self.eigenvalues.isf(q)))
