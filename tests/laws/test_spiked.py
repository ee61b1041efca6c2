"""Spiked models: reference values, sampled matrices, the transition, bad input."""

import math

import numpy as np
import pytest

from rmtstab.laws import MarchenkoPastur, Spiked
from tests.laws.reference import entries, number


@pytest.mark.parametrize("entry", entries("bbp_"), ids=lambda e: e["id"])
def test_reference(entry):
    p, kind = entry["params"], entry["id"].split("_")[1]
    law = Spiked(float(p["gamma"]), [float(p["ell"])])
    if kind == "small":
        kind = entry["id"].split("_")[2]
    if kind == "lam":
        value = law.outliers()[0]
        if math.isnan(value):
            value = law.support()[1]
            assert not p["supercritical"]
    elif kind == "sd":
        value = law.fluctuation()[0]
    else:
        value = law.overlaps("right" if kind == "cos2right" else "left")[0]
    assert value == pytest.approx(number(entry), rel=1e-14, abs=0)


def test_sampled_covariance_spike():
    n, d, spike = 2000, 500, 4.0
    law = Spiked(d / n, [spike])
    rng = np.random.default_rng(4)
    tops, left, right = [], [], []
    for _ in range(12):
        x = rng.standard_normal((d, n))
        x[0] *= math.sqrt(spike)
        u, s, vt = np.linalg.svd(x / math.sqrt(n), full_matrices=False)
        tops.append(s[0] ** 2)
        left.append(u[0, 0] ** 2)
        scores = x[0] / np.linalg.norm(x[0])
        right.append((vt[0] @ scores) ** 2)
    sd = law.fluctuation()[0] / math.sqrt(n)
    assert abs(np.mean(tops) - law.outliers()[0]) < 5 * sd / math.sqrt(12) + 4 / n
    assert np.mean(left) == pytest.approx(law.overlaps()[0], abs=5 * np.std(left) / math.sqrt(12))


def test_gram_matrix_of_one_and_two_classes():
    # K = SNR² (11ᵀ over each class) + ΞΞᵀ/d in units of the noise: additive spikes n_k SNR²
    n, d, snr = 300, 600, 0.2
    rng = np.random.default_rng(9)
    for sizes in ([300], [200, 100]):
        law = Spiked(n / d, [size * snr**2 for size in sizes], kind="additive")
        assert np.isfinite(law.outliers()).all()
        values, overlaps = [], []
        for _ in range(10):
            noise = rng.standard_normal((n, d))
            gram = noise @ noise.T / d
            start = 0
            for size in sizes:
                gram[start : start + size, start : start + size] += snr**2
                start += size
            w, v = np.linalg.eigh(gram)
            values.append(w[::-1][: len(sizes)])
            direction = np.zeros(n)
            direction[: sizes[0]] = 1 / math.sqrt(sizes[0])
            overlaps.append((v[:, -1] @ direction) ** 2)
            assert w[-1 - len(sizes)] < law.support()[1] + 4 * n ** (-2 / 3)
        spread = np.std(values, axis=0) / math.sqrt(10)
        assert (np.abs(np.mean(values, axis=0) - law.outliers()) < 5 * spread + 3 / n).all()
        error = 5 * np.std(overlaps) / math.sqrt(10) + 3 / n
        assert abs(np.mean(overlaps) - law.overlaps()[0]) < error


@pytest.mark.parametrize("ratio", [0.04, 1.0, 9.0])
@pytest.mark.parametrize("kind", ["covariance", "additive"])
def test_transition(ratio, kind):
    edge = MarchenkoPastur(ratio, 2.0).support()[1]
    at = Spiked(ratio, [1.0], kind, 2.0).transition
    law = Spiked(ratio, [at, at * (1 - 1e-9), at * (1 + 1e-6)], kind, 2.0)
    assert np.isnan(law.outliers()[:2]).all() and law.overlaps()[:2].tolist() == [0.0, 0.0]
    assert edge <= law.outliers()[2] < edge * (1 + 1e-9)
    assert 0 < law.overlaps()[2] < 1e-4


