"""How the claims about real networks are judged: evidence in, outcome out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from rmtstab.claims.presets import PROTOCOLS
from rmtstab.claims.registry import Evidence, Outcome

Record = dict[str, Any]
SIGMAS = 5.0  # deviations that an agreement may show, in standard errors
ACCURACY = 0.97  # balanced accuracy asked of the typical frontier
MARGIN = 2.0  # standard errors within which a cell's class is left to chance


def interpolation(evidence: Evidence) -> Outcome:
    """Largest training loss over the networks."""
    losses = [n["training"]["loss"] for n in evidence["networks"]]
    worst = max(losses)
    starts = [n["training"]["starts"] for n in evidence["networks"]]
    text = (
        f"largest loss {worst:.1e} over {len(losses)} networks; {sum(starts) - len(starts)} starts "
        "given up because a sample lost all its filters"
    )
    return Outcome(text, worst, math.nan, worst < 1e-20)


def curvature(evidence: Evidence) -> Outcome:
    """Closed-form sharpness against autograd's."""
    gaps = [abs(n["sharpness_autograd"] / n["sharpness_gram"] - 1) for n in evidence["networks"]]
    worst = max(gaps)
    text = f"largest relative gap {worst:.1e} over {len(gaps)} networks"
    return Outcome(text, worst, math.nan, worst < 1e-8)


def resistance_rises(evidence: Evidence) -> Outcome:
    """Spearman correlation of Ψ with SNR, exact and observed; the least over the protocols."""
    found = {}
    for protocol in PROTOCOLS:
        exact = [(n["snr"], n["protocols"][protocol]["resistance"]) for n in _synthetic(evidence)]
        seen = [
            (e["snr"], e["resistance"]) for e in evidence["escapes"] if e["protocol"] == protocol
        ]
        found[f"{protocol}, exact"] = spearman(exact)
        found[f"{protocol}, observed"] = spearman(seen)
    return _correlation(found, sign=1)


def finite_resistance(evidence: Evidence) -> Outcome:
    """Observed over predicted finite-horizon resistance: mean log ratio over all networks."""
    predicted = {
        (network_key(n), p): n["protocols"][p]["finite_resistance"]
        for n in _synthetic(evidence)
        for p in PROTOCOLS
    }
    logs = [
        math.log(e["resistance"] / predicted[network_key(e), e["protocol"]])
        for e in evidence["escapes"]
        if e["resistance"] and predicted[network_key(e), e["protocol"]]
    ]
    if len(logs) < 2:
        return Outcome("the forget loss never grew tenfold", math.nan, math.nan, False)
    mean, spread = float(np.mean(logs)), float(np.std(logs, ddof=1))
    error = spread / math.sqrt(len(logs))
    text = (
        f"observed over predicted {math.exp(mean):.3f} in the geometric mean of {len(logs)} "
        f"(network, protocol) pairs, spread ×÷{math.exp(spread):.2f}"
    )
    return Outcome(text, mean, error, abs(mean) <= max(3.0 * error, 0.1))


def escape_slows_when_scaled(evidence: Evidence) -> Outcome:
    """Spearman correlation of observed escape time with SNR under the scaled protocols."""
    found = {p: spearman(_times(evidence, p)) for p in ("sgd_scaled", "sharpness_scaled")}
    return _correlation(found, sign=1)


def escape_quickens_at_common_step(evidence: Evidence) -> Outcome:
    """Spearman correlation of observed escape time with SNR at one common step."""
    return _correlation({"common": spearman(_times(evidence, "common"))}, sign=-1)


def plain_sgd_stable(evidence: Evidence) -> Outcome:
    """Largest growth factor at α = 0 over every step size in use."""
    values = [
        n["protocols"][p]["sgd_growth_factor"] for n in _synthetic(evidence) for p in PROTOCOLS
    ]
    values += [c["growth_factor"] for n in evidence["networks"] for c in _zero_mixing(n)]
    worst = max(values)
    text = f"largest ρ at α = 0: 1 − {1 - worst:.1e} over {len(values)} settings"
    return Outcome(text, worst, math.nan, worst < 1.0)


def one_step(evidence: Evidence) -> Outcome:
    """Largest deviation of the one-step moment, with what two wrong formulas score."""
    cells = evidence["one_step"]
    worst = max(abs(c["z"]) for c in cells)
    wrong = float(np.median([abs(c["z_with_replacement"]) for c in cells]))
    none = float(np.median([abs(c["z_mean_only"]) for c in cells]))
    text = (
        f"largest deviation {worst:.2f} standard errors over {len(cells)} points; median "
        f"deviation of drawing with replacement {wrong:.1f}, of the mean alone {none:.0f}"
    )
    return Outcome(text, worst, 1.0, worst <= SIGMAS)


