"""A sweep as data: axes and an experiment, in TOML; its result, a labelled dataset."""

from __future__ import annotations

import difflib
import inspect
import json
import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rmtstab import _checks
from rmtstab.sweeps import dataset
from rmtstab.sweeps.experiment import Experiment, evaluate, named
from rmtstab.sweeps.files import write_atomically
from rmtstab.sweeps.grid import Cell, product
from rmtstab.sweeps.provenance import fingerprint, versions
from rmtstab.sweeps.run import run
from rmtstab.sweeps.workers import workers_at

if TYPE_CHECKING:
    import xarray

MOST_CELLS = 10**7  # of one sweep, whose cells are listed before the first runs
BARE = re.compile(r"[A-Za-z0-9_-]+")
SPACINGS: dict[str, Callable[..., Any]] = {"linspace": np.linspace, "geomspace": np.geomspace}


@dataclass(frozen=True)
class Sweep:
    """Axes and an experiment: everything that a sweep's numbers depend on, but the code.

    Parameters
    ----------
    experiment : str or callable
        Name of a registered experiment (`rmtstab.sweeps.experiments()` lists them), or the
        caller's own ``function(rng, **parameters)`` → dict of numbers, text and arrays;
        ``rng`` is the cell's own `numpy.random.Generator`.
    axes : mapping of str to sequence
        Values of each parameter that varies: numbers, text, booleans, or lists of these
        (batch sizes, say). The last axis varies fastest.
    fixed : mapping of str to object
        Parameters that do not vary.
    seed : int, default 0
        With the cell, all that its generator depends on.
    units : mapping of str to str, optional
        Units of the caller's own parameters and outputs.

    Raises
    ------
    TypeError, ValueError
        If the experiment is unknown, an axis is empty or has a value twice, or a name is no
        parameter of the experiment.

    See Also
    --------
    rmtstab.sweeps.run : the small core, for any function of a cell.

    Examples
    --------
    >>> from rmtstab.sweeps import Sweep
    >>> def noisy_square(rng, x, scale=1.0):
    ...     return {"y": x**2 + scale * rng.standard_normal()}
    >>> sweep = Sweep(noisy_square, {"x": [1.0, 2.0, 3.0]}, {"scale": 0.0})
    >>> sweep.run()["y"].values
    array([1., 4., 9.])
    >>> print(Sweep("coherence", {"snr": [0.0, 1.0]}).to_toml())
    experiment = "coherence"
    seed = 0
    <BLANKLINE>
    [axes]
    snr = [0.0, 1.0]
    <BLANKLINE>
    [fixed]
    <BLANKLINE>
    """

    experiment: str | Callable[..., dict[str, Any]]
    axes: Mapping[str, Sequence[Any]]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    units: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("axes", "fixed", "units"):
            if not isinstance(getattr(self, name), Mapping):
                raise TypeError(f"{name} must be a mapping, got {getattr(self, name)!r}")
        axes = {name: _axis(name, values) for name, values in self.axes.items()}
        for name in self.fixed:
            if name in axes:
                raise ValueError(f"fixed must hold no axis, got {name!r} in both")
        size = math.prod(map(len, axes.values()))
        if size > MOST_CELLS:
            raise ValueError(
                f"axes must span at most {MOST_CELLS:,} cells, got {size:,}: split the sweep"
            )
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "fixed", Cell.of("fixed", 0, **self.fixed).parameters)
        object.__setattr__(self, "seed", _checks.seed("seed", self.seed, 128))
        _check_names({**axes, **self.fixed}, self.definition)

    @property
    def definition(self) -> Experiment:
        """The experiment itself, with its function, parameters and units."""
        if isinstance(self.experiment, str):
            return named(self.experiment)
        return Experiment.of(self.experiment, units=self.units)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values along each axis."""
        return tuple(len(values) for values in self.axes.values())

    def __len__(self) -> int:
        return math.prod(self.shape)

    def cells(self) -> list[Cell]:
        """List the cells, the last axis fastest.

        Returns
        -------
        list of Cell
        """
        fixed = {name: [value] for name, value in self.fixed.items()}
        return product(self.definition.name, self.seed, {**fixed, **self.axes})

    def run(
        self,
        folder: str | os.PathLike[str] | None = None,
        where: Any = None,
        *,
        workers: int | None = None,
        chunk_size: int = 1,
        errors: Literal["record", "raise"] = "record",
        on_done: Callable[[Cell], None] | None = None,
        timeout: float = 10.0,
    ) -> xarray.Dataset:
        """Compute what is missing, and return the whole as a labelled dataset.

        Bit-identical wherever it runs: a cell's generator depends on the seed and the cell,
        and a cell runs on one BLAS thread.

        Parameters
        ----------
        folder : path, optional
            Keeps one file a cell (``cells/``), the sweep (``sweep.toml``, where the experiment
            has a name) and the dataset (``result.zarr``); a later run goes on from there. The
            cells are thrown away without one.
        where : None, "processes", "tcp://host:port", distributed.Client or Executor
            Here, in order; in processes of this machine; or on a Dask cluster.
        workers : int, optional
            Processes, with ``where="processes"``; default one a core.
        chunk_size : int, default 1
            Cells a task; see the guide on cost.
        errors : {"record", "raise"}
            A cell that raises leaves NaN (or empty text) and its traceback in the variable
            ``error``, or ends the sweep.
        on_done : callable, optional
            Called with each cell as its result is there.
        timeout : float, default 10
            Seconds to wait for a scheduler.

        Returns
        -------
        xarray.Dataset
            A dimension an axis, a variable an output, units on each; arrays have dimensions of
            their own, padded with NaN to the largest. Attributes: the sweep, experiment, seed,
            versions, fingerprint.

        Raises
        ------
        ImportError
            If xarray (or distributed, for a cluster) is not installed.
        OSError
            If the scheduler does not answer, the folder is in use, or cannot be written.
        """
        if folder is not None:
            _checks.path("folder", folder)
        if on_done is not None:
            _checks.function("on_done", on_done)
        dataset.require()
        function = partial(evaluate, self.definition.function)
        options: dict[str, Any] = {"errors": errors, "chunk_size": chunk_size, "on_done": on_done}
        with (
            dataset.folder_of(folder) as place,
            workers_at(where, workers=workers, timeout=timeout) as executor,
        ):
            results = run(self.cells(), function, place / "cells", executor, **options)
            found = dataset.assemble(self.definition, self.axes, list(results.values()))
            toml = self.to_toml() if isinstance(self.experiment, str) else None
            found.attrs = {
                "sweep": toml or json.dumps(self.describe()),
                "experiment": self.definition.name,
                "seed": self.seed,
                "versions": json.dumps(versions()),
                "fingerprint": fingerprint(self.definition.function),
            }
            if folder is not None:
                dataset.store(found, place, toml)
        return found

    def to_toml(self, path: str | os.PathLike[str] | None = None) -> str:
        """Write the sweep as TOML.

        Parameters
        ----------
        path : path, optional
            Where to write it, too.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If the experiment is the caller's own function: a file names registered ones only.
        """
        if not isinstance(self.experiment, str):
            raise ValueError(
                "experiment must be the name of a registered one to be written, got the function "
                f"{self.definition.name}"
            )
        lines = [f"experiment = {_toml(self.experiment)}", f"seed = {self.seed}"]
        for table in ("axes", "fixed"):
            rows = getattr(self, table).items()
            lines += ["", f"[{table}]", *(f"{_key(k)} = {_toml(v)}" for k, v in rows)]
        text = "\n".join(lines) + "\n"
        if path is not None:
            write_atomically(_checks.path("path", path), text)
        return text

    @classmethod
    def from_toml(cls, source: str | os.PathLike[str]) -> Sweep:
        """Read a sweep from a TOML file; nothing in it is executed.

        Parameters
        ----------
        source : path
            ``experiment``, ``seed``, and the tables ``axes`` and ``fixed``. An axis is a list, or
            ``{linspace = [first, last, number]}``, or the same with ``geomspace``.

        Returns
        -------
        Sweep

        Raises
        ------
        OSError
            If there is no such file.
        TypeError, ValueError
            If it is no such file, with what is wrong in it.
        """
        path = _checks.path("source", source)
        try:
            data = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} must be TOML: {error}") from None
        except RecursionError:
            raise ValueError(f"{path} must be TOML of a sweep, got tables too deep") from None
        unknown = sorted(set(data) - {"experiment", "seed", "axes", "fixed"})
        if unknown or not isinstance(data.get("experiment"), str):
            raise ValueError(
                f"{path} must hold experiment (a name), axes, and perhaps fixed and seed, "
                f"got {', '.join(unknown or sorted(data)) or 'nothing'}"
            )
        axes = data.get("axes", {})
        if not isinstance(axes, dict):
            raise TypeError(f"axes must be a table, got {axes!r}")
        axes = {name: _spaced(name, values) for name, values in axes.items()}
        return cls(data["experiment"], axes, data.get("fixed", {}), data.get("seed", 0))

    def describe(self) -> dict[str, Any]:
        """Return the sweep as JSON values; a function by its name.

        Returns
        -------
        dict
        """
        return {
            "experiment": self.definition.name,
            "seed": self.seed,
            "axes": dict(self.axes),
            "fixed": dict(self.fixed),
        }


def _axis(name: str, values: Any) -> list[Any]:
    """Return an axis' values as JSON values, or raise."""
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray | range):
        raise TypeError(f"axis {name!r} must be a sequence, got {values!r}")
    plain = [Cell.of("axis", 0, **{name: value})[name] for value in values]
    if not plain:
        raise ValueError(f"axis {name!r} must have at least one value, got none")
    if any(value is None or isinstance(value, dict) for value in plain):
        raise TypeError(f"axis {name!r} must hold numbers, text or lists, got {plain!r}")
    labels = [json.dumps(value) for value in plain]
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ValueError(f"axis {name!r} must have each value once, got {twice} twice")
    return plain


