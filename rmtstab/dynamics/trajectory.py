"""Exact second moments along the linearised dynamics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray, Trajectory

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


def iterate(dyn: Dynamics, steps: Any, initial: Any = None) -> Trajectory:
    r"""``M_{k+1} = Φ(M_k)``: ``E‖w_k‖²``, ``½ tr(H_R M_k)`` and ``½ tr(H_F M_k)``.

    Parameters
    ----------
    dyn : Dynamics
    steps : int
    initial : None, vector or matrix
        None: isotropic on the range with ``E‖w_0‖² = 1``. A vector (r,) or a
        second moment (r, r) in the problem's coordinates.

    Returns
    -------
    Trajectory
        ``inf`` where a value exceeds the floating-point range.

    Raises
    ------
    ValueError
        If ``initial`` has another shape, or is not positive semi-definite.

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
    phi, basis = dyn._full, dyn.basis
    m = initial_moment(dyn, initial)
    out = np.empty((3, steps + 1))
    exponent = 0.0
    for k in range(steps + 1):
        factor = math.exp(exponent) if exponent < 700.0 else math.inf
        trace = float(np.trace(m))
        out[:, k] = (
            _times(trace, factor),
            _times(0.5 * float(np.vdot(basis.retain, m)), factor),
            _times(0.5 * float(np.vdot(basis.forget, m)), factor),
        )
        if k == steps:
            break
        m = phi(m)
        if trace > HUGE or 0.0 < trace < 1.0 / HUGE:
            m /= trace
            exponent += math.log(trace)
    return Trajectory(out[0], out[1], out[2])


def _times(value: float, factor: float) -> float:
    return max(value, 0.0) * factor if value > 0.0 else 0.0


def escape_time(dyn: Dynamics, radius: Any, initial: Any, limit: int) -> float:
    """First step with ``E‖w_k‖² ≥ radius² E‖w_0‖²``; see `Dynamics.escape_time`."""
    radius = _checks.real("radius", radius, low=0.0, low_open=True)
    limit = _checks.integer("limit", limit, low=1)
    phi = dyn._full
    m = initial_moment(dyn, initial)
    start = float(np.trace(m))
    if start <= 0.0:
        return math.inf
    m = m / start
    if radius <= 1.0:
        return 0.0
    for k in range(1, limit + 1):
        m = phi(m)
        if float(np.trace(m)) >= radius**2:
            return float(k)
    return math.inf


def resistance(dyn: Dynamics, horizon: int | None, kappa: Any) -> float:
    """Asymptotic or finite-horizon resistance; see `Dynamics.resistance`."""
    kappa = _checks.real("kappa", kappa, low=1.0)
    if horizon is not None:
        path = iterate(dyn, _checks.integer("horizon", horizon, low=1))
        if path.forget_loss[0] <= 0.0:
            return math.inf
        grown = np.flatnonzero(path.forget_loss >= kappa * path.forget_loss[0])
        if not grown.size:
            return math.inf
        t = int(grown[0])
        paid = path.retain_loss[t] / path.retain_loss[0]
        return float(paid / (path.forget_loss[t] / path.forget_loss[0]))
    top, basis = dyn._leading, dyn.basis
    r = basis.n_active
    if top.value <= 1.0 or r == 0:
        return math.inf
    retain = float(np.vdot(basis.retain[:r, :r], top.matrix))
    forget = float(np.vdot(basis.forget[:r, :r], top.matrix))
    return max(retain, 0.0) / forget if forget > 0.0 else math.inf
