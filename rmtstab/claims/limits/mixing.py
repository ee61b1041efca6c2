"""Claims: how fast the mean-limited critical mixing is reached, without and with weight decay."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.linalg import eigh

from rmtstab._results import FloatArray
from rmtstab.claims.claim import Outcome, theory_claim
from rmtstab.claims.rates import (
    HALF,
    NONE,
    ONE,
    SOFT_EDGE,
    Drawn,
    Rate,
    draw_ratios,
    judge_rates,
    judged_twice,
    rate_figure,
)
from rmtstab.ensembles import Jacobi
from rmtstab.theory import descent_ascent, wachter

Rng = np.random.Generator
Record = dict[str, Any]
OFF_BY = 1.02  # of the wrong theory judged beside each rate
WACHTER_SIZES = ((80, 320, 1280, 5120, 20480), (600, 400, 400, 400, 600))
DECAY_SIZES = ((60, 120, 240, 480), (2000, 300, 100, 300))
WACHTER = (Rate("rate", SOFT_EDGE, (NONE, HALF, ONE)),)
WEIGHT_DECAY = (
    Rate("over_parameterised", SOFT_EDGE, (NONE, HALF, ONE)),
    Rate("under_parameterised", SOFT_EDGE, (NONE, HALF, ONE)),
)


def wachter_rates(rng: Rng) -> dict[str, Any]:
    """Rate of Wachter's limit, its Tracy–Widom law at finite size, and heavy-tailed factors.

    The rate's mixings are drawn from the Jacobi ensemble's bidiagonal model, at any size.
    """

    def ratios(dim: int) -> tuple[int, int]:
        return 4 * dim, 2 * dim

    def mixing(dim: int) -> float:
        n_r, n_f = ratios(dim)
        top = float(Jacobi(n_f, n_r, dim).eigenvalues(rng, largest=1)[0])  # FFᵀ(FFᵀ + RRᵀ)⁻¹
        return 1.0 / (1.0 + n_r / n_f * top / (1.0 - top))

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
    sizes, draws = WACHTER_SIZES
    limit = wachter.critical_alpha(*(1.0 / k for k in ratios(1)))
    alphas = [drawn / limit for drawn in draw_ratios(sizes, draws, mixing)]
    rest = {"rows": rows, "heavy_tailed": heavy}
    record = judged_twice({"rate": Drawn(sizes, alphas)}, rest, OFF_BY)
    return {**record, "figure": rate_figure(record, WACHTER)}


def judge_wachter(record: Record) -> Outcome:
    """The soft edge's rate; heavy tails more than a tenth off."""
    return judge_rates(record, WACHTER, abs(record["heavy_tailed"][2]), least=0.1)


def descent_ascent_rates(rng: Rng) -> dict[str, Any]:
    """Rate of the edge under weight decay, over-parameterised and not; an anisotropic failure."""
    sizes, draws = DECAY_SIZES

    def drawn(retain: float, forget: float, decay: float) -> Drawn:
        limit = descent_ascent.critical_alpha(retain, forget, decay)

        def sample(dim: int) -> float:
            n_r, n_f = round(dim / retain), round(dim / forget)
            return _sampled_alpha(n_r, n_f, dim, decay, rng) / limit

        return Drawn(sizes, draw_ratios(sizes, draws, sample), logarithm=True)

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
    regimes = {
        "over_parameterised": drawn(2.0, 4.0, 0.3),
        "under_parameterised": drawn(0.5, 2.0, 0.3),
    }
    rest = {"wachter_distance": ends, "anisotropic": anisotropic}
    record = judged_twice(regimes, rest, OFF_BY)
    return {**record, "figure": rate_figure(record, WEIGHT_DECAY)}


def judge_weight_decay(record: Record) -> Outcome:
    """The soft edge's rate on both sides of 1; an anisotropic covariance more than 12 % off."""
    return judge_rates(record, WEIGHT_DECAY, abs(record["anisotropic"][2]), least=0.12)


def _sampled_alpha(n_r: int, n_f: int, dim: int, decay: float, rng: Rng) -> float:
    retain, forget = (rng.standard_normal((dim, n)) for n in (n_r, n_f))
    return _generalised_alpha(retain @ retain.T / n_r, forget @ forget.T / n_f, decay)


def _generalised_alpha(h_retain: FloatArray, h_forget: FloatArray, decay: float) -> float:
    """Largest α with ``(1−α)H_R − αH_F + λI ⪰ 0``: ``1/λ_max(H_R + H_F, H_R + λI)``, at most 1."""
    dim = len(h_retain)
    floor = h_retain + decay * np.eye(dim)
    top = eigh(h_retain + h_forget, floor, eigvals_only=True, subset_by_index=[dim - 1, dim - 1])
    return min(1.0 / float(top[0]), 1.0)


CLAIMS = (
    theory_claim(
        name="wachter-rate",
        statement="The mean-limited critical mixing is Wachter's at n^(-2/3).",
        latex=r"\alpha^*-1/(1+b)=O(n^{-2/3})",
        assumptions="Gaussian factors of one covariance, γ_r = 1/4, γ_f = 1/2",
        normalisation="full batches, small steps",
        source="derived in docs/theory/wachter; Johnstone 2008",
        fails="for entries of three degrees of freedom",
        horizon="none",
        check=wachter_rates,
        mutation=OFF_BY,
        same_draws=True,
        judge=judge_wachter,
        long=True,
    ),
    theory_claim(
        name="weight-decay-edge-rate",
        statement="Under weight decay the mean-limited critical mixing is where the "
        "descent-ascent law's left edge meets −λ, at n^(-2/3).",
        latex=r"e_-(\alpha^*)=-\lambda",
        assumptions="isotropic Gaussian factors, over- and under-parameterised",
        normalisation="full batches, small steps, λ = 0.3",
        source="derived in docs/theory/descent_ascent_edge",
        fails="for an anisotropic covariance",
        horizon="none",
        check=descent_ascent_rates,
        mutation=OFF_BY,
        same_draws=True,
        judge=judge_weight_decay,
        long=True,
    ),
)
