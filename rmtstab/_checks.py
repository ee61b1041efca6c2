"""Validators of arguments: one error template, raised before any numerics.

Every message names the argument, the rule and the value seen, as in
``batch_size must lie in [1, n_retain=48], got 64``. `TypeError` is for the
wrong kind of thing, `ValueError` for a value outside its range.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
# NumPy calls durations integers; a truth value or a date is no quantity
NO_NUMBERS = (bool, np.bool_, np.timedelta64, np.datetime64)
LONGEST_SEED = 1024  # bits of what a NumPy generator is made from
COUNTS = 2**53  # above it a double skips integers: no count of samples or steps lies there


def real(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    low_open: bool = False,
    high_open: bool = False,
    low_label: str = "",
    high_label: str = "",
) -> float:
    """Return ``value`` as a finite float in an interval, or raise.

    ``low_label`` and ``high_label`` name the ends in the message
    (``high_label="n_retain"`` prints ``n_retain=48``).
    """
    if type(value) is not float:  # what most are is not looked at any further
        value = _scalar(name, value)
        if isinstance(value, NO_NUMBERS) or not isinstance(value, Real):
            raise TypeError(f"{name} must be a real number, got {_show(value)}")
    try:
        number = float(value)
    except OverflowError:  # a Python integer of more than 308 digits
        sign: Any = value
        number = math.inf if sign > 0 else -math.inf
    inside = (number > low if low_open else number >= low) and (
        number < high if high_open else number <= high
    )
    if not (math.isfinite(number) and inside):
        interval = _interval(low, high, low_open, high_open, low_label, high_label)
        raise ValueError(f"{name} must {interval}, got {_short(value)}")
    return number


def keep(record: Any, **values: Any) -> None:
    """Set fields of a frozen record to what their checks returned: numbers in one type."""
    for name, value in values.items():
        object.__setattr__(record, name, value)


def integer(
    name: str, value: Any, *, low: int | None = None, high: int | None = None, high_label: str = ""
) -> int:
    """Return ``value`` as an int in ``[low, high]``, at most 2⁵³ by default, or raise."""
    if type(value) is not int:
        value = _scalar(name, value)
        if isinstance(value, NO_NUMBERS) or not isinstance(value, Integral):
            raise TypeError(f"{name} must be an integer, got {_show(value)}")
    number = int(value)
    lowest = -math.inf if low is None else low
    highest = math.inf if high is None else high
    if high is None and abs(number) > COUNTS:
        raise ValueError(f"{name} must lie within ±2^53, got {_short(number)}")
    if not lowest <= number <= highest:
        interval = _interval(lowest, highest, False, False, "", high_label)
        raise ValueError(f"{name} must {interval}, got {_short(number)}")
    return number


def seed(name: str, value: Any, bits: int = 64) -> int:
    """Return ``value`` as a seed, an integer ≥ 0 of at most ``bits`` bits, or raise."""
    value = _scalar(name, value)
    given = isinstance(value, Integral) and not isinstance(value, NO_NUMBERS)
    if given and int(value) > COUNTS:
        if int(value) >= 2**bits:
            raise ValueError(f"{name} must be below 2^{bits}, got {_short(int(value))}")
        return int(value)
    return integer(name, value, low=0)


def flag(name: str, value: Any) -> bool:
    """Return ``value`` if it is True or False, or raise."""
    value = _scalar(name, value)
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {_show(value)}")
    return bool(value)


def instance(name: str, value: Any, *kinds: type, words: str = "") -> Any:
    """Return ``value`` if it is of one of some classes, or raise; ``words`` name them."""
    if not isinstance(value, kinds):
        listed = words or " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be a {listed}, got {_show(value)}")
    return value


def function(name: str, value: Any) -> Any:
    """Return ``value`` if it can be called and is no class, or raise."""
    if not callable(value) or isinstance(value, type):
        raise TypeError(f"{name} must be a function, got {_show(value)}")
    return value


def path(name: str, value: Any) -> Path:
    """Return ``value``, a string or path that is not empty, as a `Path`, or raise."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be a path, got {_show(value)}")
    if not str(value) or "\0" in str(value):
        raise ValueError(f"{name} must be a path, got {_show(value)}")
    return Path(value)


