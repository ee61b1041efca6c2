"""Claims: which settings of the (mixing, batch size, step size) maps escape, and which resist.

What each judge reads of a right theory, of a wrong one, and of rules that know less was written
down before the runs that it judges, from predictions alone (quick preset, a seed that no report
uses; networks are the unit, 12 in quick):

================================== ============= ============= ============ ==================
judge                              right theory  theory × 1.1  constant     rule of one number
================================== ============= ============= ============ ==================
slope of log displacement          1 ± .005      .909          none         none
calibration, t of observed − p     |t| < 5       −9            undefined    undefined
accuracy of single runs            .927          .922          .73          .85 (ηα)
zone: share of runs that resist    .70           .70 (t −9)    0 or 1       0 (mean square)
================================== ============= ============= ============ ==================

The mean-square frontier's accuracy is .908: the two frontiers part in 6 % of the cells only, and
there it is wrong of seven runs in ten. Accuracy counts runs as they are, as the side of the median
run is what most runs do; *balanced* accuracy would weigh the escapes, a quarter of the runs, three
times, and reward whoever calls an escape what escapes in one run of four: of a right theory the
mean-square frontier would score higher by it. A theory 1.1 times off classifies nearly as well as
the right one: classes alone do not refute it, slope and calibration do.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.claims.claim import Claim, Evidence, Outcome
from rmtstab.claims.networks import map_cells
from rmtstab.claims.networks.map_cells import Cells
from rmtstab.claims.networks.records import (
    MODEL,
    PROTOCOLS,
    WRONG,
    largest,
    nothing,
    synthetic,
)

Record = dict[str, Any]
CHANCE = 5e-4  # that a test of a right theory fails
CONFIDENCE = 0.99  # of one-sided limits
SYSTEMATIC = 0.01  # of a slope or intercept: kinks crossed, error in the predicted values
LINEAR = 1e-4  # displacement over ‖w*‖ up to which log displacements are compared
# The linearised runs that choose a class or a zone also give its probability: redrawn right
# theories (validation/false_alarms.py) read −.0008 and +.007 in quick for that alone.
CURSE, CHOSEN = 0.003, 0.015
MARGIN = 0.03  # share of the runs on digits
OMITTED = 0.15  # largest share of cells that may be left out
ZONE_SHARE = 0.5  # of the runs between the frontiers, resist: a coin's
ZONE_CELLS = 150  # decided cells between the frontiers, below which nothing is said
SYNTHETIC, DIGITS = "signal_plus_noise", "digits"
MAP = "η = ½ and .95 (full: also .8) of η*(α = 0) at the map's smallest batch"
HORIZON = (
    "100 steps (full: also 300 and 1000), looked at every tenth step; radius 10; start 1e-7‖w*‖ in "
    "the gradients' range"
)
MAPS_FAIL = (
    "for the mean-square frontier (beside it), and beyond the linear regime (starts of natural "
    "size). A theory × 1.1 scores within a per cent: slope and calibration refute it, not classes"
)


def plain_sgd_stable(evidence: Evidence) -> Outcome:
    """Largest certified growth factor at α = 0 over every step size in use."""
    values = [n["protocols"][p]["sgd_growth_upper"] for n in synthetic(evidence) for p in PROTOCOLS]
    values += [value for n in evidence["networks"] for value in n["sgd_growth_upper"]]
    worst = largest(values)
    text = f"largest certified ρ at α = 0: 1 − {1 - worst:.1e} over {len(values)} settings"
    return Outcome(text, worst, math.nan, worst < 1.0)


# --- log displacement -------------------------------------------------------------------------


def displacement(evidence: Evidence) -> Outcome:
    """Regress observed on predicted log displacement within each network."""
    return _displacement(evidence, 1.0)


def displacement_wrong(evidence: Evidence) -> Outcome:
    """Regress on the log displacement of a theory whose growth is `WRONG` times as large."""
    return _displacement(evidence, WRONG)


def _displacement(evidence: Evidence, scale: float) -> Outcome:
    cells = map_cells.read(evidence, SYNTHETIC)
    top = math.log(LINEAR / evidence["preset"]["displacement"])
    kept = cells.where(cells["mean"] <= top)
    if len(np.unique(kept.network)) < 3:
        return nothing("fewer than three networks have cells in the linear regime")
    slopes, intercepts, rival = _lines(kept, scale, evidence["preset"]["map_linear_replicas"])
    left = 1.0 - len(kept) / len(cells)
    slope, intercept = _mean(slopes), _mean(intercepts)
    text = (
        f"slope {slope[0]:.4f} ± {slope[1]:.4f}, intercept {intercept[0]:+.4f} ± "
        f"{intercept[1]:.4f} over {len(slopes)} networks ({len(kept)} cells; {left:.1%} beyond the "
        f"linear regime); on the mean square's log displacement: slope {_mean(rival)[0]:.3f}"
    )
    holds = _agrees(slopes, 1.0) and _agrees(intercepts, 0.0) and left <= OMITTED
    return Outcome(text, slope[0], slope[1], bool(holds), _mean(rival)[0])


def _lines(cells: Cells, scale: float, replicas: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Slope and intercept of each network; slope on the mean square's growth."""
    found = []
    variance = cells["spread"] ** 2 * (1.0 / cells.runs + 1.0 / replicas) + 1e-4
    for network in np.unique(cells.network):
        own = cells.network == network
        weights = 1.0 / np.sqrt(variance[own])
        seen = cells["seen_mean"][own]
        slope, intercept = np.polyfit(scale * cells["mean"][own], seen, 1, w=weights)
        found.append(
            (slope, intercept, np.polyfit(cells["mean_square"][own], seen, 1, w=weights)[0])
        )
    slopes, intercepts, rival = np.array(found).T
    return slopes, intercepts, rival


