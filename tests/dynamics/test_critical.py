"""Critical values: ρ is 1 there, by the dense operator too; named theorems at α = 0."""

import pickle

import numpy as np
import pytest
from hypothesis import assume, given

from rmtstab import UnlearningProblem
from tests import naive
from tests.strategies import SAMPLINGS, hessians, instances


def build(x):
    options = {k: x[k] for k in ("sampling", "weight_decay", "momentum")}
    return UnlearningProblem.from_factors(x["retain"], x["forget"]), options


def dense(x, **changes):
    x = {**x, **changes}
    rest = {k: v for k, v in x.items() if k not in ("retain", "forget")}
    return naive.growth_factor(hessians(x["retain"]), hessians(x["forget"]), **rest)


@given(instances())
def test_growth_is_one_at_the_critical_step_size(x):
    problem, options = build(x)
    critical = problem.critical_step_size(x["batches"], x["alpha"], **options)
    assume(critical.status == "interior" and critical.value < 1e6)
    assert dense(x, step=critical.value) == pytest.approx(1.0, abs=1e-9)
    # ρ − 1 is at most of the order of η* times the least curvature there: test both sides
    assert dense(x, step=1.05 * critical.value) > 1.0
    assert critical.error_bound <= 1e-6 * critical.value


@given(instances(momentum=True))
def test_growth_is_one_at_the_critical_step_size_with_momentum(x):
    problem, options = build(x)
    critical = problem.critical_step_size(x["batches"], x["alpha"], **options)
    assume(critical.status == "interior" and critical.value < 1e6)
    assert dense(x, step=critical.value) == pytest.approx(1.0, abs=1e-6)
    assert dense(x, step=1.05 * critical.value) > 1.0


@given(instances())
def test_growth_is_one_at_the_critical_mixing(x):
    problem, options = build(x)
    critical = problem.critical_alpha(x["step"], x["batches"], **options)
    if critical.status == "interior":
        assert dense(x, alpha=critical.value) == pytest.approx(1.0, abs=1e-9)
        assert dense(x, alpha=min(1.0, critical.value + 0.02)) > 1.0 - 1e-12
    elif np.isnan(critical.value):
        values = [dense(x, alpha=a) for a in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9)]
        assert min(values) > 1.0 - 1e-9


def test_critical_mixing_is_zero_where_retain_misses_a_direction():
    problem = UnlearningProblem.from_factors(np.eye(3)[:2], np.eye(3)[2:])
    found = problem.critical_alpha(0.5, (2, 1))
    assert float(found) == 0.0 and "marginal at 0" in found.status
    rate = problem.rate_frontier(10.0, 0.5, (2, 1))
    assert problem.dynamics(0.5, (2, 1), float(rate)).growth_factor() == pytest.approx(np.exp(0.2))


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_growth_is_one_at_the_critical_batch_size(sampling, momentum, rng):
    problem = UnlearningProblem.from_factors(rng.standard_normal((12, 4)))
    options = {"sampling": sampling, "momentum": momentum}
    step = float(problem.critical_step_size(5, **options))
    found = problem.critical_batch_size(step, **options)
    assert float(found) == pytest.approx(5.0, rel=1e-8)
    gentle = problem.critical_batch_size(0.01 * step, **options)
    if sampling == "bernoulli":  # ever smaller batches are ever noisier
        assert 0.0 < gentle.value < 0.1
    else:
        assert gentle.value == 1.0 and "stable at every" in gentle.status
    assert np.isnan(float(problem.critical_batch_size(50 * step, **options)))


def test_mulayoff_michaeli_theorem_3(rng):
    # η* = 2/λ_max of the pencil written with explicit Kronecker matrices, B uniform subsets
    z = rng.standard_normal((6, 3))
    h = np.einsum("ni,nj->nij", z, z)
    n, b, eye = 6, 2, np.eye(3)
    mean = h.mean(axis=0)
    p = (n - b) / (b * (n - 1))
    c = 0.5 * (np.kron(mean, eye) + np.kron(eye, mean))
    second = np.mean([np.kron(x, x) for x in h], axis=0)
    d = (1 - p) * np.kron(mean, mean) + p * second
    top = np.max(np.linalg.eigvals(np.linalg.solve(c, d)).real)
    problem = UnlearningProblem.from_factors(z)
    assert float(problem.critical_step_size(b)) == pytest.approx(2.0 / top, rel=1e-10)


def test_mulayoff_michaeli_proposition_1_falls_with_smaller_batches(rng):
    problem = UnlearningProblem.from_factors(rng.standard_normal((8, 5)))
    values = [float(problem.critical_step_size(b)) for b in range(1, 9)]
    assert np.all(np.diff(values) > 0)
    mean = np.asarray(problem.mean_curvatures[0])
    assert values[-1] == pytest.approx(2.0 / np.linalg.eigvalsh(mean)[-1], rel=1e-10)


