"""Claims: how coherence and the price of forgetting follow the data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rmtstab.claims.claim import Claim, Evidence, Outcome
from rmtstab.claims.networks.records import largest, nothing
from rmtstab.claims.networks.resistance import CHANCE, trend
from rmtstab.theory import cnn

Record = dict[str, Any]
AXES = ("retain", "forget", "cross")
AGREEMENT = 0.15  # in log coherence, beside three standard errors
TOO_MUCH = 1.33  # coherences so far off must be refused
PRICES = {"resistance": "Ψ", "retain_loss": "retain loss", "steps": "steps"}
FIELDS = ("n", "n_forget", "dim", "filters", "label_noise", "positive", "forget")
MODEL = "two-layer ReLU CNN trained to a logistic loss of .05 on signal-plus-noise data"


def along(evidence: Evidence, varied: str) -> list[Record]:
    """Records in which one field alone departs from the base setting.

    Parameters
    ----------
    evidence : mapping
    varied : str
        ``"snr"`` or another field of a setting.

    Returns
    -------
    list of dict
        By the value of the field; the base is the most common setting of the others.
    """
    records = evidence["data_axis"]
    base = {name: _most([r[name] for r in records]) for name in (*FIELDS, "snr") if name != varied}
    if varied == "n":
        base.pop("n_forget")  # a share of n
    found = [r for r in records if all(r[name] == value for name, value in base.items())]
    return sorted(found, key=lambda r: str(r[varied]) if varied == "forget" else r[varied])


def price_rises(evidence: Evidence) -> Outcome:
    """Page's trend test over SNR of what it costs to bring the forget set to chance."""
    records = along(evidence, "snr")
    found = {
        word: trend([(r["index"], r["snr"], _endless(r, name)) for r in records])
        for name, word in PRICES.items()
    }
    before, after = (
        {snr: float(np.mean([r[name] for r in records if r["snr"] == snr]))
         for snr in sorted({r["snr"] for r in records})}
        for name in ("membership_auc_before", "membership_auc")
    )  # fmt: skip
    worst = largest(found.values())
    text = (
        "Page's test, rises with SNR: "
        + ", ".join(f"p {p:.1e} ({word})" for word, p in found.items())
        + "; membership inference (AUC) before and after: "
        + ", ".join(f"{before[snr]:.2f}, {after[snr]:.2f} at SNR {snr:g}" for snr in before)
    )
    return Outcome(text, worst, math.nan, bool(worst < CHANCE))


def coherence_agrees(evidence: Evidence) -> Outcome:
    """Measured coherence on the three axes against the closed form, at each ratio.

    The closed form a third too large, and one number an axis, must be refused.
    """
    records = along(evidence, "snr")
    ratios = sorted({r["snr"] for r in records})
    if len(ratios) < 2:
        return nothing("fewer than two ratios")
    measured = {
        axis: {s: np.log([r[f"coherence_{axis}"] for r in records if r["snr"] == s])
               for s in ratios}
        for axis in AXES
    }  # fmt: skip
    first = records[0]
    sizes = first["n"] - first["n_forget"], first["n_forget"], first["dim"]
    known = {s: cnn.coherence(*sizes, s, first["filters"]) for s in ratios}
    formula = {axis: {s: math.log(getattr(known[s], axis)) for s in ratios} for axis in AXES}
    theories = {
        "closed form": formula,
        f"× {TOO_MUCH:g}": {
            axis: {s: v + math.log(TOO_MUCH) for s, v in row.items()}
            for axis, row in formula.items()
        },
        "one number": {
            axis: dict.fromkeys(ratios, float(np.mean(np.concatenate(list(row.values())))))
            for axis, row in measured.items()
        },
    }
    excess = {name: _excess(measured, theory) for name, theory in theories.items()}
    passed = [name for name in theories if name != "closed form" and excess[name] <= 0.0]
    worst = {
        axis: max((abs(float(np.mean(v)) - formula[axis][s]) for s, v in row.items()))
        for axis, row in measured.items()
    }
    text = (
        "largest factor between measured and closed-form coherence: "
        + ", ".join(f"{math.exp(v):.2f} ({axis})" for axis, v in worst.items())
        + f" over SNR {ratios[0]:g} to {ratios[-1]:g}; × {TOO_MUCH:g} and one number an axis: "
        + (f"{', '.join(passed)} pass" if passed else "all refused")
    )
    holds = excess["closed form"] <= 0.0 and not passed
    return Outcome(text, max(worst.values()), math.nan, bool(holds))


