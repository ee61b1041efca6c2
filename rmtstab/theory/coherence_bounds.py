r"""Sharpness and coherence: one heavy sample, and the coherence theorems, of either side.

`HeavySample` and `CoherenceBound` bound ρ from below by the noise that a single sample
injects along its own top direction; `ConvergenceBound` is the guarantee on the other side.
With ``m = max_i w_i λ_max(H_i)`` the block-norm inequality gives
``λ_max(H̄) ≤ λ_max(S^α) = σ_u m``: a small coherence forces a heavy sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rmtstab import _checks
from rmtstab.sampling import Scheme
from rmtstab.theory.coherence_convergence import ConvergenceBound
from rmtstab.theory.input_checks import ROUNDING, check_coherence, check_mean_sharpness
from rmtstab.theory.noise import admissible_batch, both_sets, mixing, weighted_sets

__all__ = ["CoherenceBound", "ConvergenceBound", "HeavySample", "three_axes", "weighted_axes"]


@dataclass(frozen=True)
class HeavySample:
    r"""One heavy sample: ``ρ ≥ max_s η²a_s²c_s ℓ_s²`` (necessary for stability).

    Fixed-size batches: ``max_s η²a_s²c_s n_s/(n_s−1) (ℓ_s − λ_max(H_s))₊²``.

    Attributes
    ----------
    sizes : (int, int)
        n_retain, n_forget.
    sharpness : (float, float)
        ``ℓ_s = max_i λ_max(H_i)`` of each set.
    set_sharpness : (float, float)
        ``λ_max(H_R)``, ``λ_max(H_F)``, in ``[ℓ_s/n_s, ℓ_s]``.

    Raises
    ------
    ValueError
        If a set's sharpness is inconsistent with its samples'.

    References
    ----------
    Derived in docs/theory/bounds.

    Examples
    --------
    >>> from rmtstab.theory.coherence_bounds import HeavySample
    >>> bound = HeavySample((2, 0), (2.0, 0.0), (1.0, 0.0))
    >>> bound.growth(1.0, (1, 1), alpha=0.0, sampling="bernoulli")
    1.0
    >>> bound.critical_step_size((1, 1), alpha=0.0, sampling="bernoulli")
    1.0
    """

    sizes: tuple[int, int]
    sharpness: tuple[float, float]
    set_sharpness: tuple[float, float]

    def __post_init__(self) -> None:
        sizes = _checks.integers("sizes", self.sizes, 2)
        tops = _checks.reals("sharpness", self.sharpness, 2, low=0.0)
        means = _checks.items("set_sharpness", self.set_sharpness, 2)
        kept = tuple(
            check_mean_sharpness(f"set_sharpness[{s}]", mean, top, n)
            for s, (n, top, mean) in enumerate(zip(sizes, tops, means, strict=True))
        )
        _checks.keep(self, sizes=sizes, sharpness=tops, set_sharpness=kept)

    def growth(
        self, step_size: float, batch_size: tuple[float, float], alpha: float, sampling: str
    ) -> float:
        """Lower bound on ρ.

        Parameters
        ----------
        step_size : float
            η ≥ 0.
        batch_size : (float, float)
            Retain and forget.
        alpha : float
            In [0, 1].
        sampling : {"bernoulli", "without_replacement", "with_replacement"}

        Returns
        -------
        float
            Per step.

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        eta = _checks.real("step_size", step_size, low=0.0)
        return eta * eta * self._unit(batch_size, alpha, sampling)

    def critical_step_size(
        self, batch_size: tuple[float, float], alpha: float, sampling: str
    ) -> float:
        """Step size above which this bound exceeds 1; ``inf`` without noise.

        Parameters
        ----------
        batch_size : (float, float)
            Retain and forget.
        alpha : float
            In [0, 1].
        sampling : {"bernoulli", "without_replacement", "with_replacement"}

        Returns
        -------
        float
            In inverse units of the Hessians.

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        unit = self._unit(batch_size, alpha, sampling)
        return 1.0 / math.sqrt(unit) if unit > 0.0 else math.inf

    def critical_sharpness(
        self, step_size: float, batch_size: tuple[float, float], alpha: float, sampling: str
    ) -> float:
        """Largest ``ℓ`` of a retain sample that this bound allows, in inverse units of η.

        For fixed-size batches it is the excess ``ℓ − λ_max(H_R)`` that is bounded.
        ``inf`` where the retain set has no weight or no noise.

        Parameters
        ----------
        step_size : float
            η > 0.
        batch_size : (float, float)
            Retain and forget.
        alpha : float
            In [0, 1].
        sampling : {"bernoulli", "without_replacement", "with_replacement"}

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        eta = _checks.real("step_size", step_size, low=0.0, low_open=True)
        for s, a, c, e, n in weighted_sets(alpha, self.sizes, batch_size, sampling):
            if s == 0 and c > 0.0:
                return 1.0 / (eta * a * math.sqrt(c * (n / (n - 1.0) if e else 1.0)))
        return math.inf

    def critical_alpha(
        self, step_size: float, batch_size: tuple[float, float], sampling: str
    ) -> float:
        """Mixing above which a forget sample forces ρ > 1; NaN where every mixing is unstable.

        Parameters
        ----------
        step_size : float
            η ≥ 0.
        batch_size : (float, float)
            Retain and forget.
        sampling : {"bernoulli", "without_replacement", "with_replacement"}

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        eta = _checks.real("step_size", step_size, low=0.0)
        reach = [math.inf, math.inf]  # largest weight of each set
        for s, _, c, e, n in both_sets(self.sizes, batch_size, sampling):
            unit = eta * math.sqrt(c) * self._weight(s, n, bool(e))
            reach[s] = 1.0 / unit if unit > 0.0 else math.inf
        if 1.0 - reach[0] > reach[1]:
            return math.nan
        return min(reach[1], 1.0)

    def critical_batch_size(self, step_size: float, alpha: float, sampling: str) -> float:
        """Common batch size below which this bound exceeds 1; 1 (0 for Bernoulli) where every B
        will do, NaN where none up to the smaller weighted set does.

        Parameters
        ----------
        step_size : float
            η ≥ 0.
        alpha : float
            In [0, 1].
        sampling : {"bernoulli", "without_replacement", "with_replacement"}

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
        least = scheme.least_batch
        for s, a in enumerate((1.0 - alpha, alpha)):
            if a > 0.0:
                n = self.sizes[s]
                kappa, offset = scheme.inverse_batch(n)
                weight = eta * a * self._weight(s, n, scheme.fixed_size)
                unit = kappa * weight * weight  # may be infinite: no batch is large enough
                if unit > 0.0:
                    least = max(least, 1.0 / (1.0 / unit + offset))
        return admissible_batch(least, self.sizes, alpha)

    def _weight(self, s: int, n: int, fixed: bool) -> float:
        if not fixed:
            return self.sharpness[s]
        if n == 1:
            return 0.0
        excess = self.sharpness[s] - self.set_sharpness[s]
        # alike samples leave rounding
        return math.sqrt(n / (n - 1.0)) * excess if excess > 1e-14 * self.sharpness[s] else 0.0

    def _unit(self, batch_size: tuple[float, float], alpha: float, sampling: str) -> float:
        return max(
            a * a * c * self._weight(s, n, bool(e)) ** 2
            for s, a, c, e, n in weighted_sets(alpha, self.sizes, batch_size, sampling)
        )


