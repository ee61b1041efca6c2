r"""Two-layer ReLU CNN on signal-plus-noise data: curvature, escape and resistance in closed form.

Sample i of class ±1 has curvature factor ``√s u_± + ξ̃_i``: the m filters
active on the class's signal patch give ``s = ‖μ‖²/m`` along one direction a
class, the masked noise gives Gram entries ``b⟨ξ_i, ξ_k⟩/dim`` off the diagonal
and ``κ + b‖ξ_i‖²/dim`` on it, with ``b = κ = σ_p² dim/(2m)``: half the filters
active on a sample are shared with another, half are its own (independent
masks). Unit noise; multiply curvatures by σ_p² for other noise. The forget set
is balanced between the classes.

Per-set resolvents then close in one unknown y. For ``e = −x`` an eigenvalue
of ``D(α)``, ``u = κ + by``, ``p_R = n_r/(1−α)``, ``p_F = n_f/α``,

    (1 − 1/y) dim/b = n_f/(x p_F − u) − n_r/(x p_R + u),

the bulk's edge is where ``dx/dy = 0``, and the signal adds an eigenvalue of
each class where the right-hand side equals ``2/s``. Everything below is
derived in docs/theory/cnn.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from rmtstab import _checks
from rmtstab._results import Coherence, FloatArray
from rmtstab.theory.escape import Escape, EscapeRate, deepest, protocol_step_size, rate_of
from rmtstab.theory.escape_noise import BatchResistance, Model, with_batches
from rmtstab.theory.extremes import expected_maximum, folded_normal_mean
from rmtstab.theory.volterra import volterra_step_size


def escape(
    n_retain: int, n_forget: int, dim: int, snr: float, filters: int, alpha: float
) -> Escape:
    r"""Most negative curvature of ``D(α)`` and the resistance along it.

    ``Ψ = [(x − uα/n_f)/(x + u(1−α)/n_r)]²``, increasing in SNR towards
    ``(α/(1−α))²`` for α < ½ and towards 1 above.

    Parameters
    ----------
    n_retain, n_forget : int
        Set sizes, each half of either class.
    dim : int
        Dimension of a patch.
    snr : float
        ‖μ‖/(σ_p√dim), ≥ 0.
    filters : int
        Filters per sign, m.
    alpha : float
        Mixing in (0, 1).

    Returns
    -------
    Escape

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    Limit of dim, n → ∞ at fixed ratio with independent masks; mean dynamics
    only (large batches or small steps). In few dimensions the approach is slow (Ψ 19 % high at
    n = 600, dim = 10). Fails where mini-batch noise drives
    the escape, and, above α ≈ ½, where few forget samples a class make their
    mean noise fluctuate.

    References
    ----------
    Derived in docs/theory/cnn.

    See Also
    --------
    rmtstab.dynamics : the exact resistance of a given network.

    Examples
    --------
    >>> from rmtstab.theory import cnn
    >>> [round(cnn.escape(48, 12, 150, snr, 8, 0.3).resistance, 3) for snr in (0.02, 0.3, 2.0)]
    [0.008, 0.028, 0.167]
    """
    n_retain, n_forget, dim, snr, filters = _check(n_retain, n_forget, dim, snr, filters)
    half = dim / (2.0 * filters)
    return deepest(
        n_retain,
        n_forget,
        dim,
        alpha,
        own=half,
        shared=half,
        signal=snr**2 * dim / filters,
        classes=2,
    )


def spectrum(n: int, dim: int, snr: float, filters: int) -> FloatArray:
    r"""Deterministic spectrum of the mean curvature ``H = Σ z_i z_iᵀ/n``.

    Two outliers (one a class) at ``(u + sn/2)/n`` when they leave the bulk,
    ``u = κ + b/(1 − 2b/(s·dim))``, and bulk quantiles of
    ``(κ + b·MP(n/dim))/n``.

    Parameters
    ----------
    n, dim : int
        Number of samples, dimension of a patch.
    snr : float
        ≥ 0.
    filters : int
        Filters per sign, m.

    Returns
    -------
    ndarray, shape (n,), float64
        Descending, in units of σ_p².

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    Limit of many filters, where every sample has half of them active. At finite m the counts
    vary: on independent masks (n = 48, dim = 150) the top comes out 22 % low at SNR 0 and 14 %
    at SNR 1 for m = 8, 9 % for m = 32; the median 2 to 4 % high, the least 28 and 11 % high.
    `bulk_density` takes the counts as they are.

    References
    ----------
    Derived in docs/theory/cnn.

    Examples
    --------
    >>> from rmtstab.theory import cnn
    >>> values = cnn.spectrum(48, 150, 2.0, 8)
    >>> bool(values[0] == values[1] > 10 * values[2])
    True
    """
    from rmtstab.laws import MarchenkoPastur

    n = _checks.integer("n", n, low=2)
    n, _, dim, snr, filters = _check(n, n, dim, snr, filters)
    own = shared = dim / (2.0 * filters)
    law = MarchenkoPastur(aspect_ratio=n / dim)
    values = own + shared * law.ppf((np.arange(n, 0, -1) - 0.5) / n)
    signal = snr**2 * dim / filters
    if signal > 2.0 * shared / dim:
        y = 1.0 / (1.0 - 2.0 * shared / (signal * dim))
        theta = n * signal / (2.0 * shared)  # signal over noise; compare the spiked transition
        ratio = n / dim
        if theta > ratio + math.sqrt(ratio):
            bulk = own + shared * law.ppf((np.arange(n - 2, 0, -1) - 0.5) / (n - 2))
            values = np.concatenate([np.full(2, own + shared * y + signal * n / 2.0), bulk])
    return np.asarray(values / n, dtype=np.float64)


def escape_rate(
    n_retain: int,
    n_forget: int,
    dim: int,
    snr: float,
    filters: int,
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
    n_retain, n_forget, dim, snr, filters, alpha
        As in `escape`.
    protocol : {"common", "sgd_scaled", "sharpness_scaled"}
        The given ``step_size``; half of plain SGD's Volterra threshold on `spectrum` at
        ``batch_size``; ``0.05/λ_max(H_R)``.
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
    As for linear data, the order in SNR is reversed at a common step.

    References
    ----------
    Derived in docs/theory/signal_plus_noise.

    Examples
    --------
    >>> from rmtstab.theory import cnn
    >>> def steps(snr, **how):
    ...     return round(cnn.escape_rate(48, 12, 150, snr, 8, 0.3, **how).e_fold_steps)
    >>> [steps(snr, protocol="common", step_size=0.02) for snr in (0.02, 2.0)]
    [84, 51]
    >>> [steps(snr, protocol="sharpness_scaled") for snr in (0.02, 2.0)]
    [22, 771]
    """
    found = escape(n_retain, n_forget, dim, snr, filters, alpha)
    values = spectrum(n_retain, dim, snr, filters)
    step = protocol_step_size(
        protocol,
        step_size=step_size,
        threshold=None
        if batch_size is None
        else lambda: volterra_step_size(values, n_retain, batch_size, sampling),
        sharpness=lambda: float(values[0]),
    )
    return rate_of(protocol, step, found)


