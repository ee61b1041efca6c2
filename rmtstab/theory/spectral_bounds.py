"""Where the eigenvalues of a signal-plus-noise Gram matrix lie, at every n and in the limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rmtstab import _checks
from rmtstab._record import Record


@dataclass(frozen=True)
class SpectralBounds(Record):
    """Where the eigenvalues of a signal-plus-noise Gram matrix lie.

    Attributes
    ----------
    bulk : (float, float)
        Marchenko–Pastur edges, asymptotic.
    outlier : float
        Asymptotic position of the top eigenvalue if it leaves the bulk, else NaN.
    bulk_interval : (float, float)
        Holds every eigenvalue but those of the classes with probability at least
        ``1 − delta``.
    top_interval : (float, float)
        Holds the largest eigenvalue, on the same event (Weyl).
    delta : float
    outliers : tuple of float
        Asymptotic positions, one a class, the largest class first; NaN for one that stays in
        the bulk.
    outlier_intervals : tuple of (float, float)
        Hold the largest eigenvalues, one a class in decreasing order, all together with
        probability at least ``1 − delta`` (an event of their own); narrower than
        ``top_interval`` once the signal stands out.
    """

    bulk: tuple[float, float]
    outlier: float
    bulk_interval: tuple[float, float]
    top_interval: tuple[float, float]
    delta: float
    outliers: tuple[float, ...]
    outlier_intervals: tuple[tuple[float, float], ...]


def spectral_bounds(
    n: int, dim: int, snr: float, delta: float, *, classes: Any = 1
) -> SpectralBounds:
    r"""Marchenko–Pastur bulk, one outlier a class, and intervals of probability ``1 − δ``.

    With ``c = n/dim`` and ``θ_k = n_k SNR²``: bulk ``dim·(1 ± √c)²`` and, where
    ``θ_k > c + √c``, an outlier at ``dim·[θ_k + θ_k/(θ_k − c)]``. Non-asymptotically,
    with ``t = √(2 log(2/δ))``, all singular values of Ξ lie in
    ``[(√p − √n − t)₊, √p + √n + t]``, ``p = dim − 1``; Weyl's inequalities for the
    shifts ``s n_k``, ``s = SNR² dim``, do the rest. For the outliers, with C classes,
    ``t = √(2 log(4/δ))`` and

    ``a± = (√p ± √C ± t)²``, ``β = (√p + √C + t)(√C + √(n−C) + t)``, ``κ = (√p + √(n−C) + t)²``,

    the k-th eigenvalue lies between ``s n_k + a₋`` and the larger root of
    ``(λ − s n_k − a₊)(λ − κ) = β²``.

    Parameters
    ----------
    n, dim : int
        Number of samples and dimension of a patch (the noise has dim − 1).
    snr : float
        ‖μ‖/(σ_p√dim), ≥ 0.
    delta : float
        Probability of failure, in (0, 1).
    classes : int or sequence of int, default 1
        Number of classes, balanced up to one sample, or their sizes, whose signal masks do
        not overlap; 1 where all samples share the signal's direction.

    Returns
    -------
    SpectralBounds
        In units of σ_p².

    Raises
    ------
    ValueError
        If an argument is outside its range, or class sizes do not add up to n.

    Notes
    -----
    Hypotheses: Gaussian noise, independent rows, labels ±1 divided out, signals of different
    classes orthogonal to each other and to the noise. The intervals hold at every n and
    dim; for n > p the smallest n − p eigenvalues but for one a class are 0.

    References
    ----------
    Davidson & Szarek 2001, Theorem II.13, for the singular values; Benaych-Georges
    & Nadakuditi 2011 for the outliers; their intervals are derived in
    docs/theory/signal_plus_noise.

    Examples
    --------
    >>> from rmtstab.theory.signal_plus_noise import spectral_bounds
    >>> bounds = spectral_bounds(60, 150, 1.0, delta=0.05)
    >>> round(bounds.outlier), [round(edge) for edge in bounds.bulk]
    (9151, [20, 400])
    >>> two = spectral_bounds(60, 150, 1.0, delta=0.05, classes=(40, 20))
    >>> [round(value) for value in two.outliers]
    [6152, 3153]
    >>> [(round(low), round(high)) for low, high in two.outlier_intervals]
    [(6061, 6282), (3061, 3289)]
    """
    n = _checks.integer("n", n, low=2)
    dim = _checks.integer("dim", dim, low=2)
    snr = _checks.real("snr", snr, low=0.0, high=1e100)
    delta = _checks.real("delta", delta, low=0, high=1, low_open=True, high_open=True)
    sizes = _class_sizes(classes, n)
    c, p, count = n / dim, math.sqrt(dim - 1), len(sizes)
    root = math.sqrt(c)
    edges = (dim * (1.0 - root) ** 2 if c < 1 else 0.0, dim * (1.0 + root) ** 2)
    outliers = tuple(_outlier(size * snr**2, c) * dim for size in sizes)
    t = math.sqrt(2.0 * math.log(2.0 / delta))
    low = max(p - math.sqrt(n) - t, 0.0) ** 2
    high = (p + math.sqrt(n) + t) ** 2
    shift = sizes[0] * snr**2 * dim

    t = math.sqrt(2.0 * math.log(4.0 / delta))
    inner, rest = math.sqrt(count), math.sqrt(n - count)
    widest = p + inner + t
    least = max(p - inner - t, 0.0) ** 2
    coupling = widest * (inner + rest + t)
    others = (p + rest + t) ** 2
    intervals = tuple(
        (
            size * snr**2 * dim + least,
            _larger_root(size * snr**2 * dim + widest**2, others, coupling),
        )
        for size in sizes
    )
    return SpectralBounds(
        edges, outliers[0], (low, high), (shift + low, shift + high), delta, outliers, intervals
    )


def _outlier(theta: float, c: float) -> float:
    return theta + theta / (theta - c) if theta > c + math.sqrt(c) else math.nan


def _larger_root(a: float, b: float, coupling: float) -> float:
    """Larger eigenvalue of ``[[a, coupling], [coupling, b]]``."""
    return 0.5 * (a + b) + math.hypot(0.5 * (a - b), coupling)


def _class_sizes(classes: Any, n: int) -> tuple[int, ...]:
    """Sizes in decreasing order."""
    if not isinstance(classes, list | tuple) and not getattr(classes, "ndim", 0):
        count = _checks.integer("classes", classes, low=1, high=n, high_label="n")
        return tuple(n // count + (k < n % count) for k in range(count))
    array = _checks.array("classes", classes, ndim=1)
    if not array.size or (array != array.round()).any() or array.min() < 1 or array.sum() != n:
        raise ValueError(
            f"classes must be a number or positive sizes that add up to n={n}, got {classes!r}"
        )
    return tuple(sorted((int(size) for size in array), reverse=True))