def items(name: str, value: Any, length: int | None = None) -> tuple[Any, ...]:
    """Return the items of a list, tuple or one-dimensional array, or raise."""
    no_mask(name, value)
    if not isinstance(value, list | tuple) and getattr(value, "ndim", None) != 1:
        raise TypeError(f"{name} must be a list or tuple, got {_show(value)}")
    if length is not None and len(value) != length:
        raise ValueError(f"{name} must hold {length} values, got {len(value)}")
    return tuple(value)


def each(name: str, value: Any) -> tuple[Any, ...]:
    """Return what a list, tuple, range or array holds along its first axis, or raise."""
    no_mask(name, value)
    axes = getattr(value, "ndim", 0)
    if not isinstance(value, list | tuple | range) and not (isinstance(axes, int) and axes):
        raise TypeError(f"{name} must be a list, tuple or array, got {_show(value)}")
    # rows of a matrix have two axes again
    return tuple(np.asarray(value) if isinstance(value, np.matrix) else value)


def reals(name: str, value: Any, length: int, *, low: float = -math.inf) -> Any:
    """Return a tuple of a given number of finite floats, each at least ``low``, or raise."""
    listed = enumerate(items(name, value, length))
    return tuple(real(f"{name}[{k}]", item, low=low) for k, item in listed)


def integers(name: str, value: Any, length: int | None = None, *, low: int = 0) -> Any:
    """Return a tuple of integers, each at least ``low``, or raise."""
    listed = enumerate(items(name, value, length))
    return tuple(integer(f"{name}[{k}]", item, low=low) for k, item in listed)


def records(name: str, value: Any, keys: Collection[str]) -> tuple[Any, ...]:
    """Return a list of dictionaries that have some keys, or raise."""
    found = items(name, value)
    for k, item in enumerate(found):
        mapping(f"{name}[{k}]", item, keys)
    return found


def mapping(name: str, value: Any, keys: Collection[str] = ()) -> Any:
    """Return a mapping with text keys, some of them required, or raise."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise TypeError(f"{name} must be a dictionary with text keys, got {_show(value)}")
    absent = [key for key in keys if key not in value]
    if absent:
        raise ValueError(f"{name} must have {', '.join(absent)}, got {_short(list(value))}")
    return value


def series(name: str, value: Any, keys: Collection[str]) -> dict[str, FloatArray]:
    """Return entries of a mapping as arrays of one axis and one length, or raise."""
    mapping(name, value, keys)
    found = {key: array(f"{name}[{key!r}]", value[key], ndim=1, finite=False) for key in keys}
    lengths = {key: len(points) for key, points in found.items()}
    if len(set(lengths.values())) > 1 or not all(lengths.values()):
        raise ValueError(f"{name} must hold series of one length >= 1, got {lengths}")
    return found


def choice(name: str, value: Any, accepted: Collection[Any]) -> Any:
    """Return ``value`` if it is one of ``accepted``, or raise."""
    value = _scalar(name, value)
    if isinstance(value, np.signedinteger | np.unsignedinteger) and value.dtype.kind in "iu":
        value = int(value)
    elif isinstance(value, np.str_):  # from an array of names
        value = str(value)
    for item in accepted:
        if type(value) is type(item) and value == item:
            return item
    listed = ", ".join(repr(item) for item in accepted)
    raise ValueError(f"{name} must be one of {listed}, got {_show(value)}")


def array(
    name: str, value: Any, *, ndim: int | tuple[int, ...] | None = None, finite: bool = True
) -> FloatArray:
    """Return ``value`` as a C-contiguous float64 array, or raise.

    Accepts anything that `numpy.asarray` reads as real numbers (integers,
    float32, torch tensors). ``ndim`` lists the accepted numbers of axes. The
    result is ``value`` itself where nothing had to change.
    """
    if hasattr(value, "detach"):  # a torch tensor that may carry a graph
        value = value.detach().cpu()
    no_mask(name, value)
    try:
        raw = np.asarray(value)
    except ValueError:  # ragged nesting
        raise TypeError(f"{name} must be a rectangular array, got {_show(value)}") from None
    except RuntimeError as error:  # what a foreign array type says of itself
        raise TypeError(f"{name} must be readable as an array, got {error}") from None
    if raw.dtype.kind == "O":  # Python integers beyond 64 bits, fractions
        raw = _from_objects(raw)
    if raw.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {raw.dtype}")
    accepted = (ndim,) if isinstance(ndim, int) else ndim
    if accepted is not None and raw.ndim not in accepted:
        axes = " or ".join(str(k) for k in accepted)
        raise ValueError(f"{name} must have {axes} axes, got shape {raw.shape}")
    with np.errstate(over="ignore"):  # a long double beyond 1.8e308 is infinite, and refused
        result: FloatArray = np.asarray(raw, dtype=np.float64, order="C")
    if finite and not np.isfinite(result).all():
        bad = int(result.size - np.isfinite(result).sum())
        raise ValueError(f"{name} must be finite, got {bad} NaN or infinite of {result.size}")
    return result


def moderate(name: str, value: FloatArray, most: float = 1e100) -> FloatArray:
    """Return an array whose entries' products stay finite: none above ``most``, or raise."""
    if np.abs(value).max(initial=0.0) > most:
        raise ValueError(f"{name} must lie within ±{most:g}, got {np.abs(value).max():g}")
    return value


