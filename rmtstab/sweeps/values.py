"""Results as strict JSON and back: arrays to the bit, and numbers that JSON does not have."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np

ARRAY, FLOAT = "$array", "$float"


def encode(value: Any, name: str = "result") -> Any:
    """Turn a value into strict JSON values.

    Parameters
    ----------
    value : object
        None, bool, int, float, str, complex, NumPy scalars and arrays (of booleans, integers,
        real or complex numbers, text), lists, tuples, and dicts of these with text as keys.
    name : str
        What to call it in an error.

    Returns
    -------
    object
        Of dict, list, str, int, finite float, bool and None alone.

    Raises
    ------
    TypeError
        If something else is in it, with its place.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.sweeps.values import decode, encode
    >>> encode({"a": float("nan"), "b": np.int64(3), "c": (1, 2)})
    {'a': {'$float': 'nan'}, 'b': 3, 'c': [1, 2]}
    >>> decode(encode(np.arange(3.0)))
    array([0., 1., 2.])
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.generic):
        plain = value.item()
        if isinstance(plain, np.generic):  # longdouble: no Python number holds it
            raise TypeError(f"{name} must hold at most 64-bit numbers, got {value.dtype}")
        return encode(plain, name)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {FLOAT: repr(float(value))}
    if isinstance(value, complex):
        return encode(np.asarray(value), name)
    if isinstance(value, np.ndarray):
        return _encode_array(value, name)
    if isinstance(value, list | tuple):
        return [encode(item, f"{name}[{k}]") for k, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) or key in (ARRAY, FLOAT):
                raise TypeError(
                    f"{name} must have text as keys, other than {ARRAY} and {FLOAT}, got {key!r}"
                )
        return {key: encode(item, f"{name}[{key!r}]") for key, item in value.items()}
    raise TypeError(
        f"{name} must hold JSON values or NumPy arrays, got {type(value).__name__}: "
        "return numbers, text, lists, dicts or arrays"
    )


def _encode_array(array: Any, name: str) -> Any:
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} must not be masked: fill the array first, as in array.filled()")
    wide = {"f": 8, "c": 16}.get(array.dtype.kind, array.dtype.itemsize)
    if array.dtype.kind not in "biufcU" or array.dtype.itemsize > wide:
        raise TypeError(f"{name} must hold numbers or text, got an array of {array.dtype}")
    flat = np.ascontiguousarray(array)
    portable = flat.astype(flat.dtype.newbyteorder("<"), copy=False)
    return {
        ARRAY: base64.b64encode(portable.tobytes()).decode(),
        "dtype": portable.dtype.str,
        "shape": list(array.shape),
    }


def decode(value: Any) -> Any:
    """Return what `encode` was given, up to tuples (now lists) and NumPy scalars (now numbers).

    Parameters
    ----------
    value : object
        JSON values.

    Returns
    -------
    object

    Raises
    ------
    ValueError
        If an array's description does not fit its data.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if FLOAT in value:
        return float(value[FLOAT])
    if ARRAY in value:
        dtype = np.dtype(value["dtype"])
        if dtype.kind not in "biufcU":
            raise ValueError(f"dtype must be of numbers or text, got {dtype}")
        data = np.frombuffer(base64.b64decode(value[ARRAY], validate=True), dtype)
        array = data.reshape(value["shape"]).astype(dtype.newbyteorder("="))
        return array if array.ndim else array[()]
    return {key: decode(item) for key, item in value.items()}


def dumps(value: Any) -> str:
    """Write encoded values as one line of strict JSON.

    Examples
    --------
    >>> from rmtstab.sweeps.values import dumps, encode
    >>> dumps(encode({"x": float("inf")}))
    '{"x": {"$float": "inf"}}'
    """
    return json.dumps(value, allow_nan=False)
