"""A growth factor between two ends, and what certifies the upper one.

If ``X ≻ 0`` and ``λX − Φ(X) ≻ 0`` then ``ρ(Φ) < λ`` (docs/theory/growth).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rmtstab._results import FloatArray

EPS = float(np.finfo(np.float64).eps)
TINY = 1e-30  # least upper end that is tried
ROUNDING = 1e-13  # relative accuracy of a converged growth factor
COUNTED = 1e-12  # of ρ: rounding of Φ beyond which both ends give way to it


@dataclass(frozen=True)
class Enclosure:
    """Top eigenvalue of a positive self-adjoint map: it lies in ``[value, upper]``.

    Attributes
    ----------
    value : float
        Rayleigh quotient, a lower bound up to rounding.
    upper : float
        Certified upper end; ``inf`` without a certificate.
    residual : float
        ``‖Φ(M) − value·M‖`` of the normalised M, or the last change of the value.
    matrix : ndarray, shape (r, r)
        The eigenmatrix M in D's eigenbasis, ‖M‖_F = 1, positive trace; with momentum its
        block of ``w_k``.
    applications : int
        Of the map, certificate included.
    """

    value: float
    upper: float
    residual: float
    matrix: FloatArray
    applications: int

    def widened(self, rounding: float) -> Enclosure:
        """Return the same with the rounding of Φ counted in both ends.

        Parameters
        ----------
        rounding : float
            Absolute.

        Returns
        -------
        Enclosure
        """
        value, upper = widened(self.value, self.upper, rounding)
        return replace(self, value=float(value), upper=float(upper))

    @property
    def certified(self) -> bool:
        """Whether an upper end was found."""
        return math.isfinite(self.upper)


def widened(values: Any, uppers: Any, rounding: float) -> tuple[FloatArray, FloatArray]:
    """Ends of growth factors, moved apart by the rounding of Φ where that shows.

    Parameters
    ----------
    values, uppers : array_like, same shape
    rounding : float
        Absolute.

    Returns
    -------
    values, uppers : ndarray
        At least `ROUNDING` apart, relative.
    """
    values = np.asarray(values, dtype=np.float64)
    least = np.maximum(uppers, values * (1.0 + ROUNDING))
    shows = rounding > COUNTED * values
    return (
        np.where(shows, np.maximum(values - rounding, 0.0), values),
        np.where(shows, least + rounding, least),
    )


def is_certificate(x: FloatArray, image: FloatArray, shift: float) -> bool:
    """Whether ``X ≻ 0`` and ``shift·X − Φ(X) ≻ 0``, beyond rounding.

    Parameters
    ----------
    x : ndarray, shape (r, r)
    image : ndarray, shape (r, r)
        ``shift·X − Φ(X)``.
    shift : float

    Returns
    -------
    bool
    """
    r = len(x)
    size = float(np.linalg.norm(x))
    margin = 8.0 * EPS * np.sqrt(r) * size
    return is_positive(x, margin) and is_positive(image, 2.0 * margin * shift)


def is_positive(m: FloatArray, margin: float) -> bool:
    """Whether the eigenvalues of a symmetric matrix lie above the margin.

    Parameters
    ----------
    m : ndarray, shape (r, r)
    margin : float

    Returns
    -------
    bool
    """
    if not np.isfinite(m).all():
        return False
    shifted = m.copy()
    shifted.flat[:: len(m) + 1] -= margin
    try:
        np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:
        return False
    return True
