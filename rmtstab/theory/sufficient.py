r"""Sufficient conditions: where they hold, the second moment contracts.

Φ is positive, so ``Φ(P) ⪯ λP`` gives ρ ≤ λ. With ``D' = D + λ_wd``,

    Φ(P) = I − 2ηD' + η²[D'² + Q₂],   Q₂ = Σ_s a_s²(c_s Σ H_i² − e_s n_s H_s²),

and `one_step` asks for ``λ_max(Φ(P)) ≤ 1``. `operator` replaces ``D'²`` by
``λ_max(D')D'`` and ``Q₂`` by ``Q = Σ_s a_s² c_s Σ λ_max(H_i) H_i``: weaker, and in
closed form in a few numbers for plain SGD (`sgd_step_size`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.sampling import Scheme
from rmtstab.theory.input_checks import check_coherence, check_mean_sharpness
from rmtstab.theory.noise import least_batch, mixing, weighted_sets

__all__ = [
    "OneStepBound",
    "one_step",
    "one_step_growth",
    "operator",
    "operator_growth",
    "sgd_batch_size",
    "sgd_sharpness",
    "sgd_step_size",
]


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
    d, q = _pair(mix_hessian, noise)
    return _two_over_top(d @ d + q, d)


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
    return top_value(_one_step_moment(*_pair(mix_hessian, noise), step_size))


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


def operator(mix_hessian: Any, weighted: Any) -> float:
    r"""Largest η of the operator bound: ``2/λ_max(λ_max(D) D + Q, D)``, D ≻ 0.

    ``Q = Σ_s a_s² c_s Σ_i λ_max(H_i) H_i`` bounds ``Q₂`` from above with one
    number a sample; valid, and conservative for fixed-size batches.

    Parameters
    ----------
    mix_hessian : array_like, shape (r, r)
        D(α) on the range, symmetric.
    weighted : array_like, shape (r, r)
        Q.

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
    Derived in docs/theory/bounds; exact on equal orthogonal groups under Bernoulli
    sampling, where it is Dexter et al., arXiv:2401.12332, Theorem 2.

    Examples
    --------
    >>> from rmtstab.theory import sufficient
    >>> round(sufficient.operator([[2.0]], [[2.0]]), 12)
    0.666666666667
    """
    d, q = _pair(mix_hessian, weighted, "weighted")
    top = float(np.linalg.eigvalsh(d)[-1]) if d.size else 0.0
    return _two_over_top(top * d + q, d)


def operator_growth(mix_hessian: Any, weighted: Any, step_size: float) -> float:
    r"""Upper bound on ρ: ``λ_max(I − 2ηD + η²(λ_max(D) D + Q))``, D ⪰ 0.

    It lies above `one_step_growth`, as ``D² ⪯ λ_max(D) D`` for ``D ⪰ 0`` and ``Q₂ ⪯ Q``.

    Parameters
    ----------
    mix_hessian, weighted : array_like, shape (r, r)
        D(α) and Q, as for `operator`.
    step_size : float
        η ≥ 0.

    Returns
    -------
    float
        Per step; NaN where D has a negative eigenvalue, ``−inf`` for an empty range.

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
    >>> sufficient.operator_growth([[2.0]], [[1.0]], 0.5)
    0.25
    """
    d, q = _pair(mix_hessian, weighted, "weighted")
    eta = _checks.real("step_size", step_size, low=0.0)
    values = np.linalg.eigvalsh(d)
    if values.size and values[0] < 0.0:
        return math.nan
    top = float(values[-1]) if values.size else 0.0
    if not math.isfinite(eta * eta * max(top * top, float(np.abs(q).max(initial=0.0)))):
        raise ValueError(f"step_size must leave the second moment finite, got {eta:g}")
    return top_value(np.eye(len(d)) + (eta * eta * top - 2.0 * eta) * d + eta * eta * q)


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
        _checks.integers("sizes", self.sizes, 2)
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


def sgd_step_size(
    sharpness: float, sample_sharpness: float, n: int, batch_size: float, sampling: str
) -> float:
    r"""Operator bound of plain SGD (α = 0) in two numbers: a sufficient step size.

    Bernoulli ``2/(λ + (1−B/n)ℓ/B)``; fixed-size ``2/(λ + κ(ℓ − λ))`` with
    ``κ = (n−B)/(B(n−1))`` without and ``1/B`` with replacement.

    Parameters
    ----------
    sharpness : float
        λ = λ_max(H), in ``[ℓ/n, ℓ]``.
    sample_sharpness : float
        ℓ = max_i λ_max(H_i).
    n : int
    batch_size : float
        In [1, n]; real and in (0, n] for Bernoulli.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    float
        ρ ≤ 1 for every step size up to it; ``inf`` without curvature.

    Raises
    ------
    ValueError
        If an argument is outside its range or the sharpnesses are inconsistent.

    References
    ----------
    Derived in docs/theory/bounds; exact on equal orthogonal groups.

    Examples
    --------
    >>> from rmtstab.theory.sufficient import sgd_step_size
    >>> sgd_step_size(1.0, 1.0, 4, 4, "bernoulli")
    2.0
    """
    noise = _sgd_noise(sharpness, sample_sharpness, n, batch_size, sampling)
    return 2.0 / (sharpness + noise) if sharpness > 0.0 else math.inf


def sgd_sharpness(
    coherence: float, step_size: float, n: int, batch_size: float, sampling: str
) -> float:
    r"""Sharpness up to which SGD is stable, for data of coherence σ (Dexter et al., Theorem 2).

    Bernoulli ``(2/η) σ/(n/B + σ − 1)``; fixed-size ``(2/η)/(1 + κ(n/σ − 1))``.
    It holds for equal orthogonal groups, where σ = nλ/ℓ, with equality.

    Parameters
    ----------
    coherence : float
        σ, in [1, n].
    step_size : float
        η > 0.
    n, batch_size, sampling
        As in `sgd_step_size`.

    Returns
    -------
    float
        λ_max(H), in inverse units of η.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    As a sufficient condition for any data it needs ``ℓ ≤ nλ/σ``, which the block-norm
    inequality gives only in the other direction (``λ ≤ σℓ/n``): on data of uneven
    samples use `sgd_step_size`.

    References
    ----------
    Dexter et al., arXiv:2401.12332, Theorem 2.

    Examples
    --------
    >>> from rmtstab.theory.sufficient import sgd_sharpness
    >>> round(sgd_sharpness(3.0, 1.0, 12, 2, "bernoulli"), 12)
    0.75
    """
    eta = _checks.real("step_size", step_size, low=0.0, low_open=True)
    check_coherence("coherence", coherence, n, 1)
    coherence = float(coherence)
    ratio = n / max(coherence, 1.0)  # ℓ/λ
    return 2.0 / (eta * (1.0 + _sgd_noise(1.0, ratio, n, batch_size, sampling)))


def sgd_batch_size(
    sharpness: float, sample_sharpness: float, n: int, step_size: float, sampling: str
) -> float:
    r"""Batch size from which the operator bound calls plain SGD stable; NaN if none does.

    Parameters
    ----------
    sharpness, sample_sharpness, n
        As in `sgd_step_size`.
    step_size : float
        η > 0.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    float
        A real number; at least 1 for the fixed-size schemes.

    Raises
    ------
    ValueError
        If an argument is outside its range or the sharpnesses are inconsistent.

    References
    ----------
    Derived in docs/theory/bounds.

    Examples
    --------
    >>> from rmtstab.theory.sufficient import sgd_batch_size
    >>> sgd_batch_size(1.0, 4.0, 4, 1.0, "bernoulli")
    2.0
    """
    eta = _checks.real("step_size", step_size, low=0.0, low_open=True)
    _sgd_noise(sharpness, sample_sharpness, n, n, sampling)
    scheme = Scheme.named(sampling)
    kappa, offset = scheme.inverse_batch(n)
    excess = sample_sharpness - (sharpness if scheme.fixed_size else 0.0)
    slope = 0.5 * eta * kappa * n * excess
    return least_batch(1.0 - 0.5 * eta * sharpness + slope * offset, slope, [n], sampling)


def _sgd_noise(sharpness: float, sample: float, n: int, batch_size: float, sampling: str) -> float:
    """``λ_max`` of the bound on ``Q₂`` relative to D, at α = 0."""
    sample = _checks.real("sample_sharpness", sample, low=0.0)
    scheme = Scheme.named(sampling)
    n = _checks.integer("n", n, low=1)
    c, e = scheme.coefficients(n, scheme.check_batch("batch_size", batch_size, n))
    check_mean_sharpness("sharpness", sharpness, sample, n)
    sharpness = float(sharpness)
    return c * n * max(sample - (sharpness if e else 0.0), 0.0)


def top_value(matrix: FloatArray, metric: FloatArray | None = None) -> float:
    """Largest λ with ``matrix v = λ metric v``, metric ≻ 0; −inf for an empty matrix.

    All eigenvalues by divide and conquer: LAPACK's route to one of them gives up on
    multiples of the identity.

    Parameters
    ----------
    matrix : ndarray, shape (r, r)
        Symmetric.
    metric : ndarray, shape (r, r), optional
        Positive definite; default the identity.

    Returns
    -------
    float
    """
    if not len(matrix):
        return -math.inf
    driver = "evd" if metric is None else "gvd"
    return float(scipy.linalg.eigh(matrix, metric, eigvals_only=True, driver=driver)[-1])


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


def _pair(first: Any, second: Any, label: str = "noise") -> tuple[Any, Any]:
    d = _checks.array("mix_hessian", first, ndim=2)
    q = _checks.array(label, second, ndim=2)
    if d.shape != q.shape or d.shape[0] != d.shape[1]:
        raise ValueError(
            f"mix_hessian and {label} must be square and alike, got {d.shape} and {q.shape}"
        )
    return d, q


def _two_over_top(a: Any, d: Any) -> float:
    """``2/λ_max(a, d)``, or 0 where d is not positive definite to rounding."""
    if not d.size:
        return float("inf")
    values = np.linalg.eigvalsh(d)
    if values[0] <= 1e-13 * max(abs(values[-1]), 1e-300):
        return 0.0
    return 2.0 / top_value(a, d)
