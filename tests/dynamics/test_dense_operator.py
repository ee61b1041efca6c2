"""The dense operator and one application, momentum included, against naive Kronecker products."""

import numpy as np
import pytest

from rmtstab import UnlearningProblem
from tests import naive
from tests.strategies import SAMPLINGS, hessians


def build(rng, sampling, momentum, alpha=0.3):
    z = 0.6 * rng.standard_normal((7, 2, 3))
    problem = UnlearningProblem.from_factors(z[:5], z[5:])
    dyn = problem.dynamics(0.2, (2, 1), alpha, sampling, 0.05, momentum)
    h = hessians(problem.factors.matrix.T.reshape(7, 2, -1))
    return dyn, naive.second_moment(h[:5], h[5:], 0.2, (2, 1), alpha, sampling, 0.05, momentum)


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_matrix_is_the_kronecker_one_in_the_eigenbasis(sampling, momentum, rng):
    dyn, dense = build(rng, sampling, momentum)
    matrix, basis = dyn.operator_matrix()
    turn = np.kron(np.eye(2), basis) if momentum else basis
    change = np.kron(turn, turn)
    np.testing.assert_allclose(matrix, change.T @ dense @ change, atol=1e-13)
    assert np.abs(np.linalg.eigvals(matrix)).max() == pytest.approx(dyn.growth_factor(), rel=1e-10)
    if not momentum:
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-14)


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_application_is_the_kronecker_one_on_non_symmetric_matrices(sampling, momentum, rng):
    dyn, dense = build(rng, sampling, momentum)
    side = dyn.problem.rank * (2 if momentum else 1)
    m = rng.standard_normal((side, side))
    np.testing.assert_allclose(dyn.apply(m), (dense @ m.ravel()).reshape(m.shape), atol=1e-13)


def test_matrix_lives_on_the_judged_range(rng):
    z = rng.standard_normal((6, 5))
    dyn = UnlearningProblem.from_factors(z[:2], z[2:]).dynamics(0.1, (1, 1), 0.0)
    matrix, basis = dyn.operator_matrix()
    assert matrix.shape == (4, 4) and basis.shape == (5, 2)


def test_too_large_a_matrix_is_refused_before_any_work():
    dyn = UnlearningProblem.from_factors(np.eye(200)).dynamics(1.0, 10, 0.0, momentum=0.5)
    with pytest.raises(ValueError, match=r"needs 205 GB for r=200, more than memory_limit=2 GB"):
        dyn.operator_matrix()
    with pytest.raises(ValueError, match="use operator"):
        UnlearningProblem.from_factors(np.eye(9)).dynamics(1.0, 3, 0.0).operator_matrix(1e4)
    with pytest.raises(ValueError, match=r"second_moment must have shape \(400, 400\)"):
        dyn.apply(np.eye(200))
