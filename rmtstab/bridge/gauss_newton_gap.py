"""How far the Gauss–Newton matrix is from the Hessian it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab.bridge.operators import operator_of
from rmtstab.bridge.reading import Reading, read
from rmtstab.bridge.spectrum import extreme_eigenpairs


@dataclass(frozen=True)
class CurvatureGap(Record):
    """Gauss–Newton against exact Hessian of one loss at one point.

    Attributes
    ----------
    relative : float
        ``‖(H − G) V‖ / ‖G V‖`` (spectral norms), V the leading eigenvectors of G.
    gauss_newton : float
        Largest eigenvalue of G.
    hessian, lowest : float
        Largest and smallest eigenvalue of H.
    n_directions : int
        Columns of V.
    converged : bool
        Whether every eigenpair behind these numbers did.
    """

    relative: float
    gauss_newton: float
    hessian: float
    lowest: float
    n_directions: int
    converged: bool

    @property
    def is_indefinite(self) -> bool:
        """Whether H has a negative eigenvalue beyond a millionth of its largest."""
        return self.lowest < -1e-6 * max(abs(self.hessian), abs(self.lowest))

    @property
    def warning(self) -> str | None:
        """What thresholds computed from G should carry, or None."""
        if not self.is_indefinite:
            return None
        return (
            f"the exact Hessian is indefinite (lowest eigenvalue {self.lowest:.3g}, largest "
            f"{self.hessian:.3g}): thresholds are those of its Gauss-Newton part, "
            f"{self.relative:.1%} away on the leading space"
        )


def curvature_gap(
    model: nn.Module,
    loss: Any,
    data: Any,
    *,
    n_directions: int = 3,
    tolerance: float = 1e-4,
    parameters: Any = None,
    **options: Any,
) -> CurvatureGap:
    r"""Compare the Gauss–Newton matrix with the exact Hessian where it matters.

    Parameters
    ----------
    model, loss, data
        As for `gauss_newton_operator`.
    n_directions : int, default 3
        Leading eigenvectors of the Gauss–Newton matrix on which the two are compared.
    tolerance : float, default 1e-4
        Relative residual asked of the eigenpairs.
    parameters, **options
        As for `gauss_newton_operator`.

    Returns
    -------
    CurvatureGap

    Raises
    ------
    TypeError, ValueError
        As for `rmtstab.bridge.problem`.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> model = torch.nn.Linear(2, 1, dtype=torch.float64)
    >>> x = torch.eye(2, dtype=torch.float64)
    >>> gap = bridge.curvature_gap(model, torch.nn.MSELoss(), (x, x[:, :1]))
    >>> round(gap.relative, 9), gap.is_indefinite  # linear in its weights
    (0.0, False)
    """
    reading = read(model, loss, data, parameters=parameters, names=("data", "data"), **options)
    return gap_of_reading(reading, n_directions=n_directions, tolerance=tolerance)


def gap_of_reading(
    reading: Reading, *, n_directions: int = 3, tolerance: float = 1e-4
) -> CurvatureGap:
    """`curvature_gap` on the retain set of what has been read and checked already.

    Parameters
    ----------
    reading : Reading
    n_directions, tolerance
        As for `curvature_gap`.

    Returns
    -------
    CurvatureGap
    """
    first, second = operator_of(reading, "gauss_newton"), operator_of(reading, "hessian")
    k = min(_checks.integer("n_directions", n_directions, low=1), first.shape[0])
    leading = extreme_eigenpairs(first, k, tolerance=tolerance)
    ends = extreme_eigenpairs(second, min(2, first.shape[0]), which="both", tolerance=tolerance)
    ours = leading.vectors * leading.values
    exact = np.stack([second.matvec(v) for v in leading.vectors.T], axis=1)
    size = float(np.linalg.norm(ours, 2)) if ours.size else 0.0
    gap = float(np.linalg.norm(exact - ours, 2)) if ours.size else 0.0
    return CurvatureGap(
        relative=gap / size if size else (float("inf") if gap else 0.0),
        gauss_newton=float(leading.values[0]) if ours.size else float("nan"),
        hessian=float(ends.values.max(initial=-np.inf)),
        lowest=float(ends.values.min(initial=np.inf)),
        n_directions=k,
        converged=leading.converged and ends.converged,
    )
