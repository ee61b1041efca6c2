"""Each bound's thresholds in η, B, α and sharpness: consistent with it, and with the exact ones."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rmtstab as rs
from rmtstab.theory import mean, reduced
from rmtstab.theory.coherence_bounds import (
    CoherenceBound,
    ConvergenceBound,
    HeavySample,
    three_axes,
    weighted_axes,
)
from rmtstab.theory.rayleigh import RayleighBound
from rmtstab.theory.sufficient import (
    OneStepBound,
    sgd_batch_size,
    sgd_sharpness,
    sgd_step_size,
)
from tests import naive

SAMPLINGS = ("bernoulli", "without_replacement", "with_replacement")
SIZES = (6, 4)


def instance(seed, overlap=True):
    """Hessians of 6 retain and 4 forget samples in 3 dimensions; retain spans them."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((10, 2, 3)) * rng.uniform(0.3, 1.5, (10, 1, 1))
    hessians = np.einsum("nci,ncj->nij", z, z)
    return rng, hessians[:6], hessians[6:]


def rayleigh(rng, retain, forget):
    """Bounds of one direction and of the trace, and the trial matrices behind them."""
    v = rng.standard_normal(3)
    v /= np.linalg.norm(v)
    along = [np.einsum("i,nij,j->n", v, h, v) for h in (retain, forget)]
    r, f = retain.mean(0), forget.mean(0)
    trace = RayleighBound.trace(
        3, (np.trace(r), np.trace(f)), (np.vdot(r, r), np.vdot(r, f), np.vdot(f, f)),
        ((retain**2).sum(), (forget**2).sum()), SIZES,
    )  # fmt: skip
    return [
        (RayleighBound.direction(*along), np.outer(v, v)),
        (trace, np.eye(3) / np.sqrt(3)),
    ]


settings_of = st.tuples(
    st.integers(0, 2**32 - 1), st.sampled_from(SAMPLINGS), st.sampled_from((0.0, 0.1, 0.4))
)


@given(settings_of, st.sampled_from((0.0, 0.3)))
def test_rayleigh_quotients_are_those_of_the_dense_operator(case, decay):
    seed, sampling, alpha = case
    rng, retain, forget = instance(seed)
    step, batch = float(rng.uniform(0.1, 1.0)), (2, 1)
    dense = naive.second_moment(retain, forget, step, batch, alpha, sampling, decay)
    for bound, m in rayleigh(rng, retain, forget):
        expected = m.ravel() @ dense @ m.ravel()
        found = bound.growth(step, batch, alpha, sampling, decay)
        assert found == pytest.approx(expected, rel=1e-11)


def families(rng, retain, forget):
    """Every bound object with thresholds, and whether it is necessary."""
    r, f = retain.mean(0), forget.mean(0)
    tops = [float(np.linalg.eigvalsh(h)[:, -1].max()) for h in (retain, forget)]
    sets = [float(np.linalg.eigvalsh(m)[-1]) for m in (r, f)]
    squares = [np.einsum("nij,njk->ik", h, h) for h in (retain, forget)]
    yield from ((bound, True) for bound, _ in rayleigh(rng, retain, forget))
    yield HeavySample(SIZES, tuple(tops), tuple(sets)), True
    yield OneStepBound(SIZES, r, f, *squares), False


@given(settings_of)
def test_thresholds_meet_their_bound_and_lie_on_the_right_side_of_the_exact_one(case):
    seed, sampling, alpha = case
    rng, retain, forget = instance(seed)
    problem = rs.UnlearningProblem.from_hessians(retain, forget)
    batch = (2, 1)
    step = float(rng.uniform(0.2, 1.2)) / np.linalg.eigvalsh(retain.mean(0))[-1]
    exact_step = float(problem.critical_step_size(batch, alpha, sampling=sampling))
    exact_alpha = float(problem.critical_alpha(step, batch, sampling=sampling))
    exact_batch = float(problem.critical_batch_size(step, alpha, sampling=sampling))
    least = 0.0 if sampling == "bernoulli" else 1.0
    for bound, necessary in families(rng, retain, forget):
        sign = 1.0 if necessary else -1.0
        critical = bound.critical_step_size(batch, alpha, sampling)
        if 0.0 < critical < math.inf:
            assert bound.growth(critical, batch, alpha, sampling) == pytest.approx(1.0, abs=1e-9)
        assert sign * (critical - exact_step) >= -1e-9 * exact_step
        mixing = bound.critical_alpha(step, batch, sampling)
        if mixing < 1.0:
            at = bound.growth(step, batch, mixing, sampling)
            assert at == pytest.approx(1.0, abs=1e-7) or (mixing == 0.0 and at <= 1.0)
        if necessary:
            assert not mixing < exact_alpha - 1e-9  # NaN says that no mixing is stable
            assert not (math.isnan(mixing) and not math.isnan(exact_alpha))
        else:
            assert not mixing > exact_alpha + 1e-9
        smallest = bound.critical_batch_size(step, alpha, sampling)
        if least < smallest <= 4:
            at = rayleigh_at_real_batch(bound, step, smallest, alpha, sampling)
            assert at == pytest.approx(1.0, abs=1e-7)
        if necessary:
            assert not smallest > exact_batch * (1.0 + 1e-9)
            assert not (math.isnan(smallest) and not math.isnan(exact_batch))
        elif not math.isnan(smallest):
            assert smallest >= exact_batch * (1.0 - 1e-9)


