"""Accepted calls of the public callables, as their own documented examples make them."""

import contextlib
import copy
import doctest
import importlib
import inspect
import io
import pkgutil
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import rmtstab
from tests import public

# arguments of methods that no example calls by themselves, by the parameter's name
USUAL = {
    "x": 0.5, "q": 0.3, "p": 0.3, "k": 2, "order": 2, "n": 3, "size": 3, "z": 0.5 + 0.5j,
    "alpha": 0.1, "step_size": 0.1, "batch_size": (1, 1), "steps": 3, "rng": 1, "level": 0.9,
    "confidence": 0.9, "function": abs, "sharpness": 1.0, "x1": 0.5, "x2": 0.1,
    "quantiles": (0.1, 0.9), "moments": "mv", "first": 0.5, "second": 0.1,
}  # fmt: skip
# pools and whole experiments: called with a wrong argument they may start, and never end here
LONG = ("experiment.validation", "experiment.run", "sweeps.workers.worker_pool")


@dataclass(frozen=True)
class Call:
    """A call that is accepted: a callable, and its arguments by name."""

    name: str
    function: Any
    arguments: dict[str, Any]
    variadic: str = ""
    keywords: str = ""

    def __call__(self, **changed):
        """Call on copies, with some arguments replaced."""
        given = _copy(self.arguments) | changed
        positional = given.pop(self.variadic, ()) if self.variadic else ()
        named = given.pop(self.keywords, {}) if self.keywords else {}
        before = []
        for parameter in inspect.signature(self.function).parameters.values():
            first = parameter.kind is parameter.POSITIONAL_ONLY
            first |= bool(positional) and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            if parameter.name in given and first:
                before.append(given.pop(parameter.name))
        return self.function(*before, *positional, **given, **named)

    def on(self, receiver):
        """The same call of another instance's method."""
        if receiver is getattr(self.function, "__self__", None):
            return self
        return replace(self, function=getattr(receiver, self.function.__name__))

    def put(self, name, value):
        """What ``__call__`` takes for one argument replaced: one of those that ``*`` gathers."""
        if name == self.variadic:
            return {name: (value, *self.arguments[name][1:])}
        if name == self.keywords:
            return {name: dict.fromkeys(self.arguments[name] or ("x",), value)}
        return {name: value}


@dataclass
class Recorded:
    """What the examples did: arguments by code object, instances by class."""

    folder: Path  # where files that examples read are kept: their own are gone afterwards
    arguments: dict[Any, list[tuple[Any, dict[str, Any], str, str]]] = field(default_factory=dict)
    instances: dict[type, list[Any]] = field(default_factory=dict)

    def watch(self, frame, event, value):
        """Profile hook: keep the arguments of calls into the package, and what they return."""
        code = frame.f_code
        by_user = "<doctest" in getattr(frame.f_back, "f_code", code).co_filename
        made = code.co_name == "__init__" and by_user  # a data class's code has no file
        if not made and "/rmtstab/" not in code.co_filename:
            return
        if event == "return" and type(value).__module__.startswith("rmtstab"):
            self.met(value)
        elif event == "call":
            info = inspect.getargvalues(frame)
            receiver = info.locals.get("self", info.locals.get("cls"))
            if by_user and type(receiver).__module__.startswith("rmtstab"):
                self.met(receiver)
            kept = self.arguments.setdefault(type(receiver) if made else code, [])
            if made and receiver is not None and len(kept) < 2:
                self.instances.setdefault(type(receiver), []).append(receiver)
            if len(kept) < (3 if by_user else 1):
                names = [*info.args, *filter(None, (info.varargs, info.keywords))]
                if not set(names) <= set(info.locals):  # a compiled kernel's
                    return
                values = {k: info.locals[k] for k in names if k not in ("self", "cls")}
                values = {k: self.keep(v) for k, v in values.items()}
                # what a data class makes anew when nothing is given
                values = {k: v for k, v in values.items() if repr(v) != "<factory>"}
                kept.append((receiver, _copy(values), info.varargs or "", info.keywords or ""))

    def met(self, value):
        """Keep two instances of each class."""
        kept = self.instances.setdefault(type(value), [])
        if len(kept) < 2 and not any(value is item for item in kept):
            kept.append(value)

    def keep(self, value):
        """A path to a copy, of the path of a file that is there; all else as it is."""
        if not isinstance(value, str | Path) or len(str(value)) > 200 or not Path(value).is_file():
            return value
        copied = self.folder.absolute() / f"{len(list(self.folder.iterdir()))}-{Path(value).name}"
        return type(value)(shutil.copyfile(value, copied))


