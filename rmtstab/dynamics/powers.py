r"""``E‖w_k‖²`` from an isotropic start at any k, enclosed by Gauss quadrature.

``tr Φᵏ(I)/r = ⟨I, Φᵏ(I)⟩/‖I‖²`` is an integral of ``θᵏ``, which `MomentBounds` encloses from m
Lanczos steps: exactly for ``k < 2m``, and long before that to rounding, as only the spectrum's top
is seen by a high power (docs/theory/trajectories).
"""

from __future__ import annotations

import math

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.dynamics import centred
from rmtstab.dynamics.certificate import COUNTED, EPS, is_positive
from rmtstab.dynamics.eigen import LARGE, Krylov
from rmtstab.dynamics.moment_bounds import MomentBounds
from rmtstab.dynamics.update import Update

WIDEST = 240  # Lanczos steps
SPARSE = 8  # a look every step up to so many, then every eighth part of those taken, if cheap
ROUNDING = 1e-12  # of an enclosure, with Φ's own a step (8ε at least): added to either end
FINEST = 1e-11  # relative width of an enclosure, with 32ε a step
FINE = 1e-8  # the same where a Lanczos step is dear
ABOVE = 1e-5  # relative, by which the bound on the growth factor may be too large


class IsotropicPowers:
    """``E‖w_k‖²/E‖w_0‖²``; momentum and decay of directions without curvature not included.

    Parameters
    ----------
    update : Update
        Without momentum.

    Examples
    --------
    >>> import numpy as np
    >>> import rmtstab as rs
    >>> from rmtstab.dynamics.powers import IsotropicPowers
    >>> update = rs.UnlearningProblem.from_factors(np.eye(2)).dynamics(1.0, 2, alpha=0.0)
    >>> lower, upper = np.exp(IsotropicPowers(update).log_between(3))
    >>> bool(lower < 1 / 64 < upper < lower * (1 + 1e-11))
    True
    """

    def __init__(self, update: Update) -> None:
        phi, rounding = centred.second_moment(update, active=False)
        self._krylov = Krylov.in_memory(phi.symmetric, np.eye(phi.side), WIDEST)
        self._krylov.extend(1)
        # λ_max(Φ(I)) bounds the growth factor (Collatz and Wielandt)
        self._bound = math.sqrt(phi.side) * _above_top(self._krylov.first_image())
        shows = rounding > COUNTED * self._bound
        self._rounding = rounding / self._bound if shows and self._bound > 0.0 else 8.0 * EPS

    def log_between(self, step: int, width: float | None = None) -> tuple[float, float] | None:
        """Logarithms of a lower and an upper bound at one step.

        Parameters
        ----------
        step : int
            k ≥ 0.
        width : float, optional
            Their distance that is asked for, ``width_for(0, step)`` by default.

        Returns
        -------
        (float, float) or None
            −inf for nothing left; None where `WIDEST` Lanczos steps do not decide.
        """
        # a step multiplies by what is relatively so uncertain
        less = step * math.log1p(-self._rounding) if self._rounding < 1.0 else -math.inf
        more = step * math.log1p(self._rounding)
        goal = (width_for(0, step) if width is None else width) - 2.0 * ROUNDING - more + less
        large = self._krylov.side > LARGE
        while True:
            lower, upper = self._ends(step)
            if upper == lower or upper - lower <= max(goal, more):
                return lower - ROUNDING + less, upper + ROUNDING + more
            taken = self._krylov.size
            room = len(self._krylov.projected) - taken
            if room <= 0:
                return None
            self._krylov.extend(1 if large else min(1 + taken // SPARSE, room))

    def _ends(self, step: int) -> tuple[float, float]:
        if self._bound <= 0.0:  # J = 0 and no noise
            return (0.0, 0.0) if step == 0 else (-math.inf, -math.inf)
        bounds = MomentBounds(*self._krylov.jacobi(), self._bound)
        scale = step * math.log(self._bound)
        lower, upper = bounds.logs_at(step)
        return lower + scale, upper + scale


def width_for(side: int, step: int) -> float:
    """Relative width of an enclosure that is worth its Lanczos steps.

    Parameters
    ----------
    side : int
        Dimensions of the range.
    step : int

    Returns
    -------
    float
    """
    return (FINE if side > LARGE else FINEST) + 32.0 * EPS * step


def _above_top(matrix: FloatArray) -> float:
    """A little above the top eigenvalue of a positive semi-definite matrix."""
    from scipy.sparse.linalg import eigsh

    if len(matrix) <= LARGE or not matrix.any():
        return float(np.linalg.eigvalsh(matrix)[-1]) * (1.0 + ROUNDING)
    start = np.ones(len(matrix))
    top = float(eigsh(matrix, 1, which="LA", v0=start, tol=ABOVE, return_eigenvectors=False)[0])
    above, eye = ABOVE, np.eye(len(matrix))
    while not is_positive((1.0 + above) * top * eye - matrix, 0.5 * ABOVE * top):
        above *= 4.0
    return (1.0 + above) * top
