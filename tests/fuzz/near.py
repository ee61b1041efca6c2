"""Other legal values near an accepted one: endless, drawn by seed."""

import copy
import dataclasses
import functools
import re
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.fuzz.values import forms

WORDS = re.compile(r"must be (?:one of )?((?:'[^']*'(?:, | or )?)+)")


def near(value, rng, pool, words=()):
    """Draw another value that an argument may well take; the same one if there is no other.

    Parameters
    ----------
    value : object
    rng : numpy.random.Generator
    pool : Pool
        Instances by their class, and the data classes that callers make.
    words : sequence of str
        What a text may be instead.
    """
    if isinstance(value, bool | np.bool_):
        return not value
    if isinstance(value, int | np.integer):
        moved = (value, value + 1, value - 1, 2 * value, value + int(rng.integers(2, 6)))
        return _form(moved[rng.integers(len(moved))], rng)
    if isinstance(value, float | np.floating):
        if rng.random() < (0.6 if value == 0.0 else 0.2):
            return _form(float(rng.choice((0.0, 1e-3, 1.0)) + rng.random()), rng)
        return _form(float(value) * (1.0 + rng.choice((0.3, 1e-2)) * rng.uniform(-1, 1)), rng)
    if isinstance(value, str):
        others = [word for word in words if word != value]
        return others[rng.integers(len(others))] if others else _of_path(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.random.Generator):
        seed = int(rng.integers(2**31))
        return seed if rng.random() < 0.5 else np.random.default_rng(seed)
    if isinstance(value, np.ndarray) and value.dtype.kind in "iuf":
        return _array(value, rng)
    if isinstance(value, dict):
        return _dictionary(value, rng, pool)
    if isinstance(value, list | tuple):
        return _sequence(value, rng, pool)
    if hasattr(value, "detach"):
        return _tensor(value, rng)
    if isinstance(value, Axes):
        return Figure(figsize=rng.uniform(2.0, 9.0, size=2)).add_subplot()
    if isinstance(value, type) or callable(value):
        same = type(value) in pool and not isinstance(value, type)
        return _member(value, rng, pool) if same else functools.partial(value)
    return _member(value, rng, pool)


def words_of(text):
    """Texts that a refusal lists as accepted."""
    found = WORDS.search(text)
    return re.findall(r"'([^']*)'", found.group(1)) if found else []


def _form(value, rng):
    """A number in one of its types."""
    others = [value, *forms(value)]
    return others[rng.integers(len(others))]


def _array(value, rng):
    """Other entries and perhaps another order, in one of an array's forms."""
    other = value
    if value.dtype.kind == "f":
        other = value * (1.0 + rng.choice((0.3, 1e-3)) * rng.uniform(-1.0, 1.0))
    if value.ndim and rng.random() < 0.5:
        other = other[rng.permutation(len(other))]
    others = [other, *forms(other)]
    return others[rng.integers(len(others))]


def _sequence(value, rng, pool):
    """The other kind of sequence, perhaps with one item changed, or in another order."""
    items, kind = list(value), (list, tuple)[rng.integers(2)]
    if hasattr(value, "_fields"):  # a named tuple
        return value
    if items and rng.random() < 0.6:
        place = rng.integers(len(items))
        items[place] = near(items[place], rng, pool)
    elif rng.random() < 0.3 and len(set(map(type, items))) == 1 and not hasattr(items[0], "grad"):
        items = [items[k] for k in rng.permutation(len(items))]
    return kind(items)


def _dictionary(value, rng, pool):
    """The same items in another order, perhaps one of them changed."""
    keys = list(value)
    other = {keys[k]: value[keys[k]] for k in rng.permutation(len(keys))}
    if keys and rng.random() < 0.6:
        name = keys[rng.integers(len(keys))]
        item = near(other[name], rng, pool)
        # what a dictionary holds comes from JSON: no other kinds of numbers
        other[name] = item if type(item) is type(other[name]) else other[name]
    return other


def _tensor(value, rng):
    other = value.detach().clone()
    if other.is_floating_point():
        other = other * (1.0 + 0.1 * rng.uniform(-1.0, 1.0))
    if other.ndim and rng.random() < 0.3:
        other = other.repeat_interleave(2, -1)[..., ::2]  # not contiguous
    return other


def _member(value, rng, pool):
    """Another instance of the class, a copy, or one with a field changed."""
    others = pool.get(type(value), [])
    way = rng.random()
    if others and way < 0.5:
        return others[rng.integers(len(others))]
    fields = dataclasses.fields(value) if type(value) in pool.made else ()
    names = [field.name for field in fields if field.init]
    try:
        if names and way < 0.75:
            name = names[rng.integers(len(names))]
            return dataclasses.replace(value, **{name: near(getattr(value, name), rng, pool)})
        return copy.deepcopy(value)
    except Exception:  # a lock, a generator, a field that the class refuses
        return value


def _of_path(text):
    """A path of the text of one."""
    return Path(text) if "/" in text and Path(text).exists() else text
