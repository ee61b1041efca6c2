"""Monte Carlo of the linearised update, and its typical rate of growth."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import Estimate, FloatArray
from rmtstab.dynamics.trajectory import initial_moment
from rmtstab.dynamics.update import Update
from rmtstab.kernels import simulation as kernels
from rmtstab.sampling import BERNOULLI, WITH_REPLACEMENT, WITHOUT_REPLACEMENT

DRAWS = {
    BERNOULLI: kernels.BERNOULLI,
    WITHOUT_REPLACEMENT: kernels.WITHOUT,
    WITH_REPLACEMENT: kernels.WITH,
}


@dataclass(frozen=True, repr=False)
class Simulation(Record):
    """Linearised runs; ``numpy.asarray`` of it is the displacement.

    Attributes
    ----------
    log_displacement : ndarray, shape (replicas, steps + 1), float64
        ``log ‖w_k‖``; −inf once w is exactly 0.
    log_retain_loss, log_forget_loss : ndarray, shape (replicas, steps + 1) or None
        Logarithms of ``½ wᵀH_R w`` and ``½ wᵀH_F w``.
    """

    dimensions: ClassVar = {
        "log_displacement": ("replica", "step"),
        "log_retain_loss": ("replica", "step"),
        "log_forget_loss": ("replica", "step"),
    }
    drawn_by = "runs"

    log_displacement: FloatArray
    log_retain_loss: FloatArray | None = None
    log_forget_loss: FloatArray | None = None

    @property
    def displacement(self) -> FloatArray:
        """``‖w_k‖`` (not squared), shape (replicas, steps + 1); ``inf`` beyond 1e308."""
        return _exp(self.log_displacement)

    @property
    def retain_loss(self) -> FloatArray | None:
        """``½ wᵀH_R w`` along each run, or None when losses were not asked for."""
        return None if self.log_retain_loss is None else _exp(self.log_retain_loss)

    @property
    def forget_loss(self) -> FloatArray | None:
        """``½ wᵀH_F w`` along each run, or None when losses were not asked for."""
        return None if self.log_forget_loss is None else _exp(self.log_forget_loss)

    def quantiles(self, probabilities: Any = (0.1, 0.5, 0.9)) -> FloatArray:
        """Quantiles of ``‖w_k‖`` over the replicas, shape (n_probabilities, steps + 1).

        Parameters
        ----------
        probabilities : array_like
            In [0, 1].

        Returns
        -------
        ndarray, shape (n_probabilities, steps + 1), float64
        """
        name = "probabilities"
        given = _checks.probabilities(name, _checks.array(name, probabilities, ndim=(0, 1)))
        result: FloatArray = np.quantile(self.displacement, given, axis=0, method="inverted_cdf")
        return result

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> FloatArray:
        """``numpy.asarray(runs)`` is the displacement."""
        return self.displacement.astype(dtype or np.float64, copy=False)


def _exp(logs: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):
        result: FloatArray = np.exp(logs)
    return result


def run(
    update: Update,
    steps: Any,
    replicas: Any,
    rng: Any,
    initial: Any = None,
    workers: int = 1,
    *,
    losses: bool = False,
    shuffled: bool = False,
    active: bool = False,
) -> Simulation:
    """Simulate ``w⁺ = Ĵ w`` with fresh batches each step.

    Parameters
    ----------
    update : Update
    steps, replicas : int
    rng : numpy.random.Generator or int
        Each replica gets a generator of its own, seeded from this one, so the
        answer does not depend on ``workers``.
    initial : None, vector or matrix
        None: uniform on the unit sphere of the range (``E w_0 w_0ᵀ = I/r``). A
        vector (r,): every replica starts there. A second moment (r, r):
        Gaussian starts.
    workers : int
        Threads.
    losses : bool
        Record retain and forget losses too.
    shuffled : bool
        Draw batches by walking through shuffled epochs, in place of the scheme;
        none of the three schemes describes it (docs/theory/simulation).
    active : bool
        Only the range on which stability is judged.

    Returns
    -------
    Simulation
    """
    steps = _checks.integer("steps", steps, low=0)
    replicas = _checks.integer("replicas", replicas, low=1)
    workers = _checks.integer("workers", workers, low=1)
    rng = _checks.generator("rng", rng)
    basis, curvatures = update.basis, update.curvatures
    r = basis.n_active if active else curvatures.rank
    rows = np.ascontiguousarray(basis.rows[:, :r])
    losses = _checks.flag("losses", losses)
    if _checks.flag("shuffled", shuffled):
        if any(float(b) != int(b) for b in update.batch_size):
            raise ValueError(f"shuffled needs whole batch sizes, got {update.batch_size}")
        scheme = kernels.SHUFFLED
    else:
        scheme = DRAWS[update.scheme]
    a = np.array([1.0 - update.alpha, update.alpha])
    batches = np.where(a > 0.0, np.array(update.batch_size), 0.0)
    factors = np.zeros(2)
    np.divide(
        update.step_size * a * np.array([-1.0, 1.0]), batches, out=factors, where=batches > 0.0
    )
    root = None if initial is None else _root(initial_moment(update, initial), np.ndim(initial))
    seeds = np.random.SeedSequence(rng.integers(2**63, size=4).tolist()).spawn(replicas)
    logs = np.empty((replicas, steps + 1))
    log_losses = np.empty((replicas, 2, steps + 1 if losses else 0))
    keep = 1.0 - update.step_size * update.weight_decay

    def chunk(first: int) -> None:
        for k in range(first, replicas, workers):
            own = np.random.Generator(np.random.PCG64(seeds[k]))
            w = _start(own, r, root)
            kernels.replica(
                own, scheme, rows, curvatures.factors.offsets, curvatures.n_retain, batches,
                factors, keep, update.momentum, w, logs[k], log_losses[k],
            )  # fmt: skip

    if workers == 1:
        chunk(0)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(chunk, range(workers)))
    if not losses:
        return Simulation(logs)
    return Simulation(logs, log_losses[:, 0], log_losses[:, 1])


def _root(moment: FloatArray, ndim: int) -> FloatArray:
    """A vector start as (r,), a second moment as its square root (r, r)."""
    values, vectors = np.linalg.eigh(moment)
    root: FloatArray = vectors * np.sqrt(np.maximum(values, 0.0))
    return root[:, -1] if ndim == 1 else root


def _start(rng: np.random.Generator, r: int, root: FloatArray | None) -> FloatArray:
    if root is not None and root.ndim == 1:
        return root.copy()
    w = rng.standard_normal(r)
    if root is not None:
        return np.ascontiguousarray(root @ w)
    return w / np.linalg.norm(w) if r else w


def escapes(
    update: Update,
    radius: float,
    steps: Any,
    replicas: Any,
    rng: Any,
    initial: Any = None,
    workers: int = 1,
) -> Estimate:
    """Share of runs with ``max_k ‖w_k‖ ≥ radius``, with its binomial standard error.

    Parameters
    ----------
    update : Update
    radius : float
    steps, replicas, rng, initial, workers
        As for `run`.

    Returns
    -------
    Estimate
    """
    runs = run(update, steps, replicas, rng, initial, workers)
    share = float((runs.displacement.max(axis=1) >= radius).mean())
    return Estimate(share, math.sqrt(share * (1.0 - share) / len(runs.displacement)))


def lyapunov(update: Update, rng: Any, replicas: int, steps: int, workers: int) -> Estimate:
    r"""Top Lyapunov exponent: the rate per step at which ``log ‖w_k‖`` grows in a typical run.

    Parameters
    ----------
    update : Update
    rng : numpy.random.Generator or int
    replicas, steps : int
        The rate is the mean slope of ``log ‖w_k‖`` after the first quarter.
    workers : int
        Threads; the answer does not depend on it.

    Returns
    -------
    Estimate
        With the standard error over replicas; at most ``½ log ρ`` (Jensen).
        −inf when runs reach 0 exactly.

    Examples
    --------
    >>> import numpy as np
    >>> import rmtstab as rs
    >>> problem = rs.UnlearningProblem.from_factors(np.eye(2))
    >>> rate = problem.dynamics(1.0, 2, alpha=0.0).lyapunov(0, replicas=4, steps=40)
    >>> round(rate.value, 6), rate.value < 0
    (-0.693147, True)
    """
    steps = _checks.integer("steps", steps, low=4)
    replicas = _checks.integer("replicas", replicas, low=2)
    burn = steps // 4
    logs = run(update, steps, replicas, rng, workers=workers, active=True).log_displacement
    if not np.isfinite(logs[:, -1]).all():
        return Estimate(-np.inf, 0.0)
    rates = (logs[:, -1] - logs[:, burn]) / (steps - burn)
    return Estimate(float(rates.mean()), float(rates.std(ddof=1) / np.sqrt(replicas)))
