"""What a linearised network is to the files that check, map and store it."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray
from torch import Tensor

from rmtstab._results import FloatArray
from rmtstab.bridge.curves import Curves, Reference, Turns
from rmtstab.bridge.function_space import Coefficients, FunctionSpace
from rmtstab.bridge.runs import FunctionSpaceRun
from rmtstab.bridge.sample_loss import SampleLoss
from rmtstab.bridge.samples import Samples


class Linearisation(Protocol):
    """The part of `LinearisedNetwork` that its own parts use; documented there."""

    space: FunctionSpace
    samples: tuple[Samples | None, ...]
    losses: tuple[SampleLoss | None, ...]
    references: tuple[Reference | None, ...]
    output_shape: tuple[int, ...]
    fingerprint: str
    notes: tuple[str, ...]
    moving: Any  # what `network_file.save` holds of the weights

    @property
    def n_forget(self) -> int:
        """Samples of the forget set."""
        ...

    @property
    def run(self) -> Any:
        """Run a grid of cells: a method of many options, so typed where it is defined."""
        ...

    def turns(self, curves: Curves, **levels: float) -> Turns:
        """Read off when runs forgot and collapsed."""
        ...

    def coefficients(
        self, run: FunctionSpaceRun, steps: NDArray[Any], *, replica: int = 0
    ) -> Coefficients:
        """Repeat one replica of a run and keep where it is in weight space."""
        ...

    def weights(self, values: FloatArray, scale: float = 1.0) -> dict[str, Tensor]:
        """Weights of coefficients in function space."""
        ...

    def relinearise(
        self,
        run: FunctionSpaceRun,
        cell: int | tuple[int, ...],
        step: int,
        *,
        replica: int = 0,
    ) -> Linearisation:
        """Linearise again at the weights that a run predicts."""
        ...

    def observe(self, weights: dict[str, Tensor]) -> list[tuple[float, float]]:
        """Loss and accuracy of the true network at some weights, of each set."""
        ...
