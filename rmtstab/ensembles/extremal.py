r"""Extremal families: problems on which a bound on the growth factor ρ is attained.

Each function returns an `Extremal`: the factors, the hyper-parameters at which
equality holds, ρ and the critical step size in closed form, and the names of
the bounds that equal them. All but the frames and the rank-C copies split into
orthogonal directions, on each of which Φ is a scalar,

    ``(1 − ηd)² + η² N``,  ``d = Σ_s ±a_s h̄_s``,  ``N = Σ_s a_s² [c_s Σ h_i² − e_s n_s h̄_s²]``.

Proofs in docs/theory/extremal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray

SAMPLINGS = ("bernoulli", "without_replacement", "with_replacement")
MEAN, TRACE, DIRECTION = "mean", "trace", "direction"
SINGLE, COHERENCE = "single sample", "unlearning coherence"
ONE_STEP, OPERATOR = "one step", "operator"


@dataclass(frozen=True)
class Extremal:
    """A problem with its growth factor in closed form, and the bounds that equal it.

    Attributes
    ----------
    family : str
        Name of the function that made it.
    retain, forget : ndarray, shape (n_retain, C, d) and (n_forget, C, d), float64
        Factors: ``H_i = Z_iᵀZ_i`` of the rows Z_i.
    step_size, batch_size, alpha, sampling
        The hyper-parameters at which equality holds.
    growth_factor : float
        ρ, exact.
    critical_step_size : float
        Largest η with ρ ≤ 1, exact; 0 where the mean ascends, NaN without a closed form.
    attained : tuple of str
        Names (`rmtstab.Bound.name`) of the bounds equal to ρ, or to the
        critical step size where a bound gives a step size only.
    """

    family: str
    retain: FloatArray
    forget: FloatArray
    step_size: float
    batch_size: tuple[float, float]
    alpha: float
    sampling: str
    growth_factor: float
    critical_step_size: float
    attained: tuple[str, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """Keyword arguments of `rmtstab.UnlearningProblem.dynamics`."""
        return {
            "step_size": self.step_size,
            "batch_size": self.batch_size,
            "alpha": self.alpha,
            "sampling": self.sampling,
        }


@dataclass(frozen=True)
class _Scheme:
    """Weights and noise coefficients of both sets: retain, forget."""

    weights: tuple[float, float]
    sizes: tuple[int, int]
    noise: tuple[tuple[float, float], tuple[float, float]]

    @classmethod
    def of(
        cls, sizes: tuple[int, int], batch_size: tuple[float, float], alpha: float, sampling: str
    ) -> _Scheme:
        _checks.choice("sampling", sampling, SAMPLINGS)
        alpha = _checks.real("alpha", alpha, low=0.0, high=1.0 if sizes[1] else 0.0)
        weights = (1.0 - alpha, alpha)
        noise = [(0.0, 0.0), (0.0, 0.0)]
        for s, name in enumerate(("batch_size[0]", "batch_size[1]")):
            if weights[s] > 0.0:
                noise[s] = _noise(name, sizes[s], batch_size[s], sampling)
        return cls(weights, sizes, (noise[0], noise[1]))

    def scalar(self, retain: FloatArray, forget: FloatArray) -> tuple[float, float]:
        """``(d, N)`` of a direction, from the curvatures along it of the samples that have any."""
        drift, spread = 0.0, 0.0
        for s, h in enumerate((retain, forget)):
            (c, e), n, a = self.noise[s], self.sizes[s], self.weights[s]
            if a == 0.0:
                continue
            mean = float(h.sum()) / n
            drift += (a, -a)[s] * mean
            idle = n - h.size  # samples without curvature here
            about_mean = float(np.sum((h - mean) ** 2)) + idle * mean * mean
            spread += a * a * (c * about_mean + (c - e) * n * mean * mean)
        return drift, spread

    @property
    def silent(self) -> bool:
        """Whether no set with weight is noisy."""
        return all(c == 0.0 for c, _ in self.noise)


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
    scheme = _Scheme.of((n_retain, n_forget), batch_size, alpha, sampling)
    eta = _checks.real("step_size", step_size, low=0.0)
    values = np.concatenate([[1.0], rng.uniform(0.2, 1.0, size=c - 1)])
    half = np.sqrt(values)[:, None] * _rotation(rng, c)
    factors = np.stack([_rotation(rng, c) @ half for _ in range(n_retain + n_forget)])
    delta = 1.0 - 2.0 * alpha if n_forget else 1.0
    kappa = sum(
        a * a * n * (k - e)
        for a, n, (k, e) in zip(scheme.weights, scheme.sizes, scheme.noise, strict=True)
    )
    rho = float(np.max((1.0 - eta * delta * values) ** 2 + (eta * values) ** 2 * kappa))
    step = 2.0 * delta / (delta * delta + kappa) if delta > 0.0 else 0.0
    if delta == 0.0 and kappa == 0.0:
        step = math.nan  # ρ = 1 for every step size
    attained = [DIRECTION, ONE_STEP]
    attained += [TRACE] * (c == 1) + [MEAN] * (kappa == 0.0)
    attained += [OPERATOR] * (delta > 0.0 and (sampling == "bernoulli" or scheme.silent))
    return _case(
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
    rng = _checks.generator("rng", rng)
    m = _checks.integer("directions", directions, low=1)
    k_r = _checks.integer("per_direction[0]", per_direction[0], low=1)
    k_f = _checks.integer("per_direction[1]", per_direction[1], low=0)
    scheme = _Scheme.of((m * k_r, m * k_f), batch_size, alpha, sampling)
    retain = np.ones(m) if equal else 10.0 ** rng.uniform(-1.0, 0.0, size=m)
    forget = np.full(m, 0.5) if equal else 10.0 ** rng.uniform(-1.0, 0.0, size=m)
    basis = _rotation(rng, m)
    rows = [np.repeat(np.sqrt(h)[:, None] * basis, k, axis=0)
            for h, k in ((retain, k_r), (forget, k_f))]  # fmt: skip
    scalars = [
        scheme.scalar(np.full(k_r, r), np.full(k_f, f)) for r, f in zip(retain, forget, strict=True)
    ]
    rho, step = _worst(scalars, step_size)
    attained = [DIRECTION, ONE_STEP] + [TRACE] * equal
    attained += [MEAN] * all(noise == 0.0 for _, noise in scalars)
    exact_noise = sampling == "bernoulli" or scheme.silent
    attained += [OPERATOR] * (equal and exact_noise and scalars[0][0] > 0.0)
    factors = np.concatenate(rows)[:, None, :]
    return _case(
        "orthogonal_groups",
        factors, m * k_r, step_size, batch_size, alpha, sampling, rho, step, attained,
    )  # fmt: skip


def heavy_sample(
    rng: np.random.Generator | int,
    n_retain: int,
    n_forget: int,
    *,
    batch_size: tuple[float, float],
    alpha: float,
    sampling: str,
) -> Extremal:
    r"""One heavy retain sample, orthogonal to lighter ones, at the step that cancels its mean.

    With ``η = n_r/((1−α)ℓ)`` the heavy direction's ``(1 − ηd)²`` vanishes and its
    noise is ρ: ``q_R = n_r/B_r − 1`` (Bernoulli, without replacement) or
    ``(n_r − 1)/B_r``. Forget samples lie on directions of their own, light
    enough that ``(1 + y)² + q_F y² < q_R`` along each.

    Parameters
    ----------
    rng : numpy.random.Generator or int
    n_retain, n_forget : int
    batch_size : (float, float)
        With ``q_R ≥ 1``, and ``q_R > 1`` at α > 0: at most half of the retain set.
    alpha : float
        In [0, 1); 0 without forget samples.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    Extremal
        Attains single sample, direction and one step; unlearning coherence
        (σ_u = 1) where ``q_R ≤ q_F`` or α = 0.

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
    >>> case = extremal.heavy_sample(0, 6, 0, batch_size=(2, 1), alpha=0.0,
    ...                              sampling="without_replacement")
    >>> case.growth_factor, "unlearning coherence" in case.attained
    (2.0, True)
    """
    rng = _checks.generator("rng", rng)
    scheme = _Scheme.of((n_retain, n_forget), batch_size, alpha, sampling)
    _checks.real("alpha", alpha, low=0.0, high=1.0, high_open=True)
    gains = [_gain(n, b, sampling) if a else math.inf
             for n, b, a in zip(scheme.sizes, batch_size, scheme.weights, strict=True)]  # fmt: skip
    if gains[0] < 1.0 or (alpha > 0.0 and gains[0] == 1.0):
        raise ValueError(
            f"batch_size[0] must be small enough for q_R >= 1 (> 1 at alpha > 0), "
            f"got {batch_size[0]!r}: q_R = {gains[0]:g}"
        )
    eta = n_retain / (1.0 - alpha)
    retain = np.concatenate([[1.0], rng.uniform(0.05, 0.9, size=n_retain - 1)])
    forget = rng.uniform(0.05, 0.9, size=n_forget)
    if alpha > 0.0:  # y = ηαh/n_f below the root of (1 + y)² + q_F y² = q_R, and below 1
        q = 1.0 + gains[1]
        largest = min((math.sqrt(1.0 + q * (gains[0] - 1.0)) - 1.0) / q, 1.0)
        forget *= largest * n_forget / (eta * alpha)
    rows = np.sqrt(np.concatenate([retain, forget]))[:, None] * _rotation(rng, n_retain + n_forget)
    none = np.zeros(0)
    scalars = [scheme.scalar(np.array([h]), none) for h in retain]
    if alpha > 0.0:
        scalars += [scheme.scalar(none, np.array([h])) for h in forget]
    _, step = _worst(scalars, eta)
    attained = [DIRECTION, ONE_STEP, SINGLE] + [COHERENCE] * (gains[0] <= gains[1])
    return _case(
        "heavy_sample",
        rows[:, None, :], n_retain, eta, batch_size, alpha, sampling, gains[0], step, attained,
    )  # fmt: skip


def heavy_beside_group(
    rng: np.random.Generator | int, group: int, coherence: float, *, batch_size: float
) -> Extremal:
    r"""One heavy sample orthogonal to a group of aligned ones: coherence σ > 1, Bernoulli batches.

    The group's k samples have curvature σ/k each, the heavy one 1; ``n = k + 1``,
    ``η = n``, and ``ρ = q = n/B − 1`` wherever ``(σ − 1)² + qσ²/k ≤ q``.

    Parameters
    ----------
    rng : numpy.random.Generator or int
        Rotation of the plane.
    group : int
        k ≥ 2.
    coherence : float
        σ in [1, k].
    batch_size : float
        B in (0, n/2] with ``(σ − 1)² + qσ²/k ≤ q``.

    Returns
    -------
    Extremal
        Attains unlearning coherence, single sample, direction and one step.

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
    >>> extremal.heavy_beside_group(0, 5, 1.4, batch_size=2.0).growth_factor
    2.0
    """
    rng = _checks.generator("rng", rng)
    k = _checks.integer("group", group, low=2)
    sigma = _checks.real("coherence", coherence, low=1.0, high=k, high_label="group")
    n = k + 1
    scheme = _Scheme.of((n, 0), (batch_size, 1), 0.0, "bernoulli")
    q = n / batch_size - 1.0
    other = (sigma - 1.0) ** 2 + q * sigma**2 / k
    if q < 1.0 or other > q:
        raise ValueError(
            f"batch_size must be small enough for (coherence - 1)^2 + q coherence^2/group <= q and "
            f"q = n/B - 1 >= 1, got {batch_size}: {other:g} and q = {q:g}"
        )
    basis = _rotation(rng, 2)
    rows = np.concatenate([basis[:1], np.repeat(math.sqrt(sigma / k) * basis[1:], k, axis=0)])
    none = np.zeros(0)
    scalars = [scheme.scalar(np.array([1.0]), none), scheme.scalar(np.full(k, sigma / k), none)]
    _, step = _worst(scalars, n)
    return _case(
        "heavy_beside_group",
        rows[:, None, :], n, n, (batch_size, 1), 0.0, "bernoulli", q, step,
        [COHERENCE, SINGLE, DIRECTION, ONE_STEP],
    )  # fmt: skip


def heavy_among_equals(
    rng: np.random.Generator | int,
    n_retain: int,
    light: float,
    *,
    batch_size: float,
    sampling: str,
) -> Extremal:
    r"""One sample of curvature 1 among equal ones of curvature ``light``, along one direction.

    At ``η = 1/h̄`` the mean vanishes, and ``ρ = η² c n/(n−1) (1 − h̄)²``: for
    fixed-size batches the coherence bound is attained at any ``σ = n h̄`` in (1, n).

    Parameters
    ----------
    rng : numpy.random.Generator or int
        Signs of the factors.
    n_retain : int
        At least 2.
    light : float
        In [0, 1).
    batch_size : float
        Of the retain set, below n unless with replacement; there is no forget set.
    sampling : {"without_replacement", "with_replacement"}

    Returns
    -------
    Extremal
        Attains single sample, unlearning coherence, trace, direction and one step.

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
    >>> case = extremal.heavy_among_equals(0, 4, 1 / 3, batch_size=2,
    ...                                    sampling="without_replacement")
    >>> round(case.step_size, 12), round(case.growth_factor, 12)
    (2.0, 0.111111111111)
    """
    rng = _checks.generator("rng", rng)
    n = _checks.integer("n_retain", n_retain, low=2)
    t = _checks.real("light", light, low=0.0, high=1.0, high_open=True)
    _checks.choice("sampling", sampling, SAMPLINGS[1:])
    c, _ = _noise("batch_size", n, batch_size, sampling)
    if c == 0.0:
        raise ValueError(f"batch_size must be < n_retain={n}, got {batch_size}")
    curvatures = np.concatenate([[1.0], np.full(n - 1, t)])
    mean = (1.0 + (n - 1) * t) / n
    eta = 1.0 / mean
    rho = eta * eta * c * n / (n - 1.0) * (1.0 - mean) ** 2
    noise = rho / (eta * eta)
    factors = (rng.choice([-1.0, 1.0], size=n) * np.sqrt(curvatures))[:, None, None]
    return _case(
        "heavy_among_equals",
        factors, n, eta, (batch_size, 1), 0.0, sampling, rho,
        2.0 * mean / (mean * mean + noise), [SINGLE, COHERENCE, TRACE, DIRECTION, ONE_STEP],
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
    scheme = _Scheme.of((n_retain, n_forget), batch_size, alpha, sampling)
    drift, spread, frames = 0.0, 0.0, []
    for s, (name, n) in enumerate((("n_retain", n_retain), ("n_forget", n_forget))):
        if s == 1 and n == 0:
            continue
        _checks.integer(name, n, low=d)
        norm, a, (c, e) = (1.0, 0.5)[s], scheme.weights[s], scheme.noise[s]
        drift += (a, -a)[s] * norm / d
        spread += a * a * n * norm**2 * (c / d - e / d**2)
        frames.append(math.sqrt(norm) * _harmonic_frame(n, d) @ _rotation(rng, d))
    rho, step = _worst([(drift, spread)], step_size)
    attained = [TRACE, ONE_STEP]
    attained += [OPERATOR] * (drift > 0.0 and (sampling == "bernoulli" or scheme.silent))
    factors = np.concatenate(frames)[:, None, :]
    return _case(
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
    _checks.choice("sampling", sampling, SAMPLINGS[:2])
    batch = (n_retain, max(n_forget, 1))
    _Scheme.of((n_retain, n_forget), batch, alpha, sampling)
    _checks.real("alpha", alpha, low=0.0, high=1.0, high_open=True)
    rows = rng.standard_normal((n_retain + n_forget, d)) / math.sqrt(d)
    retain, forget = rows[:n_retain], rows[n_retain:]
    mix = (1.0 - alpha) * retain.T @ retain / n_retain - alpha * forget.T @ forget / batch[1]
    mu = np.linalg.eigvalsh(mix)
    rho, step = _worst([(float(v), 0.0) for v in mu], step_size)
    attained = [MEAN, DIRECTION, ONE_STEP] + [OPERATOR] * bool(mu[0] > 1e-9 * mu[-1])
    return _case(
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
    _checks.choice("sampling", sampling, SAMPLINGS)

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
    if sampling != "with_replacement":
        cases.append(
            full_batches(rng, d, frame[0], n_f, step_size=step(), alpha=0.05 * (n_f > 0),
                         sampling=sampling)
        )  # fmt: skip
    if sampling == "bernoulli":
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


def _noise(name: str, n: int, batch: float, sampling: str) -> tuple[float, float]:
    """Coefficients (c, e) of one set's noise: ``Cov(x_i, x_j)/B² = c δ_ij − e/n``."""
    n = _checks.integer("n", n, low=1)
    if sampling == "bernoulli":
        b = _checks.real(name, batch, low=0.0, high=n, low_open=True, high_label="n")
        return (1.0 - b / n) / (n * b), 0.0
    b = _checks.integer(name, batch, low=1, high=n, high_label="n")
    if sampling == "with_replacement":
        c = 1.0 / (n * b)
    else:
        c = 0.0 if n == 1 else (n - b) / (n * b * (n - 1.0))
    return c, c


