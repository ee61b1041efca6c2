"""Monte Carlo of the linearised dynamics, and the typical growth rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import Estimate, FloatArray
from rmtstab.kernels import simulation

if TYPE_CHECKING:
    from rmtstab.dynamics.dynamics import Dynamics

SCHEMES = {
    "without_replacement": simulation.WITHOUT_REPLACEMENT,
    "with_replacement": simulation.WITH_REPLACEMENT,
    "bernoulli": simulation.BERNOULLI,
}


@dataclass(frozen=True)
class Runs:
    """Simulated runs.

    Attributes
    ----------
    log_displacement : ndarray, shape (replicas, steps + 1), float64
        log ‖w_k‖; never overflows.
    retain_loss, forget_loss : ndarray, shape (replicas, steps + 1), float64
        Excess losses ``½ w_kᵀH_s w_k``.
    """

    log_displacement: FloatArray
    retain_loss: FloatArray
    forget_loss: FloatArray

    @property
    def displacement(self) -> FloatArray:
        """‖w_k‖."""
        norms: FloatArray = np.exp(self.log_displacement)
        return norms


def simulate(
    dyn: Dynamics,
    steps: int,
    replicas: int,
    rng: np.random.Generator | int,
    initial: Any,
    with_losses: bool = True,
) -> Runs:
    """Simulate; see `Dynamics.simulate`."""
    steps = _checks.integer("steps", steps, low=0)
    replicas = _checks.integer("replicas", replicas, low=1)
    generators = _checks.generator("rng", rng).spawn(replicas)
    rank, width, sizes = dyn.problem.rank, dyn.problem.width, dyn.problem.sizes
    if initial is not None:
        initial = _checks.array("initial", initial, ndim=1)
        if initial.shape != (rank,):
            raise ValueError(f"initial must have shape ({rank},), got {initial.shape}")
    rows = np.ascontiguousarray(dyn.problem.factors.T).reshape(sum(sizes), width, rank)
    retain, forget = rows[: sizes[0]], rows[sizes[0] :]
    records = np.full((replicas, steps + 1, 3), np.nan)
    for generator, record in zip(generators, records, strict=True):
        w = generator.standard_normal(rank) if initial is None else initial.copy()
        if initial is None:
            w /= np.linalg.norm(w)
        simulation.run(
            generator,
            w,
            retain,
            forget,
            dyn.batch_size[0],
            dyn.batch_size[1],
            SCHEMES[dyn.sampling],
            dyn.step_size,
            dyn.alpha,
            dyn.weight_decay,
            with_losses,
            record,
        )
    squares = np.exp(records[:, :, 0])
    return Runs(0.5 * records[:, :, 0], records[:, :, 1] * squares, records[:, :, 2] * squares)


def lyapunov(dyn: Dynamics, rng: np.random.Generator | int, replicas: int, steps: int) -> Estimate:
    """Estimate the top Lyapunov exponent; see `Dynamics.lyapunov`."""
    steps = _checks.integer("steps", steps, low=2)
    _checks.integer("replicas", replicas, low=2)
    logs = simulate(dyn, steps, replicas, rng, None, with_losses=False).log_displacement
    half = steps // 2
    slopes = (logs[:, -1] - logs[:, half]) / (steps - half)
    return Estimate(float(slopes.mean()), float(slopes.std(ddof=1) / np.sqrt(replicas)))
