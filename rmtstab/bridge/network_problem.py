"""The unlearning problem of a real network: curvatures, and what was learnt when reading it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse.linalg import svds

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray, Trajectory
from rmtstab.bridge.gauss_newton_gap import CurvatureGap, gap_of_reading
from rmtstab.bridge.interpolation import InterpolationGap
from rmtstab.bridge.reading import Reading
from rmtstab.curvature.factors import ReducedFactors
from rmtstab.dynamics.gradients import Stationary
from rmtstab.unlearning.dynamics import Dynamics
from rmtstab.unlearning.problem import UnlearningProblem

REPORTED = 2e7  # n·d up to which a report measures the gap by itself


@dataclass(frozen=True)
class Disagreement(Record):
    """How far two disjoint halves of a subsample disagree, relative to their mean.

    Attributes
    ----------
    trace : float
        Of the set's mean curvature.
    largest : float
        Of its largest eigenvalue.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    >>> model, loss = torch.nn.Linear(3, 1), torch.nn.MSELoss()
    >>> found = bridge.problem(model, loss, (x, x[:, :1]), (), max_samples=20)
    >>> 0 < found.disagreement["retain"].trace < 1
    True
    """

    trace: float
    largest: float


class NetworkProblem(UnlearningProblem):
    r"""An `UnlearningProblem` that knows the network it was read from.

    Attributes
    ----------
    interpolation : InterpolationGap
        How far the network is from interpolation.
    notes : tuple of str
        How model, loss and data were read, where that matters.
    disagreement : dict of str to Disagreement
        For each set that ``max_samples`` cut down.
    reading : Reading or None
        What the problem was read from; None in a copy that was pickled.

    See Also
    --------
    rmtstab.bridge.problem : makes one.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> model = torch.nn.Linear(3, 2, dtype=torch.float64)
    >>> x, y = torch.eye(3, dtype=torch.float64), [0, 1, 0]
    >>> found = bridge.problem(model, torch.nn.CrossEntropyLoss(), (x[:2], y[:2]), (x[2:], y[2:]))
    >>> found.interpolation.interpolates
    False
    """

    interpolation: InterpolationGap
    notes: tuple[str, ...] = ()
    disagreement: dict[str, Disagreement]
    reading: Reading | None = None

    @classmethod
    def of(
        cls,
        problem: UnlearningProblem,
        interpolation: InterpolationGap,
        notes: tuple[str, ...] = (),
        disagreement: dict[str, Disagreement] | None = None,
        gap: CurvatureGap | None = None,
        reading: Reading | None = None,
    ) -> NetworkProblem:
        """Put what was learnt beside a problem.

        Parameters
        ----------
        problem : UnlearningProblem
        interpolation : InterpolationGap
        notes : tuple of str
        disagreement : dict of str to Disagreement, optional
        gap : CurvatureGap, optional
            Where it has been measured.
        reading : Reading, optional
            From which to measure it.

        Returns
        -------
        NetworkProblem
        """
        _checks.instance("problem", problem, UnlearningProblem)
        _checks.instance("interpolation", interpolation, InterpolationGap)
        if disagreement is not None:
            _checks.mapping("disagreement", disagreement)
        found = cls(problem.factors, problem.n_retain, problem.gradients)
        found.interpolation, found.notes = interpolation, notes
        found.disagreement, found.reading = disagreement or {}, reading
        if gap is not None:
            found.curvature_gap = gap
        return found

    @cached_property
    def curvature_gap(self) -> CurvatureGap | None:
        """Gauss–Newton against the exact Hessian on the retain set, some 50 products with each.

        Reports state it by themselves where n·d is at most 2·10⁷. None in a copy that was
        pickled before it was measured.
        """
        return None if self.reading is None else gap_of_reading(self.reading)

    def dynamics(
        self,
        step_size: float,
        batch_size: Any,
        alpha: float | None = None,
        sampling: str = "without_replacement",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> NetworkDynamics:
        """Linearised dynamics; arguments as for `rmtstab.UnlearningProblem.dynamics`.

        Parameters
        ----------
        step_size, batch_size, alpha, sampling, weight_decay, momentum
            As for `rmtstab.UnlearningProblem.dynamics`.
        """
        mixing = self._given_or_zero(alpha)
        return NetworkDynamics.of(
            self, step_size, batch_size, mixing, sampling, weight_decay, momentum
        )

    def __reduce__(self) -> tuple[Any, ...]:
        plain = UnlearningProblem(self.factors, self.n_retain, self.gradients)
        gap = self.__dict__.get("curvature_gap")
        return NetworkProblem.of, (plain, self.interpolation, self.notes, self.disagreement, gap)


class NetworkDynamics(Dynamics):
    """`Dynamics` of a network: its own gradients by default, and their report.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> model = torch.nn.Linear(3, 2, dtype=torch.float64)
    >>> x, y = torch.eye(3, dtype=torch.float64), [0, 1, 0]
    >>> found = bridge.problem(model, torch.nn.CrossEntropyLoss(), (x[:2], y[:2]), (x[2:], y[2:]))
    >>> dyn = found.dynamics(step_size=0.1, batch_size=1, alpha=0.2)
    >>> dyn.trajectory(3).displacement.shape, dyn.verdict()  # its own gradients push
    ((4,), <Verdict.ESCAPES: 'escapes'>)
    >>> dyn.at(alpha=0.0).stationary().mean.shape
    (3,)
    """

    @property
    def problem(self) -> NetworkProblem:
        """The `NetworkProblem` whose dynamics these are."""
        found: NetworkProblem = _checks.instance("curvatures", self.curvatures, NetworkProblem)
        return found

    def trajectory(
        self, steps: int, initial: Any = None, *, gradients: Any = None, **options: Any
    ) -> Trajectory:
        """As `Dynamics.trajectory`, of the network's own gradients.

        Parameters
        ----------
        steps, initial
            As for `Dynamics.trajectory`.
        gradients : optional
            As there; default those of a network that has some left. Quantiles are of runs
            without gradients.
        **options
            As there.

        Returns
        -------
        Trajectory
        """
        if gradients is None and options.get("quantiles") is None:
            gradients = self._own
        return super().trajectory(steps, initial, gradients=gradients, **options)

    def stationary(self, gradients: Any = None) -> Stationary:
        """Stationary mean and covariance.

        Parameters
        ----------
        gradients : optional
            As for `Dynamics.stationary`; default the network's own.

        Returns
        -------
        Stationary
        """
        return super().stationary(self.problem.gradients if gradients is None else gradients)

    def report(self) -> str:
        """State growth, verdict, critical step size, resistance, and what to know of the net."""
        lines = [f"{label:>18}: {words}" for label, words in self._facts_of_network()]
        return "\n".join([super().report(), *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{html.escape(label)}</th><td>{html.escape(words)}</td></tr>"
            for label, words in self._facts_of_network()
        )
        return super()._repr_html_().replace("</table>", f"{rows}</table>")

    @property
    def _own(self) -> FloatArray | None:
        return None if self.problem.interpolation.interpolates else self.problem.gradients

    @property
    def _gap_words(self) -> str:
        problem = self.problem
        size = 0 if problem.reading is None else problem.reading.network.n_parameters
        if "curvature_gap" not in problem.__dict__ and size * problem.n_retain > REPORTED:
            return "its gap to the exact Hessian is in problem.curvature_gap, not measured yet"
        gap = problem.curvature_gap
        if gap is None:
            return "its gap to the exact Hessian was not measured"
        return gap.warning or f"{gap.relative:.2%} from the exact Hessian on the leading space"

    def _facts_of_network(self) -> list[tuple[str, str]]:
        problem = self.problem
        facts = [("trained point", problem.interpolation.words), ("Gauss-Newton", self._gap_words)]
        facts += [
            (
                f"{name} subsample",
                f"disjoint halves part by {gap.trace:.1%} in trace, {gap.largest:.1%} at the top",
            )
            for name, gap in problem.disagreement.items()
        ]
        return facts + [("note", note) for note in problem.notes]


def halves_disagree(factors: ReducedFactors, samples: range, seed: int) -> Disagreement:
    """Compare the mean curvatures of two random disjoint halves of a set.

    Parameters
    ----------
    factors : ReducedFactors
    samples : range
        The set's samples among those of ``factors``.
    seed : int
        Seed of the halves.

    Returns
    -------
    Disagreement
        NaN for a set of one sample.
    """
    if len(samples) < 2:
        return Disagreement(float("nan"), float("nan"))
    order = np.random.default_rng(seed).permutation(len(samples)) + samples.start
    size = len(samples) // 2
    traces, tops = [], []
    for half in (order[:size], order[size : 2 * size]):
        columns = [np.arange(factors.offsets[i], factors.offsets[i + 1]) for i in half]
        part = factors.matrix[:, np.concatenate(columns)]
        traces.append(float(np.vdot(part, part)))
        tops.append(_largest_singular_value(part) ** 2)
    return Disagreement(_apart(traces), _apart(tops))


def _largest_singular_value(matrix: FloatArray) -> float:
    if min(matrix.shape) < 4:
        return float(np.linalg.norm(matrix, 2)) if matrix.size else 0.0
    start = np.random.default_rng(0).standard_normal(min(matrix.shape))
    return float(svds(matrix, k=1, return_singular_vectors=False, v0=start)[0])


def _apart(pair: list[float]) -> float:
    total = sum(pair)
    return 2.0 * abs(pair[0] - pair[1]) / total if total else 0.0
