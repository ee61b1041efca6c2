r"""Non-zero per-sample gradients: the affine dynamics, and where it settles.

With gradients ``g_i`` at the trained point, ``w⁺ = Ĵ w − η ĝ`` and

    m⁺ = J m − η ḡ,
    M⁺ = Φ(M) − η (J m ḡᵀ + ḡ mᵀ J) + η² ḡ ḡᵀ + η² [ S(m) − S₀(m) ],
    S(m) = Σ_s a_s² [ c_s Σ_i (H_i m + g_i)(·)ᵀ − e_s n_s (H_s m + ḡ_s)(·)ᵀ ],

``S₀`` the same without gradients: the first two moments of the state (w, 1).
Momentum makes the state (w_k, w_{k−1}, 1). What of a gradient lies outside the
range of the curvatures moves coordinates that no curvature sees: they random-walk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray, Growth, Verdict
from rmtstab.dynamics.momentum import HeavyBall
from rmtstab.dynamics.update import Update


class GradientSource:
    """The inhomogeneous part of the moments, in D's eigenbasis and the gradients' complement."""

    def __init__(self, update: Update, gradients: Any) -> None:
        curvatures, sizes, weights = update.curvatures, update.sizes, update.weights
        n, r = sum(sizes), curvatures.rank
        given = _checks.moderate("gradients", _checks.array("gradients", gradients, ndim=2))
        widths = sorted({r, r + curvatures.complement})
        if given.shape[0] != n or given.shape[1] not in widths:
            listed = " or ".join(f"({n}, {width})" for width in widths)
            raise ValueError(f"gradients must have shape {listed}, got {given.shape}")
        self.extra = given.shape[1] - r
        self.basis = basis = update.basis.padded(self.extra)
        self.g = given @ basis.vectors
        self.split, self.eta = sizes[0], update.step_size
        self.offsets, self.rows = curvatures.factors.offsets, basis.rows
        self.beta = update.momentum
        self.a = self.beta + update.multipliers(basis.mix)
        pairs = [update.scheme.coefficients(sizes[s], update.batch_size[s]) for s in (0, 1)]
        self.c = np.repeat([weights[s] ** 2 * pairs[s][0] for s in (0, 1)], sizes)
        self.fixed_size = update.scheme.fixed_size  # then e = c, and deviations are what counts
        parts = (self.g[: self.split], self.g[self.split :])
        self.slopes = np.array([p.mean(axis=0) if len(p) else np.zeros(len(self.a)) for p in parts])
        self.mean_gradient = weights[0] * self.slopes[0] - weights[1] * self.slopes[1]
        self.curvatures = (basis.retain, basis.forget)

    def _drift(self, state: FloatArray) -> FloatArray:
        """Mean of the next state without gradients: ``J m``, or ``𝒥 (m_k, m_{k−1})``."""
        r = len(self.a)
        if not self.beta:
            return self.a * state
        return np.concatenate([self.a * state[:r] - self.beta * state[r:], state[:r]])

    def first(self, state: FloatArray, unit: float = 1.0) -> FloatArray:
        """Mean of the next state; ``unit`` is the 1 of (w, 1) in the state's scale.

        Parameters
        ----------
        state : ndarray, shape (r,), or (2r,) with momentum
            Mean.
        unit : float

        Returns
        -------
        ndarray of the same shape
        """
        moved = self._drift(state)
        moved[: len(self.a)] -= unit * self.eta * self.mean_gradient
        return moved

    def second(self, state: FloatArray, unit: float = 1.0) -> FloatArray:
        """What the next second moment has beyond ``Φ(M)`` when the mean is ``state``.

        Parameters
        ----------
        state : ndarray, shape (r,), or (2r,) with momentum
            Mean.
        unit : float

        Returns
        -------
        ndarray, square, float64
        """
        r, drift, pull = len(self.a), self._drift(state), np.zeros_like(state)
        pull[: len(self.a)] = unit * self.eta * self.mean_gradient
        # (drift − pull)(·)ᵀ − drift driftᵀ, and S − S₀, term by term: their squares may cancel
        result = np.outer(pull, pull) - np.outer(drift, pull) - np.outer(pull, drift)
        along, of_gradients = self._deviations(state[:r])
        of_gradients = unit * of_gradients
        mixed = (self.c[:, None] * along).T @ of_gradients
        result[:r, :r] += self.eta**2 * (
            mixed + mixed.T + (self.c[:, None] * of_gradients).T @ of_gradients
        )
        return result

    def _deviations(self, m: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``H_i m`` and ``g_i``, from their set's mean where batches have a fixed size."""
        along = self.rows * (self.rows @ m)[:, None]
        each = np.add.reduceat(along, self.offsets[:-1], axis=0), self.g.copy()
        if self.fixed_size:
            for part in (slice(0, self.split), slice(self.split, len(self.g))):
                for values in each:
                    if len(values[part]):
                        values[part] -= values[part].mean(axis=0)
        return each

    def covariance(self, m: FloatArray, unit: float = 1.0) -> FloatArray:
        """``S(m)``: covariance of the batch's gradient at the displacement m.

        Parameters
        ----------
        m : ndarray, shape (r,)
        unit : float

        Returns
        -------
        ndarray, shape (r, r), float64
        """
        along, of_gradients = self._deviations(m)
        total = along + unit * of_gradients
        noise: FloatArray = (total * self.c[:, None]).T @ total
        return noise