def rayleigh_at_real_batch(bound, step, batch, alpha, sampling):
    """The bound at a real batch size: affine in 1/B between two whole ones."""
    if sampling == "bernoulli":
        return bound.growth(step, (batch, batch), alpha, sampling)
    if isinstance(bound, OneStepBound):
        one, four = (bound.moment(step, (b, b), alpha, sampling) for b in (1, 4))
        share = (1 / batch - 0.25) / 0.75
        return np.linalg.eigvalsh(four + share * (one - four))[-1]
    if isinstance(bound, HeavySample):  # a maximum over sets, each proportional to its c_s
        offset = np.zeros(2) if sampling == "with_replacement" else 1 / np.array(SIZES)
        alone = [
            bound.growth(step * w, (1, 1), a, sampling) for w, a in ((1 - alpha, 0.0), (alpha, 1.0))
        ]
        return max(np.array(alone) * (1 / batch - offset) / (1 - offset))
    one, four = (bound.growth(step, (b, b), alpha, sampling) for b in (1, 4))
    return four + (1 / batch - 0.25) / 0.75 * (one - four)


@given(st.integers(2, 40), st.floats(0.1, 0.95), st.floats(1.0, 40.0))
def test_coherence_bound_at_zero_mixing_is_that_of_dexter_et_al(n, share, sigma):
    """Theorem 1 there: SGD diverges if λ_max > (σ/η)/√(n/B − 1)."""
    b, sigma, step = share * n, min(sigma, n), 0.7
    bound = CoherenceBound((n, 0), 1.0, sigma)
    critical = bound.critical_sharpness(step, (b, 1), 0.0, "bernoulli")
    assert critical == pytest.approx(sigma / step / np.sqrt(n / b - 1.0), rel=1e-12)
    at = CoherenceBound((n, 0), critical, sigma)
    assert at.growth(step, (b, 1), 0.0, "bernoulli") == pytest.approx(1.0, rel=1e-12)
    assert at.critical_step_size((b, 1), 0.0, "bernoulli") == pytest.approx(step, rel=1e-12)
    assert at.critical_batch_size(step, 0.0, "bernoulli") == pytest.approx(b, rel=1e-9)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 6), st.sampled_from(SAMPLINGS))
def test_operator_bound_on_orthogonal_groups_is_exact(k, groups, b, sampling):
    """Dexter et al., Theorem 2 (Bernoulli): λ_max(H) = (2/η) σ/(n/B + σ − 1), σ = k."""
    n, sharp = k * groups, 1.7
    b = min(b, n)
    samples = np.repeat(sharp * np.einsum("gi,gj->gij", *[np.eye(groups)] * 2), k, axis=0)
    top = sharp * k / n
    step = sgd_step_size(top, sharp, n, b, sampling)
    if sampling == "bernoulli":
        assert top == pytest.approx(2 / step * k / (n / b + k - 1), rel=1e-12)
    assert sgd_sharpness(k, step, n, b, sampling) == pytest.approx(top, rel=1e-12)
    dense = naive.second_moment(samples, samples[:0], step, (b, 1), 0.0, sampling)
    rho = np.linalg.eigvalsh(dense)[-1]
    assert rho == pytest.approx(1.0, rel=1e-12)
    if b < n and (groups > 1 or sampling == "bernoulli"):
        assert sgd_batch_size(top, sharp, n, step, sampling) == pytest.approx(b, rel=1e-9)


