"""How the evidence of a validation run's networks is read: the vocabulary that its claims share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from rmtstab.claims.claim import Evidence, Outcome

Record = dict[str, Any]
# what the step size of a comparison across networks is measured in
PROTOCOLS = ("sgd_scaled", "sharpness_scaled", "common")
WRONG = 1.1  # the wrong theory of the maps: log growth times this
MODEL = "two-layer ReLU CNN, half squared error, interpolating weights, signal-plus-noise data"
MAP = "η = ½ η*(α = 0) at the map's smallest batch, so that plain SGD is stable at every cell"


def network_key(record: Record) -> tuple[Any, ...]:
    """Tell a network: data, ratio, forget set, repeat."""
    return record["data"], record["snr"], record["forget"], record["index"]


def synthetic(evidence: Evidence) -> list[Record]:
    """Records of the networks on signal-plus-noise data."""
    return [n for n in evidence["networks"] if n["data"] == "signal_plus_noise"]


def largest(values: Iterable[float]) -> float:
    """Largest value; NaN if any is, so that it passes no threshold."""
    return float(np.max(np.fromiter(values, dtype=float), initial=-math.inf))


def nothing(text: str) -> Outcome:
    """Nothing could be judged: the claim does not hold."""
    return Outcome(text, math.nan, math.nan, False)


def balanced_accuracy(predicted: Any, real: Any) -> float:
    """Mean of the accuracies on either class; NaN if all cells are of one.

    Parameters
    ----------
    predicted, real : array_like of bool

    Examples
    --------
    >>> from rmtstab.claims.networks.records import balanced_accuracy
    >>> balanced_accuracy([True, True, False, True], [True, True, False, False])
    0.75
    """
    said, real = np.asarray(predicted, bool), np.asarray(real, bool)
    if real.all() or not real.any():
        return math.nan
    return float(0.5 * (said[real].mean() + (~said[~real]).mean()))
