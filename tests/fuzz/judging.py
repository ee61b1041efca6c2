"""Cases of a call, and what is a fault in what it makes of one."""

import numpy as np

from tests.fuzz import calls, outcomes, values

SECONDS = 20.0  # of CPU a call may take


def cases(call, rng):
    """``(argument, value, whether it must give the same result)`` of one call."""
    for name, value in call.arguments.items():
        yield from ((name, hostile, False) for hostile in values.HOSTILE)
        if name not in (call.variadic, call.keywords):
            yield from ((name, form, True) for form in values.forms(value))
            yield from ((name, bad, False) for bad in values.spoiled(value, rng))
            yield from ((name, other, False) for other in values.scaled(value))


def judge(call, usual, case):
    """Outcome of a case, and a fault in words or None."""
    name, value, same = case
    found = outcomes.attempt(call, SECONDS, **call.put(name, value))
    shown = f"{call.name}({name}={value!r:.80})"
    flag = isinstance(call.arguments[name], bool) and value is not None
    flag = flag and not isinstance(value, bool | np.bool_)  # None is some flags' default
    if flag and found.kind == "accepted":
        return found, f"{shown} takes for True or False what is neither"
    if same and found.kind != "accepted":
        return found, f"{shown}, another form of {call.arguments[name]!r:.80}: {found.text}"
    if same and not outcomes.equal(usual.result, found.result, 1e-12):
        return found, f"{shown} gives {found.result!r:.80}, not {usual.result!r:.80}"
    return found, fault_of(call, usual, {name: value}, found, shown)


def fault_of(call, usual, changed, found, shown):
    """What no call may do, in words: raise from inside, or give NaN that nothing announces."""
    if found.kind not in ("accepted", "refused"):
        return f"{shown} raises {found.kind}: {found.text:.200}"
    known = [usual.result, *changed.values()]
    given = any(map(outcomes.not_a_number, known)) or any(map(callable, known[1:]))
    if not given and outcomes.not_a_number(found.result) and not outcomes.says_nan(call, found):
        return f"{shown} gives NaN, which its documentation does not say"
    return None


def recorded(folder, prefixes=("rmtstab.",), more=()):
    """Accepted calls by callable, of the modules with a prefix; from more examples too."""
    chosen = [*(name for name in calls.modules() if name.startswith(prefixes)), *more]
    found = calls.accepted(calls.record(chosen, folder))
    return {name: made for name, made in found.items() if name.startswith(prefixes)}
