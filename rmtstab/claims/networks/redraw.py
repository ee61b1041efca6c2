"""Maps as another run of a right theory would show them: how often its judges fail by chance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rmtstab.claims.claim import Evidence
from rmtstab.claims.networks.records import WRONG


def redraw(evidence: Evidence, rng: np.random.Generator, growth: float = 1.0) -> dict[str, Any]:
    """Draw predicted and observed maps anew, the stored predictions taken for the truth.

    A run's log displacement is the true mean plus the true spread times one normal number,
    shared by all mixings of one call (every second one of a column), as their draws are: the
    strongest dependence there can be. So are the errors of the predictions, shared by a column.

    Parameters
    ----------
    evidence : mapping
        With the stage "maps".
    rng : numpy.random.Generator
    growth : float
        Observed logs are multiplied by this: 1 where the theory is right.

    Returns
    -------
    dict
        The evidence with other maps.
    """
    runs = evidence["preset"]["map_replicas"]
    replicas = evidence["preset"]["map_linear_replicas"]
    level = math.log(evidence["preset"]["radius"])
    maps = []
    for line in evidence["maps"]:
        told = {k: np.array(v, dtype=float) for k, v in line["predicted"].items()}
        shape = told["mean"].shape
        theirs = rng.standard_normal((replicas, 1, 1))
        ours = rng.standard_normal((runs, 1, 2))[..., np.arange(shape[1]) % 2]
        # one number decides all of a run: where it ends, whether it escapes and forgets
        levels = {
            "probability": _levels(told["probability"]),
            "forgets": _levels(told["forgets"]),
        }
        final = told["mean"] + told["spread"] * theirs
        predicted = {
            **line["predicted"],
            "mean": final.mean(axis=0).tolist(),
            "spread": final.std(axis=0, ddof=1).tolist(),
        }
        wide = np.maximum(told["spread"], 1e-3)
        peak = level + wide * levels["probability"]  # its median, for normal peaks
        predicted["peak"] = np.median(peak + wide * theirs, axis=0).tolist()
        for name, limit in (("probability", level), ("forgets", 2.0 * level)):
            scale = limit / level * wide
            drawn = limit + scale * levels[name] + scale * theirs
            predicted[name] = (drawn >= limit).mean(axis=0).tolist()
            predicted[f"{name}_wrong"] = (WRONG * drawn >= limit).mean(axis=0).tolist()
        seen = growth * (told["mean"] + told["spread"] * ours)
        escaped = growth * (level + wide * (levels["probability"] + ours)) >= level
        forgot = growth * (2 * level + 2 * wide * (levels["forgets"] + ours)) >= 2 * level
        observed = {
            **line["observed"],
            "escaped": escaped.sum(axis=0).tolist(),
            "forgot": forgot.sum(axis=0).tolist(),
            "both": (escaped & forgot).sum(axis=0).tolist(),
            "mean": seen.mean(axis=0).tolist(),
            "median": np.median(seen, axis=0).tolist(),
        }
        maps.append({**line, "predicted": predicted, "observed": observed})
    return {**evidence, "maps": maps}


def _levels(probability: Any) -> Any:
    """Standard normal level that is exceeded with a probability."""
    from scipy.special import ndtri

    return ndtri(np.clip(probability, 1e-12, 1.0 - 1e-12))
