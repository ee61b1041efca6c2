"""Exact second moments along the linearised dynamics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray, Trajectory
from rmtstab.dynamics.gradients import GradientSource
from rmtstab.dynamics.momentum import HeavyBall

if TYPE_CHECKING:
    from rmtstab.dynamics.linearised import Dynamics

HUGE = 1e200  # the state is rescaled beyond this, and below its inverse


def initial_moment(dyn: Dynamics, initial: Any) -> FloatArray:
    """Second moment of the start in D's eigenbasis (full range)."""
    r = dyn.problem.rank
    if initial is None:
        return np.eye(r) / max(r, 1)
    given = _checks.array("initial", initial, ndim=(1, 2))
    q = dyn.basis.vectors
    if given.shape == (r,):
        turned = q.T @ given
        return np.outer(turned, turned)
    if given.shape == (r, r):
        scale = float(np.abs(given).max(initial=0.0))
        if float(np.abs(given - given.T).max(initial=0.0)) > 1e-8 * scale:
            raise ValueError("initial must be a vector or a symmetric second moment")
        if r and np.linalg.eigvalsh(given)[0] < -1e-8 * scale:
            raise ValueError("initial must be positive semi-definite as a second moment")
        return np.ascontiguousarray(q.T @ given @ q)
    raise ValueError(f"initial must have shape ({r},) or ({r}, {r}), got {given.shape}")


class Walker:
    """Moments of the state, advanced one step at a time and rescaled out of overflow.

    The start is at rest: with momentum ``w_{−1} = w_0``. Gradients make the
    mean part of the state.
    """

    def __init__(self, dyn: Dynamics, initial: Any, gradients: Any = None) -> None:
        self.r = dyn.problem.rank
        m = initial_moment(dyn, initial)
        self.source: GradientSource | None = None
        if gradients is not None:
            if dyn.momentum:
                raise ValueError(f"gradients need momentum 0, got momentum={dyn.momentum}")
            self.source = GradientSource(dyn, gradients)
            mean = np.zeros(self.r)
            if np.ndim(initial) == 1:
                mean = dyn.basis.vectors.T @ np.asarray(initial, dtype=np.float64)
            self.mean = mean
        if dyn.momentum:
            self.map: Any = HeavyBall(dyn, active=False)
            m = np.block([[m, m], [m, m]])
        else:
            self.map = dyn._full
        self.state = m
        self.exponent = 0.0

    @property
    def moment(self) -> FloatArray:
        """``E w_k w_kᵀ`` in D's eigenbasis, up to the factor `scale`."""
        return self.state[: self.r, : self.r]

    @property
    def scale(self) -> float:
        """Factor taken out of the state; ``inf`` beyond the floating-point range."""
        return math.exp(self.exponent) if self.exponent < 709.0 else math.inf

    def value(self, weight: FloatArray | None) -> float:
        """``tr(W M_k)``, or ``tr M_k`` without weight."""
        if weight is None:
            raw = float(np.trace(self.moment))
        else:
            raw = float(np.vdot(weight, self.moment))
        return raw * self.scale if raw else 0.0

    def step(self) -> None:
        """Advance one step."""
        if self.source is not None:
            self.state = self.map(self.state) + self.source.second(self.mean)
            self.mean = self.source.first(self.mean)
            return
        size = float(np.trace(self.moment))
        self.state = self.map(self.state)
        if size > HUGE or 0.0 < size < 1.0 / HUGE:
            self.state /= size
            self.exponent += math.log(size)


