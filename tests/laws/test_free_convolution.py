"""Free sums and products against other routes: closed forms, free Poisson laws, matrices."""

import math

import numpy as np
import pytest

from rmtstab.laws import (
    DescentAscent,
    FreeProduct,
    FreeSum,
    GeneralizedMarchenkoPastur,
    Jacobi,
    MarchenkoPastur,
    Semicircle,
    TracyWidom,
    Wachter,
)

PARTS = np.array([1e-3, 0.02, 0.1, 0.3, 0.5, 0.8, 0.97, 1 - 1e-3])


PAIRS = [
    (FreeSum(MarchenkoPastur(0.2), MarchenkoPastur(0.5), 0.7, -0.3), DescentAscent(0.2, 0.5, 0.3)),
    (FreeSum(MarchenkoPastur(5.0), MarchenkoPastur(5.0), 0.5, -0.5), DescentAscent(5.0, 5.0, 0.5)),
    (FreeSum(MarchenkoPastur(0.1), MarchenkoPastur(9.0), 0.9, -0.1), DescentAscent(0.1, 9.0, 0.1)),
    (FreeSum(Semicircle(1.0), Semicircle(2.0, loc=3.0)), Semicircle(math.sqrt(5), loc=3.0)),
    # rates add when the jumps agree: gamma W of ratio gamma has jump gamma
    (FreeSum(MarchenkoPastur(0.5), MarchenkoPastur(2.0), 4.0, 1.0), MarchenkoPastur(0.4, 5.0)),
    (FreeSum(MarchenkoPastur(0.2, loc=1.0), MarchenkoPastur(0.5), 0.7, -0.3, loc=2.0),
     DescentAscent(0.2, 0.5, 0.3, weight_decay=2.7)),
]  # fmt: skip


def compare(law, exact, tolerance=1e-11):
    np.testing.assert_allclose(law.edges(), exact.edges(), rtol=2e-14, atol=1e-14)
    assert law.atoms() == tuple(
        (pytest.approx(at, abs=1e-15), pytest.approx(mass, rel=1e-12)) for at, mass in exact.atoms()
    )
    for left, right in exact.edges():
        x = left + (right - left) * PARTS
        for name in ("pdf", "cdf", "sf"):
            ours, theirs = getattr(law, name)(x), getattr(exact, name)(x)
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=1e-15)
    q = np.array([1e-6, 0.01, 0.17, 0.6, 0.95])
    width = np.ptp(exact.support())
    np.testing.assert_allclose(law.ppf(q), exact.ppf(q), rtol=0, atol=1e-11 * width)
    np.testing.assert_allclose(law.isf(q), exact.isf(q), rtol=0, atol=1e-11 * width)
    left, right = exact.support()
    for z in (left - 0.3 * width, right + 2.0 * width, complex(exact.mean(), 0.1 * width),
              complex(left, -1e-3 * width)):  # fmt: skip
        assert law.stieltjes(z) == pytest.approx(exact.stieltjes(z), rel=1e-12)
    for order in range(1, 6):
        assert law.moment(order) == pytest.approx(exact.moment(order), rel=1e-11, abs=1e-13)


@pytest.mark.parametrize(("law", "exact"), PAIRS, ids=[str(i) for i in range(len(PAIRS))])
def test_sums_that_are_known(law, exact):
    compare(law, exact)


@pytest.mark.parametrize(
    ("gamma", "population"),
    [(0.3, MarchenkoPastur(0.5)), (0.5, Jacobi(1, 3, 5)), (2.0, Wachter(0.5, 0.2))],
    ids=["mp", "jacobi", "wachter"],
)
def test_products_solve_the_equation_of_sample_covariances(gamma, population):
    law = FreeProduct(MarchenkoPastur(gamma), population)
    left, right = law.support()
    x = left + (right - left) * PARTS
    m = law.stieltjes(x + 0j)
    # Silverstein: m = E_t 1/(t f - x), f = 1 - gamma - gamma x m
    factor = 1.0 - gamma - gamma * x * m
    np.testing.assert_allclose(population.stieltjes(x / factor) / factor, m, rtol=3e-11)
    assert (m.imag > 0).all()
    zero = max(0.0, 1.0 - 1.0 / gamma)
    assert sum(law.masses()) + zero == pytest.approx(1.0, abs=1e-13)
    assert law.atoms() == (((0.0, pytest.approx(zero)),) if zero else ())
    assert law.var() == pytest.approx(law.moment(2) - law.mean() ** 2, rel=1e-11)
    assert law.mean() == pytest.approx(population.mean(), rel=1e-12)


