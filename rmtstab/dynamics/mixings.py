"""Linearised runs at many mixings under common random numbers: a column of a map at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray
from rmtstab.curvature.samples import SampleCurvatures
from rmtstab.dynamics.simulate import DRAWS
from rmtstab.kernels.mixings import replica_over_mixings
from rmtstab.sampling import Scheme


@dataclass(frozen=True, repr=False)
class MixingRuns(Record):
    """Linearised runs at several mixings, each from the same starts, with the same batches.

    Attributes
    ----------
    steps : ndarray, shape (records,), int64
        Steps of the records.
    alphas : ndarray, shape (mixings,), float64
    log_displacement : ndarray, shape (replicas, records, mixings), float64
        ``log ‖w_k‖``, from ``‖w_0‖ = 1``; −inf once w is exactly 0.
    log_forget_loss : ndarray, shape (replicas, records, mixings), float64
        ``log ½ w_kᵀH_F w_k``.
    """

    dimensions: ClassVar = {
        "steps": ("record",),
        "alphas": ("mixing",),
        "log_displacement": ("replica", "record", "mixing"),
        "log_forget_loss": ("replica", "record", "mixing"),
    }

    steps: Any
    alphas: FloatArray
    log_displacement: FloatArray
    log_forget_loss: FloatArray


def simulate_mixings(
    curvatures: SampleCurvatures,
    step_size: Any,
    batch_size: Any,
    alphas: Any,
    sampling: str,
    *,
    steps: int,
    replicas: int,
    rng: Any,
    record_every: int = 1,
) -> MixingRuns:
    """Simulate ``w⁺ = Ĵ w`` at each mixing, from starts uniform on the unit sphere of the range.

    What differs between mixings is the mixing alone: the frontier of one draw is a step, not
    noise. Many times faster than `simulate.run` at each.

    Parameters
    ----------
    curvatures : SampleCurvatures
    step_size : float
    batch_size : int or (int, int)
    alphas : array_like, shape (mixings,)
    sampling : {"without_replacement", "bernoulli", "with_replacement"}
    steps, replicas : int
        ``steps`` is a multiple of ``record_every``.
    rng : numpy.random.Generator or int
    record_every : int
        Steps between two records.

    Returns
    -------
    MixingRuns

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab import UnlearningProblem
    >>> from rmtstab.dynamics.mixings import simulate_mixings
    >>> problem = UnlearningProblem.from_factors(np.eye(3), np.eye(3)[:1])
    >>> runs = simulate_mixings(problem, 0.5, 1, [0.0, 0.2, 0.9],
    ...                         "without_replacement", steps=20, replicas=4, rng=0)
    >>> runs.log_displacement.shape
    (4, 21, 3)
    """
    _checks.instance("curvatures", curvatures, SampleCurvatures)
    mixings = np.array([curvatures.check_alpha(a) for a in _checks.array("alphas", alphas, ndim=1)])
    eta = _checks.real("step_size", step_size, low=0.0)
    every = _checks.integer("record_every", record_every, low=1)
    steps = _checks.integer("steps", steps, low=0)
    if steps % every:
        raise ValueError(f"steps must be a multiple of record_every={every}, got {steps}")
    replicas = _checks.integer("replicas", replicas, low=1)
    rng = _checks.generator("rng", rng)
    scheme = Scheme.named(sampling)
    batches = np.array(
        scheme.check_batches(batch_size, curvatures.n_retain, curvatures.n_forget, None), float
    )
    divisors = np.where(batches > 0.0, batches, 1.0)  # no batch of a set that is not there
    factors = eta * np.stack([mixings - 1.0, mixings]) / divisors[:, None]
    reduced = curvatures.factors
    rows = np.ascontiguousarray(reduced.matrix.T)
    records = np.arange(0, steps + 1, every)
    shape = replicas, len(records), len(mixings)
    norms, losses = np.empty(shape), np.empty(shape)
    for k, seed in enumerate(
        np.random.SeedSequence(rng.integers(2**63, size=4).tolist()).spawn(replicas)
    ):
        own = np.random.Generator(np.random.PCG64(seed))
        start = own.standard_normal(reduced.rank)
        start /= np.linalg.norm(start)
        w = np.repeat(start[:, None], len(mixings), axis=1)
        replica_over_mixings(
            own, DRAWS[scheme], rows, reduced.offsets, curvatures.n_retain, batches, factors,
            every, w, norms[k], losses[k],
        )  # fmt: skip
    return MixingRuns(records, mixings, norms, losses)
