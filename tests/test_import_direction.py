"""The house's rules: imports point one way, no circle, no foreign private name."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "rmtstab"
PRIVATE = {"_checks", "_npz", "_record", "_results"}
TOP = {"figures", "report", "cli"}
BELOW = {
    "kernels", "sampling", "laws", "ensembles", "curvature", "dynamics", "theory", "bounds",
    "unlearning", "bridge", "verification",
}  # fmt: skip
ALLOWED = {
    "_checks": set(),
    "_npz": set(),
    "_record": set(),
    "_results": {"_record"},
    "kernels": set(),
    "sampling": PRIVATE,
    "verification": set(),  # a checker that shares no code with what it checks
    "laws": {"kernels", *PRIVATE},
    "curvature": {"kernels", *PRIVATE},
    "ensembles": {"kernels", "laws", "curvature", "sampling", *PRIVATE},
    "dynamics": {"kernels", "laws", "curvature", "sampling", *PRIVATE},
    "theory": {"laws", "sampling", *PRIVATE},
    "bounds": {"theory", "dynamics", "curvature", "sampling", *PRIVATE},
    "unlearning": {
        "verification",
        "bounds",
        "theory",
        "dynamics",
        "curvature",
        "sampling",
        *PRIVATE,
    },
    "bridge": {
        "unlearning",
        "theory",
        "dynamics",
        "curvature",
        "sampling",
        "kernels",
        *PRIVATE,
    },
    "sweeps": PRIVATE,
    "__main__": {"cli"},
    "claims": (BELOW | PRIVATE) - {"bridge"},
    "experiment": BELOW | PRIVATE | {"claims", "sweeps"},
    **{name: BELOW | TOP | PRIVATE | {"claims", "experiment", "sweeps"} for name in TOP},
}


def sources():
    """Every file of the package but its root, whose table of names is no dependency."""
    return sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def part(path):
    """Folder, or file, below rmtstab that a path belongs to."""
    inside = path.is_relative_to(PACKAGE)
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py") if inside else path.stem


def module_file(parts):
    """File of a module named by its parts below rmtstab, or None."""
    folder = PACKAGE.joinpath(*parts)
    for candidate in (folder.with_suffix(".py"), folder / "__init__.py"):
        if parts and candidate.is_file():
            return candidate
    return None


def imports(tree, path):
    """Yield ``(parts of a module below rmtstab, name imported from it or None)``.

    Those inside functions and under TYPE_CHECKING count like any other.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path}: relative import at line {node.lineno}")
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rmtstab":
            for alias in node.names:
                yield tuple(node.module.split(".")[1:]), alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("rmtstab."):
                    yield tuple(alias.name.split(".")[1:]), None


def dependencies(path):
    """Files that a file imports: the module a name is, or else the one that it comes from."""
    found = set()
    for parts, name in imports(ast.parse(path.read_text()), path):
        target = module_file((*parts, name)) if name else None
        target = target or module_file(parts)
        if target and target != path:
            found.add(target)
    return found


def circle(graph):
    """A circle of a graph as a list of its nodes, or None."""
    done, stack = set(), []

    def visit(node):
        if node in stack:
            return [*stack[stack.index(node) :], node]
        if node in done:
            return None
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            found = visit(other)
            if found:
                return found
        stack.pop()
        done.add(node)
        return None

    return next((found for node in sorted(graph) if (found := visit(node))), None)


def foreign_names(path):
    """Underscore names used in a file that does not define them; its folder's modules aside."""
    tree = ast.parse(path.read_text())
    own, used = {"_replace", "_asdict", "_repr_html_"}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self", "cls"):
            own.add(node.attr)  # a parent's is the family's
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr[0] == "_" and node.attr[:2] != "__":
            used.append((node.attr, node.lineno))
    for parts, name in imports(tree, path):
        full = (*parts, name) if name and module_file((*parts, name)) else parts
        family = {*PRIVATE, *(p for p in full if full[0] == part(path))}
        used += [(p, 0) for p in full if p[0] == "_" and p not in family]
        if name and name[0] == "_" and name not in full and name[:2] != "__":
            used.append((name, 0))
    return [f"{name} at line {line}" for name, line in used if name not in own]


def scheme_comparisons(path):
    """Lines that compare with, or look up by, a sampling scheme's name."""
    from rmtstab.sampling import SAMPLINGS

    def names(node):
        return any(isinstance(n, ast.Constant) and n.value in SAMPLINGS for n in ast.walk(node))

    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Compare) and names(node))
        or (isinstance(node, ast.Dict) and any(key and names(key) for key in node.keys))
        or (isinstance(node, ast.Tuple | ast.List | ast.Set) and names(node))
        or (isinstance(node, ast.MatchValue) and names(node))
    ]


def names_of(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda p: str(p.relative_to(PACKAGE)))


@names_of(sources())
def test_imports_point_one_way(path):
    for parts, name in imports(ast.parse(path.read_text()), path):
        target = parts[0] if parts else name
        if target not in (part(path), "__version__"):
            assert target in ALLOWED[part(path)], f"{part(path)} must not import {target}"


def test_no_circle_among_files():
    graph = {path: dependencies(path) for path in sources()}
    found = circle(graph)
    assert found is None, " → ".join(str(p.relative_to(PACKAGE)) for p in found)


@names_of(sources())
def test_no_foreign_private_name(path):
    assert foreign_names(path) == []


@names_of([path for path in sources() if part(path) not in ("sampling", "verification")])
def test_scheme_names_are_compared_in_one_file(path):
    assert scheme_comparisons(path) == []


def test_each_rule_can_fail(tmp_path):
    culprit = tmp_path / "culprit.py"
    culprit.write_text(
        "from typing import TYPE_CHECKING\n"
        "from rmtstab.dynamics.growth import _secret\n"
        "if TYPE_CHECKING:\n    import rmtstab.theory.mean\n"
        "def f(dyn, sampling):\n"
        "    from rmtstab.laws import _free_poisson\n"
        "    return dyn._leading if sampling == 'bernoulli' else {'with_replacement': 1}\n"
    )
    found = dependencies(culprit)
    files = ("dynamics/growth.py", "theory/mean.py", "laws/_free_poisson.py")
    assert found == {PACKAGE / name for name in files}
    assert {name.split()[0] for name in foreign_names(culprit)} == {
        "_secret", "_leading", "_free_poisson",
    }  # fmt: skip
    assert scheme_comparisons(culprit) == [7, 7]
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}}) is None
    assert "dynamics" not in ALLOWED["theory"] and "theory" not in ALLOWED["dynamics"]


def test_the_update_is_frozen():
    from dataclasses import FrozenInstanceError, fields

    import rmtstab as rs

    dyn = rs.UnlearningProblem.from_factors([[1.0]]).dynamics(0.1, 1, 0.0)
    for field in fields(dyn):
        with pytest.raises(FrozenInstanceError):
            setattr(dyn, field.name, None)