def test_moments_of_a_product():
    # Fuss-Narayana polynomials: two Marchenko-Pastur laws of one ratio
    law = FreeProduct(MarchenkoPastur(0.5), MarchenkoPastur(0.5))
    for k in (1, 2, 3, 4):
        parts = [(a, b) for a in range(k) for b in range(k - a)]
        terms = (math.comb(k, a) * math.comb(k, b) * math.comb(k, k - 1 - a - b) * 0.5 ** (a + b)
                 for a, b in parts)  # fmt: skip
        assert law.moment(k) == pytest.approx(sum(terms) / k, rel=1e-12)


def test_sample_covariance_as_a_sum():
    # X^T T X / n with T of eigenvalues 1 and 8: two Wishart matrices of rank n/20, and the
    # nonzero eigenvalues of T^(1/2) X X^T T^(1/2) / n
    part = MarchenkoPastur(20.0, 0.05)
    law, exact = FreeSum(part, part, 1.0, 8.0), GeneralizedMarchenkoPastur(0.1, [1, 8])
    np.testing.assert_allclose(law.edges(), exact.edges(), rtol=1e-14)
    np.testing.assert_allclose(law.masses(), 0.1 * exact.masses(), rtol=1e-12)
    assert law.atoms() == ((0.0, pytest.approx(0.9, abs=1e-14)),)
    for left, right in exact.edges():
        x = left + (right - left) * PARTS
        np.testing.assert_allclose(law.pdf(x), 0.1 * exact.pdf(x), rtol=1e-11)
        np.testing.assert_allclose(law.sf(x), 0.1 * exact.sf(x), rtol=1e-11)


def test_order_and_scaling():
    one, two = MarchenkoPastur(0.3), Semicircle(1.5)
    law, swapped = FreeSum(one, two), FreeSum(two, one)
    x = np.linspace(*law.support(), 7)[1:-1]
    np.testing.assert_allclose(law.pdf(x), swapped.pdf(x), rtol=1e-12)
    np.testing.assert_allclose(FreeSum(one, two, 3.0, 3.0).pdf(3 * x), law.pdf(x) / 3, rtol=1e-12)
    mirrored = FreeSum(one, two, -1.0, -1.0)
    np.testing.assert_allclose(mirrored.cdf(-x), law.sf(x), rtol=1e-11)


def test_atoms_of_sums():
    # rank deficient matrices: mass 0.8 + 0.75 - 1 at the sum of the places
    law = FreeSum(MarchenkoPastur(5.0, loc=1.0), MarchenkoPastur(4.0), 1.0, 2.0)
    assert law.atoms() == ((1.0, pytest.approx(0.55, abs=1e-14)),)
    assert sum(law.masses()) == pytest.approx(0.45, abs=1e-13)
    assert law.cdf(1.0) - law.cdf(math.nextafter(1.0, 0.0)) == pytest.approx(0.55, abs=1e-12)
    assert law.ppf(0.3) == 1.0


def test_atoms_of_products():
    """An atom a of mass p and one b of mass q make one at ab of mass p + q - 1."""
    one, two = MarchenkoPastur(4.0, loc=0.5), MarchenkoPastur(5.0, loc=0.25)
    ((at, mass),) = FreeProduct(one, two).atoms()
    assert at == 0.125 and mass == pytest.approx(0.75 + 0.8 - 1.0, rel=1e-14)


def test_product_of_two_square_wishart_matrices():
    """Hard edges at 0 add up: the density rises as x**(-2/3), in closed form (Fuss-Catalan)."""
    law = FreeProduct(MarchenkoPastur(1.0), MarchenkoPastur(1.0))
    np.testing.assert_allclose(law.edges(), [[0.0, 6.75]], rtol=1e-14)
    x = np.array([1e-12, 1e-6, 1e-3, 0.1, 1.0, 3.0, 6.0, 6.7])
    root, part = 2.0 ** (1 / 3), 27.0 + 3.0 * np.sqrt(81.0 - 12.0 * x)
    exact = root * math.sqrt(3.0) / (12.0 * math.pi) * (root * part ** (2 / 3) - 6.0 * x ** (1 / 3))
    exact /= x ** (2 / 3) * part ** (1 / 3)
    np.testing.assert_allclose(law.pdf(x), exact, rtol=1e-11)
    assert [law.moment(k) for k in (1, 2, 3, 4)] == pytest.approx([1, 3, 12, 55], rel=1e-12)
    q = np.array([1e-12, 1e-3, 0.4, 0.99])
    np.testing.assert_allclose(law.cdf(law.ppf(q)), q, rtol=1e-13)
    assert law.stieltjes(0.0) == law.pdf(0.0) == math.inf


