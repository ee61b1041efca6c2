"""Claims as data: what is said, under which normalisation and horizon, and how it is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Evidence = Mapping[str, Any]  # results.json without the claims: the numbers of one run


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes
    ----------
    measured : str
        In words and numbers.
    value : float
        The number judged; NaN where there was nothing to judge.
    error_bar : float
        Of ``value``, in its units; NaN where it has none.
    holds : bool or None
        None: reported without a threshold.
    """

    measured: str
    value: float
    error_bar: float
    holds: bool | None


@dataclass(frozen=True)
class Claim:
    """A statement with everything it depends on, and the function that judges it.

    Attributes
    ----------
    name : str
        Identifier, in kebab case.
    statement : str
        In words.
    latex : str
        The same as a formula.
    assumptions : str
        Under which it is claimed.
    normalisation : str
        Step-size protocol and batch sizes.
    horizon : str
        Steps over which it is claimed, or "none".
    source : str
        Paper and theorem, or where it is derived.
    fails : str
        The nearest setting in which it does not hold.
    judge : callable
        From the evidence to an `Outcome`.
    needs_torch : bool
        Whether its evidence comes from trained networks.
    """

    name: str
    statement: str
    latex: str
    assumptions: str
    normalisation: str
    horizon: str
    source: str
    fails: str
    judge: Callable[[Evidence], Outcome]
    needs_torch: bool = True

    def record(self, evidence: Evidence) -> dict[str, Any]:
        """Judge, and return statement and outcome as JSON values."""
        outcome = self.judge(evidence)
        words = {
            key: getattr(self, key)
            for key in (
                "name",
                "statement",
                "latex",
                "assumptions",
                "normalisation",
                "horizon",
                "source",
                "fails",
            )
        }
        return {
            **words,
            "measured": outcome.measured,
            "value": outcome.value,
            "error_bar": outcome.error_bar,
            "holds": outcome.holds,
        }