@dataclass(frozen=True, repr=False)
class Stationary(Record):
    """Where the affine dynamics settles, in the problem's coordinates.

    Directions that no weighted curvature sees (and weight decay does not hold) never
    settle: there ``mean`` and ``covariance`` are 0, and ``drift`` and ``diffusion`` tell
    how fast mean and covariance grow in the long run.

    Attributes
    ----------
    mean : ndarray, shape (r,), or (r + complement,) as the gradients
        ``E w``.
    covariance : ndarray, shape (r, r), or (r + complement, r + complement)
        ``E w wᵀ − E w E wᵀ``.
    residual : float
        Relative residual of the Stein equation.
    converged : bool
    retain_loss, forget_loss : float
        Expected excess losses ``½ tr(H_s E w wᵀ) + ḡ_sᵀ E w`` of the settled directions.
    drift : ndarray, same shape as ``mean``
        Per step.
    diffusion : ndarray, same shape as ``covariance``
        Per step.
    """

    mean: FloatArray
    covariance: FloatArray
    residual: float
    converged: bool
    retain_loss: float
    forget_loss: float
    drift: FloatArray
    diffusion: FloatArray


def stationary(
    update: Update, gradients: Any, growth: Growth, tolerance: float = 1e-12
) -> Stationary:
    r"""Stationary mean and covariance when ρ < 1, matrix-free.

    With ``D m = −ḡ`` and g the stationary second moment per unit of injected noise
    (``1/(1 − j_p j_q)`` without momentum, else as in docs/theory/critical_values), the
    covariance solves ``C/g − η² N(C) = η² S(m)``: self-adjoint, and positive definite
    exactly when ρ < 1. Conjugate gradients, preconditioned by g.

    Parameters
    ----------
    update : Update
    gradients : array_like, shape (n, r) or (n, r + complement)
        Per-sample gradients in the problem's coordinates.
    growth : Growth
        Of the update.
    tolerance : float
        Relative residual at which to stop.

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
    if growth.verdict is not Verdict.STABLE:
        raise ValueError(f"stationary needs a growth factor below 1, got {growth.value:.6g}")
    pull = update.step_size * update.weight_decay
    if pull >= 2.0 * (1.0 + update.momentum):
        raise ValueError(f"stationary needs step_size * weight_decay below 2, got {pull:.6g}")
    source = GradientSource(update, gradients)
    basis, active = source.basis, update.weight_decay == 0.0
    whole = len(basis.mix)
    r = basis.n_active if active else whole
    mean = np.zeros(whole)
    mean[:r] = -source.mean_gradient[:r] / (basis.mix[:r] + update.weight_decay)
    noise = update.step_size**2 * source.covariance(mean)
    ball = HeavyBall(update, active, source.extra)
    x, residual = ball.settle(1.0, noise[:r, :r], tolerance)
    covariance, diffusion, drift = np.zeros_like(noise), np.zeros_like(noise), np.zeros(whole)
    covariance[:r, :r] = 0.5 * (x + x.T)
    drift[r:] = -update.step_size * source.mean_gradient[r:] / (1.0 - update.momentum)
    diffusion[r:, r:] = noise[r:, r:] / (1.0 - update.momentum) ** 2
    moment = covariance + np.outer(mean, mean)
    losses = [
        0.5 * float(np.vdot(h, moment)) + float(slope @ mean)
        for h, slope in zip(source.curvatures, source.slopes, strict=True)
    ]
    q = basis.vectors
    return Stationary(
        q @ mean, q @ covariance @ q.T, residual, residual <= 1e3 * tolerance,
        losses[0], losses[1], q @ drift, q @ diffusion @ q.T,
    )  # fmt: skip
