"""Proved bounds on the typical rate: true values first, then every method against runs."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest

import rmtstab as rs
from rmtstab.bounds.lyapunov import determinant, invariant_cone, one_sample
from rmtstab.dynamics.batches import blocks, operators, patterns
from rmtstab.dynamics.projective_line import exponent
from rmtstab.dynamics.tilted import batch_law, typical_growth
from rmtstab.sampling import BERNOULLI, SCHEMES, WITH_REPLACEMENT, WITHOUT_REPLACEMENT, Scheme
from rmtstab.theory.mirror import MirrorLaw

SAMPLINGS = [scheme.name for scheme in SCHEMES]


def drawn(sampling, n, batch):
    """Every batch as (counts, probability), straight from the scheme's definition."""
    if sampling == "bernoulli":
        p = batch / n
        for row in itertools.product((0, 1), repeat=n):
            yield np.array(row), p ** sum(row) * (1 - p) ** (n - sum(row))
    else:
        whole = itertools.product(range(n), repeat=batch)
        rows = [r for r in whole if sampling == "with_replacement" or len(set(r)) == batch]
        for row in rows:
            yield np.bincount(row, minlength=n), 1 / len(rows)


def listed(retain, forget, eta, batch, alpha, sampling):
    """Operators ``I − ηA`` of all batches, with probabilities; factors (n, d)."""
    found, chances = [], []
    pairs = itertools.product(
        drawn(sampling, len(retain), batch[0]), drawn(sampling, len(forget), batch[1])
    )
    for (x, p), (y, q) in pairs:
        a = (1 - alpha) / batch[0] * np.einsum("n,ni,nj->ij", x, retain, retain)
        a -= alpha / batch[1] * np.einsum("n,ni,nj->ij", y, forget, forget)
        found.append(np.eye(retain.shape[1]) - eta * a)
        chances.append(p * q)
    return np.array(found), np.array(chances)


def simulated(each, chances, rng, runs=4000, steps=600):
    """Rate of ``log‖w_k‖`` over independent runs and its standard error, without the package."""
    w = rng.standard_normal((runs, each.shape[1]))
    total = np.zeros(runs)
    for k in range(steps + 200):
        w = np.einsum("kij,kj->ki", each[rng.choice(len(each), size=runs, p=chances)], w)
        norm = np.linalg.norm(w, axis=1, keepdims=True)
        w /= norm
        total += np.log(norm[:, 0]) if k >= 200 else 0.0
    return total.mean() / steps, total.std() / steps / math.sqrt(runs)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_aligned_samples_have_the_closed_form(sampling):
    """All curvatures along one direction: ``E log|1 − ηa|`` over the batches."""
    h, f = np.array([0.5, 1.0, 2.0]), np.array([0.7, 0.2])
    eta, alpha, batch = 0.9, 0.3, (2, 1)
    each, chances = listed(np.sqrt(h)[:, None], np.sqrt(f)[:, None], eta, batch, alpha, sampling)
    true = float(chances @ np.log(np.abs(each[:, 0, 0])))
    u = np.array([[0.6, 0.8]])
    problem = rs.UnlearningProblem.from_factors(np.sqrt(h)[:, None] * u, np.sqrt(f)[:, None] * u)
    found = problem.dynamics(eta, batch, alpha, sampling=sampling).lyapunov_bounds()
    assert found.lower == pytest.approx(true, abs=1e-12) and found.lower_method == "exact"
    assert found.upper == pytest.approx(true, abs=1e-12) and found.upper_method == "exact"
    assert found.mean_square > true + 0.01