# --- calibration ------------------------------------------------------------------------------


def calibration(evidence: Evidence) -> Outcome:
    """Share of runs that escape minus its predicted probability, network by network."""
    return _calibrated(evidence, "probability", "escaped")


def calibration_wrong(evidence: Evidence) -> Outcome:
    """Compare with the probability of a theory whose growth is `WRONG` times as large."""
    return _calibrated(evidence, "probability_wrong", "escaped")


def forgetting(evidence: Evidence) -> Outcome:
    """Share of runs whose forget loss grows hundredfold minus its predicted probability."""
    return _forgetting(evidence, "forgets")


def forgetting_wrong(evidence: Evidence) -> Outcome:
    """Compare with the probability of a theory whose growth is `WRONG` times as large."""
    return _forgetting(evidence, "forgets_wrong")


def _forgetting(evidence: Evidence, probability: str) -> Outcome:
    cells = map_cells.read(evidence, SYNTHETIC)
    outcome = _calibrated(evidence, probability, "forgot")
    if not len(cells):
        return outcome
    majority = 0.5 * cells.runs
    escaped, forgot = (cells[f"seen_{k}"] > majority for k in ("escaped", "forgot"))
    text = (
        f"{outcome.measured}; of {len(cells)} cells {int((~escaped & ~forgot).sum())} resisted, "
        f"{int((~escaped & forgot).sum())} forgot without escaping, "
        f"{int((escaped & forgot).sum())} escaped and forgot, {int((escaped & ~forgot).sum())} "
        "escaped without forgetting"
    )
    early = float((cells["seen_forgot"] / cells.runs - cells["probability"]).mean())
    return Outcome(text, outcome.value, outcome.error_bar, outcome.holds, early)


