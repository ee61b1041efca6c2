"""Inputs that once gave a wrong number, a late error, or none: the true value of each kind."""

import cmath
import fractions
import math

import mpmath as mp
import numpy as np
import pytest

from rmtstab import laws
from rmtstab.laws import (
    DescentAscent,
    FreeProduct,
    FreeSum,
    GeneralizedMarchenkoPastur,
    Jacobi,
    MarchenkoPastur,
    RoysRoot,
    Semicircle,
    SingularValues,
    Spacing,
    Spiked,
    TracyWidom,
    Wachter,
    WishartMax,
    WishartMin,
    gap_probability,
    number_of_spikes,
    shrink_singular_values,
)


@pytest.mark.parametrize(
    ("law", "variance"),
    [
        # p n1 n2 / n^3, (a + b - ab)/(1 - b)^3, free cumulants: none cancels
        (Jacobi(1, 862787.8775744691, 0.7475936263571007), 1.004283649674e-12),
        (Jacobi(1, 1e100, 1e100), 1.25e-101),
        (Wachter(0.5, 0.2), 0.6 / 0.8**3),
        (Wachter(1.0, 1.0 - 2.0**-33), 2.0**99),
        (Wachter(1e-9, 1e-9), (2e-9 - 1e-18) / (1 - 1e-9) ** 3),
        (DescentAscent(0.2, 0.5, 0.3, 1e8), 0.2 * 0.7**2 + 0.5 * 0.3**2),
        (
            GeneralizedMarchenkoPastur(1e-12, [1, 1 + 2**-20], loc=1e9),
            2.0**-42 + 1e-12 * (1 + 2.0**-21) ** 2,
        ),
        (GeneralizedMarchenkoPastur(7.0, [0, 1], [0.25, 0.75]), 0.1875 + 7 * 0.75**2),
        (MarchenkoPastur(1e-8, 3.0, loc=-1e12), 9e-8),
        (Spiked(1e-8, []), 1e-8),
        (Semicircle(1e-3, loc=1e9), 0.25e-6),
    ],
    ids=repr,
)
def test_variances_do_not_cancel(law, variance):
    assert law.var() == pytest.approx(variance, rel=2e-11, abs=0)
    assert law.std() == pytest.approx(math.sqrt(variance), rel=2e-11, abs=0)


@pytest.mark.parametrize(
    ("law", "order", "value"),
    [
        (MarchenkoPastur(1, 0.5), 600, 1.58994e176),
        (Semicircle(1), 1100, 4.36509e-5),
        (TracyWidom(1), 160, 1.743186e188),
        (MarchenkoPastur(1, 2.0), 600, math.inf),
        (TracyWidom(2), 400, math.inf),
    ],
    ids=repr,
)
def test_high_moments(law, order, value):
    assert law.moment(order) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    "law",
    [Wachter(0.5, 0.2), Wachter(3.0, 0.99), Jacobi(1, 3, 5), Jacobi(1, 0.7, 0.6),
     GeneralizedMarchenkoPastur(0.1, [1, 8]), DescentAscent(0.2, 0.5, 0.3)],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("order", [3, 12, 40])
def test_exact_moments_are_expectations(law, order):
    top = max(abs(v) for v in law.support())
    value = law.expect(lambda x: (x / top) ** order)
    assert law.moment(order) / top**order == pytest.approx(value, rel=1e-11, abs=1e-15)


def test_wachter_moments_near_the_pole_take_no_time_or_memory():
    # E[x^2] = var + mean^2 with the denominator's gap 1e-10
    gap = 1.0 - (1.0 - 1e-10)
    assert Wachter(1, 1 - 1e-10).moment(2) == pytest.approx(1 / gap**3 + 1 / gap**2, rel=1e-12)


@pytest.mark.parametrize("law", [MarchenkoPastur(0.5), MarchenkoPastur(4.0, 2.0, loc=3.0),
                                 Spiked(0.5, [4.0]), Wachter(0.5, 0.2), Semicircle(),
                                 DescentAscent(5.0, 5.0, 0.5)], ids=repr)  # fmt: skip
