"""Extremal families with one heavy sample: single-sample and coherence bounds are attained."""

from __future__ import annotations

import math

import numpy as np

from rmtstab import _checks
from rmtstab.ensembles._extremal_case import (
    COHERENCE,
    DIRECTION,
    ONE_STEP,
    SINGLE,
    TRACE,
    Extremal,
    SetNoise,
    case_of,
    gain,
    noise_of,
    rotation,
    worst,
)
from rmtstab.sampling import BERNOULLI, SCHEMES, Scheme


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
    noise = SetNoise.of((n_retain, n_forget), batch_size, alpha, sampling)
    n_retain, n_forget = noise.sizes
    alpha = _checks.real("alpha", alpha, low=0.0, high=1.0, high_open=True)
    gains = [gain(n, float(b), noise.scheme) if a else math.inf
             for n, b, a in zip(noise.sizes, batch_size, noise.weights, strict=True)]  # fmt: skip
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
    rows = np.sqrt(np.concatenate([retain, forget]))[:, None] * rotation(rng, n_retain + n_forget)
    none = np.zeros(0)
    scalars = [noise.scalar(np.array([h]), none) for h in retain]
    if alpha > 0.0:
        scalars += [noise.scalar(none, np.array([h])) for h in forget]
    _, step = worst(scalars, eta)
    attained = [DIRECTION, ONE_STEP, SINGLE] + [COHERENCE] * (gains[0] <= gains[1])
    return case_of(
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
    noise = SetNoise.of((n, 0), (batch_size, 1), 0.0, BERNOULLI.name)
    q = n / batch_size - 1.0
    other = (sigma - 1.0) ** 2 + q * sigma**2 / k
    if q < 1.0 or other > q:
        raise ValueError(
            f"batch_size must be small enough for (coherence - 1)^2 + q coherence^2/group <= q and "
            f"q = n/B - 1 >= 1, got {batch_size}: {other:g} and q = {q:g}"
        )
    basis = rotation(rng, 2)
    rows = np.concatenate([basis[:1], np.repeat(math.sqrt(sigma / k) * basis[1:], k, axis=0)])
    none = np.zeros(0)
    scalars = [noise.scalar(np.array([1.0]), none), noise.scalar(np.full(k, sigma / k), none)]
    _, step = worst(scalars, n)
    return case_of(
        "heavy_beside_group",
        rows[:, None, :], n, n, (batch_size, 1), 0.0, BERNOULLI.name, q, step,
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
    _checks.choice("sampling", sampling, [scheme.name for scheme in SCHEMES if scheme.fixed_size])
    c, _ = noise_of("batch_size", n, batch_size, Scheme.named(sampling))
    if c == 0.0:
        raise ValueError(f"batch_size must be < n_retain={n}, got {batch_size}")
    curvatures = np.concatenate([[1.0], np.full(n - 1, t)])
    mean = (1.0 + (n - 1) * t) / n
    eta = 1.0 / mean
    rho = eta * eta * c * n / (n - 1.0) * (1.0 - mean) ** 2
    noise = rho / (eta * eta)
    factors = (rng.choice([-1.0, 1.0], size=n) * np.sqrt(curvatures))[:, None, None]
    return case_of(
        "heavy_among_equals",
        factors, n, eta, (batch_size, 1), 0.0, sampling, rho,
        2.0 * mean / (mean * mean + noise), [SINGLE, COHERENCE, TRACE, DIRECTION, ONE_STEP],
    )  # fmt: skip
