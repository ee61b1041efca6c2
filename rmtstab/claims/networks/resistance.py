"""Claims: how resistance and escape time follow the signal-to-noise ratio."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from rmtstab.claims.claim import Claim, Evidence, Outcome
from rmtstab.claims.networks.records import (
    MODEL,
    PROTOCOLS,
    largest,
    network_key,
    nothing,
    synthetic,
)

Record = dict[str, Any]
CHANCE = 0.01  # p-value of a trend: all blocks may confuse two ratios below the transition
SYSTEMATIC, DEVIATIONS = 0.05, 4.0  # in log resistance, and standard errors of one ratio
COMPARISON = "α = 0.3, batches 16/4 of 48/12 (quick, full), three step-size protocols"


def resistance_rises(evidence: Evidence) -> Outcome:
    """Page's trend test of Ψ over SNR, exact and observed; the weakest over the protocols."""
    found, missing = {}, 0
    for protocol in PROTOCOLS:
        exact = [
            (n["index"], n["snr"], n["protocols"][protocol]["resistance"])
            for n in synthetic(evidence)
        ]
        seen = [
            (e["index"], e["snr"], e["resistance"])
            for e in evidence["escapes"]
            if e["protocol"] == protocol
        ]
        for kind, cells in (("exact", exact), ("observed", seen)):
            # nothing escaped within the horizon: that says nothing of Ψ
            missing += sum(value is None for *_, value in cells)
            found[f"{protocol}, {kind}"] = trend([c for c in cells if c[2] is not None])
    outcome = _trends(found, "rises")
    if not missing:
        return outcome
    text = f"{outcome.measured}; {missing} values missing"
    return Outcome(text, outcome.value, outcome.error_bar, False)


def finite_resistance(evidence: Evidence) -> Outcome:
    """Observed over predicted finite-horizon resistance: at each SNR, and over all networks.

    All networks together must agree within 3 standard errors and 5 %, each ratio within 4 and
    5 %: a prediction 1.33 times off fails at one ratio already.
    """
    predicted = {
        (network_key(n), p): n["protocols"][p]["finite_resistance"]
        for n in synthetic(evidence)
        for p in PROTOCOLS
    }
    logs: dict[float, dict[Any, list[float]]] = {}
    for e in evidence["escapes"]:
        formula = predicted[network_key(e), e["protocol"]]
        if e["resistance"] and formula:
            networks = logs.setdefault(e["snr"], {})
            networks.setdefault(network_key(e), []).append(math.log(e["resistance"] / formula))
    if not logs:
        return nothing("the forget loss never grew tenfold")
    values = [[float(np.mean(v)) for v in networks.values()] for networks in logs.values()]
    means = [float(np.mean(v)) for v in values]
    # one spread for all ratios: three networks each would give errors that are noise themselves
    spare = sum(len(v) - 1 for v in values)
    square = sum(float(np.sum((np.array(v) - np.mean(v)) ** 2)) for v in values)
    spread = math.sqrt(square / spare) if spare else math.nan
    errors = [spread / math.sqrt(len(v)) for v in values]
    count = sum(len(v) for v in values)
    pooled, error = float(np.mean(np.concatenate(values))), spread / math.sqrt(count)
    excess = [abs(m) - SYSTEMATIC - DEVIATIONS * e for m, e in zip(means, errors, strict=True)]
    excess.append(abs(pooled) - SYSTEMATIC - 3.0 * error)
    text = (
        "observed over predicted: "
        + ", ".join(
            f"{math.exp(m):.2f} ×÷{math.exp(e):.2f} at SNR {snr:g}"
            for snr, m, e in zip(logs, means, errors, strict=True)
        )
        + f"; all {math.exp(pooled):.3f} ×÷{math.exp(error):.3f}"
    )
    return Outcome(text, pooled, error, bool(largest(excess) <= 0.0))


def escape_slows_when_scaled(evidence: Evidence) -> Outcome:
    """Page's trend test of observed escape time over SNR under the scaled protocols."""
    scaled = ("sgd_scaled", "sharpness_scaled")
    return _trends({p: trend(_times(evidence, p)) for p in scaled}, "rises")


def escape_quickens_at_common_step(evidence: Evidence) -> Outcome:
    """Page's trend test of observed escape time over SNR at one common step, falling."""
    return _trends({"common": trend(_times(evidence, "common"), rising=False)}, "falls")


def closed_form_resistance(evidence: Evidence) -> Outcome:
    """Report the closed-form Ψ over the exact one of trained networks."""
    curves = evidence["closed_form"]["curves"]
    grid = np.array([c["snr"] for c in curves])
    values = np.array([c["resistance"] for c in curves])
    ratios: dict[float, list[float]] = {}
    for n in synthetic(evidence):
        exact = n["protocols"]["sharpness_scaled"]["resistance"]
        if exact:
            formula = float(np.interp(n["snr"], grid, values))
            ratios.setdefault(n["snr"], []).append(formula / exact)
    if not ratios:
        return Outcome("no network escapes", math.nan, math.nan, None)
    text = "closed form over exact: " + ", ".join(
        f"{np.mean(r):.2f} at SNR {snr:g}" for snr, r in sorted(ratios.items())
    )
    return Outcome(
        text, largest(abs(math.log(np.mean(r))) for r in ratios.values()), math.nan, None
    )


