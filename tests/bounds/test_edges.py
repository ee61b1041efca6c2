"""Where bounds are tempted to lie: small and large steps, exact marginality, null directions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rmtstab as rs
from rmtstab.theory import mean
from rmtstab.theory.rayleigh import RayleighBound
from rmtstab.theory.sufficient import OneStepBound
from tests.bounds.cases import draw, violations

WITHOUT = "without_replacement"
factors = rs.UnlearningProblem.from_factors


@pytest.mark.parametrize("step", [1e-300, 1e-17, 1e-12, 1e-6, 1e-2])
def test_small_steps_are_resolved(step):
    """Curvatures 1 and 3: α* = 1/4 at every small step; through ρ − 1 it would drown in the 1."""
    one = np.eye(1)
    upper = OneStepBound((1, 1), one, 3 * one, one, 9 * one)
    lower = RayleighBound.direction([1.0], [3.0])
    assert upper.critical_alpha(step, (1, 1), WITHOUT) == pytest.approx(0.25, rel=1e-12)
    assert lower.critical_alpha(step, (1, 1), WITHOUT) == pytest.approx(0.25, rel=1e-12)
    noisy = RayleighBound.direction([1.0, 0.0, 2.0], [])
    assert noisy.critical_batch_size(step, 0.0, "bernoulli") == pytest.approx(
        5 / 3 * step / (2 - 4 / 9 * step), rel=1e-12
    )
    exact = factors([[1.0]], [[np.sqrt(3.0)]]).critical_alpha(step, (1, 1))
    assert abs(exact.value - 0.25) <= exact.error_bound + 1e-15


@pytest.mark.parametrize("sampling", [WITHOUT, "bernoulli"])
@pytest.mark.parametrize(("step", "aligned"), [(1e79, False), (1e100, True), (1e140, False)])
def test_bounds_of_a_large_step_are_its_square_times_those_of_one(step, aligned, sampling, rng):
    """``Φ → η²(D⊗D + …)``: nothing but ρ itself may come near the end of the floats."""
    z = rng.standard_normal((17, 5))
    if aligned:  # a sample has one coordinate, and so has every direction
        z *= np.eye(5)[np.arange(17) % 5]
    problem = factors(z[:12], z[12:])
    found, expected = (
        {b.name: b.rho_bound / eta**2 for b in problem.dynamics(eta, 2, 0.2, sampling).bounds()}
        for eta in (step, 1e30)
    )
    assert not np.isinf(list(expected.values())).any()
    assert found == pytest.approx(expected, rel=1e-7, nan_ok=True)  # NaN where the mean ascends
    exact = problem.dynamics(step, 2, 0.2, sampling).growth()
    assert exact.converged and exact.iterations <= 15
    assert expected["corrected Ritz"] <= exact.value / step**2 <= expected["resolvent"]


@pytest.mark.parametrize("step", [1e2, 1e4, 1e5, 1e8, 1e12])
def test_bounds_enclose_where_fixed_size_noise_cancels(step):
    """Alike samples at α = 1/2: D and the noise vanish, ρ = 1 at every step size."""
    z = np.full((7, 1), 0.3)
    dyn = factors(z, z[:2]).dynamics(step, 1, 0.5)
    assert violations(dyn.bounds(gap=False), 1.0, slack=0.0) == []
    assert dyn.verdict().name != "ESCAPES"


def test_what_is_exactly_marginal_is_not_called_unstable():
    for seed in range(20):
        z = np.random.default_rng(seed).standard_normal((5, 3))
        for bound in factors(z).dynamics(0.0, 1, 0.0).bounds():
            assert bound.satisfied or bound.kind == "sufficient", bound


def test_a_top_direction_orthogonal_to_every_structured_start():
    r = 150
    u = np.random.default_rng(1).random(r - 2)
    lone = np.zeros(r)
    lone[:2] = 1.0, -1.0
    rows = np.diag(np.sqrt(np.r_[0.0, 0.0, np.linspace(0.2, 1.0, r - 2)]))[2:]
    shared = np.r_[0.0, 0.0, np.sqrt(0.02) * u]
    forget = np.vstack([rows, shared, np.sqrt(0.9) * lone])
    problem = factors(np.diag(np.sqrt(np.linspace(1.0, 2.0, r))), forget)
    for alpha in (0.0, 0.3, 1.0):
        dyn = problem.dynamics(0.3, 1, alpha)
        rho = dyn.growth_factor()
        assert violations(dyn.bounds(gap=False), rho, slack=1e-8) == []


def test_no_curvature_left_for_an_iterative_solver():
    exact = factors([np.eye(100)]).dynamics(1.0, 1, 0.0)  # Φ = 0
    assert violations(exact.bounds(gap=False), 0.0) == []
    faint = factors(np.eye(100), 1e-90 * np.eye(100)[:5]).dynamics(1.0, 1, 0.3)
    assert violations(faint.bounds(gap=False), faint.growth_factor()) == []


def test_null_and_inert_directions_do_not_forbid_every_step():
    problem = factors([np.eye(2)], [[[1.0, 0.0]]])
    assert float(problem.critical_step_size(1, 0.5)) == pytest.approx(4.0)
    alike = factors(np.full((3, 1), 0.3), np.full((3, 1), 0.3))
    for case, exact in ((problem, 4.0), (alike, np.inf)):
        for bound in case.dynamics(1.0, 1, 0.5).bounds(gap=False):
            if bound.kind == "necessary" and not np.isnan(bound.critical_step_size):
                assert bound.critical_step_size >= exact, bound


@given(st.integers(0, 2**63))
def test_critical_steps_lie_on_their_side_of_the_exact_one(seed):
    case = draw(seed)
    dyn = case.dynamics()
    exact = dyn.problem.critical_step_size(
        tuple(case.batch), case.alpha, sampling=case.sampling, weight_decay=case.decay
    )
    for bound in dyn.bounds(gap=False):
        step = bound.critical_step_size
        if np.isnan(step):
            continue
        if bound.kind == "necessary":
            assert step >= exact.value * (1 - 1e-9), bound
        else:
            assert step <= (exact.value + exact.error_bound) * (1 + 1e-9), bound


def test_a_critical_step_is_where_the_bound_is_one():
    """Each closed form's own step: half or double of it would show."""
    checked = set()
    for seed in range(120):
        case = draw(seed)
        for bound in case.dynamics().bounds("closed form", gap=False):
            step = bound.critical_step_size
            if bound.name == "direction" or not 1e-6 < step * case.step**-1 < 1e6:
                continue
            again = case.dynamics().problem.dynamics(
                step, case.batch, case.alpha, case.sampling, case.decay
            )
            (there,) = (b for b in again.bounds("closed form", False) if b.name == bound.name)
            assert there.rho_bound == pytest.approx(1.0, abs=1e-9), bound
            checked.add(bound.name)
    assert checked == {
        "mean", "trace", "single sample", "unlearning coherence", "three-axis coherence"
    }  # fmt: skip


