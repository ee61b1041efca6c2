"""Volterra thresholds: one equation by four routes, brute force, and the exact threshold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmtstab import UnlearningProblem
from rmtstab.laws import GeneralizedMarchenkoPastur, MarchenkoPastur, Semicircle, Spiked, TracyWidom
from rmtstab.theory import volterra
from rmtstab.theory.volterra import noise_scale, volterra_step_size
from tests import naive

SAMPLINGS = ("bernoulli", "without_replacement", "with_replacement")
sizes = st.integers(2, 400)
schemes = st.sampled_from(SAMPLINGS)


@given(sizes, sizes, st.floats(0, 1), schemes, st.floats(1e-6, 1e6))
def test_isotropic_formula_is_the_root_through_the_stieltjes_transform(n, dim, share, scheme, unit):
    batch = max(1, round(share * n))
    formula = volterra.isotropic_step_size(n, dim, batch, scheme, scale=unit)
    law = volterra.law_step_size(MarchenkoPastur(dim / n, unit), dim, n, batch, scheme)
    spiked = volterra.spiked_step_size(n, dim, [], batch, scheme, scale=unit)
    population = volterra.population_step_size(n, [unit], batch, scheme, counts=[dim])
    for other in (law, spiked, population):
        assert float(other) == pytest.approx(float(formula), rel=1e-10)


@given(sizes, sizes, st.floats(0, 1), schemes, st.floats(1.5, 100.0), st.integers(1, 99))
def test_population_is_the_root_through_the_general_law(n, dim, share, scheme, high, percent):
    batch = max(1, round(share * n))
    weights = np.array([percent, 100 - percent]) / 100
    law = GeneralizedMarchenkoPastur(dim / n, [1.0, high], weights)
    expected = volterra.law_step_size(law, dim, n, batch, scheme)
    found = volterra.population_step_size(n, [1.0, high], batch, scheme, counts=dim * weights)
    assert float(found) == pytest.approx(float(expected), rel=1e-10)
    assert (found.status == "interior") == (expected.status == "interior")


@given(
    sizes, st.integers(3, 400), st.floats(0, 1), schemes, st.lists(st.floats(1.0, 50.0), max_size=3)
)
def test_spiked_is_the_root_with_the_determinant_of_the_spikes(n, dim, share, scheme, spikes):
    batch = max(1, round(share * n))
    found = volterra.spiked_step_size(n, dim, spikes, batch, scheme, scale=2.0)
    law = volterra.law_step_size(Spiked(dim / n, spikes, scale=2.0), dim, n, batch, scheme)
    assert float(found) == pytest.approx(float(law), rel=1e-8)  # edges: a square root of 1e-16
    assert found.status == law.status


@pytest.mark.parametrize("scheme", SAMPLINGS)
def test_spiked_is_the_population_with_one_dimension_a_spike_below_the_cap(scheme):
    """Two derivations of the spikes' share agree to second order: by 1/n² of the step."""
    gaps = []
    for n in (2000, 4000, 8000):
        found = volterra.spiked_step_size(n, n, [4.0, 2.5], n // 20, scheme)
        full = volterra.population_step_size(
            n, [1.0, 4.0, 2.5], n // 20, scheme, counts=[n - 2, 1, 1]
        )
        without = volterra.isotropic_step_size(n, n, n // 20, scheme)
        gaps.append(abs(float(full) / float(found) - 1))
        assert gaps[-1] < 0.05 * abs(float(without) / float(found) - 1)
    slope = np.polyfit(np.log((2000, 4000, 8000)), np.log(gaps), 1)[0]
    assert slope == pytest.approx(-2.0, abs=0.03)


@pytest.mark.parametrize("scheme", SAMPLINGS)
@pytest.mark.parametrize("batch", [1, 30, 90])
def test_additive_law_is_the_spectrum_of_a_sampled_gram(scheme, batch, rng):
    """Outlier included: the threshold of a matrix with that spectrum, to its 1/n."""
    n, dim, snr = 300, 600, 0.2
    x = rng.standard_normal((n, dim))
    x[:, 0] = snr * np.sqrt(dim)
    law = Spiked(n / dim, [n * snr**2], "additive", dim / n)
    found = float(volterra.law_step_size(law, n, n, batch, scheme))
    actual = volterra_step_size(np.linalg.eigvalsh(x @ x.T / n), n, batch, scheme)
    assert found == pytest.approx(actual, rel=0.01)
    bulk = float(volterra.law_step_size(law.bulk, n, n, batch, scheme))
    assert abs(bulk / actual - 1) > 0.03  # a law without its outlier is seen


@pytest.mark.parametrize("scheme", SAMPLINGS)
def test_equation_holds_for_any_spectrum(scheme, rng):
    values, n, batch = rng.uniform(0.1, 2.0, 40), 40, 3
    eta = volterra_step_size(values, n, batch, scheme)
    kappa, damping = noise_scale(n, batch, scheme)
    assert kappa * eta * np.sum(values / (2 - damping * eta * values)) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("scheme", SAMPLINGS)
@pytest.mark.parametrize(("n", "batch"), [(9, 3), (5, 1), (7, 7), (12, 5)])
def test_noise_scale_is_the_covariance_of_a_samples_weight(scheme, n, batch):
    """``ΣC_ij H_i X H_j = κ/n ΣH_i X H_i − (1 − δ) H̄XH̄``, C counted batch by batch."""
    c = naive.batch_covariance(n, batch, scheme) / batch**2
    kappa, damping = noise_scale(n, batch, scheme)
    assert kappa == pytest.approx(n * (c[0, 0] - c[0, 1]), rel=1e-12, abs=1e-15)
    assert damping == pytest.approx(1 + n * n * c[0, 1], rel=1e-12, abs=1e-15)


def test_large_trace_by_moments_meets_the_transform():
    """Tiny Bernoulli batches: z is far from the spectrum, where −zm−1 cancels."""
    for batch in (1e-2, 1e-6, 1e-9):
        law = volterra.law_step_size(MarchenkoPastur(0.5), 50, 100, batch, "bernoulli")
        formula = volterra.isotropic_step_size(100, 50, batch, "bernoulli")
        assert float(law) == pytest.approx(float(formula), rel=1e-12)
        assert float(formula) == pytest.approx(2 * batch / 50, rel=0.02)


def exact(factors, batch):
    problem = UnlearningProblem.from_factors(factors, factors[:0])
    return float(problem.critical_step_size(batch, 0.0, sampling="bernoulli"))


def test_spikes_move_the_threshold_by_their_trace_only(rng):
    """Below the cap the bulk alone is 8 % too high at n = 200; with the spike's trace, 3 %."""
    n, spike, batch = 200, 5.0, 20
    x = rng.standard_normal((12, n, n))
    x[:, :, 0] *= np.sqrt(spike)
    found = np.mean([exact(a, batch) for a in x])
    corrected = float(volterra.spiked_step_size(n, n, [spike], batch, "bernoulli"))
    alone = float(volterra.isotropic_step_size(n, n, batch, "bernoulli"))
    assert abs(found / corrected - 1) < 0.05
    assert 0.05 < alone / found - 1 < 0.12


def test_beyond_the_corner_the_outlier_caps(rng):
    n, spike, batch = 200, 9.0, 120
    x = rng.standard_normal((16, n, n))
    x[:, :, 0] *= np.sqrt(spike)
    found = [exact(a, batch) for a in x]
    threshold = volterra.spiked_step_size(n, n, [spike], batch, "bernoulli")
    outlier = spike * (1 + 1 / (spike - 1))
    assert float(threshold) == pytest.approx(2 / outlier, rel=0.02)
    assert threshold.status.startswith("mean-limited: at 2/outlier")
    error = np.std(found, ddof=1) / 4
    assert abs(np.mean(found) - float(threshold)) < 4 * error + 0.02 * float(threshold)
    assert float(volterra.isotropic_step_size(n, n, batch, "bernoulli")) > 2 * np.mean(found)


def test_statuses_and_limits():
    for scheme in SAMPLINGS:
        full = volterra.isotropic_step_size(100, 50, 100, scheme)
        if scheme != "with_replacement":
            assert float(full) == pytest.approx(2 / (1 + np.sqrt(0.5)) ** 2, rel=1e-14)
            assert full.status.startswith("mean-limited: at 2/edge")
    single = volterra.isotropic_step_size(100, 50, 1, "without_replacement")
    assert float(single) == pytest.approx(2 / 50, rel=1e-15)
    # Bernoulli: mean-limited from x = B/(d(1 − B/n)) = 1/√γ on
    n, dim = 10_000, 40_000
    crossing = dim / 2 / (1 + dim / 2 / n)
    assert crossing == pytest.approx(np.sqrt(n * dim) / (1 + 2), rel=1e-12)
    below, above = (
        volterra.isotropic_step_size(n, dim, f * crossing, "bernoulli") for f in (0.999, 1.001)
    )
    assert below.status == "interior" and above.status.startswith("mean-limited")
    assert float(below) == pytest.approx(float(above), rel=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: volterra.isotropic_step_size(0, 5, 1, "bernoulli"), ValueError, r"n must be >= 1"),
        (
            lambda: volterra.isotropic_step_size(5, 5, 6, "bernoulli"),
            ValueError,
            r"batch_size must lie in \(0, n=5\], got 6",
        ),
        (
            lambda: volterra.isotropic_step_size(5, 5, 2, "shuffled"),
            ValueError,
            r"sampling must be one of",
        ),
        (
            lambda: volterra.spiked_step_size(5, 5, [0.5], 2, "bernoulli"),
            ValueError,
            r"spikes must be >= 1.*got 0.5; smaller ones belong in population_step_size",
        ),
        (
            lambda: volterra.spiked_step_size(5, 2, [2.0] * 3, 2, "bernoulli"),
            ValueError,
            r"spikes must be at most dim=2, got 3",
        ),
        (
            lambda: volterra.population_step_size(5, [1.0, -2.0], 2, "bernoulli"),
            ValueError,
            r"eigenvalues must be >= 0 and one of them > 0, got -2…1",
        ),
        (
            lambda: volterra.population_step_size(5, [], 2, "bernoulli"),
            ValueError,
            r"one of them > 0, got none",
        ),
        (
            lambda: volterra.population_step_size(5, [1.0], 2, "bernoulli", counts=[1, 2]),
            ValueError,
            r"counts must have one entry an eigenvalue, shape \(1,\), got \(2,\)",
        ),
        (
            lambda: volterra.population_step_size(5, [1.0], 2, "bernoulli", counts=[0]),
            ValueError,
            r"counts must be > 0, got 0",
        ),
        (
            lambda: volterra.law_step_size(TracyWidom(1), 5, 5, 2, "bernoulli"),
            TypeError,
            r"law must be a spectral law of rmtstab.laws, got TracyWidom",
        ),
        (
            lambda: volterra.law_step_size(Semicircle(), 5, 5, 2, "bernoulli"),
            ValueError,
            r"law must have its support at or above 0, got -2",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
