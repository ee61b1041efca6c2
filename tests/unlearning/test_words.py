"""What a report of dynamics says, and where it says something else."""

from dataclasses import replace

import numpy as np
import pytest

import rmtstab as rs
from rmtstab.unlearning import words


def facts(dyn, **growth):
    """Facts by label."""
    found = replace(dyn.growth(), **growth)
    critical = dyn.problem.critical_step_size(dyn.batch_size, dyn.alpha)
    return dict(words.facts(dyn, found, critical, lambda: 3.0))


@pytest.fixture
def problem():
    return rs.UnlearningProblem.from_factors(np.eye(3), np.eye(3)[:1])


def test_what_escapes_has_a_time_and_a_price(problem):
    told = facts(problem.dynamics(0.1, (1, 1), 0.5), value=np.e**2)
    assert told["e-fold time"] == "1 steps (mean square)"
    assert told["resistance"] == "3 retain loss per unit of forget loss"
    assert told["problem"] == "3 retain, 1 forget, rank 3"
    assert "batches 1/1, mixing 0.5, without_replacement" in told["update"]


@pytest.mark.parametrize("value", [0.5, 1.0])
def test_what_does_not_grow_has_neither(problem, value):
    assert not {"e-fold time", "resistance"} & set(
        facts(problem.dynamics(0.1, 1, 0.0), value=value)
    )


@pytest.mark.parametrize("value", [1.5, 2.5])
def test_nor_does_it_need_to_double(problem, value):
    assert "resistance" in facts(problem.dynamics(0.1, 1, 0.0), value=value)


def test_a_verdict_of_plain_descent_says_so(problem):
    said = [facts(problem.dynamics(0.1, 1, alpha))["verdict"] for alpha in (0.0, 0.2)]
    assert said[0].startswith("stable: ") and said[0].endswith(")") and "plain SGD" in said[0]
    assert "plain SGD" not in said[1]


@pytest.mark.parametrize(
    ("factor", "slope", "unseen"),
    [(0.0, 1.0, True), (0.0, 0.0, False), (1.0, 1.0, False), (1.0, 0.0, False), (0.0, None, False)],
)
def test_gradients_without_curvature_leave_no_verdict(factor, slope, unseen):
    """Also where only one sample pushes."""
    pushes = None if slope is None else (slope * np.eye(3)[:2], slope * np.eye(3)[2:])
    problem = rs.UnlearningProblem.from_factors(
        factor * np.eye(3)[:2], factor * np.eye(3)[2:], gradients=pushes
    )
    told = facts(problem.dynamics(0.1, 1, 0.2))
    assert told["verdict"].startswith("none: no sample has curvature") == unseen
    assert list(told)[:2] == ["problem", "update"]
    assert ("growth factor" in told) != unseen
