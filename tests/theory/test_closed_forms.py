"""Closed forms against sampled matrices, published special cases and limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from rmtstab.claims.closed_forms import escape_formula, volterra_gap
from rmtstab.ensembles import SignalPlusNoise
from rmtstab.theory import cnn, mean, signal_plus_noise, sufficient
from rmtstab.theory.volterra import volterra_step_size

SAMPLINGS = ("bernoulli", "without_replacement", "with_replacement")


def test_mean_forms():
    assert mean.growth([0.5, 3.0], 1.0) == 4.0
    assert mean.critical_step_size([0.5, 4.0]) == 0.5
    assert mean.critical_step_size([-0.1, 4.0]) == 0.0
    assert mean.critical_step_size([]) == np.inf


def test_sufficient_steps_vanish_where_the_mean_ascends():
    assert sufficient.one_step(np.diag([1.0, -1e-3]), np.eye(2)) == 0.0
    assert sufficient.operator(np.diag([1.0, 0.0]), np.eye(2)) == 0.0


def test_volterra_special_cases():
    assert volterra_step_size([2.0, 1.0], 5, 5, "without_replacement") == 1.0
    assert volterra_step_size([0.0], 5, 1, "bernoulli") == np.inf
    assert volterra_step_size([2.0], 3, 1e-9, "bernoulli") < 1e-8
    # one direction, all samples alike, with replacement: no noise at all but tr[...] counts it
    root = volterra_step_size([1.0], 1000, 1, "bernoulli")
    assert (1 - 1e-3) * root / (2 - root) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.slow
def test_volterra_gap_shrinks_like_one_over_n(rng):
    found = volterra_gap(rng)
    assert all(gap > 0 for gap in found["gaps"])
    assert -1.4 < found["slope"] < -0.6


def test_signal_plus_noise_coherence_limits():
    n, dim = 80, 400
    small = signal_plus_noise.coherence(n, dim, 0.0)
    largest = 1 / (small / (1 + (n - 1) * np.sqrt(2 / (np.pi * dim))))
    assert 1.0 < largest < 1.4
    assert signal_plus_noise.coherence(n, dim, 1e4) == pytest.approx(n, rel=1e-6)


@given(st.floats(-5, 5), st.floats(0.01, 3))
def test_folded_normal_mean(centre, deviation):
    nodes, weights = np.polynomial.hermite_e.hermegauss(180)
    exact = np.sum(weights * np.abs(centre + deviation * nodes)) / np.sqrt(2 * np.pi)
    value = signal_plus_noise.folded_normal_mean(centre, deviation)
    assert value == pytest.approx(exact, abs=5e-3 * deviation)  # the kink limits the quadrature
    assert value >= abs(centre) * (1 - 1e-12)


def test_expected_maximum_of_uniforms():
    value = signal_plus_noise.expected_maximum(9, lambda x: np.clip(x, 0, 1))
    assert value == pytest.approx(0.9, abs=1e-6)


@pytest.mark.parametrize("snr", [0.0, 0.5, 2.0])
def test_spectral_intervals_cover(snr, rng):
    n, dim = 40, 90
    bounds = signal_plus_noise.spectral_bounds(n, dim, snr, 0.1)
    for _ in range(20):
        patches, labels = SignalPlusNoise(n, dim, snr).sample(rng)
        rows = patches[:, 0] * labels[:, None] + patches[:, 1]
        values = np.linalg.eigvalsh(rows @ rows.T)
        assert bounds.bulk_interval[0] <= values[0] and values[-2] <= bounds.bulk_interval[1]
        assert bounds.top_interval[0] <= values[-1] <= bounds.top_interval[1]
    if snr:
        assert values[-1] == pytest.approx(bounds.outlier, rel=0.1)
    else:
        assert np.isnan(bounds.outlier)
        assert values[0] == pytest.approx(bounds.bulk[0], rel=0.5)


def test_escape_formula_on_independent_masks(rng):
    """Within 5 % and five standard errors at n = 240; a constant would miss by ×20."""
    for row in escape_formula(rng)["rows"]:
        if row["n"] == 240:
            assert abs(row["resistance_ratio"] - 1) < 0.05 + 5 * row["resistance_error"]
            assert abs(row["curvature_ratio"] - 1) < 0.05 + 5 * row["curvature_error"]
            assert row["resistance_error"] < 0.1


def test_escape_limits():
    def resistance(snr, alpha):
        return cnn.escape(480, 120, 1500, snr, 16, alpha).resistance

    for alpha in (0.1, 0.3, 0.45):
        assert resistance(1e4, alpha) == pytest.approx((alpha / (1 - alpha)) ** 2, rel=1e-3)
    values = [resistance(snr, 0.3) for snr in np.geomspace(0.01, 10, 25)]
    assert (np.diff(values) >= -1e-12).all() and values[-1] > 10 * values[0]
    assert not cnn.escape(480, 120, 1500, 0.01, 16, 0.3).through_signal
    assert cnn.escape(480, 120, 1500, 1.0, 16, 0.3).through_signal


def test_escape_bulk_edge_is_that_of_the_descent_ascent_quartic():
    """The quartic whose two-block extension `cnn.escape` solves, against sampled matrices."""
    n_r, n_f, dim, alpha = 400, 100, 1000, 0.3
    gr, gf = dim / n_r, dim / n_f

    def zeta(g):
        return (1 - alpha) / (1 - gr * (1 - alpha) * g) - alpha / (1 + gf * alpha * g) + 1 / g

    g = -np.geomspace(1e-6, 1 / (gf * alpha) * (1 - 1e-9), 200_001)
    edge = zeta(g).max()  # the left edge: largest value of ζ on its branch
    sampled = []
    rng = np.random.default_rng(0)
    for _ in range(3):
        r, f = rng.standard_normal((n_r, dim)), rng.standard_normal((n_f, dim))
        d = (1 - alpha) * r.T @ r / n_r - alpha * f.T @ f / n_f
        sampled.append(np.linalg.eigvalsh(d)[0])
    assert np.mean(sampled) == pytest.approx(edge, rel=0.03)


def test_cnn_spectrum_has_one_outlier_a_class():
    values = cnn.spectrum(48, 150, 2.0, 8)
    assert values[0] == values[1] > 20 * values[2]
    assert cnn.spectrum(48, 150, 0.0, 8)[0] < 2 * cnn.spectrum(48, 150, 0.0, 8)[24]


def test_cnn_coherence_limits():
    low, high = cnn.coherence(48, 12, 4000, 0.0, 8), cnn.coherence(48, 12, 150, 100.0, 8)
    assert low.retain < 1.3 and low.cross < 0.25
    assert high.retain == pytest.approx(24, rel=0.01)
    assert high.forget == pytest.approx(6, rel=0.01)
    assert high.cross == pytest.approx(12, rel=0.01)


@pytest.mark.parametrize("filters", [1, 2, 3, 8, 100])
def test_cnn_coherence_of_two_samples_is_over_the_larger_mask(filters):
    """Norms concentrate: ``E|K_12|`` is ``(√dim/2m)√(2/π)``, ``K_ii`` the mask ``dim N_i/m²``."""
    chances = binom.cdf(np.arange(2 * filters), 2 * filters, 0.5)
    larger = np.sum(1.0 - chances**2) / filters
    found = cnn.coherence(2, 2, 10**6, 0.0, filters)
    assert found.cross == pytest.approx(1e-3 * np.sqrt(2 / np.pi) / larger, rel=1e-3)


def test_bulk_density_matches_sampled_moments(rng):
    n, dim, m = 300, 600, 8
    masks = (rng.random((n, 2 * m)) < 0.5).astype(float)
    noise_rows = rng.standard_normal((n, dim))
    gram = (masks @ masks.T) * (noise_rows @ noise_rows.T) / m**2
    values = np.linalg.eigvalsh(gram)
    grid = np.linspace(-2, 1.5 * values[-1], 4000)
    density = cnn.bulk_density(grid, masks.sum(axis=1), dim, m)
    step = grid[1] - grid[0]
    assert density.sum() * step == pytest.approx(1.0, abs=0.02)
    assert (grid * density).sum() * step == pytest.approx(values.mean(), rel=0.03)
    quantiles = np.interp([0.1, 0.5, 0.9], np.cumsum(density) * step, grid)
    np.testing.assert_allclose(quantiles, np.quantile(values, [0.1, 0.5, 0.9]), rtol=0.08)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean.growth([np.nan], 1.0), "eigenvalues must be finite"),
        (lambda: mean.growth([1.0], -1.0), "step_size must be >= 0"),
        (lambda: volterra_step_size([-1.0], 2, 1, "bernoulli"), "eigenvalues must be >= 0, got -1"),
        (lambda: sufficient.one_step(np.eye(2), np.eye(3)), "must be square and alike"),
        (lambda: cnn.escape(48, 12, 150, 1.0, 8, 0.0), r"alpha must lie in \(0, 1\), got 0.0"),
        (
            lambda: cnn.escape(48, 12, 150, -1.0, 8, 0.3),
            r"snr must lie in .*, got -1\.0",
        ),
        (lambda: cnn.bulk_density([1.0], [99.0], 10, 4), r"counts must lie in \[0, 2m=8\]"),
        (lambda: signal_plus_noise.spectral_bounds(4, 9, 1.0, 0.0), r"delta must lie in \(0, 1\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def sampled_escape(sizes, dim, alpha, draws, rng, filters=128):
    """Mean curvature and resistance of the escape direction, independent masks, no signal."""
    n, found = sum(sizes), []
    for _ in range(draws):
        masks = (rng.random((n, 2 * filters)) < 0.5).astype(float)
        rows = rng.standard_normal((n, dim))
        gram = (masks @ masks.T) * (rows @ rows.T) / filters**2
        values, vectors = np.linalg.eigh(gram)
        keep = values > 1e-10 * values[-1]
        factors = np.sqrt(values[keep])[:, None] * vectors[:, keep].T
        parts = factors[:, : sizes[0]], factors[:, sizes[0] :]
        means = [part @ part.T / part.shape[1] for part in parts]
        mix, directions = np.linalg.eigh((1 - alpha) * means[0] - alpha * means[1])
        v = directions[:, 0]
        found.append((-mix[0], (v @ means[0] @ v) / (v @ means[1] @ v)))
    return np.mean(found, axis=0)


def test_escape_edge_on_the_lower_branch(rng):
    """Many samples a dimension: the edge lies at y < 1; clamped there, Ψ would be 0.00042."""
    curvature, resistance = sampled_escape((480, 120), 150, 0.02, 12, rng)
    found = cnn.escape(480, 120, 150, 0.0, 128, 0.02)
    assert found.curvature == pytest.approx(curvature, rel=0.03)
    assert found.resistance == pytest.approx(resistance, rel=0.12)
    assert found.resistance > 2 * 0.00042


@pytest.mark.slow
def test_escape_edge_in_few_dimensions_is_approached_with_size(rng):
    """n/dim = 60: 19 % off at dim = 10, 7 % at 30; a clamp at y = 1 would predict 0.1837."""
    formula = cnn.escape(480, 120, 10, 0.0, 128, 0.3).resistance
    small = sampled_escape((480, 120), 10, 0.3, 16, rng)[1]
    large = sampled_escape((1440, 360), 30, 0.3, 4, rng)[1]
    assert abs(large - formula) < 0.6 * abs(small - formula)
    assert abs(large - formula) < 0.6 * abs(large - 0.1837)


def test_expected_maximum_in_high_dimension():
    from scipy import special

    for dim, value in ((10**6, 1.003283), (10**8, 1.000328)):
        found = signal_plus_noise.expected_maximum(
            60, lambda x, dim=dim: special.gammainc(dim / 2, dim * x / 2)
        )
        assert found == pytest.approx(value, abs=2e-6)
    assert 1 < cnn.coherence(48, 12, 150, 1.0, 600).retain < 24