def ratio(name: str, value: FloatArray, unit_name: str, unit: float, most: float = 1e70) -> None:
    """Raise unless values in some unit have a fourth power."""
    top = float(np.abs(value).max(initial=0.0))
    if top > most * unit:
        raise ValueError(f"{name}/{unit_name} must lie within {most:g}, got {top:g}/{unit:g}")


def probabilities(name: str, value: Any) -> FloatArray:
    """Return an array of numbers in ``[0, 1]`` (NaN passes through), or raise."""
    result = array(name, value, finite=False)
    outside = (result < 0.0) | (result > 1.0)
    if outside.any():
        raise ValueError(f"{name} must lie in [0, 1], got {float(result[outside].flat[0])!r}")
    return result


def whole(name: str, value: Any) -> NDArray[np.int64]:
    """Return an array of integers as int64, or raise."""
    no_mask(name, value)
    try:
        raw = np.asarray(value)
    except (ValueError, RuntimeError):  # ragged nesting, a foreign array type
        raise TypeError(f"{name} must be a rectangular array, got {_show(value)}") from None
    if raw.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got dtype {raw.dtype}")
    if raw.dtype == np.uint64 and (raw > COUNTS).any():
        raise ValueError(f"{name} must lie within ±2^53, got {raw.max()}")
    return np.ascontiguousarray(raw, dtype=np.int64)


def truths(name: str, value: Any) -> NDArray[np.bool_]:
    """Return an array of True and False, or raise."""
    no_mask(name, value)
    try:
        raw = np.asarray(value)
    except (ValueError, RuntimeError):
        raise TypeError(f"{name} must be a rectangular array, got {_show(value)}") from None
    if raw.dtype != bool:
        raise TypeError(f"{name} must hold True or False, got dtype {raw.dtype}")
    return raw


def labels(name: str, value: Any, length: int) -> FloatArray:
    """Return ±1 labels of a given length as float64, or raise."""
    result = array(name, value, ndim=1)
    if result.shape != (length,):
        raise ValueError(f"{name} must have shape ({length},), got {result.shape}")
    if not np.isin(result, (-1.0, 1.0)).all():
        wrong = result[~np.isin(result, (-1.0, 1.0))][0]
        raise ValueError(f"{name} must hold only -1 and +1, got {wrong!r}")
    return result


