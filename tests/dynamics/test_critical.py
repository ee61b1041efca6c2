"""Critical values: ρ is 1 there, by the dense operator too."""

import pickle

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given

from rmtstab import UnlearningProblem, Verdict
from rmtstab.dynamics import eigen
from rmtstab.dynamics.critical_alpha import critical_alpha, follow
from rmtstab.dynamics.update import Update
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


@pytest.mark.parametrize("decades", [0, 2, 4])
def test_a_restarted_basis_certifies_the_step_as_well(decades, monkeypatch):
    """Twelve vectors in place of 120: conjugate gradients finish what the space has forgotten."""
    z = np.random.default_rng(1).standard_normal((60, 40)) * 10.0 ** np.linspace(
        0, -decades / 2, 40
    )
    problem = UnlearningProblem.from_factors(z[:40], z[40:])
    whole = problem.critical_step_size((4, 2), 0.0)
    monkeypatch.setattr(eigen, "BASIS_BYTES", 0.0)
    found = problem.critical_step_size((4, 2), 0.0)
    assert found.value == pytest.approx(whole.value, rel=1e-9)
    assert found.converged and found.error_bound <= 1e-6 * found.value


CANCELLING = ([[1.0, 1.0], [1.0, -1.0]], [[1.0, 0.5], [1.0, -0.5]])


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_null_direction_whose_quadratic_form_alone_vanishes_is_no_equilibrium(sampling, momentum):
    """``vᵀĤv`` is 0 for every batch of this indefinite Ĥ, but ``Ĥv`` is not: η* = 0."""
    problem = UnlearningProblem.from_factors(*CANCELLING)
    found = problem.critical_step_size((1, 1), 0.5, sampling=sampling, momentum=momentum)
    assert found.value == 0.0 and found.error_bound < 1e-6
    assert problem.dynamics(1e-4, 1, 0.5, sampling, momentum=momentum).verdict() is Verdict.ESCAPES
    sets = [hessians(np.array(part)[:, None]) for part in CANCELLING]
    options = {"batches": (1, 1), "alpha": 0.5, "sampling": sampling, "momentum": momentum}
    for step in (0.01, 0.5, 4.8):
        assert naive.growth_factor(*sets, step=step, weight_decay=0.0, **options) > 1.0 + 1e-8


@pytest.mark.parametrize("power", [-19, -21, -24])
def test_noise_is_compared_with_its_own_directions_curvature(power):
    """On the first axis all samples are alike; the second's noise is 2^{2·power}/8, all exact."""
    h = 2.0**power
    retain = [np.diag([1.0, h**0.5]), np.array([[1.0, 0.0]])]
    problem = UnlearningProblem.from_factors(retain, retain)
    gap = 2.0**-24
    d, noise = gap * h, h * h * ((0.5 - gap) ** 2 + (0.5 + gap) ** 2) / 4.0
    found = problem.critical_step_size((1, 1), 0.5 - gap)
    exact = 2.0 * d / (d * d + noise)
    assert found.value == pytest.approx(exact, rel=1e-9)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((2, 2)))[0]
    turned = UnlearningProblem.from_factors([z @ turn for z in retain], [z @ turn for z in retain])
    again = turned.critical_step_size((1, 1), 0.5 - gap)
    assert abs(again.value - exact) <= again.error_bound


@pytest.mark.parametrize("small", [1e-7, 1e-6, 1e-3])
def test_an_ascent_direction_far_below_the_largest_curvature_escapes(small):
    problem = UnlearningProblem.from_factors([[1.0, 0.0]], [[0.0, small]])
    dyn = problem.dynamics(0.5, 1, 0.5)
    assert problem.critical_step_size(1, 0.5).value == 0.0
    assert dyn.verdict() is Verdict.ESCAPES
    assert problem.frontier(0.5, [1], [0.5]).verdicts[0, 0] is Verdict.ESCAPES


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-8, 1e-10])
@pytest.mark.parametrize("spread", [0.0, 1e-9, 1e-6, 1e-3])
def test_alike_samples_near_equal_weights(gap, spread):
    """Nearly all of the noise cancels, and nearly all of D: a scalar problem, in 60 digits."""
    rng = np.random.default_rng(3)
    z = [1.0 + spread * rng.standard_normal((n, 1)) for n in (4, 3)]
    problem = UnlearningProblem.from_factors(*z)
    alpha = 0.5 - gap
    found = problem.critical_step_size((1, 2), alpha)
    with mp.workdps(60):
        parts = [[mp.mpf(float(v)) ** 2 for v in part[:, 0]] for part in z]
        means = [mp.fsum(h) / len(h) for h in parts]
        a = (1 - mp.mpf(alpha), mp.mpf(alpha))
        c = (mp.mpf(3) / 12, mp.mpf(1) / 12)
        d = a[0] * means[0] - a[1] * means[1]
        noise = mp.fsum(
            a[s] ** 2 * c[s] * mp.fsum((h - means[s]) ** 2 for h in parts[s]) for s in (0, 1)
        )
        exact = float(2 * d / (d * d + noise)) if d > 0 else 0.0
    assert abs(found.value - exact) <= found.error_bound + 1e-13 * exact
    assert found.error_bound <= 1e-5 * exact or gap < 1e-8 or exact == 0.0
    if d > 1e-12:
        for bound in problem.dynamics(1.0, (1, 2), alpha).bounds():
            side = 1.0 if bound.kind == "necessary" else -1.0
            if not np.isnan(bound.critical_step_size):
                assert side * (bound.critical_step_size - exact) >= -1e-9 * exact, bound.name


