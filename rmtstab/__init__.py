"""rmtstab: when does gradient unlearning escape a trained model, and when does the model resist?

The names below load on first use, so ``import rmtstab`` costs almost nothing
and never imports torch or matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rmtstab import (
        bounds,
        bridge,
        claims,
        curvature,
        dynamics,
        ensembles,
        experiment,
        figures,
        laws,
        sweeps,
        theory,
        unlearning,
        verification,
    )
    from rmtstab._results import (
        Bound,
        Coherence,
        EscapeProbability,
        Estimate,
        Frontier,
        FrontierLaws,
        Growth,
        LyapunovBounds,
        Reason,
        Threshold,
        Trajectory,
        Verdict,
    )
    from rmtstab.unlearning.problem import UnlearningProblem
    from rmtstab.verification import verify

__version__ = "0.1.0"

__all__ = [
    # the problem and its answers
    "UnlearningProblem",
    "Bound",
    "Coherence",
    "EscapeProbability",
    "Estimate",
    "Frontier",
    "FrontierLaws",
    "Growth",
    "LyapunovBounds",
    "Reason",
    "Threshold",
    "Trajectory",
    "Verdict",
    # the mathematics
    "laws",
    "ensembles",
    "curvature",
    "dynamics",
    "theory",
    "bounds",
    "unlearning",
    # proofs that a stranger can check
    "verification",
    "verify",
    # real networks, evidence, pictures
    "bridge",
    "claims",
    "experiment",
    "sweeps",
    "figures",
]

_SUBMODULES = {name for name in __all__ if name.islower()} - {"verify"}


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"rmtstab.{name}")
    if name == "UnlearningProblem":
        value = importlib.import_module("rmtstab.unlearning.problem").UnlearningProblem
    elif name == "verify":
        value = importlib.import_module("rmtstab.verification").verify
    elif name in __all__:
        value = getattr(importlib.import_module("rmtstab._results"), name)
    else:
        raise AttributeError(f"module 'rmtstab' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
