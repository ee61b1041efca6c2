"""Thresholds of an `UnlearningProblem`: critical step size, mixing and batch size."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import Threshold
from rmtstab.curvature.samples import SampleCurvatures
from rmtstab.dynamics.critical_alpha import critical_alpha
from rmtstab.dynamics.critical_batch_size import critical_batch_size
from rmtstab.dynamics.critical_step_size import critical_step_size
from rmtstab.dynamics.update import Update

SHORTEST = 0.003  # steps an e-fold: the growth factor e^(2/τ) of a shorter one is no float


class HasThresholds(SampleCurvatures):
    """Curvatures whose thresholds are asked for, one hyper-parameter at a time."""

    def critical_step_size(
        self,
        batch_size: Any,
        alpha: float = 0.0,
        *,
        sampling: str = "without_replacement",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> Threshold:
        r"""Largest step size with ρ ≤ 1: ``η* = 1/λ_max(L^{-1/2} N L^{-1/2})``.

        ``L(M) = DM + MD`` and ``N(M) = DMD + noise``, both on the range.

        Parameters
        ----------
        batch_size : int, or (retain, forget)
        alpha : float in [0, 1]
        sampling : {"without_replacement", "bernoulli", "with_replacement"}
        weight_decay : float, ≥ 0
            λ in ``D + λI``.
        momentum : float in [0, 1)
            Heavy-ball β.

        Returns
        -------
        Threshold
            0 with a status where D(alpha) has a direction that ascends, or a null
            one that noise excites; ``inf`` where nothing ever escapes. With weight
            decay also at most ``2/λ``, beyond which what the curvature does not see
            diverges.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range.

        References
        ----------
        Mulayoff and Michaeli, arXiv:2306.07850, Theorem 3; with ascent and weight
        decay derived in docs/theory/critical_values.

        Examples
        --------
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors([[1.0], [2.0]])
        >>> round(float(problem.critical_step_size(2)), 9)  # 2/mean curvature: no noise
        0.8
        """
        return critical_step_size(
            Update.of(self, 1.0, batch_size, alpha, sampling, weight_decay, momentum)
        )

    def critical_alpha(
        self,
        step_size: float,
        batch_size: Any,
        *,
        sampling: str = "without_replacement",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> Threshold:
        r"""Largest mixing with ρ ≤ 1, the upper end of an interval (ρ is convex in α).

        With momentum ρ need not be convex: the last crossing seen from 33 mixings.

        Parameters
        ----------
        step_size : float, ≥ 0
        batch_size : int, or (retain, forget)
        sampling : {"without_replacement", "bernoulli", "with_replacement"}
        weight_decay : float, ≥ 0
            λ in ``D + λI``.
        momentum : float in [0, 1)
            Heavy-ball β.

        Returns
        -------
        Threshold
            0 with a status where the retain set is stable but misses a forget
            direction, so that any ascent escapes; NaN with a status where no mixing
            is stable; 1 where every mixing is.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range, or there is no
            forget set.

        References
        ----------
        Derived in docs/theory/critical_values.

        Examples
        --------
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors([[1.0]], [[1.0]])
        >>> round(float(problem.critical_alpha(0.5, 1)), 9)  # D = 1 − 2α
        0.5
        """
        return critical_alpha(
            Update.of(self, step_size, batch_size, None, sampling, weight_decay, momentum)
        )

    def critical_batch_size(
        self,
        step_size: float,
        alpha: float = 0.0,
        *,
        sampling: str = "without_replacement",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> Threshold:
        r"""Smallest common batch size with ρ ≤ 1, as a real number (ρ falls as B grows).

        Parameters
        ----------
        step_size : float, ≥ 0
        alpha : float in [0, 1]
        sampling : {"without_replacement", "bernoulli", "with_replacement"}
        weight_decay : float, ≥ 0
            λ in ``D + λI``.
        momentum : float in [0, 1)
            Heavy-ball β.

        Returns
        -------
        Threshold
            For the fixed-size schemes every whole B at or above the value is stable.
            1 with a status (0 for Bernoulli) where every B is stable, NaN with a
            status where none is.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range.

        References
        ----------
        Derived in docs/theory/critical_values.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(4))
        >>> round(float(problem.critical_batch_size(4.0)), 9)  # η/B ≤ 2 on each direction
        2.0
        """
        whole = (self.n_retain, self.n_forget)
        return critical_batch_size(
            Update.of(self, step_size, whole, alpha, sampling, weight_decay, momentum)
        )

    def rate_frontier(
        self,
        time: float,
        step_size: float,
        batch_size: Any,
        *,
        sampling: str = "without_replacement",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> Threshold:
        """``A_τ = max{α : ρ ≤ e^{2/τ}}``: mixings whose displacement takes τ steps per e-fold.

        Parameters
        ----------
        time : float, ≥ 0.003
            τ, in steps.
        step_size : float, ≥ 0
        batch_size : int, or (retain, forget)
        sampling : {"without_replacement", "bernoulli", "with_replacement"}
        weight_decay : float, ≥ 0
            λ in ``D + λI``.
        momentum : float in [0, 1)
            Heavy-ball β.

        Returns
        -------
        Threshold
            NaN with a status where even the best mixing escapes faster.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range, or there is no
            forget set.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(3)[:2], np.eye(3)[2:])
        >>> problem.critical_alpha(0.5, (2, 1)).value
        0.0
        >>> round(problem.rate_frontier(10.0, 0.5, (2, 1)).value, 6)
        0.210342
        """
        time = _checks.real("time", time, low=SHORTEST)
        level = float(np.exp(2.0 / time))
        return critical_alpha(
            Update.of(self, step_size, batch_size, None, sampling, weight_decay, momentum), level
        )
