"""The grid: which cells there are, and the randomness that belongs to each."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rmtstab import _checks

TASK = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")  # part of a file's name: no folders


def check_task(name: str, value: Any) -> None:
    """Refuse what cannot be the name of a file."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, got {value!r:.120} ({type(value).__name__})")
    if not TASK.fullmatch(value):
        raise ValueError(
            f"{name} must be 1 to 100 letters, digits, '_', '.' or '-' and begin with none of "
            f"the last two, got {value[:120]!r}"
        )


@dataclass(frozen=True, eq=False)
class Cell:
    """One unit of work: a task name, a seed, and the parameters that tell it apart.

    Cells are equal when their identities are: ``x=1`` and ``x=1.0`` are two cells.

    Parameters
    ----------
    task : str
        What to compute: letters, digits, ``_``, ``.`` and ``-``, at most 100 of them, as it
        begins the name of the cell's file.
    seed : int
        The run's seed, ≥ 0.
    parameters : dict
        JSON values; build cells with `product` or `Cell.of`, which make them so.

    Raises
    ------
    TypeError, ValueError
        If the task is no such name, or the seed no such number.

    Examples
    --------
    >>> from rmtstab.sweeps import Cell
    >>> cell = Cell.of("train", 0, snr=0.5, replica=2)
    >>> cell["snr"], cell.key[:6]
    (0.5, 'train-')
    """

    task: str
    seed: int
    parameters: dict[str, Any]

    def __post_init__(self) -> None:
        check_task("task", self.task)
        object.__setattr__(self, "seed", _checks.seed("seed", self.seed, 128))

    @classmethod
    def of(cls, task: str, seed: int, /, **parameters: Any) -> Cell:
        """Make a cell from keyword parameters (NumPy numbers, arrays and tuples become JSON's).

        Parameters
        ----------
        task : str
        seed : int
        **parameters
            Finite numbers, text, booleans, None, and lists, tuples, arrays and dicts of these.

        Returns
        -------
        Cell

        Raises
        ------
        TypeError, ValueError
            If a parameter is something else, or not finite.
        """
        return cls(task, seed, {k: _plain(k, value) for k, value in parameters.items()})

    def __getitem__(self, name: str) -> Any:
        return self.parameters[name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cell) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    @cached_property
    def identity(self) -> str:
        """Canonical JSON text of task, seed and parameters."""
        return json.dumps([self.task, self.seed, self.parameters], sort_keys=True)

    @cached_property
    def _digest(self) -> Any:
        return hashlib.sha256(self.identity.encode())

    @property
    def key(self) -> str:
        """File name of the cell: the task and a digest of its identity."""
        return f"{self.task}-{self._digest.hexdigest()[:20]}"

    def rng(self) -> np.random.Generator:
        """Return the cell's own generator: the same wherever and whenever it runs."""
        digest = self._digest.digest()
        return np.random.default_rng(np.random.SeedSequence(int.from_bytes(digest[:16], "little")))

    def __reduce__(self) -> tuple[Any, ...]:
        return Cell, (self.task, self.seed, self.parameters)  # a hash object cannot travel


def product(task: str, seed: int, axes: Mapping[str, Iterable[Any]]) -> list[Cell]:
    """List the cells of a full grid, the last axis fastest.

    Parameters
    ----------
    task : str
    seed : int
    axes : mapping of str to iterable
        Parameter values; JSON types.

    Returns
    -------
    list of Cell

    Examples
    --------
    >>> from rmtstab.sweeps import product
    >>> [cell["b"] for cell in product("t", 0, {"a": [1], "b": [2, 3]})]
    [2, 3]
    """
    names = list(_checks.mapping("axes", axes))
    for name, values in axes.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise TypeError(f"axes must hold sequences of values, got {name}={values!r}")
    return [
        Cell.of(task, seed, **dict(zip(names, values, strict=True)))
        for values in itertools.product(*axes.values())
    ]


def _plain(name: str, value: Any) -> Any:
    """Return a parameter as JSON values, or raise."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufU":
        value = value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return _checks.real(name, value)
    if isinstance(value, list | tuple):
        return [_plain(name, item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(name, item) for key, item in value.items()}
    kind = type(value).__name__
    raise TypeError(f"parameters must be JSON values, got {name}={value!r} ({kind})")
