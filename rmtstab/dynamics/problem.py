"""The unlearning problem: per-sample curvatures of a retain and a forget set."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import Coherence, FloatArray, Threshold
from rmtstab.curvature.coherence import coherence
from rmtstab.dynamics.dynamics import Dynamics
from rmtstab.dynamics.sampling import batch_pair

PSD_TOLERANCE = 1e-8  # a negative eigenvalue beyond this share of the largest is an error


class UnlearningProblem:
    """Per-sample curvatures ``H_i = Z_i Z_iᵀ`` of both sets, reduced to their common range.

    Use `from_factors`, `from_gram` or `from_hessians`. The state is a vector of
    ``rank`` coordinates: ``factors`` is A with ``AᵀA = K`` (Gram reduction), so
    nothing of the size of the weights is kept.

    Attributes
    ----------
    factors : ndarray, shape (rank, n·C), float64
        A; retain columns first, C a sample.
    n_retain, n_forget : int
        Set sizes.
    width : int
        C, columns a sample.
    """

    def __init__(self, factors: FloatArray, n_retain: int, n_forget: int, width: int) -> None:
        self.factors = factors
        self.n_retain, self.n_forget, self.width = n_retain, n_forget, width

    def __repr__(self) -> str:
        return (
            f"UnlearningProblem(n_retain={self.n_retain}, n_forget={self.n_forget}, "
            f"rank={self.rank})"
        )

    @property
    def rank(self) -> int:
        """Dimension of the joint range of all curvatures."""
        return len(self.factors)

    @property
    def sizes(self) -> tuple[int, int]:
        """``(n_retain, n_forget)``."""
        return self.n_retain, self.n_forget

    @classmethod
    def from_factors(cls, retain: Any, forget: Any) -> UnlearningProblem:
        """Build from factors: ``H_i = Σ_c z_ic z_icᵀ``.

        Parameters
        ----------
        retain, forget : array_like, shape (n, d) or (n, C, d)
            One gradient-like row a sample, or C of them; forget may be empty.

        Returns
        -------
        UnlearningProblem

        Raises
        ------
        ValueError
            On shapes that do not fit, NaN or infinities, or an empty retain set.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> rs.UnlearningProblem.from_factors(np.eye(3)[:2], np.eye(3)[2:])
        UnlearningProblem(n_retain=2, n_forget=1, rank=3)
        """
        first = _checks.array("retain", retain, ndim=(2, 3))
        second = _checks.array("forget", forget, ndim=(2, 3))
        first, second = (x[:, None, :] if x.ndim == 2 else x for x in (first, second))
        if not len(first):
            raise ValueError("retain must hold at least one sample, got 0")
        if not len(second):
            second = np.empty((0, *first.shape[1:]))
        if first.shape[1:] != second.shape[1:]:
            raise ValueError(
                f"forget must have factors of shape {first.shape[1:]} as retain has, "
                f"got {second.shape[1:]}"
            )
        rows = np.concatenate([first, second]).reshape(-1, first.shape[2])
        left, values, _ = np.linalg.svd(rows, full_matrices=False)
        keep = values > values.max(initial=0.0) * max(rows.shape) * np.finfo(float).eps
        factors = np.ascontiguousarray((left[:, keep] * values[keep]).T)
        return cls(factors, len(first), len(second), first.shape[1])

    @classmethod
    def from_gram(cls, gram: Any, n_retain: int, rank: int = 1) -> UnlearningProblem:
        """Build from the Gram matrix ``K = ZᵀZ`` of the factors, retain first.

        Parameters
        ----------
        gram : array_like, shape (n·C, n·C)
            Symmetric positive semidefinite.
        n_retain : int
            Size of the retain set, in [1, n].
        rank : int, default 1
            C, columns a sample.

        Returns
        -------
        UnlearningProblem

        Raises
        ------
        ValueError
            If the matrix is not square, symmetric or positive semidefinite to
            round-off, or ``n_retain`` does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> rs.UnlearningProblem.from_gram(np.eye(3), n_retain=2).n_forget
        1
        """
        matrix = _checks.array("gram", gram, ndim=2)
        rank = _checks.integer("rank", rank, low=1)
        if matrix.shape[0] != matrix.shape[1] or matrix.shape[0] % rank or not matrix.size:
            raise ValueError(
                f"gram must be square with a multiple of rank={rank} rows, got {matrix.shape}"
            )
        n = len(matrix) // rank
        n_retain = _checks.integer("n_retain", n_retain, low=1, high=n, high_label="n")
        scale = np.abs(matrix).max()
        asymmetry = np.abs(matrix - matrix.T).max()
        if asymmetry > PSD_TOLERANCE * scale:
            raise ValueError(f"gram must be symmetric, got an asymmetry of {asymmetry:.3g}")
        values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
        if values[0] < -PSD_TOLERANCE * max(values[-1], 0.0) or values[-1] < 0:
            raise ValueError(
                f"gram must be positive semidefinite, got an eigenvalue {values[0]:.3g} "
                f"beside {values[-1]:.3g}"
            )
        keep = values > max(values[-1], 0.0) * len(matrix) * np.finfo(float).eps
        factors = np.ascontiguousarray(np.sqrt(values[keep])[:, None] * vectors[:, keep].T)
        return cls(factors, n_retain, n - n_retain, rank)

    @classmethod
    def from_hessians(cls, retain: Any, forget: Any) -> UnlearningProblem:
        """Build from explicit Hessians.

        Parameters
        ----------
        retain, forget : array_like, shape (n, d, d)
            Symmetric positive semidefinite; forget may be empty.

        Returns
        -------
        UnlearningProblem

        Raises
        ------
        ValueError
            If a Hessian is not symmetric positive semidefinite to 1e-8 of its
            largest eigenvalue.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> rs.UnlearningProblem.from_hessians([np.eye(2)], np.empty((0, 2, 2))).rank
        2
        """
        sets = []
        for name, value in (("retain", retain), ("forget", forget)):
            stack = _checks.array(name, value, ndim=3)
            if stack.shape[1] != stack.shape[2]:
                raise ValueError(f"{name} must have shape (n, d, d), got {stack.shape}")
            scale = np.abs(stack).max(axis=(1, 2), initial=0.0)
            gap = np.abs(stack - stack.transpose(0, 2, 1)).max(axis=(1, 2), initial=0.0)
            if (gap > PSD_TOLERANCE * scale).any():
                raise ValueError(f"{name} must hold symmetric Hessians, got a gap {gap.max():.3g}")
            values, vectors = np.linalg.eigh(0.5 * (stack + stack.transpose(0, 2, 1)))
            lowest = values.min(axis=1, initial=0.0)
            if (lowest < -PSD_TOLERANCE * np.maximum(values.max(axis=1, initial=0.0), 0)).any():
                raise ValueError(
                    f"{name} must hold positive semidefinite Hessians, got an eigenvalue "
                    f"{lowest.min():.3g}"
                )
            roots = np.sqrt(np.maximum(values, 0.0))
            sets.append((vectors * roots[:, None, :]).transpose(0, 2, 1))
        return cls.from_factors(*sets)

    def coherence(self, alpha: float | None = None) -> Coherence:
        """Coherence on the three axes, total, and at a mixing.

        Parameters
        ----------
        alpha : float, optional
            Mixing in [0, 1] for the unlearning coherence.

        Returns
        -------
        Coherence

        Raises
        ------
        ValueError
            If alpha lies outside [0, 1].

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(3)[:2], np.eye(3)[2:])
        >>> problem.coherence().retain, problem.coherence().cross
        (1.0, 0.0)
        """
        return coherence(self.factors.T @ self.factors, self.n_retain, self.width, alpha)

    def from_predictions(self, predictions: Any) -> FloatArray:
        """Coordinates of the projection of w onto the range, from ``Zᵀw``.

        Parameters
        ----------
        predictions : array_like, shape (n·C,)
            Inner products of the factors with w.

        Returns
        -------
        ndarray, shape (rank,), float64

        Raises
        ------
        ValueError
            If the shape does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(2 * np.eye(2), np.empty((0, 2)))
        >>> float(np.linalg.norm(problem.from_predictions([6.0, 8.0])))
        5.0
        """
        vector = self._samples("predictions", predictions)
        # A has orthogonal rows only up to scale: solve A Aᵀ x = A Zᵀw.
        coordinates: FloatArray = np.linalg.lstsq(self.factors.T, vector, rcond=None)[0]
        return coordinates

    def _samples(self, name: str, value: Any) -> FloatArray:
        vector = _checks.array(name, value, ndim=1)
        if vector.shape != (self.factors.shape[1],):
            raise ValueError(f"{name} must have shape {self.factors.shape[1:]}, got {vector.shape}")
        return vector

    def dynamics(
        self,
        *,
        step_size: float,
        batch_size: Any,
        alpha: float,
        sampling: str = "without_replacement",
        weight_decay: float = 0.0,
    ) -> Dynamics:
        """Choose step size, batches and mixing; ask the result for growth and verdict.

        Parameters
        ----------
        step_size : float
            η ≥ 0.
        batch_size : int, float or pair
            One for both sets, or (retain, forget); real for Bernoulli sampling.
        alpha : float
            Mixing in [0, 1]; 0 if there is no forget set.
        sampling : {"without_replacement", "with_replacement", "bernoulli"}
        weight_decay : float, default 0
            λ ≥ 0, added to D.

        Returns
        -------
        Dynamics

        Raises
        ------
        ValueError
            If an argument is outside its range.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(2), np.empty((0, 2)))
        >>> round(problem.dynamics(step_size=1.0, batch_size=2, alpha=0.0).growth_factor(), 12)
        0.25
        """
        step_size = _checks.real("step_size", step_size, low=0.0)
        alpha = _checks.real("alpha", alpha, low=0.0, high=1.0)
        if alpha > 0 and not self.n_forget:
            raise ValueError(f"alpha must be 0 without a forget set, got {alpha}")
        pair = batch_pair(batch_size, self.sizes, sampling)
        weight_decay = _checks.real("weight_decay", weight_decay, low=0.0)
        return Dynamics(self, step_size, pair, alpha, sampling, weight_decay)

    def critical_step_size(
        self, batch_size: Any, alpha: float, *, sampling: str = "without_replacement"
    ) -> Threshold:
        """Largest stable step size at a batch size and mixing.

        Parameters
        ----------
        batch_size, alpha, sampling
            As in `dynamics`.

        Returns
        -------
        Threshold

        Raises
        ------
        ValueError
            If an argument is outside its range.

        References
        ----------
        Mulayoff & Michaeli, arXiv:2306.07850, Theorem 3, at α = 0; derived in docs/theory.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(2), np.empty((0, 2)))
        >>> round(float(problem.critical_step_size(2, 0.0)), 10)
        4.0
        """
        from rmtstab.dynamics.exact import critical_step_size

        return critical_step_size(
            self.dynamics(step_size=1.0, batch_size=batch_size, alpha=alpha, sampling=sampling)
        )
