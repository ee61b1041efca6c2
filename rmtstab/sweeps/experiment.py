"""What a sweep computes at each cell: a function of a generator and of parameters, with units."""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rmtstab import _checks
from rmtstab.sweeps.grid import Cell, check_task

Function = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Experiment:
    """A function of a generator and parameters, with the units of both.

    Attributes
    ----------
    name : str
    function : callable
        ``function(rng, **parameters)`` → dict of numbers, text and arrays.
    units : mapping of str to str
        Units of parameters and outputs, "1" where dimensionless.
    dimensions : mapping of str to tuple of str
        Names of the dimensions of outputs that are arrays.
    """

    name: str
    function: Function
    units: Mapping[str, str] = field(default_factory=dict)
    dimensions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, function: Function, *, units: Mapping[str, str]) -> Experiment:
        """Make an experiment of the caller's own function, named after it.

        Parameters
        ----------
        function : callable
        units : mapping of str to str

        Returns
        -------
        Experiment

        Raises
        ------
        TypeError
            If it is not callable, or not with ``rng`` first.
        """
        if not callable(function):
            raise TypeError(f"experiment must be a name or a function, got {function!r}")
        wrapped = getattr(function, "func", function)
        plain = re.sub(r"[^A-Za-z0-9_]", "_", getattr(wrapped, "__name__", "experiment"))
        experiment = cls(plain.strip("_") or "experiment", function, units)
        try:
            first = next(iter(inspect.signature(function).parameters), None)
        except ValueError:  # built in
            first = None
        if first != "rng":
            raise TypeError(
                f"experiment must be a function of rng first, got {plain}({first or ''})"
            )
        return experiment

    @property
    def parameters(self) -> dict[str, inspect.Parameter] | None:
        """Parameters that the function takes besides ``rng``; None where it takes any."""
        found = dict(inspect.signature(self.function).parameters)
        if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in found.values()):
            return None
        return {name: p for name, p in found.items() if name != "rng"}

    @property
    def summary(self) -> str:
        """First line of the function's documentation."""
        return (inspect.getdoc(self.function) or "").split("\n")[0]


REGISTERED: dict[str, Experiment] = {}


def experiment(
    name: str,
    units: Mapping[str, str],
    dimensions: Mapping[str, tuple[str, ...]] | None = None,
) -> Callable[[Function], Function]:
    """Register a function under a name, so that TOML files can name it.

    Parameters
    ----------
    name : str
    units : mapping of str to str
        Of parameters and outputs.
    dimensions : mapping of str to tuple of str, optional
        Names of the dimensions of outputs that are arrays.

    Returns
    -------
    callable
        A decorator that returns the function as it is.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, or another function has the name.

    Examples
    --------
    >>> from rmtstab.sweeps import Sweep, experiment
    >>> @experiment("cube", units={"x": "m", "volume": "m³"})
    ... def cube(rng, x):
    ...     return {"volume": x**3}
    >>> Sweep("cube", {"x": [2.0]}).run()["volume"].attrs["units"]
    'm³'
    """
    check_task("name", name)
    units = dict(_checks.mapping("units", units))
    for key, unit in units.items():
        _checks.instance(f"units[{key!r}]", unit, str)
    axes = {
        key: tuple(_checks.instance("dimensions", x, str) for x in _checks.items("dimensions", of))
        for key, of in _checks.mapping(
            "dimensions", {} if dimensions is None else dimensions
        ).items()
    }

    def register(function: Function) -> Function:
        _checks.function("function", function)
        known = REGISTERED.get(name)
        names = [getattr(f, "__qualname__", f) for f in (known and known.function, function)]
        if known is not None and names[0] != names[1]:
            raise ValueError(f"name must be new, got {name!r}: another experiment has it")
        REGISTERED[name] = Experiment(name, function, units, axes)
        return function

    return register


def experiments() -> dict[str, Experiment]:
    """Return the registered experiments by name.

    Returns
    -------
    dict of str to Experiment

    Examples
    --------
    >>> import rmtstab as rs
    >>> "growth" in rs.sweeps.experiments()
    True
    """
    for module in ("registered", "registered_networks"):
        importlib.import_module(f"rmtstab.experiment.{module}")
    return dict(sorted(REGISTERED.items()))


def named(name: str) -> Experiment:
    """Return a registered experiment, or raise with a suggestion.

    Parameters
    ----------
    name : str

    Returns
    -------
    Experiment

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    known = experiments()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise ValueError(
            f"experiment must be one of {', '.join(known)}, got {name!r}: did you mean {near!r}?"
        )
    return known[name]


@functools.cache
def _threads() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def evaluate(function: Function, cell: Cell) -> dict[str, Any]:
    """Compute a cell: the function of its generator and parameters, on one BLAS thread.

    Parameters
    ----------
    function : callable
    cell : Cell

    Returns
    -------
    dict
    """
    with _threads().limit(limits=1):  # the sum of a dot product depends on their number
        return function(cell.rng(), **cell.parameters)