@pytest.mark.parametrize(
    ("one", "two", "upper"),
    [
        (MarchenkoPastur(1.0), MarchenkoPastur(0.5), (11 + 5 * math.sqrt(5)) / 4),
        (MarchenkoPastur(2.0), MarchenkoPastur(2.0), (11 + 5 * math.sqrt(5)) / 2),
        (MarchenkoPastur(0.5), Semicircle(1.0, loc=1.0), None),
    ],
)
def test_products_that_reach_zero(one, two, upper):
    law = FreeProduct(one, two)
    ((low, high),) = law.edges()
    assert low == 0.0 and (upper is None or high == pytest.approx(upper, rel=1e-13))
    assert law.sf(0.0) + sum(m for _, m in law.atoms()) == pytest.approx(1.0, abs=1e-13)
    # moments of a product of free elements of mean 1
    (a2, a3), (b2, b3) = ([x.moment(2), x.moment(3)] for x in (one, two))
    assert law.moment(2) == pytest.approx(a2 + b2 - 1.0, rel=1e-12)
    third = a3 + 3.0 * a2 * (b2 - 1.0) + b3 - 3.0 * b2 + 2.0
    assert law.moment(3) == pytest.approx(third, rel=1e-12)


def test_hard_and_soft_edges_at_zero_are_refused():
    with pytest.raises(ValueError, match="must not both have an edge at 0, one hard and one soft"):
        FreeProduct(MarchenkoPastur(1.0), Semicircle(1.0, loc=1.0)).edges()


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_units_are_the_users(scale):
    unit = FreeSum(MarchenkoPastur(0.5), Semicircle(1.0))
    law = FreeSum(MarchenkoPastur(0.5, scale=scale), Semicircle(scale))
    x = np.array([0.05, 0.4, 1.0, 2.5, 3.5])
    np.testing.assert_allclose(law.edges(), scale * unit.edges(), rtol=1e-9)
    np.testing.assert_allclose(scale * law.pdf(scale * x), unit.pdf(x), rtol=1e-9)
    np.testing.assert_allclose(law.cdf(scale * x), unit.cdf(x), rtol=1e-9)


def test_sampled_matrices():
    law = FreeSum(Wachter(0.5, 0.2), Semicircle(1.0), 0.5, 2.0)
    rng = np.random.default_rng(4)
    sizes, errors = [50, 100, 200], []
    for d in sizes:
        gaps = []
        for _ in range(4):
            a, b = rng.standard_normal((d, 2 * d)), rng.standard_normal((d, 5 * d))
            half = np.linalg.solve(np.linalg.cholesky(b @ b.T / (5 * d)), a)
            c = rng.standard_normal((d, d))
            matrix = 0.5 * half @ half.T / (2 * d) + (c + c.T) / math.sqrt(2 * d)
            values = np.linalg.eigvalsh(matrix)
            gaps.append(np.abs(law.cdf(values) - (np.arange(d) + 0.5) / d).mean())
        errors.append(np.mean(gaps))
    assert -1.4 < np.polyfit(np.log(sizes), np.log(errors), 1)[0] < -0.6


def test_bad_arguments():
    law = MarchenkoPastur(0.5)
    with pytest.raises(TypeError, match="second must be a law with a Stieltjes transform"):
        FreeSum(law, TracyWidom(1))
    with pytest.raises(ValueError, match="second_weight must not be 0"):
        FreeSum(law, law, 1.0, 0.0)
    with pytest.raises(ValueError, match=r"first must live on \[0, inf\)"):
        FreeProduct(Semicircle(), law)


def test_transform_of_a_product_near_zero_and_far_away():
    law = FreeProduct(MarchenkoPastur(0.5), MarchenkoPastur(0.5))
    # E 1/x of each factor is 1/(1 − γ) = 2, and inverses of free factors multiply
    for z in (0.0, 5e-324, -1e-200, 0j, complex(0.0, -0.0)):
        assert abs(law.stieltjes(z) - 4.0) < 1e-12
    for z in (1e-3, -1e-3, 0.0014, 0.0015):
        assert law.stieltjes(z) == pytest.approx(
            law.expect(lambda x, z=z: 1.0 / (x - z)), rel=1e-12
        )
    for z in (1e12, -1e30, 1e308):
        assert law.stieltjes(z) == pytest.approx(-1.0 / z, rel=1e-11)
        assert law.stieltjes(complex(z, 0.0)) == pytest.approx(-1.0 / z, rel=1e-11)