@pytest.mark.parametrize("unit", [2.0**-30, 2.0**30])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_thresholds_of_sgd_scale_with_the_units_of_the_curvature(unit, sampling):
    step = sgd_step_size(1.0, 3.0, 8, 2, sampling)
    assert sgd_step_size(unit, 3.0 * unit, 8, 2, sampling) == step / unit
    batch = sgd_batch_size(1.0, 3.0, 8, step, sampling)
    assert batch == pytest.approx(2, rel=1e-12)
    assert sgd_batch_size(unit, 3.0 * unit, 8, step / unit, sampling) == batch


def test_dexter_theorem_2_is_no_guarantee_where_signs_cancel():
    """Three unit vectors at 120°: λ_max(|K|) > λ_max(K), so ℓ > nλ/σ, and SGD diverges there."""
    angles = 2 * np.pi * np.arange(3) / 3
    problem = rs.UnlearningProblem.from_factors(np.stack([np.cos(angles), np.sin(angles)], 1))
    sigma = problem.coherence().retain
    assert sigma == pytest.approx(2.0)
    step = sgd_sharpness(sigma, 1.0, 3, 1, "bernoulli") / 0.5  # λ_max(H) = 1/2
    growth = problem.dynamics(step, 1, 0.0, "bernoulli").growth_factor()
    assert growth == pytest.approx(4 / 3)
    safe = sgd_step_size(0.5, 1.0, 3, 1, "bernoulli")
    at = problem.dynamics(safe, 1, 0.0, "bernoulli").growth_factor()
    assert at == pytest.approx(1.0, rel=1e-12)  # the operator bound is attained on frames too


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.99))
def test_three_axes_bound_the_unlearning_coherence(seed, alpha):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 6))
    z = rng.standard_normal((9, int(rng.integers(1, 3)), d)) * 10.0 ** rng.uniform(-1, 1, (9, 1, 1))
    problem = rs.UnlearningProblem.from_factors(z[:5], z[5:])
    found = problem.coherence(alpha)
    weights = np.repeat([(1 - alpha) / 5, alpha / 4], [5, 4])
    tops = np.linalg.norm(z, ord=2, axis=(1, 2)) ** 2 * weights
    ratio = tops[5:].max() / tops[:5].max()
    sharp = weighted_axes(found.retain, found.forget, found.cross, ratio)
    loose = three_axes(found.retain, found.forget, found.cross)
    assert found.unlearning <= sharp * (1 + 1e-12) <= loose * (1 + 2e-12)


def test_three_axes_are_attained_by_equal_groups():
    """Identical weighted samples in both sets: σ_u = λ_max of the 2 × 2 matrix, at α = n_f/n."""
    for rows, axes in (
        (np.ones((6, 1)), (4.0, 2.0, np.sqrt(8.0))),
        (np.eye(2)[[0, 0, 0, 0, 1, 1]], (4.0, 2.0, 0.0)),
    ):
        problem = rs.UnlearningProblem.from_factors(rows[:4], rows[4:])
        found = problem.coherence(2 / 6)
        assert (found.retain, found.forget, found.cross) == pytest.approx(axes, abs=1e-12)
        assert found.unlearning == pytest.approx(three_axes(*axes), rel=1e-12)
    assert three_axes(2.0, 2.0, 1.0) < 0.95 * (2.0 + 2.0)  # the sum of the axes would be loose


@given(st.integers(0, 2**32 - 1))
def test_mean_limited_mixing(seed):
    _, retain, forget = instance(seed)
    critical = mean.critical_alpha(retain.mean(0), forget.mean(0))
    for shift, sign in ((-1e-9, 1), (1e-9, -1)):
        alpha = critical + shift
        d = (1 - alpha) * retain.mean(0) - alpha * forget.mean(0)
        assert np.sign(np.linalg.eigvalsh(d)[0]) == sign
    assert mean.critical_alpha(np.diag([1.0, 0.0]), np.diag([1.0, 1.0])) == 0.0
    assert mean.critical_alpha(np.eye(2), np.zeros((2, 2))) == 1.0


