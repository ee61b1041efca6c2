"""How a `Dynamics` escapes: how fast, how soon, how likely, and at what price."""

from __future__ import annotations

import math
from typing import Any

from rmtstab import _checks
from rmtstab._results import EscapeProbability, Verdict
from rmtstab.bounds.escape_directions import mirror_law, resistance_with_noise
from rmtstab.bounds.escape_probability import escape_probability
from rmtstab.dynamics import simulate as monte_carlo
from rmtstab.dynamics import trajectory as paths
from rmtstab.theory.mirror import MirrorLaw
from rmtstab.theory.resistance import Resistance
from rmtstab.unlearning.stability import HasStability


class HasEscape(HasStability):
    """An update whose escape is described: rate, time, probability and resistance."""

    def escape_rate(self) -> float:
        """``½ log ρ`` per step: the mean-square rate of ‖w‖; −inf when ρ = 0.

        Returns
        -------
        float
        """
        value = self.growth_factor()
        return 0.5 * math.log(value) if value > 0.0 else -math.inf

    def escape_time(self, radius: float, initial: Any = None, limit: int = 100_000) -> float:
        """First step with ``E‖w_k‖² ≥ radius² E‖w_0‖²``; ``inf`` if none.

        Parameters
        ----------
        radius : float, > 0
        initial : vector (r,) or second moment (r, r), optional
            As for `trajectory`.
        limit : int
            Steps looked at.

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range.

        Notes
        -----
        Bounds on ``E‖w_k‖²`` from both sides at every k, by Gauss, Radau and Lobatto
        quadrature, decide the step: exactly, up to the rounding of ``E‖w_k‖²`` (``1e-12 + 8 ε k``,
        relative; a value within that below the level counts as reaching it). That takes from
        one to some sixty applications of Φ. With momentum Φ is not self-adjoint: a form P with
        ``Φ*(P) ⪯ λP`` bounds what Arnoldi's steps miss, which takes none where nothing escapes and
        some tens elsewhere. What neither decides is walked: with momentum values within rounding
        of the level and late escapes at large ranks, and starts whose growing parts cancel to
        rounding.

        References
        ----------
        Derived in docs/theory/trajectories.

        Examples
        --------
        >>> import rmtstab as rs
        >>> dyn = rs.UnlearningProblem.from_factors([[1.0]]).dynamics(3.0, 1, alpha=0.0)
        >>> dyn.escape_time(10.0)  # |1 − η| = 2
        4.0
        """
        radius = _checks.real("radius", radius, low=0.0, high=1e150, low_open=True)
        if self.verdict() is Verdict.STABLE:  # Φ contracts: what starts below the radius stays
            return paths.escape_time(self, radius, initial, limit, 1.0)
        return paths.escape_time(self, radius, initial, limit, self._enclosure.upper)

    def escape_probability(
        self,
        radius: float,
        horizon: int,
        initial: Any = None,
        *,
        replicas: int = 0,
        rng: Any = None,
        workers: int = 1,
    ) -> EscapeProbability:
        """Probability that a run leaves a radius within a horizon: a bound, and by simulation.

        ``P(max_{k≤K} ‖w_k‖ ≥ R) ≤ λᴷ E[w₀ᵀXw₀]/(λ_min(X) R²)`` whenever ``Φ(X) ⪯ λX``, λ ≥ 1.

        Parameters
        ----------
        radius : float, > 0
            R, in the units of ``initial``; absolute.
        horizon : int
            K, in steps.
        initial : vector (r,) or second moment (r, r), optional
            As for `trajectory`; default isotropic with ``E‖w_0‖² = 1``.
        replicas : int
            Runs simulated beside it; 0 for none.
        rng : numpy.random.Generator or int, optional
            Needed for the simulation.
        workers : int
            Threads of the simulation.

        Returns
        -------
        EscapeProbability

        Raises
        ------
        TypeError, ValueError
            With momentum; if an argument is of the wrong kind or outside its range.

        References
        ----------
        Derived in docs/theory/finite_horizon.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> dyn = rs.UnlearningProblem.from_factors(np.eye(2)).dynamics(1.0, 1, alpha=0.0)
        >>> found = dyn.escape_probability(radius=4.0, horizon=50, replicas=100, rng=0)
        >>> round(found.bound, 9), found.simulated.value
        (0.0625, 0.0)
        """
        bound = escape_probability(self, radius, horizon, initial)
        if _checks.integer("replicas", replicas, low=0) == 0:
            return EscapeProbability(bound)
        share = monte_carlo.escapes(self, radius, horizon, replicas, rng, initial, workers)
        return EscapeProbability(bound, share)

    def mirror_law(self) -> MirrorLaw:
        """Closed forms along the direction that the mean makes grow fastest.

        Returns
        -------
        MirrorLaw
            Its ``rates(step_size, batch_size, alpha, sampling)`` are the typical and the
            mean-square rate to first order in the noise.

        Raises
        ------
        ValueError
            Without curvature, or with weight decay or momentum.

        References
        ----------
        Derived in docs/theory/mirror.

        Examples
        --------
        >>> import rmtstab as rs
        >>> dyn = rs.UnlearningProblem.from_factors([[1.0], [1.2]]).dynamics(0.1, 1, alpha=0.0)
        >>> law = dyn.mirror_law()
        >>> found = law.rates(dyn.step_size, dyn.batch_size, dyn.alpha, dyn.sampling)
        >>> round(found.mean_square, 6), round(dyn.escape_rate(), 6)
        (-0.129795, -0.129795)
        """
        return mirror_law(self)

    def resistance(self, horizon: int | None = None, kappa: float = 10.0) -> float:
        """Retain loss paid per unit of forget loss gained along the escape.

        ``Ψ = tr(H_R M₁)/tr(H_F M₁)`` with the top eigenmatrix M₁; with a horizon
        ``(R_t/R_0)/(F_t/F_0)`` at the first ``t ≤ horizon`` with
        ``F_t ≥ kappa F_0``, from an isotropic start. ``inf`` where nothing
        escapes (ρ ≤ 1), or the forget loss never grows that far.

        Parameters
        ----------
        horizon : int, optional
        kappa : float, ≥ 1
            At least 10 for an order that can be trusted.

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range.

        References
        ----------
        Derived in docs/theory/trajectories.

        Examples
        --------
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors([[1.0]], [[1.0]])
        >>> problem.dynamics(0.5, 1, alpha=0.9).resistance()  # alike: both losses grow alike
        1.0
        """
        if horizon is None:
            _checks.real("kappa", kappa, low=1.0)  # unused without a horizon
            return paths.resistance(self, self._enclosure)
        return paths.resistance_within(self, horizon, kappa)

    def resistance_with_noise(self) -> Resistance:
        """Ψ of an escape that the mean drives, with the first correction by batch noise.

        Returns
        -------
        Resistance
            Good where its ``noise`` is small; `resistance` is exact.

        Raises
        ------
        ValueError
            Without curvature, with weight decay or momentum, if two directions grow alike,
            or the forget set does not see the escape.

        References
        ----------
        Derived in docs/theory/resistance.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors([[1.0, 0.2], [0.8, 0.4]], [[0.1, 1.0]])
        >>> dyn = problem.dynamics(0.5, (1, 1), alpha=0.4)
        >>> found = dyn.resistance_with_noise()
        >>> round(found.mean_only, 4), round(found.value, 4), round(dyn.resistance(), 4)
        (0.0453, 0.0463, 0.0463)
        """
        return resistance_with_noise(self)
