"""Values to put in place of an accepted argument: other forms of it, and hostile ones."""

import datetime
import fractions
import math
from pathlib import Path

import numpy as np

HOSTILE = (
    None, "text", "", b"bytes", object(), {}, [], (), set(), {"a": 1}, 1j, Path("no"),
    lambda *_, **__: None,
    math.nan, math.inf, -math.inf, -1, -1.5, 0, 0.5, 2, 3.7, 1e308, -1e308, 5e-324, 1e-200, 2**63,
    10**400, True, fractions.Fraction(1, 3), datetime.timedelta(1), np.timedelta64(1, "s"),
    np.datetime64("2020-01-01"), np.ma.masked, np.ma.array([1.0, 2.0], mask=[0, 1]),
    np.longdouble("1e400"), np.array([]), np.array(math.nan), np.array([1.0, math.nan]),
    np.array([1.0, math.inf]), np.zeros(2), np.zeros((0, 3)), np.zeros((3, 3)),
    np.ones((2, 2, 2, 2)), np.array([1 + 2j]), np.array(["a"]), np.array([None, 1.0]),
    np.array([True, False]), np.array([10**400, 1], dtype=object), [[1.0], [1.0, 2.0]],
    [1.0, "a"], [math.nan], (1, 2, 3), (-1, -1), range(3), iter([1.0]), np.full((2, 2), 1e300),
    np.full(3, 1e-300), np.array([3, 1, 2], dtype=np.uint8), type, np,
)  # fmt: skip


def forms(value):
    """The same value in other types, memory layouts and byte orders; none for other kinds."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int | np.integer):
        yield from (np.int64(value), np.array(value))
        if 0 <= value < 65536:
            yield np.uint16(value)
    elif isinstance(value, float | np.floating) and math.isfinite(value):
        yield from (np.float64(value), np.array(value), fractions.Fraction(float(value)))
        if float(np.float32(value)) == value:
            yield np.float32(value)
        if float(value).is_integer() and abs(value) < 1e9:
            yield int(value)
    elif isinstance(value, list | tuple) and _numeric(value):
        yield from forms(np.asarray(value))
        yield tuple(value) if isinstance(value, list) else list(value)
    elif isinstance(value, np.ndarray) and value.dtype.kind in "iuf" and value.ndim:
        yield from (np.asfortranarray(value), value.tolist(), np.ma.array(value))
        yield value.astype(value.dtype.newbyteorder("S"))
        yield np.repeat(value, 2, axis=-1)[..., ::2]
        yield np.ascontiguousarray(value[::-1])[::-1]
        read_only = value.copy()
        read_only.flags.writeable = False
        yield read_only
        if value.ndim == 2:
            yield np.asmatrix(value)


def spoiled(value, rng):
    """The same shape with one entry NaN, infinite or masked: what must be refused."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size:
        for wrong in (math.nan, math.inf):
            other = value.copy()
            other.flat[rng.integers(value.size)] = wrong
            yield other
        mask = np.zeros(value.shape, dtype=bool)
        mask.flat[rng.integers(value.size)] = True
        yield np.ma.array(value, mask=mask)


def scaled(value):
    """Near and far multiples of a number or array."""
    number = isinstance(value, float) and math.isfinite(value)
    if number or (isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size):
        with np.errstate(over="ignore"):
            for factor in (0.999, 1.001, 1e-20, 1e20, 1e-70, 1e70, 1e-150, 1e150, -1.0):
                yield value * factor
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from (value + 1, value - 1, 2 * value, -value, float(value))


def _numeric(value):
    try:
        return np.asarray(value).dtype.kind in "iuf" and len(value) > 0
    except ValueError:
        return False
