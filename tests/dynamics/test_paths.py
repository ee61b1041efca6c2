"""Trajectories, gradients, stationary covariance, simulation: against dense and each other."""

import numpy as np
import pytest

from rmtstab import UnlearningProblem
from rmtstab.dynamics import trajectory as walks
from tests import naive
from tests.strategies import SAMPLINGS, hessians


def problem_of(rng, c=1, scale=1.0):
    z = scale * rng.standard_normal((9, c, 5))
    return UnlearningProblem.from_factors(z[:6], z[6:]), z


def blocks(problem, c):
    return problem.factors.matrix.T.reshape(problem.n_retain + problem.n_forget, c, -1)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_trajectory_iterates_the_dense_operator(sampling, momentum, rng):
    problem, _ = problem_of(rng, 2)
    dyn = problem.dynamics(0.1, (2, 1), 0.2, sampling, 0.05, momentum)
    h = hessians(blocks(problem, 2))
    dense = naive.second_moment(h[:6], h[6:], 0.1, (2, 1), 0.2, sampling, 0.05, momentum)
    w = rng.standard_normal(problem.rank)
    state = np.concatenate([w, w]) if momentum else w
    m, path = np.outer(state, state), dyn.trajectory(5, w, observables=[np.diag(w)])
    for k in range(6):
        top = m[: len(w), : len(w)]
        assert path.displacement[k] == pytest.approx(np.trace(top), rel=1e-11)
        assert path.retain_loss[k] == pytest.approx(0.5 * np.vdot(h[:6].mean(0), top), rel=1e-11)
        assert path.forget_loss[k] == pytest.approx(0.5 * np.vdot(h[6:].mean(0), top), rel=1e-11)
        assert path.observed[0, k] == pytest.approx(np.diag(top) @ w, rel=1e-11)
        m = (dense @ m.ravel()).reshape(m.shape)


def augmented(problem, c, gradients, step, batches, alpha, sampling):
    """Dense operator of the state (w, 1)."""
    h = hessians(blocks(problem, c))
    r = problem.rank
    full = np.zeros((len(h), r + 1, r + 1))
    full[:, :r, :r], full[:, :r, r] = h, gradients
    return naive.second_moment(full[:6], full[6:], step, batches, alpha, sampling)


@pytest.mark.parametrize("c", [1, 2])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_gradients_make_the_dynamics_affine(sampling, c, rng):
    problem, _ = problem_of(rng, c, 0.6)
    g = problem.sample_gradients(rng.standard_normal(9 * c))
    dense = augmented(problem, c, g, 0.1, (2, 1), 0.05, sampling)
    dyn = problem.dynamics(0.1, (2, 1), 0.05, sampling)
    w = rng.standard_normal(problem.rank)
    state = np.outer(np.append(w, 1), np.append(w, 1))
    path = dyn.trajectory(5, w, gradients=g)
    for k in range(6):
        m, mean = state[:-1, :-1], state[:-1, -1]
        assert path.displacement[k] == pytest.approx(np.trace(m), rel=1e-10)
        h = hessians(blocks(problem, c))[6:].mean(axis=0)
        forget = 0.5 * np.vdot(h, m) + g[6:].mean(axis=0) @ mean
        assert path.forget_loss[k] == pytest.approx(forget, rel=1e-9)
        state = (dense @ state.ravel()).reshape(state.shape)


@pytest.mark.parametrize("alpha", [0.0, 0.05])
def test_stationary_state_is_the_limit_of_the_dense_operator(alpha, rng):
    problem, _ = problem_of(rng, 1, 0.6)
    g = problem.sample_gradients(rng.standard_normal(9))
    dyn = problem.dynamics(0.1, (2, 1), alpha)
    assert dyn.growth_factor() < 1
    found = dyn.stationary(g)
    dense = augmented(problem, 1, g, 0.1, (2, 1), alpha, "without_replacement")
    r = problem.rank
    state = np.zeros((r + 1, r + 1))
    state[r, r] = 1.0
    state = (np.linalg.matrix_power(dense, 2**14) @ state.ravel()).reshape(r + 1, r + 1)
    mean = state[:r, r]
    np.testing.assert_allclose(found.mean, mean, atol=1e-8)
    np.testing.assert_allclose(found.covariance, state[:r, :r] - np.outer(mean, mean), atol=1e-7)
    assert found.converged
    with pytest.raises(ValueError, match="stationary needs a growth factor below 1"):
        problem.dynamics(50.0, (2, 1), 0.0).stationary(g)


