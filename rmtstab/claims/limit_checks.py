"""How fast the high-dimensional limits are reached, and where they fail: sampled, as numbers.

Each check draws instances of several sizes, takes the relative distance of each from the closed
form, and fits the slope of its size against n on logarithmic axes. The error bar of a slope is
the one propagated from the draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.claims.rates import fit_rate
from rmtstab.theory import descent_ascent, signal_plus_noise, volterra, wachter
from rmtstab.theory.cnn import escape as cnn_escape
from rmtstab.theory.escape import Escape
from rmtstab.unlearning.problem import UnlearningProblem

Rng = np.random.Generator
Sample = Callable[[int], float]


def volterra_rates(rng: Rng) -> dict[str, Any]:
    """Rates of the Volterra thresholds against the exact one, and what heavy norms do.

    ``noise``: isotropic, noise-limited; ``mean``: isotropic, mean-limited; ``spiked``: below the
    cap of a spike, with its correction, and ``spiked_leading`` without;
    ``corner``: where both meet, without the correction; ``capped``: beyond the corner.
    """

    def errors(gamma: int, share: float, spikes: list[float], leading: bool = False) -> Sample:
        def sample(n: int) -> float:
            dim, batch = gamma * n, share * n
            if leading:
                cap = volterra.spiked_step_size(n, dim, spikes, n, "bernoulli")
                bulk = volterra.isotropic_step_size(n, dim, batch, "bernoulli")
                found = min(float(bulk), float(cap))
            else:
                found = float(volterra.spiked_step_size(n, dim, spikes, batch, "bernoulli"))
            return _exact_threshold(_population(n, dim, spikes, rng), batch) / found - 1.0

        return sample

    few, many = ((48, 96, 192), (60, 45, 30)), ((32, 64, 128, 256), (160, 120, 80, 40))
    corner = 1.0 / 5.0  # B/(1 − B/n) = dim/(ℓ − 1) at dim = n, ℓ = 5
    result = {
        "noise": _rate(*few, errors(4, 0.2, []), "median"),
        "mean": _rate(*many, errors(1, 0.8, [])),
        "spiked": _rate(*few, errors(4, 0.2, [6.0]), "median"),
        "spiked_leading": _rate(*few, errors(4, 0.2, [6.0], True), "median"),
        "corner": _rate(*many, errors(1, corner, [5.0], True)),
        "capped": _rate((40, 80, 160, 320), (200, 150, 100, 40), errors(1, 0.6, [9.0])),
    }
    # The nearest failures, both of unequal norms: lognormal ones, and a spike of order dim.
    heavy: dict[str, list[float]] = {"lognormal": [], "large_spike": [], "signal": []}
    sizes = (64, 128, 256)
    for n in sizes:
        batch = 8.0
        ratios: dict[str, list[float]] = {name: [] for name in heavy}
        for _ in range(6):
            x = rng.standard_normal((n, n))
            scale = np.exp(0.5 * rng.standard_normal((n, 1)) - 0.25)  # E scale² = 1
            iso = float(volterra.isotropic_step_size(n, n, batch, "bernoulli"))
            ratios["lognormal"].append(_exact_threshold(scale * x, batch) / iso - 1.0)
            spikes = [0.5 * n]
            found = float(volterra.spiked_step_size(n, n, spikes, batch, "bernoulli"))
            exact = _exact_threshold(_population(n, n, spikes, rng), batch)
            ratios["large_spike"].append(exact / found - 1.0)
            x[:, 0] = math.sqrt(0.5 * n)  # the same energy at one length: a signal
            found = float(
                signal_plus_noise.retain_step_size(n, n, math.sqrt(0.5), batch, "bernoulli")
            )
            ratios["signal"].append(_exact_threshold(x, batch) / found - 1.0)
        for name, values in ratios.items():
            heavy[name].append(float(np.mean(values)))
    return {**result, "unequal_norms": {"sizes": list(sizes), **heavy}}


def wachter_rates(rng: Rng) -> dict[str, Any]:
    """Rate of Wachter's limit, its Tracy–Widom law at finite size, and heavy-tailed factors."""

    def ratios(dim: int) -> tuple[int, int]:
        return 4 * dim, 2 * dim

    def relative(dim: int) -> float:
        n_r, n_f = ratios(dim)
        limit = wachter.critical_alpha(dim / n_r, dim / n_f)
        return _sampled_alpha(n_r, n_f, dim, 0.0, rng) / limit - 1.0

    rows = []
    for n_r, n_f, dim in ((120, 60, 30), (80, 10, 40), (200, 400, 100)):
        sampled = np.array([_sampled_alpha(n_r, n_f, dim, 0.0, rng) for _ in range(400)])
        law = wachter.critical_alpha_quantile(n_r, n_f, dim)
        below = {
            str(level): float(
                (sampled < wachter.critical_alpha_quantile(n_r, n_f, dim, level).quantile).mean()
            )
            for level in (0.05, 0.5, 0.95)
        }
        rows.append(
            {
                "sizes": [n_r, n_f, dim],
                "mean_over_sampled": law.mean / float(sampled.mean()),
                "limit_over_sampled": law.limit / float(sampled.mean()),
                "error": float(sampled.std(ddof=1) / math.sqrt(sampled.size) / sampled.mean()),
                "below_quantile": below,
                "draws": int(sampled.size),
            }
        )
    # The nearest failure: factors with entries of three degrees of freedom.
    heavy = []
    for dim in (30, 60, 120):
        n_r, n_f = ratios(dim)
        limit = wachter.critical_alpha(dim / n_r, dim / n_f)
        found = []
        for _ in range(30):
            r, f = (rng.standard_t(3.0, (dim, n)) for n in (n_r, n_f))
            found.append(_generalised_alpha(r @ r.T / n_r, f @ f.T / n_f, 0.0) / limit - 1.0)
        heavy.append(float(np.mean(found)))
    sizes, draws = (20, 40, 80, 160), (400, 300, 200, 100)
    return {"rate": _rate(sizes, draws, relative), "rows": rows, "heavy_tailed": heavy}


