"""The reference: one page an object, listed from the packages' own ``__all__``, hence complete."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import types
from pathlib import Path

# heading: the modules whose public names it lists
SECTIONS = {
    "The problem and its answers": ("rmtstab", "rmtstab.unlearning", "rmtstab.dynamics"),
    "Curvature and data": ("rmtstab.curvature", "rmtstab.ensembles"),
    "Spectral laws": ("rmtstab.laws",),
    "Theory": ("rmtstab.theory", "rmtstab.sampling"),
    "Bounds and their verification": ("rmtstab.bounds", "rmtstab.verification"),
    "Bridge to torch": ("rmtstab.bridge",),
    "Claims and the experiment": ("rmtstab.claims", "rmtstab.experiment"),
    "Sweeps": ("rmtstab.sweeps",),
    "Figures": ("rmtstab.figures",),
}


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
                owner, _, attribute = name.rpartition(".")
                thing = getattr(importlib.import_module(owner), attribute)
                # constants have no page of their own: their module's text names them
                if (inspect.isclass(thing) or inspect.isroutine(thing)) and id(thing) not in seen:
                    seen.add(id(thing))
                    rows.append(name)
    return found


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