@dataclass(frozen=True)
class CoherenceBound:
    r"""Unlearning-coherence bound: ``ρ ≥ η² q λ_max(H̄)²/σ²``, ``q = min_s(n_s/B_s − 1)``.

    Fixed-size batches: ``η² λ_max(H̄)² min_s c_s n_s/(n_s−1) (n_s/σ − 1)₊²``. Any upper
    bound σ on the unlearning coherence σ_u(α) will do: `three_axes` gives one from the
    axes alone, valid at every mixing. Necessary for stability.

    Attributes
    ----------
    sizes : (int, int)
        n_retain, n_forget.
    mean_sharpness : float
        ``λ_max(H̄)``, H̄ = (1−α)H_R + αH_F.
    coherence : float
        σ, in ``[1, (n_retain + n_forget)√C]``.
    outputs : int, default 1
        C, the largest rank of a sample.

    Raises
    ------
    ValueError
        If σ is outside its range.

    Notes
    -----
    Vacuous where one weighted set is taken whole (q = 0).

    References
    ----------
    Dexter et al., arXiv:2401.12332, Theorem 1 at α = 0; otherwise derived in
    docs/theory/bounds/coherence.

    Examples
    --------
    >>> from rmtstab.theory.coherence_bounds import CoherenceBound
    >>> bound = CoherenceBound((4, 0), mean_sharpness=1.0, coherence=1.0)
    >>> bound.growth(1.0, (1, 1), alpha=0.0, sampling="bernoulli")
    3.0
    >>> round(bound.critical_sharpness(1.0, (1, 1), alpha=0.0, sampling="bernoulli"), 6)
    0.57735
    """

    sizes: tuple[int, int]
    mean_sharpness: float
    coherence: float
    outputs: int = 1

    def __post_init__(self) -> None:
        sizes = _checks.integers("sizes", self.sizes, 2)
        _checks.keep(
            self,
            sizes=sizes,
            mean_sharpness=_checks.real("mean_sharpness", self.mean_sharpness, low=0.0),
            outputs=_checks.integer("outputs", self.outputs, low=1),
        )
        coherence = check_coherence("coherence", self.coherence, sum(sizes), self.outputs)
        _checks.keep(self, coherence=coherence)

    def growth(
        self, step_size: float, batch_size: tuple[float, float], alpha: float, sampling: str
    ) -> float:
        """Lower bound on ρ.

        Parameters
        ----------
        step_size : float
            η ≥ 0.
        batch_size : (float, float)
            Retain and forget.
        alpha : float
            In [0, 1].
        sampling : {"bernoulli", "without_replacement", "with_replacement"}

        Returns
        -------
        float
            Per step.

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        eta = _checks.real("step_size", step_size, low=0.0)
        unit = eta * self.mean_sharpness
        return unit * unit * self._unit(batch_size, alpha, sampling)

    def critical_step_size(
        self, batch_size: tuple[float, float], alpha: float, sampling: str
    ) -> float:
        """Step size above which this bound exceeds 1.

        Parameters
        ----------
        batch_size : (float, float)
            Retain and forget.
        alpha : float
            In [0, 1].
        sampling : {"bernoulli", "without_replacement", "with_replacement"}

        Returns
        -------
        float
            In inverse units of the Hessians.

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        unit = self.mean_sharpness * math.sqrt(self._unit(batch_size, alpha, sampling))
        return 1.0 / unit if unit > 0.0 else math.inf

    def critical_sharpness(
        self, step_size: float, batch_size: tuple[float, float], alpha: float, sampling: str
    ) -> float:
        """``λ_max(H̄)`` above which ρ > 1: ``σ/(η√q)`` for Bernoulli batches.

        ``λ_max(D) ≤ λ_max(H̄)``: it bounds the mix-Hessian's sharpness too.

        Parameters
        ----------
        step_size : float
            η > 0.
        batch_size : (float, float)
            Retain and forget.
        alpha : float
            In [0, 1].
        sampling : {"bernoulli", "without_replacement", "with_replacement"}

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        eta = _checks.real("step_size", step_size, low=0.0, low_open=True)
        unit = math.sqrt(self._unit(batch_size, alpha, sampling))
        return 1.0 / (eta * unit) if unit > 0.0 else math.inf

    def critical_batch_size(self, step_size: float, alpha: float, sampling: str) -> float:
        """Common batch size below which this bound exceeds 1; 1 (0 for Bernoulli) where every B
        will do, NaN where none up to the smaller weighted set does.

        Parameters
        ----------
        step_size : float
            η ≥ 0.
        alpha : float
            In [0, 1].
        sampling : {"bernoulli", "without_replacement", "with_replacement"}

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
        found = math.inf
        for s, a in enumerate((1.0 - alpha, alpha)):
            if a > 0.0:
                n = self.sizes[s]
                kappa, offset = scheme.inverse_batch(n)
                unit = kappa * (eta * self.mean_sharpness) ** 2
                unit *= self._factor(n, scheme.fixed_size)
                found = min(found, 1.0 / (1.0 / unit + offset) if unit > 0.0 else 0.0)
        return admissible_batch(max(found, scheme.least_batch), self.sizes, alpha)

    def _factor(self, n: int, fixed: bool) -> float:
        sigma = max(self.coherence, 1.0)
        if not fixed:
            return (n / sigma) ** 2
        return n / (n - 1.0) * max(n / sigma - 1.0, 0.0) ** 2 if n > 1 else 0.0

    def _unit(self, batch_size: tuple[float, float], alpha: float, sampling: str) -> float:
        return min(
            c * self._factor(n, bool(e))
            for _, _, c, e, n in weighted_sets(alpha, self.sizes, batch_size, sampling)
        )


