"""The user's dynamics: one linearised update, and everything asked of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from rmtstab import _checks, bounds
from rmtstab._results import (
    Bound,
    EscapeProbability,
    Estimate,
    FloatArray,
    Growth,
    LyapunovBounds,
    Reason,
    Trajectory,
    Verdict,
)
from rmtstab.bounds.escape_directions import mirror_law, resistance_with_noise
from rmtstab.bounds.escape_probability import escape_probability
from rmtstab.bounds.lyapunov import lyapunov_bounds
from rmtstab.dynamics import gradients as affine
from rmtstab.dynamics import growth as spectral
from rmtstab.dynamics import simulate as monte_carlo
from rmtstab.dynamics import trajectory as paths
from rmtstab.dynamics.certificate import Enclosure
from rmtstab.dynamics.critical_step_size import critical_step_size
from rmtstab.dynamics.momentum import HeavyBall
from rmtstab.dynamics.second_moment import SecondMoment
from rmtstab.dynamics.update import Update
from rmtstab.dynamics.verdict import assess
from rmtstab.theory.mirror import MirrorLaw
from rmtstab.theory.resistance import Resistance
from rmtstab.unlearning import words
from rmtstab.unlearning.certificate import Certificate, certificate

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator


class Dynamics(Update):
    """Mean-square dynamics of linearised minibatch descent–ascent.

    Made by `UnlearningProblem.dynamics`, which documents the arguments; frozen.

    Attributes
    ----------
    problem : UnlearningProblem
    step_size, alpha, weight_decay, momentum : float
    batch_size : (float, float)
        Retain and forget batch sizes.
    sampling : str

    Examples
    --------
    >>> import numpy as np
    >>> import rmtstab as rs
    >>> problem = rs.UnlearningProblem.from_factors(np.eye(3), np.eye(3)[:1])
    >>> dyn = problem.dynamics(step_size=3.0, batch_size=(1, 1), alpha=0.2)
    >>> dyn.verdict()
    <Verdict.ESCAPES: 'escapes'>
    >>> dyn.at(step_size=0.3).batch_size
    (1.0, 1.0)
    """

    @property
    def problem(self) -> Any:
        """The `UnlearningProblem` whose dynamics these are."""
        return self.curvatures

    def at(self, **changes: Any) -> Self:
        """Return the dynamics at changed hyper-parameters.

        Parameters
        ----------
        **changes
            Arguments of `UnlearningProblem.dynamics`, checked as there.

        Returns
        -------
        Dynamics

        Raises
        ------
        TypeError, ValueError
            If a name is unknown, or a value of the wrong kind or outside its range.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> dyn = rs.UnlearningProblem.from_factors(np.eye(2)).dynamics(0.5, 1)
        >>> changed = dyn.at(step_size=1.0, sampling="bernoulli")
        >>> changed.step_size, changed.sampling, changed.batch_size
        (1.0, 'bernoulli', (1.0, 0.0))
        """
        given: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("step_size", "batch_size", "alpha", "sampling", "weight_decay", "momentum")
        }
        return self.of(self.curvatures, **(given | changes))

    # --- the operator ------------------------------------------------------------------------

    @cached_property
    def _full(self) -> SecondMoment:
        return self.second_moment(active=False)

    def apply(self, second_moment: Any) -> FloatArray:
        """One step of the second moment: ``Φ(M)``.

        Parameters
        ----------
        second_moment : array_like, shape (r, r), or (2r, 2r) with momentum
            M in the problem's coordinates; need not be symmetric. With momentum
            that of the state (w_k, w_{k−1}).

        Returns
        -------
        ndarray of the same shape, float64

        Raises
        ------
        ValueError
            If the shape is another.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(2))
        >>> problem.dynamics(step_size=1.0, batch_size=2).apply(np.eye(2)).tolist()
        [[0.25, 0.0], [0.0, 0.25]]
        """
        side = self.problem.rank * (2 if self.momentum else 1)
        m = _checks.array("second_moment", second_moment, ndim=2)
        if m.shape != (side, side):
            raise ValueError(f"second_moment must have shape ({side}, {side}), got {m.shape}")
        q = self.basis.vectors
        if self.momentum:
            still = np.zeros_like(q)
            q = np.block([[q, still], [still, q]])
            phi: SecondMoment | HeavyBall = HeavyBall(self, active=False)
        else:
            phi = self._full
        result: FloatArray = q @ phi(np.ascontiguousarray(q.T @ m @ q)) @ q.T
        return result

    def operator(self) -> tuple[LinearOperator, FloatArray]:
        """Φ on the judged range as a SciPy operator, and the basis it is written in.

        Returns
        -------
        operator : scipy.sparse.linalg.LinearOperator, shape (r², r²)
            Acts on ``M.ravel()`` with M in D's eigenbasis; ((2r)², (2r)²) with
            momentum, the state being (w_k, w_{k−1}).
        basis : ndarray, shape (rank, r)
            Columns: the eigenvectors, in the problem's coordinates.
        """
        return spectral.operator(self)

    def operator_matrix(self, memory_limit: float = 2e9) -> tuple[FloatArray, FloatArray]:
        """Φ on the judged range as a dense matrix, for small r; `operator` for any r.

        Parameters
        ----------
        memory_limit : float, > 0
            Largest matrix made, in bytes.

        Returns
        -------
        matrix : ndarray, shape (r², r²), float64
            Acts on ``M.ravel()`` with M in D's eigenbasis; ((2r)², (2r)²) with
            momentum, the state being (w_k, w_{k−1}).
        basis : ndarray, shape (rank, r)
            Columns: the eigenvectors, in the problem's coordinates.

        Raises
        ------
        ValueError
            If the matrix would exceed ``memory_limit``.

        See Also
        --------
        operator : the same, matrix-free.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(2))
        >>> matrix, basis = problem.dynamics(step_size=1.0, batch_size=1).operator_matrix()
        >>> matrix.shape, round(float(np.linalg.eigvalsh(matrix)[-1]), 12)
        ((4, 4), 0.5)
        """
        operator, basis = self.operator()
        needed = 8.0 * operator.shape[0] ** 2
        limit = _checks.real("memory_limit", memory_limit, low=0.0, low_open=True)
        if needed > limit:
            raise ValueError(
                f"operator_matrix needs {needed / 1e9:.3g} GB for r={self.basis.n_active}, more "
                f"than memory_limit={limit / 1e9:.3g} GB; use operator()"
            )
        matrix = np.empty(operator.shape)
        unit = np.zeros(operator.shape[0])
        for k in range(len(unit)):
            unit[k] = 1.0
            matrix[:, k] = operator.matvec(unit)
            unit[k] = 0.0
        return matrix, basis

    # --- growth ------------------------------------------------------------------------------

    @cached_property
    def _enclosure(self) -> Enclosure:
        return spectral.growth(self)

    @cached_property
    def _growth(self) -> Growth:
        return assess(self, self._enclosure)

    def growth(self) -> Growth:
        """Growth factor ρ(Φ) on the range, two-sided, with verdict, reason and participation.

        Returns
        -------
        Growth

        Notes
        -----
        The value is a Rayleigh quotient of a self-adjoint map, hence a lower
        bound; ``value + error_bound`` is certified by an explicit ``X ≻ 0`` with
        ``Φ(X) ≺ λX``. Both ends hold up to rounding.

        References
        ----------
        Derived in docs/theory/growth.

        Examples
        --------
        >>> import rmtstab as rs
        >>> dyn = rs.UnlearningProblem.from_factors([[1.0], [1.0]]).dynamics(0.5, 1)
        >>> found = dyn.growth()
        >>> round(found.value, 9), found.verdict.name
        (0.25, 'STABLE')
        """
        return self._growth

    def growth_factor(self) -> float:
        """ρ(Φ) per step, on the range: < 1 contracts, > 1 escapes.

        Returns
        -------
        float
            The lower end of `enclosure`.
        """
        return self._enclosure.value

    def escape_rate(self) -> float:
        """``½ log ρ`` per step: the mean-square rate of ‖w‖; −inf when ρ = 0.

        Returns
        -------
        float
        """
        value = self.growth_factor()
        return 0.5 * math.log(value) if value > 0.0 else -math.inf

    def verdict(self) -> Verdict:
        """STABLE, MARGINAL, UNDECIDED or ESCAPES.

        Returns
        -------
        Verdict
            MARGINAL where ρ is 1 to rounding, UNDECIDED where no certificate parts it from 1.
        """
        return self._growth.verdict

    def reason(self) -> Reason:
        """Why `verdict` is what it is.

        Returns
        -------
        Reason
        """
        return self._growth.reason

    def enclosure(self) -> tuple[float, float]:
        """Interval that contains ρ: a Rayleigh quotient and a Collatz–Wielandt upper end.

        Returns
        -------
        (float, float)
            The upper end is ``inf`` where no certificate was found.
        """
        return self._enclosure.value, self._enclosure.upper

    def bounds(self, cost: str = "applications", gap: bool = True) -> list[Bound]:
        """Bounds on ρ at these hyper-parameters, tightest first.

        Parameters
        ----------
        cost : {"closed form", "eigenproblem", "applications"}
            The dearest kind of bound to evaluate: sums over the factors and extreme
            eigenvalues; eigenproblems of side r too; a fixed number of applications
            of Φ too.
        gap : bool
            Whether to solve for the exact ρ and say how far each bound is from it.

        Returns
        -------
        list of Bound
            Lower bounds on ρ (necessary conditions) from the largest down, then
            upper bounds (sufficient conditions) from the smallest up; conditions
            that give a step size only come last.

        Raises
        ------
        ValueError
            With momentum: the bounds are those of the plain update. If ``cost`` is unknown.

        References
        ----------
        Derived in docs/theory/bounds.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(2), np.empty((0, 2)))
        >>> dyn = problem.dynamics(step_size=1.0, batch_size=1, alpha=0.0)
        >>> [b.name for b in dyn.bounds(cost="eigenproblem") if b.kind == "sufficient"]
        ['one step', 'operator', 'coherence convergence']
        """
        return bounds.evaluate(self, cost, gap, self.growth_factor)

    def certificate(self, side: str = "auto", gap: float = 1e-3) -> Certificate:
        """Statement about ρ with the numbers that let a stranger prove it: `rmtstab.verify`.

        Parameters
        ----------
        side : {"auto", "above", "below"}
            Bound ρ from above (``ρ < λ`` by ``X ≻ 0`` with ``Φ(X) ≺ λX``), from below (by a
            Rayleigh quotient), or from where it decides stability.
        gap : float
            Relative distance of an upper bound from ρ; the bound stays at most 1 for what
            is stable.

        Returns
        -------
        Certificate
            Its `save` writes the JSON file that ``rmtstab verify`` reads.

        Raises
        ------
        ValueError
            With momentum; if an argument is outside its range; if no witness was found.

        References
        ----------
        Derived in docs/theory/certificates.

        Examples
        --------
        >>> import rmtstab as rs
        >>> dyn = rs.UnlearningProblem.from_factors([[1.0], [2.0]]).dynamics(0.1, 1)
        >>> found = dyn.certificate()
        >>> found.statement, bool(found.verify())
        ('growth < bound', True)
        """
        return certificate(self, self._enclosure, self.verdict(), side, gap)

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
        >>> dyn = rs.UnlearningProblem.from_factors(np.eye(2)).dynamics(1.0, 1)
        >>> found = dyn.escape_probability(radius=4.0, horizon=50, replicas=100, rng=0)
        >>> round(found.bound, 9), found.simulated.value
        (0.0625, 0.0)
        """
        bound = escape_probability(self, radius, horizon, initial)
        replicas = _checks.integer("replicas", replicas, low=0)
        if replicas == 0:
            return EscapeProbability(bound)
        runs = self.simulate(horizon, replicas, rng, initial, workers)
        share = float((runs.displacement.max(axis=1) >= radius).mean())
        return EscapeProbability(
            bound, Estimate(share, math.sqrt(share * (1.0 - share) / replicas))
        )

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
        >>> dyn = rs.UnlearningProblem.from_factors([[1.0], [1.2]]).dynamics(0.1, 1)
        >>> law = dyn.mirror_law()
        >>> found = law.rates(dyn.step_size, dyn.batch_size, dyn.alpha, dyn.sampling)
        >>> round(found.mean_square, 6), round(dyn.escape_rate(), 6)
        (-0.129795, -0.129795)
        """
        return mirror_law(self)

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

    # --- paths -------------------------------------------------------------------------------

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
        >>> dyn = problem.dynamics(step_size=0.5, batch_size=1)
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
        >>> dyn = problem.dynamics(step_size=0.5, batch_size=1)
        >>> found = dyn.stationary(problem.sample_gradients([1.0, -1.0]))
        >>> round(float(found.covariance[0, 0]), 12)  # η²/(1 − (1 − η)²)
        0.333333333333
        """
        return affine.stationary(self, gradients, self.growth())

    def escape_time(self, radius: float, initial: Any = None, limit: int = 100_000) -> float:
        """First step with ``E‖w_k‖² ≥ radius² E‖w_0‖²``; ``inf`` if none.

        Parameters
        ----------
        radius : float, > 0
        initial : vector (r,) or second moment (r, r), optional
            As for `trajectory`.
        limit : int
            Steps after which a certified non-escape or ``inf`` is returned.

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range.

        Examples
        --------
        >>> import rmtstab as rs
        >>> dyn = rs.UnlearningProblem.from_factors([[1.0]]).dynamics(3.0, 1)
        >>> dyn.escape_time(10.0)  # |1 − η| = 2
        4.0
        """
        radius = _checks.real("radius", radius, low=0.0, high=1e150, low_open=True)
        if self.verdict() is Verdict.STABLE:  # Φ contracts: what starts below the radius stays
            return paths.escape_time(self, radius, initial, limit, 1.0)
        return paths.escape_time(self, radius, initial, limit, self._enclosure.upper)

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
            _checks.real("kappa", kappa, low=1.0)
            return paths.resistance(self, self._enclosure)
        return paths.resistance_within(self, horizon, kappa)

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
        >>> dyn = rs.UnlearningProblem.from_factors(np.eye(2)).dynamics(1.0, 2)
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

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(2))
        >>> rate = problem.dynamics(step_size=1.0, batch_size=2).lyapunov(0, replicas=4, steps=40)
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
        >>> dyn = rs.UnlearningProblem.from_factors([[1.0], [2.0]]).dynamics(0.61, 1)
        >>> found = dyn.lyapunov_bounds()  # E log|1 − ηh| of one batch
        >>> round(dyn.escape_rate(), 3), round(found.upper, 3), found.upper_method
        (0.053, -0.288, 'exact')
        """
        return lyapunov_bounds(self, self._enclosure.upper, batches)

    # --- words -------------------------------------------------------------------------------

    def report(self) -> str:
        """State growth, verdict, critical step size and resistance in words.

        Returns
        -------
        str
        """
        return words.text(self._facts())

    def _facts(self) -> words.Facts:
        return words.facts(self, self.growth(), critical_step_size(self), self.resistance)

    def _repr_html_(self) -> str:
        return words.table(self._facts())

    def __repr__(self) -> str:
        return (
            f"Dynamics(step_size={self.step_size:g}, batch_size={self.batch_size}, "
            f"alpha={self.alpha:g}, sampling={self.sampling!r}, "
            f"weight_decay={self.weight_decay:g}, momentum={self.momentum:g})"
            + ("" if self.alpha else " (plain SGD: nothing is ascended)")
        )
