"""No bound is violated by brute force; a constant wrong by 5 % is, for every bound."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rmtstab as rs
from rmtstab.bounds import NAMES
from rmtstab.sampling import Scheme
from tests.bounds.cases import Case, draw, violations

# On these a bound is (nearly) attained: 5 % more must show.
EYE = np.eye(3)[:, None, :]
NONE = np.zeros((0, 1, 3))


def attained():
    """Cases on which some bound meets ρ, over schemes and mixings."""
    cases = [draw(seed) for seed in range(200)]
    for sampling in ("bernoulli", "without_replacement", "with_replacement"):
        # equal orthogonal samples: one step, operator, direction, trace
        cases.append(Case(EYE, NONE, 1.5, (1, 1), 0.0, sampling, 0.0))
        # the mean rests at η v'Dv = 1, only the noise of single samples is left
        cases.append(Case(EYE, NONE, 3.0, (1, 1), 0.0, sampling, 0.0))
        # one heavy sample at the step that annihilates the mean
        one = np.concatenate([EYE[:1], np.zeros((2, 1, 3))])
        cases.append(Case(one, NONE, 3.0, (1, 1), 0.0, sampling, 0.0))
    return cases


def check(bounds, rho):
    assert violations(bounds, rho) == []


def run(seed):
    case = draw(seed)
    rho = case.exact()
    bounds = case.dynamics().bounds(gap=False)
    if rho is None:
        assert bounds == []
    else:
        assert {b.name for b in bounds} >= set(NAMES) - {
            "unlearning coherence", "three-axis coherence"
        }  # fmt: skip
        check(bounds, rho)


@settings(max_examples=2000)
@given(st.integers(0, 2**63))
def test_no_bound_is_violated(seed):
    run(seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_no_bound_is_violated_in_100_000_cases(part):
    for seed in np.random.default_rng(part).integers(2**63, size=25_000):
        run(int(seed))


@pytest.fixture(scope="module")
def evaluated():
    pairs = [(case.dynamics().bounds(gap=False), case.exact()) for case in attained()]
    return [(bounds, rho) for bounds, rho in pairs if rho is not None]


def test_the_attained_cases_pass(evaluated):
    for bounds, rho in evaluated:
        check(bounds, rho)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_constant_shows(evaluated, name):
    def mutate(b):
        if b.name != name:
            return b
        factor = 1.05 if b.kind == "necessary" else 1 / 1.05
        return replace(b, rho_bound=factor * b.rho_bound)

    caught = {
        wrong for bounds, rho in evaluated for wrong in violations([mutate(b) for b in bounds], rho)
    }
    assert caught == {name}


def test_a_wrong_noise_constant_shows(evaluated, monkeypatch):
    """The mutation inside the formula: 5 % more of every c_s, in the closed forms only."""
    from rmtstab.theory import noise

    class Heavier(Scheme):
        @staticmethod
        def named(sampling):
            right = Scheme.named(sampling)
            return Heavier(right.name, right.fixed_size, right.exhausts)

        def coefficients(self, n, batch):
            return tuple(1.05 * value for value in super().coefficients(n, batch))

    monkeypatch.setattr(noise, "Scheme", Heavier)
    caught = set()
    for case in attained():
        rho = case.exact()
        if rho is not None:
            caught |= set(violations(case.dynamics().bounds("closed form", gap=False), rho))
    assert caught >= {"direction", "trace", "single sample", "unlearning coherence"}
    assert "mean" not in caught


def test_gaps_are_relative_to_the_exact_growth_factor():
    case = draw(3)
    dyn = case.dynamics()
    rho = case.exact()
    for b in dyn.bounds():
        ends = (b.rho_bound, rho) if b.kind == "necessary" else (rho, b.rho_bound)
        assert (
            b.gap == np.inf
            if ends[0] == 0.0
            else ends[0] * (1.0 + b.gap) == pytest.approx(ends[1], rel=1e-9, nan_ok=True)
        )


def test_costs_nest():
    dyn = draw(5).dynamics()
    names = [{b.name for b in dyn.bounds(cost, gap=False)} for cost in rs.bounds.COSTS]
    assert names[0] < names[1] < names[2] == set(NAMES)
    with pytest.raises(ValueError, match="cost must be one of"):
        dyn.bounds("free")