def resistance(
    n_retain: int,
    n_forget: int,
    dim: int,
    snr: float,
    filters: int,
    alpha: float,
    step_size: float,
    batch_size: tuple[float, float],
    sampling: str = "without_replacement",
) -> BatchResistance:
    r"""Resistance Ψ along the escape under mini-batches, to first order in their noise.

    Parameters
    ----------
    n_retain, n_forget, dim, snr, filters, alpha
        As in `escape`.
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
    As for linear data, with independent masks and many filters (m = 8: the same correction
    within 1 % at SNR 1, not at 0.3). **Fails** at n = 60 and SNR 0.3, the signal's transition:
    0.945 here, 1.11 sampled.

    References
    ----------
    Derived in docs/theory/escape_noise.

    See Also
    --------
    rmtstab.theory.signal_plus_noise.resistance : the same for linear data.

    Examples
    --------
    >>> from rmtstab.theory import cnn
    >>> found = cnn.resistance(192, 48, 600, 1.0, 64, 0.3, 5e-4, (32, 8))
    >>> bool(found.value > found.mean_only)
    True
    """
    n_retain, n_forget, dim, snr, filters = _check(n_retain, n_forget, dim, snr, filters)
    found = escape(n_retain, n_forget, dim, snr, filters, alpha)
    half = dim / (2.0 * filters)
    model = Model((n_retain, n_forget), dim, half, half, snr**2 * dim / filters, 2)
    sharpness = float(spectrum(n_retain, dim, snr, filters)[0])
    return with_batches(model, found, sharpness, step_size, batch_size, alpha, sampling)


