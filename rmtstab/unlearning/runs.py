"""Runs of a `Dynamics`: exact second moments, simulation, what a typical run does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import Estimate, LyapunovBounds, Trajectory
from rmtstab.bounds.lyapunov import lyapunov_bounds
from rmtstab.dynamics import gradients as affine
from rmtstab.dynamics import simulate as monte_carlo
from rmtstab.dynamics import trajectory as paths
from rmtstab.unlearning.stability import HasStability


class HasRuns(HasStability):
    """An update that is run: in the mean square exactly, by simulation, and typically."""

    def trajectory(
        self,
        steps: int,
        initial: Any = None,
        *,
        gradients: Any = None,
        observables: Sequence[Any] = (),
        quantiles: Any = None,
        replicas: int = 256,
        rng: Any = None,
        workers: int = 1,
    ) -> Trajectory:
        """Exact second moments step by step: ``E‖w_k‖²`` and both expected losses.

        Parameters
        ----------
        steps : int
        initial : vector (r,) or second moment (r, r), optional
            In the problem's coordinates; default isotropic on the range with
            ``E‖w_0‖² = 1``. Momentum starts at rest.
        gradients : array_like, shape (n, r) or (n, r + complement), optional
            Per-sample gradients at the trained point, in the problem's coordinates
            (`UnlearningProblem.sample_gradients`, or `UnlearningProblem.gradients` where
            they leave the range): the dynamics become affine, the losses gain
            ``ḡᵀE w_k``, and the displacement counts the complement too. ``initial`` and
            ``observables`` may then have its coordinates.
        observables : sequence of (r, r) array_like
            Weights W of further linear functionals ``tr(W M_k)``.
        quantiles : sequence of float in [0, 1], optional
            Quantiles of ``‖w_k‖²`` over simulated runs, put beside the exact mean: where
            noise drives an escape the mean square is carried by rare runs.
        replicas : int
            Runs simulated for the quantiles.
        rng : numpy.random.Generator or int, optional
            Needed for quantiles.
        workers : int
            Threads of the simulation.

        Returns
        -------
        Trajectory
            ``inf`` where a value exceeds the floating-point range.

        Raises
        ------
        TypeError, ValueError
            If a shape is another, ``initial`` is not positive semi-definite, or
            ``quantiles`` come without an ``rng``, outside [0, 1], or with gradients
            (which the simulation does not know).

        References
        ----------
        Derived in docs/theory/trajectories.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors([[1.0], [0.0]])
        >>> dyn = problem.dynamics(step_size=0.5, batch_size=1, alpha=0.0)
        >>> path = dyn.trajectory(40, quantiles=[0.5], rng=0)
        >>> bool(path.quantiles[0, -1] < path.displacement[-1])
        True
        """
        path = paths.iterate(self, steps, initial, gradients, observables)
        if quantiles is None:
            return path
        levels = np.atleast_1d(_checks.probabilities("quantiles", quantiles))
        if gradients is not None:
            raise ValueError("quantiles are of runs without gradients, got both")
        if rng is None:
            raise TypeError("quantiles need rng, a numpy Generator or an integer seed, got None")
        runs = self.simulate(steps, replicas, rng, initial, workers)
        with np.errstate(over="ignore"):
            return replace(path, quantiles=runs.quantiles(levels) ** 2)

    def stationary(self, gradients: Any) -> affine.Stationary:
        """Stationary mean and covariance of w under per-sample gradients, when ρ < 1.

        Parameters
        ----------
        gradients : array_like, shape (n, r) or (n, r + complement)
            Per-sample gradients in the problem's coordinates, as for `trajectory`.

        Returns
        -------
        Stationary

        Raises
        ------
        ValueError
            If ρ is not certified below 1, or weight decay itself diverges (``ηλ ≥ 2(1+β)``).

        References
        ----------
        Mulayoff and Michaeli, arXiv:2306.07850, Theorem 5, at alpha = 0; with ascent and
        momentum derived in docs/theory/trajectories.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.ones((2, 1)))
        >>> dyn = problem.dynamics(step_size=0.5, batch_size=1, alpha=0.0)
        >>> found = dyn.stationary(problem.sample_gradients([1.0, -1.0]))
        >>> round(float(found.covariance[0, 0]), 12)  # η²/(1 − (1 − η)²)
        0.333333333333
        """
        return affine.stationary(self, gradients, self.growth())

    def simulate(
        self,
        steps: int,
        replicas: int,
        rng: Any,
        initial: Any = None,
        workers: int = 1,
        *,
        losses: bool = False,
        shuffled: bool = False,
    ) -> monte_carlo.Simulation:
        """Monte Carlo of the linearised update ``w⁺ = Ĵ w``, with fresh batches each step.

        Parameters
        ----------
        steps, replicas : int
        rng : numpy.random.Generator or int
            Each replica gets a generator of its own, seeded from this one, so the
            answer does not depend on ``workers``.
        initial : vector (r,) or second moment (r, r), optional
            Default: uniform on the unit sphere of the range (``E w_0 w_0ᵀ = I/r``). At a
            vector every replica starts; a second moment draws Gaussian starts.
        workers : int
            Threads.
        losses : bool
            Record retain and forget losses too.
        shuffled : bool
            Draw batches by walking through shuffled epochs, in place of the scheme;
            none of the three schemes describes it (docs/theory/simulation).

        Returns
        -------
        Simulation

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> dyn = rs.UnlearningProblem.from_factors(np.eye(2)).dynamics(1.0, 2, alpha=0.0)
        >>> dyn.simulate(2, replicas=3, rng=0).displacement.round(6)[0].tolist()
        [1.0, 0.5, 0.25]
        """
        return monte_carlo.run(
            self, steps, replicas, rng, initial, workers, losses=losses, shuffled=shuffled
        )

    def lyapunov(
        self, rng: Any, replicas: int = 64, steps: int = 1000, workers: int = 1
    ) -> Estimate:
        """Typical rate per step at which ``log ‖w_k‖`` grows: the top Lyapunov exponent.

        Parameters
        ----------
        rng : numpy.random.Generator or int
        replicas, steps : int
            The rate is the mean slope of ``log ‖w_k‖`` after the first quarter.
        workers : int
            Threads; the answer does not depend on it.

        Returns
        -------
        Estimate
            With the standard error over replicas; at most ``½ log ρ`` (Jensen).
            −inf when runs reach 0 exactly.

        Notes
        -----
        Runs start in a direction of their own. The estimate is low, beyond its standard error,
        where a quarter of the steps is too short for the top direction to take over: about
        the inverse of its lead over the others' rates. Double the steps to see.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(2))
        >>> rate = problem.dynamics(1.0, 2, alpha=0.0).lyapunov(0, replicas=4, steps=40)
        >>> round(rate.value, 6), rate.value < 0
        (-0.693147, True)
        """
        return monte_carlo.lyapunov(self, rng, replicas, steps, workers)

    def lyapunov_bounds(self, batches: int = 4096) -> LyapunovBounds:
        """Proved lower and upper bound on the typical rate of growth, beyond Jensen's ½ log ρ.

        Where the upper one is negative almost every run shrinks, also where ρ > 1.

        Parameters
        ----------
        batches : int
            Most batches that are listed one by one; the lower bounds, and both ends in the
            plane, need the list.

        Returns
        -------
        LyapunovBounds

        Raises
        ------
        TypeError, ValueError
            With momentum; if ``batches`` is no integer ≥ 0.

        Notes
        -----
        The upper end is never above Jensen's, and exact to first order in small noise. The lower
        one is useful only in the plane, for groups of samples in one dimension each, or where
        every batch keeps a cone: elsewhere it is the mean of all exponents.

        See Also
        --------
        lyapunov : the same rate by simulation, with a standard error.
        mirror_law : its closed form for small noise.

        References
        ----------
        Derived in docs/theory/lyapunov.

        Examples
        --------
        >>> import rmtstab as rs
        >>> dyn = rs.UnlearningProblem.from_factors([[1.0], [2.0]]).dynamics(0.61, 1, alpha=0.0)
        >>> found = dyn.lyapunov_bounds()  # E log|1 − ηh| of one batch
        >>> round(dyn.escape_rate(), 3), round(found.upper, 3), found.upper_method
        (0.053, -0.288, 'exact')
        """
        return lyapunov_bounds(self, self._enclosure.upper, batches)
