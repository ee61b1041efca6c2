"""Every public callable: twenty calls accepted and twenty refused at least, counted.

What may happen at each is what `tests.fuzz.test_fuzz` says; besides, nothing of the whole process
(generators, dtypes, threads, limits, warnings, environment) may be left changed.
"""

import inspect
import random
import resource
import warnings
import zlib

import matplotlib as mpl
import numpy as np
import pytest

from tests import public
from tests.fuzz import calls, strata
from tests.fuzz.judging import recorded

MEMORY = 3e9  # bytes by which the process may grow
CLASSES = {name for name, thing in public.objects() if inspect.isclass(thing)}
GROUPS = {  # by the start of the name
    "theory": ("rmtstab.theory", "rmtstab.sampling", "rmtstab.curvature", "rmtstab.ensembles"),
    "problem": ("rmtstab.unlearning", "rmtstab.dynamics", "rmtstab.bounds",
                "rmtstab.verification", "rmtstab._results"),
    "laws": ("rmtstab.laws",),
    "evidence": ("rmtstab.figures", "rmtstab.claims", "rmtstab.sweeps", "rmtstab.experiment"),
    "bridge": ("rmtstab.bridge",),
}  # fmt: skip
WORDS = "its one argument is one of a few words"
FILES = "its one argument is a file or a function, and few of these are at hand"
WHOLE = "its one argument is a record, a network or evidence made by others"
TOKENS = "takes whole numbers below the size of a vocabulary"
ALPHA = "its one argument is 0 where there is no forget set"
DEAR = "a call draws a figure, or builds a law anew"
FEW = {  # where twenty of each cannot be: how many of each at least, and why
    "rmtstab.sampling.Scheme.named": (3, 20, WORDS),
    "rmtstab.laws.spiked.Spiked.overlaps": (4, 20, WORDS),
    "rmtstab.sweeps.sweep.Sweep.from_toml": (2, 20, FILES),
    "rmtstab.sweeps.provenance.fingerprint": (4, 20, FILES),
    "rmtstab.unlearning.certificate.Certificate.save": (2, 20, FILES),
    "rmtstab.claims.claim.Claim.record": (1, 20, WHOLE),
    "rmtstab.claims.claim.Claim.judge_mutated": (1, 20, WHOLE),
    "rmtstab.experiment.data_axis.of_preset": (4, 20, WHOLE),
    "rmtstab.bridge.expansions.frozen": (1, 20, WHOLE),
    "rmtstab.bridge.curves.Curves.concatenate": (5, 20, WHOLE),
    "rmtstab.bridge.architectures.Recurrent.forward": (8, 20, TOKENS),
    "rmtstab.bridge.transformer.Transformer.forward": (8, 20, TOKENS),
    "rmtstab.bridge.operators.CurvatureOperator.block": (5, 20, WORDS),
    "rmtstab.curvature.coherence_map.CoherenceMap.tile": (3, 20, "places in a small grid"),
    "rmtstab.curvature.factors.ReducedFactors.from_factors": (10, 20, WHOLE),
    "rmtstab.theory.mirror.MirrorLaw.curvature": (5, 20, ALPHA),
    "rmtstab.theory.coherence_convergence.ConvergenceBound.heaviest": (5, 20, ALPHA),
    "rmtstab.sweeps.experiment.experiment": (10, 20, WORDS),
    "rmtstab.bridge.Network": (10, 20, WHOLE),
    "rmtstab.bridge.network_problem.NetworkDynamics.stationary": (2, 20, "of stable updates"),
    **{
        f"rmtstab.figures.{name}": (4, 20, DEAR)
        for name in (
            "frontier_laws.frontier_laws", "network_runs.learning_curves",
            "network_runs.predicted_outcomes", "outcome_map.outcome_map",
            "results.participation", "results.trajectory", "stability_map.stability_map",
        )
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    mpl.use("agg")
    return recorded(tmp_path_factory.mktemp("examples"), more=("tests.fuzz.more_calls",))


@pytest.fixture(scope="module")
def pool(found):
    return strata.Pool(found)


def generator(name):
    """Draws of a callable, the same whatever else is tested."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def last_methods(item):
    """Methods after what makes their instances."""
    name, made = item
    owner = getattr(made[0].function, "__self__", None) if made else None
    return owner is not None and not inspect.isclass(owner), name


def counted(found, pool, names):
    """Faults of callables, and those whose calls are too few to be counted as tried."""
    faults, few, calls = [], [], 0
    for name in names:
        tally = strata.tally(found[name], pool, generator(name))
        faults += tally.faults
        calls += tally.calls
        least, refused = FEW.get(name, (strata.LEAST, strata.LEAST, ""))[:2]
        if not tally.arguments:  # nothing to refuse; as many calls as there are instances
            least, refused = 0, 0
        if len(tally.accepted) < least or len(tally.refused) < refused:
            few.append(f"{name}: {len(tally.accepted)} accepted, {len(tally.refused)} refused")
    return faults, few, calls


@pytest.mark.slow
def test_callables_are_known_by_a_call_or_for_a_reason(found):
    """Results are made by functions, whose calls are counted; the rest has a documented call."""
    unknown = {name for name, made in found.items() if not made and name not in CLASSES}
    assert unknown == {
        "rmtstab.experiment.natural_size.describe",  # trains a network: minutes
        # the two kinds of runs are called, this is what they share
        *(
            f"rmtstab.bridge.runs.Runs.{x}"
            for x in ("plot", "to_dataframe", "to_dict", "to_xarray")
        ),
    }


@pytest.mark.slow
@pytest.mark.parametrize("group", ["classes", *GROUPS])
def test_twenty_accepted_and_twenty_refused(found, pool, tmp_path, monkeypatch, group):
    monkeypatch.chdir(tmp_path)  # hostile paths are written to
    names = [
        name
        for name, made in sorted(found.items(), key=last_methods)
        if made
        and (name in CLASSES if group == "classes" else name.startswith(GROUPS[group]))
        and (group == "classes" or name not in CLASSES)
    ]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    faults, few, calls = counted(found, pool, names)
    assert not faults, "\n".join([f"{len(faults)} faults", *faults[:40]])
    assert not few, "\n".join(few)
    assert calls > 40 * len(names) / 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY / 1024


def positive(value, width=2):
    if type(value) is not float or not value > 0.0:
        raise ValueError(f"value must be a positive float, got {value!r:.80}")
    return [value] * width


def anything(value):
    return None


def meddles(value):
    random.random()
    np.seterr(over="ignore")
    warnings.simplefilter("ignore")


@pytest.mark.parametrize(
    ("function", "arguments", "few", "fault"),
    [
        # its refusals are raised here, not in the package; other forms of a float are refused
        (positive, {"value": 0.5}, "0 refused", "another form of 0.5"),
        (anything, {"value": 0.5}, "0 refused", ""),
        (lambda: None, {}, "", ""),
        (meddles, {"value": 0.5}, "0 refused", "changes NumPy's errors"),
        (meddles, {"value": 0.5}, "0 refused", "changes python's generator"),
    ],
)
def test_the_harness_sees_what_it_counts(function, arguments, few, fault):
    made = {"name": [calls.Call("name", function, arguments)]}
    with np.errstate(), warnings.catch_warnings():
        faults, seen, number = counted(made, strata.Pool(made), made)
    assert fault in "\n".join(faults) and bool(fault) == bool(faults)
    assert few in "\n".join(seen) and bool(few) == bool(seen)
    assert number > strata.LEAST or not arguments