def test_stationary_needs_no_noise_to_vanish(rng):
    problem, _ = problem_of(rng, 1, 0.6)
    found = problem.dynamics(0.1, (6, 3), 0.0).stationary(problem.sample_gradients(np.ones(9)))
    np.testing.assert_allclose(found.covariance, 0.0, atol=1e-12)


def test_resistance_of_a_mean_driven_escape(rng):
    z = rng.standard_normal((8, 20))
    problem = UnlearningProblem.from_factors(z[:6], z[6:])
    dyn = problem.dynamics(0.01, (6, 2), 0.3)
    retain, forget = problem.mean_curvatures
    v = np.linalg.eigh(0.7 * retain - 0.3 * forget)[1][:, 0]
    assert dyn.resistance() == pytest.approx((v @ retain @ v) / (v @ forget @ v), rel=1e-6)
    assert dyn.resistance() < 0.3 / 0.7
    assert problem.dynamics(0.01, (6, 2), 0.0).resistance() == np.inf
    path = dyn.trajectory(400)
    t = np.flatnonzero(path.forget_loss >= 10 * path.forget_loss[0])[0]
    ratio = path.retain_loss[t] / path.retain_loss[0]
    ratio /= path.forget_loss[t] / path.forget_loss[0]
    assert dyn.resistance(horizon=400) == pytest.approx(ratio)
    assert dyn.resistance(horizon=1) == np.inf
    least = problem.resistance(400, 0.01, (6, 2), [0.3, 0.9])
    assert least <= ratio


def test_escape_time_is_the_first_passage(rng):
    problem, _ = problem_of(rng)
    dyn = problem.dynamics(0.1, (2, 1), 0.8)
    path = dyn.trajectory(200).displacement
    assert dyn.escape_time(10.0) == np.flatnonzero(path >= 100.0)[0]
    assert problem.dynamics(0.01, (6, 3), 0.0).escape_time(10.0) == np.inf


def test_report_says_it_in_words(rng):
    problem, _ = problem_of(rng)
    dyn = problem.dynamics(0.1, (2, 1), 0.8)
    assert "escapes: the mean dynamics ascend" in dyn.report()
    assert "resistance" in dyn.report() and dyn._repr_html_().startswith("<table>")
    assert "stable:" in UnlearningProblem.from_factors(np.eye(3)).dynamics(0.1, 1, 0.0).report()


def test_long_trajectories_do_not_overflow_into_nan(rng):
    problem, _ = problem_of(rng)
    path = problem.dynamics(3.0, (1, 1), 0.9).trajectory(1500)
    assert not np.isnan(path.displacement).any() and path.displacement[-1] == np.inf
    runs = problem.dynamics(3.0, (1, 1), 0.9).simulate(1500, 2, 0)
    assert np.isfinite(runs.log_displacement).all()


