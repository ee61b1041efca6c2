"""How many eigenvalues are signal: tests with a stated error rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab.laws._interval_probability import wishart
from rmtstab.laws.base import FloatArray
from rmtstab.laws.tracy_widom import TracyWidom

EXACT_RATIO = 40  # eigenvalues up to which the law of λ₁/trace is computed, not expanded


@dataclass(frozen=True, repr=False)
class SpikeCount(Record):
    """Number of eigenvalues above the noise, and the tests that gave it.

    Attributes
    ----------
    n_spikes : int
        Tests passed in a row; ``int()`` gives it too.
    level : float
        Of each test: the probability of one spike too many, at most, as the sizes grow.
    p_values : ndarray, shape (n_spikes + 1,), float64
        Of the largest remaining eigenvalue, after 0, 1, ... spikes; the last one stopped.
    scales : ndarray, shape (n_spikes + 1,), float64
        Noise variance under each hypothesis.
    """

    dimensions: ClassVar = {
        "p_values": ("test",),
        "scales": ("test",),
    }

    n_spikes: int
    level: float
    p_values: FloatArray
    scales: FloatArray

    def __int__(self) -> int:
        return self.n_spikes


def number_of_spikes(
    eigenvalues: Any,
    n_samples: int,
    n_features: int | None = None,
    *,
    level: float = 0.05,
    scale: float | None = None,
    dyson_index: int = 1,
    max_spikes: int | None = None,
) -> SpikeCount:
    r"""Count the eigenvalues above the noise by sequential tests of the largest one.

    After `k` spikes the largest remaining eigenvalue is compared with the law it has if
    the rest is white noise of ``n_samples - k`` samples and ``n_features - k`` features: that of
    `WishartMax` for a known `scale`, that of its ratio to the trace,

    .. math:: P\Big(\frac{\lambda_1}{\mathrm{tr}} \le \frac{X}{2N}\Big) \propto
        \int \frac{e^{iN\tau}}{(1+i\tau)^N}\,P\big(\lambda_1 \le X(1+i\tau)\big)\,d\tau,
        \qquad N = \tfrac12 n p,

    for an unknown one. The first that is not significant ends the count.

    Parameters
    ----------
    eigenvalues : array_like, shape (n_features,) or (min(n_samples, n_features),)
        Of the sample covariance ``X.T @ X / n_samples``, all or the nonzero ones, in any order.
    n_samples : int
        One less than the number of rows if their mean was taken out.
    n_features : int, optional
        The number of eigenvalues when not given.
    level : float
        Of each test, in (0, 1).
    scale : float, optional
        Variance of the noise; estimated from the remaining eigenvalues when not given.
    dyson_index : {1, 2}
        Real or complex data.
    max_spikes : int, optional
        Where to stop; one less than the number of nonzero eigenvalues when not given.

    Returns
    -------
    SpikeCount

    Raises
    ------
    TypeError, ValueError
        If an argument is outside its range.

    Notes
    -----
    With pure Gaussian noise the first test has its level: exactly, up to 40 nonzero
    eigenvalues (100 for a known scale), and within .003 beyond, where the Tracy–Widom
    law takes over, corrected for the ratio. After true spikes the level is asymptotic. Spikes
    below the transition ``1 + sqrt(n_features / n_samples)`` cannot be seen by any such test.

    References
    ----------
    S. Kritchman and B. Nadler, IEEE Trans. Signal Process. 57 (2009), 3930. B. Nadler,
    J. Multivariate Anal. 102 (2011), 363, eq. (5) (ratio). I. M. Johnstone, Ann. Statist. 29
    (2001), 295. The integral is derived in docs/laws/finite_n.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.laws import number_of_spikes
    >>> X = np.random.default_rng(0).standard_normal((200, 50))
    >>> X[:, 0] *= 3
    >>> number_of_spikes(np.linalg.eigvalsh(X.T @ X / 200), n_samples=200).n_spikes
    1
    """
    values, n, p = read_spectrum(eigenvalues, n_samples, n_features)
    rate = _checks.real("level", level, low=0.0, high=1.0, low_open=True, high_open=True)
    dyson_index = _checks.choice("dyson_index", dyson_index, (1, 2))
    variance = None if scale is None else _checks.real("scale", scale, low=0.0, low_open=True)
    if variance is not None:
        _checks.ratio("eigenvalues", values, "scale", variance)
    most = values.size - 1
    if max_spikes is not None:
        most = min(most, _checks.integer("max_spikes", max_spikes, low=0))
    remaining = np.cumsum(values[::-1])[::-1]
    most = min(most, int(np.count_nonzero(values)) - 1)  # zeros hold no spikes
    p_values, scales = [], []
    for k in range(most + 1):
        sides = n - k, p - k
        if variance is None:
            p_values.append(ratio_sf(values[k] / remaining[k], *sides, dyson_index))
            scales.append(remaining[k] * n / (sides[0] * sides[1]))
        else:
            p_values.append(largest_sf(values[k] * n / variance, *sides, dyson_index))
            scales.append(variance)
        if p_values[-1] > rate:
            break
    count = len(p_values) - (1 if p_values[-1] > rate else 0)
    return SpikeCount(min(count, most), rate, np.array(p_values), np.array(scales))


def read_spectrum(eigenvalues: Any, n_samples: Any, n_features: Any) -> tuple[FloatArray, int, int]:
    """Return the nonzero eigenvalues in decreasing order, and the shape of the data."""
    values = np.sort(_checks.array("eigenvalues", eigenvalues, ndim=1))[::-1]
    n = _checks.integer("n_samples", n_samples, low=1)
    p = values.size if n_features is None else _checks.integer("n_features", n_features, low=1)
    rank = min(n, p)
    if values.size not in (p, rank):
        raise ValueError(
            f"eigenvalues must be all n_features={p} or the nonzero min(n_samples, n_features)"
            f"={rank}, got {values.size}"
        )
    top = float(values[0]) if values.size else 0.0
    if top <= 0.0 or values[-1] < -1e-8 * top:
        low = float(values[-1]) if values.size else 0.0
        raise ValueError(f"eigenvalues must be >= 0 and not all 0, got {low!r}")
    if values.size > rank and values[rank] > 1e-8 * top:
        raise ValueError(
            f"eigenvalues must hold {values.size - rank} zeros for n_samples={n} < n_features={p}, "
            f"got {float(values[rank])!r}"
        )
    return np.maximum(values[:rank], 0.0), n, p


def largest_sf(x: float, n: int, p: int, dyson_index: int) -> float:
    """P(λ₁ > x) of a white Wishart matrix, without the tables of `WishartMax`."""
    from rmtstab.laws.wishart_max import WishartMax

    large, small = max(n, p), min(n, p)
    law = WishartMax(large, small, dyson_index)
    if not law.is_exact:
        return float(law.sf(x))
    return math.exp(wishart(large, small, dyson_index).log_exceedance(math.sqrt(x), upper=True))


def ratio_sf(ratio: float, n: int, p: int, dyson_index: int) -> float:
    """P(λ₁/trace > ratio) of a white Wishart matrix."""
    large, small = max(n, p), min(n, p)
    if ratio >= 1.0 or small == 1:
        return 1.0 if small == 1 else 0.0
    if ratio <= 1.0 / small:
        return 1.0
    if small == 2:  # (2 ratio - 1)² has a beta law
        half = 0.5 * (large - 1.0) if dyson_index == 1 else large - 1.0
        rest = 4.0 * ratio * (1.0 - ratio)  # 1 - (2 ratio - 1)²
        return float(special.betainc(half, 0.5 * (1 + dyson_index), rest))
    shape = 0.5 * dyson_index * large * small
    x = ratio * large * small
    if small <= EXACT_RATIO:
        return _inverted(x, large, small, dyson_index, shape)
    step = 0.02 * (math.sqrt(large) + math.sqrt(small)) ** 2 / math.cbrt(small * small)
    low, middle, high = (largest_sf(x + k * step, large, small, dyson_index) for k in (-1, 0, 1))
    slope, bend = (high - low) / (2.0 * step), (high - 2.0 * middle + low) / step**2
    return float(min(max(middle - (x * slope + 0.5 * x * x * bend) / shape, 0.0), 1.0))


def _inverted(x: float, n: int, p: int, dyson_index: int, shape: float) -> float:
    """Invert the Laplace transform in the trace by the trapezoidal rule through the saddle."""
    # |1 + iτ|^-shape falls below 1e-11 at the last angle; for 3 x 3 below 1e-6 at 20
    last = min(math.sqrt(math.expm1(2.0 * 25.0 / shape)), 20.0)
    step = min(0.35 / math.sqrt(shape), max(0.02, 0.2 / shape))
    angles = np.asarray(step * np.arange(math.ceil(last / step) + 1), dtype=np.float64)
    kernel = np.exp(1j * shape * (angles - np.arctan(angles)) - 0.5 * shape * np.log1p(angles**2))
    weight = np.where(angles == 0.0, 0.5, 1.0)
    values = wishart(n, p, dyson_index).fixed_trace(
        math.sqrt(x), shape, np.asarray(angles, dtype=np.float64)
    )
    total = float(np.sum(weight * kernel.real))
    inside = float(np.sum(weight * (kernel * values).real)) / total
    return min(max(1.0 - inside, 0.0), 1.0)


@dataclass(frozen=True, repr=False)
class PattersonTest(Record):
    """Tracy–Widom statistics of principal components, as EIGENSOFT prints them.

    Attributes
    ----------
    statistics : ndarray, shape (n_eigenvalues,), float64
        Of each eigenvalue against those from it on.
    p_values : ndarray, shape (n_eigenvalues,), float64
    effective_samples : ndarray, shape (n_eigenvalues,), float64
        The effective number of markers.
    """

    dimensions: ClassVar = {
        "statistics": ("component",),
        "p_values": ("component",),
        "effective_samples": ("component",),
    }

    statistics: FloatArray
    p_values: FloatArray
    effective_samples: FloatArray


def patterson_tw(eigenvalues: Any) -> PattersonTest:
    r"""Patterson, Price and Reich's test of principal components, as ``twstats`` does it.

    Of the `m` eigenvalues from the k-th on, with mean 1,

    .. math:: n' = \frac{m(m+2)}{\sum\lambda_i^2 - m}, \qquad x = \frac{n'\lambda_1 - \mu}{\sigma},
        \quad \mu = (\sqrt{n'-1}+\sqrt m)^2,

    :math:`\sigma = (\sqrt{n'-1}+\sqrt m)\,((n'-1)^{-1/2}+m^{-1/2})^{1/3}`, against the Tracy–Widom
    law of index 1; with :math:`n'` and `m` exchanged where :math:`n' < m`.

    Parameters
    ----------
    eigenvalues : array_like, shape (n_eigenvalues,)
        The nonzero ones, at least 2: of `M` individuals with the mean taken out, `M - 1`.

    Returns
    -------
    PattersonTest
        NaN where the remaining eigenvalues are all alike, as the last one is.

    Raises
    ------
    TypeError, ValueError
        If the eigenvalues are not positive numbers.

    Notes
    -----
    The effective number absorbs correlation between markers. It also absorbs signal: under
    strong structure the first tests are conservative. Statistics and effective numbers
    are those that ``twstats`` prints, which leaves the last nine out. It interpolates a table of
    the Tracy–Widom law, and takes an asymptotic tail beyond it; here the law is exact.

    References
    ----------
    N. Patterson, A. L. Price and D. Reich, PLoS Genetics 2 (2006), e190, eqs. (5)-(10).

    Examples
    --------
    >>> from rmtstab.laws import patterson_tw
    >>> found = patterson_tw([5.0, 1.3, 1.2, 1.1, 1.0, 0.9, 0.8, 0.7])
    >>> found.statistics[:2].round(4).tolist()
    [0.5824, -1.3163]
    """
    values = np.sort(_checks.array("eigenvalues", eigenvalues, ndim=1))[::-1]
    if values.size < 2:
        raise ValueError(f"eigenvalues must be at least 2, got {values.size}")
    if values[-1] <= 0.0:
        raise ValueError(f"eigenvalues must be > 0, got {float(values[-1])!r}")
    values = values / values[0]  # the statistics have no scale
    m = np.arange(values.size, 0, -1.0)
    total = np.cumsum(values[::-1])[::-1]
    squares = np.cumsum(values[::-1] ** 2)[::-1] * (m / total) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = np.where(squares > m, m * (m + 2.0) / (squares - m), np.nan)
        effective[-1] = np.nan
        # the larger of both counts loses one
        a, b = np.sqrt(np.maximum(effective, m) - 1.0), np.sqrt(np.minimum(effective, m))
        scale = (a + b) * (1.0 / a + 1.0 / b) ** (1.0 / 3.0)
        statistics = (effective * values * m / total - (a + b) ** 2) / scale
    return PattersonTest(statistics, TracyWidom(1).sf(statistics), effective)


@dataclass(frozen=True, repr=False)
class ParallelAnalysis(Record):
    """Components whose eigenvalues exceed those of data without structure.

    Attributes
    ----------
    n_components : int
        Of eigenvalues in a row above their threshold; ``int()`` gives it too.
    eigenvalues : ndarray, shape (rank,), float64
        Of the sample covariance (or correlation), decreasing.
    thresholds : ndarray, shape (rank,), float64
        Quantiles of the same eigenvalues over the draws.
    """

    dimensions: ClassVar = {
        "eigenvalues": ("component",),
        "thresholds": ("component",),
    }

    n_components: int
    eigenvalues: FloatArray
    thresholds: FloatArray

    def __int__(self) -> int:
        return self.n_components


def parallel_analysis(
    data: Any,
    *,
    n_draws: int = 99,
    level: float = 0.05,
    correlation: bool = False,
    rng: Any = None,
) -> ParallelAnalysis:
    """Horn's parallel analysis: eigenvalues against those of independently permuted columns.

    Parameters
    ----------
    data : array_like, shape (n_samples, n_features)
        At least 3 samples; means of the columns are taken out.
    n_draws : int
        Permuted data sets.
    level : float
        An eigenvalue counts if it exceeds the ``1 - level`` quantile of its rank.
    correlation : bool
        Whether to scale columns to unit variance first.
    rng : Generator or int, optional
        Source of randomness, or its seed; a fresh one when not given.

    Returns
    -------
    ParallelAnalysis

    Raises
    ------
    TypeError, ValueError
        If an argument is outside its range, or a column is constant (`correlation`).

    Notes
    -----
    Permuting keeps each column's own distribution, heavy tails included, which the
    white-noise tests of `number_of_spikes` do not. Eigenvalues of large
    factors inflate the permuted variance too: weak factors behind strong ones are missed
    (Dobriban's shadowing); then test sequentially.

    References
    ----------
    J. L. Horn, Psychometrika 30 (1965), 179. A. Buja and N. Eyuboglu, Multivariate Behav.
    Res. 27 (1992), 509 (permutations). E. Dobriban, Ann. Statist. 48 (2020), 2824.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.laws import parallel_analysis
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 20)) + 2 * rng.standard_normal((200, 1))
    >>> parallel_analysis(X, rng=1).n_components
    1
    """
    table = _checks.array("data", data, ndim=2)
    if table.shape[0] < 3 or table.shape[1] < 1:
        raise ValueError(f"data must have at least 3 rows and a column, got shape {table.shape}")
    draws = _checks.integer("n_draws", n_draws, low=1)
    rate = _checks.real("level", level, low=0.0, high=1.0, low_open=True, high_open=True)
    source = np.random.default_rng() if rng is None else _checks.generator("rng", rng)
    centred = table - table.mean(axis=0)
    if _checks.flag("correlation", correlation):
        spread = centred.std(axis=0)
        if (spread == 0.0).any():
            raise ValueError(f"data must not have constant columns, got column {spread.argmin()}")
        centred = centred / spread

    def spectrum(matrix: FloatArray) -> FloatArray:
        return np.asarray(np.linalg.svd(matrix, compute_uv=False) ** 2 / len(matrix))

    seen = spectrum(centred)
    null = np.array([spectrum(source.permuted(centred, axis=0)) for _ in range(draws)])
    thresholds = np.quantile(null, 1.0 - rate, axis=0)
    above = seen > thresholds
    return ParallelAnalysis(int(above.size if above.all() else above.argmin()), seen, thresholds)
