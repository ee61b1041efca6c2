"""Results of a sweep as one labelled dataset, and on disk as zarr."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab.sweeps.files import locked, write_atomically
from rmtstab.sweeps.run import Failure

if TYPE_CHECKING:
    import xarray

    from rmtstab.sweeps.experiment import Experiment

RESULT = "result.zarr"


def require() -> None:
    """Raise ImportError with the remedy unless the libraries of a sweep are there."""
    for name in ("xarray", "threadpoolctl"):
        if importlib.util.find_spec(name) is None:
            raise ImportError(
                f"a sweep's dataset needs {name}; install it with `pip install rmtstab[sweeps]`"
            )


@contextlib.contextmanager
def folder_of(folder: str | os.PathLike[str] | None) -> Iterator[Path]:
    """Make the folder, or a temporary one where none is given."""
    if folder is not None:
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="rmtstab-sweep-") as temporary:
        yield Path(temporary)


def assemble(
    experiment: Experiment, grid: Mapping[str, Sequence[Any]], results: Sequence[Any]
) -> xarray.Dataset:
    """Lay results out along the axes.

    Parameters
    ----------
    experiment : Experiment
    grid : mapping of str to sequence
        Values along each axis.
    results : sequence of dict or Failure
        One a cell, the last axis fastest.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    ValueError
        If an output has the name of an axis, or another kind in another cell.
    """
    import xarray

    shape = tuple(len(values) for values in grid.values())
    names = list(dict.fromkeys(k for result in results if isinstance(result, dict) for k in result))
    axes = tuple(grid)
    variables: dict[str, Any] = {}
    for name in names:
        if name in axes or name == "error":
            raise ValueError(f"outputs must have names other than the axes' and error, got {name}")
        values = [None if isinstance(r, Failure) else r.get(name) for r in results]
        data = _stacked(name, values)
        inner = _dimensions(experiment, name, data.ndim - 1)
        variables[name] = (
            (*axes, *inner),
            data.reshape(*shape, *data.shape[1:]),
            {"units": experiment.units.get(name, "1")},
        )
    errors = [r.traceback if isinstance(r, Failure) else "" for r in results]
    if any(errors):
        text = np.array(errors, dtype=object).reshape(shape)
        variables["error"] = (axes, text, {"long_name": "traceback of cells that raised"})
    coordinates = {
        name: ((name,), _labels(values), {"units": experiment.units.get(name, "1")})
        for name, values in grid.items()
    }
    return xarray.Dataset(variables, coordinates)


def store(found: xarray.Dataset, folder: Path, toml: str | None) -> None:
    """Write the dataset and the sweep beside the cells; the old dataset goes last.

    Parameters
    ----------
    found : xarray.Dataset
    folder : Path
    toml : str or None
        The sweep; None where its experiment has no name.

    Raises
    ------
    ImportError
        If zarr is not installed.
    OSError
        If the folder is in use or cannot be written.
    """
    with locked(folder):
        if toml is not None:
            write_atomically(folder / "sweep.toml", toml)
        if importlib.util.find_spec("zarr") is None:
            raise ImportError(
                "a sweep's folder needs zarr; install it with `pip install rmtstab[sweeps]`"
            )
        ticket = secrets.token_hex(8)
        fresh, old = folder / f".{ticket}.zarr", folder / f".{ticket}.old"
        try:
            found.to_zarr(fresh, mode="w", zarr_format=2)  # text has no fixed form in 3 yet
            if (folder / RESULT).exists():
                (folder / RESULT).rename(old)
            fresh.rename(folder / RESULT)
        finally:
            for left in folder.glob(".*.zarr"):
                shutil.rmtree(left, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def _stacked(name: str, values: list[Any]) -> np.ndarray[Any, Any]:
    """Stack an output over cells; None where there is none, arrays padded to the largest."""
    present = [np.asarray(value) for value in values if value is not None]
    complete = len(present) == len(values)
    kinds = {array.dtype.kind for array in present}
    ranks = {array.ndim for array in present}
    if len(ranks) > 1 or not kinds <= set("biufcU") or ("U" in kinds and len(kinds) > 1):
        raise ValueError(
            f"output {name!r} must be numbers, or text, of one number of axes in all cells, got "
            f"kinds {sorted(kinds)} and {sorted(ranks)} axes"
        )
    (rank,) = ranks
    shape = tuple(np.max([array.shape for array in present], axis=0)) if rank else ()
    even = all(array.shape == shape for array in present)
    if kinds == {"U"}:
        data = np.full((len(values), *shape), "", dtype=object)
    elif complete and even:
        return np.stack(present)
    else:
        wide = np.result_type(*present, np.float64)
        data = np.full((len(values), *shape), np.nan, dtype=wide)
    for k, value in enumerate(values):
        if value is not None and rank:
            data[k][tuple(slice(length) for length in np.shape(value))] = value
        elif value is not None:
            data[k] = value
    return data


def _dimensions(experiment: Experiment, name: str, count: int) -> tuple[str, ...]:
    declared = experiment.dimensions.get(name, ())
    if len(declared) == count:
        return declared
    return tuple(f"{name}_{k}" for k in range(count))


def _labels(values: Sequence[Any]) -> Any:
    """Coordinate of an axis: numbers and text as they are, lists as text such as 4/1."""
    if any(isinstance(value, list) for value in values):
        return np.array(["/".join(map(str, np.ravel(value))) for value in values], dtype=object)
    kinds = {type(value) for value in values}
    if kinds <= {int, float} or kinds == {bool}:
        return np.array(values)
    return np.array([str(value) for value in values], dtype=object)
