"""Descent–ascent law: sampled mix-Hessians, all roots of the cubic, limits, bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmtstab.laws import DescentAscent, MarchenkoPastur, Wachter
from tests import naive

MIXINGS = st.floats(0, 1).map(lambda v: 0.0 if v < 1e-50 else v)
CASES = [(0.2, 0.5, 0.3), (5.0, 5.0, 0.5), (8.0, 0.3, 0.6), (0.1, 20.0, 0.1), (2.0, 2.1, 0.5)]


@pytest.mark.parametrize("retain, forget, alpha", CASES)
def test_against_all_roots(retain, forget, alpha):
    law = DescentAscent(retain, forget, alpha)
    import mpmath as mp

    with mp.workdps(40):
        rates = [1 / mp.mpf(retain), 1 / mp.mpf(forget)]
        jumps = [mp.mpf(retain) * (1 - mp.mpf(alpha)), -mp.mpf(forget) * mp.mpf(alpha)]
    for left, right in law.edges():
        for part in (1e-6, 1e-2, 0.3, 0.5, 0.8, 1 - 1e-5):
            x = left + part * (right - left)
            slack = 8 * 2.3e-16 * max(-left, right) / min(x - left, right - x)
            expected = naive.free_poisson_density(x, rates, jumps)
            assert law.pdf(x) == pytest.approx(expected, rel=1e-13 + slack, abs=0)
    left, right = law.edges()[0]
    x = left + 0.2 * (right - left)
    mass = naive.free_poisson_mass(left, x, rates, jumps)
    assert law.cdf(x) == pytest.approx(mass, rel=1e-10, abs=0)


@given(st.floats(-3, 3), st.floats(-3, 3), MIXINGS, st.floats(0.001, 0.999))
def test_edges_are_all_critical_points(log_retain, log_forget, alpha, q):
    law = DescentAscent(10.0**log_retain, 10.0**log_forget, alpha)
    a, b, r, f = 1 - alpha, alpha, law.retain_ratio, law.forget_ratio
    # the quartic zeta'(g) = 0 in u = 1/g: 1 = A/(u-p)² + B/(u+q)²
    p, s, A, B = r * a, f * b, a * a * r, b * b * f
    quartic = np.polysub(
        np.polymul(np.polymul([1, -p], [1, -p]), np.polymul([1, s], [1, s])),
        np.polyadd(A * np.polymul([1, s], [1, s]), B * np.polymul([1, -p], [1, -p])),
    )
    roots = np.roots(quartic)
    count = law.edges().size
    if 0.0 < alpha < 1.0:
        split = (A ** (1 / 3) + B ** (1 / 3)) ** 3 / (p + s) ** 2
        if abs(split - 1) > 1e-6:
            assert count == (4 if split < 1 else 2)
            real = roots[np.abs(roots.imag) < 1e-7 * np.abs(roots).max()]
            assert len(real) >= count
    assert law.masses().sum() + sum(m for _, m in law.atoms()) == pytest.approx(1, abs=1e-14)
    x = law.ppf(q)
    if x != 0.0:
        slack = 8 * 2.3e-16 * max(map(abs, law.support())) * law.pdf(x)
        assert law.cdf(x) == pytest.approx(q, rel=1e-10, abs=slack)
    assert law.cdf(x) + law.sf(x) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("retain, forget, alpha", CASES)
def test_sampled_mix_hessians(retain, forget, alpha):
    law = DescentAscent(retain, forget, alpha)
    rng = np.random.default_rng(7)
    sizes, errors = [60, 120, 240], []
    for dim in sizes:
        gaps = []
        for _ in range(6):
            values = naive.mix_hessian(rng, dim, round(dim / retain), round(dim / forget), alpha)
            values[np.abs(values) < 1e-10] = 0.0
            ranks = (np.arange(dim) + 0.5) / dim
            nonzero = values != 0.0
            gaps.append(np.abs(law.cdf(values) - ranks)[nonzero].mean())
        errors.append(np.mean(gaps))
        atom = sum(m for _, m in law.atoms())
        assert (values == 0.0).mean() == pytest.approx(atom, abs=1.01 / dim)
    assert np.polyfit(np.log(sizes), np.log(errors), 1)[0] < -0.7
    assert errors[-1] < 0.01


@pytest.mark.parametrize("ratio", [0.3, 1.0, 4.0])
def test_ends_of_the_mixing_are_marchenko_pastur(ratio):
    plain = MarchenkoPastur(ratio)
    left, right = plain.support()
    x = left + (right - left) * np.array([0.001, 0.3, 0.9])
    law = DescentAscent(ratio, 7.0, 0.0)
    np.testing.assert_array_equal(law.edges(), plain.edges())
    assert law.atoms() == plain.atoms()
    np.testing.assert_allclose(law.pdf(x), plain.pdf(x), rtol=1e-13)
    np.testing.assert_allclose(law.cdf(x), plain.cdf(x), rtol=1e-12)
    mirrored = DescentAscent(0.1, ratio, 1.0)
    np.testing.assert_allclose(mirrored.edges(), [[-right, -left]], rtol=1e-15)
    np.testing.assert_allclose(mirrored.pdf(-x), plain.pdf(x), rtol=1e-13)
    np.testing.assert_allclose(mirrored.cdf(-x), plain.sf(x), rtol=1e-12)
    q = np.array([0.01, 0.4, 0.97])
    np.testing.assert_allclose(mirrored.ppf(q), -plain.isf(q), rtol=1e-12)


def test_two_intervals_touching():
    # rates 1/2 and jumps ±1: zero is a double root of phi - 1, the density is x^(-1/3) there
    law = DescentAscent(2.0, 2.0, 0.5)
    assert law.atoms() == ()
    x = np.array([1e-12, 1e-9, 1e-6])
    # the edges are at ±1.3: x is known to a unit in their last place only
    assert (np.abs(law.pdf(x) / law.pdf(-x) - 1) < 4 * 2.3e-16 / x).all()
    slope = np.diff(np.log(law.pdf(x))) / np.diff(np.log(x))
    np.testing.assert_allclose(slope, -1 / 3, rtol=0, atol=4 * 2.3e-16 / x[0] / np.log(1e3))
    # the cdf moves as x^(2/3): half a unit in the last place of 1.3 is 3e-11
    assert law.cdf(0.0) == pytest.approx(0.5, abs=3e-11)


def test_mirror_symmetry():
    law, other = DescentAscent(0.4, 3.0, 0.2), DescentAscent(3.0, 0.4, 0.8)
    np.testing.assert_allclose(law.edges(), -other.edges()[::-1, ::-1], rtol=1e-14)
    x = np.linspace(*law.support(), 12)[1:-1]
    np.testing.assert_allclose(law.cdf(x), other.sf(-x), rtol=1e-12)


@pytest.mark.parametrize(("retain", "forget"), [(0.2, 0.5), (0.9, 3.0), (0.01, 0.01)])
def test_left_edge_meets_zero_at_the_wachter_threshold(retain, forget):
    top = Wachter(numerator_ratio=forget, denominator_ratio=retain).support()[1]
    critical = 1 / (1 + top)
    assert DescentAscent(retain, forget, critical).support()[0] == pytest.approx(0.0, abs=1e-15)
    assert DescentAscent(retain, forget, critical * 0.99).support()[0] > 0
    assert DescentAscent(retain, forget, critical * 1.01).support()[0] < 0


def test_weight_decay_shifts():
    law, moved = DescentAscent(5.0, 5.0, 0.5), DescentAscent(5.0, 5.0, 0.5, weight_decay=0.25)
    np.testing.assert_allclose(moved.edges(), law.edges() + 0.25, rtol=1e-15)
    assert moved.atoms() == ((0.25, law.atoms()[0][1]),)
    x = np.linspace(*law.support(), 12)
    np.testing.assert_allclose(moved.cdf(x + 0.25), law.cdf(x), atol=1e-14)
    assert moved.mean() == pytest.approx(law.mean() + 0.25, abs=1e-15)
    assert moved.var() == pytest.approx(law.var(), rel=1e-13)
    assert moved.stieltjes(9.25) == pytest.approx(law.stieltjes(9.0), rel=1e-13)


def test_moments_and_transform_are_integrals():
    law = DescentAscent(5.0, 4.0, 0.4)
    node, gauss = np.polynomial.legendre.leggauss(200)
    angle = 0.5 * np.pi * (1 + node)
    atom = sum(m for _, m in law.atoms())
    values = {k: atom * (k == 0) for k in range(5)}
    transforms = {z: -atom / z for z in (-9.0, 0.3 + 0.5j, 12.0)}
    for left, right in law.edges():
        x = left + (right - left) * np.sin(angle / 2) ** 2
        mass = law.pdf(x) * 0.25 * np.pi * (right - left) * np.sin(angle) * gauss
        for k in values:
            values[k] += (mass * x**k).sum()
        for z in transforms:
            transforms[z] += (mass / (x - z)).sum()
    for k, value in values.items():
        assert law.moment(k) == pytest.approx(value, rel=1e-12)
    for z, value in transforms.items():
        assert law.stieltjes(z) == pytest.approx(value, rel=1e-11)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0.0, 1.0, 0.5), ValueError, r"retain_ratio must lie in \[1e-50, 1e[+]50\]"),
        ((1.0, np.inf, 0.5), ValueError, "forget_ratio must lie in"),
        ((1.0, 1.0, 1.5), ValueError, r"alpha must lie in \[0, 1\], got 1.5"),
        ((1.0, 1.0, 1e-60), ValueError, "alpha must be 0 or at least 1e-50"),
        ((1.0, 1.0, "a"), TypeError, "alpha must be a real number"),
        ((1.0, 1.0, 0.5, -0.1), ValueError, "weight_decay must be >= 0"),
    ],
)
def test_bad_parameters(arguments, error, message):
    with pytest.raises(error, match=message):
        DescentAscent(*arguments)
