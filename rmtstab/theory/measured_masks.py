r"""Escape of the two-layer ReLU CNN's mean dynamics, given the masks that training left.

Sample i has curvature factor ``(ξ_i ⊗ a_i + y_i μ ⊗ b_i)/m``: ``a_i`` and ``b_i`` are the 0/1 masks
of its noise and signal patches over the 2m filters. Given the masks, ``D(α) + x`` has on the
noise's space the deterministic resolvent ``I_dim ⊗ Y``,

    Y⁻¹ = x I + m⁻² Σ_i w_i a_i a_iᵀ/(1 + w_i h_i),    h_i = dim · a_iᵀ Y a_i/m²,

``w_i = (1−α)/n_r`` on the retain set and ``−α/n_f`` on the forget set, and a class with ``N``
filters active on its signal adds the eigenvalue ``−x`` where
``x + N(‖μ‖/m)² Σ_{i∈class} w_i/(1 + w_i h_i) = 0``. Nothing is assumed of overlaps or counts:
`rmtstab.theory.cnn` is the case of many independent masks. Derived in docs/theory/cnn.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.theory.escape import Escape

RELATIVE = 1e-3  # step of the difference quotient in the retain weight
BISECTIONS, SMALLEST = 48, 1e-15  # of a trace
SMALL = 1e-6  # mixing below which the limit is taken


def escape(
    noise_masks: Any,
    labels: Any,
    n_retain: int,
    dim: int,
    snr: float,
    alpha: float,
    *,
    signal_filters: tuple[float, float] | None = None,
) -> Escape:
    r"""Most negative curvature of ``D(α)`` and the resistance along it, from measured masks.

    ``−λ_min(D) = x(a_R, a_F)`` at ``a_R = 1 − α``, ``a_F = α`` solves the module's equations; by
    Hellmann and Feynman ``Ψ = −(∂x/∂a_R)/(∂x/∂a_F)``, and x is homogeneous of degree one.

    Parameters
    ----------
    noise_masks : array_like of bool, shape (n, 2m)
        Filters active on each sample's noise patch, retain samples first.
    labels : array_like, shape (n,)
        ±1.
    n_retain : int
    dim : int
        Dimension of a patch.
    snr : float
        ‖μ‖/(σ_p√dim), ≥ 0; noise of unit variance.
    alpha : float
        Mixing in (0, 1).
    signal_filters : (float, float), optional
        How many filters are active on +μ and on −μ; default m each.

    Returns
    -------
    Escape

    Raises
    ------
    ValueError
        If shapes do not fit or an argument is outside its range.

    Notes
    -----
    Limit of many dimensions, dim ∝ n, with noise independent of the masks; half squared error,
    mean dynamics only. Trained masks do depend on the noise, through the 2m directions of the
    filters: on networks with n = 60, dim = 150, m = 8 the formula's Ψ is off by 1 to 7 % above
    the transition (independent masks: 5 to 20 %), by a tenth to a fifth far below it, where finite
    n rounds the edge, and by a factor of 2 at the transition, where single data sets differ.

    References
    ----------
    Derived in docs/theory/cnn.

    See Also
    --------
    rmtstab.theory.cnn.escape : independent masks, in closed form.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.theory import measured_masks
    >>> masks = np.random.default_rng(0).random((60, 16)) < 0.5
    >>> found = measured_masks.escape(masks, np.tile([1, -1], 30), 48, 150, 2.0, 0.3)
    >>> round(found.resistance, 2), found.through_signal
    (0.16, True)
    """
    masks = _checks.array("noise_masks", _numbers(noise_masks), ndim=2)
    signs = _checks.array("labels", labels, ndim=1)
    n, total = masks.shape
    if signs.shape != (n,) or not np.all(np.abs(signs) == 1.0):
        raise ValueError(f"labels must be ±1, one of each of the {n} masks, got {signs.shape}")
    if not np.all((masks == 0.0) | (masks == 1.0)) or total % 2:
        raise ValueError(f"noise_masks must be 0 or 1 over 2m filters, got {total} columns")
    n_retain = _checks.integer("n_retain", n_retain, low=1, high=n - 1, high_label="n - 1")
    dim = _checks.integer("dim", dim, low=2)
    snr = _checks.real("snr", snr, low=0.0, high=1e100)
    alpha = _checks.real("alpha", alpha, low=0.0, high=1.0, low_open=True, high_open=True)
    m = total / 2.0
    active = (
        (m, m) if signal_filters is None else _checks.items("signal_filters", signal_filters, 2)
    )
    counts = [_checks.real("signal_filters", v, low=0.0, high=total) for v in active]
    strengths = np.array(counts) * snr**2 * dim / m**2
    classes = np.stack([signs > 0, signs < 0]).astype(float)

    def depth(retain: float) -> tuple[float, bool]:
        weights = np.concatenate(
            [np.full(n_retain, retain / n_retain), np.full(n - n_retain, -alpha / (n - n_retain))]
        )
        return _depth(masks / m, weights, float(dim), classes, strengths)

    if alpha < SMALL:  # x ∝ α and Ψ ∝ α² to one part in 10⁵; the difference quotient would drown
        found = escape(masks, signs, n_retain, int(dim), snr, SMALL, signal_filters=signal_filters)
        share = alpha / SMALL
        return Escape(
            share * found.curvature, share * (share * found.resistance), found.through_signal
        )
    a = 1.0 - alpha
    x, through_signal = depth(a)
    if x == 0.0:
        return Escape(0.0, math.nan, False)
    above, below = (depth(a * (1.0 + s * RELATIVE))[0] for s in (1.0, -1.0))
    by_retain = (above - below) / (2.0 * RELATIVE * a)
    by_forget = (x - a * by_retain) / alpha  # Euler, degree one
    return Escape(x, -by_retain / by_forget, through_signal)


def _numbers(masks: Any) -> Any:
    """Truth values as numbers; all else as it is, for the validator."""
    if hasattr(masks, "detach"):  # a tensor
        masks = masks.detach().cpu().numpy()
    if not isinstance(masks, list | tuple | np.ndarray):
        return masks
    try:
        given = np.asarray(masks)
    except ValueError:  # ragged: the validator says so
        return masks
    return given.astype(np.float64) if given.dtype.kind == "b" else given


def _depth(
    masks: FloatArray, weights: FloatArray, dim: float, classes: FloatArray, strengths: FloatArray
) -> tuple[float, bool]:
    """``x``, the infimum of those at which the resolvent exists and no signal has crossed 0."""

    def resolvent(x: float) -> FloatArray | None:
        return _loads(x, masks, weights, dim)

    def crossed(x: float, h: FloatArray) -> bool:
        return bool(np.any(x + strengths * (classes @ (weights / (1.0 + weights * h))) < 0.0))

    push = np.where(weights < 0.0, -weights, 0.0)
    noise = 2.0 * dim * float(push @ (masks**2).sum(axis=1))
    high = noise + 2.0 * float(push @ (classes.T @ strengths))  # a trace
    low = floor = SMALLEST * (noise or high)  # a strong signal's escape is no deeper than noise's
    through_signal = False
    for _ in range(BISECTIONS):
        middle = math.sqrt(low * high)
        h = resolvent(middle)
        if h is None or crossed(middle, h):
            low, through_signal = middle, h is not None
        else:
            high = middle
    return (high, through_signal) if low > floor else (0.0, False)


def _loads(x: float, masks: FloatArray, weights: FloatArray, dim: float) -> FloatArray | None:
    """The least solution ``h`` at ``x``; None below the edge, where there is none.

    The map is increasing in h, so that from that of the retain weights alone it climbs to the
    least fixed point, if there is one; there, and on the way, its non-negative slope has a
    spectral radius below 1. (From 0 it has not: at a small mixing the map first multiplies h.)
    """
    h = (1.0 - 1e-9) * _retained(x, masks, np.maximum(weights, 0.0), dim)
    identity = np.eye(masks.shape[1])
    for iteration in range(100):
        share = 1.0 + weights * h
        if np.any(share <= 0.0):
            return None
        inverse = x * identity + (masks.T * (weights / share)) @ masks
        try:
            root = np.linalg.cholesky(inverse)
        except np.linalg.LinAlgError:
            return None
        half = np.linalg.solve(root, masks.T)
        overlap = half.T @ half
        change = dim * np.diag(overlap) - h
        if np.abs(change).max() <= 1e-12 * dim * np.diag(overlap).max():
            return h
        if iteration >= 2:
            slope = dim * (overlap * (weights / share)) ** 2
            both = np.stack([change, np.ones(len(h))], axis=1)
            change, ones = np.linalg.solve(np.eye(len(h)) - slope, both).T
            if np.any(ones < 0.0):  # I − slope is no M-matrix: the spectral radius exceeds 1
                return None
        h = np.add(h, change, dtype=np.float64)
    return None


def _retained(x: float, masks: FloatArray, weights: FloatArray, dim: float) -> FloatArray:
    """Solve the same for weights ≥ 0: a concave map, so that Newton from above descends to it."""
    h: FloatArray = dim * (masks**2).sum(axis=1) / x
    identity = np.eye(masks.shape[1])
    for _ in range(100):
        rate = weights / (1.0 + weights * h)
        overlap = masks @ np.linalg.solve(x * identity + (masks.T * rate) @ masks, masks.T)
        change = dim * np.diag(overlap) - h
        if np.abs(change).max() <= 1e-11 * np.abs(h).max():
            break
        slope = dim * (overlap * rate) ** 2
        h = h + np.linalg.solve(np.eye(len(h)) - slope, change)
    return h
