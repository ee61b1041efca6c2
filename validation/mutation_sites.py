"""Every place of a source file where one small change makes another program.

Left alone: imports, annotations, decorators, docstrings, ``__all__`` and what an error says.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.Pow: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
}  # fmt: skip
BOUNDARY = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
NEGATION = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
PAIRS = [
    ("min", "max"), ("minimum", "maximum"), ("fmin", "fmax"), ("argmin", "argmax"),
    ("nanmin", "nanmax"), ("any", "all"), ("floor", "ceil"),
]  # fmt: skip
SWAPS = dict(PAIRS) | {second: first for first, second in PAIRS}
UNTOUCHED = (ast.Import, ast.ImportFrom, ast.Raise, ast.JoinedStr)
EXITS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True)
class Site:
    """A change of one node: its kind, where it is, and how to make it in the tree at hand."""

    kind: str
    line: int
    function: str
    before: str
    after: str
    change: Callable[[], None]


def mutated(source: str, index: int) -> ast.Module:
    """Syntax tree of a source with the change of its ``index``-th site made."""
    tree = ast.parse(source)
    list(sites(tree))[index].change()
    return ast.fix_missing_locations(tree)


def sites(tree: ast.Module) -> Iterator[Site]:
    """All sites of a tree, in the order of the source; making one changes the tree."""
    yield from _visit(tree, "", False)


def _visit(node: ast.AST, function: str, index: bool) -> Iterator[Site]:
    if isinstance(node, UNTOUCHED) or _is_list_of_names(node):
        return
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        function = f"{function}.{node.name}".lstrip(".")
    for kind, change in _changes(node, index):
        before, after = _shown(node, change)
        line = getattr(node, "lineno", 0)
        yield Site(kind, line, function, before, after, lambda c=change: _make(*c))
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        inside = isinstance(node, ast.Subscript) and name == "slice"
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                kept = inside or (index and isinstance(node, ast.Slice | ast.Tuple | ast.UnaryOp))
                yield from _visit(child, function, kept)


def _is_list_of_names(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


def _changes(node: ast.AST, index: bool) -> Iterator[tuple[str, tuple[ast.AST, str, object]]]:
    """``(kind, (node, field, new value))`` of each change of one node."""
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            if not (_is_sequence(left) or _is_sequence(right)):
                yield "arithmetic", (node, "op", ARITHMETIC[type(op)]())
        case ast.AugAssign(op=op) if type(op) in ARITHMETIC:
            yield "arithmetic", (node, "op", ARITHMETIC[type(op)]())
        case ast.Compare(ops=ops):
            for k, op in enumerate(ops):
                for table in (BOUNDARY, NEGATION):
                    if type(op) in table:
                        new = [*ops[:k], table[type(op)](), *ops[k + 1 :]]
                        yield "comparison", (node, "ops", new)
        case ast.BoolOp(op=op):
            yield "logic", (node, "op", ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.USub()):
            yield "index" if index else "sign", (node, "op", ast.UAdd())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "logic", (node, "operand", _negated(operand))
        case ast.If(test=test, body=body):
            kind = "early exit" if isinstance(body[-1], EXITS) else "condition"
            yield kind, (node, "test", _negated(test))
        case ast.While(test=test) | ast.IfExp(test=test):
            yield "condition", (node, "test", _negated(test))
        case ast.comprehension(ifs=ifs):
            for k, test in enumerate(ifs):
                yield "condition", (node, "ifs", [*ifs[:k], _negated(test), *ifs[k + 1 :]])
        case ast.Return(value=ast.BinOp(op=op) as value) if type(op) in ARITHMETIC:
            if not (_is_sequence(value.left) or _is_sequence(value.right)):
                yield "sign", (node, "value", ast.UnaryOp(ast.USub(), value))
        case ast.Call(func=ast.Name(id=name) as called) if name in SWAPS:
            yield "min/max", (called, "id", SWAPS[name])
        case ast.Call(func=ast.Attribute(attr=name) as called) if name in SWAPS:
            yield "min/max", (called, "attr", SWAPS[name])
        case ast.Constant(value=bool() as value):
            yield "constant", (node, "value", not value)
        case ast.Constant(value=int() as value):
            yield "index" if index else "constant", (node, "value", value + 1)
        case ast.Constant(value=float() | complex() as value):
            yield "constant", (node, "value", 2 * value if value else 1.0)


def _is_sequence(node: ast.AST) -> bool:
    """Whether a sum or product is of texts or lists."""
    text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return text or isinstance(node, ast.JoinedStr | ast.List | ast.Tuple)


def _negated(test: ast.expr) -> ast.UnaryOp:
    return ast.UnaryOp(ast.Not(), test)


def _make(node: ast.AST, field: str, value: object) -> None:
    setattr(node, field, value)


def _shown(node: ast.AST, change: tuple[ast.AST, str, object]) -> tuple[str, str]:
    """First line of a node before and after a change, which is undone again."""
    target, field, value = change
    before, old = ast.unparse(node), getattr(target, field)
    setattr(target, field, value)
    after = ast.unparse(ast.fix_missing_locations(node))
    setattr(target, field, old)
    return before.splitlines()[0], after.splitlines()[0]
