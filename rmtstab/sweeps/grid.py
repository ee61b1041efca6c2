"""The grid: which cells there are, and the randomness that belongs to each."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Cell:
    """One unit of work: a task name, a seed, and the parameters that tell it apart.

    Parameters
    ----------
    task : str
        What to compute.
    seed : int
        The run's seed.
    parameters : tuple of (str, value)
        JSON values, sorted by name; build cells with `product` or `Cell.of`.

    Examples
    --------
    >>> from rmtstab.sweeps import Cell
    >>> cell = Cell.of("train", 0, snr=0.5, replica=2)
    >>> cell["snr"], cell.key[:6]
    (0.5, 'train-')
    """

    task: str
    seed: int
    parameters: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, task: str, seed: int, **parameters: Any) -> Cell:
        """Make a cell from keyword parameters."""
        return cls(task, seed, tuple(sorted(parameters.items())))

    def __getitem__(self, name: str) -> Any:
        return dict(self.parameters)[name]

    @property
    def identity(self) -> str:
        """Canonical JSON text of task, seed and parameters."""
        return json.dumps([self.task, self.seed, dict(self.parameters)], sort_keys=True)

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
