"""Claim: how fast the Volterra threshold of the population is reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.claims.claim import Outcome, theory_claim
from rmtstab.claims.instances import exact_step_size
from rmtstab.claims.rates import (
    HALF,
    NONE,
    ONE,
    SOFT_EDGE,
    THIRD,
    THREE_HALVES,
    Drawn,
    Rate,
    Sample,
    draw_ratios,
    judge_rates,
    judged_twice,
    rate_figure,
)
from rmtstab.ensembles import SpikedWishart
from rmtstab.theory import signal_plus_noise, volterra

Rng = np.random.Generator
Record = dict[str, Any]
OFF_BY = 1.02  # of the wrong theory judged beside each rate
RATES = (
    Rate("noise", ONE, (NONE, HALF, SOFT_EDGE, THREE_HALVES)),
    Rate("spiked", ONE, (NONE, HALF, SOFT_EDGE, THREE_HALVES)),
    Rate("mean", SOFT_EDGE, (NONE, HALF, ONE)),
    # both limits that meet at the corner are judged in their own regimes: here it is the slope
    Rate("corner", HALF, (NONE, THIRD, SOFT_EDGE, ONE), share=0.1),
    Rate("capped", HALF, (NONE, THIRD, SOFT_EDGE, ONE), share=0.04, mean=ONE),
)


class Setting(NamedTuple):
    """A regime of the threshold: ``dim = gamma n``, ``B = share n``, and how it is sampled.

    Sizes begin where the line in log n is straight, and draws are as many as it takes to tell
    the slope from its nearest neighbours.
    """

    gamma: int
    share: float
    spikes: tuple[float, ...]
    sizes: tuple[int, ...]
    draws: tuple[int, ...]
    leading: bool = False
    witness: bool = False  # the largest curvature decides, whose law can be drawn at any size
    logarithm: bool = False  # errors are large
    trimmed: bool = False  # a spike beyond its cap is rare, and far off


FEW = (48, 96, 192)
SETTINGS = {
    "noise": Setting(4, 0.2, (), FEW, (300, 80, 100), trimmed=True),
    "mean": Setting(1, 0.8, (), FEW, (60, 40, 30), witness=True),
    "spiked": Setting(4, 0.2, (6.0,), FEW, (300, 80, 100), trimmed=True),
    # B/(1 − B/n) = dim/(ℓ − 1) at dim = n, ℓ = 5
    "corner": Setting(1, 0.2, (5.0,), (32, 64, 128, 256), (400, 250, 120, 50), True),
    "capped": Setting(
        1, 0.6, (9.0,), (32, 64, 128, 256), (120, 80, 60, 30), witness=True, logarithm=True
    ),
}
WITNESSES = 4000  # a size


def draw_threshold(name: str, rng: Rng) -> Drawn:
    """Exact over Volterra's threshold in one regime of `SETTINGS`."""
    setting = SETTINGS[name]
    spikes = list(setting.spikes)

    def formula(n: int) -> float:
        dim, batch = setting.gamma * n, setting.share * n
        if not setting.leading:
            return float(volterra.spiked_step_size(n, dim, spikes, batch, "bernoulli"))
        cap = volterra.spiked_step_size(n, dim, spikes, n, "bernoulli")
        return min(float(volterra.isotropic_step_size(n, dim, batch, "bernoulli")), float(cap))

    def sample(n: int) -> Any:
        x = _population(n, setting.gamma * n, spikes, rng)
        exact = exact_step_size(x, setting.share * n)
        return (exact, 2.0 * n / np.linalg.norm(x, 2) ** 2) if setting.witness else exact

    def alone(n: int) -> float:  # as if the mean alone decided
        top = SpikedWishart(n, setting.gamma * n, spikes).eigenvalues(rng, largest=1)
        return 2.0 * n / float(top[0])

    def over_formula(draws: Sequence[int], sampler: Sample) -> list[FloatArray]:
        found = draw_ratios(setting.sizes, draws, sampler)
        return [f / formula(n) for n, f in zip(setting.sizes, found, strict=True)]

    many = [WITNESSES] * len(setting.sizes)
    return Drawn(
        setting.sizes,
        over_formula(setting.draws, sample),
        setting.logarithm,
        over_formula(many, alone) if setting.witness else None,
        setting.trimmed,
    )