def _calibrated(evidence: Evidence, probability: str, event: str) -> Outcome:
    cells = map_cells.read(evidence, SYNTHETIC)
    networks = np.unique(cells.network)
    if len(networks) < 3:
        return nothing("fewer than three networks")
    share = cells[f"seen_{event}"] / cells.runs
    gaps = _by_network(cells, share - cells[probability])
    open_ = (cells[probability] > 0.05) & (cells[probability] < 0.95)
    gap, error = _mean(gaps)
    bins = []
    for low, high in ((0.05, 0.35), (0.35, 0.65), (0.65, 0.95)):
        inside = (cells[probability] > low) & (cells[probability] <= high)
        if inside.any():
            bins.append(f"{share[inside].mean():.3f} at {cells[probability][inside].mean():.3f}")
    text = (
        f"observed − predicted share {gap:+.4f} ± {error:.4f} over {len(gaps)} networks "
        f"({len(cells)} cells, {int(open_.sum())} of them open; shares seen at predicted: "
        + ", ".join(bins)
        + f"); a constant, the mean share, misses open cells by "
        f"{_spread(share[open_], share.mean()):.2f}, the prediction by "
        f"{_spread(share[open_], cells[probability][open_]):.2f}"
    )
    return Outcome(text, gap, error, _agrees(gaps, 0.0, 0.0))


def _spread(seen: FloatArray, said: Any) -> float:
    """Root mean square of what was said minus what was seen."""
    return float(np.sqrt(np.mean((seen - said) ** 2))) if seen.size else math.nan


# --- classes ----------------------------------------------------------------------------------


def classes(evidence: Evidence) -> Outcome:
    """Accuracy of the typical frontier over single runs of the synthetic networks."""
    return _classes(evidence, SYNTHETIC)


def classes_digits(evidence: Evidence) -> Outcome:
    """Judge the maps of digits, columns of common draws as the unit."""
    if not any(n["data"] == DIGITS for n in evidence["networks"]):
        return Outcome("not run: scikit-learn is not installed", math.nan, math.nan, None)
    return _classes(evidence, DIGITS)


def _classes(evidence: Evidence, data: str) -> Outcome:
    cells = map_cells.read(evidence, data)
    # few networks on digits: their columns, whose draws are independent, are the unit
    unit = cells.network if data == SYNTHETIC else cells.column
    if len(np.unique(unit)) < 3:
        return nothing("fewer than three networks or columns")
    left = float(cells.undecided.mean())
    share = cells.share
    cut, name = _best_rule(cells)
    typical = cells["peak"] >= cells.level
    right = _right(typical, share)
    rivals = {
        "mean-square frontier": _right(cells["mean_square_peak"] >= cells.level, share),
        f"best rule of one number, fitted to the runs ({name})": _right(cut, share),
        f"theory × {WRONG:g}": _right(WRONG * cells["peak"] >= cells.level, share),
        "majority vote": _right(share.mean() > 0.5, share),
    }
    square, rule, *_ = rivals.values()
    surplus = _units(unit, right - _right(typical, cells["probability"]))
    # ratios (networks, where columns are the unit) differ by design: their spread is no error
    strata = _units(unit, cells["snr"] if data == SYNTHETIC else cells.network)
    leads = [_units(unit, right - rival) for rival in (square, rule)]
    limits = [_limit(lead, strata) for lead in leads]
    accuracy, error = float(right.mean()), _mean(surplus)[1]
    text = (
        f"{accuracy:.1%} of {int(len(cells) * cells.runs)} runs (α > 0) classified right, "
        f"{_right(typical, cells['probability']).mean():.1%} by the frontier's own expectation; "
        + ", ".join(f"{who} {values.mean():.1%}" for who, values in rivals.items())
        + f"; lead over the mean-square frontier {leads[0].mean():.1%} (at least {limits[0]:.1%}), "
        f"over the rule at least {limits[1]:.1%}; {left:.1%} of the cells within the prediction's "
        "error, none left out"
    )
    as_expected, leads_square = _agrees(surplus, 0.0, CURSE), limits[0] > 0.0
    if data == DIGITS:
        # columns are far from normal: a margin, five times what redrawing gives; and they are
        # too few to show a lead of 2 %: a right theory misses it in 1 run of 200
        as_expected, leads_square = abs(float(np.mean(surplus))) <= MARGIN, True
    holds = as_expected and leads_square and limits[1] > 0.0 and left <= OMITTED
    return Outcome(text, accuracy, error, bool(holds), float(square.mean()))