def three_axes(retain: float, forget: float, cross: float) -> float:
    r"""Bound on the unlearning coherence in the three axes alone, at every mixing and every scale.

    ``σ_u(α) ≤ (σ_R + σ_F)/2 + √((σ_R − σ_F)²/4 + σ_RF²)``, the top eigenvalue of the
    2×2 matrix of the axes. With `CoherenceBound` it makes ρ > 1 a statement about
    (σ_R, σ_F, σ_RF) and λ_max(H̄).

    Parameters
    ----------
    retain, forget : float
        σ_R, σ_F ≥ 1 (0 for an empty set).
    cross : float
        σ_RF ≥ 0.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If an axis is outside its range.

    References
    ----------
    Derived in docs/theory/bounds/coherence (three-axis theorem).

    Examples
    --------
    >>> from rmtstab.theory.coherence_bounds import three_axes
    >>> three_axes(2.0, 2.0, 0.0), three_axes(2.0, 2.0, 2.0)
    (2.0, 4.0)
    """
    return weighted_axes(retain, forget, cross, 1.0)


def weighted_axes(retain: float, forget: float, cross: float, ratio: float) -> float:
    r"""Bound σ_u(α) given the ratio of the sets' largest weighted sharpnesses too.

    With ``t = w_F ℓ_F/(w_R ℓ_R)``, ``w_R = (1−α)/n_r``, ``w_F = α/n_f``:
    ``σ_u ≤ λ_max[[σ_R, σ_RF √t], [σ_RF √t, σ_F t]] / max(1, t)``.

    Parameters
    ----------
    retain, forget, cross : float
        As in `three_axes`.
    ratio : float
        t ≥ 0; ``inf`` where the retain set has no weight.

    Returns
    -------
    float
        At most `three_axes`.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    Derived in docs/theory/bounds/coherence (three-axis theorem).

    Examples
    --------
    >>> from rmtstab.theory.coherence_bounds import weighted_axes
    >>> weighted_axes(3.0, 2.0, 1.0, 0.0)
    3.0
    """
    retain = _checks.real("retain", retain, low=0.0)
    forget = _checks.real("forget", forget, low=0.0)
    for name, value in (("retain", retain), ("forget", forget)):
        if value and value < 1.0 - ROUNDING:
            raise ValueError(
                f"{name} must be 0 (empty set) or at least 1 (S_ii >= λ_max(H_i)), got {value:g}"
            )
    cross = _checks.real("cross", cross, low=0.0)
    if isinstance(ratio, float) and ratio == math.inf:
        return forget
    t = _checks.real("ratio", ratio, low=0.0)
    a, b, root = (1.0, t, math.sqrt(t)) if t <= 1.0 else (1.0 / t, 1.0, math.sqrt(1.0 / t))
    first, second = retain * a, forget * b
    return 0.5 * (first + second) + math.hypot(0.5 * (first - second), cross * root)
