"""Spacings in the bulk: Painlevé V, decimation, sampled spectra, and the surmise that is wrong."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from rmtstab.ensembles import Gaussian
from rmtstab.laws import Semicircle, Spacing, gap_probability


def painleve(lengths):
    """E and its logarithmic slope for index 2, of the even and of the odd part: Painlevé V.

    (tσ'')² + 4(tσ' - σ)(tσ' - σ + σ'²) = 0, differentiated; σ = -t/π - (t/π)² - ... at 0;
    log E₂ = ∫σ/t and log E± = ½∫σ/t ∓ ½∫√(-(σ/t)') from 0 to πs.
    """

    def slope(t, y):
        sigma, first, second = y[:3]
        gap = t * first - sigma
        third = -(t * second + 2 * t * (gap + first**2) + 2 * gap * (t + 2 * first)) / t**2
        return [first, second, third, sigma / t, math.sqrt(max(-gap, 0.0)) / t]

    t, p = 1e-2, math.pi
    # from E₂ = 1 - s + π²s⁴/36 + O(s⁶), s = t/π
    powers = [-1 / p, -1 / p**2, -1 / p**3, (p**2 / 9 - 1) / p**4, (5 * p**2 / 36 - 1) / p**5]
    sigma = [sum(a * t ** (n + 1) for n, a in enumerate(powers)),
             sum((n + 1) * a * t**n for n, a in enumerate(powers)),
             sum((n + 1) * n * a * t ** (n - 1) for n, a in enumerate(powers) if n)]  # fmt: skip
    s = t / p
    even, odd = 1 - s + p**2 * s**3 / 36, 1 - p**2 * s**3 / 36
    start = [*sigma, math.log(even * odd), math.log(odd / even)]
    found = integrate.solve_ivp(slope, (t, p * lengths[-1]), start, "DOP853", p * lengths,
                                rtol=1e-13, atol=1e-15).y  # fmt: skip
    t = p * lengths
    log_two, swing = found[3], found[4]
    first = found[0] / t
    second = np.sqrt(found[0] - t * found[1]) / t
    return {
        "two": (log_two, p * first),
        "even": (0.5 * (log_two - swing), 0.5 * p * (first - second)),
        "odd": (0.5 * (log_two + swing), 0.5 * p * (first + second)),
    }


def test_painleve_five():
    s = np.linspace(0.2, 3.0, 15)
    places = np.unique(np.round(np.concatenate([s, 2 * s]), 12))
    both = painleve(places)

    def at(part, x):
        here = np.searchsorted(places, x - 1e-9)
        value = np.exp(both[part][0][here])
        return value, -value * both[part][1][here]

    exact = {1: at("even", s), 2: at("two", s)}
    even, odd = at("even", 2 * s), at("odd", 2 * s)
    exact[4] = 0.5 * (even[0] + odd[0]), even[1] + odd[1]
    for index, (gap, tail) in exact.items():
        np.testing.assert_allclose(gap_probability(0, s, index), gap, rtol=0, atol=3e-10)
        np.testing.assert_allclose(Spacing(index).sf(s), tail, rtol=0, atol=2e-9)
        # a point's distance to the next eigenvalue exceeds s if the interval is empty
        np.testing.assert_allclose(
            Spacing(index, origin="point").sf(s), gap_probability(0, s, index), atol=1e-13
        )


def test_tabulated_variances():
    """Of Mehta's book: .286, .180, .104 for the nearest neighbour."""
    for index, value in ((1, 0.286), (2, 0.180), (4, 0.104)):
        assert Spacing(index).var() == pytest.approx(value, abs=5e-4)
        for k in (1, 2) if index != 2 else (1, 2, 10):
            assert Spacing(index, k=k).mean() == pytest.approx(k, rel=1e-10)


def test_every_second_eigenvalue_of_index_one_is_of_index_four():
    s = np.linspace(0.05, 4, 80)
    for k in (1, 3):
        two, four = Spacing(1, k=2 * k, scale=0.5), Spacing(4, k=k)
        np.testing.assert_allclose(two.pdf(s), four.pdf(s), rtol=0, atol=1e-12)
        np.testing.assert_allclose(two.cdf(s), four.cdf(s), rtol=0, atol=1e-12)


def test_repulsion_and_the_small_spacings():
    """Exact leading terms: π²s/6, π²s²/3, 16π⁴s⁴/135."""
    for index, factor in ((1, math.pi**2 / 6), (2, math.pi**2 / 3), (4, 16 * math.pi**4 / 135)):
        law = Spacing(index)
        for s in (1e-3, 1e-2):
            assert law.pdf(s) == pytest.approx(factor * s**index, rel=10 * s * s)
        assert law.cdf(1e-9) == pytest.approx(factor * 1e-9 ** (index + 1) / (index + 1), rel=1e-3)
        assert law.ppf(law.cdf(1e-7)) == pytest.approx(1e-7, rel=1e-12)
    # from a fixed place nothing repels
    for index in (1, 2, 4):
        law = Spacing(index, origin="point")
        assert law.pdf([0.0, 1e-9]).tolist() == pytest.approx([1.0, 1.0])
        assert law.mean() == pytest.approx(0.5 * (1 + Spacing(index).var()), rel=1e-9)


@pytest.mark.parametrize("index", [1, 2, 4])
def test_sampled_spectra(index):
    rng, n = np.random.default_rng(index), 400
    model, nearest, second = Gaussian(n, index), [], []
    for _ in range(20):
        values = np.sort(model.eigenvalues(rng)) / math.sqrt(n)
        bulk = n * Semicircle(2.0).cdf(values)[100:300]
        nearest.append(np.diff(bulk)[::2])
        second.append((bulk[2:] - bulk[:-2])[::3])
    nearest, second = np.concatenate(nearest), np.concatenate(second)
    assert stats.kstest(nearest, Spacing(index).cdf).pvalue > 1e-3
    assert stats.kstest(second, Spacing(index, k=2).cdf).pvalue > 1e-3
    for other in {1, 2, 4} - {index}:  # the wrong index would be seen
        assert stats.kstest(nearest, Spacing(other).cdf).pvalue < 1e-4
    assert stats.kstest(nearest, stats.expon.cdf).pvalue < 1e-20  # and independent eigenvalues


def test_surmise_is_wrong_by_what_the_docs_say():
    s = np.linspace(0.01, 4, 400)
    surmise = {
        1: np.pi / 2 * s * np.exp(-np.pi * s**2 / 4),
        2: 32 / np.pi**2 * s**2 * np.exp(-4 * s**2 / np.pi),
        4: 2**18 / 3**6 / np.pi**3 * s**4 * np.exp(-64 * s**2 / (9 * np.pi)),
    }
    errors = [np.abs(Spacing(index).pdf(s) - wrong).max() for index, wrong in surmise.items()]
    np.testing.assert_allclose(errors, [0.016, 0.005, 0.002], atol=5e-4)


def test_gap_probabilities():
    s = np.array([[0.0, 0.5, 1.0], [2.0, 3.0, 4.0]])
    for index in (1, 2, 4):
        rows = np.array([gap_probability(k, s, index) for k in range(11)])
        np.testing.assert_allclose(rows.sum(axis=0), 1.0, atol=1e-13)
        counted = np.tensordot(np.arange(11), rows, axes=1)
        np.testing.assert_allclose(counted, s, atol=1e-12)  # the mean number is the length
        assert rows[0, 0, 0] == 1.0 and type(gap_probability(1, 0.3, index)) is float
    for bad, message in (((0, 17.0), r"length must lie in \[0, 16\]"), ((11, 1.0), "k must lie")):
        with pytest.raises(ValueError, match=message):
            gap_probability(*bad)


def test_parameters():
    with pytest.raises(ValueError, match="dyson_index must be one of"):
        Spacing(3)
    with pytest.raises(ValueError, match=r"k must lie in \[1, 10\]"):
        Spacing(1, k=11)
    with pytest.raises(ValueError, match="origin must be one of"):
        Spacing(1, origin="edge")


@pytest.mark.parametrize("lengths", [[1.0, -0.5], [0.5, 1e6]])
def test_one_length_out_of_range_among_others_is_refused(lengths):
    with pytest.raises(ValueError, match=r"length must lie in \[0, "):
        gap_probability(0, lengths)