def _right(predicted: Any, share: FloatArray) -> FloatArray:
    """Share of each cell's runs that a class is right of."""
    result: FloatArray = np.where(predicted, share, 1.0 - share)
    return result


def _best_rule(cells: Cells) -> tuple[Any, str]:
    """Threshold on one number that is right of most of the very runs, and its name."""
    best: tuple[float, Any, str] = (-1.0, None, "")
    numbers = {"α": cells["alpha"], "ηα": cells["alpha"] * cells["step_size"]}
    for name, number in numbers.items():
        order = np.argsort(number, kind="stable")
        share = cells.share[order]
        below = np.concatenate([[0.0], np.cumsum(1.0 - share)])
        above = share.sum() - np.concatenate([[0.0], np.cumsum(share)])
        cuts = np.concatenate([[-np.inf], 0.5 * (number[order][1:] + number[order][:-1]), [np.inf]])
        k = int(np.argmax(below + above))
        if (score := float(below[k] + above[k])) > best[0]:
            best = score, number > cuts[k], f"{name} > {cuts[k]:.3g}"
    return best[1], best[2]


# --- between the frontiers --------------------------------------------------------------------


def heavy_tailed_zone(evidence: Evidence) -> Outcome:
    """Share of runs between the two frontiers that resist, and its calibration there.

    The mean-square frontier says that none does, a coin one half; the lower confidence limit
    over networks must lie above `ZONE_SHARE`. A theory 1.1 times off is refuted here in 19
    redrawn runs of 20, and by all cells together (`calibration`) in every one.
    """
    cells = map_cells.read(evidence)
    zone = cells.where(cells.zone) if len(cells) else cells
    if len(np.unique(zone.network)) < 3:
        return nothing("fewer than three networks have cells between the frontiers")
    decided = zone.where(~zone.undecided)
    if len(decided) < ZONE_CELLS:
        return Outcome(
            f"not judged: {len(decided)} decided cells between the frontiers, of {ZONE_CELLS}",
            math.nan, math.nan, None,
        )  # fmt: skip
    resisting = _ratio_by_network(decided, 1.0 - decided.share)
    gaps = _ratio_by_network(zone, zone.share - zone["probability"])
    wrong = _ratio_by_network(zone, zone.share - zone["probability_wrong"])
    share, error = _mean(resisting)
    limit = _limit(resisting)
    text = (
        f"{share:.1%} ± {error:.1%} of the runs in {len(decided)} decided cells between the "
        f"frontiers resist (at least {limit:.1%}; predicted "
        f"{1 - decided['probability'].mean():.1%}; mean-square frontier 0%); observed − predicted "
        f"escape {_mean(gaps)[0]:+.3f} ± "
        f"{_mean(gaps)[1]:.3f} over all {len(zone)}, of the theory × {WRONG:g} "
        f"{_mean(wrong)[0]:+.3f}"
    )
    holds = limit > ZONE_SHARE and _agrees(gaps, 0.0, CHOSEN)
    return Outcome(text, share, error, bool(holds), 0.0)


def collapse(evidence: Evidence) -> Outcome:
    """Whether plain SGD collapses at half the inverse sharpness, as it should by SNR."""
    low = [c for c in evidence["collapse"] if c["snr"] <= 0.1]
    high = [c for c in evidence["collapse"] if c["snr"] >= 1.0]
    if not low or not high:
        return nothing("no network at SNR ≤ 0.1, or none at SNR ≥ 1")
    right = [c["escaped"] for c in low] + [not c["escaped"] for c in high]
    peaks = ", ".join(f"SNR {c['snr']:g}: {c['log_peak']:+.1f}" for c in evidence["collapse"])
    text = (
        f"log of the median run's peak at α = 0 ({peaks}); log radius {_log_radius(evidence):.1f}"
    )
    return Outcome(text, float(np.mean(right)), math.nan, all(right))