def test_mulayoff_michaeli_necessary_conditions_hold(rng):
    # the trace and direction conditions, as lower bounds on 1/η*
    z = rng.standard_normal((8, 5))
    h = np.einsum("ni,nj->nij", z, z)
    mean, n, b = h.mean(axis=0), 8, 2
    p = (n - b) / (b * (n - 1))
    values, vectors = np.linalg.eigh(mean)
    critical = float(UnlearningProblem.from_factors(z).critical_step_size(b))
    square = (1 - p) * np.trace(mean @ mean) + p * np.mean([np.trace(x @ x) for x in h])
    assert critical <= 2 * np.trace(mean) / square * (1 + 1e-12)
    v = vectors[:, -1]
    along = (1 - p) * values[-1] ** 2 + p * np.mean((v @ h @ v) ** 2)
    assert critical <= 2 * values[-1] / along * (1 + 1e-12)


def test_mulayoff_michaeli_mixture_of_full_and_single_batches(rng):
    # ALG(p): full gradient with probability 1 − p, one sample with probability p
    z = rng.standard_normal((6, 3))
    n, b, step = 6, 2, 0.1
    p = (n - b) / (b * (n - 1))
    h = np.einsum("ni,nj->nij", z, z)
    eye = np.eye(3)
    full = eye - step * h.mean(axis=0)
    single = [np.kron(eye - step * x, eye - step * x) for x in h]
    mixed = (1 - p) * np.kron(full, full) + p * np.mean(single, axis=0)
    exact = np.linalg.eigvalsh(mixed)[-1]
    value = UnlearningProblem.from_factors(z).dynamics(step, b).growth_factor()
    assert value == pytest.approx(exact, rel=1e-12)


def test_dexter_theorem_1_coherence_bound_diverges(rng):
    z = rng.standard_normal((10, 4))
    problem = UnlearningProblem.from_factors(z)
    sigma, n, b = problem.coherence().retain, 10, 2
    top = np.linalg.eigvalsh(z.T @ z / n)[-1]
    for step in (0.5, 2.0, 8.0):
        bound = step**2 * (n / b - 1) * top**2 / sigma**2
        assert problem.dynamics(step, float(b), sampling="bernoulli").growth_factor() >= bound


@pytest.mark.parametrize("sigma", [2, 3])
def test_dexter_theorem_2_is_attained_on_equal_orthogonal_groups(sigma):
    # λ_max(H) = (2/η) σ/(n/B + σ − 1) at the threshold
    n, b = 6 * sigma, 3.0
    z = np.repeat(np.eye(6), sigma, axis=0)
    problem = UnlearningProblem.from_factors(z)
    assert problem.coherence().retain == pytest.approx(sigma)
    step = float(problem.critical_step_size(b, sampling="bernoulli"))
    assert sigma / n == pytest.approx(2 / step * sigma / (n / b + sigma - 1), rel=1e-12)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_map_and_curve_agree_with_single_cells(sampling, rng):
    problem = UnlearningProblem.from_factors(
        rng.standard_normal((12, 4)), rng.standard_normal((6, 4))
    )
    step = 0.5 * float(problem.critical_step_size((2, 2), sampling=sampling))
    batches, alphas = [(1, 1), (2, 3), (8, 6)], np.array([0.0, 0.1, 0.5, 1.0])
    found = problem.frontier(step, batches, alphas, sampling=sampling)
    for i, alpha in enumerate(alphas):
        for k, batch in enumerate(batches):
            exact = problem.dynamics(step, batch, alpha, sampling).growth_factor()
            assert found.values[i, k] == pytest.approx(exact, rel=1e-6)
    for k, batch in enumerate(batches):
        exact = float(problem.critical_alpha(step, batch, sampling=sampling))
        assert found.critical_alpha[k] == pytest.approx(exact, rel=1e-9, nan_ok=True)


def test_finite_horizon_frontier_crosses_the_radius(rng):
    problem = UnlearningProblem.from_factors(
        rng.standard_normal((8, 20)), rng.standard_normal((4, 20))
    )
    step = 0.5 * float(problem.critical_step_size((2, 2)))
    found = problem.frontier(step, [(2, 2), (8, 4)], [0.0, 0.2, 0.6], horizon=30, radius=10.0)
    for k, batch in enumerate([(2, 2), (8, 4)]):
        path = problem.dynamics(step, batch, found.critical_alpha[k]).trajectory(30).displacement
        assert path[-1] == pytest.approx(100.0, rel=1e-6)
    assert found.level == 100.0


def test_map_does_not_depend_on_threads_and_problems_pickle(rng):
    problem = UnlearningProblem.from_factors(
        rng.standard_normal((8, 3)), rng.standard_normal((4, 3))
    )
    other = pickle.loads(pickle.dumps(problem))
    one = problem.frontier(0.1, [1, 4], [0.0, 0.3, 0.6])
    two = other.frontier(0.1, [1, 4], [0.0, 0.3, 0.6], workers=2)
    np.testing.assert_array_equal(one.values, two.values)