def test_transforms_from_below_and_at_infinity(law):
    x = law.mean()
    above, below = law.stieltjes(complex(x, 0.0)), law.stieltjes(complex(x, -0.0))
    assert below == above.conjugate() and above.imag == pytest.approx(math.pi * law.pdf(x))
    for infinity in (complex(0, math.inf), complex(math.inf, -0.0), complex(-math.inf, math.nan)):
        assert law.stieltjes(infinity) == 0.0
    assert law.stieltjes(1e200j) == pytest.approx(1e-200j)


def test_density_at_the_smallest_double():
    # sqrt((4 - x) x)/(2 pi x) at x = 2**-1074
    assert MarchenkoPastur(1).pdf(5e-324) == pytest.approx(2.0**537 / math.pi, rel=1e-14)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MarchenkoPastur(5e-324), r"aspect_ratio must lie in \[1e-150, 1e\+150\]"),
        (lambda: MarchenkoPastur(0.5, 1e-320), r"scale must lie in \[1e-300, 1e\+300\]"),
        (lambda: MarchenkoPastur(1e150, 1e300), r"the upper edge, must be finite, got inf"),
        (lambda: MarchenkoPastur(10**400), "got an integer of 1329 bits"),
        (lambda: Jacobi(1, 1e200, 1e200), r"n1 / p must lie in \[1e-150, 1e150\], got 1.00e\+200"),
        (lambda: Semicircle(1e-200), r"radius must lie in \[1e-150, 1e\+150\]"),
        (lambda: Wachter(1e-200, 0.5), r"numerator_ratio must lie in"),
    ],
)
def test_parameters_fail_when_given_not_later(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    "law",
    [MarchenkoPastur(1e-150), MarchenkoPastur(1e150, 1e100), MarchenkoPastur(0.3, 1e300),
     MarchenkoPastur(1.0, 1e-300), Semicircle(1e-150), Semicircle(1e150), Wachter(1e-150, 1e-150),
     Wachter(1e150, 0.5), Jacobi(1, 1e150, 1), Jacobi(1, 1e-150, 1.5)],
    ids=repr,
)  # fmt: skip
def test_ends_of_the_parameter_ranges(law):
    left, right = law.support()
    q = np.array([0.01, 0.3, 0.9])
    for x in (law.ppf(q), law.isf(q)):
        assert ((x >= left) & (x <= right) | np.isin(x, [at for at, _ in law.atoms()])).all()
    x = law.ppf(0.3)
    assert law.cdf(np.nextafter(x, -math.inf)) <= 0.3 <= law.cdf(np.nextafter(x, math.inf))
    assert not np.isnan([law.mean(), law.var(), law.pdf(x), law.moment(5)]).any()


def test_integers_of_any_length_and_fractions():
    law = MarchenkoPastur(0.5)
    assert law.cdf(10**30) == 1.0 and law.cdf(-(10**400)) == 0.0
    np.testing.assert_array_equal(law.cdf([10**400, 1]), [1.0, law.cdf(1.0)])
    assert law.cdf([fractions.Fraction(3, 2)]) == law.cdf([1.5])
    assert MarchenkoPastur(fractions.Fraction(1, 2)) == law
    with pytest.raises(TypeError, match="x must hold real numbers"):
        law.cdf([None, 1.0])
    with pytest.raises(TypeError, match="x must hold real numbers"):
        law.cdf(["1.0"])


def test_masked_entries_are_not_data():
    values = np.ma.array([1.0, 2.0], mask=[False, True])
    law = MarchenkoPastur(0.5)
    for method in (law.cdf, law.pdf, law.ppf, law.stieltjes):
        with pytest.raises(ValueError, match="must have no masked entries, got 1 of 2"):
            method(values)
    with pytest.raises(ValueError, match="z must have no masked entries"):
        law.stieltjes(values + 1j)
    np.testing.assert_array_equal(law.cdf(np.ma.array([1.0, 2.0])), law.cdf([1.0, 2.0]))