def coherence(n_retain: int, n_forget: int, dim: int, snr: float, filters: int) -> Coherence:
    r"""Expected coherence on the three axes: Perron value of ``E|K|`` over ``E max_i K_ii``.

    Within a class ``E|K_ik| = E|s + (b/√dim) g|``, across ``(b/√dim) E|g|``;
    the diagonal is ``s + T‖ξ‖²/m`` with ``T ~ Binomial(2m, ½)/m`` active filters.

    Parameters
    ----------
    n_retain, n_forget, dim, snr, filters
        As in `escape`.

    Returns
    -------
    Coherence
        ``unlearning`` is NaN: it needs a mixing.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Notes
    -----
    The two classes share no signal filter, so σ saturates near half the set's
    size. Trained masks are not independent; a few percent to 20 % at n = 60.

    References
    ----------
    Derived in docs/theory/cnn.

    Examples
    --------
    >>> from rmtstab.theory import cnn
    >>> round(cnn.coherence(48, 12, 150, 50.0, 8).retain, 1)
    24.0
    """
    n_retain, n_forget, dim, snr, filters = _check(n_retain, n_forget, dim, snr, filters)
    signal = snr**2 * dim / filters
    width = math.sqrt(dim) / (2.0 * filters)
    within = folded_normal_mean(signal, width)
    across = folded_normal_mean(0.0, width)
    diagonal = signal + dim / filters
    total = 2 * filters
    spread = int(10.0 * math.sqrt(total)) + 1  # beyond 20 standard deviations: below 1e-40
    counts = np.arange(max(0, filters - spread), min(total, filters + spread) + 1)
    logs = special.gammaln(counts + 1) + special.gammaln(total - counts + 1)
    chances = np.exp(logs.min() - logs)
    chances /= chances.sum()

    def cdf(x: FloatArray) -> FloatArray:
        """Of the noise part of a diagonal entry, in units of dim/m."""
        with np.errstate(divide="ignore"):  # no active filter: the entry is 0
            arguments = dim * x[:, None] * filters / counts / 2
        values: FloatArray = special.gammainc(dim / 2, arguments) @ chances
        return values

    sizes = {n_retain, n_forget, n_retain + n_forget}
    largest = {n: signal + dim / filters * expected_maximum(n, cdf) for n in sizes}

    def axis(n: int) -> float:
        perron = diagonal + (n / 2.0 - 1.0) * within + n / 2.0 * across
        return max(1.0, perron / largest[n])

    perron = math.sqrt(n_retain * n_forget) * 0.5 * (within + across)
    cross = perron / math.sqrt(largest[n_retain] * largest[n_forget])
    return Coherence(
        axis(n_retain), axis(n_forget), cross, axis(n_retain + n_forget), math.nan, None
    )


def bulk_density(
    x: FloatArray, counts: FloatArray, dim: int, filters: int, *, smoothing: float = 1e-3
) -> FloatArray:
    r"""Noise bulk of the CNN's Gram matrix at finite m, from the active-filter counts.

    Density of ``(1/2m)[TΞΞᵀT + diag(‖ξ_i‖²(2T_i − T_i²))]``, ``T_i = N_i/m``:
    ``m(z) = mean 1/(κ(2T_i − T_i²) + bT_i²y − z)`` with
    ``1/y = 1 + (b/dim) Σ T_i² /(κ(2T_i − T_i²) + bT_i²y − z)``.

    Parameters
    ----------
    x : ndarray, shape (k,)
        Where to evaluate, in the units of K.
    counts : ndarray, shape (n,)
        Filters active on each sample's noise patch, N_i in [0, 2m].
    dim, filters : int
    smoothing : float, default 1e-3
        Distance above the real axis, over the spectrum's width, at which the
        density is taken: edges and the atoms of single counts are rounded on
        that scale.

    Returns
    -------
    ndarray, shape (k,), float64

    Raises
    ------
    ValueError
        If a count is outside [0, 2m] or the smoothing is not positive.

    References
    ----------
    Deterministic equivalent of a Gram matrix with a variance profile of rank
    one; derived in docs/theory/cnn.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.theory import cnn
    >>> grid = np.linspace(0, 80, 800)
    >>> mass = cnn.bulk_density(grid, np.full(60, 8.0), 150, 8).sum() * (grid[1] - grid[0])
    >>> bool(abs(mass - 1) < 0.02)
    True
    """
    x = _checks.array("x", x, ndim=1)
    counts = _checks.array("counts", counts, ndim=1)
    dim, filters = _checks.integer("dim", dim, low=1), _checks.integer("filters", filters, low=1)
    if not counts.size:
        raise ValueError("counts must hold a sample's count, got none")
    smoothing = _checks.real("smoothing", smoothing, low=0.0, low_open=True)
    if counts.size and (counts.min() < 0 or counts.max() > 2 * filters):
        raise ValueError(
            f"counts must lie in [0, 2m={2 * filters}], got {counts.min()}…{counts.max()}"
        )
    t = counts / filters
    shared = dim / (2.0 * filters)
    shift, gain = shared * (2.0 * t - t * t), shared * t * t
    z = x[:, None] + 1j * smoothing * float((shift + 4.0 * gain).max(initial=1e-300))
    y = np.ones((len(x), 1), dtype=complex)
    for _ in range(2000):
        new = 1.0 / (1.0 + (gain / dim / (shift + gain * y - z)).sum(1, keepdims=True))
        if np.abs(new - y).max(initial=0.0) < 1e-10:
            break
        y = 0.5 * (y + new)
    density: FloatArray = (1.0 / (shift + gain * y - z)).mean(1).imag / np.pi
    return density


def _check(
    n_retain: int, n_forget: int, dim: int, snr: float, filters: int
) -> tuple[int, int, int, float, int]:
    return (
        _checks.integer("n_retain", n_retain, low=2),
        _checks.integer("n_forget", n_forget, low=1),
        _checks.integer("dim", dim, low=2),
        _checks.real("snr", snr, low=0.0, high=1e100),
        _checks.integer("filters", filters, low=1),
    )
