"""Claims: how fast signal-plus-noise data reach their coherence, outliers and escape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.sparse.linalg import eigsh

from rmtstab._results import FloatArray
from rmtstab.claims.brute_force import escape_of
from rmtstab.claims.claim import Outcome, theory_claim
from rmtstab.claims.instances import cnn_gram, linear_gram
from rmtstab.claims.rates import (
    HALF,
    NONE,
    ONE,
    SOFT_EDGE,
    THIRD,
    THREE_HALVES,
    Drawn,
    Rate,
    draw_ratios,
    judge_rates,
    judged_twice,
    rate_figure,
)
from rmtstab.ensembles import SpikedWishart, Wishart
from rmtstab.theory import signal_plus_noise
from rmtstab.theory.cnn import escape as cnn_escape
from rmtstab.theory.spectral_bounds import SpectralBounds
from rmtstab.unlearning.problem import UnlearningProblem

Rng = np.random.Generator
Record = dict[str, Any]
OFF_BY = 1.02  # of the wrong theory judged beside each rate
SIGNALS = (6.0, 4.0)  # n_k SNR² of two classes, beyond c + √c = 1.2
OUTLIER_SIZES = ((64, 256, 1024, 4096), (600, 400, 400, 600))
EDGE_SIZES = ((256, 1024, 4096, 16384, 65536), (600, 400, 400, 400, 600))
COHERENCE_SIZES = ((64, 128, 256), (600, 300, 300))
COHERENCE = (Rate("leading", ONE, (NONE, HALF, SOFT_EDGE, THREE_HALVES)),)
OUTLIERS = (
    Rate("larger_class", HALF, (NONE, THIRD, SOFT_EDGE, ONE), mean=ONE),
    Rate("smaller_class", HALF, (NONE, THIRD, SOFT_EDGE, ONE), mean=ONE),
    Rate("edge", SOFT_EDGE, (NONE, THIRD, HALF, ONE)),
)
ESCAPE = (
    Rate("linear_noise/curvature", SOFT_EDGE, (NONE, HALF, ONE)),
    Rate("linear_signal/curvature", HALF, (NONE, THIRD, SOFT_EDGE, ONE), mean=ONE),
    Rate("cnn_signal/curvature", HALF, (NONE, THIRD, SOFT_EDGE, ONE)),
)


def coherence_rates(rng: Rng) -> dict[str, Any]:
    """Rates of the coherence and its corrections, coverage of both intervals, few dimensions."""
    delta = 0.1

    def parts(n: int, dim: int, snr: float) -> tuple[float, float]:
        k = linear_gram(n, dim, snr, 0, rng)
        return _perron(np.abs(k)), float(k.diagonal().max())

    leading, second, ratio = [], [], []
    sizes, draws = COHERENCE_SIZES
    for n, m in zip(sizes, draws, strict=True):
        # s/√dim = 0.6 at every size: at a fixed SNR the signal takes over, and errors fall faster
        snr = math.sqrt(0.6) / (2 * n) ** 0.25
        found = signal_plus_noise.coherence_interval(n, 2 * n, snr, delta)
        pairs = np.array([parts(n, 2 * n, snr) for _ in range(m)])
        leading.append(pairs[:, 0] / found.numerator_mean_bounds[0])
        second.append(pairs[:, 0] / found.numerator)
        width = 0.5 * (found.asymptotic[1] - found.asymptotic[0])
        ratio.append(1.0 + (pairs[:, 0] / pairs[:, 1] - found.mean) / width)
    coverage = []
    for n, dim, s in ((60, 150, 0.0), (60, 150, 0.5), (120, 120, 0.2), (40, 400, 1.5)):
        found = signal_plus_noise.coherence_interval(n, dim, s, delta)
        pairs = np.array([parts(n, dim, s) for _ in range(300)])
        values = pairs[:, 0] / pairs[:, 1]
        middle = found.mean
        halved = [middle + 0.5 * (end - middle) for end in found.asymptotic]
        coverage.append(
            {
                "n": n,
                "dim": dim,
                "snr": s,
                "below": float((values < found.asymptotic[0]).mean()),
                "above": float((values > found.asymptotic[1]).mean()),
                "outside_halved": float(((values < halved[0]) | (values > halved[1])).mean()),
                "outside_interval": float(
                    ((values < found.interval[0]) | (values > found.interval[1])).mean()
                ),
                # the width that would have covered all but delta, over the width allowed
                "width_needed": float(
                    np.diff(np.quantile(values, [delta / 2, 1 - delta / 2]))[0]
                    / (found.interval[1] - found.interval[0])
                ),
                "mean_over_sampled": middle / float(values.mean()),
                "mean_error": float(values.std(ddof=1) / math.sqrt(values.size) / values.mean()),
            }
        )
    few = []
    for n in (100, 200, 400):  # three dimensions of noise
        pairs = np.array([parts(n, 4, 0.0) for _ in range(300)])
        few.append(
            float((pairs[:, 0] / pairs[:, 1]).mean()) / signal_plus_noise.coherence(n, 4, 0.0) - 1.0
        )
    drawn = {
        "leading": Drawn(sizes, leading),
        "second_order": Drawn(sizes, second),
        "coherence_over_width": Drawn(sizes, ratio),
    }
    rest = {"coverage": coverage, "delta": delta, "few_dimensions": few}
    record = judged_twice(drawn, rest, OFF_BY)
    return {**record, "figure": rate_figure(record, COHERENCE)}


def _perron(positive: FloatArray) -> float:
    """Largest eigenvalue of a symmetric positive matrix: far above the others."""
    start = np.ones(len(positive))
    return float(eigsh(positive, k=1, v0=start, return_eigenvectors=False)[0])


def judge_coherence(record: Record) -> Outcome:
    """1/n, told from its neighbours; three dimensions of noise more than 5 % off."""
    return judge_rates(record, COHERENCE, min(record["few_dimensions"]), least=0.05)


def outlier_rates(rng: Rng) -> dict[str, Any]:
    """Rates of outlier and bulk edge; two classes inside their intervals, and how much is used.

    Outliers and edge are drawn from bands that have their exact law, at any size.
    """

    def classes_of(n: int) -> tuple[int, int]:
        first = round(n * SIGNALS[0] / sum(SIGNALS))
        return first, n - first

    def bounds(n: int) -> SpectralBounds:
        snr = math.sqrt(sum(SIGNALS) / n)
        return signal_plus_noise.spectral_bounds(n, 2 * n, snr, 0.05, classes=classes_of(n))

    def outliers(n: int) -> FloatArray:
        # two signal columns and 2n − 2 of noise; the classes' directions on the first coordinates
        shifts = [size * sum(SIGNALS) * 2.0 for size in classes_of(n)]
        return SpikedWishart(2 * n - 2, n, shifts=shifts).eigenvalues(rng, largest=2)[::-1]

    def edge(n: int) -> float:
        return float(Wishart(2 * n - 1, n).eigenvalues(rng, largest=1)[0])

    sizes, draws = OUTLIER_SIZES
    tops = draw_ratios(sizes, draws, outliers)
    ratios = [found / bounds(n).outliers for n, found in zip(sizes, tops, strict=True)]
    edge_sizes, edge_draws = EDGE_SIZES
    edges = draw_ratios(edge_sizes, edge_draws, edge)
    limits = [signal_plus_noise.spectral_bounds(n, 2 * n, 0.0, 0.05).bulk[1] for n in edge_sizes]

    delta, inside, used, weyl = 0.05, 0, [], []
    cases = [((40, 20), 0.5), ((30, 30), 2.0), ((50, 10), 1.0)]
    repeats = 60
    for classes, snr in cases:
        found = signal_plus_noise.spectral_bounds(60, 120, snr, delta, classes=classes)
        dense = np.array([_two_classes(classes, snr, rng)[[-1, -2]] for _ in range(repeats)])
        ends = np.array(found.outlier_intervals)
        inside += int(((dense >= ends[:, 0]) & (dense <= ends[:, 1])).all(axis=1).sum())
        needed = np.ptp(np.quantile(dense[:, 0], [delta / 2, 1 - delta / 2]))
        used.append(float(needed / (ends[0, 1] - ends[0, 0])))
        weyl.append(float((ends[0, 1] - ends[0, 0]) / np.diff(found.top_interval)[0]))
    # The nearest failure: noise of lognormal level. Median errors, both outliers and the edge.
    snr, n = math.sqrt(sum(SIGNALS) / 192), 192
    uneven = np.array([_two_classes(classes_of(n), snr, rng, True)[[-1, -2]] for _ in range(100)])
    noise = np.array([_two_classes((n,), 0.0, rng, True)[-1] for _ in range(20)])
    limit = signal_plus_noise.spectral_bounds(n, 2 * n, 0.0, 0.05).bulk[1]
    drawn = {
        "larger_class": Drawn(sizes, [r[:, 0] for r in ratios]),
        "smaller_class": Drawn(sizes, [r[:, 1] for r in ratios]),
        "edge": Drawn(edge_sizes, [e / top for e, top in zip(edges, limits, strict=True)]),
    }
    rest = {
        "inside": inside / (repeats * len(cases)),
        "draws": repeats * len(cases),
        "delta": delta,
        "width_needed": used,
        "width_over_weyl": weyl,
        "uneven_noise": [
            *(np.median(uneven / bounds(n).outliers, axis=0) - 1.0).tolist(),
            float(np.median(noise)) / limit - 1.0,
        ],
    }
    record = judged_twice(drawn, rest, OFF_BY)
    return {**record, "figure": rate_figure(record, OUTLIERS)}


def _two_classes(sizes: tuple[int, ...], snr: float, rng: Rng, uneven: bool = False) -> FloatArray:
    """Eigenvalues of a dense Gram matrix, one signal direction a class, ``dim = 2n``."""
    n = sum(sizes)
    x = rng.standard_normal((n, 2 * n))
    if uneven:
        x *= np.exp(0.5 * rng.standard_normal((n, 1)) - 0.25)  # E scale² = 1
    x[:, : len(sizes)] = 0.0
    start = 0
    for k, size in enumerate(sizes):
        x[start : start + size, k] = snr * math.sqrt(2 * n)
        start += size
    return np.asarray(np.linalg.eigvalsh(x @ x.T))


def judge_outliers(record: Record) -> Outcome:
    """Both outliers and the edge at their rates; each a fifth or more off in uneven noise."""
    return judge_rates(record, OUTLIERS, min(record["uneven_noise"]), least=0.2)


ESCAPING = {  # SNR, whether the CNN
    "linear_noise": (0.0, False),
    "linear_signal": (1.0, False),
    "cnn_noise": (0.0, True),
    "cnn_signal": (1.0, True),
}
ESCAPE_SIZES = {
    "linear_noise": ((48, 96, 192, 384), (1200, 300, 100, 250)),
    # its line still bends, −.46 in place of −1/2 at these sizes: an error bar of .013
    "linear_signal": ((48, 96, 192, 384), (4000, 800, 300, 700)),
    "cnn_noise": ((96, 192, 384), (240, 80, 40)),
    "cnn_signal": ((48, 96, 192, 384), (4000, 600, 200, 450)),
}


def draw_escape(name: str, rng: Rng) -> dict[str, Drawn]:
    """Draws of the escape's curvature and Ψ in one setting of `ESCAPING`."""
    snr, network = ESCAPING[name]
    alpha = 0.3
    sizes, draws = ESCAPE_SIZES[name]

    def sample(n: int) -> tuple[float, float]:
        n_f, dim, filters = n // 3, 2 * n, n
        grams = cnn_gram if network else linear_gram
        curvature, resistance = escape_of(grams(n, dim, snr, filters, rng), n_f, alpha)
        formula = (
            cnn_escape(n - n_f, n_f, dim, snr, filters, alpha)
            if network
            else signal_plus_noise.escape(n - n_f, n_f, dim, snr, alpha)
        )
        return curvature / formula.curvature, resistance / formula.resistance

    found = draw_ratios(sizes, draws, sample)
    return {
        "curvature": Drawn(sizes, [r[:, 0] for r in found]),
        "resistance": Drawn(sizes, [r[:, 1] for r in found], logarithm=True),
    }


