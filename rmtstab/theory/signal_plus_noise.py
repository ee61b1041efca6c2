"""Signal-plus-noise data: coherence, spectrum, escape and resistance against the SNR.

The model is ``K = s 11ᵀ + ΞΞᵀ`` with n noise rows of dimension ``dim`` and
unit variance (multiply by σ_p² for other noise), ``s = SNR² dim``.
"""

from __future__ import annotations

import math
from typing import Any

from scipy import special

from rmtstab import _checks
from rmtstab._results import Threshold
from rmtstab.laws import Spiked
from rmtstab.theory.coherence_interval import CoherenceInterval, coherence_interval
from rmtstab.theory.escape import Escape, EscapeRate, deepest, protocol_step_size, rate_of
from rmtstab.theory.escape_noise import BatchResistance, Model, with_batches
from rmtstab.theory.extremes import expected_maximum, folded_normal_mean
from rmtstab.theory.spectral_bounds import SpectralBounds, spectral_bounds
from rmtstab.theory.volterra import law_step_size

__all__ = [
    "BatchResistance",
    "CoherenceInterval",
    "SpectralBounds",
    "coherence",
    "coherence_interval",
    "escape",
    "escape_rate",
    "expected_maximum",
    "folded_normal_mean",
    "resistance",
    "retain_sharpness",
    "retain_step_size",
    "spectral_bounds",
]


def coherence(n: int, dim: int, snr: float) -> float:
    r"""Expected coherence σ of the signal-plus-noise Gram matrix.

    ``σ ≈ [1 + SNR² + (n−1) E|SNR² + g/√dim|] / (SNR² + E max_i ‖ξ_i‖²/dim)``
    with ``g ~ N(0, 1)``: ``1 + n√(2/(π dim))`` as SNR → 0, n as SNR → ∞.

    Parameters
    ----------
    n, dim : int
        Number of samples, dimension of a patch.
    snr : float
        ‖μ‖/(σ_p√dim), ≥ 0.

    Returns
    -------
    float
        In [1, n], up to the approximation.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    1–4 % from sampled values at n = 60–300 with dim ≥ n; fails for dim ≪ n,
    where ``|K|`` has no dominating Perron direction of ones.

    References
    ----------
    Derived in docs/theory (folded-normal mean and χ² maximum).

    Examples
    --------
    >>> from rmtstab.theory.signal_plus_noise import coherence
    >>> round(coherence(60, 150, 0.0), 1), round(coherence(60, 150, 20.0), 1)
    (3.8, 59.8)
    """
    n, dim, snr = _check(n, dim, snr)
    row = 1.0 + snr**2 + (n - 1) * folded_normal_mean(snr**2, 1.0 / math.sqrt(dim))
    return row / (snr**2 + expected_maximum(n, lambda x: special.gammainc(dim / 2, dim * x / 2)))


