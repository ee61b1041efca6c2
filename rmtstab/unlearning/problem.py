"""The unlearning problem: per-sample curvatures of a retain and a forget set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray, Frontier, FrontierLaws, Threshold
from rmtstab.bounds.escape_directions import frontier_law, frontier_laws
from rmtstab.curvature.factors import (
    ReducedFactors,
    hessian_roots,
    split_coordinates,
    stacked_rows,
)
from rmtstab.curvature.samples import SampleCurvatures
from rmtstab.dynamics import stability_map
from rmtstab.dynamics.critical_alpha import critical_alpha
from rmtstab.dynamics.critical_batch_size import critical_batch_size
from rmtstab.dynamics.critical_step_size import critical_step_size
from rmtstab.dynamics.update import Update
from rmtstab.theory.mirror import MirrorLaw
from rmtstab.unlearning.dynamics import Dynamics

SETS = ("retain", "forget")  # what errors call them
SHORTEST = 0.003  # steps an e-fold: the growth factor e^(2/τ) of a shorter one is no float


class UnlearningProblem(SampleCurvatures):
    r"""Curvatures at a trained point, split into samples to retain and to forget.

    The displacement w follows descent on retain and ascent on forget batches,

        ``w⁺ = w − η[(1−α)/B_r Σ x_i H_i − α/B_f Σ y_j H_j] w``,

    with ``H_i = Z_i Z_iᵀ``. Build one with `from_factors`, `from_gram` or
    `from_hessians`. Coordinates are those of ``range(Z)``: with
    ``Z = U S Vᵀ`` the problem holds ``A = S Vᵀ`` (r × N) and w stands for ``Uᵀw``.

    Attributes
    ----------
    factors : ReducedFactors
        A, the columns of each sample, and the tolerance that decided the rank.
    n_retain, n_forget : int
    rank : int
        r, the dimension of the range of all curvatures together.
    gradients : ndarray, shape (n, r + complement), or None
        Per-sample gradients at the trained point, where they were given.
    complement : int
        Number of orthonormal coordinates that hold what of the gradients lies outside
        the range. No curvature sees them: stability, ``rank`` and every threshold are
        those of the curvatures alone.

    See Also
    --------
    rmtstab.bridge.problem : the same from a torch model.

    Examples
    --------
    >>> import rmtstab as rs
    >>> problem = rs.UnlearningProblem.from_factors([[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]])
    >>> problem.rank, problem.n_retain, problem.n_forget
    (2, 2, 1)
    """

    @classmethod
    def from_factors(
        cls,
        retain: Any,
        forget: Any = (),
        *,
        gradients: Any = None,
        rank_tolerance: float | None = None,
    ) -> UnlearningProblem:
        """Build from factors ``Z_i`` (rows: ``H_i = Σ_c z_ic z_icᵀ``).

        Parameters
        ----------
        retain, forget : array_like, shape (n, d) or (n, C, d), or list of (C_i, d)
            Real; CPU torch tensors are read too. ``forget`` may be empty.
        gradients : pair of array_like, shapes (n_retain, d) and (n_forget, d), optional
            Per-sample gradients ``g_i`` at the trained point, of any direction; kept as
            `gradients` in the problem's coordinates, for `Dynamics.trajectory` and
            `Dynamics.stationary`.
        rank_tolerance : float, optional
            Singular values at most this times the largest count as zero;
            default ``max(N, d) * 2.2e-16``.

        Returns
        -------
        UnlearningProblem

        Raises
        ------
        TypeError, ValueError
            If an array is not real or finite, dimensions differ, or retain is empty.

        Examples
        --------
        >>> import numpy as np
        >>> from rmtstab import UnlearningProblem
        >>> UnlearningProblem.from_factors(np.ones((4, 10, 6)), np.ones((2, 10, 6))).rank
        1
        >>> seen = UnlearningProblem.from_factors(np.eye(3)[:2], gradients=(np.eye(3)[1:], ()))
        >>> seen.rank, seen.complement, seen.gradients.shape
        (2, 1, (2, 3))
        """
        n_retain = _length("retain", retain)
        n_forget = _length("forget", forget)
        if n_retain == 0:
            raise ValueError("retain must hold at least one sample, got none")
        factors = ReducedFactors.from_factors(
            retain, forget, rank_tolerance=rank_tolerance, names=SETS
        )
        if gradients is None:
            return cls(factors, n_retain)
        rows = stacked_rows(retain, forget)
        given = _gradient_rows(gradients, (n_retain, n_forget), rows.shape[1])
        return cls(factors, n_retain, split_coordinates(factors.matrix, rows, given))

    @classmethod
    def from_gram(
        cls, gram: Any, n_retain: int, rank: int = 1, *, tolerance: float | None = None
    ) -> UnlearningProblem:
        """Build from the Gram matrix ``K = ZᵀZ``, retain samples first.

        Parameters
        ----------
        gram : array_like, shape (nC, nC)
        n_retain : int
        rank : int
            C, consecutive rows of K per sample.
        tolerance : float, optional
            Eigenvalues of K at most this times the largest count as zero.

        Returns
        -------
        UnlearningProblem

        Raises
        ------
        ValueError
            If K is not symmetric, or indefinite beyond round-off.

        Examples
        --------
        >>> import numpy as np
        >>> from rmtstab import UnlearningProblem
        >>> UnlearningProblem.from_gram(np.eye(4), n_retain=3).rank
        4
        """
        return cls(ReducedFactors.from_gram(gram, rank, tolerance), n_retain)

    @classmethod
    def from_hessians(
        cls, retain: Any, forget: Any = (), *, gradients: Any = None, tolerance: float = 1e-10
    ) -> UnlearningProblem:
        """Build from explicit Hessians, each set (n, d, d).

        Parameters
        ----------
        retain, forget : array_like, shape (n, d, d)
            Symmetric positive semi-definite; ``forget`` may be empty.
        gradients : pair of array_like, shapes (n_retain, d) and (n_forget, d), optional
            As for `from_factors`.
        tolerance : float
            Relative to each Hessian's largest eigenvalue: smaller ones are
            zero, more negative ones an error.

        Returns
        -------
        UnlearningProblem

        Raises
        ------
        ValueError
            If a Hessian is not symmetric positive semi-definite.

        Examples
        --------
        >>> import numpy as np
        >>> from rmtstab import UnlearningProblem
        >>> UnlearningProblem.from_hessians([np.eye(3), np.diag([1.0, 2.0, 0.0])]).rank
        3
        """
        if _length("retain", retain) == 0:
            raise ValueError("retain must hold at least one sample, got none")
        roots = hessian_roots(retain, forget, tolerance=tolerance, names=SETS)
        return cls.from_factors(*roots, gradients=gradients)

    def dynamics(
        self,
        step_size: float,
        batch_size: Any,
        alpha: float = 0.0,
        sampling: str = "without_replacement",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> Dynamics:
        """Linearised dynamics at given hyper-parameters.

        Parameters
        ----------
        step_size : float, ≥ 0
            η.
        batch_size : int, or (retain, forget)
            One number means both sets. Bernoulli sampling takes real numbers in (0, n].
        alpha : float in [0, 1]
            Mixing: 0 is SGD on the retain set.
        sampling : {"without_replacement", "bernoulli", "with_replacement"}
        weight_decay : float, ≥ 0
            λ in ``D + λI``.
        momentum : float in [0, 1)
            Heavy-ball β.

        Returns
        -------
        Dynamics

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(4), np.eye(4)[:2])
        >>> dyn = problem.dynamics(step_size=0.5, batch_size=(4, 2), alpha=0.1)
        >>> round(dyn.growth_factor(), 4)
        0.8327
        """
        return Dynamics.of(self, step_size, batch_size, alpha, sampling, weight_decay, momentum)

    def critical_step_size(
        self,
        batch_size: Any,
        alpha: float = 0.0,
        *,
        sampling: str = "without_replacement",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> Threshold:
        r"""Largest step size with ρ ≤ 1: ``η* = 1/λ_max(L^{-1/2} N L^{-1/2})``.

        ``L(M) = DM + MD`` and ``N(M) = DMD + noise``, both on the range.

        Parameters
        ----------
        batch_size : int, or (retain, forget)
        alpha : float in [0, 1]
        sampling : {"without_replacement", "bernoulli", "with_replacement"}
        weight_decay : float, ≥ 0
            λ in ``D + λI``.
        momentum : float in [0, 1)
            Heavy-ball β.

        Returns
        -------
        Threshold
            0 with a status where D(alpha) has a direction that ascends, or a null
            one that noise excites; ``inf`` where nothing ever escapes. With weight
            decay also at most ``2/λ``, beyond which what the curvature does not see
            diverges.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range.

        References
        ----------
        Mulayoff and Michaeli, arXiv:2306.07850, Theorem 3; with ascent and weight
        decay derived in docs/theory/critical_values.

        Examples
        --------
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors([[1.0], [2.0]])
        >>> round(float(problem.critical_step_size(2)), 9)  # 2/mean curvature: no noise
        0.8
        """
        return critical_step_size(
            Update.of(self, 1.0, batch_size, alpha, sampling, weight_decay, momentum)
        )

    def critical_alpha(
        self,
        step_size: float,
        batch_size: Any,
        *,
        sampling: str = "without_replacement",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> Threshold:
        r"""Largest mixing with ρ ≤ 1, the upper end of an interval (ρ is convex in α).

        With momentum ρ need not be convex: the last crossing seen from 33 mixings.

        Parameters
        ----------
        step_size : float, ≥ 0
        batch_size : int, or (retain, forget)
        sampling : {"without_replacement", "bernoulli", "with_replacement"}
        weight_decay : float, ≥ 0
            λ in ``D + λI``.
        momentum : float in [0, 1)
            Heavy-ball β.

        Returns
        -------
        Threshold
            0 with a status where the retain set is stable but misses a forget
            direction, so that any ascent escapes; NaN with a status where no mixing
            is stable; 1 where every mixing is.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range, or there is no
            forget set.

        References
        ----------
        Derived in docs/theory/critical_values.

        Examples
        --------
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors([[1.0]], [[1.0]])
        >>> round(float(problem.critical_alpha(0.5, 1)), 9)  # D = 1 − 2α
        0.5
        """
        return critical_alpha(
            Update.of(self, step_size, batch_size, None, sampling, weight_decay, momentum)
        )

    def critical_batch_size(
        self,
        step_size: float,
        alpha: float = 0.0,
        *,
        sampling: str = "without_replacement",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> Threshold:
        r"""Smallest common batch size with ρ ≤ 1, as a real number (ρ falls as B grows).

        Parameters
        ----------
        step_size : float, ≥ 0
        alpha : float in [0, 1]
        sampling : {"without_replacement", "bernoulli", "with_replacement"}
        weight_decay : float, ≥ 0
            λ in ``D + λI``.
        momentum : float in [0, 1)
            Heavy-ball β.

        Returns
        -------
        Threshold
            For the fixed-size schemes every whole B at or above the value is stable.
            1 with a status (0 for Bernoulli) where every B is stable, NaN with a
            status where none is.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range.

        References
        ----------
        Derived in docs/theory/critical_values.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(4))
        >>> round(float(problem.critical_batch_size(4.0)), 9)  # η/B ≤ 2 on each direction
        2.0
        """
        whole = (self.n_retain, self.n_forget)
        return critical_batch_size(
            Update.of(self, step_size, whole, alpha, sampling, weight_decay, momentum)
        )

    def rate_frontier(
        self,
        time: float,
        step_size: float,
        batch_size: Any,
        *,
        sampling: str = "without_replacement",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> Threshold:
        """``A_τ = max{α : ρ ≤ e^{2/τ}}``: mixings whose displacement takes τ steps per e-fold.

        Parameters
        ----------
        time : float, ≥ 0.003
            τ, in steps.
        step_size : float, ≥ 0
        batch_size : int, or (retain, forget)
        sampling : {"without_replacement", "bernoulli", "with_replacement"}
        weight_decay : float, ≥ 0
            λ in ``D + λI``.
        momentum : float in [0, 1)
            Heavy-ball β.

        Returns
        -------
        Threshold
            NaN with a status where even the best mixing escapes faster.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range, or there is no
            forget set.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(3)[:2], np.eye(3)[2:])
        >>> problem.critical_alpha(0.5, (2, 1)).value
        0.0
        >>> round(problem.rate_frontier(10.0, 0.5, (2, 1)).value, 6)
        0.210342
        """
        time = _checks.real("time", time, low=SHORTEST)
        level = float(np.exp(2.0 / time))
        return critical_alpha(
            Update.of(self, step_size, batch_size, None, sampling, weight_decay, momentum), level
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
        updates = [
            self.dynamics(step_size, b, 0.5, sampling=sampling)
            for b in _checks.each("batch_sizes", batch_sizes)
        ]
        if not updates:
            raise ValueError("batch_sizes must hold at least one, got none")
        return frontier_laws(updates)

    def resistance(
        self,
        horizon: int,
        step_size: float,
        batch_size: Any,
        alphas: Any = None,
        *,
        kappa: float = 10.0,
        sampling: str = "without_replacement",
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> float:
        """Finite-horizon resistance ``Ψ_{T,κ}``: the least over mixings; ``inf`` if none forgets.

        Parameters
        ----------
        horizon : int
            T, in steps.
        step_size : float, ≥ 0
        batch_size : int, or (retain, forget)
        alphas : array_like, optional
            Mixings tried; default 33 from 1/33 to 1.
        kappa : float, ≥ 1
            Factor by which the forget loss must grow; at least 10 for an order
            that can be trusted.
        sampling : {"without_replacement", "bernoulli", "with_replacement"}
        weight_decay : float, ≥ 0
            λ in ``D + λI``.
        momentum : float in [0, 1)
            Heavy-ball β.

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or outside its range.

        References
        ----------
        Derived in docs/theory/resistance.

        Examples
        --------
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors([[1.0]], [[1.0]])
        >>> problem.resistance(20, 0.5, 1)  # alike: both losses grow alike
        1.0
        """
        grid = (
            np.linspace(0.0, 1.0, 34)[1:]
            if alphas is None
            else _checks.array("alphas", alphas, ndim=1)
        )
        if not grid.size:
            raise ValueError("alphas must hold a mixing, got none")
        return min(
            self.dynamics(
                step_size, batch_size, float(a), sampling, weight_decay, momentum
            ).resistance(horizon, kappa)
            for a in grid
        )

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
            at which the ratio crosses ``radius²``, found by bisection (1 if none). Every
            cell is certified: the enclosures come from the row's subspace, cells that they
            leave open are solved by themselves, and what stays open is UNDECIDED.

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

    def __repr__(self) -> str:
        return (
            f"UnlearningProblem(n_retain={self.n_retain}, n_forget={self.n_forget}, "
            f"rank={self.rank})"
        )


def _gradient_rows(given: Any, sizes: tuple[int, int], d: int) -> FloatArray:
    """Both sets' gradients as rows (n, d), or raise."""
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise TypeError("gradients must be a pair (retain, forget) of arrays")
    parts = []
    for name, part, n in zip(SETS, given, sizes, strict=True):
        array = _checks.array(f"gradients ({name})", part)
        if array.shape != (n, d) and not (n == 0 and array.size == 0):
            raise ValueError(f"gradients ({name}) must have shape ({n}, {d}), got {array.shape}")
        parts.append(array.reshape(n, d))
    return np.concatenate(parts)


def _length(name: str, value: Any) -> int:
    try:
        return len(value)
    except TypeError:
        raise TypeError(f"{name} must be an array or a list of arrays, got {value!r}") from None
