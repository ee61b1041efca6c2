r"""The one-step bound: ``λ_max(Φ(P))`` with the range's projector P.

``Φ(P) = I − 2ηD' + η²[D'² + Q₂]`` with ``D' = D + λ_wd`` and
``Q₂ = Σ_s a_s²(c_s Σ H_i² − e_s n_s H_s²)`` (docs/theory/bounds).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.sampling import Scheme
from rmtstab.theory.matrix_tops import matrix_pair, top_value, two_over_top
from rmtstab.theory.noise import both_sets, mixing, weighted_sets

__all__ = ["OneStepBound", "one_step", "one_step_growth"]


def one_step(mix_hessian: Any, noise: Any) -> float:
    r"""Largest η with ``λ_max(Φ(P)) ≤ 1``: ``2/λ_max(D² + Q₂, D)``.

    Parameters
    ----------
    mix_hessian : array_like, shape (r, r)
        D(α) on the range (weight decay added, if any), symmetric.
    noise : array_like, shape (r, r)
        Q₂, symmetric positive semidefinite; independent of η.

    Returns
    -------
    float
        A step size below which ρ < 1; 0 where D is not positive definite.

    Raises
    ------
    ValueError
        On shapes that do not fit, NaN or infinities.

    References
    ----------
    Derived in docs/theory/bounds.

    Examples
    --------
    >>> from rmtstab.theory import sufficient
    >>> round(sufficient.one_step([[2.0]], [[0.0]]), 12)
    1.0
    """
    d, q = matrix_pair(mix_hessian, noise)
    return two_over_top(d @ d + q, d)


def one_step_growth(mix_hessian: Any, noise: Any, step_size: float) -> float:
    r"""Upper bound on ρ: ``λ_max(Φ(P)) = λ_max((I − ηD)² + η²Q₂)``.

    Parameters
    ----------
    mix_hessian, noise : array_like, shape (r, r)
        D(α) and Q₂, as for `one_step`.
    step_size : float
        η ≥ 0.

    Returns
    -------
    float
        Per step; ``−inf`` for an empty range.

    Raises
    ------
    ValueError
        On shapes that do not fit, NaN or infinities, or a negative step size.

    References
    ----------
    Derived in docs/theory/bounds.

    Examples
    --------
    >>> from rmtstab.theory import sufficient
    >>> sufficient.one_step_growth([[2.0]], [[1.0]], 0.5)
    0.25
    """
    return top_value(_one_step_moment(*matrix_pair(mix_hessian, noise), step_size))


def _one_step_moment(mix_hessian: FloatArray, noise: FloatArray, step_size: float) -> FloatArray:
    """``Φ(P) = (I − ηD)² + η²Q₂``.

    Parameters
    ----------
    mix_hessian, noise : ndarray, shape (r, r)
    step_size : float
        η ≥ 0.

    Returns
    -------
    ndarray, shape (r, r), float64
    """
    eta = _checks.real("step_size", step_size, low=0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        stay = np.eye(len(mix_hessian)) - eta * mix_hessian
        result: FloatArray = stay @ stay + eta * eta * noise
    if not np.isfinite(result).all():
        raise ValueError(f"step_size must leave the second moment finite, got {eta:g}")
    return result


@dataclass(frozen=True)
class OneStepBound:
    r"""The one-step bound at every η, α and B: ``ρ ≤ λ_max(Φ(P))`` (sufficient for stability).

    Attributes
    ----------
    sizes : (int, int)
        n_retain, n_forget.
    retain, forget : ndarray, shape (r, r), float64
        H_R and H_F on the range.
    retain_squares, forget_squares : ndarray, shape (r, r), float64
        ``Σ_i H_i²`` over each set; with ``Σ_i λ_max(H_i) H_i`` in their place the bound
        is weaker and still valid.

    References
    ----------
    Derived in docs/theory/bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.theory.sufficient import OneStepBound
    >>> zero, eye = np.zeros((1, 1)), np.eye(1)
    >>> bound = OneStepBound((2, 0), eye, zero, 4.0 * eye, zero)  # curvatures 2 and 0
    >>> float(bound.growth(1.0, (1, 1), alpha=0.0, sampling="without_replacement"))
    1.0
    >>> round(bound.critical_batch_size(0.5, alpha=0.0, sampling="bernoulli"), 6)
    0.5
    """

    sizes: tuple[int, int]
    retain: FloatArray
    forget: FloatArray
    retain_squares: FloatArray
    forget_squares: FloatArray

    def __post_init__(self) -> None:
        _checks.keep(self, sizes=_checks.integers("sizes", self.sizes, 2))
        for name in ("retain", "forget", "retain_squares", "forget_squares"):
            given = _checks.array(name, getattr(self, name), ndim=2)
            if given.shape != (len(given), len(given)) or len(given) != len(self.retain):
                raise ValueError(f"{name} must be square, as large as retain, got {given.shape}")
            object.__setattr__(self, name, given)

    def moment(
        self,
        step_size: float,
        batch_size: tuple[float, float],
        alpha: float,
        sampling: str,
        weight_decay: float = 0.0,
    ) -> FloatArray:
        """``Φ(P)``, shape (r, r).

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
        ndarray, shape (r, r), float64

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        noise = self.noise(batch_size, alpha, sampling)
        return _one_step_moment(self.mix(alpha, weight_decay), noise, step_size)

    def noise(self, batch_size: tuple[float, float], alpha: float, sampling: str) -> FloatArray:
        """``Q₂``, shape (r, r).

        Parameters
        ----------
        batch_size : (float, float)
            Retain and forget.
        alpha : float
            In [0, 1].
        sampling : {"bernoulli", "without_replacement", "with_replacement"}

        Returns
        -------
        ndarray, shape (r, r), float64

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        result = np.zeros_like(self.retain)
        for s, a, c, e, n in weighted_sets(alpha, self.sizes, batch_size, sampling):
            result += a * a * c * self._noise(s, n, bool(e))
        return result

    def growth(
        self,
        step_size: float,
        batch_size: tuple[float, float],
        alpha: float,
        sampling: str,
        weight_decay: float = 0.0,
    ) -> float:
        """Upper bound on ρ.

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
            Per step.

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        return top_value(self.moment(step_size, batch_size, alpha, sampling, weight_decay))

    def critical_step_size(
        self,
        batch_size: tuple[float, float],
        alpha: float,
        sampling: str,
        weight_decay: float = 0.0,
    ) -> float:
        """Step size up to which this bound is at most 1; 0 where D is not positive definite.

        Parameters
        ----------
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
            In inverse units of the Hessians.

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        return one_step(self.mix(alpha, weight_decay), self.noise(batch_size, alpha, sampling))

    def critical_alpha(
        self,
        step_size: float,
        batch_size: tuple[float, float],
        sampling: str,
        weight_decay: float = 0.0,
    ) -> float:
        """Mixing up to which this bound is at most 1, by bisection; NaN where it is nowhere.

        ``α ↦ Φ_α(P)`` is a matrix-convex quadratic, so the mixings that pass are an interval.

        Parameters
        ----------
        step_size : float
            η ≥ 0.
        batch_size : (float, float)
            Retain and forget.
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
        both_sets(self.sizes, batch_size, sampling)

        def excess(alpha: float) -> float:
            """``λ_max(Φ(P) − I)/η``, without the 1 that would swallow small steps."""
            mix = self.mix(alpha, weight_decay)
            noise = self.noise(batch_size, alpha, sampling)
            return top_value(eta * (mix @ mix + noise) - 2.0 * mix)

        return _last_of_convex(excess) if eta > 0.0 else 1.0

    def critical_batch_size(
        self, step_size: float, alpha: float, sampling: str, weight_decay: float = 0.0
    ) -> float:
        """Common batch size from which this bound is at most 1; NaN where no B passes.

        Parameters
        ----------
        step_size : float
            η ≥ 0.
        alpha : float
            In [0, 1].
        sampling : {"bernoulli", "without_replacement", "with_replacement"}
        weight_decay : float, default 0
            λ ≥ 0.

        Returns
        -------
        float
            A real number.

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        eta = _checks.real("step_size", step_size, low=0.0)
        alpha, scheme = mixing(alpha, self.sizes), Scheme.named(sampling)
        mix = self.mix(alpha, weight_decay)
        top = float(np.abs(mix).max(initial=0.0))
        if top > 1e100 or eta > 1e100:
            raise ValueError(
                "step_size and weight_decay must leave the second moment finite, at most 1e100, "
                f"got {eta:g} and {top:g}"
            )
        room = 2.0 * mix - eta * mix @ mix
        slope = np.zeros_like(mix)
        weighted = [(s, a) for s, a in enumerate((1.0 - alpha, alpha)) if a > 0.0]
        for s, a in weighted:
            n = self.sizes[s]
            kappa, offset = scheme.inverse_batch(n)
            part = eta * a * a * kappa * self._noise(s, n, scheme.fixed_size)
            slope += part
            room += offset * part
        return _least_matrix_batch(room, slope, [self.sizes[s] for s, _ in weighted], sampling)

    def mix(self, alpha: float, weight_decay: float = 0.0) -> FloatArray:
        """``D(α) + λ``.

        Parameters
        ----------
        alpha : float
            In [0, 1].
        weight_decay : float, default 0
            λ ≥ 0.

        Returns
        -------
        ndarray, shape (r, r), float64

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        alpha = mixing(alpha, self.sizes)
        decay = _checks.real("weight_decay", weight_decay, low=0.0)
        result: FloatArray = (1.0 - alpha) * self.retain - alpha * self.forget
        result.flat[:: len(result) + 1] += decay
        return result

    def _noise(self, s: int, n: int, fixed: bool) -> FloatArray:
        squares = (self.retain_squares, self.forget_squares)[s]
        mean = (self.retain, self.forget)[s]
        return squares - n * mean @ mean if fixed else squares


