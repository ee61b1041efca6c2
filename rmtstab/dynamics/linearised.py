"""Linearised descent–ascent at fixed hyper-parameters, and everything asked of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import (
    Bound,
    Estimate,
    FloatArray,
    Growth,
    Reason,
    Trajectory,
    Verdict,
)
from rmtstab.dynamics import gradients as _gradients
from rmtstab.dynamics import growth as _growth
from rmtstab.dynamics import simulate as _simulate
from rmtstab.dynamics import trajectory as _trajectory
from rmtstab.dynamics import words
from rmtstab.dynamics.momentum import HeavyBall
from rmtstab.dynamics.sampling import SAMPLINGS, Pair, check_batches
from rmtstab.dynamics.second_moment import MixBasis, NoiseMap, SecondMoment

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

    from rmtstab.dynamics.problem import UnlearningProblem


class Dynamics:
    """Mean-square dynamics of linearised minibatch descent–ascent.

    Made by `UnlearningProblem.dynamics`, which documents the arguments.

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
    """

    def __init__(
        self,
        problem: UnlearningProblem,
        step_size: Any,
        batch_size: Any,
        alpha: Any,
        sampling: str,
        weight_decay: Any,
        momentum: Any,
    ) -> None:
        self.problem = problem
        self.alpha = problem._alpha(alpha)
        self.sampling: str = _checks.choice("sampling", sampling, SAMPLINGS)
        self.batch_size: Pair = check_batches(
            batch_size, problem.n_retain, problem.n_forget, self.alpha, sampling
        )
        self.step_size = _checks.real("step_size", step_size, low=0.0)
        self.weight_decay = _checks.real("weight_decay", weight_decay, low=0.0)
        self.momentum = _checks.real("momentum", momentum, low=0.0, high=1.0, high_open=True)

    # --- building blocks -------------------------------------------------------------------

    @property
    def basis(self) -> MixBasis:
        """Eigenbasis of D(alpha), shared with every other dynamics of the problem."""
        return self.problem.basis(self.alpha)

    @property
    def mean_eigenvalues(self) -> FloatArray:
        """Eigenvalues μ of ``D(alpha)`` on the range on which stability is judged.

        In the units of the Hessians, weight decay not included; at alpha 0 or 1
        only the range of the set with weight.
        """
        basis = self.basis
        return basis.mix[: basis.n_active].copy()

    @cached_property
    def mean_multipliers(self) -> FloatArray:
        """``j = 1 − η(μ + λ)`` on the judged range, in the order of `mean_eigenvalues`."""
        basis = self.basis
        return self._multipliers(basis.mix[: basis.n_active])

    def noise(self, active: bool = True, extra: int = 0) -> NoiseMap:
        """Noise map in D's eigenbasis.

        ``active`` restricts to the judged range; ``extra`` adds coordinates that no
        curvature sees (of gradients outside the range).
        """
        problem = self.problem
        return NoiseMap.build(
            self.basis.padded(extra),
            problem.factors.offsets,
            (problem.n_retain, problem.n_forget),
            self.batch_size,
            self.sampling,
            active,
        )

    def second_moment(self, active: bool = True, extra: int = 0) -> SecondMoment:
        """Φ of the plain update in D's eigenbasis (momentum not included); as for `noise`."""
        noise = self.noise(active, extra)
        basis = self.basis.padded(extra)
        mix = basis.mix[: basis.n_active] if active else basis.mix
        j = self._multipliers(mix)
        gain = self.step_size**2
        return SecondMoment(noise, np.outer(j, j) + gain * noise.shift * np.outer(mix, mix), gain)

    @cached_property
    def _full(self) -> SecondMoment:
        return self.second_moment(active=False)

    def _multipliers(self, mix: FloatArray) -> FloatArray:
        result: FloatArray = 1.0 - self.step_size * (mix + self.weight_decay)
        return result

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
        return _growth.operator(self)

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

    # --- growth ----------------------------------------------------------------------------

    @cached_property
    def _leading(self) -> _growth.Top:
        return _growth.solve(self)

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
        """
        return _growth.record(self, self._leading)

    def growth_factor(self) -> float:
        """ρ(Φ) per step, on the range: < 1 contracts, > 1 escapes."""
        return self._leading.value

    def escape_rate(self) -> float:
        """``½ log ρ`` per step: the mean-square rate of ‖w‖; −inf when ρ = 0."""
        value = self.growth_factor()
        return 0.5 * math.log(value) if value > 0.0 else -math.inf

    def verdict(self) -> Verdict:
        """STABLE, MARGINAL, UNDECIDED or ESCAPES."""
        return self.growth().verdict

    def reason(self) -> Reason:
        """Why `verdict` is what it is."""
        return self.growth().reason

    def enclosure(self) -> tuple[float, float]:
        """Interval that contains ρ: a Rayleigh quotient and a Collatz–Wielandt upper end."""
        top = self._leading
        return top.value, top.upper

    def bounds(self, cost: str = "applications", gap: bool = True) -> list[Bound]:
        """Bounds at these hyper-parameters, tightest first; see `rmtstab.bounds.evaluate`."""
        from rmtstab.bounds import evaluate

        return evaluate(self, cost, gap)

    # --- paths -----------------------------------------------------------------------------

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
        """Exact second moments step by step; see `rmtstab.dynamics.trajectory.iterate`.

        Parameters
        ----------
        steps, initial, gradients, observables
            As there.
        quantiles : sequence of float in [0, 1], optional
            Quantiles of ``‖w_k‖²`` over simulated runs, put beside the exact mean: where
            noise drives an escape the mean square is carried by rare runs.
        replicas, rng, workers
            Of the simulation, as for `simulate`; quantiles need an ``rng``.

        Returns
        -------
        Trajectory

        Raises
        ------
        TypeError, ValueError
            If ``quantiles`` come without an ``rng``, outside [0, 1], or with gradients
            (which the simulation does not know).

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
        path = _trajectory.iterate(self, steps, initial, gradients, observables)
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

    def stationary(self, gradients: Any) -> _gradients.Stationary:
        """Stationary mean and covariance; see `rmtstab.dynamics.gradients.stationary`."""
        return _gradients.stationary(self, gradients)

    def escape_time(self, radius: float, initial: Any = None, limit: int = 100_000) -> float:
        """First step with ``E‖w_k‖² ≥ radius² E‖w_0‖²``; ``inf`` if none.

        Parameters
        ----------
        radius : float, > 0
        initial : optional
            As for `trajectory`.
        limit : int
            Steps after which a certified non-escape or ``inf`` is returned.
        """
        return _trajectory.escape_time(self, radius, initial, limit)

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

        References
        ----------
        Derived in docs/theory/trajectories.
        """
        return _trajectory.resistance(self, horizon, kappa)

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
    ) -> _simulate.Simulation:
        """Monte Carlo of the linearised update; see `rmtstab.dynamics.simulate.run`."""
        return _simulate.run(
            self, steps, replicas, rng, initial, workers, losses=losses, shuffled=shuffled
        )

    def lyapunov(
        self, rng: Any, replicas: int = 64, steps: int = 1000, workers: int = 1
    ) -> Estimate:
        """Typical rate of log ‖w‖ per step; see `rmtstab.dynamics.simulate.lyapunov`."""
        return _simulate.lyapunov(self, rng, replicas, steps, workers)

    def report(self) -> str:
        """State growth, verdict, critical step size and resistance in words."""
        return words.text(self)

    def _repr_html_(self) -> str:
        return words.table(self)

    def __repr__(self) -> str:
        return (
            f"Dynamics(step_size={self.step_size:g}, batch_size={self.batch_size}, "
            f"alpha={self.alpha:g}, sampling={self.sampling!r}, "
            f"weight_decay={self.weight_decay:g}, momentum={self.momentum:g})"
        )