def forget_sets(evidence: Evidence) -> Outcome:
    """Report what forgetting costs for other forget sets, sizes, noise, classes."""
    shown = []
    for varied in ("forget", "n", "dim", "filters", "label_noise", "positive"):
        records = along(evidence, varied)
        values = list(dict.fromkeys(r[varied] for r in records))
        if len(values) < 2:
            continue
        means = {
            value: [
                float(np.mean([r[name] for r in records if r[varied] == value]))
                for name in ("retain_loss", "distance")
            ]
            for value in values
        }
        shown.append(
            f"{varied.replace('_', ' ')}: "
            + ", ".join(f"{value} {loss:.2f}/{gap:.2f}" for value, (loss, gap) in means.items())
        )
    text = "retain loss at forgetting / distance to retraining: " + "; ".join(shown)
    return Outcome(text, math.nan, math.nan, None)


def _excess(measured: dict[str, Any], theory: dict[str, dict[float, float]]) -> float:
    """Largest excess of |mean log ratio| over the agreement asked for and 3 standard errors."""
    found = []
    for axis, row in measured.items():
        for snr, logs in row.items():
            error = float(np.std(logs, ddof=1)) / math.sqrt(len(logs)) if len(logs) > 1 else 0.0
            gap = abs(float(np.mean(logs)) - theory[axis][snr])
            found.append(gap - AGREEMENT - 3.0 * error)
    return max(found)


def _endless(record: Record, name: str) -> float | None:
    """A value for ranks: None, above all others, where forgetting was not reached."""
    value = record[name]
    return None if value is None else float(value)


def _most(values: list[Any]) -> Any:
    return max(dict.fromkeys(values), key=values.count)


CLAIMS = (
    Claim(
        name="price-of-forgetting-rises-with-snr",
        statement="At a higher signal-to-noise ratio it costs more retain loss, and more steps of "
        "a size scaled to the sharpness, to bring the forget set to chance.",
        latex=r"R_t,\ t\ \text{at}\ \mathrm{acc}_F\le\tfrac12:\ \uparrow\ \text{with SNR}",
        assumptions=MODEL + "; data sets as blocks",
        normalisation="α = ½ (Ψ: .3), batches of a third of the sets, η = half the step that is "
        "safe on the retain set",
        horizon="to forget accuracy ½, at most 200 steps",
        source="measured; ordering: Khanna & Chang, arXiv:2602.02986",
        fails="for retain loss from SNR 1 on, where it no longer rises (Ψ and steps do), and for "
        "what forgetting leaves behind: the distance to a retrained network falls with SNR",
        judge=price_rises,
        needs=("data_axis",),
    ),
    Claim(
        name="coherence-follows-the-closed-form",
        statement="Coherence on the three axes follows its closed form from SNR 0 to 4.",
        latex=r"\sigma_R,\sigma_F,\sigma_{RF}\ \text{of}\ K,\ "
        r"K_{ik}=s\,1[y_i=y_k]+b\langle\xi_i,\xi_k\rangle/d",
        assumptions=MODEL + "; independent masks in the closed form",
        normalisation="none",
        horizon="none",
        source="derived in docs/theory/cnn",
        fails="for few samples a class, where max K_ii fluctuates",
        judge=coherence_agrees,
        needs=("data_axis",),
    ),
    Claim(
        name="forgetting-over-data",
        statement="Retain loss paid and distance to retraining over forget sets, sizes, label "
        "noise and class shares (reported, no threshold).",
        latex=r"R_t,\ \Pr[\mathrm{sign} f_t\ne\mathrm{sign} f_{\rm retrained}]",
        assumptions=MODEL,
        normalisation="as above, SNR 1",
        horizon="as above",
        source="measured",
        fails="not a claim",
        judge=forget_sets,
        needs=("data_axis",),
    ),
)