def trend(cells: Iterable[tuple[int, float, float | None]], rising: bool = True) -> float:
    """p-value of Page's trend test of a value over SNR, data sets as blocks.

    Networks of one data set share their noise: ranks are taken within it, so that what they
    share cancels. None means "longer than the horizon" and ranks above all others.

    Parameters
    ----------
    cells : iterable of (data set, SNR, value)
        Blocks that lack a ratio are left out.
    rising : bool
        Whether the alternative is a rise.

    Returns
    -------
    float
        NaN with fewer than two whole blocks or three ratios.
    """
    from scipy.stats import page_trend_test

    rows: dict[int, dict[float, float]] = {}
    for block, snr, value in cells:
        rows.setdefault(block, {})[snr] = math.inf if value is None else value
    ratios = sorted({snr for row in rows.values() for snr in row})
    whole = [[row[snr] for snr in ratios] for row in rows.values() if len(row) == len(ratios)]
    if len(whole) < 2 or len(ratios) < 3:
        return math.nan
    data = np.array(whole if rising else [[-v for v in row] for row in whole])
    data = np.where(np.isinf(data), np.sign(data) * 1e300, data)
    return float(page_trend_test(data).pvalue)


def _trends(found: dict[str, float], word: str) -> Outcome:
    """Hold if chance alone shows every one of the trends in less than one run of a hundred."""
    text = f"Page's test, {word} with SNR: " + ", ".join(
        f"p {p:.1e} ({k})" for k, p in found.items()
    )
    worst = largest(found.values())
    return Outcome(text, worst, math.nan, bool(worst < CHANCE))


def _times(evidence: Evidence, protocol: str) -> list[tuple[int, float, float | None]]:
    return [
        (e["index"], e["snr"], e["escape_time"])
        for e in evidence["escapes"]
        if e["protocol"] == protocol
    ]


CLAIMS = (
    Claim(
        name="resistance-rises-with-snr",
        statement="Models with a higher signal-to-noise ratio resist unlearning: retain loss paid "
        "per unit of forget loss gained along the escape rises with SNR under every step-size "
        "protocol.",
        latex=r"\Psi(\alpha)=\mathrm{tr}(H_R M_1)/\mathrm{tr}(H_F M_1)\ \text{rises with SNR}",
        assumptions=MODEL + "; ρ > 1",
        normalisation=COMPARISON,
        horizon="none for the exact Ψ; first tenfold forget loss for the observed one",
        source="derived in docs/theory/resistance; ordering: Khanna & Chang, arXiv:2602.02986",
        fails="below the transition at which the signal enters the escape direction (SNR about "
        "0.2 here: 0 and 0.1 differ by less than the spread of data sets), and for κ = 2 instead "
        "of 10 at finite horizon",
        judge=resistance_rises,
        needs=("networks", "escapes"),
    ),
    Claim(
        name="finite-horizon-resistance",
        statement="The observed ratio of loss growths at the first tenfold forget loss is the one "
        "that Φᵏ predicts.",
        latex=r"(R_t/R_0)/(F_t/F_0)\ \text{at}\ F_t\ge10F_0",
        assumptions=MODEL + "; linear regime; losses averaged over replicas",
        normalisation=COMPARISON,
        horizon="first tenfold forget loss",
        source="derived in docs/theory/resistance",
        fails="for the median of single runs: one isotropic start may miss the signal directions",
        judge=finite_resistance,
        needs=("networks", "escapes"),
    ),
    Claim(
        name="escape-slows-with-snr-when-scaled",
        statement="Escape takes longer at higher SNR when the step follows the sharpness or "
        "plain SGD's own threshold.",
        latex=r"\eta=\tfrac12\eta^*(0)\ \text{or}\ 0.05/\lambda_{\max}(H_R):\ k_{\rm esc}\uparrow",
        assumptions=MODEL,
        normalisation=COMPARISON.replace("three", "two"),
        horizon="first passage of the median run to radius 10",
        source="Khanna & Chang, arXiv:2602.02986",
        fails="at one common step size (next claim), and for the SGD-scaled step at batches 4/1, "
        "where the threshold itself moves with SNR",
        judge=escape_slows_when_scaled,
        needs=("networks", "escapes"),
    ),
    Claim(
        name="escape-quickens-with-snr-at-common-step",
        statement="At one common step size the order reverses: high-SNR models escape sooner.",
        latex=r"\eta\ \text{common}:\ k_{\rm esc}\downarrow",
        assumptions=MODEL,
        normalisation="α = 0.3, one step size for all networks (half the least closed-form "
        "threshold of plain SGD)",
        horizon="first passage of the median run to radius 10",
        source="derived in docs/theory/resistance",
        fails="under both scaled protocols (previous claim); three data sets are few for "
        f"p < {CHANCE}: the quick preset reads p = .015 at seed 1",
        judge=escape_quickens_at_common_step,
        needs=("networks", "escapes"),
    ),
    Claim(
        name="closed-form-resistance-on-trained-networks",
        statement="Closed-form Ψ(SNR) beside the exact Ψ of trained networks (reported, no "
        "threshold: trained masks are not independent).",
        latex=r"\Psi=\left(\frac{x-u\alpha/n_f}{x+u(1-\alpha)/n_r}\right)^2",
        assumptions="independent masks, n and d large",
        normalisation="α = 0.3, sharpness-scaled step",
        horizon="none",
        source="derived in docs/theory/cnn",
        fails="not a claim on trained networks; see escape-formula for independent masks",
        judge=closed_form_resistance,
    ),
)
