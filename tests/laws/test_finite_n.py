"""Extreme eigenvalues at finite n: references, brute-force integrals, limits, sizes of tests."""

import dataclasses
import math

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from rmtstab.laws import MarchenkoPastur, RoysRoot, TracyWidom, WishartMax, WishartMin
from rmtstab.laws.spike_tests import ratio_sf
from tests import naive
from tests.laws.reference import entries, number

SLOW = [(4, 4), (6, 5), (20, 3)]
Q = np.array([1e-10, 0.01, 0.05, 0.3, 0.5, 0.7, 0.95, 0.99])


@pytest.mark.parametrize(
    "entry", entries("cwishart_lmax") + entries("rwishart_lmax"), ids=lambda e: e["id"]
)
def test_reference(entry):
    p = entry["params"]
    law = WishartMax(int(p["n"]), int(p["p"]), 2 if entry["id"][0] == "c" else 1)
    x = float(p["x"])
    assert law.cdf(x) == pytest.approx(number(entry), rel=1e-11, abs=0)
    assert law.sf(x) == pytest.approx(1.0 - number(entry), rel=1e-11, abs=0)


@pytest.mark.parametrize(
    ("n", "p"), [(3, 2), (4, 3), *(pytest.param(*c, marks=pytest.mark.slow) for c in SLOW)]
)
def test_real_wishart_against_a_pfaffian_of_monomials(n, p):
    """Relative accuracy in both tails, against 60 digits in the worst of bases."""
    largest, smallest = WishartMax(n, p), WishartMin(n, p)
    for x in (0.5, 20.0, 150.0):
        below, above = naive.wishart_interval(n, p, 0, x), naive.wishart_interval(n, p, x, mp.inf)
        assert largest.cdf(x) == pytest.approx(float(below), rel=2e-11, abs=0)
        assert largest.sf(x) == pytest.approx(float(1 - below), rel=2e-11, abs=0)
        assert smallest.sf(x) == pytest.approx(float(above), rel=2e-11, abs=0)
        assert smallest.cdf(x) == pytest.approx(float(1 - above), rel=2e-11, abs=0)


@pytest.mark.slow
def test_twenty_by_twenty_to_ten_digits():
    law = WishartMax(20, 20)
    for x in (55.0, 70.0, 90.0):
        exact = naive.wishart_interval(20, 20, 0, x)
        assert law.cdf(x) == pytest.approx(float(exact), rel=1e-11, abs=0)
        assert law.sf(x) == pytest.approx(float(1 - exact), rel=1e-11, abs=0)


def test_one_variable():
    x = np.array([1e-3, 1.0, 7.0, 40.0])
    for law in (WishartMax(5, 1), WishartMin(1, 5)):
        np.testing.assert_allclose(law.sf(x), stats.chi2(5).sf(x), rtol=1e-11)
        np.testing.assert_allclose(law.pdf(x), stats.chi2(5).pdf(x), rtol=1e-9)
    np.testing.assert_allclose(WishartMax(5, 1, 2).sf(x), stats.gamma(5).sf(x), rtol=1e-11)
    theta = np.array([1e-4, 0.2, 0.7, 0.999])
    for law in (RoysRoot(1, 8, 3), RoysRoot(3, 10, 1)):
        np.testing.assert_allclose(law.sf(theta), stats.beta(1.5, 4).sf(theta), rtol=1e-11)
        np.testing.assert_allclose(law.cdf(theta), stats.beta(1.5, 4).cdf(theta), rtol=1e-11)
    np.testing.assert_allclose(
        RoysRoot(1, 8, 3, 2).cdf(theta), stats.beta(3, 8).cdf(theta), rtol=1e-11
    )


def test_smallest_eigenvalue_of_a_complex_square_is_exponential():
    law, x = WishartMin(6, 6, 2), np.array([1e-8, 0.1, 1.0, 5.0])
    np.testing.assert_allclose(law.sf(x), np.exp(-6 * x), rtol=1e-11)
    np.testing.assert_allclose(law.cdf(x), -np.expm1(-6 * x), rtol=1e-11)
    assert law.mean() == pytest.approx(1 / 6, rel=1e-11)