@given(st.integers(0, 2**32 - 1), st.integers(1, 2))
def test_reduced_growth_is_the_top_of_diagonal_plus_low_rank(seed, k):
    rng = np.random.default_rng(seed)
    j = rng.uniform(-1.2, 1.2, 4)
    f = rng.standard_normal((k, 4, 4)) * rng.uniform(0, 1)
    dense = np.diag(np.outer(j, j).ravel()) + sum(np.outer(x.ravel(), x.ravel()) for x in f)
    expected = np.linalg.eigvalsh(dense)[-1]
    assert reduced.growth(np.outer(j, j), f) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CoherenceBound((4, 2), 1.0, 0.5), r"coherence must be at least 1 \(λ_max\(S\)"),
        (lambda: CoherenceBound((4, 2), 1.0, 6.5), r"at most n\*sqrt\(C\) = 6 .*, got 6.5"),
        (lambda: HeavySample((4, 0), (1.0, 0.0), (1.2, 0.0)), r"set_sharpness\[0\] must be at mos"),
        (lambda: HeavySample((4, 0), (1.0, 0.0), (0.1, 0.0)), r"at least ℓ/n = 0.25 \(the mean"),
        (lambda: sgd_step_size(2.0, 1.0, 4, 1, "bernoulli"), "sharpness must be at most the larg"),
        (lambda: sgd_step_size(1.0, 1.0, 4, 5, "bernoulli"), r"batch_size must lie in \(0, n=4\]"),
        (lambda: three_axes(0.5, 1.0, 0.0), "retain must be 0 .empty set. or at least 1"),
        (
            lambda: RayleighBound.direction([1.0], []).growth(1.0, (1, 1), 0.1, "bernoulli"),
            "alpha=0.1 gives weight to an empty set, got n_forget=0",
        ),
        (lambda: RayleighBound.direction([-1.0], []), "retain must hold curvatures >= 0, got -1"),
        (
            lambda: RayleighBound.trace(2, (1, 1), (4.0, 0, 0), (1.0, 0.0), (3, 0)),
            r"sample_squares\[0\] must be at least n tr H² = 12",
        ),
        (lambda: reduced.growth(np.eye(2), np.eye(2)), "sources must have 3 axes"),
        (lambda: mean.critical_alpha(np.eye(2), np.eye(3)), "must be square and alike"),
    ],
)
def test_impossible_numbers_are_refused_with_the_inequality_they_break(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("decay", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("alpha", [0.0, 0.2])
def test_one_step_bound_with_weight_decay_in_one_dimension(decay, alpha):
    """One dimension, Bernoulli: ρ = (1 − η(μ + λ))² + η² Σ_s a_s² c_s Σ_i h_i², and no bound."""
    retain, forget, batch = np.array([3.0, 1.0, 2.0]), np.array([0.5, 1.5]), (2.0, 1.0)
    mu = (1.0 - alpha) * retain.mean() - alpha * forget.mean() + decay
    noise = sum(
        a * a * (n - b) / (n * n * b) * np.sum(h * h)
        for a, h, n, b in (
            (1.0 - alpha, retain, 3, batch[0]),
            (alpha, forget, 2, batch[1]),
        )
    )
    values = (retain.mean(), forget.mean(), np.sum(retain**2), np.sum(forget**2))
    bound = OneStepBound((3, 2), *(np.full((1, 1), v) for v in values))
    given = dict(alpha=alpha, sampling="bernoulli", weight_decay=decay)
    for eta in (0.1, 0.5, 1.0):
        exact = (1.0 - eta * mu) ** 2 + eta * eta * noise
        assert bound.growth(eta, batch, **given) == pytest.approx(exact, rel=1e-13)
    step = 2.0 * mu / (mu * mu + noise)
    assert bound.critical_step_size(batch, **given) == pytest.approx(step, rel=1e-12)
    common = dict(sampling="bernoulli", weight_decay=decay)
    least = bound.critical_batch_size(0.9 * step, alpha, **common)
    if 0.0 < least < 2.0:
        at = bound.growth(0.9 * step, (least, least), alpha, **common)
        assert at == pytest.approx(1.0, rel=1e-11)


@pytest.mark.parametrize("alpha", [0.1, 0.3, 0.5])
def test_thresholds_of_a_direction_at_a_mixing_are_where_it_is_one(alpha):
    """Bernoulli batches take real sizes: there the bound itself can be asked."""
    bound = RayleighBound.direction([3.0, 1.0, 2.0, 6.0], [0.5, 1.5, 0.2])
    step = bound.critical_step_size((1.7, 1.7), alpha, "bernoulli")
    assert bound.growth(step, (1.7, 1.7), alpha, "bernoulli") == pytest.approx(1.0, rel=1e-12)
    batch = bound.critical_batch_size(step, alpha, "bernoulli")
    assert batch == pytest.approx(1.7, rel=1e-10)
    last = bound.critical_alpha(step, (1.7, 1.7), "bernoulli")  # alpha, or where it is one again
    assert last >= alpha * (1 - 1e-10)
    assert bound.growth(step, (1.7, 1.7), last, "bernoulli") == pytest.approx(1.0, rel=1e-10)


@pytest.mark.parametrize("sampling", ["bernoulli", "without_replacement", "with_replacement"])
@pytest.mark.parametrize("eta", [0.05, 0.4, 3.0])
def test_heavy_sample_thresholds_at_a_mixing_are_where_it_is_one(sampling, eta):
    bound = HeavySample((8, 4), (6.0, 5.0), (1.0, 1.5))
    for alpha in (0.1, 0.3, 0.7):
        step = bound.critical_step_size((2, 1), alpha, sampling)
        assert bound.growth(step, (2, 1), alpha, sampling) == pytest.approx(1.0, rel=1e-12)
        batch = bound.critical_batch_size(eta, alpha, sampling)
        if 1.0 < batch < 4.0:  # checked where the scheme takes real numbers, or whole ones
            whole = (math.floor(batch), math.ceil(batch))
            below, above = (bound.growth(eta, (b, b), alpha, sampling) for b in whole)
            assert below >= 1.0 - 1e-12 >= above - 2e-12
        largest = bound.critical_sharpness(eta, (2, 1), alpha, sampling)
        # closed form: the retain sample alone, (η a ℓ)² c = 1 (fixed sizes: of the excess)
        a, n, b = 1.0 - alpha, 8, 2
        c = {"bernoulli": (n - b) / (n * n * b), "without_replacement": (n - b) / (n * b * (n - 1)),
             "with_replacement": 1.0 / (n * b)}[sampling]  # fmt: skip
        share = 1.0 if sampling == "bernoulli" else n / (n - 1.0)
        assert (eta * a * largest) ** 2 * c * share == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("eta", [0.05, 0.4, 1.9, 3.0])  # at 1.9 six samples, and the set has four
def test_convergence_bound_at_a_mixing_against_its_closed_form(eta):
    """Critical batch: η m (σ + q/δ) = 2 with q = n²c(B), m the heaviest weighted sample."""
    bound = ConvergenceBound((8, 4), (6.0, 5.0), 1.5, forget_ratio=0.4)
    alpha, b = 0.3, 0.4
    m = max(0.7 * 6.0 / 8, 0.3 * 5.0 / 4)
    t = alpha * b / (1.0 - alpha)
    delta = (1.0 - t) / (1.0 + t)
    assert bound.heaviest(alpha) == pytest.approx(m, rel=1e-14)
    q = max((n - 2.0) / 2.0 for n in (8, 4))
    assert bound.noise((2, 2), alpha, "bernoulli") == pytest.approx(m * q / delta, rel=1e-13)
    step = 2.0 / (1.5 * m + m * q / delta)
    assert bound.critical_step_size((2, 2), alpha, "bernoulli") == pytest.approx(step, rel=1e-13)
    last = bound.critical_alpha(step, (2, 2), "bernoulli")
    assert alpha <= last < 1.0 / 1.4
    assert bound.critical_step_size((2, 2), last, "bernoulli") == pytest.approx(step, rel=1e-12)
    room = delta * (2.0 / (eta * m) - 1.5)  # q = n/B − 1 ≤ room in both sets
    least = max(n / (room + 1.0) for n in (8, 4)) if room > -1.0 else math.inf
    found = bound.critical_batch_size(eta, alpha, "bernoulli")
    if least <= 4.0:
        assert found == pytest.approx(least, rel=1e-12)
    else:
        assert math.isnan(found)


def test_coherence_bound_at_a_mixing_against_its_closed_form():
    """ρ ≥ (ηλ)² min_s c_s (n_s/σ)², Bernoulli; with both sets weighted the smaller counts."""
    bound = CoherenceBound((8, 4), 2.0, 1.6)
    unit = min((8 - 2) / (64 * 2) * (8 / 1.6) ** 2, (4 - 2) / (16 * 2) * (4 / 1.6) ** 2)
    for eta in (0.1, 0.7):
        found = bound.growth(eta, (2, 2), 0.3, "bernoulli")
        assert found == pytest.approx((2.0 * eta) ** 2 * unit, rel=1e-13)
    alone = (8 - 2) / (64 * 2) * (8 / 1.6) ** 2
    assert bound.growth(0.7, (2, 1), 0.0, "bernoulli") == pytest.approx(1.96 * alone, rel=1e-13)
