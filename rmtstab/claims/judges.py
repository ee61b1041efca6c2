"""How the claims about real networks are judged: evidence in, outcome out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from rmtstab.claims.presets import PROTOCOLS
from rmtstab.claims.registry import Evidence, Outcome

Record = dict[str, Any]
SIGMAS = 5.0  # deviations that an agreement may show, in standard errors
ACCURACY = 0.97  # balanced accuracy asked of the typical frontier
MARGIN = 1.0  # standard errors: the Monte Carlo error within which a cell is not judged


def interpolation(evidence: Evidence) -> Outcome:
    """Largest training loss over the networks."""
    losses = [n["training"]["loss"] for n in evidence["networks"]]
    worst = _worst(losses)
    starts = [n["training"]["starts"] for n in evidence["networks"]]
    text = (
        f"largest loss {worst:.1e} over {len(losses)} networks; {sum(starts) - len(starts)} starts "
        "given up because a sample lost all its filters"
    )
    return Outcome(text, worst, math.nan, worst < 1e-20)


def curvature(evidence: Evidence) -> Outcome:
    """Closed-form sharpness against autograd's."""
    gaps = [abs(n["sharpness_autograd"] / n["sharpness_gram"] - 1) for n in evidence["networks"]]
    worst = _worst(gaps)
    text = f"largest relative gap {worst:.1e} over {len(gaps)} networks"
    return Outcome(text, worst, math.nan, worst < 1e-8)


def resistance_rises(evidence: Evidence) -> Outcome:
    """Spearman correlation of Ψ with SNR, exact and observed; the least over the protocols."""
    found, missing = {}, 0
    for protocol in PROTOCOLS:
        exact = [(n["snr"], n["protocols"][protocol]["resistance"]) for n in _synthetic(evidence)]
        seen = [
            (e["snr"], e["resistance"]) for e in evidence["escapes"] if e["protocol"] == protocol
        ]
        for kind, pairs in (("exact", exact), ("observed", seen)):
            # nothing escaped within the horizon: that says nothing of Ψ
            missing += sum(value is None for _, value in pairs)
            found[f"{protocol}, {kind}"] = spearman([p for p in pairs if p[1] is not None])
    outcome = _correlation(found, sign=1)
    if not missing:
        return outcome
    text = f"{outcome.measured}; {missing} values missing"
    return Outcome(text, outcome.value, outcome.error_bar, False)


def finite_resistance(evidence: Evidence) -> Outcome:
    """Observed over predicted finite-horizon resistance, at each SNR; errors over networks."""
    predicted = {
        (network_key(n), p): n["protocols"][p]["finite_resistance"]
        for n in _synthetic(evidence)
        for p in PROTOCOLS
    }
    logs: dict[float, dict[Any, list[float]]] = {}
    for e in evidence["escapes"]:
        formula = predicted[network_key(e), e["protocol"]]
        if e["resistance"] and formula:
            networks = logs.setdefault(e["snr"], {})
            networks.setdefault(network_key(e), []).append(math.log(e["resistance"] / formula))
    if not logs:
        return _nothing("the forget loss never grew tenfold")
    means, errors = [], []
    for networks in logs.values():
        values = [float(np.mean(v)) for v in networks.values()]
        means.append(float(np.mean(values)))
        spread = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else 0.0
        errors.append(float(spread))
    worst = int(np.argmax(np.abs(means)))
    text = "observed over predicted: " + ", ".join(
        f"{math.exp(m):.2f} ×÷{math.exp(e):.2f} at SNR {snr:g}"
        for snr, m, e in zip(logs, means, errors, strict=True)
    )
    return Outcome(text, means[worst], errors[worst], bool(_worst(map(abs, means)) <= 0.3))


def escape_slows_when_scaled(evidence: Evidence) -> Outcome:
    """Spearman correlation of observed escape time with SNR under the scaled protocols."""
    found = {p: spearman(_times(evidence, p)) for p in ("sgd_scaled", "sharpness_scaled")}
    return _correlation(found, sign=1)


def escape_quickens_at_common_step(evidence: Evidence) -> Outcome:
    """Spearman correlation of observed escape time with SNR at one common step."""
    return _correlation({"common": spearman(_times(evidence, "common"))}, sign=-1)


def plain_sgd_stable(evidence: Evidence) -> Outcome:
    """Largest certified growth factor at α = 0 over every step size in use."""
    values = [
        n["protocols"][p]["sgd_growth_upper"] for n in _synthetic(evidence) for p in PROTOCOLS
    ]
    values += [
        c["growth_factor"] + c["growth_error"]
        for n in evidence["networks"]
        for c in _zero_mixing(n)
    ]
    worst = _worst(values)
    text = f"largest certified ρ at α = 0: 1 − {1 - worst:.1e} over {len(values)} settings"
    return Outcome(text, worst, math.nan, worst < 1.0)