def descent_ascent_rates(rng: Rng) -> dict[str, Any]:
    """Rate of the edge under weight decay, over-parameterised and not; an anisotropic failure."""

    def relative(retain: float, forget: float, decay: float) -> Sample:
        limit = descent_ascent.critical_alpha(retain, forget, decay)

        def sample(dim: int) -> float:
            n_r, n_f = round(dim / retain), round(dim / forget)
            return math.log(_sampled_alpha(n_r, n_f, dim, decay, rng) / limit)

        return sample

    sizes, draws = (60, 120, 240, 480), (300, 200, 120, 60)
    anisotropic = []
    for dim in (80, 160, 320):
        root = np.sqrt(np.where(np.arange(dim) % 2, 1.95, 0.05))[:, None]  # E = 1
        limit = descent_ascent.critical_alpha(2.0, 4.0, 0.3)
        found = []
        for _ in range(12):
            r, f = (root * rng.standard_normal((dim, dim // k)) for k in (2, 4))
            alpha = _generalised_alpha(r @ r.T / (dim // 2), f @ f.T / (dim // 4), 0.3)
            found.append(alpha / limit - 1.0)
        anisotropic.append(float(np.mean(found)))
    ends = [
        descent_ascent.critical_alpha(0.2, 0.5, decay) / wachter.critical_alpha(0.2, 0.5) - 1.0
        for decay in (1e-2, 1e-4, 1e-6)
    ]
    return {
        "over_parameterised": _rate(sizes, draws, relative(2.0, 4.0, 0.3)),
        "under_parameterised": _rate(sizes, draws, relative(0.5, 2.0, 0.3)),
        "wachter_distance": ends,
        "anisotropic": anisotropic,
    }


def coherence_rates(rng: Rng) -> dict[str, Any]:
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
        leading.append(pairs[:, 0] / found.numerator_mean_bounds[0] - 1.0)
        second.append(pairs[:, 0] / found.numerator - 1.0)
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
    return {
        "leading": fit_rate(sizes, leading),
        "second_order": fit_rate(sizes, second),
        "coherence_over_width": fit_rate(sizes, ratio),
        "coverage": coverage,
        "delta": delta,
        "few_dimensions": few,
    }


def outlier_rates(rng: Rng) -> dict[str, Any]:
    """Rates of outlier and bulk edge; two classes inside their intervals, and how much is used."""
    theta = (6.0, 4.0)  # n_k SNR² of the two classes, beyond c + √c = 1.2
    ratio = 0.5

    def sample(n: int, sizes: tuple[int, ...], snr: float) -> FloatArray:
        dim = round(n / ratio)
        x = rng.standard_normal((n, dim))
        x[:, : len(sizes)] = 0.0
        start = 0
        for k, size in enumerate(sizes):
            x[start : start + size, k] = snr * math.sqrt(dim)
            start += size
        return np.asarray(np.linalg.eigvalsh(x @ x.T))

    sizes, draws = (48, 96, 192, 384), (400, 300, 200, 100)
    errors: list[list[list[float]]] = [[], []]
    for n, m in zip(sizes, draws, strict=True):
        first = round(n * theta[0] / sum(theta))
        snr = math.sqrt(sum(theta) / n)
        bounds = signal_plus_noise.spectral_bounds(
            n, round(n / ratio), snr, 0.05, classes=(first, n - first)
        )
        found = np.array([sample(n, (first, n - first), snr)[-2:] for _ in range(m)])
        for k, target in enumerate(bounds.outliers):
            errors[k].append((found[:, 1 - k] / target - 1.0).tolist())

    def edge(n: int) -> float:
        limit = signal_plus_noise.spectral_bounds(n, round(n / ratio), 0.0, 0.05).bulk[1]
        return float(sample(n, (n,), 0.0)[-1]) / limit - 1.0

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
    return {
        "larger_class": fit_rate(sizes, errors[0]),
        "smaller_class": fit_rate(sizes, errors[1]),
        "edge": _rate((128, 256, 512, 1024), (200, 120, 60, 30), edge),
        "inside": inside / (repeats * len(cases)),
        "draws": repeats * len(cases),
        "delta": delta,
        "width_needed": used,
        "width_over_weyl": weyl,
    }


def escape_rates(rng: Rng) -> dict[str, Any]:
    """Rates of the escape's curvature and Ψ, linear data and CNN; a noise-driven failure."""
    alpha = 0.3

    def errors(n: int, snr: float, draws: int, network: bool) -> FloatArray:
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
            escape = _escape_of(gram, n_f, alpha)
            found.append(
                (
                    escape.curvature / formula.curvature - 1.0,
                    math.log(escape.resistance / formula.resistance),
                )
            )
        return np.array(found)

    sizes, draws = (96, 192, 384), (240, 160, 100)
    result: dict[str, Any] = {}
    for name, snr, network in (
        ("linear_noise", 0.0, False),
        ("linear_signal", 1.0, False),
        ("cnn_noise", 0.0, True),
        ("cnn_signal", 1.0, True),
    ):
        found = [errors(n, snr, m, network) for n, m in zip(sizes, draws, strict=True)]
        result[name] = {
            "curvature": fit_rate(sizes, [e[:, 0] for e in found]),
            "resistance": fit_rate(sizes, [e[:, 1] for e in found]),
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
    result["mean_share"] = {batch: float(np.mean(values)) for batch, values in shares.items()}
    return result


def linear_gram(n: int, dim: int, snr: float, _: int, rng: Rng) -> FloatArray:
    """Gram matrix of signal plus noise itself, labels divided out."""
    x = rng.standard_normal((n, dim))
    x[:, 0] = snr * math.sqrt(dim)
    return np.asarray(x @ x.T)


def cnn_gram(n: int, dim: int, snr: float, filters: int, rng: Rng) -> FloatArray:
    """Gram matrix of the two-layer CNN with independent masks; classes alternate."""
    noise = rng.standard_normal((n, dim))
    noise[:, 0] = 0.0
    masks = (rng.random((n, 2 * filters)) < 0.5).astype(float)
    parity = np.arange(n) % 2
    same = (parity[:, None] == parity[None, :]) * (filters * snr**2 * dim)
    return np.asarray(((masks @ masks.T) * (noise @ noise.T) + same) / filters**2)


def _escape_of(gram: FloatArray, n_forget: int, alpha: float) -> Escape:
    """Most negative curvature of ``D(α)`` and Ψ of a Gram matrix, forget samples last."""
    values, vectors = np.linalg.eigh(gram)
    keep = values > 1e-10 * values[-1]
    factors = np.sqrt(values[keep])[:, None] * vectors[:, keep].T
    retain, forget = factors[:, :-n_forget], factors[:, -n_forget:]
    h_retain = retain @ retain.T / retain.shape[1]
    h_forget = forget @ forget.T / n_forget
    mix, directions = np.linalg.eigh((1.0 - alpha) * h_retain - alpha * h_forget)
    v = directions[:, 0]
    return Escape(float(-mix[0]), float((v @ h_retain @ v) / (v @ h_forget @ v)), False)


def _rate(
    sizes: Sequence[int], draws: Sequence[int], sample: Sample, statistic: str = "rms"
) -> dict[str, Any]:
    pairs = zip(sizes, draws, strict=True)
    return fit_rate(sizes, [[sample(n) for _ in range(m)] for n, m in pairs], statistic)


def _population(n: int, dim: int, spikes: Sequence[float], rng: Rng) -> FloatArray:
    """Gradients of a spiked population, shape (n, dim)."""
    x = rng.standard_normal((n, dim))
    x[:, : len(spikes)] *= np.sqrt(spikes)
    return np.asarray(x)


def _exact_threshold(factors: FloatArray, batch: float) -> float:
    problem = UnlearningProblem.from_factors(factors, factors[:0])
    return float(problem.critical_step_size(batch, 0.0, sampling="bernoulli"))


def _sampled_alpha(n_r: int, n_f: int, dim: int, decay: float, rng: Rng) -> float:
    retain, forget = (rng.standard_normal((dim, n)) for n in (n_r, n_f))
    return _generalised_alpha(retain @ retain.T / n_r, forget @ forget.T / n_f, decay)


def _generalised_alpha(h_retain: FloatArray, h_forget: FloatArray, decay: float) -> float:
    """Largest α with ``(1−α)H_R − αH_F + λI ⪰ 0``: ``1/λ_max(H_R + H_F, H_R + λI)``, at most 1."""
    from scipy.linalg import eigh

    dim = len(h_retain)
    floor = h_retain + decay * np.eye(dim)
    top = eigh(h_retain + h_forget, floor, eigvals_only=True, subset_by_index=[dim - 1, dim - 1])
    return min(1.0 / float(top[0]), 1.0)