def iterate(
    dyn: Dynamics,
    steps: Any,
    initial: Any = None,
    gradients: Any = None,
    observables: Sequence[Any] = (),
) -> Trajectory:
    r"""``M_{k+1} = Φ(M_k)``: ``E‖w_k‖²``, ``½ tr(H_R M_k)`` and ``½ tr(H_F M_k)``.

    Parameters
    ----------
    dyn : Dynamics
    steps : int
    initial : None, vector or matrix
        None: isotropic on the range with ``E‖w_0‖² = 1``. A vector (r,) or a
        second moment (r, r) of zero mean, in the problem's coordinates.
    gradients : array_like, shape (n, r), optional
        Per-sample gradients at the trained point, in the problem's coordinates
        (`UnlearningProblem.sample_gradients`): the dynamics become affine, and
        the losses gain ``ḡᵀE w_k``.
    observables : sequence of (r, r) array_like
        Weights W of further linear functionals ``tr(W M_k)``.

    Returns
    -------
    Trajectory
        ``inf`` where a value exceeds the floating-point range.

    Raises
    ------
    ValueError
        If ``initial`` has another shape, or is not positive semi-definite.

    References
    ----------
    Derived in docs/theory/trajectories.

    Examples
    --------
    >>> import numpy as np
    >>> import rmtstab as rs
    >>> problem = rs.UnlearningProblem.from_factors(np.eye(2))
    >>> path = problem.dynamics(step_size=1.0, batch_size=2).trajectory(2)
    >>> path.displacement.tolist()
    [1.0, 0.25, 0.0625]
    """
    steps = _checks.integer("steps", steps, low=0)
    r, q, basis = dyn.problem.rank, dyn.basis.vectors, dyn.basis
    weights: list[FloatArray | None] = [None, 0.5 * basis.retain, 0.5 * basis.forget]
    for i, given in enumerate(observables):
        weight = _checks.array(f"observables[{i}]", given, ndim=2)
        if weight.shape != (r, r):
            raise ValueError(f"observables[{i}] must have shape ({r}, {r}), got {weight.shape}")
        weights.append(q.T @ weight.T @ q)
    walker = Walker(dyn, initial, gradients)
    out = np.empty((len(weights), steps + 1))
    for k in range(steps + 1):
        out[:, k] = [walker.value(w) for w in weights]
        if walker.source is not None:
            out[1:3, k] += walker.source.slopes @ walker.mean
        if k < steps:
            walker.step()
    if gradients is None:
        np.maximum(out[:3], 0.0, out=out[:3])
    return Trajectory(out[0], out[1], out[2], out[3:])


def escape_time(dyn: Dynamics, radius: Any, initial: Any, limit: int) -> float:
    """First step with ``E‖w_k‖² ≥ radius² E‖w_0‖²``; see `Dynamics.escape_time`."""
    radius = _checks.real("radius", radius, low=0.0, low_open=True)
    limit = _checks.integer("limit", limit, low=1)
    walker = Walker(dyn, initial)
    start = walker.value(None)
    if start <= 0.0:
        return math.inf
    walker.state = walker.state / start
    if radius <= 1.0:
        return 0.0
    # with ρ ≤ 1 the self-adjoint Φ does not raise ‖M‖_F, and tr M ≤ √r ‖M‖_F
    falls = not dyn.momentum and dyn.enclosure()[1] <= 1.0
    for k in range(1, limit + 1):
        walker.step()
        if walker.value(None) >= radius**2:
            return float(k)
        if falls and math.sqrt(walker.r) * float(np.linalg.norm(walker.state)) < radius**2:
            return math.inf
    return math.inf


def resistance(dyn: Dynamics, horizon: int | None, kappa: Any) -> float:
    """Asymptotic or finite-horizon resistance; see `Dynamics.resistance`."""
    kappa = _checks.real("kappa", kappa, low=1.0)
    if horizon is not None:
        steps = _checks.integer("horizon", horizon, low=1)
        walker = Walker(dyn, None)
        retain, forget = dyn.basis.retain, dyn.basis.forget
        start = (walker.value(retain), walker.value(forget))
        if start[1] <= 0.0 or start[0] <= 0.0:
            return math.inf
        for _ in range(steps):
            walker.step()
            if walker.value(forget) >= kappa * start[1]:
                # the common scale cancels, so that nothing overflows
                paid = float(np.vdot(retain, walker.moment)) / start[0]
                return paid / (float(np.vdot(forget, walker.moment)) / start[1])
        return math.inf
    top, basis = dyn._leading, dyn.basis
    r = basis.n_active
    if top.value <= 1.0 or r == 0:
        return math.inf
    paid = float(np.vdot(basis.retain[:r, :r], top.matrix))
    gained = float(np.vdot(basis.forget[:r, :r], top.matrix))
    return max(paid, 0.0) / gained if gained > 0.0 else math.inf
