"""All steps at once by quadrature: the walk's own numbers, in fewer applications."""

import numpy as np
import pytest

from rmtstab import UnlearningProblem
from rmtstab.dynamics.powers import IsotropicPowers
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
        assert found.at(k) == pytest.approx(path[k], rel=1e-10)
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
    assert IsotropicPowers(dyn).at(200) == np.inf
    still = UnlearningProblem.from_factors(np.eye(2)).dynamics(2.0, 2, 0.0)  # J = 0
    assert [IsotropicPowers(still).at(k) for k in (0, 1, 5)] == [1.0, 0.0, 0.0]