def _check_names(given: Mapping[str, Any], experiment: Experiment) -> None:
    """Refuse names that the experiment does not take, and missing ones that it needs."""
    parameters = experiment.parameters
    if parameters is None:  # takes any
        return
    for name in given:
        if name not in parameters:
            near = difflib.get_close_matches(name, parameters, n=1, cutoff=0.0)
            raise ValueError(
                f"axes and fixed must name parameters of {experiment.name}, got {name!r}"
                + (f": did you mean {near[0]!r}?" if near else ": it takes none")
            )
    needed = [k for k, p in parameters.items() if p.default is inspect.Parameter.empty]
    absent = [name for name in needed if name not in given]
    if absent:
        raise ValueError(f"axes or fixed must give {', '.join(absent)} to {experiment.name}")


def _spaced(name: str, values: Any) -> Any:
    """Expand ``{linspace = [first, last, number]}``."""
    if not isinstance(values, dict):
        return values
    if len(values) != 1 or next(iter(values)) not in SPACINGS:
        raise ValueError(
            f"axis {name!r} must be a list or a table with {' or '.join(SPACINGS)}, got {values!r}"
        )
    ((kind, ends),) = values.items()
    if not isinstance(ends, list) or len(ends) != 3:
        raise ValueError(f"axis {name!r}: {kind} must be [first, last, number], got {ends!r}")
    number = _checks.integer(f"axis {name!r}: number", ends[2], low=1, high=MOST_CELLS)
    first, last = (
        _checks.real(f"axis {name!r}: end", end, low=0.0 if kind == "geomspace" else -math.inf,
                     low_open=kind == "geomspace") for end in ends[:2]
    )  # fmt: skip
    return SPACINGS[kind](first, last, number).tolist()


def _key(name: str) -> str:
    """Write a key, in quotes where it is not of plain letters."""
    return name if BARE.fullmatch(name) else _toml(name)


def _toml(value: Any) -> str:
    """Write a value as TOML: as JSON, but for tables, and for text that TOML reads otherwise."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if value is None:
        raise ValueError("TOML must hold values, got None: leave the parameter out")
    # JSON escapes beyond U+FFFF by pairs of surrogates, and leaves DEL, which TOML forbids
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
