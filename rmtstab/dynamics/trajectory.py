"""Exact second moments along the linearised dynamics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray, Trajectory
from rmtstab.dynamics import centred, momentum_passage
from rmtstab.dynamics.certificate import Enclosure
from rmtstab.dynamics.first_passage import first_passage
from rmtstab.dynamics.gradients import GradientSource
from rmtstab.dynamics.momentum import HeavyBall
from rmtstab.dynamics.update import MOST, Update

HUGE = 1e50  # a state beyond is rescaled before it is mapped: growth up to 1e250 a step


def initial_moment(update: Update, initial: Any, extra: int = 0) -> FloatArray:
    """Second moment of the start in D's eigenbasis (full range, and ``extra`` coordinates).

    Parameters
    ----------
    update : Update
    initial : vector (r,), second moment (r, r) or None
    extra : int

    Returns
    -------
    ndarray, shape (r + extra, r + extra), float64
    """
    r = update.curvatures.rank
    if initial is None:
        return np.pad(np.eye(r) / max(r, 1), (0, extra))
    given = _checks.array("initial", initial, ndim=(1, 2))
    side = given.shape[0]
    if side not in (r, r + extra) or given.shape not in ((side,), (side, side)):
        listed = " or ".join(f"({n},) or ({n}, {n})" for n in sorted({r, r + extra}))
        raise ValueError(f"initial must have shape {listed}, got {given.shape}")
    given = np.pad(given, (0, r + extra - side))
    q = update.basis.padded(extra).vectors
    if given.ndim == 1:
        turned = q.T @ given
        return np.outer(turned, turned)
    scale = float(np.abs(given).max(initial=0.0))
    if float(np.abs(given - given.T).max(initial=0.0)) > 1e-8 * scale:
        raise ValueError("initial must be a vector or a symmetric second moment")
    if side and np.linalg.eigvalsh(given)[0] < -1e-8 * scale:
        raise ValueError("initial must be positive semi-definite as a second moment")
    return np.ascontiguousarray(q.T @ given @ q)


class Walker:
    """Moments of the state, advanced one step at a time and rescaled out of overflow.

    The start is at rest: with momentum ``w_{−1} = w_0``. Gradients make the
    mean part of the state.
    """

    def __init__(self, update: Update, initial: Any, gradients: Any = None) -> None:
        self.source = None if gradients is None else GradientSource(update, gradients)
        extra = self.source.extra if self.source else 0
        m = initial_moment(update, initial, extra)
        self.r = len(m)
        self.vectors = update.basis.padded(extra).vectors
        self.mean = np.zeros(self.r)
        if np.ndim(initial) == 1:
            start = np.asarray(initial, dtype=np.float64)
            self.mean = self.vectors.T @ np.pad(start, (0, self.r - len(start)))
        if update.momentum:
            self.map: Any = HeavyBall(update, active=False, extra=extra)
            m = np.block([[m, m], [m, m]])
            self.mean = np.concatenate([self.mean, self.mean])
        else:
            self.map = centred.second_moment(update, active=False, extra=extra)[0]
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

    @property
    def unit(self) -> float:
        """The 1 of the affine state (w, 1), in the state's scale."""
        return math.exp(-0.5 * self.exponent)

    def value(self, weight: FloatArray | None, slope: FloatArray | None = None) -> float:
        """``tr(W M_k) + slopeᵀ E w_k``, or ``tr M_k`` without weight.

        Parameters
        ----------
        weight : ndarray, shape (r, r), or None
        slope : ndarray, shape (r,), optional

        Returns
        -------
        float
        """
        if weight is None:
            raw = float(np.trace(self.moment))
        else:
            raw = float(np.vdot(weight, self.moment))
        if slope is not None:
            raw += self.unit * float(slope @ self.mean[: self.r])
        return raw * self.scale if raw else 0.0

    def step(self) -> None:
        """Advance one step."""
        size = float(np.trace(self.moment))
        if size > HUGE or (self.source is None and 0.0 < size < 1.0 / HUGE):
            self.state = self.state / size
            if self.source is not None:  # without gradients the mean is not followed
                self.mean = self.mean / math.sqrt(size)
            self.exponent += math.log(size)
        if self.source is None:
            self.state = self.map(self.state)
        else:
            self.state = self.map(self.state) + self.source.second(self.mean, self.unit)
            self.mean = self.source.first(self.mean, self.unit)