def test_the_bulk_is_marchenko_pastur():
    law, bulk = Spiked(0.3, [5.0]), MarchenkoPastur(0.3)
    x = np.linspace(0.1, 3, 7)
    for method in ("pdf", "cdf", "sf", "logpdf", "stieltjes"):
        np.testing.assert_array_equal(getattr(law, method)(x), getattr(bulk, method)(x))
    assert law.mean() == 1.0 and law.support() == bulk.support()
    assert Spiked(0.3, []).outliers().shape == (0,)
    assert math.isnan(Spiked(2.0, [1.5]).lower_transition)
    assert np.isnan(Spiked(2.0, [0.01]).outliers()).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0.0, [2.0]), ValueError, "aspect_ratio must be > 0"),
        ((0.5, [-2.0]), ValueError, "spikes must be > 0, got -2.0"),
        ((0.5, [np.nan]), ValueError, "spikes must be finite"),
        ((0.5, 2.0), ValueError, "spikes must have 1 axes"),
        ((0.5, [2.0], "wishart"), ValueError, "kind must be one of 'covariance', 'additive'"),
        ((0.5, [2.0], "wigner"), ValueError, "aspect_ratio must be 1 for kind='wigner', got 0.5"),
        ((0.5, [2.0], "additive", 1.0, [[1, 1]]), ValueError, "population goes with kind"),
        ((0.5, [2.0], "covariance", 1.0, [[2, 1]]), ValueError, "spikes must not be atoms"),
        ((0.5, [2.0], "covariance", 0.0), ValueError, "scale must be > 0"),
    ],
)
def test_bad_parameters(arguments, error, message):
    with pytest.raises(error, match=message):
        Spiked(*arguments)


def test_bad_arguments():
    with pytest.raises(ValueError, match="side must be one of"):
        Spiked(0.5, [3.0]).overlaps("top")
    with pytest.raises(ValueError, match="dyson_index must be one of 1, 2, got 4"):
        Spiked(0.5, [3.0], "additive").fluctuation(4)


@pytest.mark.parametrize(("side", "columns", "strength"), [(100, 200, 3.0), (200, 100, 5.0)])
def test_additive_fluctuation(side, columns, strength, rng):
    """Sampled spread of the outlier, 5 standard errors; the covariance formula is far off."""
    draws = 400
    ratio = side / columns
    tops = np.empty(draws)
    for k in range(draws):
        noise = rng.standard_normal((side, columns))
        matrix = noise @ noise.T / columns
        matrix += strength / side  # θ 11ᵀ/p: one fixed direction
        tops[k] = np.linalg.eigvalsh(matrix)[-1]
    law = Spiked(ratio, [strength], "additive")
    predicted = law.fluctuation()[0] / np.sqrt(columns)
    error = predicted / np.sqrt(2 * draws)
    assert abs(tops.std(ddof=1) - predicted) < 5 * error
    assert abs(tops.mean() - law.outliers()[0]) < 0.5 * predicted
    m = strength - ratio
    wrong = (1 + m) * np.sqrt(2 * (1 - ratio / m**2)) / np.sqrt(columns)
    assert abs(tops.std(ddof=1) - wrong) > 10 * error
    assert np.isnan(Spiked(0.5, [0.6], "additive").fluctuation()[0])


@pytest.mark.parametrize("entry", entries("spikedrect_"), ids=lambda e: e["id"])
def test_rectangular_reference(entry):
    p = entry["params"]
    law = Spiked(float(p["gamma"]), [float(p["theta"])], "rectangular")
    if "sigma_out" in entry["id"]:
        value = math.sqrt(law.outliers()[0])
        value = law.support()[1] ** 0.5 if math.isnan(value) else value
    else:
        value = law.overlaps("right" if "right" in entry["id"] else "left")[0]
    assert value == pytest.approx(number(entry), rel=1e-14, abs=0)


@pytest.mark.parametrize("entry", entries("spikedwigner_"), ids=lambda e: e["id"])
def test_wigner_reference(entry):
    law = Spiked(1.0, [float(entry["params"]["theta"])], "wigner")
    value = law.outliers()[0]
    assert (law.support()[1] if math.isnan(value) else value) == pytest.approx(
        number(entry), rel=1e-15
    )