@pytest.mark.parametrize(
    "law",
    [WishartMax(6, 3), WishartMax(9, 9, 2), WishartMin(12, 7), RoysRoot(4, 9, 6)],
    ids=repr,
)
def test_every_way_agrees(law):
    x = law.ppf(Q)
    np.testing.assert_allclose(law.cdf(x), Q, rtol=1e-11)
    np.testing.assert_allclose(law.sf(law.isf(Q)), Q, rtol=1e-11)
    np.testing.assert_allclose(np.exp(law.logsf(x)), law.sf(x), rtol=1e-13)
    step = 1e-4 * x  # across the tables' join at the median too
    slope = (law.cdf(x + step) - law.cdf(x - step)) / (2 * step)
    np.testing.assert_allclose(law.pdf(x), slope, rtol=5e-6)
    assert law.moment(0) == pytest.approx(1, abs=1e-10)
    assert law.var() == pytest.approx(law.moment(2) - law.mean() ** 2, rel=1e-9)
    assert math.isnan(law.cdf(math.nan)) and law.cdf(-1.0) == 0.0 and law.sf(-1.0) == 1.0
    assert law.cdf(law.support()[1]) == 1.0 and law.ppf(0.0) == 0.0
    assert law.logsf(0.0) == 0.0


def test_logarithms_beyond_the_smallest_double():
    law = WishartMax(5, 5)
    assert law.sf(2000.0) == 0.0
    # the tail is a polynomial times exp(-x/2)
    assert law.logsf(2000.0) - law.logsf(2001.0) == pytest.approx(0.5, rel=0.01)
    assert law.logcdf(1e-40) == pytest.approx(law.logcdf(1e-30) - 12.5 * 10 * math.log(10))


@pytest.mark.parametrize("index", [1, 2])
def test_sampled_matrices(index, rng):
    n, p, draws = 12, 5, 4000
    x = rng.standard_normal((draws, n, p))
    if index == 2:
        x = (x + 1j * rng.standard_normal((draws, n, p))) / math.sqrt(2)
    values = np.linalg.svd(x, compute_uv=False) ** 2
    for law, column in ((WishartMax(n, p, index), 0), (WishartMin(p, n, index), -1)):
        assert stats.kstest(values[:, column], law.cdf).pvalue > 1e-3
        error = 5 * law.std() / math.sqrt(draws)
        assert abs(values[:, column].mean() - law.mean()) < error
    y = rng.standard_normal((draws, 9, p))
    if index == 2:
        y = (y + 1j * rng.standard_normal((draws, 9, p))) / math.sqrt(2)
    a, b = np.swapaxes(x.conj(), 1, 2) @ x, np.swapaxes(y.conj(), 1, 2) @ y
    root = np.linalg.eigvals(np.linalg.solve(a + b, b)).real.max(axis=1)
    assert stats.kstest(root, RoysRoot(p, n, 9, index).cdf).pvalue > 1e-3
    # a wrong count of degrees is seen
    assert stats.kstest(root, RoysRoot(p, n, 8, index).cdf).pvalue < 1e-6


def test_the_limit_is_close_where_it_takes_over():
    exact = WishartMax(1000, 40)
    a, b = math.sqrt(999.5), math.sqrt(39.5)
    scale = (a + b) * (1 / a + 1 / b) ** (1 / 3)
    x = exact.ppf(Q[1:])
    error = np.abs(TracyWidom(1).cdf((x - (a + b) ** 2) / scale) - Q[1:])
    assert 1e-4 < error.max() < 0.004
    approximate = WishartMax(4000, 150)
    assert not approximate.is_exact and exact.is_exact
    assert approximate.isf(0.05) == approximate.ppf(0.95)
    johnstone = entries("wishart_ma2012_mu_n1000_p200")[0]
    law = WishartMax(1000, 200)
    assert law._limit.centre == pytest.approx(number(johnstone), rel=1e-14)
    assert abs(law.moment(0) - 1) < 1e-8