def test_coordinates_keep_norms(rng):
    z = rng.standard_normal((6, 4, 30))
    problem = UnlearningProblem.from_factors(z[:4], z[4:])
    rows = z.reshape(-1, 30)
    u = rng.standard_normal(24)
    w = rows.T @ u
    a = problem.from_sample_space(u)
    assert np.linalg.norm(a) == pytest.approx(np.linalg.norm(w))
    np.testing.assert_allclose(problem.from_predictions(rows @ w), a, atol=1e-10)
    retain = rows[:16].T @ rows[:16] / 4
    assert a @ problem.mean_curvatures[0] @ a == pytest.approx(w @ retain @ w)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_one_simulated_step_has_the_moments_of_the_operator(sampling, rng):
    # the other schemes' coefficients are 20 and more standard errors away
    problem, _ = problem_of(rng, 2)
    dyn = problem.dynamics(0.3, (2, 1), 0.4, sampling)
    w = rng.standard_normal(problem.rank)
    runs = dyn.simulate(1, 40_000, rng, w, losses=True)
    exact = dyn.trajectory(1, w)
    squares = runs.displacement[:, 1] ** 2
    for drawn, value in (
        (squares, exact.displacement[1]),
        (runs.retain_loss[:, 1], exact.retain_loss[1]),
        (runs.forget_loss[:, 1], exact.forget_loss[1]),
    ):
        error = drawn.std() / np.sqrt(len(drawn))
        assert abs(drawn.mean() - value) < 5 * error


def test_momentum_and_decay_in_the_simulation_follow_the_mean(rng):
    problem, _ = problem_of(rng)
    dyn = problem.dynamics(0.1, (6, 3), 0.2, weight_decay=0.1, momentum=0.5)
    w = rng.standard_normal(problem.rank)
    runs, exact = dyn.simulate(30, 1, 0, w), dyn.trajectory(30, w)
    np.testing.assert_allclose(runs.displacement[0] ** 2, exact.displacement, rtol=1e-9)


def test_simulation_does_not_depend_on_threads(rng):
    problem, _ = problem_of(rng)
    dyn = problem.dynamics(0.2, (2, 1), 0.2)
    one, two = (dyn.simulate(40, 7, 3, workers=k, losses=True) for k in (1, 2))
    np.testing.assert_array_equal(one.log_displacement, two.log_displacement)
    np.testing.assert_array_equal(one.log_forget_loss, two.log_forget_loss)
    assert one.quantiles().shape == (3, 41)
    np.testing.assert_array_equal(np.asarray(one), one.displacement)


def test_typical_rate_lies_below_the_mean_square_rate():
    # one direction, one of two samples a step: log|w| is a random walk with known drift
    z = np.array([[0.0], [1.5]])
    problem = UnlearningProblem.from_factors(z)
    dyn = problem.dynamics(1.5, 1, 0.0, sampling="with_replacement")
    rate = dyn.lyapunov(0, replicas=200, steps=800)
    drift = 0.5 * np.log(abs(1 - 1.5 * 2.25))
    assert abs(rate.value - drift) < 5 * rate.standard_error
    assert rate.value < dyn.escape_rate()


def test_shuffled_epochs_visit_each_sample_once():
    # orthogonal samples with η‖z‖² = 1 are fitted exactly after one epoch
    problem = UnlearningProblem.from_factors(np.eye(6))
    dyn = problem.dynamics(2.0, 2, 0.0)
    runs = dyn.simulate(4, 20, 0, shuffled=True)
    assert np.all(runs.displacement[:, 2] > 0.0)
    assert np.all(np.isneginf(runs.log_displacement[:, 3]))
    fresh = dyn.simulate(3, 20, 0)
    assert np.isfinite(fresh.log_displacement[:, 3]).any()


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_quantiles_stand_beside_the_mean_square(momentum, rng):
    problem, _ = problem_of(rng)
    dyn = problem.dynamics(0.1, (2, 1), 0.2, momentum=momentum)
    path = dyn.trajectory(30, quantiles=(0.1, 0.5, 0.9), replicas=40, rng=3)
    np.testing.assert_array_equal(path.displacement, dyn.trajectory(30).displacement)
    runs = np.sort(dyn.simulate(30, 40, 3).displacement ** 2, axis=0)
    np.testing.assert_allclose(path.quantiles, runs[[3, 19, 35]], rtol=1e-14)
    two = dyn.trajectory(30, quantiles=(0.1, 0.5, 0.9), replicas=40, rng=3, workers=2)
    np.testing.assert_array_equal(two.quantiles, path.quantiles)
    assert dyn.trajectory(3).quantiles.size == 0


