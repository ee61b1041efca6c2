"""Imports point one way: closed form, exact operator and simulation stay independent witnesses."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "rmtstab"
PRIVATE = {"_checks", "_record", "_results"}
TOP = {"claims", "experiment", "sweeps", "figures", "report", "cli", "presets"}
BELOW = {"kernels", "laws", "ensembles", "curvature", "dynamics", "theory", "bounds", "bridge"}
ALLOWED = {
    "kernels": set(),
    "_checks": set(),
    "_record": set(),
    "_results": {"_record"},
    "laws": {"kernels", *PRIVATE},
    "ensembles": {"kernels", *PRIVATE},
    "curvature": {"kernels", *PRIVATE},
    "dynamics": {"kernels", "curvature", *PRIVATE},
    "theory": {"laws", *PRIVATE},
    "bounds": {"theory", "dynamics", *PRIVATE},
    "bridge": {"curvature", "dynamics", *PRIVATE},
    **{name: BELOW | TOP | PRIVATE for name in TOP - {"sweeps"}},
    "sweeps": {"_checks"},
    "__main__": {"cli"},
}
# A user writes `dyn.bounds()`; the method defers to the meeting point inside its body.
DEFERRED = {("dynamics", "bounds")}


def imports(path):
    """Yield (top-level name below rmtstab, whether the import sits in a function body)."""
    tree = ast.parse(path.read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path}: relative import at line {node.lineno}")
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rmtstab":
            parts = node.module.split(".")
            names = [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith("rmtstab.")
            ]
        else:
            continue
        for name in names:
            yield name, id(node) in inside


def source_files():
    return sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem != "__init__")


@pytest.mark.parametrize("path", source_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for name, deferred in imports(path):
        if name == part or name == "__version__" or (deferred and (part, name) in DEFERRED):
            continue
        assert name in ALLOWED[part], f"{part} must not import {name}"


def test_a_forbidden_import_is_caught(tmp_path):
    culprit = tmp_path / "culprit.py"
    culprit.write_text("from rmtstab.dynamics.exact import growth\nimport rmtstab.theory.mean\n")
    assert [name for name, _ in imports(culprit)] == ["dynamics", "theory"]
    assert "dynamics" not in ALLOWED["theory"] and "theory" not in ALLOWED["dynamics"]