def _last_of_convex(excess: Any) -> float:
    """Largest x in [0, 1] with ``excess(x) ≤ 0`` for a convex function; NaN if there is none.

    Parameters
    ----------
    excess : callable
        Of one number.

    Returns
    -------
    float
    """
    from scipy.optimize import brentq, minimize_scalar

    if excess(1.0) <= 0.0:
        return 1.0
    low = 0.0
    if excess(0.0) > 0.0:
        low = float(minimize_scalar(excess, bounds=(0.0, 1.0), method="bounded").x)
        if excess(low) > 0.0:
            # a null direction of D(0) leaves rounding of D's size
            scale = abs(excess(1.0)) + abs(excess(0.0))
            return 0.0 if excess(0.0) <= 1e-13 * scale else math.nan
    root = float(brentq(excess, low, 1.0, xtol=1e-14, rtol=1e-14))
    # the side on which the condition holds
    while root > low and excess(root) > 0.0:
        root = max(low, root - 1e-14)
    return root


def _least_matrix_batch(
    room: FloatArray, slope: FloatArray, sizes: list[int], sampling: str
) -> float:
    """Smallest B with ``slope/B ⪯ room``, slope ⪰ 0; NaN where none up to the smallest size.

    Parameters
    ----------
    room, slope : ndarray, shape (r, r)
        Symmetric.
    sizes : list of int
        Of the sets with weight.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    float
        1 (0 for Bernoulli) where every B will do.
    """
    least = Scheme.named(sampling).least_batch
    if not room.size or not np.abs(slope).max():
        return least if not room.size or np.linalg.eigvalsh(room)[0] >= 0.0 else math.nan
    values = np.linalg.eigvalsh(room)
    if values[0] <= 1e-13 * max(abs(values[-1]), 1e-300):
        return math.nan
    found = top_value(slope, room)
    return max(found, least) if found <= min(sizes) * (1.0 + 1e-12) else math.nan
