"""What is public: the objects that the reference lists, and what can be called of them."""

import importlib
import importlib.util
import inspect
from pathlib import Path

from rmtstab._record import Record

REFERENCE = Path(__file__).parents[1] / "docs" / "extensions" / "reference.py"


def _reference():
    spec = importlib.util.spec_from_file_location("reference", REFERENCE)
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    return reference


def objects():
    """Functions and classes of the reference, by full name."""
    reference = _reference()
    for rows in reference.sections().values():
        for name in rows:
            yield name, reference.resolve(name)


def inner():
    """Classes that public objects hold and no caller makes: no results, of no public module."""
    reference = _reference()
    held = map(reference.resolve, reference.sections()[reference.PARTS])
    return {thing for thing in held if not issubclass(thing, Record)}


def names():
    """Full names of functions, and of methods of classes, where they are defined."""
    found = set()
    for _, thing in objects():
        home = f"{thing.__module__}.{thing.__qualname__}"
        if inspect.isclass(thing):
            found |= {f"{home}.{method}" for method in methods(thing)}
        else:
            found.add(home)
    return sorted(found)


def methods(cls):
    """Public methods, class methods and static methods, inherited ones of ours included."""
    for name, value in inspect.getmembers(cls):
        ours = (getattr(value, "__module__", None) or "").startswith("rmtstab")
        if not name.startswith("_") and inspect.isroutine(value) and ours:
            yield name
