"""The reference: one page an object, listed from the packages' own ``__all__``, hence complete."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
import re
import types
from collections.abc import Iterable, Iterator
from pathlib import Path

# heading: the modules whose public names it lists
SECTIONS = {
    "The problem and its answers": (
        "rmtstab",
        "rmtstab.unlearning",
        "rmtstab.dynamics",
        "rmtstab.dynamics.mixings",
    ),
    "Curvature and data": ("rmtstab.curvature", "rmtstab.ensembles"),
    "Spectral laws": ("rmtstab.laws",),
    "Theory": ("rmtstab.theory", "rmtstab.sampling"),
    "Bounds and their verification": ("rmtstab.bounds", "rmtstab.verification"),
    "Bridge to torch": ("rmtstab.bridge", "rmtstab.bridge.expansions"),
    "Claims and the experiment": (
        "rmtstab.claims",
        "rmtstab.experiment",
        "rmtstab.experiment.data",
        "rmtstab.experiment.data_axis",
        "rmtstab.experiment.natural_size",
    ),
    "Sweeps": ("rmtstab.sweeps",),
    "Figures": ("rmtstab.figures",),
}
PARTS = "What these return and hold"


def public_names(module_name: str) -> list[str]:
    """Full names of what a package makes public: of modules in it, what these define."""
    module = importlib.import_module(module_name)
    names = getattr(module, "__all__", None)
    if names is None:
        names = [name for name, thing in vars(module).items() if _own(thing, module_name, name)]
    found = []
    for name in sorted(names):
        thing = getattr(module, name)
        if isinstance(thing, types.ModuleType):
            if module_name != "rmtstab":  # its packages have sections of their own
                found += public_names(thing.__name__)
        else:
            found.append(f"{module_name}.{name}")
    return found


def _own(thing: object, module_name: str, name: str) -> bool:
    known = inspect.isfunction(thing) or inspect.isclass(thing)
    return known and thing.__module__ == module_name and not name.startswith("_")


def sections() -> dict[str, list[str]]:
    """Headings with the full names below them, each object once."""
    seen: set[int] = set()
    found: dict[str, list[str]] = {}
    for heading, modules in SECTIONS.items():
        rows = found.setdefault(heading, [])
        for module in modules:
            if importlib.util.find_spec(module) is None:
                continue
            for name in public_names(module):
                thing = resolve(name)
                # constants have no page of their own: their module's text names them
                if (inspect.isclass(thing) or inspect.isroutine(thing)) and id(thing) not in seen:
                    seen.add(id(thing))
                    rows.append(name)
    found[PARTS] = []
    while True:  # a part may have parts
        further = parts(resolve(name) for rows in found.values() for name in rows)
        if not further:
            return found
        found[PARTS] = sorted([*found[PARTS], *(f"{c.__module__}.{c.__name__}" for c in further)])


def resolve(name: str) -> object:
    """Return the object of a full name."""
    owner, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(owner), attribute)


def parts(listed: Iterable[object]) -> list[type]:
    """Classes of ours that the listed objects return or hold, and that are not among them."""
    things = list(listed)
    known = {id(thing) for thing in things}
    found: dict[int, type] = {}
    for module, annotation in (pair for thing in things for pair in _annotations(thing)):
        for name in re.findall(r"[A-Za-z_]\w*", str(annotation)):
            home, name = _imports(module).get(name, (module, name))
            thing = getattr(importlib.import_module(home), name, None)
            ours = inspect.isclass(thing) and thing.__module__.startswith("rmtstab.")
            if ours and id(thing) not in known:
                found[id(thing)] = thing
    return list(found.values())


def _annotations(thing: object) -> Iterator[tuple[str, object]]:
    """What a callable returns or a class holds, with the module where it is written."""
    if not inspect.isclass(thing):
        thing = inspect.unwrap(thing)
        yield thing.__module__, thing.__annotations__.get("return")
        return
    for base in thing.__mro__:
        if not base.__module__.startswith("rmtstab"):
            continue
        for name, annotation in vars(base).get("__annotations__", {}).items():
            if not name.startswith("_"):
                yield base.__module__, annotation
        for name, member in vars(base).items():
            # of a property, a class method, a cached property: its function
            for attribute in ("fget", "__func__", "func"):
                member = getattr(member, attribute, member)
            if inspect.isfunction(member) and not name.startswith("_"):
                yield base.__module__, member.__annotations__.get("return")


@functools.cache
def _imports(module: str) -> dict[str, tuple[str, str]]:
    """Names that a module takes from others of ours, those for the type checker included."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rmtstab")
        for alias in node.names
    }


def write_index(app, config) -> None:
    """Write the tables that autosummary turns into pages."""
    lines = ["All objects", "===========", ""]
    known = sections()
    listed = {name for names in known.values() for name in names}
    for stub in (Path(app.srcdir) / "api" / "generated").glob("*.rst"):
        if stub.stem not in listed:  # of an object that is gone
            stub.unlink()
    for heading, names in known.items():
        lines += [heading, "-" * len(heading), "", ".. autosummary::", "   :toctree: generated", ""]
        lines += [f"   {name}" for name in names] + [""]
    path = Path(app.srcdir) / "api" / "objects.rst"
    text = "\n".join(lines)
    if not path.exists() or path.read_text() != text:  # unchanged: nothing is built again
        path.write_text(text)


def setup(app):
    """Write the index before the sources are looked for: autosummary reads what was found."""
    app.connect("config-inited", write_index)
    return {"parallel_read_safe": True}