def test_orthogonal_groups_have_the_largest_of_their_closed_forms():
    """Retain (2, 1, 1) samples along three axes, batches of two; an independent count."""
    h, groups = np.array([0.8, 1.4, 2.2, 1.7]), np.array([0, 0, 1, 2])
    factors = np.sqrt(h)[:, None] * np.eye(3)[groups]
    dyn = rs.UnlearningProblem.from_factors(factors).dynamics(0.9, 2, 0.0)
    rates = [
        np.mean([
            np.log(abs(1 - 0.45 * sum(h[i] for i in pair if groups[i] == g)))
            for pair in itertools.combinations(range(4), 2)
        ])
        for g in range(3)
    ]  # fmt: skip
    found = dyn.lyapunov_bounds()
    assert found.lower == found.upper == pytest.approx(max(rates), abs=1e-12)
    assert found.upper < found.mean_square - 0.02


def test_ends_jump_where_orthogonal_samples_are_barely_coupled():
    """As the page says: the rate has not moved, the lower end has, and both still hold."""
    h, eta = np.array([1.0, 1.2, 1.5, 0.8, 2.0]), 3.0
    true = max(np.log(abs(1 - eta * h)) / 5)
    factors = np.sqrt(h)[:, None] * np.eye(5)
    apart = rs.UnlearningProblem.from_factors(factors).dynamics(eta, 1).lyapunov_bounds()
    assert apart.lower == apart.upper == pytest.approx(true, abs=1e-12)
    moved = factors + 1e-12 * np.random.default_rng(0).standard_normal((5, 5))
    found = rs.UnlearningProblem.from_factors(moved).dynamics(eta, 1).lyapunov_bounds()
    assert found.lower < true - 0.05 and found.lower_method == "determinant"
    assert true < found.upper <= found.mean_square


def test_a_batch_that_kills_the_direction_ends_almost_every_run():
    found = (
        rs.UnlearningProblem.from_factors([[1.0], [2.0]]).dynamics(0.25, 1, 0.0).lyapunov_bounds()
    )
    assert found.upper < -15 and found.is_contracting  # 1 − ηh² = 0 for the second, to rounding


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("members", [2, 3])
def test_patterns_are_those_of_all_batches(sampling, members):
    counts, chances = patterns(Scheme.named(sampling), 3, 2, members, 1000)
    true = {}
    for row, p in drawn(sampling, 3, 2):
        key = tuple(row[:members])
        true[key] = true.get(key, 0.0) + p
    found = {tuple(row): p for row, p in zip(counts.astype(int).tolist(), chances, strict=True)}
    assert found == pytest.approx(true, abs=1e-15)
    assert patterns(Scheme.named(sampling), 3, 2, members, 2) is None


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
@pytest.mark.parametrize(("n", "batch"), [(4, 2), (5, 1), (5, 2), (5, 4)])
def test_tilted_laws_are_those_of_reweighted_batches(scheme, n, batch, rng):
    theta = rng.standard_normal(n)
    counts, weights, plain = [], [], []
    for row, p in drawn(scheme.name, n, batch):
        counts.append(row)
        plain.append(p)
        weights.append(p * math.exp(-theta @ row))
    x, p, q = np.array(counts), np.array(plain), np.array(weights) / sum(weights)
    law = batch_law(scheme, n, batch, theta)
    mean = q @ x
    assert law.mean == pytest.approx(mean, abs=1e-12)
    assert law.covariance == pytest.approx((x.T * q) @ x - np.outer(mean, mean), abs=1e-12)
    assert law.entropy == pytest.approx(p @ np.log(p / q), abs=1e-12)


