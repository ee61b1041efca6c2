"""The operator of one step, asked of a `Dynamics`: applied, matrix-free, dense."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.dynamics import growth as spectral
from rmtstab.dynamics.momentum import HeavyBall
from rmtstab.dynamics.second_moment import SecondMoment
from rmtstab.dynamics.update import Update

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator


class HasOperator(Update):
    """An update whose Φ is at hand, in the problem's coordinates or D's eigenbasis."""

    @cached_property
    def _full(self) -> SecondMoment:
        return self.second_moment(active=False)

    def apply(self, second_moment: Any) -> FloatArray:
        """One step of the second moment: ``Φ(M)``.

        Parameters
        ----------
        second_moment : array_like, shape (r, r), or (2r, 2r) with momentum
            M in the problem's coordinates; need not be symmetric. With momentum
            that of the state (w_k, w_{k−1}).

        Returns
        -------
        ndarray of the same shape, float64

        Raises
        ------
        ValueError
            If the shape is another.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(2))
        >>> problem.dynamics(step_size=1.0, batch_size=2, alpha=0.0).apply(np.eye(2)).tolist()
        [[0.25, 0.0], [0.0, 0.25]]
        """
        side = self.curvatures.rank * (2 if self.momentum else 1)
        m = _checks.array("second_moment", second_moment, ndim=2)
        if m.shape != (side, side):
            raise ValueError(f"second_moment must have shape ({side}, {side}), got {m.shape}")
        q = self.basis.vectors
        if self.momentum:
            still = np.zeros_like(q)
            q = np.block([[q, still], [still, q]])
            phi: SecondMoment | HeavyBall = HeavyBall(self, active=False)
        else:
            phi = self._full
        result: FloatArray = q @ phi(np.ascontiguousarray(q.T @ m @ q)) @ q.T
        return result

    def operator(self) -> tuple[LinearOperator, FloatArray]:
        """Φ on the judged range as a SciPy operator, and the basis it is written in.

        Returns
        -------
        operator : scipy.sparse.linalg.LinearOperator, shape (r², r²)
            Acts on ``M.ravel()`` with M in D's eigenbasis; ((2r)², (2r)²) with
            momentum, the state being (w_k, w_{k−1}).
        basis : ndarray, shape (rank, r)
            Columns: the eigenvectors, in the problem's coordinates.
        """
        return spectral.operator(self)

    def operator_matrix(self, memory_limit: float = 2e9) -> tuple[FloatArray, FloatArray]:
        """Φ on the judged range as a dense matrix, for small r; `operator` for any r.

        Parameters
        ----------
        memory_limit : float, > 0
            Largest matrix made, in bytes.

        Returns
        -------
        matrix : ndarray, shape (r², r²), float64
            Acts on ``M.ravel()`` with M in D's eigenbasis; ((2r)², (2r)²) with
            momentum, the state being (w_k, w_{k−1}).
        basis : ndarray, shape (rank, r)
            Columns: the eigenvectors, in the problem's coordinates.

        Raises
        ------
        ValueError
            If the matrix would exceed ``memory_limit``.

        See Also
        --------
        operator : the same, matrix-free.

        Examples
        --------
        >>> import numpy as np
        >>> import rmtstab as rs
        >>> problem = rs.UnlearningProblem.from_factors(np.eye(2))
        >>> matrix, basis = problem.dynamics(1.0, 1, alpha=0.0).operator_matrix()
        >>> matrix.shape, round(float(np.linalg.eigvalsh(matrix)[-1]), 12)
        ((4, 4), 0.5)
        """
        operator, basis = self.operator()
        needed = 8.0 * operator.shape[0] ** 2
        limit = _checks.real("memory_limit", memory_limit, low=0.0, low_open=True)
        if needed > limit:
            raise ValueError(
                f"operator_matrix needs {needed / 1e9:.3g} GB for r={self.basis.n_active}, more "
                f"than memory_limit={limit / 1e9:.3g} GB; use operator()"
            )
        matrix = np.empty(operator.shape)
        unit = np.zeros(operator.shape[0])
        for k in range(len(unit)):
            unit[k] = 1.0
            matrix[:, k] = operator.matvec(unit)
            unit[k] = 0.0
        return matrix, basis