def escape_rates(rng: Rng) -> dict[str, Any]:
    """Rates of the escape's curvature and Ψ, linear data and CNN; a noise-driven failure."""
    drawn = {
        f"{name}/{part}": draws
        for name in ESCAPING
        for part, draws in draw_escape(name, rng).items()
    }
    # The nearest failure: batches so small that their noise drives the escape.
    shares: dict[str, list[float]] = {}
    for _ in range(8):
        problem = UnlearningProblem.from_gram(linear_gram(60, 30, 0.0, 0, rng), 48)
        for batch in ((48, 12), (8, 4), (2, 1)):
            step = 0.5 * float(problem.critical_step_size(batch, 0.0))
            dyn = problem.dynamics(step_size=step, batch_size=batch, alpha=0.2)
            mean = math.log1p(-step * float(np.min(dyn.mean_eigenvalues)))
            shares.setdefault(str(batch), []).append(mean / float(dyn.escape_rate()))
    rest = {"mean_share": {batch: float(np.mean(values)) for batch, values in shares.items()}}
    record = judged_twice(drawn, rest, OFF_BY)
    return {**record, "figure": rate_figure(record, ESCAPE)}


def judge_escape(record: Record) -> Outcome:
    """Every curvature at its rate; batch noise adds more than 5 % at batches 2/1."""
    return judge_rates(record, ESCAPE, 1.0 - record["mean_share"]["(2, 1)"], least=0.05)


