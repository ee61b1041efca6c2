r"""Extremal families: problems on which a bound on the growth factor ρ is attained.

Each function returns an `Extremal`: the factors, the hyper-parameters at which
equality holds, ρ and the critical step size in closed form, and the names of
the bounds that equal either. All but the frames and the rank-C copies split into
orthogonal directions, on each of which Φ is a scalar,

    ``(1 − ηd)² + η² N``,  ``d = Σ_s ±a_s h̄_s``,  ``N = Σ_s a_s² [c_s Σ h_i² − e_s n_s h̄_s²]``.

Proofs in docs/theory/extremal.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.ensembles._extremal_case import (
    DIRECTION,
    MEAN,
    ONE_STEP,
    OPERATOR,
    TRACE,
    Extremal,
    SetNoise,
    case_of,
    rotation,
    worst,
)
from rmtstab.ensembles._extremal_heavy import heavy_among_equals, heavy_beside_group, heavy_sample
from rmtstab.sampling import SCHEMES, Scheme

__all__ = [
    "Extremal",
    "identical",
    "orthogonal_groups",
    "heavy_sample",
    "heavy_beside_group",
    "heavy_among_equals",
    "isotropic_frame",
    "full_batches",
    "draw",
]


def identical(
    rng: np.random.Generator | int,
    n_retain: int,
    n_forget: int,
    outputs: int,
    *,
    step_size: float,
    batch_size: tuple[float, float],
    alpha: float,
    sampling: str,
) -> Extremal:
    r"""Every sample has the same curvature H, of rank ``outputs`` and ``λ_max = 1``.

    ``ρ = max_p (1 − ηδh_p)² + η²κh_p²`` over the eigenvalues of H, with
    ``δ = 1 − 2α`` and ``κ = Σ_s a_s² n_s (c_s − e_s)``: 0 for fixed-size batches.

    Parameters
    ----------
    rng : numpy.random.Generator or int
    n_retain, n_forget : int
        Set sizes; without forget samples α is 0 and δ = 1.
    outputs : int
        C, also the dimension.
    step_size : float
        η, in inverse units of λ_max(H).
    batch_size : (float, float)
    alpha : float
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    Extremal
        Attains direction and one step; trace for one output; the mean for
        fixed-size batches; the operator bound for Bernoulli batches and α < ½.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    Derived in docs/theory/extremal.

    Examples
    --------
    >>> from rmtstab.ensembles import extremal
    >>> case = extremal.identical(0, 4, 2, 1, step_size=0.5, batch_size=(1, 1), alpha=0.25,
    ...                           sampling="without_replacement")
    >>> case.growth_factor, case.critical_step_size
    (0.5625, 4.0)
    """
    rng = _checks.generator("rng", rng)
    c = _checks.integer("outputs", outputs, low=1)
    noise = SetNoise.of((n_retain, n_forget), batch_size, alpha, sampling)
    n_retain, n_forget = noise.sizes
    eta = _checks.real("step_size", step_size, low=0.0, high=1e150)
    values = np.concatenate([[1.0], rng.uniform(0.2, 1.0, size=c - 1)])
    half = np.sqrt(values)[:, None] * rotation(rng, c)
    factors = np.stack([rotation(rng, c) @ half for _ in range(n_retain + n_forget)])
    delta = 1.0 - 2.0 * alpha if n_forget else 1.0
    kappa = sum(
        a * a * n * (k - e)
        for a, n, (k, e) in zip(noise.weights, noise.sizes, noise.coefficients, strict=True)
    )
    rho = float(np.max((1.0 - eta * delta * values) ** 2 + (eta * values) ** 2 * kappa))
    step = 2.0 * delta / (delta * delta + kappa) if delta > 0.0 else 0.0
    if delta == 0.0 and kappa == 0.0:
        step = math.nan  # ρ = 1 for every step size
    attained = [DIRECTION, ONE_STEP]
    attained += [TRACE] * (c == 1) + [MEAN] * (kappa == 0.0)
    attained += [OPERATOR] * (delta > 0.0 and noise.uncorrelated)
    return case_of(
        "identical", factors, n_retain, step_size, batch_size, alpha, sampling, rho, step, attained
    )


def orthogonal_groups(
    rng: np.random.Generator | int,
    directions: int,
    per_direction: tuple[int, int],
    *,
    step_size: float,
    batch_size: tuple[float, float],
    alpha: float,
    sampling: str,
    equal: bool = False,
) -> Extremal:
    r"""Orthogonal directions, each with ``k_r`` retain and ``k_f`` forget samples.

    On a direction with curvatures ``λ_r``, ``λ_f`` of its samples

        ``ρ = (1 − ηd)² + η² Σ_s a_s² [c_s k_s λ_s² − e_s n_s (k_s λ_s/n_s)²]``,
        ``d = (1−α) k_r λ_r/n_r − α k_f λ_f/n_f``;

    the largest over the directions is the growth factor.

    Parameters
    ----------
    rng : numpy.random.Generator or int
    directions : int
        Number of groups; the dimension.
    per_direction : (int, int)
        ``k_r ≥ 1`` and ``k_f ≥ 0``; the sets have ``n_s = k_s · directions`` samples.
    step_size, batch_size, alpha, sampling
        As in `identical`.
    equal : bool, default False
        Curvature 1 of every retain and ½ of every forget sample, instead of
        values drawn over a decade below 1.

    Returns
    -------
    Extremal
        Attains direction and one step; trace if equal; the operator bound if
        equal, Bernoulli and d > 0 (Dexter et al., Theorem 2); the mean where
        nothing is noisy.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    Dexter et al., arXiv:2401.12332, Theorem 2, for equal groups at α = 0;
    otherwise derived in docs/theory/extremal.

    Examples
    --------
    >>> from rmtstab.ensembles import extremal
    >>> case = extremal.orthogonal_groups(0, 4, (1, 0), step_size=2.0, batch_size=(2, 1),
    ...                                   alpha=0.0, sampling="bernoulli", equal=True)
    >>> case.growth_factor, case.critical_step_size
    (0.5, 4.0)
    """
    rng, equal = _checks.generator("rng", rng), _checks.flag("equal", equal)
    per_direction = _checks.items("per_direction", per_direction, 2)
    m = _checks.integer("directions", directions, low=1)
    k_r = _checks.integer("per_direction[0]", per_direction[0], low=1)
    k_f = _checks.integer("per_direction[1]", per_direction[1], low=0)
    noise = SetNoise.of((m * k_r, m * k_f), batch_size, alpha, sampling)
    retain = np.ones(m) if equal else 10.0 ** rng.uniform(-1.0, 0.0, size=m)
    forget = np.full(m, 0.5) if equal else 10.0 ** rng.uniform(-1.0, 0.0, size=m)
    basis = rotation(rng, m)
    rows = [np.repeat(np.sqrt(h)[:, None] * basis, k, axis=0)
            for h, k in ((retain, k_r), (forget, k_f))]  # fmt: skip
    scalars = [
        noise.scalar(np.full(k_r, r), np.full(k_f, f)) for r, f in zip(retain, forget, strict=True)
    ]
    rho, step = worst(scalars, step_size)
    attained = [DIRECTION, ONE_STEP] + [TRACE] * equal
    attained += [MEAN] * all(spread == 0.0 for _, spread in scalars)
    attained += [OPERATOR] * (equal and noise.uncorrelated and scalars[0][0] > 0.0)
    factors = np.concatenate(rows)[:, None, :]
    return case_of(
        "orthogonal_groups",
        factors, m * k_r, step_size, batch_size, alpha, sampling, rho, step, attained,
    )  # fmt: skip


def isotropic_frame(
    rng: np.random.Generator | int,
    dim: int,
    n_retain: int,
    n_forget: int,
    *,
    step_size: float,
    batch_size: tuple[float, float],
    alpha: float,
    sampling: str,
) -> Extremal:
    r"""Equal-norm tight frames: ``Σ z_i z_iᵀ = (n/d) ℓ I``, so that ``Φ(I) = ρI``.

    ``ρ = (1 − ηδ)² + η² Σ_s a_s² n_s ℓ_s² (c_s/d − e_s/d²)``,
    ``δ = [(1−α)ℓ_r − αℓ_f]/d``; here ``ℓ_r = 1``, ``ℓ_f = ½``.

    Parameters
    ----------
    rng : numpy.random.Generator or int
        Rotations of two harmonic frames.
    dim : int
        d.
    n_retain, n_forget : int
        At least d each; ``n_forget`` may be 0.
    step_size, batch_size, alpha, sampling
        As in `identical`.

    Returns
    -------
    Extremal
        Attains trace and one step; the operator bound for Bernoulli batches and δ > 0.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    Derived in docs/theory/extremal.

    Examples
    --------
    >>> from rmtstab.ensembles import extremal
    >>> case = extremal.isotropic_frame(0, 2, 3, 0, step_size=1.0, batch_size=(1, 1),
    ...                                 alpha=0.0, sampling="without_replacement")
    >>> round(case.growth_factor, 12)
    0.5
    """
    rng = _checks.generator("rng", rng)
    d = _checks.integer("dim", dim, low=1)
    noise = SetNoise.of((n_retain, n_forget), batch_size, alpha, sampling)
    n_retain, n_forget = noise.sizes
    drift, spread, frames = 0.0, 0.0, []
    for s, (name, n) in enumerate((("n_retain", n_retain), ("n_forget", n_forget))):
        if s == 1 and n == 0:
            continue
        n = _checks.integer(name, n, low=d)
        norm, a, (c, e) = (1.0, 0.5)[s], noise.weights[s], noise.coefficients[s]
        drift += (a, -a)[s] * norm / d
        spread += a * a * n * norm**2 * (c / d - e / d**2)
        frames.append(math.sqrt(norm) * _harmonic_frame(n, d) @ rotation(rng, d))
    rho, step = worst([(drift, spread)], step_size)
    attained = [TRACE, ONE_STEP]
    attained += [OPERATOR] * (drift > 0.0 and noise.uncorrelated)
    factors = np.concatenate(frames)[:, None, :]
    return case_of(
        "isotropic_frame",
        factors, n_retain, step_size, batch_size, alpha, sampling, rho, step, attained,
    )  # fmt: skip


def full_batches(
    rng: np.random.Generator | int,
    dim: int,
    n_retain: int,
    n_forget: int,
    *,
    step_size: float,
    alpha: float,
    sampling: str,
) -> Extremal:
    r"""Gaussian factors, every step taken on the whole sets: ``ρ = max_p (1 − ημ_p)²``.

    Parameters
    ----------
    rng : numpy.random.Generator or int
    dim : int
        At most ``n_retain``, so that the retain set spans the range.
    n_retain, n_forget : int
    step_size : float
    alpha : float
        In [0, 1).
    sampling : {"bernoulli", "without_replacement"}

    Returns
    -------
    Extremal
        Attains mean, direction and one step, and the operator bound where D ≻ 0.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    References
    ----------
    Derived in docs/theory/extremal.

    Examples
    --------
    >>> from rmtstab.ensembles import extremal
    >>> case = extremal.full_batches(0, 2, 5, 0, step_size=0.1, alpha=0.0, sampling="bernoulli")
    >>> case.batch_size, case.growth_factor < 1
    ((5, 1), True)
    """
    rng = _checks.generator("rng", rng)
    n_retain = _checks.integer("n_retain", n_retain, low=1)
    d = _checks.integer("dim", dim, low=1, high=n_retain, high_label="n_retain")
    _checks.choice("sampling", sampling, [scheme.name for scheme in SCHEMES if scheme.exhausts])
    n_forget = _checks.integer("n_forget", n_forget, low=0)
    batch = (n_retain, max(n_forget, 1))
    SetNoise.of((n_retain, n_forget), batch, alpha, sampling)
    alpha = _checks.real("alpha", alpha, low=0.0, high=1.0, high_open=True)
    rows = rng.standard_normal((n_retain + n_forget, d)) / math.sqrt(d)
    retain, forget = rows[:n_retain], rows[n_retain:]
    mix = (1.0 - alpha) * retain.T @ retain / n_retain - alpha * forget.T @ forget / batch[1]
    mu = np.linalg.eigvalsh(mix)
    rho, step = worst([(float(v), 0.0) for v in mu], step_size)
    attained = [MEAN, DIRECTION, ONE_STEP] + [OPERATOR] * bool(mu[0] > 1e-9 * mu[-1])
    return case_of(
        "full_batches",
        rows[:, None, :], n_retain, step_size, batch, alpha, sampling, rho, step, attained,
    )  # fmt: skip


def draw(rng: np.random.Generator | int, sampling: str) -> list[Extremal]:
    """Draw one problem of each family that knows the sampling scheme, sizes at random.

    Parameters
    ----------
    rng : numpy.random.Generator or int
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    list of Extremal

    Examples
    --------
    >>> from rmtstab.ensembles import extremal
    >>> len(extremal.draw(0, "bernoulli")), len(extremal.draw(0, "with_replacement"))
    (8, 7)
    """
    rng = _checks.generator("rng", rng)
    scheme = Scheme.named(sampling)

    def whole(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    def options(n_retain: int, n_forget: int, most: float = 1.0) -> dict[str, Any]:
        """Batches up to a share of the sets, and a mixing at which the mean may descend."""
        batch = (whole(1, max(1, int(most * n_retain))), whole(1, max(n_forget, 1)))
        alpha = float(rng.choice([0.0, 0.05, 0.3])) if n_forget else 0.0
        return {"batch_size": batch, "alpha": alpha, "sampling": sampling}

    def step() -> float:
        return float(rng.uniform(0.2, 2.0))

    n_r, n_f, k_r, k_f, m = whole(2, 8), whole(0, 6), whole(1, 4), whole(0, 3), whole(1, 5)
    d = whole(1, 5)
    frame = whole(d, d + 4), (whole(d, d + 4) if whole(0, 1) else 0)
    cases = [
        identical(rng, n_r, n_f, whole(1, 3), step_size=step(), **options(n_r, n_f)),
        orthogonal_groups(rng, m, (k_r, k_f), step_size=m * step(), **options(m * k_r, m * k_f)),
        orthogonal_groups(
            rng, m, (k_r, k_f), step_size=m * step(), equal=True, **options(m * k_r, m * k_f)
        ),
        heavy_sample(rng, n_r, 0, **options(n_r, 0, most=0.5)),
        heavy_sample(rng, 3 * k_f + 3, 4, batch_size=(whole(1, k_f + 1), 1), alpha=0.3,
                     sampling=sampling),
        isotropic_frame(rng, d, *frame, step_size=d * step(), **options(*frame)),
    ]  # fmt: skip
    if scheme.exhausts:
        cases.append(
            full_batches(rng, d, frame[0], n_f, step_size=step(), alpha=0.05 * (n_f > 0),
                         sampling=sampling)
        )  # fmt: skip
    if not scheme.fixed_size:
        cases.append(
            heavy_beside_group(rng, n_r + 2, float(rng.uniform(1.0, 1.5)),
                               batch_size=float(rng.uniform(0.1, 0.3)) * (n_r + 3))
        )  # fmt: skip
    else:
        cases.append(
            heavy_among_equals(rng, n_r, float(rng.uniform(0.0, 0.9)),
                               batch_size=whole(1, n_r - 1), sampling=sampling)
        )  # fmt: skip
    return cases


def _harmonic_frame(n: int, d: int) -> FloatArray:
    """Real harmonic frame: n unit vectors in d ≤ n dimensions with ``Σ zzᵀ = (n/d) I``."""
    angles = 2.0 * np.pi * np.arange(n) / n
    columns = [np.full(n, 1.0)] if d % 2 or d == n else []
    if d == n and d % 2 == 0:
        columns.append(np.where(np.arange(n) % 2, -1.0, 1.0))
    for k in range(1, (d - len(columns)) // 2 + 1):
        columns += [math.sqrt(2.0) * np.cos(k * angles), math.sqrt(2.0) * np.sin(k * angles)]
    return np.stack(columns, axis=1) / math.sqrt(d)
