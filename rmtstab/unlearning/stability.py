"""Whether a `Dynamics` is stable: growth factor, verdict, bounds, certificate."""

from __future__ import annotations

from functools import cached_property

from rmtstab import bounds
from rmtstab._results import Bound, Growth, Reason, Verdict
from rmtstab.dynamics import growth as spectral
from rmtstab.dynamics.certificate import Enclosure
from rmtstab.dynamics.update import Update
from rmtstab.dynamics.verdict import assess
from rmtstab.unlearning.certificate import Certificate, certificate


class HasStability(Update):
    """An update whose growth factor is enclosed once, and judged by it."""

    @cached_property
    def _enclosure(self) -> Enclosure:
        return spectral.growth(self)

    @cached_property
    def _growth(self) -> Growth:
        return assess(self, self._enclosure)

    def growth(self) -> Growth:
        """Growth factor ρ(Φ) on the range, two-sided, with verdict, reason and participation.

        Returns
        -------
        Growth

        Notes
        -----
        The value is a Rayleigh quotient of a self-adjoint map, hence a lower
        bound; ``value + error_bound`` is certified by an explicit ``X ≻ 0`` with
        ``Φ(X) ≺ λX``. Both ends hold up to rounding.

        References
        ----------
        Derived in docs/theory/growth.

        Examples
        --------
        >>> import rmtstab as rs
        >>> dyn = rs.UnlearningProblem.from_factors([[1.0], [1.0]]).dynamics(0.5, 1, alpha=0.0)
        >>> found = dyn.growth()
        >>> round(found.value, 9), found.verdict.name
        (0.25, 'STABLE')
        """
        return self._growth

    def growth_factor(self) -> float:
        """ρ(Φ) per step, on the range: < 1 contracts, > 1 escapes.

        Returns
        -------
        float
            The lower end of `enclosure`.
        """
        return self._enclosure.value

    def verdict(self) -> Verdict:
        """STABLE, MARGINAL, UNDECIDED or ESCAPES.

        Returns
        -------
        Verdict
            MARGINAL where ρ is 1 to rounding, UNDECIDED where no certificate parts it from 1.
        """
        return self._growth.verdict

    def reason(self) -> Reason:
        """Why `verdict` is what it is.

        Returns
        -------
        Reason
        """
        return self._growth.reason

    def enclosure(self) -> tuple[float, float]:
        """Interval that contains ρ: a Rayleigh quotient and a Collatz–Wielandt upper end.

        Returns
        -------
        (float, float)
            The upper end is ``inf`` where no certificate was found.
        """
        return self._enclosure.value, self._enclosure.upper

    def bounds(self, cost: str = "applications", gap: bool = True) -> list[Bound]:
        """Bounds on ρ at these hyper-parameters, tightest first.

        Parameters
        ----------
        cost : {"closed form", "eigenproblem", "applications"}
            The dearest kind of bound to evaluate: sums over the factors and extreme
            eigenvalues; eigenproblems of side r too; a fixed number of applications
            of Φ too.
        gap : bool
            Whether to solve for the exact ρ and say how far each bound is from it.

        Returns
        -------
        list of Bound
            Lower bounds on ρ (necessary conditions) from the largest down, then
            upper bounds (sufficient conditions) from the smallest up; conditions
            that give a step size only come last.

        Raises
        ------
        ValueError
            With momentum: the bounds are those of the plain update. If ``cost`` is unknown.

        References
        ----------
        Derived in docs/theory/bounds.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(2), np.empty((0, 2)))
        >>> dyn = problem.dynamics(step_size=1.0, batch_size=1, alpha=0.0)
        >>> [b.name for b in dyn.bounds(cost="eigenproblem") if b.kind == "sufficient"]
        ['one step', 'operator', 'coherence convergence']
        """
        return bounds.evaluate(self, cost, gap, self.growth_factor)

    def certificate(self, side: str = "auto", gap: float = 1e-3) -> Certificate:
        """Statement about ρ with the numbers that let a stranger prove it: `rmtstab.verify`.

        Parameters
        ----------
        side : {"auto", "above", "below"}
            Bound ρ from above (``ρ < λ`` by ``X ≻ 0`` with ``Φ(X) ≺ λX``), from below (by a
            Rayleigh quotient), or from where it decides stability.
        gap : float
            Relative distance of an upper bound from ρ; the bound stays at most 1 for what
            is stable.

        Returns
        -------
        Certificate
            Its `save` writes the JSON file that ``rmtstab verify`` reads.

        Raises
        ------
        ValueError
            With momentum; if an argument is outside its range; if no witness was found.

        References
        ----------
        Derived in docs/theory/certificates.

        Examples
        --------
        >>> import rmtstab as rs
        >>> dyn = rs.UnlearningProblem.from_factors([[1.0], [2.0]]).dynamics(0.1, 1, alpha=0.0)
        >>> found = dyn.certificate()
        >>> found.statement, bool(found.verify())
        ('growth < bound', True)
        """
        return certificate(self, self._enclosure, self.verdict(), side, gap)
