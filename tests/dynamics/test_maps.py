"""Maps: every cell is certified, by the dense operator too, and nothing open is hidden."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given

from rmtstab import UnlearningProblem, Verdict
from rmtstab._results import Threshold
from rmtstab.dynamics import critical_step_size, davidson, stability_map
from tests import naive
from tests.strategies import SAMPLINGS, hessians, instances

ALPHAS = np.array([0.0, 0.04, 0.2, 0.6, 1.0])


def judged(problem, found, retain, forget, step, sampling, momentum=0.0, decay=0.0):
    """Check each cell of a map against the dense operator."""
    for i, alpha in enumerate(found.alphas):
        for k, batch in enumerate(found.batch_sizes):
            h = hessians(retain), hessians(forget)
            exact = naive.growth_factor(*h, step, batch, alpha, sampling, decay, momentum)
            low = found.values[i, k]
            tolerance = 1e-7 if momentum else 1e-9
            assert low <= exact * (1 + tolerance) + 1e-14
            assert exact <= (low + found.error_bounds[i, k]) * (1 + tolerance) + 1e-14
            verdict = found.verdicts[i, k]
            if abs(exact - 1.0) > 1e-6:
                expected = Verdict.ESCAPES if exact > 1.0 else Verdict.STABLE
                assert verdict in (expected, Verdict.UNDECIDED)
            if abs(exact - 1.0) > 1e-3:
                assert verdict is not Verdict.UNDECIDED


@given(instances())
@example(
    {
        "retain": np.array([[[0.05320839], [-0.05590611]]]),
        "forget": np.array([[[0.42852665], [0.07019192]]]),
        "step": 0.46380044258575487,
        "batches": (1, 1),
        "sampling": "with_replacement",
        "weight_decay": 0.1,
    }
)
def test_every_cell_is_certified(x):
    if not (np.abs(x["retain"]).max() > 0 and np.abs(x["forget"]).max() > 0):
        x = {**x, "retain": np.ones_like(x["retain"]), "forget": np.ones_like(x["forget"])}
    problem = UnlearningProblem.from_factors(x["retain"], x["forget"])
    sizes = len(x["retain"]), len(x["forget"])
    batches = [(1, 1), x["batches"], sizes]
    rest = {"sampling": x["sampling"], "weight_decay": x["weight_decay"]}
    found = problem.frontier(x["step"], batches, ALPHAS, **rest)
    judged(
        problem, found, x["retain"], x["forget"], x["step"], x["sampling"], 0, rest["weight_decay"]
    )
    assert np.isfinite(found.error_bounds).all()


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_cells_with_momentum_are_certified(sampling, rng):
    z = rng.standard_normal((9, 1, 4))
    problem = UnlearningProblem.from_factors(z[:6], z[6:])
    step = 0.7 * float(problem.critical_step_size((2, 1), 0.0, sampling=sampling, momentum=0.5))
    batches = [(1, 1), (4, 2), (6, 3)]
    found = problem.frontier(step, batches, ALPHAS, sampling=sampling, momentum=0.5)
    judged(problem, found, z[:6], z[6:], step, sampling, 0.5)
    assert {Verdict.STABLE, Verdict.ESCAPES} <= set(found.verdicts.ravel())


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_verdicts_next_to_the_frontier(sampling, rng):
    # a relative 1e-6 beside the critical mixing, where the subspace's own enclosure is open
    problem = UnlearningProblem.from_factors(
        rng.standard_normal((30, 8)), rng.standard_normal((12, 8))
    )
    step = 0.5 * float(problem.critical_step_size((4, 2), 0.0, sampling=sampling))
    critical = float(problem.critical_alpha(step, (4, 2), sampling=sampling))
    alphas = critical * np.array([1 - 1e-6, 1.0, 1 + 1e-6])
    found = problem.frontier(step, [(2, 1), (4, 2), (8, 4)], alphas, sampling=sampling)
    at = found.verdicts[:, 1]
    assert at[0] is Verdict.STABLE and at[2] is Verdict.ESCAPES
    assert at[1] in (Verdict.MARGINAL, Verdict.UNDECIDED)
    assert (found.verdicts[:, 0] == Verdict.ESCAPES).all()
    assert (found.verdicts[:, 2] == Verdict.STABLE).all()
    assert (found.critical_error < 1e-6).all()


def test_marginal_rows_say_so():
    problem = UnlearningProblem.from_factors(np.ones((4, 3)), np.ones((2, 3)))
    found = problem.frontier(0.1, [(1, 1), (2, 1), (4, 2)], [0.0, 0.5, 0.9])
    assert (found.verdicts[0] == Verdict.STABLE).all()
    assert (found.verdicts[1] == Verdict.MARGINAL).all()
    assert (found.verdicts[2] == Verdict.ESCAPES).all()


def test_a_row_that_does_not_fit_is_solved_cell_by_cell(rng, monkeypatch):
    problem = UnlearningProblem.from_factors(
        rng.standard_normal((20, 8)), rng.standard_normal((9, 8))
    )
    arguments = 0.1, [(2, 1), (5, 3), (20, 9)], [0.0, 0.1, 0.4]
    together = problem.frontier(*arguments)
    monkeypatch.setattr(davidson, "WIDEST", 2)
    apart = problem.frontier(*arguments)
    np.testing.assert_allclose(together.values, apart.values, rtol=1e-6)
    np.testing.assert_array_equal(together.verdicts, apart.verdicts)
    assert not np.array_equal(together.values, apart.values)


def test_a_failure_to_converge_shows(rng, monkeypatch):
    problem = UnlearningProblem.from_factors(
        rng.standard_normal((20, 8)), rng.standard_normal((9, 8))
    )
    real = stability_map.growth
    monkeypatch.setattr(davidson, "WIDEST", 2)
    monkeypatch.setattr(stability_map, "growth", lambda cell: replace(real(cell), upper=np.inf))
    unsolved = Threshold(1.0, 1.0, False, critical_step_size.INTERIOR)
    monkeypatch.setattr(critical_step_size, "critical_step_size", lambda cell: unsolved)
    found = problem.frontier(0.02, [(2, 1), (20, 9)], [0.0, 0.05, 0.9])
    below = found.values < 1.0
    assert below.any() and not below.all()
    assert (found.verdicts[below] == Verdict.UNDECIDED).all()
    assert np.isinf(found.error_bounds).all()
    # a lower bound above 1 is a verdict all the same
    assert (found.verdicts[~below] == Verdict.ESCAPES).all()


def test_finite_horizon_cells_have_verdicts(rng):
    problem = UnlearningProblem.from_factors(
        rng.standard_normal((8, 20)), rng.standard_normal((4, 20))
    )
    step = 0.5 * float(problem.critical_step_size((2, 2)))
    found = problem.frontier(step, [(2, 2), (8, 4)], [0.0, 0.2, 0.6], horizon=30, radius=10.0)
    escapes = found.values > 100.0
    assert escapes.any() and not escapes.all()
    assert (found.verdicts[escapes] == Verdict.ESCAPES).all()
    assert (found.verdicts[~escapes] == Verdict.STABLE).all()
    assert (found.error_bounds <= 2e-11 * found.values).all()
    assert (found.critical_error < 1e-9).all()
    wild = problem.frontier(1e6, [(2, 2)], [0.5], horizon=200, radius=10.0)
    assert wild.values[0, 0] == np.inf and wild.verdicts[0, 0] is Verdict.ESCAPES


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("horizon", [1, 7])
def test_finite_horizon_values_are_those_of_the_path(horizon, momentum, rng):
    problem = UnlearningProblem.from_factors(
        rng.standard_normal((9, 5)), rng.standard_normal((4, 5))
    )
    batches, alphas = [(2, 1), (9, 4)], [0.0, 0.4]
    given = {"horizon": horizon, "radius": 2.0, "momentum": momentum}
    found = problem.frontier(0.2, batches, alphas, **given)
    for i, alpha in enumerate(alphas):
        for k, batch in enumerate(batches):
            dyn = problem.dynamics(0.2, batch, alpha, momentum=momentum)
            path = dyn.trajectory(horizon).displacement
            assert found.values[i, k] == pytest.approx(path[-1] / path[0], rel=1e-10)


def test_rows_are_solved_from_both_ends_by_halves():
    """So that a column finds the directions of its neighbours there."""
    assert stability_map._spread_out(9) == [0, 8, 4, 2, 6, 1, 3, 5, 7]
    assert stability_map._spread_out(1) == [0] and stability_map._spread_out(2) == [0, 1]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_curve_is_that_of_the_single_critical_mixings(sampling, rng):
    problem = UnlearningProblem.from_factors(
        rng.standard_normal((40, 12)), rng.standard_normal((15, 12))
    )
    step = 1.1 * float(problem.critical_step_size((4, 1), 0.0, sampling=sampling))
    batches = [(b, max(1, b // 3)) for b in range(2, 41, 3)]
    found = problem.frontier(step, batches, np.linspace(0, 1, 9), sampling=sampling)
    again = problem.frontier(step, batches, np.linspace(0, 1, 9), sampling=sampling, workers=2)
    np.testing.assert_array_equal(found.critical_alpha, again.critical_alpha)
    exact = [problem.critical_alpha(step, b, sampling=sampling) for b in batches]
    values = np.array([float(t) for t in exact])
    assert np.isnan(values).any() and (values > 0.0).any()
    np.testing.assert_allclose(found.critical_alpha, values, rtol=1e-9)
    inside = ~np.isnan(values)
    assert (found.critical_error[inside] < 1e-5).all()


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_davidson_and_lanczos_agree(sampling, rng):
    z = rng.standard_normal((14, 2, 6))
    dyn = UnlearningProblem.from_factors(z[:9], z[9:]).dynamics(0.05, (2, 2), 0.2, sampling)
    phi, j = dyn.second_moment(), dyn.mean_multipliers
    space = davidson.Subspace([phi], np.ones((1, 1)), np.outer(j, j))
    assert space.refine(0, 1e-11)
    exact = dyn.growth()
    value, m = space.ritz(0)[0], space.matrix(0)
    assert value == pytest.approx(exact.value, rel=1e-13)
    np.testing.assert_allclose(phi(m), value * m, atol=1e-10)
    assert np.linalg.eigvalsh(m)[0] > -1e-10
    assert value < space.upper(0, 1e-8, patience=20) <= value * (1 + 1.01e-8)
    # an upper end below the truth is never certified
    space.times = 0.999 * space.times
    low = space.upper(0, 1e-8)
    assert 0.999 * value <= low < value


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_maps_over_sixteen_decades_of_gram_eigenvalues(sampling, rng):
    # ρ − 1 is below rounding where the mixing is stable: only the critical step size tells
    z = rng.standard_normal((24, 12)) * 10.0 ** np.linspace(0, -8, 12)
    problem = UnlearningProblem.from_factors(z, z[:8])
    step = 0.5 * float(problem.critical_step_size((2, 2), 0.0, sampling=sampling))
    batches = [(2, 2), (6, 4), (24, 8)]
    found = problem.frontier(step, batches, [0.0, 0.1, 0.9], sampling=sampling)
    assert (found.verdicts[0] == Verdict.STABLE).all()
    for i, alpha in enumerate(found.alphas):
        for k, batch in enumerate(batches):
            critical = problem.critical_step_size(batch, float(alpha), sampling=sampling)
            wrong = Verdict.ESCAPES if step < critical.value else Verdict.STABLE
            assert found.verdicts[i, k] is not wrong
    assert (found.verdicts[2] == Verdict.ESCAPES).all()


def test_maps_of_nearly_aligned_samples_leave_nothing_open(rng):
    # directions of differences: multipliers within 1e-6 of 1, no spectral gap
    z = rng.standard_normal(30) + 1e-3 * rng.standard_normal((20, 30))
    problem = UnlearningProblem.from_factors(z[:15], z[15:])
    step = 1.0 / float(z[0] @ z[0])
    found = problem.frontier(step, [(2.0, 2.0), (9.0, 4.0)], [0.0, 0.3, 0.9], sampling="bernoulli")
    assert (found.verdicts[1:] == Verdict.ESCAPES).all()
    for i, alpha in enumerate(found.alphas):
        for k, batch in enumerate(found.batch_sizes):
            dyn = problem.dynamics(step, tuple(batch), alpha, "bernoulli")
            low, high = dyn.enclosure()
            assert found.values[i, k] <= high and low <= found.values[i, k] * (1 + 1e-6)
            assert found.verdicts[i, k] is dyn.verdict()


def test_horizons_and_radii_beyond_the_floating_point_range(rng):
    problem = UnlearningProblem.from_factors(
        rng.standard_normal((8, 5)), rng.standard_normal((4, 5))
    )
    late = problem.frontier(0.1, [(2, 1)], [0.0, 0.5, 1.0], horizon=10**6, radius=2.0)
    assert late.values[:, 0].tolist() == [0.0, np.inf, np.inf]
    names = [verdict.name for verdict in late.verdicts[:, 0]]
    assert names == ["STABLE", "ESCAPES", "ESCAPES"]
    assert late.critical_alpha[0] == pytest.approx(
        float(problem.critical_alpha(0.1, (2, 1))), rel=1e-4
    )
    for radius, side in ((1e-200, Verdict.ESCAPES), (1e200, Verdict.STABLE)):
        found = problem.frontier(0.1, [(2, 1)], [0.0, 0.5], horizon=20, radius=radius)
        assert (found.verdicts == side).all() and np.isfinite(found.values).all()


def test_a_level_that_every_mixing_meets_exactly_is_open(rng):
    problem = UnlearningProblem.from_factors(np.eye(3), np.eye(3))
    found = problem.frontier(0.0, [1], [0.0, 0.5], horizon=3, radius=1.0)
    assert (found.verdicts == Verdict.UNDECIDED).all() and np.isinf(found.critical_error).all()
    nothing = UnlearningProblem.from_factors(np.zeros((3, 2)), np.zeros((2, 2)))
    decays = nothing.frontier(0.1, [1], [0.0], horizon=2, radius=2.0, weight_decay=1.0)
    assert decays.values[0, 0] == pytest.approx(0.9**4, rel=1e-14)
