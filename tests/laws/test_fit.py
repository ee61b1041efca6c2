"""Fits and counts on data with known truth; their error rates; speed of neither."""

import math

import numpy as np
import pytest

from rmtstab.laws import (
    MarchenkoPastur,
    Spiked,
    TracyWidom,
    number_of_spikes,
    parallel_analysis,
    patterson_tw,
)


def spectrum(x):
    return np.linalg.svd(x, compute_uv=False) ** 2 / len(x)


@pytest.mark.parametrize("method", ["median", "ks", "mle"])
@pytest.mark.parametrize(("n", "p"), [(400, 100), (100, 400), (150, 150)])
def test_scale_and_spikes(method, n, p):
    x = 1.5 * np.random.default_rng(3).standard_normal((n, p))
    x[:, :3] *= 4
    values = spectrum(x)
    found = MarchenkoPastur.fit(values, n, p, method=method)
    assert found.n_spikes == 3 and found.error_rate == 0.05
    np.testing.assert_array_equal(found.spikes, values[:3])
    assert found.scale == pytest.approx(2.25, rel=0.03)
    assert found.law.aspect_ratio == pytest.approx((p - 3) / (n - 3), rel=1e-14)
    assert found.law.scale == pytest.approx(found.scale * (n - 3) / n, rel=1e-14)
    # the same from all eigenvalues, zeros included, in any order
    padded = np.append(np.zeros(p - values.size), values[::-1])
    assert MarchenkoPastur.fit(padded, n, method=method).scale == found.scale


def test_counting_spikes_into_the_fit_matters():
    """MP-PCA's ratio (M − k)/(N − k): with (M)/(N) the scale is low by k/n."""
    scales = []
    rng = np.random.default_rng(0)
    for _ in range(60):
        x = rng.standard_normal((60, 40))
        x[:, :8] *= 30
        scales.append(MarchenkoPastur.fit(spectrum(x), 60, 40, n_spikes=8, method="mle").scale)
    error = 5 * np.std(scales) / math.sqrt(60)
    assert abs(np.mean(scales) - 1) < error
    assert 1 - np.mean(scales) * (60 - 8) / 60 > 5 * error


def test_goodness_of_fit():
    rng = np.random.default_rng(1)
    p_values = []
    for _ in range(20):
        fit = MarchenkoPastur.fit(spectrum(rng.standard_normal((80, 40))), 80, n_spikes=0)
        p_values.append(fit.goodness(39, rng=0))
    assert 0.25 < np.mean(p_values) < 0.75  # uniform: .5 with standard error .065
    structured = rng.standard_normal((160, 80)) * np.linspace(0.5, 2, 80)
    bad = MarchenkoPastur.fit(spectrum(structured), 160, n_spikes=0)
    assert bad.p_value == 1 / 200
    # Kolmogorov's own table would accept: eigenvalues repel
    assert bad.ks_distance < 0.4


def test_correlation_matrix_and_singular_one():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((300, 120)) * rng.uniform(0.1, 10, 120)
    found = MarchenkoPastur.fit(np.linalg.eigvalsh(np.corrcoef(x.T)), n_samples=299)
    assert found.n_spikes == 0 and found.scale == pytest.approx(1, abs=0.02)
    y = rng.standard_normal((60, 120))
    found = MarchenkoPastur.fit(np.linalg.eigvalsh(np.cov(y.T)), n_samples=59)
    assert found.n_spikes == 0 and found.scale == pytest.approx(1, abs=0.03)
    assert found.law.atoms()[0][1] == pytest.approx(61 / 120)


def test_exponential_weights():
    n, p = 400, 60
    weights = 0.985 ** np.arange(n)
    weights /= weights.sum()
    x = 2 * np.random.default_rng(5).standard_normal((n, p))
    values = np.linalg.svd(np.sqrt(weights)[:, None] * x, compute_uv=False) ** 2
    found = MarchenkoPastur.fit(values, n, p, weights=7 * weights)
    assert found.n_spikes == 0 and found.scale == pytest.approx(4, rel=0.05)
    assert found.ks_distance < 0.06
    # without k directions, the weights of n - k samples, of the same mean
    spiked = MarchenkoPastur.fit(values, n, p, weights=7 * weights, n_spikes=3)
    assert spiked.weights.size == n - 3
    np.testing.assert_allclose(spiked.weights.mean(), found.weights.mean(), rtol=1e-12)
    # as if all samples weighed alike the law is wrong, and the test says so
    wrong = MarchenkoPastur.fit(values, n, p, n_spikes=0)
    assert wrong.ks_distance > 3 * found.ks_distance and wrong.goodness(99) == 0.01


