"""The unlearning problem: per-sample curvatures of a retain and a forget set."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.curvature.factors import (
    ReducedFactors,
    hessian_roots,
    split_coordinates,
    stacked_rows,
)
from rmtstab.unlearning.dynamics import Dynamics
from rmtstab.unlearning.frontiers import HasFrontiers
from rmtstab.unlearning.thresholds import HasThresholds

SETS = ("retain", "forget")  # what errors call them


class UnlearningProblem(HasThresholds, HasFrontiers):
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
        alpha: float | None = None,
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
            Mixing: 0 is plain SGD on the retain set. Not given it is 0, with a warning, since
            nothing is ascended then.
        sampling : {"without_replacement", "bernoulli", "with_replacement"}
        weight_decay : float, ≥ 0
            λ in ``D + λI``.
        momentum : float in [0, 1)
            Heavy-ball β.

        Returns
        -------
        Dynamics

        Warns
        -----
        UserWarning
            If ``alpha`` is not given.

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
        mixing = self._given_or_zero(alpha)
        return Dynamics.of(self, step_size, batch_size, mixing, sampling, weight_decay, momentum)

    def _given_or_zero(self, alpha: float | None) -> float:
        """Return the mixing; where the caller's caller gave none, 0 with a warning."""
        if alpha is not None:
            return alpha
        why = "nothing is ascended" if self.n_forget else "there is no forget set"
        warnings.warn(
            f"alpha was not given: this is plain SGD on the retain set ({why}), whose verdict is "
            "none of unlearning; alpha=0.0 says so without a warning",
            stacklevel=3,
        )
        return 0.0

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