CLAIMS = (
    theory_claim(
        name="coherence-rate",
        statement="The Perron root behind the coherence of signal-plus-noise data is its mean "
        "formula's at 1/n.",
        latex=r"\lambda_{\max}(|K|)=1+s+(n-1)E|s+g/\sqrt d|+O(1)",
        assumptions="Gaussian noise, fixed d/n",
        normalisation="none",
        source="derived in docs/theory/signal_plus_noise",
        fails="in three dimensions of noise, however many samples",
        horizon="none",
        check=coherence_rates,
        mutation=OFF_BY,
        same_draws=True,
        judge=judge_coherence,
        long=True,
    ),
    theory_claim(
        name="outlier-rates",
        statement="One outlier a class: each is at its limit to n^(-1/2), the bulk's edge to "
        "n^(-2/3).",
        latex=r"\lambda_c=d\,[\theta_c+\theta_c/(\theta_c-n/d)]\,(1+O(n^{-1/2}))",
        assumptions="Gaussian noise, two classes of fixed shares",
        normalisation="none",
        source="derived in docs/theory/signal_plus_noise; Benaych-Georges & Nadakuditi 2011",
        fails="for samples of lognormal noise level (median distance of the nearest of the three "
        "beside it)",
        horizon="none",
        check=outlier_rates,
        mutation=OFF_BY,
        same_draws=True,
        judge=judge_outliers,
        long=True,
    ),
    theory_claim(
        name="escape-rates",
        statement="Escape curvature of signal-plus-noise data is its closed form's to n^(-2/3) at "
        "the noise's edge and n^(-1/2) through the signal, the CNN's too.",
        latex=r"x=\lim x\,(1+O(n^{-2/3})),\ (1+O(n^{-1/2}))",
        assumptions="Gaussian noise, balanced forget set, independent masks (CNN)",
        normalisation="mean dynamics",
        source="derived in docs/theory/signal_plus_noise, cnn",
        fails="at small batches, whose noise adds to the rate (the share that it adds beside it)",
        horizon="none",
        check=escape_rates,
        mutation=OFF_BY,
        same_draws=True,
        judge=judge_escape,
        long=True,
    ),
)
