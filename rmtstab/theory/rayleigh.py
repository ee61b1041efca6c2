r"""Rayleigh quotients of Φ: one trial matrix bounds ρ from below at every η, α and B at once.

For a symmetric trial matrix M with ``tr M² = 1``, Φ self-adjoint,

    ρ ≥ ⟨M, Φ(M)⟩ = k² − 2ηk(e_R p_R + e_F p_F)
        + η²[e_R² m_RR + 2 e_R e_F m_RF + e_F² m_FF + Σ_s e_s² c_s v_s],

``e = (1−α, −α)``, ``k = 1 − ηλ``, ``p_s = tr(M H_s M)``, ``m_st = tr(M H_s M H_t)``,
``v_s = Σ_i tr(M H_i M H_i)`` (Bernoulli) or ``Σ_i tr(M(H_i−H_s)M(H_i−H_s))``. It is
quadratic in η, quadratic in α, and affine in 1/B: every threshold is explicit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.sampling import Scheme
from rmtstab.theory.noise import both_sets, least_batch, mixing, weighted_sets

__all__ = ["RayleighBound"]
ROUNDING = 1e-14  # relative: drifts of the two sets that cancel this far are equal


@dataclass(frozen=True)
class RayleighBound:
    r"""Lower bound on ρ from one trial matrix (necessary for stability).

    Build one with `direction` (``M = vvᵀ``) or `trace` (``M = P/√r``), or give the
    numbers of any other trial matrix.

    Attributes
    ----------
    sizes : (int, int)
        n_retain, n_forget.
    drifts : (float, float)
        ``p_R, p_F``, in the units of the Hessians.
    squares : (float, float, float)
        ``m_RR, m_RF, m_FF``, squared units.
    samples : (float, float)
        ``Σ_i tr(M H_i M H_i)`` over each set.
    spreads : (float, float)
        The same about the set's mean: ``samples − n m_ss``.

    References
    ----------
    Derived in docs/theory/bounds; at α = 0 `direction` and `trace` are Mulayoff &
    Michaeli, arXiv:2306.07850, (15) and (16).

    See Also
    --------
    rmtstab.UnlearningProblem.critical_step_size : the exact threshold.

    Examples
    --------
    >>> from rmtstab.theory.rayleigh import RayleighBound
    >>> bound = RayleighBound.direction([2.0, 0.0], [])
    >>> bound.growth(1.0, (1, 1), alpha=0.0, sampling="without_replacement")
    1.0
    >>> round(bound.critical_step_size((1, 1), alpha=0.0, sampling="without_replacement"), 12)
    1.0
    """

    sizes: tuple[int, int]
    drifts: tuple[float, float]
    squares: tuple[float, float, float]
    samples: tuple[float, float]
    spreads: tuple[float, float]

    def __post_init__(self) -> None:
        _checks.keep(
            self,
            sizes=_checks.integers("sizes", self.sizes, 2),
            drifts=_checks.reals("drifts", self.drifts, 2),
            squares=_checks.reals("squares", self.squares, 3),
            samples=_checks.reals("samples", self.samples, 2, low=0.0),
            spreads=_checks.reals("spreads", self.spreads, 2, low=0.0),
        )

    @classmethod
    def direction(cls, retain: Any, forget: Any) -> RayleighBound:
        """Trial matrix ``vvᵀ``, from the curvatures ``h_i = vᵀH_iv`` of every sample.

        Parameters
        ----------
        retain, forget : array_like, shape (n_retain,), (n_forget,)
            Along one unit vector of the range, ≥ 0.

        Returns
        -------
        RayleighBound

        Raises
        ------
        ValueError
            If a curvature is negative or not finite.
        """
        means, samples, spreads, sizes = [], [], [], []
        for name, given in (("retain", retain), ("forget", forget)):
            h = _checks.array(name, given, ndim=1)
            if h.size and h.min() < 0.0:
                raise ValueError(f"{name} must hold curvatures >= 0, got {h.min():g}")
            mean = float(h.mean()) if h.size else 0.0
            means.append(mean)
            samples.append(float(h @ h))
            spreads.append(float(np.sum((h - mean) ** 2)))
            sizes.append(h.size)
        r, f = means
        return cls(
            (sizes[0], sizes[1]), (r, f), (r * r, r * f, f * f), (samples[0], samples[1]),
            (spreads[0], spreads[1]),
        )  # fmt: skip

    @classmethod
    def trace(
        cls,
        rank: int,
        traces: tuple[float, float],
        products: tuple[float, float, float],
        sample_squares: tuple[float, float],
        sizes: tuple[int, int],
    ) -> RayleighBound:
        """Trial matrix P, the range's projector.

        Parameters
        ----------
        rank : int
            r ≥ 1, the dimension of the range.
        traces : (float, float)
            ``tr H_R, tr H_F``.
        products : (float, float, float)
            ``tr H_R², tr H_R H_F, tr H_F²``.
        sample_squares : (float, float)
            ``Σ_i tr H_i²`` over each set, at least ``n tr H_s²``.
        sizes : (int, int)

        Returns
        -------
        RayleighBound

        Raises
        ------
        ValueError
            If ``Σ tr H_i² < n tr H_s²``, which no Hessians satisfy.
        """
        r = _checks.integer("rank", rank, low=1)
        sizes = _checks.integers("sizes", sizes, 2)
        traces = _checks.reals("traces", traces, 2)
        products = _checks.reals("products", products, 3)
        sample_squares = _checks.reals("sample_squares", sample_squares, 2, low=0.0)
        spreads = []
        for s, (n, square) in enumerate(zip(sizes, (products[0], products[2]), strict=True)):
            spread = sample_squares[s] - n * square
            if spread < -1e-10 * sample_squares[s]:
                raise ValueError(
                    f"sample_squares[{s}] must be at least n tr H² = {n * square:g} "
                    f"(Cauchy-Schwarz), got {sample_squares[s]:g}"
                )
            spreads.append(max(spread, 0.0) / r)
        scaled = [p / r for p in products]
        return cls(
            sizes, (traces[0] / r, traces[1] / r), (scaled[0], scaled[1], scaled[2]),
            (sample_squares[0] / r, sample_squares[1] / r), (spreads[0], spreads[1]),
        )  # fmt: skip

    def growth(
        self,
        step_size: float,
        batch_size: tuple[float, float],
        alpha: float,
        sampling: str,
        weight_decay: float = 0.0,
    ) -> float:
        """Lower bound on ρ, per step.

        Parameters
        ----------
        step_size : float
            η ≥ 0.
        batch_size : (float, float)
            Retain and forget.
        alpha : float
            In [0, 1].
        sampling : {"bernoulli", "without_replacement", "with_replacement"}
        weight_decay : float, default 0
            λ ≥ 0.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        eta = _checks.real("step_size", step_size, low=0.0)
        drift, rest = self._step(batch_size, alpha, sampling, weight_decay)
        stay = 1.0 - eta * drift
        return float(stay * stay + eta * eta * rest)

    def critical_step_size(
        self,
        batch_size: tuple[float, float],
        alpha: float,
        sampling: str,
        weight_decay: float = 0.0,
    ) -> float:
        """Step size above which this bound exceeds 1; 0 where it does at once, ``inf`` if never.

        Parameters
        ----------
        batch_size, alpha, sampling, weight_decay
            As in `growth`.

        Returns
        -------
        float
            An upper bound on the exact critical step size, in inverse units of the Hessians.

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        drift, rest = self._step(batch_size, alpha, sampling, weight_decay)
        size = (1.0 - alpha) * abs(self.drifts[0]) + alpha * abs(self.drifts[1])
        return float(critical_steps(np.array([drift]), np.array([size]), np.array([rest]))[0])

    def critical_alpha(
        self,
        step_size: float,
        batch_size: tuple[float, float],
        sampling: str,
        weight_decay: float = 0.0,
    ) -> float:
        """Mixing above which this bound exceeds 1; NaN where it does at every mixing.

        Parameters
        ----------
        step_size, batch_size, sampling, weight_decay
            As in `growth`.

        Returns
        -------
        float
            An upper bound on the exact critical mixing.

        Raises
        ------
        ValueError
            If an argument is outside its range, or a set is empty.
        """
        eta = _checks.real("step_size", step_size, low=0.0)
        decay = _checks.real("weight_decay", weight_decay, low=0.0)
        keep = 1.0 - eta * decay
        if eta == 0.0:
            return 1.0
        noise = [0.0, 0.0]
        for s, _, c, e, _ in both_sets(self.sizes, batch_size, sampling):
            noise[s] = c * (self.spreads[s] if e else self.samples[s])
        # (bound − 1)/η, without the 1 that would swallow small steps
        retain = eta * (self.squares[0] + noise[0])
        forget = eta * (self.squares[2] + noise[1])
        cross = eta * self.squares[1]
        pull, push = keep * self.drifts[0], keep * self.drifts[1]
        return _last_root(
            decay * (eta * decay - 2.0) - 2.0 * pull + retain,
            2.0 * (pull + push - retain - cross),
            retain + 2.0 * cross + forget,
        )

    def critical_batch_size(
        self, step_size: float, alpha: float, sampling: str, weight_decay: float = 0.0
    ) -> float:
        """Common batch size below which this bound exceeds 1, a real number.

        Parameters
        ----------
        step_size, alpha, sampling, weight_decay
            As in `growth`.

        Returns
        -------
        float
            A lower bound on the exact critical batch size; 1 (0 for Bernoulli) where
            the bound allows every B, NaN where none up to the smaller weighted set.

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        eta = _checks.real("step_size", step_size, low=0.0)
        alpha, scheme = mixing(alpha, self.sizes), Scheme.named(sampling)
        drift, rest = self._mean(alpha, weight_decay)
        room, slope = 2.0 * drift - eta * (drift * drift + rest), 0.0  # of (bound − 1)/η
        weighted = [(s, a) for s, a in enumerate((1.0 - alpha, alpha)) if a > 0.0]
        for s, a in weighted:
            kappa, offset = scheme.inverse_batch(self.sizes[s])
            v = self.spreads[s] if scheme.fixed_size else self.samples[s]
            slope += eta * a * a * kappa * v
            room += eta * a * a * kappa * v * offset
        return least_batch(room, slope, [self.sizes[s] for s, _ in weighted], sampling)

    def _mean(self, alpha: float, weight_decay: float) -> tuple[float, float]:
        """``p = tr(M D' M)`` and ``tr(M D' M D') − p²`` of ``D' = D + λ``."""
        decay = _checks.real("weight_decay", weight_decay, low=0.0)
        r, f = 1.0 - alpha, -alpha
        p, m = self.drifts, self.squares
        rest = (
            r * r * (m[0] - p[0] * p[0])
            + 2.0 * r * f * (m[1] - p[0] * p[1])
            + f * f * (m[2] - p[1] * p[1])
        )
        return r * p[0] + f * p[1] + decay, rest

    def _step(
        self, batch_size: tuple[float, float], alpha: float, sampling: str, weight_decay: float
    ) -> tuple[float, float]:
        """``(b, c)`` of ``(1 − ηb)² + η²c``."""
        alpha = mixing(alpha, self.sizes)
        drift, rest = self._mean(alpha, weight_decay)
        for s, a, c, e, _ in weighted_sets(alpha, self.sizes, batch_size, sampling):
            rest += a * a * c * (self.spreads[s] if e else self.samples[s])
        return drift, rest