def _gain(n: int, batch: float, sampling: str) -> float:
    """``q``: noise of a lone sample over its squared mean, ``n/B − 1`` or ``(n − 1)/B``."""
    return (n - 1.0) / batch if sampling == "with_replacement" else n / batch - 1.0


def _worst(scalars: list[tuple[float, float]], step_size: float) -> tuple[float, float]:
    """Largest ``(1 − ηd)² + η²N`` over the directions, and the smallest ``2d/(d² + N)``."""
    eta = _checks.real("step_size", step_size, low=0.0)
    rho = max((1.0 - eta * d) ** 2 + eta * eta * noise for d, noise in scalars)
    steps = [2.0 * d / (d * d + noise) if d > 0.0 else 0.0 for d, noise in scalars]
    return rho, min(steps)


def _rotation(rng: np.random.Generator, d: int) -> FloatArray:
    """Uniform orthogonal matrix."""
    q, r = np.linalg.qr(rng.standard_normal((d, d)))
    result: FloatArray = q * np.sign(np.diag(r))
    return result


def _harmonic_frame(n: int, d: int) -> FloatArray:
    """Real harmonic frame: n unit vectors in d ≤ n dimensions with ``Σ zzᵀ = (n/d) I``."""
    angles = 2.0 * np.pi * np.arange(n) / n
    columns = [np.full(n, 1.0)] if d % 2 or d == n else []
    if d == n and d % 2 == 0:
        columns.append(np.where(np.arange(n) % 2, -1.0, 1.0))
    for k in range(1, (d - len(columns)) // 2 + 1):
        columns += [math.sqrt(2.0) * np.cos(k * angles), math.sqrt(2.0) * np.sin(k * angles)]
    return np.stack(columns, axis=1) / math.sqrt(d)


def _case(
    family: str,
    factors: FloatArray,
    n_retain: int,
    step_size: float,
    batch_size: tuple[float, float],
    alpha: float,
    sampling: str,
    rho: float,
    step: float,
    attained: list[str],
) -> Extremal:
    return Extremal(
        family=family,
        retain=np.ascontiguousarray(factors[:n_retain]),
        forget=np.ascontiguousarray(factors[n_retain:]),
        step_size=float(step_size),
        batch_size=(batch_size[0], batch_size[1]),
        alpha=float(alpha),
        sampling=sampling,
        growth_factor=float(rho),
        critical_step_size=float(step),
        attained=tuple(attained),
    )
