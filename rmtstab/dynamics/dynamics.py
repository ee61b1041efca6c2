"""Descent–ascent on a problem at one step size, batch size and mixing."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import Bound, Estimate, FloatArray, Growth, Trajectory, Verdict
from rmtstab.dynamics import exact, simulate, trajectory
from rmtstab.dynamics.second_moment import SecondMoment, build

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

    from rmtstab.dynamics.problem import UnlearningProblem


class Dynamics:
    """Linearised descent–ascent; made by `UnlearningProblem.dynamics`.

    Attributes
    ----------
    problem : UnlearningProblem
    step_size, alpha, weight_decay : float
    batch_size : (float, float)
        Retain, forget.
    sampling : str
    """

    def __init__(
        self,
        problem: UnlearningProblem,
        step_size: float,
        batch_size: tuple[float, float],
        alpha: float,
        sampling: str,
        weight_decay: float,
    ) -> None:
        self.problem = problem
        self.step_size, self.batch_size, self.alpha = step_size, batch_size, alpha
        self.sampling, self.weight_decay = sampling, weight_decay

    def __repr__(self) -> str:
        return (
            f"Dynamics(step_size={self.step_size:g}, batch_size={self.batch_size}, "
            f"alpha={self.alpha:g}, sampling={self.sampling!r}, {self.problem!r})"
        )

    def _build(self, on_range: bool) -> SecondMoment:
        return build(
            self.problem.factors,
            self.problem.sizes,
            self.problem.width,
            step_size=self.step_size,
            batch_size=self.batch_size,
            alpha=self.alpha,
            sampling=self.sampling,
            weight_decay=self.weight_decay,
            on_range=on_range,
        )

    @cached_property
    def second_moment(self) -> SecondMoment:
        """Φ on the range of the weighted samples, in the eigenbasis of D."""
        return self._build(on_range=True)

    @cached_property
    def full(self) -> SecondMoment:
        """Φ on the joint range of both sets: at α = 0 or 1 some of it does not move."""
        if self.alpha not in (0.0, 1.0):
            return self.second_moment
        return self._build(on_range=False)

    @property
    def mean_eigenvalues(self) -> FloatArray:
        """Eigenvalues μ of D(α) (weight decay included) on the range, ascending."""
        return self.second_moment.eigenvalues

    def apply(self, moment: Any) -> FloatArray:
        """Apply Φ to a matrix in the problem's coordinates.

        Parameters
        ----------
        moment : array_like, shape (rank, rank)

        Returns
        -------
        ndarray, shape (rank, rank), float64

        Raises
        ------
        ValueError
            If the shape does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(2), np.empty((0, 2)))
        >>> problem.dynamics(step_size=1.0, batch_size=2, alpha=0.0).apply(np.eye(2))[0, 0]
        0.25
        """
        matrix = _checks.array("moment", moment, ndim=2)
        if matrix.shape != (self.problem.rank,) * 2:
            raise ValueError(f"moment must be rank x rank={self.problem.rank}, got {matrix.shape}")
        basis = self.full.basis
        result: FloatArray = basis @ self.full.apply(basis.T @ matrix @ basis) @ basis.T
        return result

    def operator(self) -> tuple[LinearOperator, FloatArray]:
        """Φ on the range as a self-adjoint operator on vec(M), and its basis.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator, shape (r², r²)
        ndarray, shape (rank, r)
            Columns: the eigenvectors of D in the problem's coordinates.
        """
        return exact.operator(self.second_moment), self.second_moment.basis

    @cached_property
    def _growth(self) -> tuple[Growth, FloatArray]:
        return exact.growth(self.second_moment, self.problem.sizes)

    def growth(self) -> Growth:
        """Growth factor ρ(Φ) on the range, certified from both sides.

        Returns
        -------
        Growth
        """
        return self._growth[0]

    def growth_factor(self) -> float:
        """ρ(Φ) on the range, per step; see `growth` for the certificate."""
        return self._growth[0].value

    def escape_rate(self) -> float:
        """``½ log ρ``, per step."""
        return 0.5 * math.log(self.growth_factor()) if self.growth_factor() > 0 else -math.inf

    def verdict(self) -> Verdict:
        """Stable, marginal, undecided or escaping; the reason is in `growth`."""
        return self._growth[0].verdict

    def resistance(self) -> float:
        """``Ψ = tr(H_R M₁)/tr(H_F M₁)`` at the top eigenmatrix of Φ.

        Returns
        -------
        float
            Retain loss paid per unit of forget loss gained along the escape;
            NaN where there is no forget set, ``inf`` where forget does not grow.
        """
        retain, forget = trajectory.losses(self.second_moment, self.problem.sizes, self._growth[1])
        if not self.problem.n_forget:
            return math.nan
        return retain / forget if forget > 0 else math.inf

    def trajectory(self, steps: int, initial: Any = None) -> Trajectory:
        """Second moments ``Φᵏ(M₀)`` over ``steps`` steps.

        Parameters
        ----------
        steps : int
            ≥ 0.
        initial : array_like, shape (rank,) or (rank, rank), optional
            A displacement or its second moment; default isotropic on the joint
            range with E‖w₀‖² = 1.

        Returns
        -------
        Trajectory

        Raises
        ------
        ValueError
            If shapes do not fit.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(2), np.empty((0, 2)))
        >>> dyn = problem.dynamics(step_size=1.0, batch_size=2, alpha=0.0)
        >>> dyn.trajectory(2).displacement.round(12)
        array([1.    , 0.25  , 0.0625])
        """
        steps = _checks.integer("steps", steps, low=0)
        return trajectory.trajectory(self.full, self.problem.sizes, steps, initial)

    def simulate(
        self,
        steps: int,
        replicas: int,
        rng: np.random.Generator | int,
        initial: Any = None,
        *,
        with_losses: bool = True,
    ) -> simulate.Runs:
        """Simulate the linearised dynamics, a generator per replica.

        Parameters
        ----------
        steps, replicas : int
        rng : numpy.random.Generator or int
        initial : array_like, shape (rank,), optional
            A displacement; default a fresh unit vector for each replica,
            isotropic on the joint range.
        with_losses : bool, default True
            Whether to follow the losses (a pass over all samples a step);
            they are NaN otherwise.

        Returns
        -------
        Runs
            ``displacement`` (norms), ``retain_loss`` and ``forget_loss``, each
            (replicas, steps + 1).

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        return simulate.simulate(self, steps, replicas, rng, initial, with_losses)

    def lyapunov(
        self, rng: np.random.Generator | int, *, replicas: int = 64, steps: int = 400
    ) -> Estimate:
        """Top Lyapunov exponent: the typical growth rate per step, ``≤ ½ log ρ``.

        Parameters
        ----------
        rng : numpy.random.Generator or int
        replicas, steps : int
            The first half of the steps is left out.

        Returns
        -------
        Estimate

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        return simulate.lyapunov(self, rng, replicas, steps)

    def bounds(self) -> list[Bound]:
        """All closed-form bounds of the theory on this problem, tightest first."""
        from rmtstab.bounds import evaluate

        return evaluate(self)
