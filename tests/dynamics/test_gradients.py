"""Gradients, also outside the range of the curvatures: against the dense operator of (w, 1)."""

import pickle

import numpy as np
import pytest

from rmtstab import UnlearningProblem
from rmtstab.dynamics import trajectory
from rmtstab.dynamics.gradients import stationary
from tests import naive
from tests.strategies import SAMPLINGS, hessians

D, C = 7, 2
SPLIT = slice(0, 5), slice(5, 8)


def explicit(rng, scale=0.5):
    """Factors of rank 4 in seven dimensions, and gradients of every direction."""
    z = scale * rng.standard_normal((8, C, 4)) @ rng.standard_normal((4, D)) / 2
    return z, rng.standard_normal((8, D))


def build(z, g):
    return UnlearningProblem.from_factors(
        z[SPLIT[0]], z[SPLIT[1]], gradients=(g[SPLIT[0]], g[SPLIT[1]])
    )


def dense_of(z, g, dyn):
    h = hessians(z)
    return naive.affine_second_moment(
        h[SPLIT[0]], h[SPLIT[1]], (g[SPLIT[0]], g[SPLIT[1]]), dyn.step_size, dyn.batch_size,
        dyn.alpha, dyn.sampling, dyn.weight_decay, dyn.momentum,
    )  # fmt: skip


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_trajectory_is_that_of_the_dense_affine_operator(sampling, alpha, momentum, rng):
    z, g = explicit(rng)
    problem = build(z, g)
    assert (problem.rank, problem.complement) == (4, 3)
    dyn = problem.dynamics(0.1, (2, 1), alpha, sampling, 0.05, momentum)
    dense, h = dense_of(z, g, dyn), hessians(z)
    state = np.zeros(2 * D + 1 if momentum else D + 1)
    state[-1] = 1.0
    m = np.outer(state, state)
    path = dyn.trajectory(6, np.zeros(problem.rank), gradients=problem.gradients)
    for k in range(7):
        second, mean = m[:D, :D], m[:D, -1]
        assert path.displacement[k] == pytest.approx(np.trace(second), rel=1e-11, abs=1e-14)
        for loss, part in ((path.retain_loss, SPLIT[0]), (path.forget_loss, SPLIT[1])):
            exact = 0.5 * np.vdot(h[part].mean(0), second) + g[part].mean(0) @ mean
            assert loss[k] == pytest.approx(exact, rel=1e-11, abs=1e-14)
        m = (dense @ m.ravel()).reshape(m.shape)


def test_starts_and_observables_may_reach_the_complement(rng):
    z, g = explicit(rng)
    problem = build(z, g)
    start = problem.gradients[0]  # coordinates of g_0, which is not in the range
    w, weight = g[0], rng.standard_normal((7, 7))
    coordinates, *_ = np.linalg.lstsq(problem.gradients, g, rcond=None)  # rows: the basis in R^d
    observable = coordinates @ weight @ coordinates.T
    dyn = problem.dynamics(0.1, (2, 1), 0.3, momentum=0.4)
    dense = dense_of(z, g, dyn)
    state = np.concatenate([w, w, [1.0]])
    m = np.outer(state, state)
    path = dyn.trajectory(4, start, gradients=problem.gradients, observables=[observable])
    for k in range(5):
        assert path.observed[0, k] == pytest.approx(np.trace(weight @ m[:D, :D]), rel=1e-9)
        m = (dense @ m.ravel()).reshape(m.shape)


def test_stability_is_judged_by_the_curvatures_alone(rng):
    z, g = explicit(rng)
    with_gradients, without = build(z, g), UnlearningProblem.from_factors(z[:5], z[5:])
    one, two = (p.dynamics(0.2, (2, 1), 0.1).growth() for p in (with_gradients, without))
    assert (one.value, one.verdict) == (two.value, two.verdict)
    assert float(with_gradients.critical_step_size(2)) == float(without.critical_step_size(2))
    again = pickle.loads(pickle.dumps(with_gradients))
    np.testing.assert_array_equal(again.gradients, with_gradients.gradients)
    residuals = rng.standard_normal((8, C))
    inside = build(z, np.einsum("ncd,nc->nd", z, residuals))
    assert inside.complement == 0
    np.testing.assert_allclose(inside.gradients, inside.sample_gradients(residuals), atol=1e-12)
    from_hessians = UnlearningProblem.from_hessians(
        hessians(z[:5]), hessians(z[5:]), gradients=(g[:5], g[5:])
    )
    paths = [
        p.dynamics(0.1, (2, 1), 0.3).trajectory(5, gradients=p.gradients).displacement
        for p in (with_gradients, from_hessians)
    ]
    np.testing.assert_allclose(paths[0], paths[1], rtol=1e-9)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_the_stationary_state_is_solved_to_its_tolerance_and_no_further(tolerance, rng):
    z, g = rng.standard_normal((60, 30)), rng.standard_normal((60, 30))
    problem = UnlearningProblem.from_factors(z[:40], z[40:], gradients=(g[:40], g[40:]))
    dyn = problem.dynamics(0.9 * float(problem.critical_step_size((4, 2), 0.0)), (4, 2), 0.0)
    found = stationary(dyn, problem.gradients, dyn.growth(), tolerance)
    assert found.converged and 0.02 * tolerance < found.residual < 50.0 * tolerance


