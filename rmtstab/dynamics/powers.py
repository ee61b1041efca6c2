r"""``E‖w_k‖²`` from an isotropic start at every k at once, by Gauss quadrature.

``tr Φᵏ(I)/r = ⟨I, Φᵏ(I)⟩/‖I‖² = Σ_i ω_i θ_iᵏ`` with the Ritz values θ of m Lanczos steps from I
and the squared first components ω of their vectors: exact for ``k < 2m``, and long before
that to rounding, as only the spectrum's top is seen by a high power (docs/theory/trajectories).
"""

from __future__ import annotations

import math

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.dynamics.certificate import EPS
from rmtstab.dynamics.eigen import Krylov
from rmtstab.dynamics.update import Update

WIDEST = 240
SLOW = 40  # Lanczos steps from which on not every one is looked at
AGREEMENT = 1e-12  # relative error at which a value is taken, at the least
FALLING = 0.5  # largest ratio of two changes from which what is left is estimated


class IsotropicPowers:
    """``E‖w_k‖²`` over k; momentum and decay of directions without curvature not included.

    Parameters
    ----------
    update : Update
        Without momentum.
    """

    def __init__(self, update: Update) -> None:
        phi = update.second_moment(active=False)
        self._krylov = Krylov.in_memory(phi.symmetric, np.eye(phi.side), WIDEST)
        self._whole = self._krylov.extend(1)
        self._nodes, self._weights = self._krylov.quadrature()

    def at(self, step: int) -> float | None:
        """``E‖w_k‖²/E‖w_0‖²`` at one step.

        Parameters
        ----------
        step : int
            k ≥ 0.

        Returns
        -------
        float or None
            ``inf`` beyond the floating-point range; None where the quadrature did not settle.
        """
        steps, change = np.array([float(step)]), math.inf
        value = float(self._log(steps)[0])
        while not self._settled(step):
            if not self._more():
                return None
            before, value = value, float(self._log(steps)[0])
            previous, change = change, abs(value - before)
            if _left(change, previous) <= _agreement(step):
                break
        return math.exp(value) if value < 709.0 else math.inf

    def _settled(self, step: int) -> bool:
        return self._whole or step < 2 * self._krylov.size

    def _more(self) -> bool:
        """A Lanczos step or a few more; False where the basis is full."""
        room = len(self._krylov.projected) - self._krylov.size
        if room <= 0:
            return False
        self._whole = self._krylov.extend(min(1 + self._krylov.size // SLOW, room))
        self._nodes, self._weights = self._krylov.quadrature()
        return True

    def _log(self, steps: FloatArray) -> FloatArray:
        """Logarithm of ``Σ ω θᵏ`` at some steps, without overflow."""
        top = float(np.abs(self._nodes).max())
        if top == 0.0:
            return np.where(steps > 0.0, -np.inf, 0.0)
        ratios = self._nodes / top
        sums = self._weights @ ratios[:, None] ** steps
        with np.errstate(divide="ignore"):
            result: FloatArray = np.log(np.maximum(sums, 0.0)) + steps * math.log(top)
        return result


def _left(change: float, previous: float) -> float:
    """What a sequence lacks whose changes fall faster than a geometric one's, from the last two.

    Infinity where they do not fall yet.
    """
    if change == 0.0 or math.isinf(previous):
        return previous if change else 0.0
    ratio = change / previous
    return change * ratio / (1.0 - ratio) if ratio <= FALLING else math.inf


def _agreement(step: int) -> float:
    """Relative change that is rounding of ``θᵏ``."""
    return AGREEMENT + 8.0 * EPS * step