def volterra_rates(rng: Rng) -> dict[str, Any]:
    """Rates of the Volterra thresholds against the exact one, and what heavy norms do.

    ``noise``: isotropic, noise-limited; ``mean``: isotropic, mean-limited; ``spiked``: below the
    cap of a spike, with its correction; ``corner``: where both meet, without it; ``capped``:
    beyond the corner, by the logarithm: the outlier strays by a fifth at n = 32, and ``1/λ`` by
    more above than below. Where the mean decides, the exact threshold is nearly ``2/λ_max``, its
    witness: the largest curvature's law is drawn from a band.
    """
    drawn = {name: draw_threshold(name, rng) for name in SETTINGS}
    # The nearest failures, both of unequal norms: lognormal ones, and a spike of order dim.
    heavy: dict[str, list[float]] = {"lognormal": [], "large_spike": [], "signal": []}
    sizes = (64, 128, 256)
    for n in sizes:
        batch = 8.0
        ratios: dict[str, list[float]] = {name: [] for name in heavy}
        for _ in range(6):
            x = rng.standard_normal((n, n))
            norms = np.exp(0.5 * rng.standard_normal((n, 1)) - 0.25)  # E norms² = 1
            iso = float(volterra.isotropic_step_size(n, n, batch, "bernoulli"))
            ratios["lognormal"].append(exact_step_size(norms * x, batch) / iso - 1.0)
            spikes = [0.5 * n]
            found = float(volterra.spiked_step_size(n, n, spikes, batch, "bernoulli"))
            exact = exact_step_size(_population(n, n, spikes, rng), batch)
            ratios["large_spike"].append(exact / found - 1.0)
            x[:, 0] = math.sqrt(0.5 * n)  # the same energy at one length: a signal
            found = float(
                signal_plus_noise.retain_step_size(n, n, math.sqrt(0.5), batch, "bernoulli")
            )
            ratios["signal"].append(exact_step_size(x, batch) / found - 1.0)
        for name, values in ratios.items():
            heavy[name].append(float(np.mean(values)))
    record = judged_twice(drawn, {"unequal_norms": {"sizes": list(sizes), **heavy}}, OFF_BY)
    return {**record, "figure": rate_figure(record, RATES)}


def judge_volterra(record: Record) -> Outcome:
    """Every regime at its own rate; lognormal norms more than half off."""
    failing = abs(record["unequal_norms"]["lognormal"][2])
    return judge_rates(record, RATES, failing, least=0.5)


def _population(n: int, dim: int, spikes: Sequence[float], rng: Rng) -> FloatArray:
    """Gradients of a spiked population, shape (n, dim)."""
    x = rng.standard_normal((n, dim))
    x[:, : len(spikes)] *= np.sqrt(spikes)
    return np.asarray(x)


CLAIMS = (
    theory_claim(
        name="volterra-rates",
        statement="The Volterra threshold read off the population is reached at 1/n where noise "
        "limits the step, n^(-2/3) where the mean does, n^(-1/2) at the corner and where an "
        "outlier caps it.",
        latex=r"\eta^*/\eta_{\rm Volterra}-1=O(n^{-1}),\ O(n^{-2/3}),\ O(n^{-1/2})",
        assumptions="Gaussian gradients, isotropic or with spikes of fixed size",
        normalisation="α = 0, fixed d/n",
        source="derived in docs/theory/volterra",
        fails="for samples of lognormal norm (distance of the exact threshold beside it)",
        horizon="none",
        check=volterra_rates,
        mutation=OFF_BY,
        same_draws=True,
        judge=judge_volterra,
        long=True,
    ),
)
