"""Checks of sharpness and coherence: the inequalities that given numbers must obey."""

from __future__ import annotations

import math

from rmtstab import _checks

ROUNDING = 1e-9  # relative slack of input checks: numbers come out of eigen-solvers


def check_coherence(name: str, sigma: float, n: int, outputs: int) -> float:
    """Refuse a coherence outside ``[1, n√C]``, naming the inequality that it breaks.

    Parameters
    ----------
    name : str
        What the error calls it.
    sigma : float
    n : int
        Number of samples.
    outputs : int
        C.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If σ is no number or outside that range.
    """
    sigma = _checks.real(name, sigma, low=0.0)
    n, outputs = _checks.integer("n", n, low=1), _checks.integer("outputs", outputs, low=1)
    if sigma < 1.0 - ROUNDING:
        raise ValueError(
            f"{name} must be at least 1 (λ_max(S) >= max S_ii >= max λ_max(H_i)), got {sigma:g}"
        )
    most = n * math.sqrt(outputs)
    if sigma > most * (1.0 + ROUNDING):
        raise ValueError(
            f"{name} must be at most n*sqrt(C) = {most:g} (S_ij <= sqrt(C) max λ_max(H_i)), "
            f"got {sigma:g}"
        )
    return sigma


def check_mean_sharpness(name: str, mean: float, sample: float, n: int) -> float:
    """Refuse a set's sharpness outside ``[ℓ/n, ℓ]``, naming the inequality that it breaks.

    Parameters
    ----------
    name : str
        What the error calls it.
    mean : float
        ``λ_max`` of the set's mean.
    sample : float
        ℓ, the largest sample's.
    n : int
        Size of the set; nothing more is known of an empty one's.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If the sharpness is no number or outside that range.
    """
    mean = _checks.real(name, mean, low=0.0)
    if n == 0:
        return mean
    if mean > sample * (1.0 + ROUNDING):
        raise ValueError(
            f"{name} must be at most the largest sample's (λ_max(mean) <= max λ_max = {sample:g}), "
            f"got {mean:g}"
        )
    if mean < sample / n * (1.0 - ROUNDING):
        raise ValueError(
            f"{name} must be at least ℓ/n = {sample / n:g} (the mean holds H_i/n), got {mean:g}"
        )
    return mean
