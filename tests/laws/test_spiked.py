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