def test_a_null_direction_that_no_batch_moves_is_left_out():
    """Every sample has curvature 1 on the first axis; the second one decides, a scalar problem."""
    retain = np.array([np.diag([1.0, 1.0]), np.diag([1.0, 3.0**0.5])])
    problem = UnlearningProblem.from_factors(retain, np.array([np.diag([1.0, 0.0])]))
    # mean 1, variance 1/4: 2/(1 + 1/4)
    assert problem.critical_step_size((1, 1), 0.5).value == pytest.approx(1.6, rel=1e-12)
    alike = UnlearningProblem.from_factors([[1.0, 0.0, 0.0]] * 2, [[1.0, 0.0, 0.0]] * 2)
    assert alike.critical_step_size((1, 1), 0.5).value == np.inf


@pytest.mark.parametrize("decades", [2, 5])
def test_critical_mixing_of_ill_conditioned_curvature(decades, rng):
    # ρ − 1 is of the order of D's least eigenvalue at α = 0.2: a root of ρ = 1 is blurred
    z = rng.standard_normal((60, 20)) * 10.0 ** np.linspace(0, -decades, 20)
    problem = UnlearningProblem.from_factors(z[:40], z[40:])
    step = 0.5 * float(problem.critical_step_size((20, 8), 0.0))
    found = problem.critical_alpha(step, (20, 8))
    assert found.converged and found.error_bound < 0.2 * found.value
    inside, outside = found.value - max(2.0 * found.error_bound, 1e-3), found.value * (1 + 1e-3)
    assert float(problem.critical_step_size((20, 8), inside)) > step
    assert problem.dynamics(step, (20, 8), inside).verdict() is Verdict.STABLE
    ends = problem.dynamics(step, (20, 8), outside)
    assert ends.mean_eigenvalues.min() < 0.0 or ends.growth_factor() > 1.0


@pytest.mark.parametrize("tolerance", [0.5, 0.2, 0.1, 0.03, 0.01])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_loosely_solved_critical_mixing_lies_within_its_error_bound(sampling, tolerance, rng):
    z = rng.standard_normal((40, 10))
    problem = UnlearningProblem.from_factors(z[:28], z[28:])
    step = 0.9 * float(problem.critical_step_size((4, 2), 0.0, sampling=sampling))
    exact = problem.critical_alpha(step, (4, 2), sampling=sampling)
    assert exact.error_bound < 1e-8
    update = Update.of(problem, step, (4, 2), None, sampling, 0.0, 0.0)
    found, _ = follow(update, 1.0, tolerances=(tolerance,))
    assert found.converged
    assert found.value - found.error_bound <= exact.value < found.value


def test_a_hint_at_or_below_the_critical_mixing_does_no_harm(rng):
    z = rng.standard_normal((12, 4))
    problem = UnlearningProblem.from_factors(z[:8], z[8:])
    step = 0.5 * float(problem.critical_step_size((2, 1)))
    exact = problem.critical_alpha(step, (2, 1))
    assert exact.converged and 0.0 < exact.value < 1.0
    for hint in (exact.value, 0.5 * exact.value, 1.1 * exact.value):
        update = Update.of(problem, step, (2, 1), None, "without_replacement", 0.0, 0.0)
        found = critical_alpha(update, upper=hint)
        assert found.converged and found.value == pytest.approx(exact.value, rel=1e-9)


def test_the_least_batch_is_that_of_the_sets_with_weight():
    """At α = 0 one forget sample says nothing of how far the retain batch may grow."""
    problem = UnlearningProblem.from_factors(np.eye(4), np.ones((1, 4)))
    # on each axis (1 − η/4)² + η²(4 − B)/(16B) ≤ 1 at η ≤ 2B
    assert problem.critical_batch_size(4.4).value == pytest.approx(2.2, rel=1e-9)
    alone = UnlearningProblem.from_factors(np.eye(4)).critical_batch_size(4.4)
    assert alone.value == pytest.approx(2.2, rel=1e-9)
    assert dense_growth(4.4, 2) > 1.0 > dense_growth(4.4, 3)


def dense_growth(step, batch):
    retain = hessians(np.eye(4)[:, None])
    return naive.growth_factor(
        retain, hessians(np.ones((1, 1, 4))), step, (batch, 1), 0.0, "without_replacement"
    )


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
