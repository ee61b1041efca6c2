"""What other implementations get wrong, each measured here and held right."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rmtstab import laws
from tests import naive
from tests.laws.reference import entries, number


def arcsine_form(x, ratio):
    """Return the textbook distribution function in double precision."""
    low, high = (1 - math.sqrt(ratio)) ** 2, (1 + math.sqrt(ratio)) ** 2
    root = math.sqrt((high - x) * (x - low))
    r = math.sqrt((high - x) / (x - low))
    total = math.pi * ratio + root - (1 + ratio) * math.atan((r * r - 1) / (2 * r))
    total += (1 - ratio) * math.atan((low * r * r - high) / (2 * (1 - ratio) * r))
    return total / (2 * math.pi * ratio)


def half_angle_form(x, ratio):
    """Return the form with two half-angle arctangents in double precision."""
    q = math.sqrt(ratio)
    low, high = (1 - q) ** 2, (1 + q) ** 2
    left, right = math.sqrt(x - low), math.sqrt(high - x)
    swing = (1 + ratio) * math.atan2(left, right) + 0.5 * left * right
    return (swing - (1 - ratio) * math.atan2((1 + q) * left, (1 - q) * right)) / (math.pi * ratio)


def worst(form, ratio, parts):
    left, right = laws.MarchenkoPastur(ratio).support()
    errors = []
    for part in parts:
        x = left + part * (right - left)
        errors.append(abs(form(x, ratio) / naive.marchenko_pastur(x, ratio)[1] - 1))
    return max(errors)


def test_forms_of_the_marchenko_pastur_cdf():
    def ours(x, ratio):
        return laws.MarchenkoPastur(ratio).cdf(x)

    middle, edge = np.linspace(0.05, 0.95, 31), 1e-6 * np.arange(1, 6)
    # the forms are right where nothing cancels
    assert worst(arcsine_form, 0.5, middle) < 1e-14
    assert worst(half_angle_form, 0.5, middle) < 1e-14
    # and wrong for small ratios, and near an edge
    assert worst(arcsine_form, 1e-4, middle) > 1e-12 and worst(arcsine_form, 1e-4, edge) > 1e-6
    assert worst(half_angle_form, 1e-6, middle) > 1e-11
    assert worst(half_angle_form, 1e-4, edge) > 1e-9
    for ratio in (0.5, 1e-2, 1e-4, 1e-6, 1e-8):
        assert worst(ours, ratio, np.concatenate([edge, middle, 1 - edge])) < 1e-14


def test_tracy_widom_keeps_its_tails():
    # a shared table of 6 digits elsewhere: sf off by 25 to 100 % at s = 4...6, the cdf of
    # index 4 by 100 % at s = -8, upper quantiles NaN
    for entry in entries("tw1_sf_s4") + entries("tw1_sf_s6") + entries("tw2_sf_s6"):
        law = laws.TracyWidom(entry["params"]["beta"])
        assert law.sf(float(entry["params"]["s"])) == pytest.approx(number(entry), rel=1e-14)
    (entry,) = entries("tw4_sf_s6")
    assert laws.TracyWidom(4).sf(6.0) == pytest.approx(number(entry), rel=2e-14)
    s = math.sqrt(2) * -8.0
    assert laws.TracyWidom(4).cdf(-8.0) == pytest.approx(math.exp(_log_f4(s)), rel=1e-9)
    for index in (1, 2, 4):
        assert np.isfinite(laws.TracyWidom(index).isf([1e-3, 1e-30, 1e-300])).all()


def _log_f4(t):
    """Return the left expansion of log F₄ written out, for comparison only."""
    x = -t
    w = x**3 / 12 + math.log(x) / 8 - 3 / 64 / x**3 + 0.16542114370045092921 - math.log(2) / 24
    u = math.sqrt(2) / 3 * x**1.5 + 0.5 * math.log(2) + 1 / (12 * math.sqrt(2)) * x**-1.5
    w -= 2025 / 4096 / x**6
    u += 73 / 128 / math.sqrt(2) / 4.5 * x**-4.5
    return -(w - u) / 2 - math.log(2)


def test_marchenko_pastur_above_one_has_its_atom_and_mean():
    law = laws.MarchenkoPastur(2.0)
    assert law.cdf(0.0) == 0.5 and law.mean() == 1.0
    sample = law.rvs(200_000, rng=1)
    assert (sample == 0.0).mean() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(200_000))
    assert sample.mean() == pytest.approx(1.0, abs=5 * math.sqrt(2.0 / 200_000))


def test_samples_at_ratio_one_and_seeds():
    law = laws.MarchenkoPastur(1.0)
    first, second = law.rvs(1000, rng=7), law.rvs(1000, rng=np.random.default_rng(7))
    assert np.isfinite(first).all() and (first == second).all()
    assert (first != law.rvs(1000, rng=8)).any()


def test_edges_and_integer_arrays_of_the_generalised_law():
    # elsewhere: 1e-9 for 0.511 near an edge, zeros for an integer array
    law = laws.GeneralizedMarchenkoPastur(0.1, [1, 8], [0.5, 0.5])
    integers = np.arange(1, 13)
    np.testing.assert_array_equal(law.pdf(integers), law.pdf(integers.astype(float)))
    assert (law.pdf(np.array([1, 6, 10])) > 0).all()
    left, right = law.edges()[0]
    near = left + (right - left) * np.array([1e-12, 1e-9, 1e-6])
    np.testing.assert_allclose(np.diff(np.log(law.pdf(near))), np.log(1e3) / 2, rtol=1e-3)


@pytest.mark.parametrize(
    "law",
    [
        laws.MarchenkoPastur(0.5),
        laws.GeneralizedMarchenkoPastur(0.1, [1, 8], [0.5, 0.5]),
        laws.TracyWidom(1),
        laws.Wachter(0.5, 0.2),
    ],
    ids=lambda law: type(law).__name__,
)
def test_threads_share_objects_and_agree(law):
    q = np.random.default_rng(0).random((8, 2000))
    alone = [law.cdf(law.ppf(row)) for row in q]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda row: law.cdf(law.ppf(row)), q))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)
    whole = law.cdf(law.ppf(q))  # and the shape of the call does not matter
    np.testing.assert_array_equal(whole, alone)


@pytest.mark.parametrize(
    "law",
    [
        laws.MarchenkoPastur(0.5),
        laws.GeneralizedMarchenkoPastur(0.1, [1, 8], [0.5, 0.5]),
        laws.DescentAscent(5.0, 5.0, 0.5),
        laws.TracyWidom(4, "rmtstat"),
        laws.Wachter(0.5, 0.2),
        laws.Jacobi(1, 2, 3),
        laws.Semicircle(),
        laws.Spiked(0.5, [4.0]),
    ],
    ids=lambda law: type(law).__name__,
)
def test_objects_travel_and_compare(law):
    import pickle

    law.cdf(0.5)
    twin = pickle.loads(pickle.dumps(law))
    assert twin == law and hash(twin) == hash(law) and twin.cdf(0.5) == law.cdf(0.5)
    if isinstance(law, laws.SpectralLaw):
        assert law.stieltjes(math.inf) == law.stieltjes(-math.inf) == 0.0
        assert law.stieltjes([]).shape == (0,) and law.stieltjes([-9, 1j]).shape == (2,)
    lower, upper = law.interval(0.9)
    assert law.cdf(lower) >= 0.05 * (1 - 1e-12) and law.sf(upper) <= 0.05 * (1 + 1e-12)
    assert law.std() == pytest.approx(math.sqrt(law.var()))