def test_one_law_has_one_value():
    assert TracyWidom(4) == TracyWidom(4, "tracy_widom") == TracyWidom(4.0, None)
    assert hash(TracyWidom(4)) == hash(TracyWidom(4, "tracy_widom"))
    assert TracyWidom(1, "rmtstat") == TracyWidom(1) and TracyWidom(4, "rmtstat") != TracyWidom(4)
    population = laws.GeneralizedMarchenkoPastur(0.1, [8, 1], [0.5, 0.5])
    assert population == laws.GeneralizedMarchenkoPastur(0.1, [1, 8])


@pytest.mark.parametrize(
    ("law", "intervals", "median"),
    [
        # rates 1e24 and 1e-24: next to 1 - alpha nearly all mass, the rest near -5e23
        (DescentAscent(1e-24, 1e24, 0.5), [(-5e23, 1e12), (0.5, 1e-12)], 0.5),
        (DescentAscent(1e24, 1e-24, 0.5), [(-0.5, 1e-12), (5e23, 1e12)], -0.5),
        # next to each atom t a semicircle of radius 2 t sqrt(gamma/2)
        (GeneralizedMarchenkoPastur(1e-16, [1, 2]), [(1, 2**0.5 * 1e-8), (2, 8**0.5 * 1e-8)], None),
    ],
    ids=repr,
)
def test_separated_supports(law, intervals, median):
    expected = [(centre - half, centre + half) for centre, half in intervals]
    np.testing.assert_allclose(law.edges(), expected, rtol=3e-15)
    if median is not None:
        assert law.median() == pytest.approx(median, rel=1e-11)
    q = np.array([0.1, 0.3, 0.6, 0.8])
    x, tail = law.ppf(q), law.isf(q)
    # x is rounded twice (added to the edge, stored): each moves the probability by the density
    slack = 6e-16 * np.abs([x, tail]) * law.pdf([x, tail])
    assert (np.abs(law.cdf(x) - q) <= slack[0] + 1e-15).all()
    assert (np.abs(law.sf(tail) - q) <= slack[1] + 1e-15).all()


def test_narrow_support_is_a_semicircle():
    # gamma = 1e-10: relative corrections of order sqrt(gamma) to cdf and pdf, none to 1e-12
    gamma = 1e-10
    law = GeneralizedMarchenkoPastur(gamma, [1.0])
    exact = MarchenkoPastur(gamma)
    x = exact.ppf([1e-6, 0.01, 0.3, 0.9])
    np.testing.assert_allclose(law.cdf(x), exact.cdf(x), rtol=1e-12)
    np.testing.assert_allclose(law.sf(x), exact.sf(x), rtol=1e-12)
    np.testing.assert_allclose(law.pdf(x), exact.pdf(x), rtol=1e-12)


def test_ten_thousand_atoms():
    atoms = np.sort(np.random.default_rng(0).uniform(0.1, 10.0, 10_000))
    law = GeneralizedMarchenkoPastur(0.5, atoms)
    assert len(law.edges()) == 1 and law.masses()[0] == pytest.approx(1.0, rel=1e-14)
    assert law.mean() == pytest.approx(atoms.mean(), rel=1e-14)
    v = law.stieltjes(30.0) * 0.5 - 0.5 / 30.0  # companion: z = -1/v + gamma E[t/(1 + tv)]
    assert -1 / v + 0.5 * np.mean(atoms / (1 + atoms * v)) == pytest.approx(30.0, rel=1e-13)
    q = np.array([0.01, 0.5, 0.99])
    np.testing.assert_allclose(law.cdf(law.ppf(q)), q, rtol=1e-13)


