"""Frontiers of an `UnlearningProblem`: maps over mixing and batch size, and their closed forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rmtstab import _checks
from rmtstab._results import Frontier, FrontierLaws
from rmtstab.bounds.escape_directions import frontier_law, frontier_laws
from rmtstab.curvature.samples import SampleCurvatures
from rmtstab.dynamics import stability_map
from rmtstab.dynamics.update import Update
from rmtstab.theory.mirror import MirrorLaw


class HasFrontiers(SampleCurvatures):
    """Curvatures whose stable mixings are mapped over batch sizes, or given by a law."""

    def frontier(
        self,
        step_size: float,
        batch_sizes: Sequence[Any],
        alphas: Any,
        *,
        horizon: int | None = None,
        radius: float | None = None,
        sampling: str = "without_replacement",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        workers: int = 1,
    ) -> Frontier:
        """Map growth, or finite-horizon growth, over (mixing × batch size).

        Parameters
        ----------
        step_size : float, ≥ 0
        batch_sizes : sequence of int or (retain, forget)
        alphas : array_like, shape (n_alphas,)
            Increasing mixings in [0, 1].
        horizon : int, optional
            Map ``E‖w_K‖²/E‖w_0‖²`` from an isotropic start instead of ρ.
        radius : float, > 0, optional
            A cell escapes when that ratio exceeds ``radius²``; required with a horizon.
        sampling : {"without_replacement", "bernoulli", "with_replacement"}
        weight_decay : float, ≥ 0
            λ in ``D + λI``.
        momentum : float in [0, 1)
            Heavy-ball β.
        workers : int
            Threads, over rows; with one BLAS thread each they do not contend. The
            values do not depend on it.

        Returns
        -------
        Frontier
            The curve is the asymptotic α*(B), or with a horizon the smallest mixing
            at which the ratio crosses ``radius²``, by interpolation (1 if none). Every
            cell is certified: the enclosures come from the row's subspace or, with a horizon,
            from two-sided quadrature (to 1e-11, or 1e-8 on more than 400 dimensions); cells
            that they leave open are solved by themselves, and what stays open is UNDECIDED.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range.

        References
        ----------
        Derived in docs/theory/critical_values.

        Examples
        --------
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors([[1.0], [1.0]], [[1.0]])
        >>> found = problem.frontier(0.5, [1, (2, 1)], [0.0, 0.3, 0.7])
        >>> [verdict.name for verdict in found.verdicts[:, 0]]
        ['STABLE', 'STABLE', 'ESCAPES']
        >>> found.critical_alpha.round(6).tolist()
        [0.5, 0.5]
        """
        whole = (self.n_retain, self.n_forget)
        return stability_map.frontier(
            Update.of(self, step_size, whole, None, sampling, weight_decay, momentum),
            batch_sizes,
            alphas,
            horizon=horizon,
            radius=radius,
            workers=workers,
        )

    def frontier_law(self) -> MirrorLaw:
        """Closed forms of the frontiers that batch noise parts from the mean's own.

        Returns
        -------
        MirrorLaw
            Its ``frontiers(step_size, batch_size, sampling)`` are the mean-square, typical
            and shuffled critical mixings to first order in the step size.

        Raises
        ------
        ValueError
            Where the retain set misses a forget direction: the mean frontier is then 0.

        References
        ----------
        Derived in docs/theory/mirror.

        Examples
        --------
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors([[1.0], [1.5]], [[1.0], [2.0]])
        >>> found = problem.frontier_law().frontiers(0.02, (1, 1), "without_replacement")
        >>> round(found.mean, 4), round(found.mean_square, 4)
        (0.3939, 0.3927)
        >>> round(float(problem.critical_alpha(0.02, (1, 1))), 4)
        0.3927
        """
        return frontier_law(self)

    def frontier_laws(
        self, step_size: float, batch_sizes: Any, *, sampling: str = "without_replacement"
    ) -> FrontierLaws:
        """Closed forms of the mean-square, typical and shuffled frontiers over batch sizes.

        Parameters
        ----------
        step_size : float
        batch_sizes : sequence of int or (retain, forget)
            As for `frontier`.
        sampling : {"without_replacement", "bernoulli", "with_replacement"}

        Returns
        -------
        FrontierLaws
            To be drawn over a map by `rmtstab.figures.frontier_laws`.

        Raises
        ------
        TypeError, ValueError
            As `frontier_law`; if an argument is of the wrong kind or outside its range.

        References
        ----------
        Derived in docs/theory/mirror.

        Examples
        --------
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors([[1.0], [1.5]], [[1.0], [2.0]])
        >>> found = problem.frontier_laws(0.02, [1, 2])
        >>> found.mean_square.round(4).tolist(), found.is_valid.tolist()
        ([0.3927, 0.3939], [True, True])
        """
        if self.n_forget == 0:
            raise ValueError("n_forget must be at least 1 for a frontier, got 0")
        updates = [
            Update.of(self, step_size, b, 0.5, sampling, 0.0, 0.0)
            for b in _checks.each("batch_sizes", batch_sizes)
        ]
        if not updates:
            raise ValueError("batch_sizes must hold at least one, got none")
        return frontier_laws(updates)
