"""One row of the table of bounds: what a bound is, and the function that evaluates it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rmtstab.bounds.view import View

Pair = tuple[float, float]  # bound on ρ, critical step size
Kind = Literal["necessary", "sufficient"]
Cost = Literal["closed form", "eigenproblem", "applications"]
COSTS: tuple[Cost, ...] = ("closed form", "eigenproblem", "applications")
DERIVED = "derived in docs/theory/bounds"
MULAYOFF = "Mulayoff & Michaeli, arXiv:2306.07850, ({}) at alpha = 0; " + DERIVED
DEXTER = "Dexter et al., arXiv:2401.12332, Theorem {} at alpha = 0; derived in docs/theory/{}"


@dataclass(frozen=True)
class Row:
    """A bound as the table holds it.

    Attributes
    ----------
    name : str
    kind : {"necessary", "sufficient"}
    cost : {"closed form", "eigenproblem", "applications"}
    source : str
    values : callable
        ``(bound on ρ, critical step size)`` of a view, NaN for either that the bound
        does not give; None where it says nothing.
    """

    name: str
    kind: Kind
    cost: Cost
    source: str
    values: Callable[[View], Pair | None]


def step_free(value: float) -> Pair:
    """A bound on ρ without a critical step size of its own.

    Parameters
    ----------
    value : float

    Returns
    -------
    (float, float)
    """
    return value, float("nan")
