"""What any runs give, in function space or on the network: curves, outcomes, their plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rmtstab._record import Record
from rmtstab._results import FloatArray
from rmtstab.bridge.curves import Curves, Turns
from rmtstab.bridge.run_plan import RunPlan


@dataclass(frozen=True, repr=False)
class Runs(Record):
    """Runs of a grid of cells: what they recorded, when they turned, how to repeat them.

    Attributes
    ----------
    curves : Curves
        Arrays of shape cells × replicas × recorded steps.
    turns : Turns
        When runs forgot and collapsed, and the outcome of each cell.
    plan : RunPlan
    """

    dimensions: ClassVar = {
        **Curves.dimensions,
        **Turns.dimensions,
        "step_size": ("...",),
        "alpha": ("...",),
        "schedule": ("time",),
    }
    coordinates: ClassVar = {**Curves.coordinates, "step_size": "step_size", "alpha": "alpha"}
    drawn_by = "learning_curves"

    curves: Curves
    turns: Turns
    plan: RunPlan

    def _fields(self) -> dict[str, Any]:
        """Return what was recorded, when it turned, and the settings of the plan."""
        plan = self.plan
        cells = {name: getattr(plan, name).reshape(plan.shape) for name in ("step_size", "alpha")}
        names = ("batch_size", "sampling", "replicas", "momentum", "weight_decay", "schedule",
                 "update", "entropy")  # fmt: skip
        settings = {name: getattr(plan, name) for name in names}
        return {**self.curves._fields(), **self.turns._fields(), **cells, **settings}

    @property
    def steps(self) -> NDArray[np.int64]:
        """Recorded steps, shape (n_records,)."""
        return self.curves.steps

    @property
    def retain_loss(self) -> FloatArray:
        """Loss of the retain set, shape cells × replicas × recorded steps."""
        return self.curves.retain.loss

    @property
    def forget_loss(self) -> FloatArray:
        """Loss of the forget set."""
        return self.curves.forget.loss

    @property
    def test_loss(self) -> FloatArray:
        """Loss of the test set; NaN without one."""
        return self.curves.test.loss

    @property
    def retain_accuracy(self) -> FloatArray:
        """Accuracy on the retain set; NaN where targets do not tell right from wrong."""
        return self.curves.retain.accuracy

    @property
    def forget_accuracy(self) -> FloatArray:
        """Accuracy on the forget set."""
        return self.curves.forget.accuracy

    @property
    def test_accuracy(self) -> FloatArray:
        """Accuracy on the test set."""
        return self.curves.test.accuracy

    @property
    def displacement(self) -> FloatArray:
        """``‖w_t − w*‖`` (in the norm of P⁻¹ with a preconditioner)."""
        return self.curves.displacement

    @property
    def outcome(self) -> NDArray[np.str_]:
        """What happens in each cell, by the median replica; see `Turns`."""
        return self.turns.outcome

    @property
    def forget_step(self) -> FloatArray:
        """First recorded step at which each replica has forgotten, shape cells × replicas."""
        return self.turns.forget_step

    @property
    def collapse_step(self) -> FloatArray:
        """First recorded step at which each replica has collapsed."""
        return self.turns.collapse_step


@dataclass(frozen=True, repr=False)
class FunctionSpaceRun(Runs):
    """Runs in function space, made by `LinearisedNetwork.run`.

    Attributes
    ----------
    curves : Curves
        Arrays of shape cells × replicas × recorded steps.
    turns : Turns
        When runs forgot and collapsed, and the outcome of each cell.
    plan : RunPlan
    origin : str
        Digest of the linearised network that they are runs of.
    """

    origin: str

    def _fields(self) -> dict[str, Any]:
        return {**super()._fields(), "precision": self.plan.precision}


def plan_of(run: Any, origin: str) -> RunPlan:
    """Return the plan of a run of one linearised network.

    Parameters
    ----------
    run : FunctionSpaceRun
    origin : str
        Digest of the network.

    Raises
    ------
    TypeError, ValueError
        If it is no such run, or another network's.
    """
    if not isinstance(run, FunctionSpaceRun):
        raise TypeError(
            f"run must be a FunctionSpaceRun, as run() returns it, got {type(run).__name__}"
        )
    if run.origin != origin:
        raise ValueError(
            "run must be of this linearised network, got one of another; run() this one"
        )
    return run.plan