def many_steps(evidence: Evidence) -> Outcome:
    """E‖w_k‖² over replicas against Φᵏ where the mean drives the escape."""
    scores, skipped = [], 0
    for path in evidence["trajectories"]:
        if path["kind"] != "mean_driven":
            continue
        if path["mean_share"] is None or path["mean_share"] < 0.9:
            skipped += 1
            continue
        last = len(path["mean_square"]) - 1
        for k in (last // 4, last // 2, 3 * last // 4, last):
            gap = path["mean_square"][k] - path["mean_square_predicted"][k]
            scores.append(abs(gap) / path["mean_square_error"][k])
    if not scores:
        return Outcome("no cell in which the mean drives the escape", math.nan, math.nan, False)
    worst = max(scores)
    text = f"largest deviation {worst:.2f} standard errors at {len(scores)} (cell, step) pairs"
    if skipped:
        text += f"; {skipped} cells not mean-driven"
    return Outcome(text, worst, 1.0, worst <= SIGMAS)


def median_run(evidence: Evidence) -> Outcome:
    """Median of real runs against the linearised median where noise drives most."""
    scores, gaps, shares = [], [], []
    for path in evidence["trajectories"]:
        if path["kind"] != "noise_driven":
            continue
        gap = path["log_quantiles"][1][-1] - path["linear_median"][-1]
        error = math.hypot(path["median_error"], path["linear_median_error"])
        scores.append(abs(gap) / error)
        shares.append(path["mean_share"] or 0.0)
        mean_square = 0.5 * math.log(path["mean_square_predicted"][-1])
        gaps.append(mean_square - path["log_quantiles"][1][-1])
    worst = max(scores)
    text = (
        f"largest deviation {worst:.2f} standard errors over {len(scores)} cells (mean's share of "
        f"log ρ down to {min(shares):.2f}); log root mean square lies up to {max(gaps):.1f} above"
    )
    return Outcome(text, worst, 1.0, worst <= SIGMAS)


def heatmaps(evidence: Evidence) -> Outcome:
    """Balanced accuracy of the typical frontier on the synthetic networks' maps."""
    return _frontier_accuracy(evidence, "signal_plus_noise", linear=True)


def heatmaps_digits(evidence: Evidence) -> Outcome:
    """Balanced accuracy of the typical frontier on the maps of digits."""
    if not any(n["data"] == "digits" for n in evidence["networks"]):
        return Outcome("not run: scikit-learn is not installed", math.nan, math.nan, None)
    return _frontier_accuracy(evidence, "digits", linear=True)


def heatmaps_natural(evidence: Evidence) -> Outcome:
    """Report the same accuracy at natural displacements, without a threshold."""
    outcome = _frontier_accuracy(evidence, "signal_plus_noise", linear=False)
    return Outcome(outcome.measured, outcome.value, outcome.error_bar, None)


def forget_loss_class(evidence: Evidence) -> Outcome:
    """Report how often the class by displacement and the class by forget loss agree."""
    cells = [c for c in _outcomes(evidence, None, True) if c["alpha"] > 0]
    same = float(np.mean([c["escaped"] == c["forgot"] for c in cells]))
    silent = sum(c["escaped"] and not c["forgot"] for c in cells)
    early = sum(c["forgot"] and not c["escaped"] for c in cells)
    text = (
        f"{same:.1%} of {len(cells)} cells agree; {silent} escaped without forgetting, "
        f"{early} forgot without escaping"
    )
    return Outcome(text, same, _binomial_error(same, len(cells)), None)


def collapse(evidence: Evidence) -> Outcome:
    """Whether plain SGD collapses at half the inverse sharpness, as it should by SNR."""
    low = [c for c in evidence["collapse"] if c["snr"] <= 0.1]
    high = [c for c in evidence["collapse"] if c["snr"] >= 1.0]
    right = [c["escaped"] for c in low] + [not c["escaped"] for c in high]
    peaks = ", ".join(f"SNR {c['snr']:g}: {c['log_peak']:+.1f}" for c in evidence["collapse"])
    text = (
        f"log of the median run's peak at α = 0 ({peaks}); log radius {_log_radius(evidence):.1f}"
    )
    value = float(np.mean(right)) if right else math.nan
    return Outcome(text, value, math.nan, all(right))


def closed_form_resistance(evidence: Evidence) -> Outcome:
    """Report the closed-form Ψ over the exact one of trained networks."""
    curves = evidence["closed_form"]["curves"]
    grid = np.array([c["snr"] for c in curves])
    values = np.array([c["resistance"] for c in curves])
    ratios: dict[float, list[float]] = {}
    for n in _synthetic(evidence):
        exact = n["protocols"]["sharpness_scaled"]["resistance"]
        if exact:
            formula = float(np.interp(n["snr"], grid, values))
            ratios.setdefault(n["snr"], []).append(formula / exact)
    text = "closed form over exact: " + ", ".join(
        f"{np.mean(r):.2f} at SNR {snr:g}" for snr, r in sorted(ratios.items())
    )
    worst = max(abs(math.log(np.mean(r))) for r in ratios.values())
    return Outcome(text, worst, math.nan, None)


def spearman(pairs: Iterable[tuple[float, float | None]]) -> tuple[float, float]:
    """Rank correlation and its bootstrap error; a value not reached ranks above all others.

    A missing escape time means "longer than the horizon"; a missing resistance
    means that the forget loss never grew tenfold: infinite in both cases.
    """
    from scipy.stats import spearmanr

    data = [(x, math.inf if y is None else y) for x, y in pairs]
    if len({x for x, _ in data}) < 2 or len({y for _, y in data}) < 2:
        return math.nan, math.nan
    x, y = (np.array(column) for column in zip(*data, strict=True))
    value = float(spearmanr(x, y).statistic)
    rng = np.random.default_rng(0)
    draws: list[float] = []
    for _ in range(300):
        take = rng.integers(len(x), size=len(x))
        if len(set(x[take])) > 1 and len(set(y[take])) > 1:
            draws.append(float(spearmanr(x[take], y[take]).statistic))
    return value, float(np.std(draws, ddof=1))


def balanced_accuracy(predicted: Any, actual: Any) -> float:
    """Mean of the accuracies within each actual class; NaN if only one class occurs."""
    predicted, actual = np.asarray(predicted, bool), np.asarray(actual, bool)
    if actual.all() or not actual.any():
        return math.nan
    return float(0.5 * (predicted[actual].mean() + (~predicted[~actual]).mean()))


def _frontier_accuracy(evidence: Evidence, data: str, linear: bool) -> Outcome:
    log_radius = _log_radius(evidence)
    cells = _outcomes(evidence, data, linear)
    decided = [
        c
        for c in cells
        if abs(c["predicted"]["log_peak_typical"] - log_radius)
        > MARGIN * math.hypot(c["predicted"]["log_peak_error"], c["log_peak_error"])
    ]

    def accuracy(cells: list[Record], level: str) -> float:
        predicted = [c["predicted"][level] >= log_radius for c in cells]
        return balanced_accuracy(predicted, [c["escaped"] for c in cells])

    value = accuracy(decided, "log_peak_typical")
    share = float(np.mean([c["escaped"] for c in decided])) if decided else math.nan
    text = (
        f"balanced accuracy {value:.1%} on the {len(decided)} of {len(cells)} cells farther from "
        f"the frontier than {MARGIN:g} standard errors ({accuracy(cells, 'log_peak_typical'):.1%} "
        f"on all); mean-square frontier {accuracy(decided, 'log_peak_mean_square'):.1%}, majority "
        f"vote 50.0% ({max(share, 1 - share):.1%} unbalanced); "
        f"masks flipped: at most {max(c['flipped'] for c in cells):.1e}; smallest kink margin "
        f"{min(n['kink_margin'] / n['weight_norm'] for n in evidence['networks']):.0e}‖w*‖"
    )
    return Outcome(text, value, _binomial_error(value, len(decided)), bool(value >= ACCURACY))


def _outcomes(evidence: Evidence, data: str | None, linear: bool) -> list[Record]:
    """Observed cells with their predictions, at the linear or the natural displacement."""
    size = evidence["preset"]["displacement" if linear else "natural_displacement"]
    predicted = {
        (*network_key(n), scale, cell["alpha"], *cell["batch_size"]): cell
        for n in evidence["networks"]
        for scale in ("map", "common_map")
        if scale in n
        for cell in n[scale]["cells"]
    }
    return [
        {**c, "predicted": predicted[(*network_key(c), c["scale"], c["alpha"], *c["batch_size"])]}
        for c in evidence["outcomes"]
        if c["displacement"] == size and data in (None, c["data"])
    ]


def network_key(record: Record) -> tuple[Any, ...]:
    """Tell a network: data, ratio, forget set, repeat."""
    return record["data"], record["snr"], record["forget"], record["index"]


def _synthetic(evidence: Evidence) -> list[Record]:
    return [n for n in evidence["networks"] if n["data"] == "signal_plus_noise"]


def _zero_mixing(network: Record) -> list[Record]:
    return [c for c in network["map"]["cells"] if c["alpha"] == 0.0]


def _times(evidence: Evidence, protocol: str) -> list[tuple[float, float | None]]:
    return [(e["snr"], e["escape_time"]) for e in evidence["escapes"] if e["protocol"] == protocol]


def _correlation(found: dict[str, tuple[float, float]], sign: int) -> Outcome:
    """Hold if each correlation has the sign, by more than twice its bootstrap error."""
    text = "Spearman " + ", ".join(f"{v:+.2f} ± {e:.2f} ({k})" for k, (v, e) in found.items())
    value, error = min(found.values(), key=lambda pair: sign * pair[0])
    holds = all(sign * v > 2.0 * e for v, e in found.values())
    return Outcome(text, value, error, bool(holds))


def _binomial_error(share: float, count: int) -> float:
    return math.sqrt(max(share * (1.0 - share), 0.0) / count) if count else math.nan


def _log_radius(evidence: Evidence) -> float:
    return math.log(evidence["preset"]["radius"])


def from_theory(name: str, judge: Callable[[Record], Outcome]) -> Callable[[Evidence], Outcome]:
    """Judge one of the checks that need no network."""
    return lambda evidence: judge(evidence["theory"][name])
