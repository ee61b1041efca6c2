"""One linearised update: curvatures and hyper-parameters, frozen."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.curvature.mix_basis import MixBasis
from rmtstab.curvature.samples import SampleCurvatures
from rmtstab.dynamics.certificate import EPS
from rmtstab.dynamics.second_moment import NoiseMap, SecondMoment
from rmtstab.sampling import Pair, Scheme

MOST = 1e150  # of a multiplier: second moments hold its square
NUMBERS = "step_size", "alpha", "weight_decay", "momentum"  # fields


@dataclass(frozen=True)
class Update:
    r"""The update ``w⁺ = w − η[(1−α)/B_r Σ x_i H_i − α/B_f Σ y_j H_j + λ]w + β(w − w₋)``.

    Attributes
    ----------
    curvatures : SampleCurvatures
    step_size : float
        η.
    batch_size : (float, float)
        Retain and forget.
    alpha : float
        Mixing.
    scheme : Scheme
        How batches are drawn.
    weight_decay, momentum : float
        λ, β.

    Examples
    --------
    >>> import rmtstab as rs
    >>> update = rs.UnlearningProblem.from_factors([[1.0], [2.0]]).dynamics(0.5, 1, alpha=0.0)
    >>> update.at(step_size=0.1).mean_multipliers
    array([0.75])
    """

    curvatures: SampleCurvatures
    step_size: float
    batch_size: Pair
    alpha: float
    scheme: Scheme
    weight_decay: float
    momentum: float

    @classmethod
    def of(
        cls,
        curvatures: SampleCurvatures,
        step_size: Any,
        batch_size: Any,
        alpha: Any,
        sampling: Any,
        weight_decay: Any,
        momentum: Any,
    ) -> Self:
        """Build from what a user gives.

        Parameters
        ----------
        curvatures : SampleCurvatures
        step_size : float, ≥ 0
        batch_size : int, or (retain, forget)
            One number means both sets. Bernoulli sampling takes real numbers in (0, n].
        alpha : float in [0, 1] or None
            None where the mixing is the unknown: both batch sizes are then read, and
            `alpha` is 0.
        sampling : {"without_replacement", "bernoulli", "with_replacement"}
        weight_decay : float, ≥ 0
        momentum : float in [0, 1)

        Returns
        -------
        Update

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range.
        """
        _checks.instance("curvatures", curvatures, SampleCurvatures)
        mixing = None if alpha is None else curvatures.check_alpha(alpha)
        scheme = Scheme.named(sampling)
        eta = _checks.real("step_size", step_size, low=0.0)
        decay = _checks.real("weight_decay", weight_decay, low=0.0)
        top = float(curvatures.factors.singular_values.max(initial=0.0)) ** 2
        if max(eta, 1e-150) * (top + decay) > MOST:
            raise ValueError(
                f"step_size*(curvature + weight_decay) must be at most {MOST:g} (its square is "
                f"taken), got {eta:g}*({top:.3g} + {decay:g})"
            )
        batches = scheme.check_batches(batch_size, curvatures.n_retain, curvatures.n_forget, mixing)
        return cls(
            curvatures,
            eta,
            batches,
            mixing or 0.0,
            scheme,
            decay,
            _checks.real("momentum", momentum, low=0.0, high=1.0, high_open=True),
        )

    def at(self, **changes: Any) -> Self:
        """Return the update with some fields changed.

        Parameters
        ----------
        **changes
            Fields of the class: finite numbers, but within no range, as a root-finder's batch
            sizes may be real numbers under every scheme.

        Returns
        -------
        Update

        Raises
        ------
        TypeError, ValueError
            If a change is of another kind than its field, or no field.
        """
        for name, value in changes.items():
            if name in NUMBERS:
                changes[name] = _checks.real(name, value)
            elif name == "batch_size":
                changes[name] = _checks.reals(name, value, 2)
            elif name == "scheme":
                _checks.instance(name, value, Scheme)
            elif name == "curvatures":
                _checks.instance(name, value, SampleCurvatures)
        return replace(self, **changes)

    # --- the mean dynamics -------------------------------------------------------------------

    @property
    def sampling(self) -> str:
        """Name of the scheme."""
        return self.scheme.name

    @property
    def sizes(self) -> tuple[int, int]:
        """``(n_retain, n_forget)``."""
        return self.curvatures.n_retain, self.curvatures.n_forget

    @property
    def weights(self) -> Pair:
        """``(1 − α, α)``."""
        return 1.0 - self.alpha, self.alpha

    @property
    def basis(self) -> MixBasis:
        """Eigenbasis of D(alpha), shared with every other update of the same curvatures."""
        return self.curvatures.basis(self.alpha)

    @property
    def judged_vectors(self) -> FloatArray:
        """Basis of the judged range, shape (rank, r), in the problem's coordinates."""
        basis = self.basis
        return basis.vectors[:, : basis.n_active]

    @property
    def mean_eigenvalues(self) -> FloatArray:
        """Eigenvalues μ of ``D(alpha)`` on the range on which stability is judged.

        In the units of the Hessians, weight decay not included; at alpha 0 or 1
        only the range of the set with weight.
        """
        basis = self.basis
        return basis.mix[: basis.n_active].copy()

    @cached_property
    def mean_multipliers(self) -> FloatArray:
        """``j = 1 − η(μ + λ)`` on the judged range, in the order of `mean_eigenvalues`."""
        basis = self.basis
        return self.multipliers(basis.mix[: basis.n_active])

    def multipliers(self, mix: FloatArray) -> FloatArray:
        """``1 − η(μ + λ)`` of given eigenvalues.

        Parameters
        ----------
        mix : ndarray, shape (k,)
            μ.

        Returns
        -------
        ndarray, shape (k,), float64
        """
        with np.errstate(over="ignore"):  # beyond 1.8e308 it is infinite
            result: FloatArray = 1.0 - self.step_size * (
                _checks.array("mix", mix) + self.weight_decay
            )
        return result

    # --- the second moment -------------------------------------------------------------------

    @cached_property
    def judged_noise(self) -> NoiseMap:
        """Noise map in D's eigenbasis, on the judged range."""
        return self._noise(True, 0)

    def noise(self, active: bool = True, extra: int = 0) -> NoiseMap:
        """Noise map in D's eigenbasis.

        Parameters
        ----------
        active : bool
            Only the judged range.
        extra : int
            Further coordinates, which no curvature sees (of gradients outside the range).

        Returns
        -------
        NoiseMap
        """
        active, extra = _checks.flag("active", active), _checks.integer("extra", extra, low=0)
        judged = active or self.basis.n_active == len(self.basis.mix)
        return self.judged_noise if judged and not extra else self._noise(active, extra)

    def _noise(self, active: bool, extra: int) -> NoiseMap:
        basis = self.basis.padded(extra)
        offsets = self.curvatures.factors.offsets
        return NoiseMap.build(basis, offsets, self.batch_size, self.scheme, active)

    def second_moment(self, active: bool = True, extra: int = 0) -> SecondMoment:
        """Φ of the plain update in D's eigenbasis (momentum not included).

        Parameters
        ----------
        active, extra
            As for `noise`.

        Returns
        -------
        SecondMoment
        """
        active, extra = _checks.flag("active", active), _checks.integer("extra", extra, low=0)
        noise = self.noise(active, extra)
        basis = self.basis.padded(extra)
        mix = basis.mix[: basis.n_active] if active else basis.mix
        return SecondMoment.of(noise, mix, self.multipliers(mix), self.step_size**2)

    @property
    def rounding(self) -> float:
        """Absolute rounding of ``⟨M, Φ(M)⟩``, ‖M‖ = 1: the sum of `roundings`."""
        return sum(self.roundings)

    @cached_property
    def multiplier_rounding(self) -> float:
        """Absolute rounding of each ``1 − ημ``, which inherits it from curvatures that cancel."""
        basis, r = self.basis, self.basis.n_active
        if r == 0:
            return 0.0
        rows = np.einsum("ik,ik->i", basis.rows, basis.rows)
        retain = float(rows[: basis.split].sum()) / basis.sizes[0]
        forget = float(rows[basis.split :].sum()) / max(basis.sizes[1], 1)
        mixed = (1.0 - self.alpha) * retain + self.alpha * forget + self.weight_decay
        j = float(np.abs(self.mean_multipliers).max())
        return 4.0 * EPS * math.sqrt(r) * (1.0 + j + self.step_size * mixed)

    @cached_property
    def roundings(self) -> Pair:
        """The two parts of `rounding`: 4ε√r times the terms that cancel in Φ.

        These are the mean's ``j_p²`` with `multiplier_rounding`, and the two parts of
        fixed-size noise. About 1e-15 unless ``η H`` is large.
        """
        basis, r, eta = self.basis, self.basis.n_active, self.step_size
        if r == 0:
            return 0.0, 0.0
        noise, of_j = self.judged_noise, self.multiplier_rounding
        fixed = noise.kappa * float(np.vdot(noise.square, noise.square)) if noise.kappa else 0.0
        fixed += abs(noise.shift) * float(np.square(basis.mix[:r]).max())
        j = float(np.abs(self.mean_multipliers).max())
        return of_j * (j + of_j), 4.0 * EPS * math.sqrt(r) * eta * eta * fixed