def critical_steps(drift: FloatArray, size: FloatArray, rest: FloatArray) -> FloatArray:
    """Step sizes beyond which ``(1 − ηb)² + η²c`` exceeds 1: ``2b/(b² + c)``.

    The largest over what rounding leaves of b: an upper bound of a threshold stays one.

    Parameters
    ----------
    drift : ndarray, shape (k,)
        b.
    size : ndarray, shape (k,)
        What cancels in b, ≥ 0; b is good to its rounding.
    rest : ndarray, shape (k,)
        c ≥ 0.

    Returns
    -------
    ndarray, shape (k,), float64
        0 where it exceeds 1 at once, ``inf`` where it never does.
    """
    slack = ROUNDING * size
    near = np.abs(drift) <= slack
    b = np.where(near, slack, drift)
    inert = near & (rest <= slack * size)
    result = np.where(inert, np.inf, 0.0)
    moving = ~inert & (b > 0.0)
    most, least = (b + slack)[moving], (b - slack)[moving]
    result[moving] = 2.0 / (least * (least / most) + rest[moving] / most)
    return result


def _last_root(constant: float, slope: float, curve: float) -> float:
    """Largest x in [0, 1] with ``constant + slope x + curve x² ≤ 0``, curve ≥ 0; NaN if none.

    Parameters
    ----------
    constant, slope, curve : float

    Returns
    -------
    float
    """
    if constant + slope + curve <= 0.0:
        return 1.0
    if curve <= 0.0:
        root = -constant / slope if slope > 0.0 else math.nan
    else:
        square = slope * slope - 4.0 * curve * constant
        if square < 0.0:
            return math.nan
        # the form without cancellation
        reach = math.sqrt(square)
        root = (reach - slope) / (2 * curve) if slope <= 0 else -2 * constant / (slope + reach)
    if math.isnan(root) or root < 0.0:
        return 0.0 if abs(constant) <= 1e-15 * (abs(slope) + curve) else math.nan
    return root + 0.0 if root <= 1.0 else math.nan
