"""Entries of tests/reference/laws.json, selected by the start of their id."""

import json
from functools import lru_cache
from pathlib import Path


@lru_cache
def _all():
    path = Path(__file__).parents[1] / "reference" / "laws.json"
    return tuple(json.loads(path.read_text())["entries"])


def entries(prefix, kinds=None):
    """Return the entries whose id starts so, or raise; ``kinds`` lists words of the id."""
    found = [
        e
        for e in _all()
        if e["id"].startswith(prefix) and (kinds is None or set(kinds) & set(e["id"].split("_")))
    ]
    if not found:
        raise LookupError(f"no reference entry starts with {prefix!r}")
    return found


def number(entry):
    """Return the value of an entry as a float."""
    return float(entry["value"])