@pytest.mark.parametrize("momentum", [0.0, 0.7])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("alpha", [0.0, 0.02])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_stationary_state_is_the_limit_of_the_dense_operator(
    sampling, alpha, weight_decay, momentum, rng
):
    z, g = explicit(rng, 1.0)
    problem = build(z, g)
    dyn = problem.dynamics(0.1, (2, 1), alpha, sampling, weight_decay, momentum)
    found = dyn.stationary(problem.gradients)
    assert found.converged
    # settled directions: those of the range (all, with weight decay), by themselves
    coordinates, *_ = np.linalg.lstsq(problem.gradients, g, rcond=None)  # rows: the basis in R^d
    r = problem.rank if weight_decay == 0.0 else len(coordinates)
    keep, rest = coordinates[:r], coordinates[r:]
    inside = dense_of(z @ keep.T, g @ keep.T, dyn)
    m = np.zeros((2 * r + 1 if momentum else r + 1,) * 2)
    m[-1, -1] = 1.0
    m = (np.linalg.matrix_power(inside, 2**13) @ m.ravel()).reshape(m.shape)
    mean, second = m[:r, -1], m[:r, :r]
    np.testing.assert_allclose(found.mean[:r], mean, atol=1e-9)
    np.testing.assert_allclose(found.covariance[:r, :r], second - np.outer(mean, mean), atol=1e-9)
    for loss, part in ((found.retain_loss, SPLIT[0]), (found.forget_loss, SPLIT[1])):
        h = keep @ hessians(z)[part].mean(0) @ keep.T
        exact = 0.5 * np.vdot(h, second) + (keep @ g[part].mean(0)) @ mean
        assert loss == pytest.approx(exact, rel=1e-8)
    # the others drift and diffuse
    dense = dense_of(z, g, dyn)
    m = np.zeros((2 * D + 1 if momentum else D + 1,) * 2)
    m[-1, -1] = 1.0
    early = (np.linalg.matrix_power(dense, 256) @ m.ravel()).reshape(m.shape)
    later = (dense @ early.ravel()).reshape(m.shape)
    np.testing.assert_allclose(found.drift[r:], rest @ (later - early)[:D, -1], atol=1e-9)
    covariances = [
        rest @ (s[:D, :D] - np.outer(s[:D, -1], s[:D, -1])) @ rest.T for s in (early, later)
    ]
    np.testing.assert_allclose(found.diffusion[r:, r:], covariances[1] - covariances[0], atol=1e-8)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_rescaling_does_not_change_affine_trajectories(momentum, rng, monkeypatch):
    z, g = explicit(rng)
    problem = build(z, g)
    dyn = problem.dynamics(5.0, (2, 1), 0.3, momentum=momentum)
    plain = dyn.trajectory(30, gradients=problem.gradients)
    assert plain.displacement[-1] > 1e9
    monkeypatch.setattr(trajectory, "HUGE", 1e2)
    scaled = dyn.trajectory(30, gradients=problem.gradients)
    for name in ("displacement", "retain_loss", "forget_loss"):
        np.testing.assert_allclose(getattr(scaled, name), getattr(plain, name), rtol=1e-11)


def test_escaping_affine_trajectories_overflow_to_infinity_not_to_nan(rng):
    z, g = explicit(rng)
    problem = build(z, g)
    for momentum in (0.0, 0.5):
        dyn = problem.dynamics(30.0, (2, 1), 0.3, momentum=momentum)
        path = dyn.trajectory(600, gradients=problem.gradients)
        assert path.displacement[-1] == np.inf
        assert not np.isnan(path.retain_loss).any() and not np.isnan(path.forget_loss).any()
        plain = dyn.trajectory(600).displacement
        finite = np.isfinite(path.displacement) & (path.displacement > 1e30)
        slope = np.diff(np.log(path.displacement[finite]))[-1]
        assert slope == pytest.approx(np.diff(np.log(plain[np.isfinite(plain)]))[-1], rel=1e-9)


@pytest.mark.parametrize(
    ("gradients", "error", "message"),
    [
        (np.ones((8, D)), TypeError, "must be a pair"),
        ((np.ones((5, D)), np.ones((2, D))), ValueError, r"\(forget\) must have shape \(3, 7\)"),
        ((np.full((5, D), np.nan), np.ones((3, D))), ValueError, "must be finite"),
    ],
)
def test_bad_gradients_are_refused(gradients, error, message, rng):
    z, _ = explicit(rng)
    with pytest.raises(error, match=message):
        UnlearningProblem.from_factors(z[:5], z[5:], gradients=gradients)


def test_bad_shapes_and_divergent_decay_are_refused(rng):
    z, g = explicit(rng)
    problem = build(z, g)
    dyn = problem.dynamics(0.1, (2, 1), 0.1)
    with pytest.raises(ValueError, match=r"gradients must have shape \(8, 4\) or \(8, 7\)"):
        dyn.trajectory(2, gradients=np.ones((8, 5)))
    with pytest.raises(ValueError, match=r"initial must have shape \(4,\)"):
        dyn.trajectory(2, np.ones(6), gradients=problem.gradients)
    null = UnlearningProblem.from_factors(np.zeros((3, 2)), gradients=(np.ones((3, 2)), ()))
    assert (null.rank, null.complement) == (0, 1)
    with pytest.raises(ValueError, match="stationary needs"):
        null.dynamics(1.0, 1, 0.0, weight_decay=3.0).stationary(null.gradients)