@pytest.mark.parametrize("entry", entries("gmp_", {"spike", "bbp"}), ids=lambda e: e["id"])
def test_population_reference(entry):
    p = entry["params"]
    population = np.column_stack([p["t"], [float(w) for w in p["w"]]])
    if entry["id"].endswith("threshold"):
        law = Spiked(float(p["gamma"]), [], population=population)
        value = law.transition
    else:
        law = Spiked(float(p["gamma"]), [float(p["ell"])], population=population)
        value = law.outliers()[0] if entry["id"].endswith("lam") else law.overlaps()[0]
    if math.isnan(value):
        assert not p["supercritical"]
        value = law.support()[1]
    assert value == pytest.approx(number(entry), rel=1e-14, abs=0)


def test_one_atom_is_the_plain_model():
    plain = Spiked(0.3, [4.0, 0.2, 1.2], scale=2.0)
    general = Spiked(0.3, [4.0, 0.2, 1.2], scale=2.0, population=[[1.0, 1.0]])
    for name in ("outliers", "overlaps", "fluctuation"):
        np.testing.assert_allclose(getattr(plain, name)(), getattr(general, name)(), rtol=1e-14)
    assert general.transition == pytest.approx(plain.transition, rel=1e-14)
    assert general.cdf(2.0) == pytest.approx(plain.cdf(2.0), rel=1e-12)


def test_small_spikes_keep_their_digits():
    for spike in (1e-10, 1e-17, 1e-300):
        law = Spiked(0.5, [spike])
        assert law.outliers()[0] == pytest.approx(0.5 * spike, rel=1e-9, abs=0)
    assert Spiked(0.5, [1e-3]).outliers()[0] == pytest.approx(1e-3 * (1 - 0.5 / 0.999), rel=1e-15)
    # next to the transition: 1 - γ/m² without its cancellation
    m = 0.5 * (1 + 1e-12)
    exact = (m - 0.5) * (m + 0.5) / (m * (m + 0.25))
    assert Spiked(0.25, [1 + m]).overlaps()[0] == pytest.approx(exact, rel=3e-4)


def test_the_bulk_of_a_small_ratio_has_its_variance():
    assert Spiked(1e-8, []).var() == 1e-8
    assert Spiked(1e-8, [], scale=3.0).std() == pytest.approx(3e-4, rel=1e-14)


def test_stieltjes_from_below_is_the_conjugate():
    bulk = Spiked(0.5, [4.0])
    above, below = bulk.stieltjes(complex(1, 0.0)), bulk.bulk.stieltjes(complex(1, -0.0))
    assert bulk.stieltjes(complex(1, -0.0)) == below
    assert above.imag > 0


def test_an_injected_spike_varies_less_than_a_drawn_one(rng):
    n, d, strength, draws = 400, 100, 1.2, 600
    fixed = Spiked(d / n, [strength], "rectangular")
    drawn = Spiked(d / n, [1 + strength**2])
    assert fixed.outliers() == pytest.approx(drawn.outliers(), rel=1e-14)
    tops, left, right = np.empty(draws), np.empty(draws), np.empty(draws)
    direction = np.full(n, n**-0.5)
    for k in range(draws):
        y = rng.standard_normal((d, n)) / math.sqrt(n)
        y[0] += strength * direction
        values, vectors = np.linalg.eigh(y @ y.T)
        tops[k], left[k] = values[-1], vectors[0, -1] ** 2
        right[k] = (vectors[:, -1] @ y @ direction) ** 2 / values[-1]
    spread = tops.std(ddof=1) * math.sqrt(n)
    error = fixed.fluctuation()[0] / math.sqrt(2 * draws)
    assert abs(spread - fixed.fluctuation()[0]) < 5 * error
    assert abs(spread - drawn.fluctuation()[0]) > 5 * error
    for sample, side in ((left, "left"), (right, "right")):
        slack = 5 * sample.std() / math.sqrt(draws) + 4 / n
        assert abs(sample.mean() - fixed.overlaps(side)[0]) < slack