def one_step(evidence: Evidence) -> Outcome:
    """Largest deviation of the one-step moment, with what two wrong formulas score."""
    cells = evidence["one_step"]
    worst = _worst(abs(c["z"]) for c in cells)
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
        share = path["mean_share"]
        if path["growth_factor"] <= 1.0 or share is None or share < 0.9:
            skipped += 1
            continue
        last = len(path["mean_square"]) - 1
        for k in (last // 4, last // 2, 3 * last // 4, last):
            gap = path["mean_square"][k] - path["mean_square_predicted"][k]
            floor = 1e-9 * path["mean_square_predicted"][k]  # where nothing is random
            scores.append(abs(gap) / max(path["mean_square_error"][k], floor))
    if not scores:
        return _nothing("no cell in which the mean drives the escape")
    worst = _worst(scores)
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
        scores.append(abs(gap) / max(error, 1e-9))
        shares.append(path["mean_share"] or 0.0)
        mean_square = 0.5 * math.log(path["mean_square_predicted"][-1])
        gaps.append((mean_square - path["log_quantiles"][1][-1], path["median_error"]))
    if not scores:
        return _nothing("no cell was followed")
    worst = _worst(scores)
    below = all(gap > 2.0 * error for gap, error in gaps)
    text = (
        f"largest deviation {worst:.2f} standard errors over {len(scores)} cells (mean's share of "
        f"log ρ down to {min(shares):.2f}); log root mean square lies {min(gaps)[0]:.1f} to "
        f"{max(gaps)[0]:.1f} above the median"
    )
    return Outcome(text, worst, 1.0, bool(worst <= SIGMAS and below))


def heavy_tailed_zone(evidence: Evidence) -> Outcome:
    """Share of cells between the two frontiers whose median run resists.

    Few cells lie there: nine in ten must resist within two binomial errors, and three errors
    must tell that from a coin; the mean-square frontier says none.
    """
    log_radius = _log_radius(evidence)
    zone = [
        c
        for c in _decided(_outcomes(evidence, None, True), evidence)
        if c["predicted"]["log_peak_mean_square"] >= log_radius
        and c["predicted"]["log_peak_typical"] < log_radius
    ]
    if not zone:
        return _nothing("no decided cell lies between the frontiers")
    share = float(np.mean([not c["escaped"] for c in zone]))
    text = f"{share:.1%} of the {len(zone)} decided cells between the frontiers resist"
    error = _binomial_error(share, len(zone))
    holds = share + 2.0 * error >= 0.9 and share - 3.0 * error > 0.5
    return Outcome(text, share, error, holds)


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
    if not low or not high:
        return _nothing("no network at SNR ≤ 0.1, or none at SNR ≥ 1")
    right = [c["escaped"] for c in low] + [not c["escaped"] for c in high]
    peaks = ", ".join(f"SNR {c['snr']:g}: {c['log_peak']:+.1f}" for c in evidence["collapse"])
    text = (
        f"log of the median run's peak at α = 0 ({peaks}); log radius {_log_radius(evidence):.1f}"
    )
    return Outcome(text, float(np.mean(right)), math.nan, all(right))


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
    if not ratios:
        return Outcome("no network escapes", math.nan, math.nan, None)
    text = "closed form over exact: " + ", ".join(
        f"{np.mean(r):.2f} at SNR {snr:g}" for snr, r in sorted(ratios.items())
    )
    return Outcome(text, _worst(abs(math.log(np.mean(r))) for r in ratios.values()), math.nan, None)


def spearman(pairs: Iterable[tuple[float, float | None]]) -> tuple[float, float]:
    """Rank correlation and its bootstrap error; None ranks above all others.

    A missing escape time means "longer than the horizon".
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
    cells = [c for c in _outcomes(evidence, data, linear) if c["alpha"] > 0]
    decided = _decided(cells, evidence)
    if 2 * len(decided) < len(cells) or not decided:
        return _nothing(f"only {len(decided)} of {len(cells)} cells are off the frontier")

    def accuracy(cells: list[Record], level: str) -> float:
        predicted = [c["predicted"][level] >= log_radius for c in cells]
        return balanced_accuracy(predicted, [c["escaped"] for c in cells])

    value = accuracy(decided, "log_peak_typical")
    share = float(np.mean([c["escaped"] for c in decided]))
    margins = [
        n["kink_margin"] / n["weight_norm"] for n in evidence["networks"] if n["data"] == data
    ]
    text = (
        f"balanced accuracy {value:.1%} on the {len(decided)} of {len(cells)} cells (α > 0) "
        f"farther from the frontier than the predicted Monte Carlo error ({MARGIN:g} s.e.) "
        f"({accuracy(cells, 'log_peak_typical'):.1%} on all); mean-square frontier "
        f"{accuracy(decided, 'log_peak_mean_square'):.1%}, majority vote 50.0% "
        f"({max(share, 1 - share):.1%} unbalanced); masks flipped: at most "
        f"{max(c['flipped'] for c in cells):.1e}; smallest kink margin {min(margins):.0e}‖w*‖"
    )
    return Outcome(text, value, _binomial_error(value, len(decided)), bool(value >= ACCURACY))


def _decided(cells: list[Record], evidence: Evidence) -> list[Record]:
    """Keep the cells farther from the typical frontier than Monte Carlo can err.

    The error is the predicted one, of the linearised median and of a median
    over as many real replicas: what was observed does not select the cells.
    """
    preset = evidence["preset"]
    inflation = math.sqrt(1.0 + preset["linear_replicas"] / preset["replicas"])
    return [
        c
        for c in cells
        if abs(c["predicted"]["log_peak_typical"] - _log_radius(evidence))
        > MARGIN * inflation * c["predicted"]["log_peak_error"]
    ]


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
    """Standard error of a share, not 0 at the ends (Agresti and Coull, two added each)."""
    if not count or math.isnan(share):
        return math.nan
    centre = (share * count + 2.0) / (count + 4.0)
    return math.sqrt(centre * (1.0 - centre) / (count + 4.0))


def _worst(values: Iterable[float]) -> float:
    """Largest value; NaN if any is, so that it passes no threshold."""
    return float(np.max(np.fromiter(values, dtype=float), initial=-math.inf))


def _nothing(text: str) -> Outcome:
    """Nothing could be judged: the claim does not hold."""
    return Outcome(text, math.nan, math.nan, False)


def _log_radius(evidence: Evidence) -> float:
    return math.log(evidence["preset"]["radius"])