# --- networks as the unit ---------------------------------------------------------------------


def _units(unit: Any, values: FloatArray) -> FloatArray:
    """Mean of the cells' values in each unit."""
    _, place, counts = np.unique(unit, return_inverse=True, return_counts=True)
    result: FloatArray = np.bincount(place, weights=values) / counts
    return result


def _by_network(cells: Cells, values: FloatArray) -> FloatArray:
    return _units(cells.network, values)


def _ratio_by_network(cells: Cells, values: FloatArray) -> FloatArray:
    """Ratio estimate as one value a network: networks with more cells weigh more."""
    _, place, counts = np.unique(cells.network, return_inverse=True, return_counts=True)
    mean = float(values.mean())
    weight = counts / counts.mean()
    own = np.bincount(place, weights=values) / counts
    result: FloatArray = mean + weight * (own - mean)
    return result


def _mean(values: FloatArray) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))


def _quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t."""
    from scipy.stats import t

    return float(t.ppf(probability, freedom))


def _limit(values: FloatArray, strata: FloatArray | None = None) -> float:
    """Lower confidence limit of the mean, from the spread within strata of about one size."""
    groups = np.zeros(len(values)) if strata is None else strata
    _, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
    rest = values - (np.bincount(place, weights=values) / counts)[place]
    freedom = len(values) - len(counts)
    if freedom < 1:
        return -math.inf
    error = math.sqrt(float(rest @ rest) / freedom / len(values))
    return float(np.mean(values)) - _quantile(CONFIDENCE, freedom) * error


def _agrees(values: FloatArray, target: float, systematic: float = SYSTEMATIC) -> bool:
    """Whether a mean over networks is the target: a right theory fails with `CHANCE`."""
    mean, error = _mean(values)
    allowed = systematic + _quantile(1.0 - 0.5 * CHANCE, len(values) - 1) * error
    return bool(abs(mean - target) <= allowed)


def _log_radius(evidence: Evidence) -> float:
    return math.log(evidence["preset"]["radius"])


CLAIMS = (
    Claim(
        name="plain-sgd-stable",
        statement="At every step size in use, plain SGD on the retain set is mean-square stable: "
        "an escape at α > 0 is unlearning.",
        latex=r"\rho(\Phi)|_{\alpha=0}<1",
        assumptions="growth on the range of the retain gradients",
        normalisation="all protocols and maps",
        horizon="none",
        source="derived in docs/theory",
        fails="at half the inverse sharpness and SNR ≤ 0.1 (collapse without forgetting, below)",
        judge=plain_sgd_stable,
    ),
    Claim(
        name="log-displacement-follows-prediction",
        statement="The mean log displacement of real runs is that of the linearised runs, cell by "
        "cell: regressed on it within each network, slope 1 and intercept 0.",
        latex=r"\overline{\log\|w_K\|/\|w_0\|}=a+b\,\mathbb E\log\|w_K\|/\|w_0\|,\ a=0,\ b=1",
        assumptions=MODEL + "; predicted displacement up to 1e-4‖w*‖; networks as the unit",
        normalisation=MAP,
        horizon=HORIZON,
        source="derived in docs/theory",
        fails="regressed on the mean square's growth (slope beside it), and of a theory that "
        "grows 1.1 times as fast",
        judge=displacement,
        judge_wrong=displacement_wrong,
        mutation=WRONG,
        needs=("networks", "maps"),
    ),
    Claim(
        name="escape-probability-is-calibrated",
        statement="The share of real runs that escape is the probability that linearised runs "
        "give, over all cells.",
        latex=r"\Pr[\max_{k\le K}\|w_k\|\ge R\|w_0\|]",
        assumptions=MODEL + "; linear regime; networks as the unit",
        normalisation=MAP,
        horizon=HORIZON,
        source="derived in docs/theory",
        fails="of a theory whose log growth is 1.1 times as large",
        judge=calibration,
        judge_wrong=calibration_wrong,
        mutation=WRONG,
        needs=("networks", "maps"),
    ),
    Claim(
        name="typical-frontier-classifies-runs",
        statement="The typical finite-time frontier says of a single run of a real network whether "
        "it escapes as often rightly as it expects to itself, more often than the mean-square "
        "frontier and than any rule of one number.",
        latex=r"\mathrm{median}\,\max_{k\le K}\|w_k\|/\|w_0\|\gtrless R",
        assumptions=MODEL + "; linear regime; single runs; networks as the unit",
        normalisation=MAP,
        horizon=HORIZON,
        source="derived in docs/theory",
        fails=MAPS_FAIL,
        judge=classes,
        needs=("networks", "maps"),
    ),
    Claim(
        name="typical-frontier-classifies-runs-on-digits",
        statement="The same on real images, digits 0–4 against 5–9, forgetting a random subset and "
        "all sevens; the lead over the mean-square frontier is reported.",
        latex=r"\mathrm{median}\,\max_{k\le K}\|w_k\|/\|w_0\|\gtrless R",
        assumptions="the same CNN on four 6 × 6 patches of 8 × 8 images; these networks: columns "
        "of common draws are the unit",
        normalisation="η = ½ η*(α = 0) at the map's smallest batch",
        horizon=HORIZON,
        source="derived in docs/theory",
        fails=MAPS_FAIL,
        judge=classes_digits,
        needs=("networks", "maps"),
    ),
    Claim(
        name="heavy-tailed-zone-resists",
        statement="Between the two frontiers, where the mean square escapes and the typical run "
        "does not, most real runs resist, as many as predicted.",
        latex=r"E\|w\|^2\ge R^2,\ \mathrm{median}\|w\|<R:\ \text{resists}",
        assumptions="as above, all maps together; single runs",
        normalisation=MAP,
        horizon=HORIZON,
        source="derived in docs/theory",
        fails="for the mean-square frontier, which calls every one of these cells an escape",
        judge=heavy_tailed_zone,
        needs=("networks", "maps"),
    ),
    Claim(
        name="forgetting-is-predicted",
        statement="The share of real runs whose forget loss grows hundredfold is the probability "
        "that linearised runs give; forgetting comes before escape.",
        latex=r"\Pr[\max_{k\le K}F_k\ge R^2F_0]",
        assumptions=MODEL + "; linear regime; networks as the unit",
        normalisation=MAP,
        horizon=HORIZON,
        source="derived in docs/theory",
        fails="of a theory whose log growth is 1.1 times as large, and of the escape probability "
        "in its place: many cells forget without escaping (beside it)",
        judge=forgetting,
        judge_wrong=forgetting_wrong,
        mutation=WRONG,
        needs=("networks", "maps"),
    ),
    Claim(
        name="collapse-without-forgetting",
        statement="At η = ½/λ_max(H_R) and batches 4/1, plain SGD itself escapes at SNR ≤ 0.1 "
        "and is stable at SNR ≥ 1: the first is collapse, not unlearning.",
        latex=r"\alpha=0,\ \eta=\tfrac12/\lambda_{\max}(H_R)",
        assumptions=MODEL,
        normalisation="η = ½/λ_max(H_R), smallest batches",
        horizon="100 steps; radius 10; start 1e-7‖w*‖ in the gradients' range",
        source="derived in docs/theory/resistance",
        fails="at half of plain SGD's own threshold, where no α = 0 cell escapes",
        judge=collapse,
        needs=("networks", "collapse"),
    ),
)