def test_a_network_like_gram_spectrum():
    """Signal plus noise: a bulk and one outlier a class, and from it the signal's strength."""
    n, dim, snr = 120, 600, 0.25
    rng = np.random.default_rng(8)
    noise = rng.standard_normal((n, dim))
    labels = np.repeat([0, 1], n // 2)
    gram = noise @ noise.T / dim + snr**2 * (labels[:, None] == labels)
    found = MarchenkoPastur.fit(np.linalg.eigvalsh(gram), n_samples=dim, n_features=n)
    assert found.n_spikes == 2 and found.scale == pytest.approx(1, rel=0.03)
    strength = Spiked.from_outliers(found.spikes, dim, n, kind="additive", scale=found.scale)
    assert (strength.intervals[:, 0] < n / 2 * snr**2 + 0.1).all()
    assert strength.spikes.mean() == pytest.approx(n / 2 * snr**2, rel=0.1)


@pytest.mark.parametrize(("n", "p", "scale"), [(12, 5, None), (12, 5, 1.0), (5, 14, None)])
def test_error_rate_of_the_count(n, p, scale):
    rng, draws = np.random.default_rng(11), 500
    wrong = sum(
        number_of_spikes(spectrum(rng.standard_normal((n, p))), n, p, scale=scale, max_spikes=1)
        .n_spikes > 0
        for _ in range(draws)
    )  # fmt: skip
    assert abs(wrong / draws - 0.05) < 5 * math.sqrt(0.05 * 0.95 / draws)


def test_counts_say_what_they_did():
    x = np.random.default_rng(0).standard_normal((100, 30))
    x[:, :2] *= 5
    found = number_of_spikes(spectrum(x), 100)
    assert int(found) == 2 and len(found.p_values) == len(found.scales) == 3
    assert (found.p_values[:2] < 1e-6).all() and found.p_values[2] > 0.05
    assert found.scales[2] == pytest.approx(1, rel=0.1)
    assert number_of_spikes(spectrum(x), 100, max_spikes=1).n_spikes == 1


def test_patterson_statistics_under_no_structure():
    rng = np.random.default_rng(6)
    first = []
    for _ in range(300):
        x = rng.standard_normal((40, 400))
        x -= x.mean(axis=0)
        first.append(patterson_tw(np.linalg.svd(x, compute_uv=False)[:-1] ** 2).p_values[0])
    assert abs(np.mean(np.array(first) < 0.05) - 0.05) < 5 * math.sqrt(0.05 * 0.95 / 300)
    values = np.array([9.0, 2.0, 1.5, 1.0])
    found = patterson_tw(values * 7)
    m, lam = 4, values * 4 / values.sum()
    n = m * (m + 2) / (np.sum(lam**2) - m)
    a, b = math.sqrt(n - 1), math.sqrt(m)
    x = (n * lam[0] - (a + b) ** 2) / ((a + b) * (1 / a + 1 / b) ** (1 / 3))
    assert found.statistics[0] == pytest.approx(x, rel=1e-13)
    assert found.p_values[0] == TracyWidom(1).sf(found.statistics[0])
    assert np.isnan(found.statistics[-1])
    # one strong component: fewer effective samples than eigenvalues, and the two change places
    values = np.append(50.0, np.linspace(1.5, 0.5, 19))
    found = patterson_tw(values)
    m, n = 20, found.effective_samples[0]
    assert n == pytest.approx(m * (m + 2) / (np.sum((m * values / values.sum()) ** 2) - m))
    a, b = math.sqrt(m - 1), math.sqrt(n)
    x = (n * m * 50 / values.sum() - (a + b) ** 2) / ((a + b) * (1 / a + 1 / b) ** (1 / 3))
    assert n < 3 and found.statistics[0] == pytest.approx(x, rel=1e-13)


def test_parallel_analysis_keeps_heavy_tails():
    rng = np.random.default_rng(4)
    x = rng.standard_t(3, (300, 20))
    assert parallel_analysis(x, rng=0).n_components <= 1
    x += 4 * rng.standard_normal((300, 1)) * rng.standard_normal(20)
    found = parallel_analysis(x, rng=0, correlation=True)
    assert int(found) == 1 and found.thresholds.shape == (20,)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: MarchenkoPastur.fit([1.0, 2.0], 10, 5), ValueError, "eigenvalues must be all"),
        (lambda: MarchenkoPastur.fit([-1.0, 2.0], 10), ValueError, "eigenvalues must be >= 0"),
        (lambda: MarchenkoPastur.fit([1.0, 2, 3], 2), ValueError, "must hold 1 zeros"),
        (lambda: MarchenkoPastur.fit([1.0, 2], 9, method="ml"), ValueError, "method must be one"),
        (lambda: MarchenkoPastur.fit([1.0, 2], 9, n_spikes="all"), ValueError, "n_spikes must be"),
        (lambda: MarchenkoPastur.fit([1.0, 2], 9, n_spikes=2), ValueError, "n_spikes must lie in"),
        (lambda: MarchenkoPastur.fit([1.0, 2], 9, weights=[1]), ValueError, "weights must be"),
        (lambda: MarchenkoPastur.from_shape(0.5, 3), TypeError, "n_samples must be an integer"),
        (lambda: number_of_spikes([1.0, 2], 9, level=0), ValueError, "level must lie in"),
        (lambda: patterson_tw([1.0]), ValueError, "eigenvalues must be at least 2"),
        (lambda: patterson_tw([1.0, 0.0]), ValueError, "eigenvalues must be > 0"),
        (lambda: parallel_analysis(np.ones((2, 3))), ValueError, "at least 3 rows"),
        (
            lambda: parallel_analysis(np.ones((5, 3)), correlation=True, rng=0),
            ValueError,
            "constant columns",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