def test_tilted_laws_of_extreme_tilts_stay_finite():
    for scheme in (BERNOULLI, WITHOUT_REPLACEMENT, WITH_REPLACEMENT):
        law = batch_law(scheme, 40, 7, np.linspace(-30.0, 30.0, 40))
        assert np.isfinite(law.covariance).all() and 0.0 < law.entropy < 1000.0
        assert scheme is BERNOULLI or law.mean.sum() == pytest.approx(7, rel=1e-12)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_bounds_hold_beside_runs_and_beat_jensen(sampling, rng):
    retain, forget = rng.standard_normal((12, 6)), rng.standard_normal((6, 6))
    problem = rs.UnlearningProblem.from_factors(retain, forget)
    for eta, batch in ((0.05, 4), (0.15, 2), (0.3, 1)):
        dyn = problem.dynamics(eta, batch, 0.4, sampling=sampling)
        found = dyn.lyapunov_bounds(batches=100)
        true = dyn.lyapunov(1, replicas=64, steps=1500)
        assert found.lower <= true.value + 5 * true.standard_error
        assert found.upper >= true.value - 5 * true.standard_error
        # at least a third of Jensen's distance is closed, all of it when noise is small
        share = (found.mean_square - found.upper) / (found.mean_square - true.value)
        assert share > (0.8 if eta == 0.05 else 0.33)
        assert found.upper_method == "tilted batches"


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_both_ends_close_in_the_plane(sampling, rng):
    retain, forget = rng.standard_normal((4, 2)), rng.standard_normal((3, 2))
    each, chances = listed(retain, forget, 0.2, (2, 1), 0.4, sampling)
    low, high = exponent(each, chances)
    value, error = simulated(each, chances, rng)
    assert low - 5 * error < value < high + 5 * error
    assert high - low < 0.01
    dyn = rs.UnlearningProblem.from_factors(retain, forget).dynamics(
        0.2, (2, 1), 0.4, sampling=sampling
    )
    (members,) = blocks(dyn)
    own, p = operators(dyn, members, 10_000)
    assert exponent(own, p) == pytest.approx((low, high), abs=2e-3)  # another basis, other cells
    assert typical_growth(dyn) >= low
    assert determinant(own, p) <= high


