"""Claims about the high-dimensional limits: the rate at which sampled instances reach each.

A fitted slope supports a rate when its error bar can tell that rate from the neighbouring
ones and it lies nearer to it than to any of them: finite sizes bend the lines, so that a
slope need not lie within a few error bars of its limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rmtstab.claims import limit_checks
from rmtstab.claims.figure_data import figure_of, series
from rmtstab.claims.rates import supports
from rmtstab.claims.registry import Claim, Outcome, theory_claim

Record = dict[str, Any]
Rate = tuple[str, float, tuple[float, ...]]  # path of the fit, claimed slope, neighbours
HALF, SOFT_EDGE, ONE = -0.5, -2.0 / 3.0, -1.0


def fit_of(record: Record, path: str) -> Record:
    """Fit at ``"outer/inner"`` of a record."""
    for key in path.split("/"):
        record = record[key]
    return record


def judge_of(
    rates: tuple[Rate, ...], failing: Callable[[Record], float], least: float
) -> Callable[[Record], Outcome]:
    """Judge of a claim: every rate supported, and the failing setting beyond ``least``.

    ``failing`` reads the size of the error in the nearest setting in which the limit fails.
    """

    def judge(record: Record) -> Outcome:
        fits = [(path, fit_of(record, path), claimed, others) for path, claimed, others in rates]
        words = "; ".join(
            f"{path.replace('_', ' ')} {fit['slope']:.2f} ± {fit['slope_error']:.2f} "
            f"(claimed {claimed:.2f})"
            for path, fit, claimed, _ in fits
        )
        beyond = failing(record)
        good = all(supports(fit, claimed, others) for _, fit, claimed, others in fits)
        first = fits[0][1]
        text = f"slopes in log n: {words}; off by {beyond:.0%} where it fails"
        return Outcome(text, first["slope"], first["slope_error"], good and beyond > least, beyond)

    return judge


def _claim(
    *,
    check: Callable[[Any], Record],
    rates: tuple[Rate, ...],
    failing: Callable[[Record], float],
    least: float,
    **words: str,
) -> Claim:
    def drawn(rng: Any) -> Record:
        record = check(rng)
        lines = []
        for path, *_ in rates:
            fit = fit_of(record, path)
            lines.append(series(path.replace("_", " "), fit["sizes"], fit["error"]))
        figure = figure_of("n", "relative error", lines, logarithmic="xy")
        return {**record, "figure": figure}

    judge = judge_of(rates, failing, least)
    return theory_claim(check=drawn, judge=judge, uses=(), long=True, horizon="none", **words)


LIMIT_CLAIMS = (
    _claim(
        name="volterra-rates",
        statement="The Volterra threshold read off the population is reached at 1/n where noise "
        "limits the step, n^(-2/3) where the mean does, n^(-1/2) at the corner and where an "
        "outlier caps it.",
        latex=r"\eta^*/\eta_{\rm Volterra}-1=O(n^{-1}),\ O(n^{-2/3}),\ O(n^{-1/2})",
        assumptions="Gaussian gradients, isotropic or with spikes of fixed size",
        normalisation="α = 0, fixed d/n",
        source="derived in docs/theory/volterra",
        fails="for samples of lognormal norm (distance of the exact threshold beside it)",
        check=limit_checks.volterra_rates,
        rates=(
            ("noise", ONE, (SOFT_EDGE, HALF)),
            ("spiked", ONE, (SOFT_EDGE, HALF)),
            ("mean", SOFT_EDGE, (ONE,)),
            ("corner", HALF, (ONE,)),
            ("capped", HALF, (ONE,)),
        ),
        failing=lambda r: abs(r["unequal_norms"]["lognormal"][2]),
        least=0.5,
    ),
    _claim(
        name="wachter-rate",
        statement="The mean-limited critical mixing is Wachter's at n^(-2/3).",
        latex=r"\alpha^*-1/(1+b)=O(n^{-2/3})",
        assumptions="Gaussian factors of one covariance, γ_r = 1/4, γ_f = 1/2",
        normalisation="full batches, small steps",
        source="derived in docs/theory/wachter; Johnstone 2008",
        fails="for entries of three degrees of freedom",
        check=limit_checks.wachter_rates,
        rates=(("rate", SOFT_EDGE, (HALF, ONE)),),
        failing=lambda r: abs(r["heavy_tailed"][2]),
        least=0.1,
    ),
    _claim(
        name="weight-decay-edge-rate",
        statement="Under weight decay the mean-limited critical mixing is where the "
        "descent-ascent law's left edge meets −λ, at n^(-2/3).",
        latex=r"e_-(\alpha^*)=-\lambda",
        assumptions="isotropic Gaussian factors, over- and under-parameterised",
        normalisation="full batches, small steps, λ = 0.3",
        source="derived in docs/theory/descent_ascent_edge",
        fails="for an anisotropic covariance",
        check=limit_checks.descent_ascent_rates,
        rates=(
            ("over_parameterised", SOFT_EDGE, (HALF, ONE)),
            ("under_parameterised", SOFT_EDGE, (HALF, ONE)),
        ),
        failing=lambda r: abs(r["anisotropic"][2]),
        least=0.12,
    ),
    _claim(
        name="coherence-rate",
        statement="The Perron root behind the coherence of signal-plus-noise data is its mean "
        "formula's at 1/n.",
        latex=r"\lambda_{\max}(|K|)=1+s+(n-1)E|s+g/\sqrt d|+O(1)",
        assumptions="Gaussian noise, fixed d/n",
        normalisation="none",
        source="derived in docs/theory/signal_plus_noise",
        fails="in three dimensions of noise, however many samples",
        check=limit_checks.coherence_rates,
        rates=(("leading", ONE, (SOFT_EDGE, HALF)),),
        failing=lambda r: min(r["few_dimensions"]),
        least=0.05,
    ),
    _claim(
        name="outlier-rates",
        statement="One outlier a class: each is at its limit to n^(-1/2), the bulk's edge to "
        "n^(-2/3).",
        latex=r"\lambda_c=d\,[\theta_c+\theta_c/(\theta_c-n/d)]\,(1+O(n^{-1/2}))",
        assumptions="Gaussian noise, two classes of fixed shares",
        normalisation="none",
        source="derived in docs/theory/signal_plus_noise; Benaych-Georges & Nadakuditi 2011",
        fails="as a sharp interval: sampled values fill only part of the interval of probability "
        "1 − δ (the idle share beside it)",
        check=limit_checks.outlier_rates,
        rates=(
            ("larger_class", HALF, (SOFT_EDGE, ONE)),
            ("smaller_class", HALF, (SOFT_EDGE, ONE)),
            ("edge", SOFT_EDGE, (HALF, ONE)),
        ),
        failing=lambda r: 1.0 - max(r["width_needed"]),
        least=0.4,
    ),
    _claim(
        name="escape-rates",
        statement="Escape curvature of signal-plus-noise data is its closed form's to n^(-2/3) at "
        "the noise's edge and n^(-1/2) through the signal, the CNN's too.",
        latex=r"x=\lim x\,(1+O(n^{-2/3})),\ (1+O(n^{-1/2}))",
        assumptions="Gaussian noise, balanced forget set, independent masks (CNN)",
        normalisation="mean dynamics",
        source="derived in docs/theory/signal_plus_noise, cnn",
        fails="at small batches, whose noise adds to the rate (the share that it adds beside it)",
        check=limit_checks.escape_rates,
        rates=(
            ("linear_noise/curvature", SOFT_EDGE, (ONE,)),
            ("linear_signal/curvature", HALF, (ONE,)),
            ("cnn_signal/curvature", HALF, (ONE,)),
        ),
        failing=lambda r: 1.0 - r["mean_share"]["(2, 1)"],
        least=0.05,
    ),
)
