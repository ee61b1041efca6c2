"""Certificates of the growth factor: made by the solver, proved by code that shares none of it."""

import json

import numpy as np
import pytest

import rmtstab as rs
from tests.strategies import SAMPLINGS

pytest.importorskip("flint")


def problem(seed=0, outputs=2, n=(6, 3), d=8):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((sum(n), outputs, d)) / np.sqrt(d)
    return rs.UnlearningProblem.from_factors(z[: n[0]], z[n[0] :])


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize(("step", "alpha"), [(0.2, 0.0), (0.3, 0.05), (0.3, 0.4), (6.0, 0.1)])
def test_what_decides_stability_is_proved(sampling, step, alpha):
    dyn = problem().dynamics(step, (2, 1), alpha, sampling)
    found = dyn.certificate()
    assert found.verify(), found
    if dyn.verdict() is rs.Verdict.STABLE:
        assert found.statement == "growth < bound" and found.bound <= 1.0
    else:
        assert found.statement == "growth >= bound" and found.bound > 1.0


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_both_sides_enclose_within_the_gap(alpha, decay):
    dyn = problem(1).dynamics(0.3, (2, 1), alpha, weight_decay=decay)
    above, below = dyn.certificate("above", gap=1e-6), dyn.certificate("below")
    assert above.verify() and below.verify()
    assert below.bound <= dyn.growth_factor() * (1 + 1e-14) < above.bound
    assert above.bound / below.bound - 1 < 1.1e-6 or above.bound == 1.0


def test_a_file_survives_and_tampering_does_not(tmp_path):
    path = problem(2).dynamics(0.2, (2, 1), 0.05).certificate().save(tmp_path / "c.json")
    assert rs.verify(path).proved
    content = json.loads(path.read_text())
    content["bound"] = (1.5).hex()
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="altered"):
        rs.verify(path)
    # sealed again it is another statement, judged on its own
    assert not rs.verify(rs.verification.seal(content)).proved


def test_nearly_marginal_curvature_is_proved_stable():
    """Eigenvalues over eight decades: ρ within 1e-8 of 1."""
    rng = np.random.default_rng(3)
    z = rng.standard_normal((12, 12)) * np.logspace(0, -4, 12)
    dyn = rs.UnlearningProblem.from_factors(z).dynamics(0.05, 4, 0.0)
    found = dyn.certificate()
    assert dyn.verdict() is rs.Verdict.STABLE and found.verify() and found.bound <= 1.0


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"side": "left"}, "side must be one of"),
        ({"gap": 0.0}, "gap must be > 0"),
    ],
)
def test_bad_input(how, message):
    with pytest.raises(ValueError, match=message):
        problem().dynamics(0.2, (2, 1), 0.0).certificate(**how)


def test_momentum_is_refused():
    with pytest.raises(ValueError, match="momentum must be 0 for a certificate"):
        problem().dynamics(0.2, (2, 1), 0.0, momentum=0.5).certificate()


@pytest.mark.slow
def test_two_hundred_rows_are_checked_within_a_minute():
    import time

    dyn = problem(4, outputs=1, n=(160, 40), d=260).dynamics(0.2, (16, 4), 0.1)
    found = dyn.certificate()
    start = time.process_time()
    assert found.verify()
    assert time.process_time() - start < 60.0
