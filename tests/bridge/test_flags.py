"""A flag is True or False, of Python or NumPy, and nothing that only counts as one."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from rmtstab import bridge, claims, laws  # noqa: E402 (needs torch)
from rmtstab.experiment import PRESETS, Plane  # noqa: E402

LOSS = torch.nn.CrossEntropyLoss()
SETS = [
    (torch.eye(6, dtype=torch.float64)[part], (torch.arange(6) % 2)[part])
    for part in (slice(0, 4), slice(4, 6))
]


def model():
    torch.manual_seed(0)
    return torch.nn.Linear(6, 2, dtype=torch.float64)


@pytest.fixture(scope="module")
def net():
    return bridge.linearise(model(), LOSS, *SETS)


@pytest.fixture(scope="module")
def run(net):
    return net.run(0.5, 1, 0.5, steps=3, rng=0)


def theory_claim(long):
    words = dict.fromkeys(
        ("statement", "latex", "assumptions", "normalisation", "horizon", "source", "fails"), ""
    )
    return claims.theory_claim(name="a", check=dict, judge=dict, long=long, **words)


SETTINGS = {"step_size": 0.5, "batch_size": 1, "alpha": 0.5, "steps": 2, "rng": 0}
CALLS = {
    "margin": lambda n, r, f: n.check(r, margin=f),
    "advice": lambda n, r, f: bridge.diagnose(model(), LOSS, *SETS, **SETTINGS, advice=f),
    "keep_final": lambda n, r, f: bridge.unlearn(model(), LOSS, *SETS, **SETTINGS, keep_final=f),
    "check_deterministic": lambda n, r, f: bridge.problem(
        model(), LOSS, *SETS, check_deterministic=f
    ),
    "progress": lambda n, r, f: bridge.linearise(model(), LOSS, *SETS, progress=f),
    "every_token": lambda n, r, f: bridge.Transformer(
        5, 4, width=4, layers=1, heads=1, every_token=f
    ),
    "correlation": lambda n, r, f: laws.parallel_analysis(np.eye(4)[:, :2], rng=0, correlation=f),
    "long": lambda n, r, f: theory_claim(f),
    "holds": lambda n, r, f: claims.Outcome("a", 1.0, 0.1, f),
    "digits": lambda n, r, f: Plane("a", digits=f),
    "mutations": lambda n, r, f: dataclasses.replace(PRESETS["tiny"], mutations=f),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("value", [1, 0.0, "no", [], np.array([True])], ids=repr)
def test_what_is_neither_true_nor_false_is_refused(net, run, name, value):
    with pytest.raises(TypeError, match=f"{name} must be True or False, got"):
        CALLS[name](net, run, value)


@pytest.mark.parametrize("name", ["margin", "keep_final", "check_deterministic", "holds"])
def test_numpys_own_are_flags(net, run, name):
    CALLS[name](net, run, np.bool_(False))
    CALLS[name](net, run, np.array(True))
