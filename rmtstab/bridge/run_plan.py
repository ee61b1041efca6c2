"""What a run does, in function space or on the network itself: one validated value for both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.bridge.batches import Draw, batch_sizes, draw, epoch_length
from rmtstab.bridge.run_memory import refuse_records

UPDATES = ("simultaneous", "alternating")
PRECISIONS = ("double", "single")
Schedule = Callable[[int], float] | Any


@dataclass(frozen=True)
class RunPlan:
    """Hyper-parameters of a grid of runs; cells are those of ``step_size`` and ``alpha``.

    Attributes
    ----------
    step_size, alpha : ndarray, shape (n_cells,), float64
    shape : tuple of int
        Shape of the cells before they were flattened.
    sizes : (int, int)
        Samples of the retain and the forget set.
    batch_size : (float, float)
    sampling : str
    steps, replicas : int
    momentum, weight_decay : float
    schedule : ndarray, shape (steps,), float64
        Factors of the step size.
    update : str
        Whether both sets move the weights at each step, or by turns of an epoch.
    active : ndarray, shape (steps, 2), bool
        Whether the retain and the forget set are drawn at a step.
    recorded : ndarray, shape (n_records,), int64
        Steps after which losses are recorded; 0 and the last are among them.
    entropy : tuple of int
        Seed of the batches: the same entropy gives the same batches, to any engine.
    precision : str
        Of the products in function space.
    """

    step_size: FloatArray
    alpha: FloatArray
    shape: tuple[int, ...]
    sizes: tuple[int, int]
    batch_size: tuple[float, float]
    sampling: str
    steps: int
    replicas: int
    momentum: float
    weight_decay: float
    schedule: FloatArray
    update: str
    active: NDArray[np.bool_]
    recorded: NDArray[np.int64]
    entropy: tuple[int, ...]
    precision: str = "double"

    def batches(self) -> Iterator[tuple[Draw | None, Draw | None]]:
        """Yield the retain and forget batches of every step, None where a set rests."""
        seeds = np.random.SeedSequence(self.entropy).spawn(2)
        streams = [
            draw(n, batch, self.sampling, self.replicas, seed) if n else None
            for n, batch, seed in zip(self.sizes, self.batch_size, seeds, strict=True)
        ]
        for step in range(self.steps):
            retain, forget = (
                next(stream) if stream is not None and active else None
                for stream, active in zip(streams, self.active[step], strict=True)
            )
            yield retain, forget

    def with_batches(self, retain: float, forget: float) -> RunPlan:
        """Return the same plan with other batch sizes.

        Parameters
        ----------
        retain, forget : float

        Returns
        -------
        RunPlan
        """
        active = _active(self.update, self.steps, self.sizes, (retain, forget))
        return replace(self, batch_size=(retain, forget), active=active)

    def only(self, cell: Any) -> RunPlan:
        """Return the plan of one cell.

        Parameters
        ----------
        cell : int or tuple of int
            Index into the cells; ``()`` where there is one.

        Raises
        ------
        ValueError
            If it is not the index of one cell.
        """
        try:
            flat = int(np.arange(len(self.step_size)).reshape(self.shape)[cell])
        except (IndexError, TypeError, OverflowError):
            raise ValueError(
                f"cell must be an index into cells of shape {self.shape}, got {cell!r}"
            ) from None
        return replace(self, step_size=self.step_size[[flat]], alpha=self.alpha[[flat]], shape=(1,))

    def snapshots(self, steps: Any) -> NDArray[np.int64]:
        """Return steps to keep of each cell, checked.

        Parameters
        ----------
        steps : array_like, shape (n_cells, n_steps), int64

        Raises
        ------
        ValueError
            If the shape is another, or a step lies outside the run.
        """
        found: NDArray[np.int64] = _checks.whole("steps", steps)
        cells = len(self.step_size)
        if found.ndim != 2 or len(found) != cells or not found.size:
            raise ValueError(f"steps must have shape (n_cells={cells}, n_steps), got {found.shape}")
        if found.min() < 0 or found.max() > self.steps:
            raise ValueError(
                f"steps must lie in [0, {self.steps}], got {found.min()} to {found.max()}"
            )
        return found

    def weights(self) -> FloatArray:
        """Signed weights of both batch losses, shape (2, n_cells): ``1 − α`` and ``−α``."""
        return np.stack([1.0 - self.alpha, -self.alpha])


def plan_runs(
    sizes: tuple[int, int],
    *,
    step_size: Any,
    batch_size: Any,
    alpha: Any,
    steps: Any,
    replicas: Any,
    rng: Any,
    sampling: str = "without_replacement",
    momentum: Any = 0.0,
    weight_decay: Any = 0.0,
    schedule: Schedule = None,
    update: str = "simultaneous",
    record_every: Any = 1,
    precision: Any = "double",
) -> RunPlan:
    """Validate hyper-parameters and broadcast the cells; see `LinearisedNetwork.run`."""
    etas, alphas = _checks.array("step_size", step_size), _checks.array("alpha", alpha)
    for name, values, low in (("step_size", etas, 0.0), ("alpha", alphas, 0.0)):
        wrong = values[(values < low) | ((values > 1.0) if name == "alpha" else (values <= low))]
        if wrong.size:
            rule = "lie in [0, 1]" if name == "alpha" else "be > 0 and finite"
            raise ValueError(f"{name} must {rule}, got {float(wrong.flat[0])!r}")
    try:
        shape = np.broadcast_shapes(etas.shape, alphas.shape)
    except ValueError:
        raise ValueError(
            f"step_size and alpha must broadcast, got shapes {etas.shape} and {alphas.shape}"
        ) from None
    etas, alphas = (np.broadcast_to(v, shape).ravel() for v in (etas, alphas))
    if not etas.size:
        raise ValueError(f"step_size and alpha must hold a cell, got shape {shape}")
    if not sizes[1] and alphas.any():
        raise ValueError(f"alpha must be 0 without a forget set, got {alphas.max()}")
    only = float(alphas.flat[0]) if alphas.size and np.ptp(alphas) == 0.0 else None
    batches = batch_sizes(batch_size, *sizes, only, sampling)
    steps = _checks.integer("steps", steps, low=0)
    every = _checks.integer("record_every", record_every, low=1)
    replicas = _checks.integer("replicas", replicas, low=1)
    refuse_records(len(etas), replicas, steps, every, sum(sizes))
    _checks.choice("update", update, UPDATES)
    entropy = _checks.generator("rng", rng).integers(2**32, size=4)
    return RunPlan(
        step_size=etas.copy(),
        alpha=alphas.copy(),
        shape=shape,
        sizes=sizes,
        batch_size=batches,
        sampling=sampling,
        steps=steps,
        replicas=replicas,
        momentum=_checks.real("momentum", momentum, low=0.0, high=1.0, high_open=True),
        weight_decay=_checks.real("weight_decay", weight_decay, low=0.0),
        schedule=_schedule(schedule, steps),
        update=update,
        active=_active(update, steps, sizes, batches),
        recorded=np.unique(np.append(np.arange(0, steps + 1, every), steps)),
        entropy=tuple(int(word) for word in entropy),
        precision=_checks.choice("precision", precision, PRECISIONS),
    )


def _active(
    update: str, steps: int, sizes: tuple[int, int], batches: tuple[float, float]
) -> NDArray[np.bool_]:
    """Which of the two sets is drawn at each step; ascent comes first where they take turns."""
    if update == "simultaneous":
        return np.ones((steps, 2), dtype=bool)
    lengths = [epoch_length(n, b) for n, b in zip(sizes, batches, strict=True)]
    ascends = np.arange(steps) % sum(lengths) < lengths[1]
    return np.stack([~ascends, ascends], axis=1)


def _schedule(schedule: Schedule, steps: int) -> FloatArray:
    """Factors of the step size, one a step."""
    if schedule is None:
        return np.ones(steps)
    given = [schedule(step) for step in range(steps)] if callable(schedule) else schedule
    factors = _checks.array("schedule", given, ndim=1)
    if len(factors) < steps:
        raise ValueError(
            f"schedule must hold a factor for each of {steps} steps, got {len(factors)}"
        )
    if (factors < 0.0).any():
        raise ValueError(f"schedule must be >= 0, got {float(factors.min())!r}")
    return factors[:steps].copy()
