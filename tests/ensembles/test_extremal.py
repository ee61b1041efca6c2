"""Extremal families: the closed form is the brute force's ρ, and each named bound equals it."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import rmtstab as rs
from rmtstab.ensembles import extremal
from rmtstab.sampling import SAMPLINGS
from tests import naive

seeds = st.integers(0, 2**32 - 1)


def hessians(factors):
    return np.einsum("nci,ncj->nij", factors, factors)


def brute_force(case):
    return naive.growth_factor(
        hessians(case.retain), hessians(case.forget),
        case.step_size, case.batch_size, case.alpha, case.sampling,
    )  # fmt: skip


def dynamics(case, **changes):
    problem = rs.UnlearningProblem.from_factors(case.retain, case.forget)
    return problem.dynamics(**{**case.settings, **changes})


def check(case):
    """Equality to 1e-12 of closed form, brute force and every attained bound."""
    assert brute_force(case) == pytest.approx(case.growth_factor, rel=1e-12)
    found = {bound.name: bound for bound in dynamics(case).bounds()}
    assert case.attained and set(case.attained + case.attained_steps) <= set(found)
    for name in case.attained:
        ratio = found[name].rho_bound / case.growth_factor
        assert ratio == pytest.approx(1.0, abs=1e-12), (name, case)
    for name in case.attained_steps:
        ratio = found[name].critical_step_size / case.critical_step_size
        assert ratio == pytest.approx(1.0, abs=1e-12), (name, case)


@st.composite
def settings(draw, n_retain, n_forget, sampling=None, mixings=(0.0, 0.05, 0.3)):
    """Batches, mixing, sampling for given sizes; Bernoulli batches are real."""
    sampling = sampling or draw(st.sampled_from(SAMPLINGS))
    batch = [draw(st.integers(1, max(n, 1))) for n in (n_retain, n_forget)]
    if sampling == "bernoulli":
        batch = [b * draw(st.floats(0.2, 1.0)) for b in batch]
    alpha = draw(st.sampled_from(mixings)) if n_forget else 0.0
    return {"batch_size": tuple(batch), "alpha": alpha, "sampling": sampling}


@given(st.data(), seeds, st.integers(1, 6), st.integers(0, 4), st.integers(1, 3))
def test_identical_samples(data, seed, n_retain, n_forget, outputs):
    options = data.draw(settings(n_retain, n_forget, mixings=(0.0, 0.05, 0.3, 0.5, 1.0)))
    step = data.draw(st.floats(0.2, 2.5))
    case = extremal.identical(seed, n_retain, n_forget, outputs, step_size=step, **options)
    assume(case.growth_factor > 0.01)  # relative to what (1 − ηd)² cancels from
    check(case)
    assert ("mean" in case.attained) >= (options["sampling"] != "bernoulli")


@given(st.data(), seeds, st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.booleans())
def test_orthogonal_groups(data, seed, directions, k_r, k_f, equal):
    options = data.draw(settings(directions * k_r, directions * k_f))
    step = directions * data.draw(st.floats(0.2, 2.5))
    case = extremal.orthogonal_groups(
        seed, directions, (k_r, k_f), step_size=step, equal=equal, **options
    )
    assume(case.growth_factor > 0.01)
    # D nearly singular: its smallest eigenvalue, and the step with it, is a difference of two means
    assume(case.critical_step_size == 0.0 or case.critical_step_size > 1e-2 * directions)
    check(case)
    assert ("trace" in case.attained) == equal
    if equal and options["sampling"] == "bernoulli":
        assert "operator" in case.attained_steps  # Dexter et al., Theorem 2


@given(st.data(), seeds, st.sampled_from(SAMPLINGS), st.integers(2, 5), st.integers(0, 3))
def test_heavy_sample(data, seed, sampling, n_retain, n_forget):
    alpha = data.draw(st.sampled_from([0.0, 0.05, 0.3])) if n_forget else 0.0
    largest = n_retain // 2 if sampling != "with_replacement" else n_retain - 1
    batch = data.draw(st.integers(1, largest)), data.draw(st.integers(1, max(n_forget, 1)))
    assume(alpha == 0.0 or batch[0] < largest)
    case = extremal.heavy_sample(
        seed, n_retain, n_forget, batch_size=batch, alpha=alpha, sampling=sampling
    )
    assert "single sample" in case.attained
    assert alpha > 0.0 or "unlearning coherence" in case.attained
    check(case)
    problem = rs.UnlearningProblem.from_factors(case.retain, case.forget)
    assert problem.coherence(alpha).unlearning == pytest.approx(1.0, rel=1e-9)


@given(seeds, st.sampled_from(SAMPLINGS), st.integers(1, 2))
def test_heavy_sample_attains_coherence_with_both_sets_weighted(seed, sampling, forget_batch):
    case = extremal.heavy_sample(
        seed, 5, 5, batch_size=(2, forget_batch), alpha=0.2, sampling=sampling
    )
    assert "unlearning coherence" in case.attained
    check(case)


@given(seeds, st.integers(2, 8), st.floats(1.0, 3.0), st.floats(0.02, 0.5))
def test_heavy_beside_a_group_has_any_coherence(seed, group, sigma, share):
    q = 1.0 / share - 1.0
    assume(sigma <= group and (sigma - 1.0) ** 2 + q * sigma**2 / group <= q)
    case = extremal.heavy_beside_group(seed, group, sigma, batch_size=share * (group + 1))
    check(case)
    problem = rs.UnlearningProblem.from_factors(case.retain)
    assert problem.coherence().retain == pytest.approx(sigma, rel=1e-9)


@given(
    seeds, st.sampled_from(SAMPLINGS[1:]), st.integers(2, 8), st.floats(0.0, 0.9), st.integers(1, 7)
)
def test_heavy_among_equals(seed, sampling, n, light, batch):
    assume(batch < n)
    case = extremal.heavy_among_equals(seed, n, light, batch_size=batch, sampling=sampling)
    check(case)
    problem = rs.UnlearningProblem.from_factors(case.retain)
    sigma = problem.coherence().retain
    assert sigma == pytest.approx(1.0 + (n - 1) * light, rel=1e-9)  # anything in [1, n)


@given(st.data(), seeds, st.integers(1, 4), st.integers(0, 3), st.sampled_from([None, 0, 2]))
def test_isotropic_frames(data, seed, dim, more, forget):
    n_retain, n_forget = dim + more, 0 if forget is None else dim + forget
    options = data.draw(settings(n_retain, n_forget))
    step = dim * data.draw(st.floats(0.2, 2.5))
    case = extremal.isotropic_frame(seed, dim, n_retain, n_forget, step_size=step, **options)
    assume(case.growth_factor > 0.01)
    check(case)
    mean = hessians(case.retain).mean(axis=0)
    np.testing.assert_allclose(mean, np.eye(dim) / dim, atol=1e-14)


@given(
    seeds, st.sampled_from(SAMPLINGS[:2]), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3)
)
def test_full_batches(seed, sampling, dim, more, n_forget):
    case = extremal.full_batches(
        seed, dim, dim + more, n_forget,
        step_size=0.7, alpha=0.1 if n_forget else 0.0, sampling=sampling,
    )  # fmt: skip
    assume(case.growth_factor > 0.01)
    check(case)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_critical_step_sizes_are_where_growth_is_one(sampling):
    checked = set()
    for seed in range(12):
        for case in extremal.draw(seed, sampling):
            if not case.critical_step_size > 0.0:
                continue
            there = dynamics(case, step_size=case.critical_step_size)
            assert there.growth_factor() == pytest.approx(1.0, abs=1e-10), case
            checked.add(case.family)
    families = {case.family for case in extremal.draw(0, sampling)}
    assert checked == families


def test_every_bound_but_fixed_size_operator_is_attained():
    attained = {
        s: {n for k in range(8) for c in extremal.draw(k, s) for n in c.attained} for s in SAMPLINGS
    }
    steps = {n for k in range(8) for c in extremal.draw(k, "bernoulli") for n in c.attained_steps}
    core = {"trace", "direction", "single sample", "unlearning coherence", "one step", "mean"}
    assert all(core <= found for found in attained.values())
    assert steps == {"one step", "operator"}


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_whatever_bound_there_is_is_attained_in_two_dimensions_or_more(sampling):
    """Also by bounds that the families do not name: the closest each comes to ρ."""
    certificates = {"resolvent": 1e-9, "Collatz-Wielandt": 1e-9}  # iterative, to a tolerance
    closest = {}
    for seed in range(16):
        for case in extremal.draw(seed, sampling):
            dyn = dynamics(case)
            if dyn.problem.rank < 2 and case.family != "heavy_among_equals":
                continue
            for bound in dyn.bounds():
                if np.isfinite(bound.rho_bound):
                    gap = abs(bound.rho_bound / case.growth_factor - 1.0)
                    closest[bound.name] = min(closest.get(bound.name, np.inf), gap)
    if sampling != "bernoulli":
        for name in ("operator", "coherence convergence"):
            closest.pop(name, None)  # never attained with noisy fixed-size batches
    assert {"mean", "trace", "direction", "one step"} < set(closest)
    for name, gap in closest.items():
        assert gap <= certificates.get(name, 1e-12), name


@pytest.mark.parametrize(("n", "batch"), [(2, 1), (8, 1), (8, 4), (24, 1), (24, 12)])
def test_operator_for_fixed_size_batches_tends_to_exact(n, batch):
    """Best found: equal orthogonal samples, ratio (1 + κ(n − 1))/(1 + κn), κ = (n−B)/(B(n−1))."""
    case = extremal.orthogonal_groups(
        0, n, (1, 0), step_size=1.0, batch_size=(batch, 1), alpha=0.0,
        sampling="without_replacement", equal=True,
    )  # fmt: skip
    (operator,) = (b for b in dynamics(case).bounds() if b.name == "operator")
    kappa = (n - batch) / (batch * (n - 1.0))
    best = (1.0 + kappa * (n - 1)) / (1.0 + kappa * n)
    assert (
        best * (1 - 1e-12) <= operator.critical_step_size / case.critical_step_size <= 1.0 + 1e-12
    )


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("x", [1.0, 1.5, 4.0, 1e3])
def test_heavy_sample_bounds_with_their_mean_term(sampling, x):
    """Away from ηd = 1 the ratio is qx²/((1 − x)² + qx²), between q/(q + 1) and 1."""
    case = extremal.heavy_sample(1, 8, 0, batch_size=(2, 1), alpha=0.0, sampling=sampling)
    q = case.growth_factor
    found = {b.name: b.rho_bound for b in dynamics(case, step_size=x * case.step_size).bounds()}
    exact = (1.0 - x) ** 2 + q * x * x
    assert dynamics(case, step_size=x * case.step_size).growth_factor() == pytest.approx(exact)
    for name in ("single sample", "unlearning coherence"):
        assert found[name] / exact == pytest.approx(q * x * x / exact, rel=1e-11)
    assert q / (q + 1.0) - 1e-12 <= q * x * x / exact <= 1.0


def test_a_wrong_coefficient_would_show():
    """Bernoulli's noise in place of a subset's moves ρ by more than the tolerance."""
    case = extremal.isotropic_frame(
        0, 3, 5, 0, step_size=3.0, batch_size=(2, 1), alpha=0.0, sampling="without_replacement"
    )
    other = extremal.isotropic_frame(
        0, 3, 5, 0, step_size=3.0, batch_size=(2, 1), alpha=0.0, sampling="bernoulli"
    )
    assert abs(other.growth_factor / case.growth_factor - 1.0) > 0.05


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda o: extremal.identical(0, 0, 2, 1, step_size=1.0, **o), "n must be >= 1"),
        (lambda o: extremal.identical(0, 2, 2, 0, step_size=1.0, **o), "outputs must be >= 1"),
        (lambda o: extremal.identical(0, 2, 0, 1, step_size=1.0, **o), "alpha must lie in"),
        (lambda o: extremal.heavy_sample(0, 2, 2, **o), "small enough for q_R >= 1"),
        (
            lambda o: extremal.isotropic_frame(0, 4, 3, 0, step_size=1.0, **{**o, "alpha": 0.0}),
            "n_retain must be >= 4",
        ),
        (
            lambda o: extremal.heavy_among_equals(
                0, 4, 0.5, batch_size=4, sampling="without_replacement"
            ),
            "batch_size must be < n_retain=4, got 4",
        ),
        (
            lambda o: extremal.heavy_among_equals(0, 4, 0.5, batch_size=1, sampling="bernoulli"),
            "sampling must be one of 'without_replacement', 'with_replacement'",
        ),
        (lambda o: extremal.heavy_beside_group(0, 2, 1.9, batch_size=1.0), "small enough for"),
        (lambda o: extremal.draw(0, "shuffled"), "sampling must be one of"),
    ],
)
def test_bad_input(call, message):
    options = {"batch_size": (2, 1), "alpha": 0.3, "sampling": "without_replacement"}
    with pytest.raises(ValueError, match=message):
        call(options)
