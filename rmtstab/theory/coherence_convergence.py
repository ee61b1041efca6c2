r"""Convergence in unlearning coherence: the sufficient side of the coherence theorems."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rmtstab import _checks
from rmtstab.sampling import Scheme
from rmtstab.theory.input_checks import check_coherence
from rmtstab.theory.noise import admissible_batch, both_sets, mixing, weighted_sets


@dataclass(frozen=True)
class ConvergenceBound:
    r"""Convergence in unlearning coherence: the other side of `CoherenceBound` (sufficient).

    With ``m = max_i w_i λ_max(H_i)``, ``q = max_s n_s²c_s`` over the weighted sets,
    ``b = λ_max(H_F, H_R)``, ``t = αb/(1−α) < 1`` and ``δ = (1−t)/(1+t)``,

    ``η m (σ + q/δ) < 2  ⟹  ρ < 1``;  sharper, ``η (λ_max(D) + m q/δ) < 2``.

    Attributes
    ----------
    sizes : (int, int)
        n_retain, n_forget.
    sample_sharpness : (float, float)
        ``max_i λ_max(H_i)`` of each set; 0 for an empty one.
    coherence : float
        σ: the unlearning coherence σ_u(α), or any upper bound on it: `three_axes` gives
        one that is valid at every mixing.
    forget_ratio : float, default inf
        b, the largest generalised eigenvalue of (H_F, H_R); ``inf`` where the retain set
        misses a forget direction.
    outputs : int, default 1
        C, the largest rank of a sample.

    Raises
    ------
    ValueError
        If an attribute is outside its range.

    Notes
    -----
    At α = 0 b plays no part. Exact on equal orthogonal groups under Bernoulli batches at
    α = 0, where it is Dexter et al.'s Theorem 2 as a guarantee; .55 to .6 of the exact
    threshold in the median of random problems. Says nothing for ``t ≥ 1``, where the mean
    itself ascends.

    References
    ----------
    Derived in docs/theory/bounds/coherence; at α = 0 compare Dexter et al.,
    arXiv:2401.12332, Theorem 2.

    See Also
    --------
    rmtstab.theory.sufficient.OneStepBound : sharper, from the set's own matrices.

    Examples
    --------
    >>> from rmtstab.theory.coherence_bounds import ConvergenceBound
    >>> bound = ConvergenceBound((4, 0), sample_sharpness=(4.0, 0.0), coherence=1.0)
    >>> bound.critical_step_size((1, 1), alpha=0.0, sampling="bernoulli")
    0.5
    >>> bound.critical_batch_size(0.5, alpha=0.0, sampling="bernoulli")
    1.0
    """

    sizes: tuple[int, int]
    sample_sharpness: tuple[float, float]
    coherence: float
    forget_ratio: float = math.inf
    outputs: int = 1

    def __post_init__(self) -> None:
        sizes = _checks.integers("sizes", self.sizes, 2)
        _checks.keep(
            self,
            sizes=sizes,
            sample_sharpness=_checks.reals("sample_sharpness", self.sample_sharpness, 2, low=0.0),
            outputs=_checks.integer("outputs", self.outputs, low=1),
        )
        coherence = check_coherence("coherence", self.coherence, sum(sizes), self.outputs)
        ratio = self.forget_ratio
        if not (isinstance(ratio, float) and ratio == math.inf):
            ratio = _checks.real("forget_ratio", ratio, low=0.0)
        _checks.keep(self, coherence=coherence, forget_ratio=ratio)

    def critical_step_size(
        self,
        batch_size: tuple[float, float],
        alpha: float,
        sampling: str,
        mix_sharpness: float | None = None,
    ) -> float:
        """Step size below which ρ < 1 on the range; 0 where the mean ascends.

        Parameters
        ----------
        batch_size : (float, float)
            Retain and forget batch.
        alpha : float
            Mixing in [0, 1].
        sampling : {"bernoulli", "without_replacement", "with_replacement"}
        mix_sharpness : float, optional
            ``λ_max(D(α))``, for the sharper form.

        Returns
        -------
        float
            In inverse units of curvature; ``inf`` without curvature.

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        lead = max(self.coherence, 1.0) * self.heaviest(alpha)
        if mix_sharpness is not None:
            lead = min(lead, _checks.real("mix_sharpness", mix_sharpness, low=0.0))
        total = lead + self.noise(batch_size, alpha, sampling)
        return 2.0 / total if total > 0.0 else math.inf

    def critical_sharpness(
        self, step_size: float, batch_size: tuple[float, float], alpha: float, sampling: str
    ) -> float:
        """``λ_max(D(α))`` below which ρ < 1 for samples of this weight: ``2/η − mq/δ``.

        Parameters
        ----------
        step_size : float
            η > 0.
        batch_size, alpha, sampling
            As in `critical_step_size`.

        Returns
        -------
        float
            0 where the noise alone exceeds the bound.

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        eta = _checks.real("step_size", step_size, low=0.0, low_open=True)
        return max(2.0 / eta - self.noise(batch_size, alpha, sampling), 0.0)

    def critical_batch_size(self, step_size: float, alpha: float, sampling: str) -> float:
        """Common batch size above which ρ < 1; 1 (0 for Bernoulli) where every B will do, NaN
        where none up to the smaller weighted set does.

        Parameters
        ----------
        step_size : float
            η ≥ 0.
        alpha : float
            Mixing in [0, 1].
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
        alpha = mixing(alpha, self.sizes)
        load, delta = eta * self.heaviest(alpha), self._contrast(alpha)
        if delta <= 0.0:
            return math.nan
        scheme = Scheme.named(sampling)
        least = scheme.least_batch
        room = delta * (2.0 / load - max(self.coherence, 1.0)) if load > 0.0 else math.inf
        for s, a in enumerate((1.0 - alpha, alpha)):
            if a > 0.0:
                n = self.sizes[s]
                kappa, offset = scheme.inverse_batch(n)
                if kappa > 0.0:
                    allowed = room / (n * n * kappa) + offset
                    least = max(least, 1.0 / allowed) if allowed > 0.0 else math.inf
        return admissible_batch(least, self.sizes, alpha)

    def critical_alpha(
        self, step_size: float, batch_size: tuple[float, float], sampling: str
    ) -> float:
        """Mixing up to which ρ < 1, for a σ valid at every mixing; NaN where none passes.

        Multiplied by ``1 − t`` the condition is a quadratic in α for either set's heaviest
        sample, and what passes is an interval (convex in α below the mean's limit).

        Parameters
        ----------
        step_size : float
            η ≥ 0.
        batch_size : (float, float)
            Retain and forget batch.
        sampling : {"bernoulli", "without_replacement", "with_replacement"}

        Returns
        -------
        float
            At most ``1/(1 + b)``.

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        eta = _checks.real("step_size", step_size, low=0.0)
        if not self.sizes[0]:
            raise ValueError(
                f"sizes must hold a retain sample for a critical alpha, got {self.sizes}"
            )
        start = eta < self.critical_step_size(batch_size, 0.0, sampling)
        alone = 0.0 if start else math.nan
        if not self.sizes[1] or self.forget_ratio == math.inf:
            return alone
        b, sigma = self.forget_ratio, max(self.coherence, 1.0)
        sets = both_sets(self.sizes, batch_size, sampling)
        q = max(c * n * n for _, _, c, _, n in sets)
        limit = 1.0 / (1.0 + b)
        low, high = 0.0, limit
        for weight in (
            np.polynomial.Polynomial([1.0, -1.0]) * (self.sample_sharpness[0] / self.sizes[0]),
            np.polynomial.Polynomial([0.0, 1.0]) * (self.sample_sharpness[1] / self.sizes[1]),
        ):
            fall = np.polynomial.Polynomial([1.0, -1.0 - b])
            rise = np.polynomial.Polynomial([1.0, b - 1.0])
            excess = eta * weight * (sigma * fall + q * rise) - 2.0 * fall
            first, last = _nonpositive_interval(excess, limit)
            low, high = max(low, first), min(high, last)
        return high if low <= high and high > 0.0 else alone

    def noise(self, batch_size: tuple[float, float], alpha: float, sampling: str) -> float:
        """``m q/δ``, the noise's share of the condition.

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
            In the units of the Hessians; ``inf`` for ``t ≥ 1``.

        Raises
        ------
        ValueError
            If an argument is outside its range.
        """
        sets = weighted_sets(alpha, self.sizes, batch_size, sampling)
        delta = self._contrast(alpha)
        if delta <= 0.0:
            return math.inf
        return self.heaviest(alpha) * max(c * n * n for _, _, c, _, n in sets) / delta

    def heaviest(self, alpha: float) -> float:
        """``m = max_i w_i λ_max(H_i)``.

        Parameters
        ----------
        alpha : float
            Mixing in [0, 1].

        Returns
        -------
        float
            In the units of the Hessians.
        """
        alpha = mixing(alpha, self.sizes)
        return max(
            a * top / n if a > 0.0 else 0.0
            for a, top, n in zip(
                (1.0 - alpha, alpha), self.sample_sharpness, self.sizes, strict=True
            )
        )

    def _contrast(self, alpha: float) -> float:
        """δ; at most 0 where ``t ≥ 1``."""
        if alpha == 0.0:
            return 1.0
        if self.forget_ratio == math.inf:
            return 0.0
        pushed = alpha * self.forget_ratio
        return (1.0 - alpha - pushed) / (1.0 - alpha + pushed)


def _nonpositive_interval(
    polynomial: np.polynomial.Polynomial, limit: float
) -> tuple[float, float]:
    """Where a quadratic, convex up to a positive factor, is ≤ 0 in [0, limit]; else (1, 0)."""
    found = [complex(root) for root in polynomial.trim().roots()]
    roots = sorted(r.real for r in found if r.imag == 0.0 and 0.0 < r.real < limit)
    if float(polynomial(0.0)) <= 0.0:
        return 0.0, roots[0] if roots else limit
    if not roots:
        return 1.0, 0.0
    return roots[0], roots[1] if len(roots) > 1 else limit