def offsets(name: str, value: Any, length: int) -> NDArray[np.int64]:
    """Return block boundaries ``0 = o_0 ≤ o_1 ≤ … ≤ o_n = length`` as int64, or raise."""
    raw = whole(name, value)
    if raw.ndim != 1 or raw.size == 0:
        raise ValueError(f"{name} must have shape (n + 1,), got {raw.shape}")
    if raw[0] != 0 or raw[-1] != length or (raw[1:] < raw[:-1]).any():
        raise ValueError(f"{name} must rise from 0 to {length}, got {_show(raw.tolist())}")
    return raw


def no_mask(name: str, value: Any) -> None:
    """Raise if ``value``, or an item of a list, has masked entries: they would count as data."""
    parts = value if isinstance(value, list | tuple) else (value,)
    arrays = [part for part in parts if isinstance(part, np.ma.MaskedArray)]
    bad = sum(int(np.ma.getmaskarray(part).sum()) for part in arrays)
    if bad:
        size = sum(part.size for part in arrays)
        raise ValueError(
            f"{name} must have no masked entries, got {bad} of {size}: "
            "drop them with .compressed() or fill them"
        )


def generator(name: str, value: Any, *, several: bool = False) -> np.random.Generator:
    """Return a NumPy generator from a generator or an integer seed (or several), or raise."""
    if several and isinstance(value, list | tuple):
        return np.random.default_rng(
            [seed(f"{name}[{k}]", item, LONGEST_SEED) for k, item in enumerate(value)]
        )
    value = _scalar(name, value)
    if isinstance(value, np.random.Generator):
        return value
    if isinstance(value, Integral):
        return np.random.default_rng(seed(name, value, LONGEST_SEED))
    raise TypeError(f"{name} must be a numpy Generator or an integer seed, got {_show(value)}")


def random_source(name: str, value: Any) -> np.random.Generator | np.random.RandomState:
    """Return a generator from all that SciPy takes as ``random_state``, or raise.

    A `RandomState` is returned as it is, so that its stream goes on.
    """
    value = _scalar(name, value)
    if value is None or isinstance(value, np.random.SeedSequence | np.random.BitGenerator):
        return np.random.default_rng(value)
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return value
    if isinstance(value, Integral):
        return np.random.default_rng(seed(name, value, LONGEST_SEED))
    raise TypeError(
        f"{name} must be a numpy Generator, RandomState, SeedSequence, BitGenerator or an "
        f"integer seed, got {_show(value)}"
    )


def _from_objects(raw: NDArray[Any]) -> NDArray[Any]:
    """Convert an array of Python numbers, one beyond the doubles to infinity; else as it is."""
    if not all(isinstance(v, Real) and not isinstance(v, bool) for v in raw.flat):
        return raw
    result = np.empty(raw.shape)
    for index, number in np.ndenumerate(raw):
        try:
            result[index] = float(number)
        except OverflowError:
            result[index] = math.inf if number > 0 else -math.inf
    return result


def _interval(
    low: float, high: float, low_open: bool, high_open: bool, low_label: str, high_label: str
) -> str:
    left, right = (f"{label}=" if label else "" for label in (low_label, high_label))
    if low == -math.inf and high == math.inf:
        return "be finite"
    if high == math.inf:
        return f"be {'>' if low_open else '>='} {left}{low:g} and finite"
    if low == -math.inf:
        return f"be {'<' if high_open else '<='} {right}{high:g} and finite"
    brackets = "(" if low_open else "[", ")" if high_open else "]"
    return f"lie in {brackets[0]}{left}{low:g}, {right}{high:g}{brackets[1]}"


def _scalar(name: str, value: Any) -> Any:
    """Unwrap an array or a tensor without axes; a masked one has no value."""
    no_mask(name, value)
    if hasattr(value, "detach") and getattr(value, "ndim", None) == 0:
        return value.detach().cpu().item()
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _short(value: Any) -> str:
    if isinstance(value, int) and abs(value) >= 10**57:  # repr of huge ones is refused
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _show(value: Any) -> str:
    return f"{_short(value)} ({type(value).__name__})"
