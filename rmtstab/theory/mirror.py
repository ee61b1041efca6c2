r"""Mirror law: how batch noise parts what typical runs do from what the mean square does.

Along a simple top direction v of the mean dynamics, ``j = 1 − ημ``, ``μ = vᵀDv``, the batch
operator A has ``ν_v = Var(vᵀAv)``, and with ``ν = η²ν_v/j²``

    typical (Lyapunov)      γ = log|j| − ν/2 + O(ν²)
    mean square       ½ log ρ = log|j| + ν/2 + O(ν²)
    spread      Var log‖w_k‖ = k ν + O(ν²)

so the two lie symmetrically about the mean. Epoch shuffling has a law of its own for small
steps: an epoch's batches add up to the full gradient, and ``−ημ − ½η² vᵀE[A²]v`` remains.
The frontiers leave ``α₀ = 1/(1 + b)``, where the mean neither grows nor falls, linearly in η.
Derived in docs/theory/mirror.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray
from rmtstab.theory.noise import mixing, weighted_sets


@dataclass(frozen=True)
class Rates(Record):
    """Log-growth of the displacement, per step, to first order in the noise.

    Attributes
    ----------
    mean : float
        ``log|j|``, of the mean dynamics.
    typical : float
        The Lyapunov exponent: almost every run.
    mean_square : float
        ``½ log ρ``: the root mean square, carried by rare runs.
    log_variance : float
        ``ν``, the variance of ``log‖w_k‖`` per step.
    """

    mean: float
    typical: float
    mean_square: float
    log_variance: float


@dataclass(frozen=True)
class Frontiers(Record):
    """Critical mixings near the mean's own, to first order in the step size.

    Attributes
    ----------
    mean : float
        ``α₀ = 1/(1 + b)``.
    mean_square : float
        ``α₀ − ½ην_v/κ``: ρ = 1.
    typical : float
        ``α₀ + ½ην_v/κ``: Lyapunov exponent 0.
    shuffled : float
        ``α₀ + ½ηvᵀE[A²]v/κ``: growth 0 under epoch shuffling.
    """

    mean: float
    mean_square: float
    typical: float
    shuffled: float


def rates(mean_growth: float, noise: float) -> Rates:
    r"""Typical and mean-square rates from the mean's growth and the noise along it.

    Parameters
    ----------
    mean_growth : float
        ``j = 1 − ημ``, not 0.
    noise : float
        ``ν = η²ν_v/j²``, ≥ 0: relative variance of a step along v.

    Returns
    -------
    Rates

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    Second-order perturbation about a simple top direction; the error is ``O(ν²)``: 3e-4 at
    ν = .03 and 13 % of the distance from the mean at ν = .16.

    References
    ----------
    Derived in docs/theory/mirror.

    Examples
    --------
    >>> from rmtstab.theory import mirror
    >>> found = mirror.rates(1.25, 0.04)
    >>> round(found.typical, 4), round(found.mean_square, 4)
    (0.2031, 0.2431)
    """
    j = _checks.real("mean_growth", mean_growth)
    if j == 0.0:
        raise ValueError("mean_growth must not be 0: the direction dies in one step, got 0.0")
    nu = _checks.real("noise", noise, low=0.0)
    mean = math.log(abs(j))
    return Rates(mean, mean - 0.5 * nu, mean + 0.5 * nu, nu)


@dataclass(frozen=True)
class MirrorLaw:
    r"""What a direction's curvatures say of typical, mean-square and shuffled runs along it.

    Attributes
    ----------
    retain, forget : ndarray, shapes (n_r,), (n_f,), float64
        ``vᵀH_iv`` of each sample, ‖v‖ = 1.
    retain_squares, forget_squares : ndarray, shapes (n_r,), (n_f,), float64
        ``‖H_iv‖²``.
    retain_mean, forget_mean : ndarray, shape (r,), float64
        ``H_Rv`` and ``H_Fv``.

    Raises
    ------
    ValueError
        If shapes differ, an entry is negative, or a square is below ``(vᵀH_iv)²``.

    Notes
    -----
    v is to be a simple top direction of the mean dynamics: the eigenvector of D(α) that
    escapes, or at α₀ the top generalised eigenvector of (H_F, H_R), where ``D(α₀)v = 0``.

    References
    ----------
    Derived in docs/theory/mirror.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.theory.mirror import MirrorLaw
    >>> law = MirrorLaw.from_hessians(np.array([[[2.0]], [[1.0]]]), np.array([[[1.0]]]), [1.0])
    >>> law.mean_frontier
    0.6
    >>> split = law.frontiers(0.1, (1, 1), "without_replacement")
    >>> split.mean_square < split.mean < split.typical <= split.shuffled
    True
    """

    retain: FloatArray
    forget: FloatArray
    retain_squares: FloatArray
    forget_squares: FloatArray
    retain_mean: FloatArray
    forget_mean: FloatArray

    def __post_init__(self) -> None:
        for name in ("retain", "forget"):
            along = _checks.array(name, getattr(self, name), ndim=1)
            squares = _checks.array(f"{name}_squares", getattr(self, f"{name}_squares"), ndim=1)
            if along.shape != squares.shape:
                raise ValueError(
                    f"{name}_squares must have shape {along.shape}, got {squares.shape}"
                )
            if along.size and along.min() < 0.0:
                raise ValueError(f"{name} must be >= 0, got {along.min():g}")
            if (squares < along**2 * (1.0 - 1e-9)).any():
                raise ValueError(
                    f"{name}_squares must be at least {name}**2 (Cauchy-Schwarz), got less"
                )
            object.__setattr__(self, name, along)
            object.__setattr__(self, f"{name}_squares", squares)
        if not self.retain.size:
            raise ValueError("retain must hold at least one sample, got none")

    @classmethod
    def from_hessians(cls, retain: Any, forget: Any, direction: Any) -> MirrorLaw:
        """Read the law off explicit Hessians.

        Parameters
        ----------
        retain, forget : array_like, shape (n, d, d)
        direction : array_like, shape (d,)
            v; normalised here.

        Returns
        -------
        MirrorLaw

        Raises
        ------
        ValueError
            If shapes do not fit or the direction is 0.
        """
        v = _checks.array("direction", direction, ndim=1)
        if not v.any():
            raise ValueError("direction must not be 0, got a vector of zeros")
        v = v / np.abs(v).max()  # its square may not be a number
        v = v / np.linalg.norm(v)
        sets = []
        for name, given in (("retain", retain), ("forget", forget)):
            h = _checks.array(name, given)
            if h.size == 0:
                h = np.zeros((0, len(v), len(v)))
            if h.ndim != 3 or h.shape[1:] != (len(v), len(v)):
                raise ValueError(f"{name} must have shape (n, {len(v)}, {len(v)}), got {h.shape}")
            sets.append(h @ v)
        (first, second), zero = sets, np.zeros(len(v))
        return cls(
            first @ v,
            second @ v,
            (first**2).sum(1),
            (second**2).sum(1),
            first.mean(0) if len(first) else zero,
            second.mean(0) if len(second) else zero,
        )

    @property
    def mean_frontier(self) -> float:
        """``α₀ = h̄_R/(h̄_R + h̄_F)``, where the mean along v neither grows nor falls.

        1 where the forget set does not see the direction.
        """
        up, down = self._means
        return up / (up + down) if down > 0.0 else 1.0

    def curvature(self, alpha: float) -> float:
        """``μ = vᵀD(α)v``.

        Parameters
        ----------
        alpha : float
            Mixing in [0, 1].

        Returns
        -------
        float
        """
        alpha = mixing(alpha, self._sizes)
        return (1.0 - alpha) * self._means[0] - alpha * self._means[1]

    def variance(self, batch_size: tuple[float, float], alpha: float, sampling: str) -> float:
        """``ν_v = Var(vᵀAv)`` of the batch operator.

        Parameters
        ----------
        batch_size : (float, float)
            Retain and forget batch.
        alpha : float
            Mixing in [0, 1].
        sampling : {"bernoulli", "without_replacement", "with_replacement"}

        Returns
        -------
        float
            In squared units of curvature.
        """
        total = 0.0
        for s, a, c, e, _ in weighted_sets(alpha, self._sizes, batch_size, sampling):
            h = (self.retain, self.forget)[s]
            # centred before it is squared: alike samples have no fixed-size noise
            total += a * a * c * float(((h - h.mean()) ** 2 if e else h**2).sum())
        return total

    def second_moment(self, batch_size: tuple[float, float], alpha: float, sampling: str) -> float:
        """``vᵀE[A²]v = ‖Dv‖² + vᵀQ₂v``.

        Parameters
        ----------
        batch_size : (float, float)
            Retain and forget batch.
        alpha : float
            Mixing in [0, 1].
        sampling : {"bernoulli", "without_replacement", "with_replacement"}

        Returns
        -------
        float
            In squared units of curvature; at least ``μ² + ν_v``.
        """
        alpha = mixing(alpha, self._sizes)
        mean = (1.0 - alpha) * self.retain_mean - alpha * self.forget_mean
        total = float(mean @ mean)
        for s, a, c, e, n in weighted_sets(alpha, self._sizes, batch_size, sampling):
            squares = float((self.retain_squares, self.forget_squares)[s].sum())
            centre = (self.retain_mean, self.forget_mean)[s]
            total += a * a * c * max(squares - (n * float(centre @ centre) if e else 0.0), 0.0)
        return total

    def rates(
        self, step_size: float, batch_size: tuple[float, float], alpha: float, sampling: str
    ) -> Rates:
        """Rates of independent batches along v; see `rates`.

        Parameters
        ----------
        step_size : float
            η ≥ 0.
        batch_size : (float, float)
            Retain and forget batch.
        alpha : float
            Mixing in [0, 1].
        sampling : {"bernoulli", "without_replacement", "with_replacement"}

        Returns
        -------
        Rates

        Raises
        ------
        ValueError
            If an argument is outside its range, or the direction dies in one step.
        """
        eta = _checks.real("step_size", step_size, low=0.0)
        j = 1.0 - eta * self.curvature(alpha)
        if not (math.isfinite(j) and j):
            raise ValueError(f"step_size must leave 1 - ημ finite and not 0, got {eta:g}")
        return rates(j, self.variance(batch_size, alpha, sampling) * (eta / j) ** 2)

    def shuffled_rate(
        self, step_size: float, batch_size: tuple[float, float], alpha: float
    ) -> float:
        """Rate ``−ημ − ½η²vᵀE[A²]v`` under epoch shuffling, for small steps; error ``O(η³)``.

        All moments alike: an epoch's batches sum to a fixed matrix.

        Parameters
        ----------
        step_size : float
            η ≥ 0.
        batch_size : (float, float)
            Retain and forget batch.
        alpha : float
            Mixing in [0, 1].

        Returns
        -------
        float
            Per step.
        """
        eta = _checks.real("step_size", step_size, low=0.0)
        second = self.second_moment(batch_size, alpha, "without_replacement")
        return -eta * self.curvature(alpha) - 0.5 * eta * eta * second

    def frontiers(
        self, step_size: float, batch_size: tuple[float, float], sampling: str
    ) -> Frontiers:
        """Where the typical, the mean-square and the shuffled rate vanish; error ``O(η²)``.

        Parameters
        ----------
        step_size : float
            η ≥ 0.
        batch_size : (float, float)
            Retain and forget batch.
        sampling : {"bernoulli", "without_replacement", "with_replacement"}
            Of the independent batches; the shuffled frontier is that of a partition.

        Returns
        -------
        Frontiers

        Raises
        ------
        ValueError
            Without a forget set that sees the direction.
        """
        eta = _checks.real("step_size", step_size, low=0.0)
        slope = sum(self._means)
        if not self.forget.size or self._means[1] <= 0.0:
            raise ValueError("forget must have curvature along the direction, got none")
        start = self.mean_frontier
        shift = 0.5 * eta * self.variance(batch_size, start, sampling) / slope
        second = self.second_moment(batch_size, start, "without_replacement")
        return Frontiers(start, start - shift, start + shift, start + 0.5 * eta * second / slope)

    @property
    def _sizes(self) -> tuple[int, int]:
        return len(self.retain), len(self.forget)

    @property
    def _means(self) -> tuple[float, float]:
        down = float(self.forget.mean()) if self.forget.size else 0.0
        return float(self.retain.mean()), down
