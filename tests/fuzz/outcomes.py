"""What a call may do with a replaced argument, and what it did."""

import contextlib
import dataclasses
import inspect
import io
import linecache
import re
import signal
import traceback
import warnings
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

REFUSALS = (TypeError, ValueError, OSError, MemoryError, FloatingPointError)
PYTHONS_OWN = re.compile(r"unexpected keyword argument|has no figure|is no table or map")


@dataclass(frozen=True)
class Outcome:
    """Kind ("accepted", "refused" or a fault's name) and what to read."""

    kind: str
    text: str
    result: object = None


class Late(BaseException):
    """Raised by the alarm; not an Exception, so that nothing in between swallows it."""


def attempt(call, seconds, **changed):
    """Call with replaced arguments under an alarm; warnings are faults, as is a changed input.

    The alarm counts CPU seconds, so that a busy machine gives no fault.
    """
    names = words(call, changed)
    before = {k: _frozen(v) for k, v in changed.items()}

    def late(*_):
        raise Late

    old = signal.signal(signal.SIGPROF, late)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            signal.setitimer(signal.ITIMER_PROF, seconds)
            result = call(**changed)
            if inspect.isgenerator(result):
                result = list(result)
    except Late:
        return Outcome("late", f"more than {seconds} s")
    except REFUSALS as error:
        theirs = any(map(inspect.isfunction, changed.values())) and isinstance(error, TypeError)
        return Outcome(
            "refused" if refuses(error, names) or theirs else type(error).__name__, str(error)
        )
    except Exception as error:
        return Outcome(type(error).__name__, str(error))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)
        plt.close("all")
    for name, value in changed.items():
        if before[name] is not None and not equal(before[name], _frozen(value), 0.0):
            return Outcome("changed its input", name)
    return Outcome("accepted", "", result)


def words(call, changed):
    """What a refusal may name: an argument, one of many, one of the instance, a name as text."""
    names = set(inspect.signature(call.function).parameters)
    if not names:
        return names
    owner = getattr(call.function, "__self__", None)
    if owner is not None and not inspect.isclass(owner):  # what the instance says of itself
        kind = type(owner)
        names |= {n for n in dir(owner) if not callable(getattr(kind, n, None))} | {"retain"}
        names |= set(getattr(kind, "__dataclass_fields__", ()))
    for value in (*call.arguments.values(), *changed.values()):
        listed = value if isinstance(value, dict | list | tuple) else (value,)
        names |= {word for word in listed if type(word) is str}
    if any(hasattr(value, "activation_pattern") for value in changed.values()):
        names.add("patches")  # of our own model, which is called
    return names | {name.removesuffix("s") for name in names if type(name) is str}


def refuses(error, names):
    """Whether an error names an argument and was raised by the package on purpose."""
    # the system's own words; a shape beyond all memory is refused by its allocation
    if isinstance(error, OSError | MemoryError) or PYTHONS_OWN.search(str(error)):
        return True
    last = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(last.filename, last.lineno).strip()
    ours = "/rmtstab/" in last.filename and line.startswith("raise")
    # a call without arguments is refused for what its instance is
    return ours and (not names or bool(set(re.findall(r"\w+", str(error))) & names))


def equal(first, second, rtol):
    """Whether two results agree: numbers to a relative error, all else exactly."""
    if isinstance(first, type) or inspect.isroutine(first):
        return first is second
    if dataclasses.is_dataclass(first) and type(first) is type(second):
        names = [f.name for f in dataclasses.fields(first) if f.compare]
        return all(equal(getattr(first, n), getattr(second, n), rtol) for n in names)
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(
            equal(first[k], second[k], rtol) for k in first
        )
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second, [rtol] * len(first)))
    if hasattr(first, "state_dict") and type(first) is type(second):
        return equal(dict(first.state_dict()), dict(second.state_dict()), rtol)
    try:
        a, b = np.ma.getdata(plain(first)), np.ma.getdata(plain(second))
        if a.dtype.kind in "iufcb" and b.dtype.kind in "iufcb":
            scale = np.max(np.abs(a[np.isfinite(a)]), initial=0.0)
            return a.shape == b.shape and np.allclose(a, b, rtol, rtol * scale, equal_nan=True)
        return True if a.dtype.kind == "O" and a.ndim == 0 else bool(np.array_equal(a, b))
    except (TypeError, ValueError):
        return repr(first) == repr(second)


def plain(value):
    """A tensor without its graph; all else as it is."""
    return value.detach().cpu() if hasattr(value, "detach") else value


def says_nan(call, found):
    """Whether the documentation of a callable, or of what it returns, says when that is NaN."""
    parts = [type(found.result)]
    if dataclasses.is_dataclass(found.result):  # a record may hold another
        parts += [type(getattr(found.result, f.name)) for f in dataclasses.fields(found.result)]
    texts = [inspect.getdoc(thing) or "" for thing in (call.function, *parts)]
    owner = getattr(call.function, "__self__", None)
    texts.append(inspect.getdoc(owner if inspect.isclass(owner) else type(owner)) or "")
    return any("NaN" in text for text in texts)


def not_a_number(result):
    """Whether a result holds a NaN anywhere."""
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return any(not_a_number(getattr(result, f.name)) for f in dataclasses.fields(result))
    if isinstance(result, dict):
        return any(map(not_a_number, result.values()))
    if isinstance(result, list | tuple):
        return any(map(not_a_number, result))
    try:
        array = np.asarray(plain(result))
    except (TypeError, ValueError):
        return False
    return array.dtype.kind in "fc" and bool(np.isnan(array).any())


def _frozen(value):
    if isinstance(value, np.ndarray):
        return value.copy()
    return repr(value) if isinstance(value, list | dict | set) else None