def test_quantiles_of_a_deterministic_run_are_the_mean_square(rng):
    problem, _ = problem_of(rng)
    w = rng.standard_normal(problem.rank)
    path = problem.dynamics(0.1, (6, 3), 0.2).trajectory(20, w, quantiles=0.5, replicas=2, rng=0)
    np.testing.assert_allclose(path.quantiles[0], path.displacement, rtol=1e-10)


def test_where_noise_drives_the_escape_the_typical_run_decays():
    # one direction, one of two samples a step: multipliers 0.2 and −1.7 with equal chances
    problem = UnlearningProblem.from_factors(np.sqrt([[0.8], [2.7]]))
    dyn = problem.dynamics(1.0, 1, 0.0, sampling="with_replacement")
    path = dyn.trajectory(100, [1.0], quantiles=[0.5], rng=0)
    assert path.displacement[-1] == pytest.approx((0.5 * 0.2**2 + 0.5 * 1.7**2) ** 100)
    assert path.displacement[-1] > 1e15
    # the median of the number of 0.2s is 50, within 5 standard errors of 256 runs' median
    larger = (np.log(path.quantiles[0, -1]) / 2 - 100 * np.log(0.2)) / np.log(1.7 / 0.2)
    assert larger == pytest.approx(50, abs=5 * 1.26 * 5 / 16)
    assert path.quantiles[0, -1] < 1e-30


def test_quantiles_are_refused_without_a_source_of_randomness(rng):
    problem, _ = problem_of(rng)
    dyn = problem.dynamics(0.1, (2, 1), 0.2)
    with pytest.raises(TypeError, match="quantiles need rng"):
        dyn.trajectory(3, quantiles=[0.5])
    with pytest.raises(ValueError, match=r"quantiles must lie in \[0, 1\], got 2.0"):
        dyn.trajectory(3, quantiles=[0.5, 2.0], rng=0)
    with pytest.raises(ValueError, match="runs without gradients"):
        dyn.trajectory(3, quantiles=[0.5], rng=0, gradients=np.ones((9, problem.rank)))


def test_steps_of_any_size_overflow_to_infinity_without_a_warning():
    problem = UnlearningProblem.from_factors(np.eye(3))
    start = 1e60 * np.eye(3)
    kept = start.copy()
    path = problem.dynamics(1e60, 1, 0.0).trajectory(6, start)
    assert np.isfinite(path.displacement[:2]).all() and np.isinf(path.displacement[4:]).all()
    np.testing.assert_array_equal(start, kept)


def test_a_stable_run_may_pass_a_radius_late_and_stops_early_if_not(monkeypatch):
    """Φ contracts, yet the trace rises for some steps; beyond reach the walk ends at once."""
    factors = [[2.0, -1.0, -3.0], [-2.0, -2.0, 1.0], [-2.0, -2.0, -2.0]]
    problem = UnlearningProblem.from_factors(factors)
    dyn = problem.dynamics(0.99 * problem.critical_step_size(1).value, 1, 0.0)
    assert dyn.growth().value < 1.0
    rng, late = np.random.default_rng(1), 0
    for _ in range(60):
        v = rng.standard_normal(problem.rank)
        path, moment = [1.0], np.outer(v, v) / (v @ v)
        for _ in range(3):
            moment = dyn.apply(moment)
            path.append(float(np.trace(moment)))
        if path[2] > 1.02 * max(path[0], path[1]):
            late += 1
            radius = np.sqrt(0.5 * (path[2] + max(path[:2])))
            assert dyn.escape_time(radius, initial=v / np.linalg.norm(v)) == 2
    assert late >= 3
    steps = []
    step = walks.Walker.step
    monkeypatch.setattr(walks.Walker, "step", lambda self: (steps.append(1), step(self))[1])
    assert dyn.escape_time(50.0) == np.inf
    assert len(steps) <= 2