def test_a_group_costs_the_memory_of_its_own_samples(rng):
    """Three samples of 300 directions: not the 300² numbers of a whole basis."""
    z = np.linalg.qr(rng.standard_normal((300, 300)))[0]
    z[1:3] += z[0]
    dyn = rs.UnlearningProblem.from_factors(z).dynamics(0.1, 2, 0.0)
    (group,) = (members for members in blocks(dyn) if len(members) == 3)
    tracemalloc.start()
    each, _ = operators(dyn, group, 100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert each.shape == (7, 3, 3)  # none, one or two of the three
    assert peak < 100_000


@pytest.mark.parametrize("pair", [([2.0, 0.5], [0.8, 1.5]), ([1.2, 0.9], [0.8, 1.1])])
def test_between_nodes_the_plane_allows_for_a_few_slopes_of_half_a_cell(pair):
    """Diagonal pairs need no g: the ends are those of ``E log‖Mu‖``, which is explicit."""
    chances, cell = np.array([0.6, 0.4]), math.pi / 1024
    angles = np.linspace(0.0, math.pi, 400_001)
    squares = [(a * np.cos(angles)) ** 2 + (b * np.sin(angles)) ** 2 for a, b in pair]
    f = 0.5 * chances @ np.log(squares)
    slopes = np.abs(np.gradient(f, angles))
    low, high = exponent(np.array([np.diag(m) for m in pair]), chances)
    for beyond, at in ((f.min() - low, np.argmin(f)), (high - f.max(), np.argmax(f))):
        near = np.abs(angles - angles[at]) < cell
        assert 0.0 <= beyond <= 5.0 * 0.5 * cell * slopes[near].max()


def test_the_plane_knows_exact_exponents():
    """Stretched turns: ``E log`` of the stretch; a diagonal pair, whose axes all matrices keep."""
    diagonal = np.array([np.diag([2.0, 0.5]), np.diag([0.8, 1.5])])
    low, high = exponent(diagonal, np.array([0.6, 0.4]))
    true = 0.6 * math.log(2.0) + 0.4 * math.log(0.8)
    assert low <= true <= high < math.log(2.0)
    turn = np.array([[-0.5, -math.sqrt(0.75)], [math.sqrt(0.75), -0.5]])
    low, high = exponent(np.array([turn, 3.0 * turn]), np.array([0.5, 0.5]))
    assert low == pytest.approx(0.5 * math.log(3.0), abs=1e-9) == high


def spread_problem(size):
    """Samples about two axes, their deviations multiplied."""
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((9, 3))
    retain = np.array([0.3, 1.0, 0.5]) + size * noise[:5]
    forget = np.array([1.0, 0.2, 0.0]) + size * noise[5:]
    return retain, forget


@pytest.mark.parametrize("sampling", ["without_replacement", "with_replacement"])
def test_the_tilted_bound_is_exact_to_first_order_in_the_noise(sampling):
    """Its distance from ``log|j| − ν/2`` falls faster than ν; Jensen's is ν itself."""
    distances, noises, others = [], [], []
    for size in (0.2, 0.1, 0.05):
        retain, forget = spread_problem(size)
        problem = rs.UnlearningProblem.from_factors(retain, forget)
        dyn = problem.dynamics(0.3, (2, 2), 0.4, sampling=sampling)
        rates = dyn.mirror_law().rates(0.3, (2, 2), 0.4, sampling)
        distances.append(abs(typical_growth(dyn) - rates.typical))
        others.append(abs(dyn.escape_rate() - rates.typical))
        noises.append(rates.log_variance)
    order = np.polyfit(np.log(noises), np.log(distances), 1)[0]
    assert order > 1.35
    assert distances[-1] < 0.05 * noises[-1]
    assert others[-1] == pytest.approx(noises[-1], rel=0.1)


def test_tilting_goes_on_while_it_gains_also_where_runs_shrink():
    z = np.random.default_rng(1).standard_normal((8, 2))
    problem = rs.UnlearningProblem.from_factors(z[:6], z[6:])
    dyn = problem.dynamics(0.6, (1, 1), 0.1, weight_decay=0.3)
    one, two, most = (typical_growth(dyn, sweeps) for sweeps in (1, 2, 8))
    assert most < two - 1e-3 < two < one - 1e-3 < -0.3


def test_without_its_entropy_the_bound_would_be_wrong():
    """½ log ρ of the tilted batches alone lies below the rate: the entropy is no slack."""
    retain, forget = spread_problem(0.1)
    dyn = rs.UnlearningProblem.from_factors(retain, forget).dynamics(0.3, (2, 2), 0.4)
    law = dyn.mirror_law()
    rates = law.rates(0.3, (2, 2), 0.4, "without_replacement")
    j = 1 - 0.3 * law.curvature(0.4)
    theta = [-2 * 0.3 * w * h / j for w, h in ((0.3, law.retain), (-0.2, law.forget))]
    laws = [batch_law(WITHOUT_REPLACEMENT, n, 2, t) for n, t in zip((5, 4), theta, strict=True)]
    entropy = sum(one.entropy for one in laws)
    assert 0.5 * entropy == pytest.approx(rates.log_variance, rel=0.1)
    assert typical_growth(dyn) - 0.5 * entropy < rates.typical - 0.5 * rates.log_variance


def test_a_run_can_be_proved_to_shrink_although_its_mean_square_grows():
    problem = rs.UnlearningProblem.from_factors(np.random.default_rng(0).standard_normal((12, 4)))
    dyn = problem.dynamics(1.05 * float(problem.critical_step_size(1, 0.0)), 1, 0.0)
    found = dyn.lyapunov_bounds()
    assert dyn.verdict() is rs.Verdict.ESCAPES and found.mean_square > 0.01
    assert found.is_contracting and not found.is_growing
    runs = dyn.simulate(2000, 50, 0).log_displacement
    assert (runs[:, -1] < 0).all()


def test_an_invariant_cone_closes_the_gap_from_below(rng):
    retain, forget = spread_problem(0.1)
    each, chances = listed(retain, forget, 0.2, (3, 2), 0.4, "without_replacement")
    cone = invariant_cone(each, chances)
    value, error = simulated(each, chances, rng)
    dyn = rs.UnlearningProblem.from_factors(retain, forget).dynamics(0.2, (3, 2), 0.4)
    found = dyn.lyapunov_bounds()
    assert found.lower == pytest.approx(cone, abs=1e-12)
    assert found.lower_method == "invariant cone" and found.is_growing
    assert cone <= value + 5 * error
    assert found.upper - found.lower < 0.25 * (found.mean_square - found.lower)
    assert determinant(each, chances) < cone - 0.05
    # samples that stray too far leave every cone: nothing is claimed
    retain, forget = spread_problem(0.5)
    assert invariant_cone(*listed(retain, forget, 0.2, (3, 2), 0.4, "without_replacement")) == (
        -math.inf
    )


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_one_sample_stands_in_for_the_list_of_batches(sampling, rng):
    retain, forget = rng.standard_normal((4, 3)), rng.standard_normal((3, 3))
    dyn = rs.UnlearningProblem.from_factors(retain, forget).dynamics(
        0.05, 2, 0.3, sampling=sampling, weight_decay=0.1
    )
    (members,) = blocks(dyn)
    each, chances = operators(dyn, members, 10_000)
    assert -1.0 < one_sample(dyn, members) <= determinant(each, chances)
    assert dyn.lyapunov_bounds(batches=0).lower_method == "determinant of one sample"
    assert one_sample(dyn.at(step_size=9.0), members) == -math.inf


def test_the_mirror_law_lies_between_them():
    retain, forget = spread_problem(0.05)
    dyn = rs.UnlearningProblem.from_factors(retain, forget).dynamics(0.2, (3, 2), 0.4)
    law: MirrorLaw = dyn.mirror_law()
    rates = law.rates(0.2, (3, 2), 0.4, "without_replacement")
    found = dyn.lyapunov_bounds()
    slack = 0.2 * rates.log_variance
    assert found.lower - slack < rates.typical < found.upper + slack
    assert found.upper < rates.mean < found.mean_square


def test_arguments_are_checked():
    problem = rs.UnlearningProblem.from_factors([[1.0], [2.0]])
    with pytest.raises(ValueError, match="momentum must be 0 for Lyapunov bounds"):
        problem.dynamics(0.1, 1, 0.0, momentum=0.5).lyapunov_bounds()
    with pytest.raises(ValueError, match="batches must be >= 0 and finite, got -1"):
        problem.dynamics(0.1, 1, 0.0).lyapunov_bounds(batches=-1)


@pytest.mark.slow
def test_no_bound_is_violated_in_the_plane():
    """Three methods against both ends of the fourth, which shares nothing with them."""
    rng = np.random.default_rng(11)
    checked = 0
    for _ in range(400):
        n, m = rng.integers(2, 6), rng.integers(1, 4)
        scales = np.exp(rng.uniform(-1, 1, n + m))[:, None]
        z = scales * (rng.standard_normal((n + m, 2)) + rng.uniform(0, 3, 2))
        batch = (int(rng.integers(1, n + 1)), int(rng.integers(1, m + 1)))
        sampling = SAMPLINGS[rng.integers(3)]
        step = float(np.exp(rng.uniform(-3, 0.5))) / float(np.max(scales)) ** 2
        dyn = rs.UnlearningProblem.from_factors(z[:n], z[n:]).dynamics(
            step, batch, float(rng.uniform(0.05, 0.95)), sampling=sampling
        )
        for members in blocks(dyn):
            each, chances = operators(dyn, members, 5000)
            low, high = exponent(each, chances)
            if not high < math.inf or each.shape[1] < 2:
                continue
            checked += 1
            assert typical_growth(dyn) >= low - 1e-9
            assert determinant(each, chances) <= high + 1e-9
            assert invariant_cone(each, chances) <= high + 1e-9
            assert one_sample(dyn, members) <= high + 1e-9
    assert checked > 300