def escape(
    n_retain: int, n_forget: int, dim: int, snr: float, alpha: float, *, classes: int = 1
) -> Escape:
    r"""Most negative curvature of ``D(α)`` of the data itself, and the resistance along it.

    The curvature of a linear model: ``H_i = x_i x_iᵀ``, ``x_i = μ + ξ_i``. With
    ``p_R = n_r/(1−α)``, ``p_F = n_f/α`` and ``u = (dim−1) y``,

    ``1 − 1/y = n_f/(x p_F − u) − n_r/(x p_R + u)``:

    the noise's edge at ``dx/dy = 0``, the signal's eigenvalue at
    ``y = 1/(1 − classes/(SNR² dim))``; ``Ψ = [(x − uα/n_f)/(x + u(1−α)/n_r)]²``.

    Parameters
    ----------
    n_retain, n_forget : int
        Set sizes, balanced between the classes.
    dim : int
        Dimension of a patch.
    snr : float
        ‖μ‖/(σ_p√dim), ≥ 0.
    alpha : float
        Mixing in (0, 1).
    classes : int, default 1
        Orthogonal signal directions: 1 when the label's sign is divided out.

    Returns
    -------
    Escape
        Curvature in units of σ_p²; 0, and NaN for the resistance, where the retain set holds
        the ascent: below Wachter's mixing, ``theory.wachter.critical_alpha``.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    Limit of dim, n → ∞ at fixed ratios; mean dynamics only. A draw's x strays from it by
    ``n^{-2/3}`` at the noise's edge and ``n^{-1/2}`` through the signal, its Ψ by ``n^{-1/2}``
    at the edge (7 %, 9 % and 17 % at n = 96). The noise's edge is that of
    `rmtstab.laws.DescentAscent`. Through the signal, at fixed SNR, Ψ tends to
    ``(α/(1−α))²`` for α < ½ and to 1 above.

    References
    ----------
    Derived in docs/theory/signal_plus_noise.

    See Also
    --------
    rmtstab.theory.cnn.escape : the same for the two-layer CNN.

    Examples
    --------
    >>> from rmtstab.theory import signal_plus_noise
    >>> [round(signal_plus_noise.escape(48, 12, 150, snr, 0.3).resistance, 3)
    ...  for snr in (0.02, 0.3, 2.0)]
    [0.024, 0.052, 0.175]
    """
    n_retain = _checks.integer("n_retain", n_retain, low=1)
    n_forget = _checks.integer("n_forget", n_forget, low=1)
    dim = _checks.integer("dim", dim, low=2)
    snr = _checks.real("snr", snr, low=0.0, high=1e100)
    classes = _checks.integer("classes", classes, low=1, high=min(n_retain, n_forget))
    return deepest(
        n_retain,
        n_forget,
        dim - 1,
        alpha,
        own=0.0,
        shared=dim - 1.0,
        signal=snr**2 * dim,
        classes=classes,
    )


def retain_step_size(
    n_retain: int, dim: int, snr: float, batch_size: float, sampling: str = "without_replacement"
) -> Threshold:
    r"""Plain SGD's Volterra threshold on the retain set of the data itself.

    `rmtstab.theory.volterra.law_step_size` of ``(dim/n_r)·Spiked(n_r/dim, θ = n_r SNR²)``,
    the additive law of ``K/n_r``.

    Parameters
    ----------
    n_retain, dim : int
    snr : float
    batch_size : float
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    Threshold
        In units of 1/σ_p².

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Examples
    --------
    >>> from rmtstab.theory.signal_plus_noise import retain_step_size
    >>> round(float(retain_step_size(48, 150, 0.3, 16)), 4)
    0.1143
    """
    n_retain, dim, snr = _check(n_retain, dim, snr, name="n_retain")
    theta = n_retain * snr**2
    law = Spiked(n_retain / dim, [theta] if theta else [], "additive", dim / n_retain)
    return law_step_size(law, n_retain, n_retain, batch_size, sampling)


def retain_sharpness(n_retain: int, dim: int, snr: float) -> float:
    r"""Limit of ``λ_max(H_R)``: the signal's outlier, or the noise's edge.

    Parameters
    ----------
    n_retain, dim : int
    snr : float

    Returns
    -------
    float
        In units of σ_p².

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Examples
    --------
    >>> from rmtstab.theory.signal_plus_noise import retain_sharpness
    >>> round(retain_sharpness(48, 150, 0.0), 3), round(retain_sharpness(48, 150, 1.0), 3)
    (7.661, 153.146)
    """
    n_retain, dim, snr = _check(n_retain, dim, snr, name="n_retain")
    bounds = spectral_bounds(n_retain, dim, snr, 0.5)
    top = bounds.bulk[1] if math.isnan(bounds.outlier) else bounds.outlier
    return top / n_retain