@pytest.mark.parametrize("k", [1, 60, 100, 140])
def test_high_moments_of_extreme_eigenvalues(k):
    # of one column: chi-squared
    exact = k * math.log(2.0) + math.lgamma(5.0 + k) - math.lgamma(5.0)
    for law in (WishartMax(10, 1), WishartMin(10, 1)):
        assert law.moment(k) == pytest.approx(math.exp(exact), rel=1e-11)
    assert WishartMax(10, 1).moment(200) == math.inf


@pytest.mark.parametrize(
    "law",
    [
        Spacing(1, scale=1e10), TracyWidom(1, loc=1e10), MarchenkoPastur(0.5, loc=1e10),
        Jacobi(3, 10, 20, loc=1e10), SingularValues(MarchenkoPastur(0.5, 1e30)),
        FreeSum(MarchenkoPastur(0.5, 1e10), Semicircle(1e10)),
        FreeProduct(Semicircle(1e10, loc=2e10), MarchenkoPastur(0.3)),
    ],
    ids=lambda law: type(law).__name__,
)  # fmt: skip
def test_moments_beyond_the_doubles_are_infinite(law):
    assert law.moment(100) == math.inf


def test_moments_of_shifted_laws_do_not_cancel():
    # MP(g) shifted by its mean: E (x-1)^4 = 2 g² + g³, and so on with Narayana's numbers
    g = 1e-4
    law = MarchenkoPastur(g, loc=-1.0)
    assert law.moment(2) == pytest.approx(g, rel=1e-9)
    assert law.moment(4) == pytest.approx(2 * g**2 + g**3, rel=1e-9)
    assert Semicircle(1e-3, loc=1.0).moment(3) == pytest.approx(1 + 3 * 1e-6 / 4, rel=1e-14)


def test_transforms_where_products_overflow():
    """Leaked warnings, a division by zero, and an imaginary part of the wrong sign."""
    hard = MarchenkoPastur(1.0)
    exact = complex(math.sqrt(0.5), math.sqrt(0.5)) / math.sqrt(5e-324)  # m ~ sqrt(-1/z)
    assert hard.stieltjes(5e-324j) == pytest.approx(exact, rel=1e-12)
    for law in (hard, Semicircle(2.0), FreeSum(MarchenkoPastur(0.5), Semicircle(1.0))):
        far = law.stieltjes(1e308 + 1e308j)
        assert far == pytest.approx(-5e-309 + 5e-309j, rel=1e-12)
        assert cmath.isnan(law.stieltjes(complex(math.nan, 1.0)))
    law = GeneralizedMarchenkoPastur(2.0, [1, 8], [0.3, 0.7], loc=0.5)
    assert law.stieltjes(5e-324j).imag >= 0.0


@pytest.mark.parametrize(
    ("law", "x", "value"),
    [
        (WishartMin(6, 6, 2), 1e4, -6e4),  # exponential of rate p
        (WishartMin(6, 6, 2), 1e19, -6e19),
        (WishartMin(10, 1), 1e19, -5e18),
        (WishartMin(21, 20), 9500.0, -95e3),  # real, of excess 1: exponential of rate p/2
        (WishartMin(22, 21), 1e10, -1.05e11),
        (WishartMin(41, 40), 5e3, -1e5),
        (WishartMax(10, 1), 1e-300, 5 * math.log(1e-300) - math.lgamma(6.0) - 5 * math.log(2.0)),
        (WishartMax(10, 1), 5e-324, 5 * math.log(5e-324) - math.lgamma(6.0) - 5 * math.log(2.0)),
    ],
)
def test_logarithms_of_extreme_tails(law, x, value):
    found = law.logcdf(x) if isinstance(law, WishartMax) else law.logsf(x)
    assert found == pytest.approx(value, rel=1e-13)


