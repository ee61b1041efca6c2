"""Read a problem from an .npz file; what is wrong with it is one line."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rmtstab import _checks

if TYPE_CHECKING:
    from rmtstab.unlearning.problem import UnlearningProblem

DAMAGE = (
    ValueError, EOFError, OSError, KeyError, SyntaxError,
    zipfile.BadZipFile, zlib.error, NotImplementedError,
)  # fmt: skip
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

    arrays = read_arrays(path)
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


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read every array of an .npz file; nothing in it is executed.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    ValueError
        If it is another kind of file, or damaged.
    """
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            start = file.read(6)
        kinds = {b"\x93NUMPY": "an .npy file of one array", b"PK\x03\x04": "a truncated .npz"}
        kind = next((words for mark, words in kinds.items() if start.startswith(mark)), "no .npz")
        raise ValueError(
            f"{path} must be an .npz written by numpy.savez with {ACCEPTED}, got {kind}"
        )
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except DAMAGE as e:
        raise ValueError(
            f"{path} must be a whole .npz of numbers, got a damaged one: {e}"
        ) from None
