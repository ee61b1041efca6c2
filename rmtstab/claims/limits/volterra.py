"""Claim: how fast the Volterra threshold of the population is reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.claims.claim import Outcome, theory_claim
from rmtstab.claims.instances import exact_step_size
from rmtstab.claims.rates import (
    HALF,
    NONE,
    ONE,
    SOFT_EDGE,
    THREE_HALVES,
    Rate,
    Sample,
    judge_rates,
    rate_figure,
    sampled_rate,
)
from rmtstab.theory import signal_plus_noise, volterra

Rng = np.random.Generator
Record = dict[str, Any]
RATES = (
    Rate("noise", ONE, (NONE, HALF, SOFT_EDGE, THREE_HALVES)),
    Rate("spiked", ONE, (NONE, HALF, SOFT_EDGE, THREE_HALVES)),
    Rate("mean", SOFT_EDGE, (NONE, ONE)),
    Rate("corner", HALF, (NONE, ONE), share=0.04),
    Rate("capped", HALF, (NONE, ONE), share=0.04, mean=ONE),
)


def volterra_rates(rng: Rng, scale: float = 1.0) -> dict[str, Any]:
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
            return exact_step_size(_population(n, dim, spikes, rng), batch) / (scale * found) - 1.0

        return sample

    few, many = ((48, 96, 192), (60, 45, 30)), ((32, 64, 128, 256), (160, 120, 80, 40))
    corner = 1.0 / 5.0  # B/(1 − B/n) = dim/(ℓ − 1) at dim = n, ℓ = 5
    result = {
        "noise": sampled_rate(*few, errors(4, 0.2, []), "median"),
        "mean": sampled_rate(*many, errors(1, 0.8, [])),
        "spiked": sampled_rate(*few, errors(4, 0.2, [6.0]), "median"),
        "spiked_leading": sampled_rate(*few, errors(4, 0.2, [6.0], True), "median"),
        "corner": sampled_rate(*many, errors(1, corner, [5.0], True)),
        "capped": sampled_rate((40, 80, 160, 320), (200, 150, 100, 40), errors(1, 0.6, [9.0])),
    }
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
    record = {**result, "unequal_norms": {"sizes": list(sizes), **heavy}}
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
        mutation=1.02,
        judge=judge_volterra,
        long=True,
    ),
)