def iterate(
    update: Update,
    steps: Any,
    initial: Any = None,
    gradients: Any = None,
    observables: Sequence[Any] = (),
) -> Trajectory:
    r"""``M_{k+1} = Φ(M_k)``: ``E‖w_k‖²``, ``½ tr(H_R M_k)`` and ``½ tr(H_F M_k)``.

    Parameters
    ----------
    update : Update
    steps : int
    initial : None, vector or matrix
        None: isotropic on the range with ``E‖w_0‖² = 1``. A vector (r,) or a
        second moment (r, r) of zero mean, in the problem's coordinates. Momentum
        starts at rest.
    gradients : array_like, shape (n, r) or (n, r + complement), optional
        Per-sample gradients at the trained point, in the problem's coordinates
        (`UnlearningProblem.sample_gradients`, or `UnlearningProblem.gradients` where
        they leave the range): the dynamics become affine, the losses gain
        ``ḡᵀE w_k``, and the displacement counts the complement too. ``initial`` and
        ``observables`` may then have its coordinates.
    observables : sequence of (r, r) array_like
        Weights W of further linear functionals ``tr(W M_k)``.

    Returns
    -------
    Trajectory
        ``inf`` where a value exceeds the floating-point range.

    Raises
    ------
    ValueError
        If a shape is another, or ``initial`` is not positive semi-definite.

    References
    ----------
    Derived in docs/theory/trajectories.

    Examples
    --------
    >>> import numpy as np
    >>> import rmtstab as rs
    >>> problem = rs.UnlearningProblem.from_factors(np.eye(2))
    >>> path = problem.dynamics(step_size=1.0, batch_size=2, alpha=0.0).trajectory(2)
    >>> path.displacement.tolist()
    [1.0, 0.25, 0.0625]
    """
    steps = _checks.integer("steps", steps, low=0)
    walker = Walker(update, initial, gradients)
    source, r, q = walker.source, walker.r, walker.vectors
    basis = update.basis if source is None else source.basis
    weights: list[FloatArray | None] = [None, 0.5 * basis.retain, 0.5 * basis.forget]
    slopes: list[FloatArray | None] = [None] * 3
    if source is not None:
        slopes[1:] = source.slopes
    for i, given in enumerate(_checks.each("observables", observables)):
        weight = _checks.array(f"observables[{i}]", given, ndim=2)
        if weight.shape not in ((r, r), (update.curvatures.rank, update.curvatures.rank)):
            raise ValueError(f"observables[{i}] must have shape ({r}, {r}), got {weight.shape}")
        weight = np.pad(weight, (0, r - len(weight)))
        weights.append(q.T @ weight.T @ q)
        slopes.append(None)
    out = np.empty((len(weights), steps + 1))
    for k in range(steps + 1):
        out[:, k] = [walker.value(w, s) for w, s in zip(weights, slopes, strict=True)]
        if k < steps:
            walker.step()
    if gradients is None:
        np.maximum(out[:3], 0.0, out=out[:3])
    return Trajectory(out[0], out[1], out[2], out[3:])


def escape_time(update: Update, radius: Any, initial: Any, limit: int, upper: float) -> float:
    """First step with ``E‖w_k‖² ≥ radius² E‖w_0‖²``; ``inf`` if none.

    Parameters
    ----------
    update : Update
    radius : float, > 0
    initial : optional
        As for `iterate`.
    limit : int
        Steps looked at.
    upper : float
        Certified upper end of the growth factor; ``inf`` where there is none.

    Returns
    -------
    float
    """
    radius = _checks.real("radius", radius, low=0.0, low_open=True, high=MOST)  # its square counts
    limit = _checks.integer("limit", limit, low=1)
    walker = Walker(update, initial)
    start = walker.value(None)
    if start <= 0.0:
        return math.inf
    walker.state = walker.state / start
    if radius <= 1.0:
        return 0.0
    if update.momentum:
        found = momentum_passage.first_passage(update, walker.state, radius**2, limit, upper)
    else:
        still = 1.0 - update.step_size * update.weight_decay  # what no weighted set sees
        growth = max(upper, 1.0, still * still)
        found = first_passage(update, walker.state, radius**2, limit, growth)
    if found is not None:
        return found
    for k in range(1, limit + 1):
        walker.step()
        if walker.value(None) >= radius**2:
            return float(k)
    return math.inf


def resistance(update: Update, found: Enclosure) -> float:
    """``Ψ = tr(H_R M₁)/tr(H_F M₁)`` at the top eigenmatrix M₁; ``inf`` where ρ ≤ 1.

    Parameters
    ----------
    update : Update
    found : Enclosure
        Of its growth factor.

    Returns
    -------
    float
    """
    basis, r = update.basis, update.basis.n_active
    if found.value <= 1.0 or r == 0:
        return math.inf
    paid = float(np.vdot(basis.retain[:r, :r], found.matrix))
    gained = float(np.vdot(basis.forget[:r, :r], found.matrix))
    return max(paid, 0.0) / gained if gained > 0.0 else math.inf


def resistance_within(update: Update, horizon: Any, kappa: Any) -> float:
    """``(R_t/R_0)/(F_t/F_0)`` at the first ``t ≤ horizon`` with ``F_t ≥ kappa F_0``.

    Parameters
    ----------
    update : Update
    horizon : int
    kappa : float, ≥ 1

    Returns
    -------
    float
        ``inf`` if the forget loss never grows that far.
    """
    kappa = _checks.real("kappa", kappa, low=1.0)
    steps = _checks.integer("horizon", horizon, low=1)
    walker = Walker(update, None)
    retain, forget = update.basis.retain, update.basis.forget
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
