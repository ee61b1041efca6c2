"""At least twenty accepted and twenty refused calls of each public callable, counted.

Accepted calls are variations of documented ones: other types, layouts and orders of an argument,
another legal value, several at once, another instance. Refused ones replace an argument by a
hostile value. What is judged is the same at each: see `judging.judge`.
"""

import collections
import dataclasses
import inspect
import time
import zlib

from tests.fuzz import outcomes, state
from tests.fuzz.judging import SECONDS, cases, fault_of, judge
from tests.fuzz.near import near, words_of

LEAST = 20  # accepted, and refused
VARIED = 10  # of those accepted, that are no other form of a documented call
TRIES = 12  # times as many are drawn before a callable is said to accept or refuse too few
HOSTILE = 60  # hostile cases of each callable, at least
KEPT = 40  # instances of a class
HUGE = "rmtstab.ensembles"  # whose matrices may have a million rows, and all eigenvalues asked
SPENT = 6.0  # CPU seconds of either kind of calls of one callable, after which fewer will do


@dataclasses.dataclass
class Tally:
    """What one callable did."""

    accepted: set = dataclasses.field(default_factory=set)
    refused: set = dataclasses.field(default_factory=set)
    calls: int = 0
    faults: list = dataclasses.field(default_factory=list)
    arguments: int = 0  # of its recorded calls


class Pool(dict):
    """Instances of ours by their class, as calls return them; data classes that callers make."""

    def __init__(self, found):
        super().__init__()
        made = {call.function for calls in found.values() for call in calls}
        self.made = {thing for thing in made if dataclasses.is_dataclass(thing)}

    def add(self, result):
        """Keep what a call returned, and the items of a short sequence."""
        for item in result if isinstance(result, list | tuple) else (result,):
            kept = self.setdefault(type(item), [])
            home = type(item).__module__
            ours = home.startswith("rmtstab") and not home.startswith(HUGE)
            if ours and len(kept) < KEPT:
                kept.append(item)


def tally(made, pool, rng):
    """Judge the calls of one callable: variations first, then hostile arguments.

    Parameters
    ----------
    made : list of Call
    pool : Pool
    rng : numpy.random.Generator

    Returns
    -------
    Tally
    """
    found = Tally(arguments=max(len(call.arguments) for call in made))
    before = state.state()
    usual = [(call, outcomes.attempt(call, SECONDS)) for call in made]
    good = [(call, result) for call, result in usual if result.kind == "accepted"]
    for call, result in usual:
        _count(found, call, {}, result)
        if result.kind == "accepted":
            pool.add(result.result)
    if not good:  # a guess of arguments, which another instance may take
        tried = [call.on(other) for call in made for other in _others(call, pool)]
        usual = [(call, outcomes.attempt(call, SECONDS)) for call in tried]
        good = [(call, result) for call, result in usual if result.kind == "accepted"]
    if good:
        words = _hostile(found, *good[0], rng)
        _varied(found, good, pool, words, rng)
    found.faults += [f"{made[0].name} changes {x}" for x in state.changes(before, state.state())]
    return found


def _hostile(found, call, usual, rng):
    """Forms of the same value, then hostile ones in any order; words that an argument may be."""
    listed = list(cases(call, rng))
    forms = [case for case in listed if case[2]]
    others = [case for case in listed if not case[2]]
    words = collections.defaultdict(list)
    drawn = [others[k] for k in rng.permutation(len(others))]
    end = time.process_time() + SPENT
    for k, case in enumerate([*forms, *drawn]):
        enough = k - len(forms) >= HOSTILE or time.process_time() > end
        if enough and len(found.refused) >= LEAST:
            break
        outcome, fault = judge(call, usual, case)
        words[case[0]] += words_of(outcome.text)
        _count(found, call, {case[0]: case[1]}, outcome)
        found.faults += [fault] * (fault is not None)
    return words


def _varied(found, made, pool, words, rng):
    """Calls with near values of some arguments, on some instance, until enough are accepted."""
    end, varied = time.process_time() + SPENT, 0
    for k in range(TRIES * LEAST):
        enough = len(found.accepted) >= LEAST and varied >= VARIED
        if enough or time.process_time() > end:
            return
        call, usual = made[k % len(made)]
        names = list(call.arguments)
        if not names and k >= len(_others(call, pool)):
            return  # nothing to vary but the instance
        call = call.on(_receiver(call, pool, rng, None if names else k))
        chosen = (
            rng.choice(names, 1 + min(len(names) - 1, rng.poisson(0.4)), False) if names else ()
        )
        changed = {n: near(call.arguments[n], rng, pool, words[n]) for n in map(str, chosen)}
        outcome = outcomes.attempt(call, SECONDS, **changed)
        _count(found, call, changed, outcome)
        if outcome.kind == "accepted":
            pool.add(outcome.result)
            varied += 1
        shown = f"{call.name}({', '.join(f'{n}={v!r:.60}' for n, v in changed.items())})"
        fault = fault_of(call, usual, changed, outcome, shown)
        found.faults += [fault] * (fault is not None)


def _others(call, pool):
    """Instances that a method may be called of."""
    owner = getattr(call.function, "__self__", None)
    return [] if owner is None or inspect.isclass(owner) else pool.get(type(owner), [])


def _receiver(call, pool, rng, place):
    """An instance in place of the recorded one: that at a place, or now and then any."""
    owner, others = getattr(call.function, "__self__", None), _others(call, pool)
    if place is not None:
        return others[place]
    return others[rng.integers(len(others))] if others and rng.random() < 0.7 else owner


def _count(found, call, changed, outcome):
    """Add a call to those accepted or refused, if it is another one."""
    found.calls += 1
    owner = getattr(call.function, "__self__", None)
    parts = [f"{name}:{type(v).__name__}:{_shape(v)}:{_digest(v)}" for name, v in changed.items()]
    key = f"{id(owner)} {sorted(parts)} {sorted(call.arguments)}"
    if outcome.kind == "accepted":
        found.accepted.add(key)
    elif outcome.kind == "refused":
        found.refused.add(key)


def _shape(value):
    """What the text of an array or of axes does not tell."""
    return [str(getattr(value, name, "")) for name in ("dtype", "strides", "flags", "bbox")]


def _digest(value):
    """Of an object's text, where it has one."""
    try:
        return zlib.crc32(repr(value).encode())
    except Exception:  # what a changed field of a record makes of its text
        return id(value)
