"""What computations return: frozen records, and verdicts with their reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from rmtstab._record import Record

if TYPE_CHECKING:
    import xarray

FloatArray = NDArray[np.float64]


class Verdict(Enum):
    """What mean-square linear stability says of the trained model, under the update asked about.

    At mixing 0, or without a forget set, that update is plain SGD (`Growth.subject`).
    """

    STABLE = "stable"
    MARGINAL = "marginal"
    UNDECIDED = "undecided"
    ESCAPES = "escapes"


class Reason(Enum):
    """Why a verdict is what it is; the value is the sentence a report prints."""

    CONTRACTS = "every second moment on the range contracts (growth factor < 1)"
    MARGINAL = "the growth factor is exactly 1: second moments neither grow nor vanish"
    MEAN_OVERSHOOT = "the mean dynamics overshoot: |1 - step_size*mu| > 1 at the top of D(alpha)"
    ASCENT_DIRECTION = "the mean dynamics ascend: D(alpha) has a negative eigenvalue on the range"
    NOISE_DRIVEN = "the mean dynamics are stable; mini-batch noise drives the second moment"
    ERROR_BOUND = "the error bound of the growth factor straddles 1"
    NO_CONVERGENCE = "the eigen-solver did not converge"


@dataclass(frozen=True, repr=False)
class Growth(Record):
    """Growth factor of the second moment on the range, with its certificate.

    Attributes
    ----------
    value : float
        ρ(Φ), per step; a Rayleigh quotient, less what rounding may have added where that
        exceeds 1e-12 of it: never above the true value by more.
    error_bound : float
        The true value lies in ``[value, value + error_bound]``, but for 1e-12 of it;
        ``inf`` where no certificate was found.
    converged : bool
        Whether the eigen-solver reached its tolerance *and* the certificate holds.
    iterations : int
        Applications of Φ spent, certificate included.
    participation : ndarray, shape (n_samples,), float64
        Share of each sample in the dominating eigenmatrix; sums to 1.
        Retain samples first.
    verdict : Verdict
    reason : Reason
    subject : str
        The update that the verdict is of; it says so where nothing is ascended.
    """

    drawn_by = "participation"

    value: float
    error_bound: float
    converged: bool
    iterations: int
    participation: FloatArray = field(repr=False)
    verdict: Verdict
    reason: Reason
    subject: str = ""


@dataclass(frozen=True)
class Threshold(Record):
    """A critical value with its error bound; ``float()`` gives the value.

    Attributes
    ----------
    value : float
        The critical value, in the units of the argument it bounds.
    error_bound : float
        Half-width of the bracket in which the value lies.
    converged : bool
        Whether the root-finder and each growth factor behind it converged.
    status : str
        ``"interior"``, or in words why the value sits at an end of its range.
    """

    value: float
    error_bound: float
    converged: bool
    status: str

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True)
class Estimate(Record):
    """A Monte Carlo estimate with its standard error.

    Attributes
    ----------
    value : float
    standard_error : float
    """

    value: float
    standard_error: float

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True)
class EscapeProbability(Record):
    """Probability that a run leaves a radius within a horizon.

    Attributes
    ----------
    bound : float
        Holds for every run of the linearised update; loose (docs/theory/finite_horizon).
    simulated : Estimate or None
        Share of simulated runs that left, where they were asked for.
    """

    bound: float
    simulated: Estimate | None = None


@dataclass(frozen=True)
class LyapunovBounds(Record):
    """The typical rate of growth (top Lyapunov exponent) between two proved ends, per step.

    Attributes
    ----------
    lower, upper : float
        ``lower ≤ λ₁ ≤ upper``, up to rounding; −inf, inf where nothing was proved.
    lower_method, upper_method : str
        What proves each end (docs/theory/lyapunov).
    mean_square : float
        ``½ log ρ``, Jensen's upper bound; ``upper`` is never above it.

    Notes
    -----
    Both ends are close, or exact, for rank 1 and 2, for groups of samples that share no
    direction and lie in one dimension each, and (below) where every batch keeps a cone.
    Elsewhere ``lower`` is the mean of all exponents and says nothing of an escape:
    `is_growing` is then False of runs that do grow. Ends jump to that where groups are
    barely coupled.
    """

    lower: float
    lower_method: str
    upper: float
    upper_method: str
    mean_square: float

    @property
    def is_contracting(self) -> bool:
        """Whether almost every run is proved to shrink, whatever its mean square does."""
        return self.upper < 0.0

    @property
    def is_growing(self) -> bool:
        """Whether almost every run is proved to grow."""
        return self.lower > 0.0


@dataclass(frozen=True)
class Coherence(Record):
    """Coherence on the three axes, and of the whole (dimensionless, ≥ 1 on the diagonal blocks).

    Attributes
    ----------
    retain, forget : float
        σ of each diagonal block: 1 for mutually orthogonal rank-one
        curvatures, the set's size for aligned ones; NaN for an empty set.
    cross : float
        ``‖S_RF‖₂ / √(max_R λ_max · max_F λ_max)``; 0 when the sets are orthogonal.
    total : float
        σ of all samples together.
    unlearning : float
        σ_u(α) of the weighted samples; NaN when no mixing was given.
    alpha : float or None
        The mixing of ``unlearning``.
    """

    retain: float
    forget: float
    cross: float
    total: float
    unlearning: float
    alpha: float | None


@dataclass(frozen=True)
class Bound(Record):
    """A closed-form bound evaluated on a problem.

    Attributes
    ----------
    name : str
    kind : {"necessary", "sufficient"}
        A necessary condition bounds ρ from below, a sufficient one from above.
    satisfied : bool
        Whether the condition for stability holds (bound ≤ 1).
    rho_bound : float
        The bound on ρ; NaN where the theorem gives a step size only.
    critical_step_size : float
        The step size at which the bound reaches 1; NaN where it has none in closed form.
    source : str
        Paper and theorem, or "derived in docs/theory".
    cost : {"closed form", "eigenproblem", "applications"}
        What it takes beyond D's eigenbasis: sums over factors and extreme eigenvalues;
        eigenproblems of side r; a fixed number of applications of Φ.
    gap : float
        ``ρ/rho_bound − 1`` of a lower, ``rho_bound/ρ − 1`` of an upper bound; NaN where
        either is missing.
    """

    name: str
    kind: Literal["necessary", "sufficient"]
    satisfied: bool
    rho_bound: float
    critical_step_size: float
    source: str
    cost: Literal["closed form", "eigenproblem", "applications"] = "closed form"
    gap: float = math.nan


@dataclass(frozen=True, repr=False)
class Trajectory(Record):
    """Second moments along the linearised dynamics, step by step.

    Attributes
    ----------
    displacement : ndarray, shape (steps + 1,), float64
        E‖w_k‖² on the range; with gradients outside it, in all directions.
    retain_loss, forget_loss : ndarray, shape (steps + 1,), float64
        Predicted excess losses ``½ tr(H_R M_k)`` and ``½ tr(H_F M_k)``.
    observed : ndarray, shape (n_observables, steps + 1), float64
        Further linear functionals ``tr(W M_k)``, where asked for.
    quantiles : ndarray, shape (n_quantiles, steps + 1), float64
        Quantiles of ``‖w_k‖²`` over simulated runs, where asked for: what typical runs do.
    """

    dimensions: ClassVar = {
        "displacement": ("step",),
        "retain_loss": ("step",),
        "forget_loss": ("step",),
        "observed": ("observable", "step"),
        "quantiles": ("quantile", "step"),
    }
    drawn_by = "trajectory"

    displacement: FloatArray
    retain_loss: FloatArray
    forget_loss: FloatArray
    observed: FloatArray = field(default_factory=lambda: np.zeros((0, 0)), repr=False)
    quantiles: FloatArray = field(default_factory=lambda: np.zeros((0, 0)), repr=False)


@dataclass(frozen=True, repr=False)
class Frontier(Record):
    """A stability map over (mixing × batch size), and its critical mixing.

    Attributes
    ----------
    batch_sizes : ndarray, shape (n_batches, 2)
        Retain and forget batch sizes of each column.
    alphas : ndarray, shape (n_alphas,), float64
    values : ndarray, shape (n_alphas, n_batches), float64
        ρ, as a lower bound, or ``E‖w_K‖² / E‖w_0‖²`` when a horizon was given.
    level : float
        The value at which a cell escapes: 1, or ``radius²``.
    critical_alpha : ndarray, shape (n_batches,), float64
        The upper end of the stable mixings; NaN where no mixing is stable.
    horizon : int or None
    error_bounds : ndarray, shape (n_alphas, n_batches), float64
        The true value lies in ``[values, values + error_bounds]``, up to rounding;
        ``inf`` where no certificate was found.
    verdicts : ndarray of Verdict, shape (n_alphas, n_batches)
        Certified for each cell; UNDECIDED where neither side could be.
    critical_error : ndarray, shape (n_batches,), float64
        Error bound of ``critical_alpha``; ``inf`` where its root-finder did not converge.
    """

    dimensions: ClassVar = {
        "alphas": ("alpha",),
        "values": ("alpha", "batch"),
        "critical_alpha": ("batch",),
        "error_bounds": ("alpha", "batch"),
        "verdicts": ("alpha", "batch"),
        "critical_error": ("batch",),
    }
    drawn_by = "stability_map"

    batch_sizes: NDArray[np.float64]
    alphas: FloatArray
    values: FloatArray
    level: float
    critical_alpha: FloatArray
    horizon: int | None
    error_bounds: FloatArray
    verdicts: NDArray[np.object_]
    critical_error: FloatArray

    def to_xarray(self) -> xarray.Dataset:
        """Return the map as a labelled dataset, with mixings and batch sizes as coordinates.

        Returns
        -------
        xarray.Dataset
            Dimensions ``alpha`` and ``batch``; the latter labelled by ``retain_batch`` and
            ``forget_batch``.
        """
        found = super().to_xarray().drop_vars("alphas")
        found.attrs.pop("batch_sizes", None)
        retain, forget = (("batch", column) for column in self.batch_sizes.T)
        return found.assign_coords(alpha=self.alphas, retain_batch=retain, forget_batch=forget)


@dataclass(frozen=True, repr=False)
class FrontierLaws(Record):
    """Critical mixings near the mean's own in closed form, one of each kind a batch size.

    Attributes
    ----------
    batch_sizes : ndarray, shape (n_batches, 2)
        Retain and forget.
    mean : float
        ``α₀ = 1/(1 + b)``: the mean neither grows nor falls.
    mean_square, typical, shuffled : ndarray, shape (n_batches,), float64
        Where the mean square, almost every run, and runs under epoch shuffling neither grow
        nor fall, to first order in the step size.
    noise : ndarray, shape (n_batches,), float64
        What batch noise adds to the top eigenmatrix at α₀, ``‖X − vvᵀ‖``; ``inf`` where
        the escape is no simple top direction.
    """

    dimensions: ClassVar = {
        "mean_square": ("batch",),
        "typical": ("batch",),
        "shuffled": ("batch",),
        "noise": ("batch",),
    }
    drawn_by = "frontier_laws"
    LIMIT: ClassVar[float] = 0.05

    batch_sizes: NDArray[np.float64]
    mean: float
    mean_square: FloatArray
    typical: FloatArray
    shuffled: FloatArray
    noise: FloatArray

    @property
    def is_valid(self) -> NDArray[np.bool_]:
        """Whether the noise is below 0.05: the laws' range, shape (n_batches,).

        There the mean-square law was within 13 % of its distance from the mean (121 random
        settings); between 0.05 and 0.1 within 44 %.
        """
        return self.noise <= self.LIMIT
