"""Read a problem from an .npz file; what is wrong with it is one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rmtstab import _checks
from rmtstab._npz import read_arrays

if TYPE_CHECKING:
    from rmtstab.unlearning.problem import UnlearningProblem

ACCEPTED = "`retain` and perhaps `forget`, or `gram`, `n_retain` and perhaps `rank`"


def read_problem(path: Path) -> UnlearningProblem:
    """Read the problem of an .npz file.

    Parameters
    ----------
    path : Path
        With ``retain`` and perhaps ``forget`` factors, or ``gram``, ``n_retain`` and perhaps
        ``rank``.

    Returns
    -------
    UnlearningProblem

    Raises
    ------
    ValueError, TypeError
        If it is no such file, is damaged, or its arrays make no problem with curvature.
    """
    from rmtstab.unlearning.problem import UnlearningProblem

    arrays = read_arrays(path, ACCEPTED)
    if "gram" in arrays and "n_retain" in arrays:
        rank = _checks.integer("rank", arrays["rank"], low=1) if "rank" in arrays else 1
        n_retain = _checks.integer("n_retain", arrays["n_retain"], low=1)
        problem = UnlearningProblem.from_gram(arrays["gram"], n_retain, rank)
    elif "retain" in arrays:
        problem = UnlearningProblem.from_factors(arrays["retain"], arrays.get("forget", ()))
    else:
        raise ValueError(f"{path} must hold {ACCEPTED}, got {', '.join(arrays) or 'no arrays'}")
    if problem.rank == 0:
        raise ValueError(f"{path} must hold curvature, got factors that are all zero")
    return problem
