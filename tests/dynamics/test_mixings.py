"""Runs at many mixings under one draw: against explicit steps, single mixings, and Φᵏ."""

import numpy as np
import pytest

from rmtstab import UnlearningProblem
from rmtstab.dynamics.mixings import simulate_mixings
from tests.strategies import SAMPLINGS


@pytest.fixture
def problem(rng):
    return UnlearningProblem.from_factors(rng.standard_normal((6, 4)), rng.standard_normal((3, 4)))


def test_full_batches_are_powers_of_the_mean(problem):
    """Nothing is drawn but the start: w_k = (1 − ηD)ᵏ w_0, losses by the forget Hessian."""
    alphas, eta = [0.0, 0.3, 1.0], 0.2
    runs = simulate_mixings(
        problem, eta, (6, 3), alphas, "without_replacement",
        steps=6, replicas=2, rng=1, record_every=2,
    )  # fmt: skip
    z = problem.factors.matrix
    retain, forget = z[:, :6] @ z[:, :6].T / 6, z[:, 6:] @ z[:, 6:].T / 3
    seeds = np.random.SeedSequence(
        np.random.default_rng(1).integers(2**63, size=4).tolist()
    ).spawn(2)  # fmt: skip
    for k, seed in enumerate(seeds):
        start = np.random.Generator(np.random.PCG64(seed)).standard_normal(problem.rank)
        for j, alpha in enumerate(alphas):
            w = start / np.linalg.norm(start)
            step = np.eye(len(w)) - eta * ((1 - alpha) * retain - alpha * forget)
            for record in range(4):
                assert runs.log_displacement[k, record, j] == pytest.approx(
                    np.log(np.linalg.norm(w)), abs=1e-12
                )
                assert runs.log_forget_loss[k, record, j] == pytest.approx(
                    np.log(0.5 * w @ forget @ w), abs=1e-12
                )
                w = step @ step @ w
    assert runs.steps.tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_mean_square_is_that_of_the_operator(sampling, problem):
    alphas = [0.05, 0.4]
    runs = simulate_mixings(problem, 0.1, (2, 1), alphas, sampling, steps=5, replicas=4000, rng=0)
    for j, alpha in enumerate(alphas):
        path = problem.dynamics(0.1, (2, 1), alpha, sampling).trajectory(5)
        squares = np.exp(2.0 * runs.log_displacement[:, -1, j])
        error = squares.std() / np.sqrt(len(squares))
        assert abs(squares.mean() - path.displacement[-1]) < 5 * error
        losses = np.exp(runs.log_forget_loss[:, -1, j])
        assert abs(losses.mean() - path.forget_loss[-1]) < 5 * losses.std() / np.sqrt(4000)


def test_what_else_is_simulated_does_not_matter(problem):
    alone = simulate_mixings(
        problem, 0.1, (2, 1), [0.3], "without_replacement", steps=8, replicas=3, rng=5
    )
    beside = simulate_mixings(
        problem, 0.1, (2, 1), [0.0, 0.3, 0.9], "without_replacement", steps=8, replicas=3, rng=5
    )
    np.testing.assert_allclose(
        alone.log_displacement[..., 0], beside.log_displacement[..., 1], rtol=1e-12
    )


def test_growth_beyond_the_range_of_doubles(problem):
    runs = simulate_mixings(
        problem, 50.0, (2, 1), [1.0], "without_replacement",
        steps=2000, replicas=2, rng=0, record_every=10,
    )  # fmt: skip
    slopes = np.diff(runs.log_displacement[..., 0], axis=1)
    assert np.isfinite(slopes).all() and runs.log_displacement.min(axis=1).max() >= -1e-12
    assert runs.log_displacement[:, -1].min() > 800.0
    assert slopes[:, :100].mean() == pytest.approx(slopes[:, 100:].mean(), rel=0.1)


def test_records_far_apart_lose_nothing(problem):
    """Between two records the weights grow by more than doubles hold."""
    settings = (problem, 50.0, (2, 1), [0.0, 1.0], "without_replacement")
    often, last = (
        simulate_mixings(*settings, steps=1200, replicas=2, rng=0, record_every=every)
        for every in (1, 1200)
    )
    assert np.isfinite(last.log_displacement).all() and last.log_displacement.max() > 800.0
    np.testing.assert_allclose(last.log_displacement, often.log_displacement[:, ::1200], rtol=1e-9)
    np.testing.assert_allclose(last.log_forget_loss, often.log_forget_loss[:, ::1200], rtol=1e-9)


def test_without_a_forget_set(rng):
    problem = UnlearningProblem.from_factors(rng.standard_normal((3, 4)))
    with np.errstate(all="raise"):
        runs = simulate_mixings(
            problem, 0.1, 2, [0.0], "without_replacement", steps=4, replicas=2, rng=0
        )
    assert np.isfinite(runs.log_displacement).all()


def test_bad_input(problem):
    call = dict(sampling="without_replacement", steps=4, replicas=2, rng=0)
    with pytest.raises(ValueError, match="steps must be a multiple of record_every=3, got 4"):
        simulate_mixings(problem, 0.1, 1, [0.1], record_every=3, **call)
    with pytest.raises(ValueError, match="alpha must lie in"):
        simulate_mixings(problem, 0.1, 1, [1.5], **call)
    with pytest.raises(ValueError, match="batch_size must"):
        simulate_mixings(problem, 0.1, (7, 1), [0.5], **call)
