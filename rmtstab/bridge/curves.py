"""What runs record over time, in function space or on the network, and when they turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray

SETS, RECORDED = ("retain", "forget", "test"), ("...", "replica", "step")
OUTCOMES = ("keeps", "forgets", "forgets_then_collapses", "collapses")


class SetCurves(NamedTuple):
    """Loss and accuracy of one set, each of shape cells × replicas × records."""

    loss: FloatArray
    accuracy: FloatArray


class Reference(NamedTuple):
    """A set before the run: its loss, the loss without skill, its accuracy (NaN: there is none)."""

    loss: float
    chance: float
    accuracy: float


def _numbers(name: str, values: Any) -> Any:
    """An array as it is, anything else as one of numbers; they may be NaN."""
    plain = type(values) is np.ndarray and values.dtype.kind in "iuf"
    return values if plain else _checks.array(name, values, finite=False)


@dataclass(frozen=True, repr=False)
class Curves(Record):
    """Loss and accuracy of every cell and replica over the recorded steps.

    Attributes
    ----------
    steps : ndarray, shape (n_records,), int64
    retain, forget, test : SetCurves
        Arrays of shape cells × replicas × records; NaN for an empty set, and for the
        accuracy where targets do not tell right from wrong.
    displacement : ndarray, shape cells × replicas × records, float64
        ``√((w − w*)ᵀ P⁻¹ (w − w*))``: the Euclidean norm without a preconditioner.
    """

    dimensions: ClassVar = {
        "steps": ("step",),
        "displacement": RECORDED,
        **{f"{name}_{kind}": RECORDED for name in SETS for kind in SetCurves._fields},
    }
    coordinates: ClassVar = {"steps": "step"}

    steps: NDArray[np.int64]
    retain: SetCurves
    forget: SetCurves
    test: SetCurves
    displacement: FloatArray

    def __post_init__(self) -> None:
        kept = {name: _numbers(name, getattr(self, name)) for name in ("steps", "displacement")}
        for name in SETS:
            pair = _checks.each(name, getattr(self, name))
            if len(pair) != len(SetCurves._fields):
                raise ValueError(f"{name} must hold loss and accuracy, got {len(pair)} items")
            kept[name] = SetCurves(*(_numbers(name, values) for values in pair))
        _checks.keep(self, **kept)

    def _fields(self) -> dict[str, Any]:
        """Return every array under a name of its own, such as ``retain_loss``."""
        sets = {name: getattr(self, name)._asdict() for name in SETS}
        flat = {f"{name}_{kind}": v for name, curves in sets.items() for kind, v in curves.items()}
        return {"steps": self.steps, **flat, "displacement": self.displacement}

    @classmethod
    def concatenate(cls, parts: Sequence[Curves]) -> Curves:
        """Join blocks of cells.

        Parameters
        ----------
        parts : sequence of Curves
        """
        parts = _checks.each("parts", parts)
        for k, part in enumerate(parts):
            _checks.instance(f"parts[{k}]", part, Curves)
        if not parts or any(not np.array_equal(p.steps, parts[0].steps) for p in parts):
            raise ValueError("parts must hold curves of the same steps, got none or others")
        sets = [
            SetCurves(*(np.concatenate(arrays) for arrays in zip(*blocks, strict=True)))
            for blocks in ([getattr(part, name) for part in parts] for name in SETS)
        ]
        displacement = np.concatenate([part.displacement for part in parts])
        return cls(parts[0].steps, sets[0], sets[1], sets[2], displacement)

    def reshaped(self, shape: tuple[int, ...]) -> Curves:
        """Give the flat cells their shape.

        Parameters
        ----------
        shape : tuple of int
        """
        shape = _cells("shape", shape, len(self.displacement))

        def shaped(values: FloatArray) -> FloatArray:
            return values.reshape(*shape, *values.shape[1:])

        retain, forget, test = (
            SetCurves(*map(shaped, curves)) for curves in (self.retain, self.forget, self.test)
        )
        return Curves(self.steps, retain, forget, test, shaped(self.displacement))


@dataclass(frozen=True, repr=False)
class Turns(Record):
    """When runs forget and collapse, and what that makes of each cell.

    Attributes
    ----------
    forget_step, collapse_step : ndarray, shape cells × replicas, float64
        First recorded step at which it has happened; inf where it never does.
    outcome : ndarray of str, shape cells
        ``"keeps"``, ``"forgets"``, ``"forgets_then_collapses"`` or ``"collapses"``, by the
        first step at which more than half of the replicas have turned.
    levels : dict of str to float
        The levels by which this was judged.
    """

    dimensions: ClassVar = {
        "forget_step": ("...", "replica"),
        "collapse_step": ("...", "replica"),
        "outcome": ("...",),
    }

    forget_step: FloatArray
    collapse_step: FloatArray
    outcome: NDArray[np.str_]
    levels: dict[str, float]

    def reshaped(self, shape: tuple[int, ...]) -> Turns:
        """Give the flat cells their shape.

        Parameters
        ----------
        shape : tuple of int
        """
        shape = _cells("shape", shape, len(self.forget_step))
        forgot, collapsed = (
            steps.reshape(*shape, *steps.shape[1:])
            for steps in (self.forget_step, self.collapse_step)
        )
        return Turns(forgot, collapsed, self.outcome.reshape(shape), self.levels)


def turns(
    curves: Curves,
    retain: Reference,
    forget: Reference | None,
    *,
    forget_level: float = 0.5,
    collapse_level: float = 0.8,
) -> Turns:
    """Read off when each run forgot and collapsed.

    Parameters
    ----------
    curves : Curves
    retain, forget : Reference
        Each set before the run; no forget set, nothing forgotten.
    forget_level : float, default 0.5
        Forgot: the forget set's skill is below this share of its start.
    collapse_level : float, default 0.8
        Collapsed: the same of the retain set.

    Returns
    -------
    Turns

    Notes
    -----
    Skill is accuracy where there is one and the start's is not 0, else what is left of the
    loss's distance to chance, ``(L_chance − L)/(L_chance − L_start)``; where the start is no
    better than chance, ``L_start/L``. Outputs that are not finite count as both.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.bridge.curves import Curves, Reference, SetCurves, turns
    >>> loss, right = np.zeros((1, 3)), np.array([[1.0, 0.9, 0.1]])
    >>> none = SetCurves(loss, np.full((1, 3), np.nan))
    >>> kept, lost = SetCurves(loss, np.ones((1, 3))), SetCurves(loss, right)
    >>> curves = Curves(np.arange(3), kept, lost, none, loss)
    >>> start = Reference(loss=0.0, chance=2.0, accuracy=1.0)
    >>> found = turns(curves, start, start)
    >>> found.forget_step, str(found.outcome)
    (array([2.]), 'forgets')
    """
    forget_level = _checks.real("forget_level", forget_level, low=0.0, high=1.0)
    collapse_level = _checks.real("collapse_level", collapse_level, low=0.0, high=1.0)
    _checks.instance("curves", curves, Curves)
    _checks.instance("retain", retain, Reference)
    if forget is not None:
        _checks.instance("forget", forget, Reference)
    lost = np.zeros(curves.forget.loss.shape, dtype=bool)
    if forget is not None:
        lost = skill(curves.forget, forget) < forget_level
    levels = {"forget_level": forget_level, "collapse_level": collapse_level}
    forgot = _first(curves.steps, lost)
    collapsed = _first(curves.steps, skill(curves.retain, retain) < collapse_level)
    return Turns(forgot, collapsed, outcome(majority(forgot), majority(collapsed)), levels)


def skill(curves: SetCurves, start: Reference) -> FloatArray:
    """Share of the start's skill that is left: 1 at the start; see `turns`."""
    if start.accuracy > 0.0:
        return curves.accuracy / start.accuracy
    with np.errstate(divide="ignore", invalid="ignore"):
        if start.chance > start.loss:
            share = (start.chance - curves.loss) / (start.chance - start.loss)
        else:
            share = start.loss / curves.loss
    result: FloatArray = np.where(np.isposinf(curves.loss), -np.inf, share)
    return result


def majority(steps: FloatArray) -> FloatArray:
    """First step by which more than half of the replicas (the last axis) have turned."""
    result: FloatArray = np.sort(steps, axis=-1)[..., steps.shape[-1] // 2]
    return result


def outcome(forget_step: FloatArray, collapse_step: FloatArray) -> NDArray[np.str_]:
    """Name what happens when a forgetting and a collapse come at these steps."""
    never = np.isinf(collapse_step)
    names: NDArray[np.str_] = np.select(
        [never & np.isinf(forget_step), never, forget_step < collapse_step],
        OUTCOMES[:3],
        default=OUTCOMES[3],
    )
    return names


def _cells(name: str, shape: Any, count: int) -> tuple[int, ...]:
    """Shape of some number of cells."""
    found: tuple[int, ...] = _checks.integers(name, shape)
    if math.prod(found) != count:
        raise ValueError(f"{name} must hold {count} cells, got {found}")
    return found


def _first(steps: NDArray[np.int64], happened: NDArray[np.bool_]) -> FloatArray:
    """First step at which something has happened along the last axis; inf where never."""
    found: FloatArray = np.where(
        happened.any(axis=-1), steps[happened.argmax(axis=-1)].astype(np.float64), np.inf
    )
    return found