def test_sampled_wigner_spike(rng):
    n, theta, draws = 150, 1.6, 400
    law = Spiked(1.0, [theta], "wigner", scale=4.0)
    tops, cosines = np.empty(draws), np.empty(draws)
    for k in range(draws):
        w = rng.standard_normal((n, n)) * 2
        w = (w + w.T) / math.sqrt(2 * n)
        w += 2 * theta / n
        values, vectors = np.linalg.eigh(w)
        tops[k], cosines[k] = values[-1], vectors[:, -1].sum() ** 2 / n
    sd = law.fluctuation()[0] / math.sqrt(n)
    assert abs(tops.std(ddof=1) - sd) < 5 * sd / math.sqrt(2 * draws)
    assert abs(tops.mean() - law.outliers()[0]) < 5 * sd / math.sqrt(draws) + 4 / n
    assert abs(cosines.mean() - law.overlaps()[0]) < 5 * cosines.std() / math.sqrt(draws) + 4 / n


def test_population_spike_varies_as_stated(rng):
    n, draws, spike = 400, 300, 20.0
    population = np.repeat([1.0, 3.0], 50)
    law = Spiked(100 / n, [spike], population=[[1.0, 0.5], [3.0, 0.5]])
    tops = np.empty(draws)
    for k in range(draws):
        x = rng.standard_normal((101, n)) * np.sqrt(np.append(spike, population))[:, None]
        tops[k] = np.linalg.eigvalsh(x @ x.T / n)[-1]
    sd = law.fluctuation()[0] / math.sqrt(n)
    assert abs(tops.std(ddof=1) - sd) < 5 * sd / math.sqrt(2 * draws)
    assert abs(tops.mean() - law.outliers()[0]) < 5 * sd / math.sqrt(draws)


@pytest.mark.parametrize(
    ("kind", "ratio", "spikes"),
    [
        ("covariance", 0.25, [9.0, 3.0, 0.2]),
        ("covariance", 2.0, [9.0, 4.0]),
        ("additive", 0.5, [4.0, 2.0]),
        ("rectangular", 0.5, [3.0, 1.5]),
        ("wigner", 1.0, [3.0, 1.5, -2.0]),
    ],
)
def test_outliers_are_inverted(kind, ratio, spikes):
    n = 10**9
    p = n if kind == "wigner" else round(ratio * n) + len(spikes)
    seen = Spiked(ratio, spikes, kind, 2.0).outliers()
    found = Spiked.from_outliers(seen, n, p, kind=kind, scale=2.0)
    unit = math.sqrt(2.0) if kind in ("wigner", "rectangular") else 2.0
    np.testing.assert_allclose(found.spikes, unit * np.array(spikes), rtol=1e-7)
    assert (found.intervals[:, 0] < found.spikes).all()
    assert (found.intervals[:, 1] > found.spikes).all()
    # 1.96 standard errors on both sides; of the logarithm where a variance is estimated
    low, high = (np.abs(found.intervals[:, side] - found.spikes) for side in (0, 1))
    np.testing.assert_allclose(low, 1.959964 * found.standard_errors, rtol=1e-3)
    np.testing.assert_allclose(high, 1.959964 * found.standard_errors, rtol=1e-3)


def test_intervals_cover_and_spikes_are_unbiased(rng):
    n, p, spikes, draws = 200, 80, np.array([12.0, 5.0]), 500
    sizes = np.sqrt(np.append(spikes, np.ones(p - 2)))[:, None]
    hits, centres = np.zeros(2), np.zeros((draws, 2))
    for k in range(draws):
        x = rng.standard_normal((p, n)) * sizes
        top = np.linalg.eigvalsh(x @ x.T / n)[:-3:-1]
        found = Spiked.from_outliers(top, n, p)
        centres[k] = found.spikes
        hits += (found.intervals[:, 0] < spikes) & (spikes < found.intervals[:, 1])
    assert (np.abs(hits / draws - 0.95) < 0.04).all()
    error = 5 * centres.std(axis=0) / math.sqrt(draws)
    assert (np.abs(centres.mean(axis=0) - spikes) < error).all()


def test_an_eigenvalue_of_the_bulk_has_no_spike():
    with pytest.raises(ValueError, match=r"eigenvalues must lie beyond the bulk's edge 2\.25"):
        Spiked.from_outliers([2.0], 400, 101)
    with pytest.raises(ValueError, match="n_features must be >= 3"):
        Spiked.from_outliers([4.0, 5.0], 400, 2)