def test_scales_far_apart_for_free_convolution():
    """Edges and densities against cubic equations; where rounding hides the edges: refused."""
    small = mp.mpf(1) / 4  # variance of the narrow law, a semicircle
    for ratio, scale in ((0.5, 1e3), (2.0, 1e6)):
        law = FreeSum(MarchenkoPastur(ratio, scale), Semicircle(1.0))
        c, g = mp.mpf(scale), mp.mpf(ratio)
        # x = 1/t + t/4 + c/(1 - gct); edges are its extrema
        with mp.workdps(50):
            slope = [small * g**2 * c**2, -2 * small * g * c, small - g**2 * c**2 + g * c**2,
                     2 * g * c, -1]  # fmt: skip
            real = [mp.re(t) for t in mp.polyroots(slope, 500, extraprec=500)
                    if abs(mp.im(t)) < abs(t) * mp.mpf(10) ** -20]  # fmt: skip
            edges = sorted(float(1 / t + small * t + c / (1 - g * c * t)) for t in real)
            found = np.ravel(law.edges())
            np.testing.assert_allclose(found, edges, rtol=1e-14, atol=1e-15 * np.ptp(found))
            for x in law.ppf([1e-3, 0.3, 0.7, 0.999]):
                cubic = [-small * g * c, small + g * c * mp.mpf(x), (1 - g) * c - mp.mpf(x), 1]
                root = max(mp.im(t) for t in mp.polyroots(cubic, 500, extraprec=500))
                assert law.pdf(x) == pytest.approx(float(root / mp.pi), rel=1e-11)
        assert law.masses().sum() == pytest.approx(1.0, abs=1e-12)
    wide = FreeSum(Semicircle(1e3), Semicircle(1.0))  # a semicircle again
    assert wide.edges()[0, 1] == pytest.approx(math.sqrt(1e6 + 1), rel=1e-15)
    with pytest.raises(ValueError, match="standard deviations less far apart"):
        FreeSum(MarchenkoPastur(0.5, 1e9), Semicircle(1.0)).cdf(1e4)


def test_fits_of_hostile_spectra():
    assert MarchenkoPastur.fit([2.0, 1.0, 0.0], n_samples=100).n_spikes <= 1
    values = np.linspace(1.0, 3.0, 30)
    one = GeneralizedMarchenkoPastur.fit(values, 100, n_atoms=2)
    two = GeneralizedMarchenkoPastur.fit(values, 100, n_atoms=2, dyson_index=np.uint16(1))
    np.testing.assert_array_equal(one.atoms, two.atoms)
    for factor in (1e-60, 1e60):
        with pytest.raises(ValueError, match="eigenvalues must have their largest in"):
            GeneralizedMarchenkoPastur.fit(factor * values, 100)
    assert gap_probability(0, []).shape == (0,)
    assert shrink_singular_values(0.5, 0.5, noise=1e308) == 0.0
    with pytest.raises(ValueError, match="eigenvalues must be > 0"):
        Spiked.from_outliers([-1.0, -1.0], 400, 100)
    with pytest.raises(ValueError, match="scale must be at most"):
        Spiked.from_outliers([5.0], 100, 20, scale=1e300)
    with pytest.raises(ValueError, match="eigenvalues/scale"):
        Spiked.from_outliers([5.0], 100, 20, scale=1e-200)


def test_values_in_arrays_of_no_axis_and_hostile_scales():
    one = np.array(1)
    for law in (WishartMax(10, 5, one), RoysRoot(3, 8, 5, one)):
        assert law.dyson_index == 1 and hash(law) == hash(eval(repr(law)))
    assert number_of_spikes([3.0, 2.0, 1.0], 10, dyson_index=one).n_spikes == 0
    with pytest.raises(ValueError, match="eigenvalues/scale must lie within"):
        number_of_spikes([3.0, 2.0, 1.0], 10, scale=5e-324)
    with pytest.raises(ValueError, match="population: atoms must be 0 or lie in"):
        Spiked(0.5, [3.0], population=[[1e300, 1e300]])
    fit = GeneralizedMarchenkoPastur.fit(np.linspace(0.5, 1.6, 40), 199, n_atoms=1)
    ((low, high),) = fit.intervals(1e-200).atoms
    assert low == high == pytest.approx(fit.atoms[0], abs=fit.atom_errors[0])
