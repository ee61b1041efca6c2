r"""Non-zero per-sample gradients: the affine dynamics, and where it settles.

With gradients ``g_i`` at the trained point, ``w⁺ = Ĵ w − η ĝ`` and

    m⁺ = J m − η ḡ,
    M⁺ = Φ(M) − η (J m ḡᵀ + ḡ mᵀ J) + η² ḡ ḡᵀ
         + η² Σ_s a_s² [ c_s Σ_i (u_i g_iᵀ + g_i u_iᵀ + g_i g_iᵀ)
                         − e_s n_s (u_s ḡ_sᵀ + ḡ_s u_sᵀ + ḡ_s ḡ_sᵀ) ],

``u_i = H_i m``, ``u_s = H_s m``: the first two moments of the state (w, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.dynamics.sampling import noise_coefficients

if TYPE_CHECKING:
    from rmtstab.dynamics.linearised import Dynamics


class GradientSource:
    """The inhomogeneous part of the moments, in D's eigenbasis (full range)."""

    def __init__(self, dyn: Dynamics, gradients: Any) -> None:
        problem, basis = dyn.problem, dyn.basis
        n, r = problem.n_retain + problem.n_forget, problem.rank
        given = _checks.array("gradients", gradients, ndim=2)
        if given.shape != (n, r):
            raise ValueError(f"gradients must have shape ({n}, {r}), got {given.shape}")
        self.g = given @ basis.vectors
        self.split, self.eta = problem.n_retain, dyn.step_size
        self.offsets, self.rows = problem.factors.offsets, basis.rows
        self.j = dyn._multipliers(basis.mix)
        sizes = (problem.n_retain, problem.n_forget)
        a = (1.0 - dyn.alpha, dyn.alpha)
        pairs = [noise_coefficients(sizes[s], dyn.batch_size[s], dyn.sampling) for s in (0, 1)]
        self.c = np.repeat([a[s] ** 2 * pairs[s][0] for s in (0, 1)], sizes)
        self.kappa = [a[s] ** 2 * pairs[s][1] * sizes[s] for s in (0, 1)]
        parts = (self.g[: self.split], self.g[self.split :])
        self.slopes = np.array([p.mean(axis=0) if len(p) else np.zeros(r) for p in parts])
        self.mean_gradient = a[0] * self.slopes[0] - a[1] * self.slopes[1]
        self.curvatures = (basis.retain, basis.forget)

    def first(self, m: FloatArray) -> FloatArray:
        """``J m − η ḡ``."""
        result: FloatArray = self.j * m - self.eta * self.mean_gradient
        return result

    def second(self, m: FloatArray) -> FloatArray:
        """What M⁺ has beyond ``Φ(M)`` when the mean is m."""
        along = self.rows * (self.rows @ m)[:, None]
        moved = np.add.reduceat(along, self.offsets[:-1], axis=0)
        moved[np.diff(self.offsets) == 0] = 0.0
        total = moved + self.g
        noise = (total * self.c[:, None]).T @ total - (moved * self.c[:, None]).T @ moved
        for s in (0, 1):
            if self.kappa[s]:
                u, g = self.curvatures[s] @ m, self.slopes[s]
                noise -= self.kappa[s] * (np.outer(u + g, u + g) - np.outer(u, u))
        mean = self.first(m)
        drift = self.j * m
        result: FloatArray = np.outer(mean, mean) - np.outer(drift, drift) + self.eta**2 * noise
        return result


@dataclass(frozen=True)
class Stationary:
    """Where the affine dynamics settles, in the problem's coordinates.

    Attributes
    ----------
    mean : ndarray, shape (r,)
        ``E w``.
    covariance : ndarray, shape (r, r)
        ``E w wᵀ − E w E wᵀ``.
    residual : float
        Relative residual of the Stein equation.
    converged : bool
    """

    mean: FloatArray
    covariance: FloatArray
    residual: float
    converged: bool


def stationary(dyn: Dynamics, gradients: Any, tolerance: float = 1e-12) -> Stationary:
    r"""Stationary mean and covariance when ρ < 1, matrix-free.

    Solves ``M = Φ(M) + S(m)``, ``D m = −ḡ`` by conjugate gradients: ``1 − Φ`` is
    self-adjoint and positive definite exactly when ρ < 1.

    Parameters
    ----------
    dyn : Dynamics
    gradients : array_like, shape (n, r)
        Per-sample gradients in the problem's coordinates.
    tolerance : float
        Relative residual at which to stop.

    Returns
    -------
    Stationary

    Raises
    ------
    ValueError
        If ρ is not certified below 1, or with momentum.

    References
    ----------
    Mulayoff and Michaeli, arXiv:2306.07850, Theorem 5, at alpha = 0.
    """
    if dyn.momentum:
        raise ValueError(f"stationary needs momentum 0, got momentum={dyn.momentum}")
    if dyn.verdict().name != "STABLE":
        raise ValueError(f"stationary needs a growth factor below 1, got {dyn.growth_factor():.6g}")
    source = GradientSource(dyn, gradients)
    basis, r = dyn.basis, dyn.basis.n_active
    d = basis.mix[:r] + dyn.weight_decay
    mean = np.zeros(len(basis.mix))
    mean[:r] = -source.mean_gradient[:r] / d
    # centred at the mean the gradients are g_i + H_i m, and the source has no cross terms
    right = source.second(mean)[:r, :r]
    moment = np.outer(mean[:r], mean[:r])
    phi = dyn.second_moment()
    right = right + phi(moment) - moment
    right = 0.5 * (right + right.T)
    x = np.zeros((r, r))
    residual, direction = right.copy(), right.copy()
    square = float(np.vdot(residual, residual))
    goal = tolerance * np.sqrt(square)
    for _ in range(2000):
        if np.sqrt(square) <= goal:
            break
        moved = direction - phi(direction)
        length = square / float(np.vdot(direction, moved))
        x += length * direction
        residual -= length * moved
        previous, square = square, float(np.vdot(residual, residual))
        direction = residual + (square / previous) * direction
    scale = float(np.linalg.norm(right))
    gap = float(np.linalg.norm(right - x + phi(x)))
    relative = gap / scale if scale else 0.0
    q = basis.vectors
    x = 0.5 * (x + x.T)
    return Stationary(q @ mean, q[:, :r] @ x @ q[:, :r].T, relative, relative <= 1e3 * tolerance)
