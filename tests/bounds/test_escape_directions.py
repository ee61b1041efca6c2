"""Escape probabilities, mirror law and resistance with noise, read off a problem."""

import numpy as np
import pytest

import rmtstab as rs
from rmtstab.theory.mirror import MirrorLaw


def problem(seed=0, outputs=1, spread=0.3):
    rng = np.random.default_rng(seed)
    z = spread * rng.standard_normal((9, outputs, 3)) + rng.standard_normal((1, 1, 3))
    z[5:] += rng.standard_normal(3)
    return z, rs.UnlearningProblem.from_factors(z[:5], z[5:])


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_law_of_a_problem_is_that_of_its_hessians(outputs):
    z, p = problem(1, outputs)
    h = np.einsum("nci,ncj->nij", z, z)
    dyn = p.dynamics(0.05, (2, 2), 0.5)
    mu, q = np.linalg.eigh(0.5 * h[:5].mean(0) - 0.5 * h[5:].mean(0))
    expected = MirrorLaw.from_hessians(h[:5], h[5:], q[:, np.argmax(np.abs(1 - 0.05 * mu))])
    found = dyn.mirror_law()
    for sampling in ("bernoulli", "without_replacement"):
        assert found.variance((2, 2), 0.5, sampling) == pytest.approx(
            expected.variance((2, 2), 0.5, sampling), rel=1e-9
        )
        assert found.second_moment((2, 2), 0.5, sampling) == pytest.approx(
            expected.second_moment((2, 2), 0.5, sampling), rel=1e-9
        )


def test_closed_frontiers_meet_the_exact_ones():
    _, p = problem(2, outputs=3)
    law = p.frontier_law()
    errors = []
    for eta in (0.02, 0.01):
        found = law.frontiers(eta, (2, 2), "without_replacement")
        exact = float(p.critical_alpha(eta, (2, 2)))
        errors.append(abs(exact - found.mean_square))
        assert errors[-1] < 0.3 * (found.mean - found.mean_square)
    assert errors[1] < 0.35 * errors[0]


def test_resistance_with_noise_is_nearer_the_exact_one_than_the_mean():
    closer = 0
    for seed in range(12):
        _, p = problem(seed)
        dyn = p.dynamics(0.02, (3, 3), 0.8)
        if dyn.verdict() is not rs.Verdict.ESCAPES:
            continue
        found, exact = dyn.resistance_with_noise(), dyn.resistance()
        closer += abs(found.value - exact) < 0.2 * abs(found.mean_only - exact)
        assert found.growth == pytest.approx(dyn.growth_factor(), rel=found.noise**2 + 1e-9)
    assert closer >= 8


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_no_more_runs_leave_than_the_bound_allows(alpha, decay):
    _, p = problem(3, spread=1.0)
    dyn = p.dynamics(0.1, (2, 2), alpha, weight_decay=decay)
    for radius in (1.2, 2.0, 5.0, 50.0):
        found = dyn.escape_probability(radius, 60, replicas=2000, rng=0)
        assert found.simulated.value <= found.bound + 5 * max(found.simulated.standard_error, 1e-3)
    far = dyn.escape_probability(1e12, 60).bound
    assert far < 1e-6  # the radius is felt


def test_a_vector_start_and_marginal_directions_count():
    """At mixing 0 a direction that only the forget set sees stays where it was."""
    p = rs.UnlearningProblem.from_factors(np.eye(2)[:1], np.eye(2)[1:])
    dyn = p.dynamics(0.5, (1, 1), 0.0)
    start = np.array([0.0, 3.0])
    assert dyn.escape_probability(3.0, 10, start).bound == 1.0
    assert dyn.escape_probability(30.0, 10, start).bound == pytest.approx(0.01)


def test_bad_input():
    _, p = problem()
    dyn = p.dynamics(0.1, (2, 2), 0.1)
    with pytest.raises(ValueError, match="radius must be > 0"):
        dyn.escape_probability(0.0, 10)
    with pytest.raises(ValueError, match="momentum must be 0"):
        dyn.at(momentum=0.5).escape_probability(2.0, 10)
    with pytest.raises(ValueError, match="weight_decay must be 0"):
        dyn.at(weight_decay=0.5).mirror_law()
    wide = rs.UnlearningProblem.from_factors(np.eye(3)[:2], np.eye(3)[2:])
    with pytest.raises(ValueError, match="retain must have curvature along every forget"):
        wide.frontier_law()
