"""Every public callable documents each of its parameters, in order and no other."""

import importlib
import inspect

import pytest
from numpydoc.validate import validate

RULES = {"PR01", "PR02", "PR03"}
PACKAGES = (
    "curvature",
    "dynamics",
    "theory",
    "bounds",
    "unlearning",
    "ensembles",
    "sweeps",
    "figures",
    "laws",
    "bridge",
    "claims",
    "experiment",
)
MODULES = ("sampling", "verification")


def public_names():
    """Dotted names of what users call: the packages' ``__all__``, whole modules, and methods."""
    found = []
    for part in (*PACKAGES, *MODULES):
        package = importlib.import_module(f"rmtstab.{part}")
        exported = [getattr(package, name) for name in getattr(package, "__all__", dir(package))]
        modules = [obj for obj in exported if inspect.ismodule(obj)]
        exported += [obj for module in modules for obj in vars(module).values()]
        for obj in exported:
            home = getattr(obj, "__module__", "") or ""
            name = f"{home}.{getattr(obj, '__qualname__', '_')}"
            if not name.startswith(f"rmtstab.{part}") or "._" in name:
                continue
            if inspect.isclass(obj):
                found += [f"{name}.{method}" for method in methods(obj)]
            elif callable(obj):
                found.append(name)
    return sorted(set(found))


def methods(cls):
    """Public methods, class methods and static methods, inherited ones of ours included."""
    for name, value in inspect.getmembers(cls):
        ours = (getattr(value, "__module__", None) or "").startswith("rmtstab")
        if not name.startswith("_") and inspect.isroutine(value) and ours:
            yield name


def culprit(first, second):
    """Add.

    Parameters
    ----------
    first : int
    third : int
    """
    return first + second


def faults(name):
    return [text for code, text in validate(name)["errors"] if code in RULES]


@pytest.mark.parametrize("name", public_names())
def test_parameters_are_documented(name):
    assert faults(name) == []


def test_the_rule_sees_what_is_missing():
    assert "rmtstab.unlearning.problem.UnlearningProblem.from_gram" in public_names()
    assert "rmtstab.theory.sufficient.one_step" in public_names()
    assert faults(f"{__name__}.culprit") == [
        "Parameters {'second'} not documented",
        "Unknown parameters {'third'}",
    ]