def escape_rate(
    n_retain: int,
    n_forget: int,
    dim: int,
    snr: float,
    alpha: float,
    *,
    protocol: str,
    step_size: float | None = None,
    batch_size: float | None = None,
    sampling: str = "without_replacement",
) -> EscapeRate:
    r"""Rate ``log(1 + ηx)`` of the mean's escape under a step-size protocol.

    Parameters
    ----------
    n_retain, n_forget, dim, snr, alpha
        As in `escape`.
    protocol : {"common", "sgd_scaled", "sharpness_scaled"}
        The given ``step_size``; half of plain SGD's Volterra threshold at ``batch_size`` on the
        retain set; ``0.05/λ_max(H_R)``.
    step_size : float, optional
        For ``"common"``.
    batch_size : float, optional
        For ``"sgd_scaled"``, of the retain set.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    EscapeRate

    Raises
    ------
    ValueError
        If an argument is outside its range, missing, or set by the protocol.

    Notes
    -----
    **The order in SNR depends on the protocol**: rates rise with SNR at a common step,
    and fall where the step follows SGD's threshold or the sharpness (α < ½). The
    resistance does not depend on it. Batch noise, where it drives the escape, adds to
    the rate.

    References
    ----------
    Derived in docs/theory/signal_plus_noise.

    Examples
    --------
    >>> from rmtstab.theory.signal_plus_noise import escape_rate
    >>> def steps(snr, **how):
    ...     return round(escape_rate(48, 12, 150, snr, 0.3, **how).e_fold_steps, 1)
    >>> [steps(snr, protocol="common", step_size=0.001) for snr in (0.02, 2.0)]
    [177.3, 125.8]
    >>> [steps(snr, protocol="sharpness_scaled") for snr in (0.02, 2.0)]
    [27.6, 1511.7]
    """
    found = escape(n_retain, n_forget, dim, snr, alpha)
    step = protocol_step_size(
        protocol,
        step_size=step_size,
        threshold=None
        if batch_size is None
        else lambda: float(retain_step_size(n_retain, dim, snr, batch_size, sampling)),
        sharpness=lambda: retain_sharpness(n_retain, dim, snr),
    )
    return rate_of(protocol, step, found)


def resistance(
    n_retain: int,
    n_forget: int,
    dim: int,
    snr: float,
    alpha: float,
    step_size: float,
    batch_size: tuple[float, float],
    sampling: str = "without_replacement",
) -> BatchResistance:
    r"""Resistance Ψ along the escape under mini-batches, to first order in their noise.

    ``Ψ = (h_R + C_R)/(h_F + C_F)``, ``h_s = vᵀH_sv`` of `escape` and C_s what noise adds to each
    loss: an integral of two resolvents over a circle.

    Parameters
    ----------
    n_retain, n_forget, dim, snr, alpha
        As in `escape`; one class.
    step_size : float
        η > 0, in units of 1/σ_p².
    batch_size : (float, float)
        Retain and forget batch.
    sampling : {"bernoulli", "without_replacement", "with_replacement"}

    Returns
    -------
    BatchResistance

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range.

    Notes
    -----
    Limit of dim, n → ∞ at fixed ratios and fixed noise, first order in the noise. A draw's Ψ
    strays by what its mean-only Ψ does (`escape`); the *correction*, Ψ over that of full
    batches, is within 1 % at n = 240 where ``noise`` is below 0.3. **Fails** where noise drives
    the escape (``noise`` near 1: at (16, 4) of 240 samples without signal the exact correction
    is 1.65, this 1.30), and near the signal's transition, where edge and outlier meet.

    References
    ----------
    Derived in docs/theory/escape_noise.

    See Also
    --------
    rmtstab.theory.cnn.resistance : the same for the two-layer CNN.
    rmtstab.theory.resistance.with_noise : the same of given curvatures.

    Examples
    --------
    >>> from rmtstab.theory import signal_plus_noise
    >>> found = signal_plus_noise.resistance(192, 48, 600, 0.3, 0.3, 1e-3, (16, 4))
    >>> round(found.mean_only, 3), round(found.value, 3)
    (0.119, 0.117)
    """
    n_retain, dim, snr = _check(n_retain, dim, snr, name="n_retain")
    found = escape(n_retain, n_forget, dim, snr, alpha)
    model = Model((n_retain, n_forget), dim - 1, 0.0, dim - 1.0, snr**2 * dim, 1)
    sharpness = retain_sharpness(n_retain, dim, snr)
    return with_batches(model, found, sharpness, step_size, batch_size, alpha, sampling)


def _check(n: Any, dim: Any, snr: Any, name: str = "n") -> tuple[int, int, float]:
    return (
        _checks.integer(name, n, low=2),
        _checks.integer("dim", dim, low=2),
        _checks.real("snr", snr, low=0.0, high=1e100),
    )
