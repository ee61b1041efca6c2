"""Convergence in unlearning coherence: never violated, attained, and its thresholds consistent."""

import math

import numpy as np
import pytest
import scipy.linalg
from hypothesis import assume, given
from hypothesis import strategies as st

from rmtstab.theory.coherence_bounds import ConvergenceBound, three_axes
from tests import naive

SAMPLINGS = ("bernoulli", "without_replacement", "with_replacement")
SIZES = (6, 4)


def draw(seed, dim=3, outputs=2):
    """Hessians of uneven samples; the retain set spans all directions."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((sum(SIZES), outputs, dim)) * rng.uniform(0.2, 2.0, (sum(SIZES), 1, 1))
    hessians = np.einsum("nci,ncj->nij", z, z)
    return rng, hessians[: SIZES[0]], hessians[SIZES[0] :]


def coherence(retain, forget, alpha):
    """σ_u(α) by its definition."""
    h = np.concatenate([retain, forget])
    w = np.repeat([(1 - alpha) / len(retain), alpha / len(forget)], [len(retain), len(forget)])
    s = np.sqrt(np.einsum("iab,jba->ij", h, h).clip(0.0) * np.outer(w, w))
    return np.linalg.eigvalsh(s)[-1] / (w * np.linalg.eigvalsh(h)[:, -1]).max()


def axes(retain, forget):
    def block(a, b):
        return np.sqrt(np.einsum("iab,jba->ij", a, b).clip(0.0))

    tops = [np.linalg.eigvalsh(h)[:, -1].max() for h in (retain, forget)]
    return (
        np.linalg.norm(block(retain, retain), 2) / tops[0],
        np.linalg.norm(block(forget, forget), 2) / tops[1],
        np.linalg.norm(block(retain, forget), 2) / math.sqrt(tops[0] * tops[1]),
    )


def bound_of(retain, forget, sigma):
    tops = tuple(float(np.linalg.eigvalsh(h)[:, -1].max()) for h in (retain, forget))
    b = scipy.linalg.eigh(forget.mean(0), retain.mean(0), eigvals_only=True)[-1]
    return ConvergenceBound(SIZES, tops, sigma, float(b), outputs=2)


cases = st.tuples(
    st.integers(0, 2**32 - 1),
    st.sampled_from(SAMPLINGS),
    st.sampled_from((0.0, 0.02, 0.1, 0.25)),
    st.sampled_from(((1, 1), (2, 1), (6, 4), (3, 4))),
)


@given(cases)
def test_every_step_below_the_threshold_converges(case):
    seed, sampling, alpha, batch = case
    _, retain, forget = draw(seed)
    for sigma in (coherence(retain, forget, alpha), three_axes(*axes(retain, forget))):
        bound = bound_of(retain, forget, sigma)
        top = np.linalg.eigvalsh((1 - alpha) * retain.mean(0) - alpha * forget.mean(0))[-1]
        plain = bound.critical_step_size(batch, alpha, sampling)
        sharper = bound.critical_step_size(batch, alpha, sampling, mix_sharpness=float(top))
        assert plain <= sharper * (1 + 1e-12)
        assume(sharper > 0.0)
        for share in (0.05, 0.5, 0.999):
            rho = naive.growth_factor(retain, forget, share * sharper, batch, alpha, sampling)
            assert rho < 1.0 + 1e-12


@pytest.mark.parametrize("per_group", [1, 3])
@pytest.mark.parametrize("batch", [1.0, 2.5])
def test_attained_on_equal_orthogonal_groups(per_group, batch):
    retain = np.repeat(np.einsum("ki,kj->kij", np.eye(4), np.eye(4)), per_group, axis=0)
    n = len(retain)
    bound = ConvergenceBound((n, 0), (1.0, 0.0), float(per_group))
    step = bound.critical_step_size((batch, 1), 0.0, "bernoulli")
    none = np.zeros((0, 4, 4))
    for share, stable in ((0.9999, True), (1.0001, False)):
        rho = naive.growth_factor(retain, none, share * step, (batch, 1), 0.0, "bernoulli")
        assert (rho < 1.0) == stable


def test_half_the_noise_would_be_refuted():
    """The theorem with q̂/2 fails: the test above could."""
    wrong = 0
    for seed in range(40):
        _, retain, forget = draw(seed, outputs=1, dim=2)
        sigma = coherence(retain, forget, 0.0)
        tops = tuple(float(np.linalg.eigvalsh(h)[:, -1].max()) for h in (retain, forget))
        bound = ConvergenceBound(SIZES, tops, sigma)
        q = SIZES[0] - 1.0
        heavy = tops[0] / SIZES[0]
        top = np.linalg.eigvalsh(retain.mean(0))[-1]
        step = 2.0 / (top + heavy * q / 2.5)
        assert step > bound.critical_step_size((1, 1), 0.0, "bernoulli", float(top))
        wrong += naive.growth_factor(retain, forget, step, (1, 1), 0.0, "bernoulli") > 1.0
    assert wrong > 0


@given(cases, st.floats(0.05, 3.0))
def test_thresholds_in_batch_size_and_mixing_are_those_in_step_size(case, share):
    seed, sampling, alpha, batch = case
    _, retain, forget = draw(seed)
    bound = bound_of(retain, forget, three_axes(*axes(retain, forget)))
    eta = share * bound.critical_step_size((2, 2), 0.1, sampling)
    assume(eta > 0.0)

    def passes(batch_size, mixing):
        return eta <= bound.critical_step_size(batch_size, mixing, sampling)

    found = bound.critical_alpha(eta, batch, sampling)
    if math.isnan(found):
        assert not any(passes(batch, a) for a in np.linspace(0.0, 1.0, 101))
    elif 0.0 < found < 1.0:
        assert passes(batch, found * (1 - 1e-9))
        assert not passes(batch, min(found * (1 + 1e-9) + 1e-12, 1.0))
        assert not any(passes(batch, a) for a in np.linspace(min(found + 1e-6, 1.0), 1.0, 50))
    least = bound.critical_batch_size(eta, alpha, sampling)
    if sampling == "bernoulli" and not math.isnan(least) and least > 0.0:
        assert passes((min(least * (1 + 1e-9), 4.0),) * 2, alpha) or least >= 4.0
        assert not passes((least * (1 - 1e-6),) * 2, alpha)


def test_sharpness_threshold_is_the_sharper_form():
    bound = ConvergenceBound((6, 4), (3.0, 2.0), 2.0, 0.5)
    eta = 0.98
    top = bound.critical_sharpness(eta, (2, 1), 0.2, "bernoulli")
    assert 0.0 < top < 2.0 * 0.4  # below σ m: the sharper form is the one used
    step = bound.critical_step_size((2, 1), 0.2, "bernoulli", mix_sharpness=top)
    assert step == pytest.approx(eta, rel=1e-12)


def test_where_the_mean_ascends_it_says_nothing():
    bound = ConvergenceBound((6, 4), (3.0, 2.0), 2.0, 3.0)
    assert bound.critical_step_size((6, 4), 0.25, "without_replacement") == 0.0
    assert math.isnan(bound.critical_batch_size(1e-9, 0.3, "bernoulli"))
    unseen = ConvergenceBound((6, 4), (3.0, 2.0), 2.0)
    assert unseen.critical_step_size((2, 1), 1e-9, "bernoulli") == 0.0
    assert unseen.critical_alpha(0.1, (2, 1), "bernoulli") == 0.0
    assert math.isnan(unseen.critical_alpha(1e3, (2, 1), "bernoulli"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((6, 4), (3.0, 2.0), 0.5), "coherence must be at least 1"),
        (((6, 4), (-3.0, 2.0), 2.0), r"sample_sharpness\[0\] must be >= 0"),
        (((6, 4), (3.0, 2.0), 2.0, -1.0), "forget_ratio must be >= 0"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvergenceBound(*arguments)
