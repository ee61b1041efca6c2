"""What a stored result depends on besides its cell: the function, and the versions beneath it."""

from __future__ import annotations

import dis
import functools
import hashlib
import importlib.metadata
import inspect
import platform
import sys
import sysconfig
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = Path(__file__).parents[1]
STANDARD = sysconfig.get_path("stdlib")
LIBRARIES = ("numpy", "scipy", "numba", "torch", "scikit-learn")


def versions() -> dict[str, str]:
    """Versions of Python, of rmtstab and of the libraries that its numbers depend on.

    Returns
    -------
    dict of str to str
        ``"not installed"`` where one is missing; ``rmtstab`` with a digest of its source.
    """
    return dict(_versions())


@functools.cache
def _versions() -> dict[str, str]:
    import rmtstab

    found = {
        "python": platform.python_version(),
        "rmtstab": f"{rmtstab.__version__}+{source_digest()}",
    }
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


@functools.cache
def source_digest() -> str:
    """Digest of the package's own files, code and tables.

    Returns
    -------
    str
        20 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in (".py", ".npz") and path.is_file():
            digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:20]


def fingerprint(function: Callable[..., Any]) -> str:
    """Digest of a function and of what its result depends on.

    Parameters
    ----------
    function : callable

    Returns
    -------
    str
        20 hexadecimal digits. They change with the function's instructions, constants, default
        and bound arguments, with those of the functions, classes and numbers of the caller's own
        code that it names, in any module of theirs (and that these name), and with `versions`.
        Comments, line numbers and documentation do not count; nor do files that it reads, or
        code of installed libraries outside `versions`.

    Examples
    --------
    >>> from rmtstab.sweeps import fingerprint
    >>> fingerprint(lambda x: x + 1) == fingerprint(lambda x: x + 1)  # the same code
    True
    >>> fingerprint(lambda x: x + 1) == fingerprint(lambda x: x + 2)
    False
    """
    if not callable(function):
        raise TypeError(f"function must be callable, got {function!r}")
    digest = hashlib.sha256(repr(sorted(_versions().items())).encode())
    _add(digest, function, {})
    return digest.hexdigest()[:20]


def _add(digest: Any, value: Any, seen: dict[int, Any]) -> None:
    """Add what a value is to a digest; each object once, so that recursion ends.

    What was seen is kept alive: another object may not get its address.
    """
    if isinstance(value, bool | int | float | complex | str | bytes | type(None) | type(...)):
        digest.update(f"{type(value).__name__} {value!r};".encode())
        return
    if id(value) in seen:
        digest.update(b"again;")
        return
    seen[id(value)] = value
    digest.update(type(value).__name__.encode() + b"(")
    if isinstance(value, functools.partial):
        for part in (value.func, value.args, value.keywords):
            _add(digest, part, seen)
    elif isinstance(value, types.MethodType):
        _add(digest, value.__func__, seen)
        _add(digest, value.__self__, seen)
    elif isinstance(value, types.FunctionType):
        _add_function(digest, value, seen)
    elif isinstance(value, types.CodeType):
        _add_code(digest, value, seen)
    elif isinstance(value, type):
        _add_class(digest, value, seen)
    elif isinstance(value, types.ModuleType):
        digest.update(value.__name__.encode())
    elif isinstance(value, dict):
        for key in sorted(value, key=repr):
            _add(digest, key, seen)
            _add(digest, value[key], seen)
    elif isinstance(value, list | tuple):
        for item in value:
            _add(digest, item, seen)
    elif isinstance(value, set | frozenset):
        digest.update(repr(sorted(map(repr, value))).encode())
    elif isinstance(value, np.ndarray | np.generic) and value.dtype.kind != "O":
        digest.update(f"{value.dtype} {value.shape}".encode() + value.tobytes())
    elif hasattr(value, "__wrapped__"):
        _add(digest, value.__wrapped__, seen)
    elif isinstance(value, Path):
        digest.update(str(value).encode())
    else:  # an object: its class, and its attributes where it has a dictionary
        _add(digest, type(value), seen)
        _add(digest, getattr(value, "__dict__", None), seen)
    digest.update(b")")


def _add_function(digest: Any, function: types.FunctionType, seen: dict[int, Any]) -> None:
    if _installed(function):  # its library's version speaks for it
        digest.update(f"{function.__module__}.{function.__qualname__}".encode())
        return
    _add(digest, function.__code__, seen)
    _add(digest, [function.__defaults__, function.__kwdefaults__], seen)
    for cell in function.__closure__ or ():
        try:
            _add(digest, cell.cell_contents, seen)
        except ValueError:  # not filled yet: a function that names itself
            digest.update(b"empty;")
    loaded, attributes = _names(function.__code__)
    for name in sorted(loaded & function.__globals__.keys()):
        digest.update(name.encode())
        value = function.__globals__[name]
        _add(digest, value, seen)
        if isinstance(value, types.ModuleType) and not _installed(value):
            for part in sorted(attributes & vars(value).keys()):  # as in ``helpers.threshold(x)``
                digest.update(part.encode())
                _add(digest, vars(value)[part], seen)


def _add_code(digest: Any, code: types.CodeType, seen: dict[int, Any]) -> None:
    document = code.co_consts[0] if code.co_consts else None
    constants = code.co_consts[isinstance(document, str) :]
    digest.update(code.co_code + repr((code.co_names, code.co_varnames)).encode())
    for constant in constants:
        _add(digest, constant, seen)


def _add_class(digest: Any, cls: type, seen: dict[int, Any]) -> None:
    digest.update(f"{cls.__module__}.{cls.__qualname__}".encode())
    if _installed(cls):
        return
    for name in sorted(vars(cls)):
        member = vars(cls)[name]
        if isinstance(member, staticmethod | classmethod):
            member = member.__func__
        if isinstance(member, property):
            member = member.fget
        if isinstance(member, types.FunctionType) or not name.startswith("__"):
            digest.update(name.encode())
            _add(digest, member, seen)
    for base in cls.__bases__:
        _add(digest, base, seen)


def _names(code: types.CodeType) -> tuple[set[str], set[str]]:
    """Names that a function and the functions inside it look up: globals, and the rest."""
    loaded = {
        step.argval
        for step in dis.get_instructions(code)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    rest = set(code.co_names) - loaded
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = _names(constant)
            loaded, rest = loaded | inner[0], rest | inner[1]
    return loaded, rest


def _installed(thing: Any) -> bool:
    """Whether code belongs to Python, to rmtstab, or to an installed library."""
    code = getattr(thing, "__code__", None)
    try:
        file = code.co_filename if code is not None else inspect.getfile(thing)
    except (TypeError, OSError):  # no file: built in, or of a session
        if isinstance(thing, types.ModuleType):
            return True
        return thing.__module__.split(".")[0] in sys.stdlib_module_names - {"__main__"}
    return file.startswith((str(PACKAGE), STANDARD, "<frozen")) or "-packages" in file
