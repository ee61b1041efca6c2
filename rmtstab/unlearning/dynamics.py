"""The user's dynamics: one linearised update, and everything asked of it."""

from __future__ import annotations

from typing import Any, Self

from rmtstab.dynamics.critical_step_size import critical_step_size
from rmtstab.dynamics.verdict import subject
from rmtstab.unlearning import words
from rmtstab.unlearning.escape import HasEscape
from rmtstab.unlearning.operator import HasOperator
from rmtstab.unlearning.runs import HasRuns


class Dynamics(HasOperator, HasEscape, HasRuns):
    """Mean-square dynamics of linearised minibatch descent–ascent.

    Made by `UnlearningProblem.dynamics`, which documents the arguments; frozen.

    Attributes
    ----------
    problem : UnlearningProblem
    step_size, alpha, weight_decay, momentum : float
    batch_size : (float, float)
        Retain and forget batch sizes.
    sampling : str

    Examples
    --------
    >>> import numpy as np
    >>> import rmtstab as rs
    >>> problem = rs.UnlearningProblem.from_factors(np.eye(3), np.eye(3)[:1])
    >>> dyn = problem.dynamics(step_size=3.0, batch_size=(1, 1), alpha=0.2)
    >>> dyn.verdict()
    <Verdict.ESCAPES: 'escapes'>
    >>> dyn.at(step_size=0.3).batch_size
    (1.0, 1.0)
    """

    @property
    def problem(self) -> Any:
        """The `UnlearningProblem` whose dynamics these are."""
        return self.curvatures

    def at(self, **changes: Any) -> Self:
        """Return the dynamics at changed hyper-parameters.

        Parameters
        ----------
        **changes
            Arguments of `UnlearningProblem.dynamics`, checked as there.

        Returns
        -------
        Dynamics

        Raises
        ------
        TypeError, ValueError
            If a name is unknown, or a value of the wrong kind or outside its range.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> dyn = rs.UnlearningProblem.from_factors(np.eye(2)).dynamics(0.5, 1, alpha=0.0)
        >>> changed = dyn.at(step_size=1.0, sampling="bernoulli")
        >>> changed.step_size, changed.sampling, changed.batch_size
        (1.0, 'bernoulli', (1.0, 0.0))
        """
        given: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("step_size", "batch_size", "alpha", "sampling", "weight_decay", "momentum")
        }
        return self.of(self.curvatures, **(given | changes))

    def report(self) -> str:
        """State growth, verdict, critical step size and resistance in words.

        Returns
        -------
        str
        """
        return words.text(self._facts())

    def _facts(self) -> words.Facts:
        return words.facts(self, self.growth(), critical_step_size(self), self.resistance)

    def _repr_html_(self) -> str:
        return words.table(self._facts())

    def __repr__(self) -> str:
        return (
            f"Dynamics(step_size={self.step_size:g}, batch_size={self.batch_size}, "
            f"alpha={self.alpha:g}, sampling={self.sampling!r}, "
            f"weight_decay={self.weight_decay:g}, momentum={self.momentum:g})"
            + ("" if self.alpha else f" ({subject(self)})")
        )
