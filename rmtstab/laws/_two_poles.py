"""What the semicircle, Jacobi and Wachter laws share: a square root over two linear factors."""

from __future__ import annotations

import abc
import math
from decimal import Decimal, getcontext

import numpy as np

from rmtstab.kernels import laws_two_poles as kernel
from rmtstab.laws._decimals import digits
from rmtstab.laws._edge_polynomial import tail_polynomial
from rmtstab.laws.base import ComplexArray, FloatArray, SpectralLaw


def side(
    near: Decimal, far: Decimal, width: Decimal, norm: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Constants of one edge: poles at distances ``near`` outside it and ``far`` inside.

    The density is ``norm * sqrt(...) * (1/(near + x) + 1/(far - x))``, `x` the distance
    from the edge and ``far >= width``.
    """
    drift = near / width
    root = (1 + drift).sqrt() - drift.sqrt()
    q = root * root
    constants = np.zeros(6)
    constants[kernel.CUT] = min(0.5, float(drift))
    constants[kernel.ROOT] = float(q)
    constants[kernel.GAP] = float(1 - q * q)
    constants[kernel.STRETCH] = float((1 + q) / (1 - q)) if q != 1 else math.inf
    constants[kernel.AMPLITUDE] = norm * float(width / (2 * q))
    constants[kernel.DRIFT] = float(drift)
    amplitude = norm * float(width)
    near_table = tail_polynomial(float(drift), 1.0, constants[kernel.CUT], amplitude)
    far_table = tail_polynomial(float(far / width), -1.0, 0.5, amplitude)
    for table in (constants, near_table, far_table):
        table.flags.writeable = False
    return constants, near_table, far_table


def moment(order: int, a: Decimal, b: Decimal, e0: Decimal, e1: Decimal) -> Decimal:
    """Integral of ``x**(order - 1) sqrt((b - x)(x - a)) / (e0 + e1 x)`` over [a, b], over pi.

    With I the integrals without the pole, ``(j + 3) I[j+1] = (2j + 3) m I[j] - j a b I[j-1]``,
    m the middle, and ``e1 J[j+1] = I[j] - e0 J[j]``: what this recurrence and the first J
    cancel is spent in further digits.
    """
    middle, half, pole = (a + b) / 2, (b - a) / 2, e0 / e1
    lost = 2 * ((abs(middle + pole) / half).adjusted() + 1)
    lost += order * max(0, (abs(pole) / b).adjusted() + 1)
    with digits(getcontext().prec + lost):
        first = (abs(middle + pole) - ((a + pole) * (b + pole)).sqrt()) / abs(e1)
        before, flat = Decimal(0), half * half / 2
        for j in range(order - 1):
            first = (flat - e0 * first) / e1
            before, flat = flat, ((2 * j + 3) * middle * flat - j * a * b * before) / (j + 3)
        return first


class TwoPolesLaw(SpectralLaw):
    """A law with packed constants; subclasses build them."""

    @property
    @abc.abstractmethod
    def _poles(self) -> kernel.Poles: ...

    def _edges(self) -> FloatArray:
        return np.array([[self._poles.left, self._poles.right]])

    def _atoms(self) -> tuple[tuple[float, float], ...]:
        law = self._poles
        pairs = ((law.low_at, law.low_atom), (law.high_at, law.high_atom))
        return tuple(pair for pair in pairs if pair[1] > 0.0)

    def _pdf(self, x: FloatArray) -> FloatArray:
        out = np.empty(x.size)
        law = self._poles
        kernel.density(x, law, out)
        for edge in (law.left, law.right):  # a pole on an edge: density ~ distance^(-1/2)
            if (law.d0 + law.d1 * edge) * (law.e0 + law.e1 * edge) == 0.0:
                out[x == edge] = math.inf
        return out

    def _cdf(self, x: FloatArray) -> FloatArray:
        out = np.empty(x.size)
        kernel.cumulative(x, self._poles, False, out)
        return out

    def _sf(self, x: FloatArray) -> FloatArray:
        out = np.empty(x.size)
        kernel.cumulative(x, self._poles, True, out)
        return out

    def _ppf(self, q: FloatArray) -> FloatArray:
        out = np.empty(q.size)
        kernel.quantile(q, self._poles, False, out)
        return out

    def _isf(self, q: FloatArray) -> FloatArray:
        out = np.empty(q.size)
        kernel.quantile(q, self._poles, True, out)
        return out

    def _stieltjes(self, z: ComplexArray) -> ComplexArray:
        out = np.empty(z.size, dtype=np.complex128)
        kernel.stieltjes(z, self._poles, out)
        return out