@pytest.mark.parametrize("decay", [0.0, 0.4])
def test_thresholds_know_of_weight_decay(decay):
    rng = np.random.default_rng(5)
    z = rng.standard_normal((10, 3))
    h = np.einsum("ni,nj->nij", z, z)
    means, squares = (
        (h[:6].mean(0), h[6:].mean(0)),
        [np.einsum("nij,njk->ik", p, p) for p in (h[:6], h[6:])],
    )
    upper = OneStepBound((6, 4), *means, *squares)
    v = np.linalg.eigh(means[0])[1][:, -1]
    lower = RayleighBound.direction(*(np.einsum("i,nij,j->n", v, p, v) for p in (h[:6], h[6:])))
    for bound in (upper, lower):
        alpha = bound.critical_alpha(0.3, (2, 2), WITHOUT, decay)
        assert 0.0 < alpha < 1.0
        assert bound.growth(0.3, (2, 2), alpha, WITHOUT, decay) == pytest.approx(1.0, abs=1e-9)
        step = bound.critical_step_size((2, 2), 0.1, WITHOUT, decay)
        assert bound.growth(step, (2, 2), 0.1, WITHOUT, decay) == pytest.approx(1.0, abs=1e-9)


def test_conventions_at_the_ends():
    still = RayleighBound.direction([0.0, 0.0], [0.0])
    assert still.critical_step_size((1, 1), 0.3, WITHOUT) == np.inf
    # without curvature only the decay is left: η²λ² − 2ηλ + 1
    assert still.critical_alpha(0.1, (1, 1), WITHOUT, weight_decay=1.0) == 1.0
    assert np.isnan(still.critical_alpha(10.0, (1, 1), WITHOUT, weight_decay=1.0))
    assert RayleighBound.direction([1.0], [3.0]).critical_step_size((1, 1), 0.5, WITHOUT) == 0.0
    # unstable at every mixing, and at every batch size
    steep = RayleighBound.direction([6.0, 0.0], [3.0])
    assert np.isnan(steep.critical_alpha(10.0, (1, 1), WITHOUT))
    assert np.isnan(steep.critical_batch_size(1.0, 0.0, WITHOUT))
    # ... but alike samples rest at equal weights, whatever the step
    assert RayleighBound.direction([3.0, 3.0], [3.0]).critical_alpha(10.0, (1, 1), WITHOUT) == 0.5
    assert mean.critical_alpha(np.diag([1.0, 1e-13]), np.diag([1e-3, 1e-13])) == pytest.approx(0.5)
    assert mean.critical_alpha(np.diag([1.0, 0.0]), np.diag([1.0, 1e-13])) == 0.0
    with pytest.raises(ValueError, match="retain must be positive semi-definite"):
        mean.critical_alpha(np.diag([1.0, -1.0]), np.eye(2))
    assert mean.critical_step_size([0.0, 4.0]) == 0.5
    assert RayleighBound.direction([1e-200], []).critical_step_size((1, 1), 0.0, WITHOUT) > 1e200
