"""The grid: which cells there are, and the randomness that belongs to each."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Cell:
    """One unit of work: a task name, a seed, and the parameters that tell it apart.

    Cells are equal when their identities are: ``x=1`` and ``x=1.0`` are two cells.

    Parameters
    ----------
    task : str
        What to compute.
    seed : int
        The run's seed.
    parameters : dict
        JSON values; build cells with `product` or `Cell.of`, which make them so.

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

    @classmethod
    def of(cls, task: str, seed: int, **parameters: Any) -> Cell:
        """Make a cell from keyword parameters (NumPy numbers and tuples become JSON's).

        Parameters
        ----------
        task : str
            Name of the function that computes it.
        seed : int
        **parameters
            Of the task.

        Returns
        -------
        Cell
        """
        return cls(task, seed, json.loads(json.dumps(parameters, default=_plain)))

    def __getitem__(self, name: str) -> Any:
        return self.parameters[name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cell) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    @property
    def identity(self) -> str:
        """Canonical JSON text of task, seed and parameters."""
        return json.dumps([self.task, self.seed, self.parameters], sort_keys=True)

    @property
    def key(self) -> str:
        """File name of the cell: the task and a digest of its identity."""
        return f"{self.task}-{hashlib.sha256(self.identity.encode()).hexdigest()[:20]}"

    def rng(self) -> np.random.Generator:
        """Return the cell's own generator: the same wherever and whenever it runs."""
        digest = hashlib.sha256(self.identity.encode()).digest()
        return np.random.default_rng(np.random.SeedSequence(int.from_bytes(digest[:16], "little")))


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
    names = list(axes)
    return [
        Cell.of(task, seed, **dict(zip(names, values, strict=True)))
        for values in itertools.product(*axes.values())
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"parameters must be JSON values, got {value!r} ({type(value).__name__})")