def modules():
    """Names of the modules whose examples give calls."""
    for info in pkgutil.walk_packages(rmtstab.__path__, "rmtstab."):
        if not info.name.startswith(("rmtstab.cli", "rmtstab.kernels", "rmtstab.__main__")):
            yield info.name


def record(chosen, folder):
    """Run the examples of modules in a folder under the profile hook."""
    kept = Path(folder) / "kept"
    kept.mkdir(exist_ok=True)
    found = Recorded(kept)
    finder, runner = doctest.DocTestFinder(exclude_empty=True), doctest.DocTestRunner(verbose=False)
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        for example in (e for name in chosen for e in finder.find(importlib.import_module(name))):
            if not example.examples or any(part in example.name for part in LONG):
                continue
            sys.setprofile(found.watch)
            try:
                failed = runner.run(example, clear_globs=False).failed
            finally:
                sys.setprofile(None)
                plt.close("all")
            assert not failed, f"an example of {example.name} fails: its calls are not known"
    return found


def accepted(found):
    """Calls of each public callable by its name; a callable that no call was found for has none."""
    calls, inner = {}, public.inner()
    homes = tuple(f"{cls.__module__}.{cls.__qualname__}." for cls in inner)
    for name in public.names():
        if name.startswith(homes):
            continue
        if not any(part in name for part in LONG) and not _abstract(name):
            calls[name] = list(_calls(name, found))
    for name, thing in public.objects():
        if inspect.isclass(thing) and thing not in inner:
            made = found.arguments.get(thing, [])
            calls[name] = [Call(name, thing, *rest) for _, *rest in made]
    return calls


def _calls(name, found):
    owner, label = _resolve(name)
    static = inspect.getattr_static(owner, label)
    plain = inspect.unwrap(getattr(static, "__func__", static))
    made = found.arguments.get(getattr(plain, "__code__", None), [])
    if not inspect.isclass(owner) or isinstance(static, classmethod | staticmethod):
        of_owner = [(owner, *rest) for _, *rest in made]
    else:
        of_owner = [one for one in made if type(one[0]) is owner]
    if not of_owner:
        receivers = found.instances.get(owner, []) if inspect.isclass(owner) else [owner]
        rest = [one[1:] for one in made] or list(_guess(getattr(owner, label)))
        of_owner = [(receiver, *one) for receiver in receivers[:1] for one in rest]
    for receiver, arguments, variadic, keywords in of_owner:
        yield Call(name, getattr(receiver, label), arguments, variadic, keywords)


def _abstract(name):
    """Whether a method belongs to a class that has no instances, only subclasses that do."""
    owner, _ = _resolve(name)
    return inspect.isclass(owner) and inspect.isabstract(owner)


def _guess(function):
    parameters = inspect.signature(function).parameters.values()
    gathered = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind not in gathered and p.name != "self"
    ]
    if all(name in USUAL for name in needed):
        yield {name: USUAL[name] for name in needed}, "", ""


def _resolve(name):
    """Owner (module or class) and attribute of a dotted name."""
    parts = name.split(".")
    depth = max(k for k in range(1, len(parts)) if ".".join(parts[:k]) in sys.modules)
    owner = sys.modules[".".join(parts[:depth])]
    for part in parts[depth:-1]:
        owner = getattr(owner, part)
    return owner, parts[-1]


def _copy(values):
    copied = {}
    for name, value in values.items():
        if isinstance(value, Axes):  # not what was drawn into them
            copied[name] = Figure().add_subplot()
            continue
        try:
            copied[name] = copy.deepcopy(value)
        except Exception:  # a generator, a lock, a tensor within a graph: used as it is
            copied[name] = value
    return copied
