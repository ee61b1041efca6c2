"""Claims: how fast signal-plus-noise data reach their coherence, outliers and escape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

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
    Rate,
    fit_rate,
    judge_rates,
    rate_figure,
    sampled_rate,
)
from rmtstab.theory import signal_plus_noise
from rmtstab.theory.cnn import escape as cnn_escape
from rmtstab.unlearning.problem import UnlearningProblem

Rng = np.random.Generator
Record = dict[str, Any]
COHERENCE = (Rate("leading", ONE, (NONE, HALF, SOFT_EDGE, THREE_HALVES)),)
OUTLIERS = (
    Rate("larger_class", HALF, (NONE, SOFT_EDGE, ONE), mean=ONE),
    Rate("smaller_class", HALF, (NONE, SOFT_EDGE, ONE), mean=ONE),
    Rate("edge", SOFT_EDGE, (NONE, HALF, ONE)),
)
ESCAPE = (
    Rate("linear_noise/curvature", SOFT_EDGE, (NONE, HALF, ONE)),
    Rate("linear_signal/curvature", HALF, (NONE, THIRD, SOFT_EDGE, ONE), mean=ONE),
    Rate("cnn_signal/curvature", HALF, (NONE, THIRD, SOFT_EDGE, ONE)),
)


def coherence_rates(rng: Rng, scale: float = 1.0) -> dict[str, Any]:
    """Rates of the coherence and its corrections, coverage of both intervals, few dimensions."""
    delta = 0.1

    def gram(n: int, dim: int, snr: float) -> FloatArray:
        x = rng.standard_normal((n, dim))
        x[:, 0] = snr * math.sqrt(dim)
        return np.asarray(x @ x.T)

    def parts(n: int, dim: int, snr: float) -> tuple[float, float]:
        k = gram(n, dim, snr)
        return float(np.linalg.eigvalsh(np.abs(k))[-1]), float(k.diagonal().max())

    leading, second, ratio = [], [], []
    sizes, draws = (64, 128, 256), (300, 200, 120)
    for n, m in zip(sizes, draws, strict=True):
        # s/√dim = 0.6 at every size: at a fixed SNR the signal takes over, and errors fall faster
        snr = math.sqrt(0.6) / (2 * n) ** 0.25
        found = signal_plus_noise.coherence_interval(n, 2 * n, snr, delta)
        pairs = np.array([parts(n, 2 * n, snr) for _ in range(m)])
        leading.append(pairs[:, 0] / (scale * found.numerator_mean_bounds[0]) - 1.0)
        second.append(pairs[:, 0] / (scale * found.numerator) - 1.0)
        width = 0.5 * (found.asymptotic[1] - found.asymptotic[0])
        ratio.append((pairs[:, 0] / pairs[:, 1] - found.mean) / width)
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
        pairs = np.array([parts(n, 4, 0.0) for _ in range(40)])
        few.append(
            float((pairs[:, 0] / pairs[:, 1]).mean()) / signal_plus_noise.coherence(n, 4, 0.0) - 1.0
        )
    record = {
        "leading": fit_rate(sizes, leading),
        "second_order": fit_rate(sizes, second),
        "coherence_over_width": fit_rate(sizes, ratio),
        "coverage": coverage,
        "delta": delta,
        "few_dimensions": few,
    }
    return {**record, "figure": rate_figure(record, COHERENCE)}


def judge_coherence(record: Record) -> Outcome:
    """1/n, told from its neighbours; three dimensions of noise more than 5 % off."""
    return judge_rates(record, COHERENCE, min(record["few_dimensions"]), least=0.05)


def outlier_rates(rng: Rng, scale: float = 1.0) -> dict[str, Any]:
    """Rates of outlier and bulk edge; two classes inside their intervals, and how much is used."""
    theta = (6.0, 4.0)  # n_k SNR² of the two classes, beyond c + √c = 1.2
    ratio = 0.5

    def sample(n: int, sizes: tuple[int, ...], snr: float, uneven: bool = False) -> FloatArray:
        dim = round(n / ratio)
        x = rng.standard_normal((n, dim))
        if uneven:
            x *= np.exp(0.5 * rng.standard_normal((n, 1)) - 0.25)  # E scale² = 1
        x[:, : len(sizes)] = 0.0
        start = 0
        for k, size in enumerate(sizes):
            x[start : start + size, k] = snr * math.sqrt(dim)
            start += size
        return np.asarray(np.linalg.eigvalsh(x @ x.T))

    sizes, draws = (48, 96, 192, 384), (400, 300, 200, 100)

    def outlier_errors(n: int, draws: int, uneven: bool = False) -> FloatArray:
        first = round(n * theta[0] / sum(theta))
        snr = math.sqrt(sum(theta) / n)
        bounds = signal_plus_noise.spectral_bounds(
            n, round(n / ratio), snr, 0.05, classes=(first, n - first)
        )
        tops = [sample(n, (first, n - first), snr, uneven)[:-3:-1] for _ in range(draws)]
        return np.array(tops) / (scale * np.array(bounds.outliers)) - 1.0

    def edge(n: int, uneven: bool = False) -> float:
        limit = signal_plus_noise.spectral_bounds(n, round(n / ratio), 0.0, 0.05).bulk[1]
        return float(sample(n, (n,), 0.0, uneven)[-1]) / (scale * limit) - 1.0

    errors = [outlier_errors(n, m) for n, m in zip(sizes, draws, strict=True)]

    delta, inside, used, weyl = 0.05, 0, [], []
    cases = [((40, 20), 0.5), ((30, 30), 2.0), ((50, 10), 1.0)]
    repeats = 60
    for classes, snr in cases:
        bounds = signal_plus_noise.spectral_bounds(60, 120, snr, delta, classes=classes)
        tops = np.array([sample(60, classes, snr)[[-1, -2]] for _ in range(repeats)])
        ends = np.array(bounds.outlier_intervals)
        inside += int(((tops >= ends[:, 0]) & (tops <= ends[:, 1])).all(axis=1).sum())
        needed = np.ptp(np.quantile(tops[:, 0], [delta / 2, 1 - delta / 2]))
        used.append(float(needed / (ends[0, 1] - ends[0, 0])))
        weyl.append(float((ends[0, 1] - ends[0, 0]) / np.diff(bounds.top_interval)[0]))
    record = {
        "larger_class": fit_rate(sizes, [e[:, 0] for e in errors]),
        "smaller_class": fit_rate(sizes, [e[:, 1] for e in errors]),
        "edge": sampled_rate((128, 256, 512, 1024), (200, 120, 60, 30), edge),
        "inside": inside / (repeats * len(cases)),
        "draws": repeats * len(cases),
        "delta": delta,
        "width_needed": used,
        "width_over_weyl": weyl,
        # The nearest failure: noise of lognormal level. Median errors, both outliers and the edge.
        "uneven_noise": [
            float(np.median(e))
            for e in (*outlier_errors(192, 20, True).T, [edge(192, True) for _ in range(20)])
        ],
    }
    return {**record, "figure": rate_figure(record, OUTLIERS)}


def judge_outliers(record: Record) -> Outcome:
    """Both outliers and the edge at their rates; each a fifth or more off in uneven noise."""
    return judge_rates(record, OUTLIERS, min(record["uneven_noise"]), least=0.2)


ESCAPING = {  # SNR, whether the CNN
    "linear_noise": (0.0, False),
    "linear_signal": (1.0, False),
    "cnn_noise": (0.0, True),
    "cnn_signal": (1.0, True),
}
ESCAPE_SIZES = (96, 192, 384)
ESCAPE_DRAWS = {  # as many as it takes to tell a slope from its nearest neighbours
    "linear_noise": (1000, 600, 250),
    "linear_signal": (1200, 800, 400),
    "cnn_noise": (240, 160, 100),
    "cnn_signal": (800, 500, 200),
}


def escape_rate_of(name: str, rng: Rng, scale: float = 1.0) -> Record:
    """Fitted rates of the escape's curvature and Ψ in one setting of `ESCAPING`."""
    snr, network = ESCAPING[name]
    alpha = 0.3

    def errors(n: int, draws: int) -> FloatArray:
        n_f, dim, filters = n // 3, 2 * n, n
        formula = (
            cnn_escape(n - n_f, n_f, dim, snr, filters, alpha)
            if network
            else signal_plus_noise.escape(n - n_f, n_f, dim, snr, alpha)
        )
        found = []
        for _ in range(draws):
            grams = cnn_gram if network else linear_gram
            gram = grams(n, dim, snr, filters, rng)
            curvature, resistance = escape_of(gram, n_f, alpha)
            found.append(
                (
                    curvature / (scale * formula.curvature) - 1.0,
                    math.log(resistance / (scale * formula.resistance)),
                )
            )
        return np.array(found)

    found = [errors(n, m) for n, m in zip(ESCAPE_SIZES, ESCAPE_DRAWS[name], strict=True)]
    return {
        "curvature": fit_rate(ESCAPE_SIZES, [e[:, 0] for e in found]),
        "resistance": fit_rate(ESCAPE_SIZES, [e[:, 1] for e in found]),
    }


def escape_rates(rng: Rng, scale: float = 1.0) -> dict[str, Any]:
    """Rates of the escape's curvature and Ψ, linear data and CNN; a noise-driven failure."""
    result: dict[str, Any] = {name: escape_rate_of(name, rng, scale) for name in ESCAPING}
    # The nearest failure: batches so small that their noise drives the escape.
    shares: dict[str, list[float]] = {}
    for _ in range(8):
        problem = UnlearningProblem.from_gram(linear_gram(60, 30, 0.0, 0, rng), 48)
        for batch in ((48, 12), (8, 4), (2, 1)):
            step = 0.5 * float(problem.critical_step_size(batch, 0.0))
            dyn = problem.dynamics(step_size=step, batch_size=batch, alpha=0.2)
            mean = math.log1p(-step * float(np.min(dyn.mean_eigenvalues)))
            shares.setdefault(str(batch), []).append(mean / float(dyn.escape_rate()))
    result["mean_share"] = {batch: float(np.mean(values)) for batch, values in shares.items()}
    return {**result, "figure": rate_figure(result, ESCAPE)}


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
        mutation=1.02,
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
        mutation=1.02,
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
        mutation=1.02,
        judge=judge_escape,
        long=True,
    ),
)
