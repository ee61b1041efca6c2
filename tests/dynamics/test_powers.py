"""All steps at once by quadrature: the walk's own numbers, in fewer applications."""

import numpy as np
import pytest

from rmtstab import UnlearningProblem
from rmtstab.dynamics import centred
from rmtstab.dynamics.powers import IsotropicPowers, width_for
from rmtstab.dynamics.trajectory import Walker
from tests.strategies import SAMPLINGS


def problem(rng, decades=0):
    z = rng.standard_normal((40, 30)) * 10.0 ** np.linspace(0, -decades / 2, 30)
    return UnlearningProblem.from_factors(z[:30], z[30:])


@pytest.mark.parametrize("decades", [0, 6])
@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_quadrature_is_the_walk(sampling, alpha, decades, rng):
    given = problem(rng, decades)
    step = 0.5 * float(given.critical_step_size((4, 2), sampling=sampling))
    dyn = given.dynamics(step, (4, 2), alpha, sampling)
    path = dyn.trajectory(300).displacement
    for k in (0, 1, 2, 7, 60, 300):
        found = IsotropicPowers(dyn)
        lower, upper = np.exp(found.log_between(k))
        assert lower <= path[k] <= upper <= lower * (1.0 + width_for(0, k))
        assert found._krylov.applications <= 60


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_escape_times_are_those_of_the_walk(sampling, rng):
    given = problem(rng, 4)
    step = 0.3 * float(given.critical_step_size((4, 2), sampling=sampling))
    for alpha, radius in ((0.3, 3.0), (0.5, 10.0), (0.9, 1.5)):
        dyn = given.dynamics(step, (4, 2), alpha, sampling)
        walker, k = Walker(dyn, None), 0
        while walker.value(None) < radius**2:
            walker.step()
            k += 1
        assert dyn.escape_time(radius) == k > 1
        assert dyn.escape_time(radius, limit=k - 1) == np.inf
        assert dyn.escape_time(radius, limit=k) == k


def test_beyond_the_floating_point_range(rng):
    dyn = problem(rng).dynamics(1e6, (4, 2), 0.4)
    assert 700.0 < IsotropicPowers(dyn).log_between(200)[0] < np.inf
    still = UnlearningProblem.from_factors(np.eye(2)).dynamics(2.0, 2, 0.0)  # J = 0
    powers = IsotropicPowers(still)
    assert np.exp(powers.log_between(0)) == pytest.approx([1.0, 1.0], rel=1e-11)
    assert [powers.log_between(k) for k in (1, 5)] == [(-np.inf, -np.inf)] * 2


@pytest.mark.parametrize("k", [45, 200])
def test_a_large_range_is_enclosed_to_less_at_less_cost(k, rng):
    z = rng.standard_normal((80, 6, 440)) * 10.0 ** np.linspace(0, -3, 440)
    given = UnlearningProblem.from_factors(z[:65], z[65:])
    step = 0.2 * float(given.critical_step_size((4, 2)))
    dyn = given.dynamics(step, (4, 2), 0.3)
    found = IsotropicPowers(dyn)
    lower, upper = np.exp(found.log_between(k, width_for(440, k)))
    assert lower <= dyn.trajectory(k).displacement[k] <= upper <= lower * (1.0 + 2e-8)
    assert found._krylov.applications <= 30
    finer = np.exp(found.log_between(k))  # goes on from there
    assert lower <= finer[0] <= finer[1] <= upper and finer[1] <= finer[0] * (1.0 + 2e-11)


def test_rounding_of_noise_that_cancels_is_counted(rng, monkeypatch):
    # samples nearly alike, too many to be centred one by one: η²HMH cancels from 1e12
    z = np.ones((3000, 1)) + 1e-7 * rng.standard_normal((3000, 1))
    z = np.hstack([z, 1e-9 * rng.standard_normal((3000, 39))])
    problem = UnlearningProblem.from_factors(z[:2000], z[2000:])
    wide = IsotropicPowers(problem.dynamics(1e6, (16, 16), 0.5)).log_between(40)
    monkeypatch.setattr(centred, "ENTRIES", 10_000_000)
    narrow = IsotropicPowers(problem.dynamics(1e6, (16, 16), 0.5)).log_between(40)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert wide[1] - wide[0] > 1e-3 > narrow[1] - narrow[0]