@pytest.mark.parametrize(
    "law",
    [RoysRoot(20, 60, 40), RoysRoot(20, 60, 40, 2), RoysRoot(12, 150, 20),
     RoysRoot(12, 150, 20, 2), WishartMin(300, 30), WishartMin(300, 30, 2),
     WishartMax(300, 30), WishartMax(300, 30, 2)],
    ids=repr,
)  # fmt: skip
def test_centre_and_scale_of_each_limit(law):
    """Against the exact law; a scale or centre wrong by 30 % of the scale is seen."""
    q = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    x, limit = law.ppf(q), law._limit
    assert law.is_exact
    assert np.abs(limit.tail(x, False, False) - q).max() < 0.05
    assert np.abs(limit.tail(x, True, False) - (1 - q)).max() < 0.05
    for wrong in ({"scale": 1.3 * limit.scale}, {"centre": limit.centre + 0.3 * limit.scale}):
        other = dataclasses.replace(limit, **wrong)
        assert np.abs(other.tail(x, False, False) - q).max() > 0.05


@pytest.mark.parametrize(("n", "p"), [(10, 2), (10, 5), (40, 10)])
def test_five_percent_tests_of_known_and_unknown_noise(n, p):
    draws = 2000
    x = np.random.default_rng(n * p).standard_normal((draws, n, p))
    values = np.linalg.svd(x, compute_uv=False) ** 2
    top, ratio = values[:, 0], values[:, 0] / values.sum(axis=1)
    error = 5 * math.sqrt(0.05 * 0.95 / draws)
    if p <= 10:
        assert abs(np.mean(top > WishartMax(n, p).isf(0.05)) - 0.05) < error
    low, high = np.quantile(ratio, [0.5, 0.999])
    for _ in range(13):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if ratio_sf(middle, n, p, 1) > 0.05 else (low, middle)
    assert abs(np.mean(ratio > low) - 0.05) < error


@pytest.mark.parametrize(("n", "p", "index"), [(12, 5, 1), (9, 9, 2), (30, 20, 1)])
def test_largest_eigenvalue_over_the_trace_is_independent_of_the_trace(n, p, index):
    """Mixed over the gamma law of the trace, the ratio's law is that of the eigenvalue."""
    shape = 0.5 * index * n * p
    law = WishartMax(n, p, index)
    x = law.isf(0.2)
    trace = shape + math.sqrt(shape) * np.arange(-6.5, 9.0, 0.5)
    weight = 0.5 * math.sqrt(shape) * stats.gamma(shape).pdf(trace)
    ratios = x / (2.0 / index * trace)
    mixed = weight @ [ratio_sf(float(r), n, p, index) for r in ratios]
    assert mixed == pytest.approx(0.2, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "p"), [(10, 3), (10, 10), (50, 20), (100, 100), (200, 150), (500, 500)]
)
def test_size_of_five_percent_tests(n, p):
    """Between 4.5 and 5.5 %, with bidiagonal draws: 20,000 put the standard error at .0015."""
    from rmtstab.laws.fit import _NoiseLaw

    rng, noise = np.random.default_rng(5), _NoiseLaw(MarchenkoPastur, n, p)
    draws = 20000 if p <= 20 else 4000
    tops = np.array([noise.draw(rng)[0] * n for _ in range(draws)])
    assert abs(np.mean(tops > WishartMax(n, p).isf(0.05)) - 0.05) < 0.005 + 3 * 0.22 / draws**0.5


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: WishartMax(0, 3), ValueError, "n must be >= 1"),
        (lambda: WishartMin(3, 2.5), TypeError, "p must be an integer"),
        (lambda: WishartMax(3, 2, 4), ValueError, "dyson_index must be one of 1, 2, got 4"),
        (lambda: RoysRoot(5, 4, 3), ValueError, "m must be >= p=5"),
        (lambda: RoysRoot(5, 6, 0), ValueError, "n must be >= 1"),
    ],
)
def test_bad_parameters(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_samples_are_real_unless_said_otherwise():
    for law, real in (
        (WishartMax(10, 5), WishartMax(10, 5, 1)), (WishartMin(10, 5), WishartMin(10, 5, 1)),
        (RoysRoot(3, 7, 9), RoysRoot(3, 7, 9, 1)),
    ):  # fmt: skip
        assert law == real and law.dyson_index == 1
        assert law.sf(law.mean()) != dataclasses.replace(law, dyson_index=2).sf(law.mean())
