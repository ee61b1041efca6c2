"""Results that travel: to strict JSON, to tables and maps, to a notebook, to a figure."""

from __future__ import annotations

import dataclasses
import html
import importlib
import math
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    import pandas
    import xarray
    from matplotlib.axes import Axes

INSTALL = "install it with `pip install rmtstab[sweeps]`"


def plain(value: Any) -> Any:
    """Turn a value into strict JSON values.

    Parameters
    ----------
    value : object
        Numbers, text, enumerations, arrays, records, and lists, tuples and dicts of these.

    Returns
    -------
    object
        NaN becomes None; an infinity, the text ``"Infinity"`` or ``"-Infinity"``, which
        `float` reads; an enumeration, its value; anything else, its text.

    Examples
    --------
    >>> from rmtstab._record import plain
    >>> plain([1.0, float("nan"), float("-inf")])
    [1.0, None, '-Infinity']
    """
    if hasattr(value, "detach"):  # a tensor, on whatever device
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return None if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    if isinstance(value, complex):
        return [plain(value.real), plain(value.imag)]
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Record):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):  # a named tuple
        return {key: plain(item) for key, item in value._asdict().items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return str(value)


def table(rows: list[dict[str, Any]]) -> pandas.DataFrame:
    """Make a table of rows, or raise ImportError with the remedy.

    Parameters
    ----------
    rows : list of dict

    Returns
    -------
    pandas.DataFrame
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError(f"to_dataframe() needs pandas; {INSTALL}") from error
    return pandas.DataFrame(rows)


class Record:
    """A frozen dataclass that says what it is in JSON, tables, notebooks and one short line.

    A subclass whose arrays share axes names them in ``dimensions``, where a leading ``"..."``
    stands for the axes of a grid of cells, and in ``coordinates`` those arrays that label an axis;
    one that a function of `rmtstab.figures` draws names it in ``drawn_by``.
    """

    dimensions: ClassVar[dict[str, tuple[str, ...]]] = {}
    coordinates: ClassVar[dict[str, str]] = {}
    drawn_by: ClassVar[str] = ""

    def _fields(self) -> dict[str, Any]:
        found = dataclasses.fields(self)  # type: ignore[arg-type]
        return {field.name: getattr(self, field.name) for field in found}

    def to_dict(self) -> dict[str, Any]:
        """Return every field as strict JSON values.

        Returns
        -------
        dict
            NaN is None, an infinity the text "Infinity" or "-Infinity", arrays are lists.
        """
        return {name: plain(value) for name, value in self._fields().items()}

    def to_xarray(self) -> xarray.Dataset:
        """Return the arrays as a labelled dataset, the rest as its attributes.

        Returns
        -------
        xarray.Dataset

        Raises
        ------
        TypeError
            If the result is no table or map.
        ImportError
            If xarray is not installed.
        """
        if not self.dimensions:
            raise TypeError(f"{type(self).__name__} is no table or map: use to_dict()")
        try:
            import xarray
        except ImportError as error:
            raise ImportError(f"to_xarray() needs xarray; {INSTALL}") from error
        fields, variables, attributes = self._fields(), {}, {}
        for name, value in fields.items():
            if name not in self.dimensions:
                attributes[name] = plain(value)
                continue
            axes = _axes(self.dimensions[name], np.ndim(value))
            if value is not None and np.ndim(value) == len(axes) and np.size(value):
                array = np.asarray(value)
                if array.dtype == object:
                    array = np.array([plain(item) for item in array.flat]).reshape(array.shape)
                variables[name] = (axes, array)
        known = {name: value for name, value in attributes.items() if value is not None}
        labels = {
            label: variables.pop(name)
            for name, label in self.coordinates.items()
            if name in variables
        }
        return xarray.Dataset(variables, labels, known)

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the arrays as a table, one row a point of their axes; scalars as one row.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            If pandas (or, for a map, xarray) is not installed.
        """
        if self.dimensions:
            return self.to_xarray().to_dataframe()
        return table([self.to_dict()])

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the result with the function of `rmtstab.figures` that is made for it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure when not given.
        **options
            Of that function.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        TypeError
            If there is no figure of this kind of result.
        """
        if not self.drawn_by:
            raise TypeError(f"{type(self).__name__} has no figure: use to_dict()")
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.subplots(layout="constrained")[1]
        function = getattr(importlib.import_module("rmtstab.figures"), self.drawn_by)
        drawn: Axes = function(ax, self, **options)
        return drawn

    def __repr__(self) -> str:
        names = [f.name for f in dataclasses.fields(self) if f.repr]  # type: ignore[arg-type]
        shown = ", ".join(f"{name}={_short(getattr(self, name))}" for name in names)
        return f"{type(self).__name__}({shown})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(_short(value))}</td></tr>"
            for name, value in self._fields().items()
        )
        name = html.escape(type(self).__name__)
        return f"<table><caption>{name}</caption><tbody>{rows}</tbody></table>"


def _axes(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Names of as many axes: a leading "..." becomes cell_0, cell_1 and so on."""
    if names[:1] != ("...",):
        return names
    return (*(f"cell_{k}" for k in range(count - len(names) + 1)), *names[1:])


def _short(value: Any) -> str:
    """Say what a value is in a few words: numbers as they are, arrays by shape and range."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"<{'×'.join(map(str, value.shape))}{_range(value)}>"
    if isinstance(value, np.ndarray | np.generic):
        value = value.item()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, str) and len(value) > 80:
        return f"{value[:80]!r}…"
    if dataclasses.is_dataclass(value) and not isinstance(value, Record):
        return repr(value) if len(repr(value)) < 80 else f"{type(value).__name__}(…)"
    if isinstance(value, Record) or hasattr(value, "detach") or hasattr(value, "_asdict"):
        return f"{type(value).__name__}(…)"
    if isinstance(value, dict) and (len(value) > 3 or any(map(_is_long, value.values()))):
        return "{" + ", ".join(map(repr, list(value)[:8])) + (", …}" if len(value) > 8 else "}")
    if isinstance(value, list | tuple) and (len(value) > 8 or any(map(_is_long, value))):
        return f"<{len(value)} values>"
    if isinstance(value, list | tuple):
        inside = ", ".join(map(_short, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    return repr(value)


def _range(value: np.ndarray[Any, Any]) -> str:
    """Say what an array holds: its range, how many are true, which texts."""
    if not value.size:
        return ""
    if value.dtype.kind in "iuf":
        finite = value[np.isfinite(value)]
        return f", {finite.min():.4g} … {finite.max():.4g}" if finite.size else ", none finite"
    if value.dtype.kind == "b":
        return f", {np.count_nonzero(value)} true"
    if value.dtype.kind == "U":
        texts = np.unique(value).tolist()
        return ": " + ", ".join(texts[:4]) + " …" * (len(texts) > 4)
    return f" {value.dtype}"


def _is_long(value: Any) -> bool:
    return isinstance(value, np.ndarray) or len(repr(value)) > 30
