"""Atoms, means, variances and third moments of every law against closed forms, over decades.

The closed forms are free cumulants: ``κ_n = γ^(n−1) s^n`` of Marchenko–Pastur, scaled and added for
sums, ``λ^(n−1) κ_n`` of a projection compressed to a share λ for Jacobi's, and moments of a product
with a free Poisson element for a general population.
"""

import numpy as np
import pytest

from rmtstab import laws


def from_cumulants(first, second, third):
    """Mean, variance, third moment about zero."""
    return first, second, third + 3 * first * second + first**3


def decades(rng, low, high):
    return float(10.0 ** rng.uniform(low, high))


def marchenko_pastur(rng):
    ratio, scale = decades(rng, -8, 8), decades(rng, -60, 60)
    cumulants = [ratio ** (n - 1) * scale**n for n in (1, 2, 3)]
    zero = {0.0: 1 - 1 / ratio} if ratio > 1 else {}
    return laws.MarchenkoPastur(ratio, scale), from_cumulants(*cumulants), zero


def semicircle(rng):
    radius = decades(rng, -60, 60)
    return laws.Semicircle(radius), from_cumulants(0.0, radius**2 / 4, 0.0), {}


def jacobi(rng):
    n1, n2 = decades(rng, -3, 3), decades(rng, -3, 3)
    total = n1 + n2
    share, q = float(rng.uniform(0.02, 0.98)), n1 / total
    p = share * total
    cumulants = q, share * q * (n2 / total), share**2 * q * (n2 / total) * (n2 - n1) / total
    atoms = {0.0: 1 - n1 / p} if n1 < p else {}
    atoms |= {1.0: 1 - n2 / p} if n2 < p else {}
    return laws.Jacobi(p, n1, n2), from_cumulants(*cumulants), atoms


def wachter(rng):
    first, second = decades(rng, -6, 6), float(rng.uniform(0.01, 0.95))
    variance = (first + second - first * second) / (1 - second) ** 3
    atoms = {0.0: 1 - 1 / first} if first > 1 else {}
    return laws.Wachter(first, second), (1 / (1 - second), variance, None), atoms


def population(rng):
    ratio = decades(rng, -3, 3)
    t = np.array([0.0, *(10.0 ** rng.uniform(-2, 2, 3))])
    w = rng.dirichlet(np.ones(4))
    h1, h2, h3 = (float(w @ t**n) for n in (1, 2, 3))
    third = h3 + 3 * ratio * h1 * h2 + ratio**2 * h1**3
    zero = 1 - min(1 - w[0], 1 / ratio)
    law = laws.GeneralizedMarchenkoPastur(ratio, t, w)
    return law, (h1, h2 - h1**2 + ratio * h1**2, third), {0.0: zero}


def descent_ascent(rng):
    retain, forget = decades(rng, -3, 3), decades(rng, -3, 3)
    alpha, decay = float(rng.uniform(0, 1)), decades(rng, -3, 1)
    cumulants = [
        (1 - alpha) ** n * retain ** (n - 1) + (-alpha) ** n * forget ** (n - 1) for n in (1, 2, 3)
    ]
    cumulants[0] += decay
    left = 1 - 1 / retain - 1 / forget
    law = laws.DescentAscent(retain, forget, alpha, decay)
    return law, from_cumulants(*cumulants), {decay: left} if left > 0 else {}


def spiked(rng):
    ratio, scale = decades(rng, -3, 3), decades(rng, -20, 20)
    cumulants = [ratio ** (n - 1) * scale**n for n in (1, 2, 3)]
    zero = {0.0: 1 - 1 / ratio} if ratio > 1 else {}
    return laws.Spiked(ratio, [9.0], scale=scale), from_cumulants(*cumulants), zero


def free_sum(rng):
    ratio, radius = decades(rng, -2, 0), decades(rng, -2, 2)
    cumulants = 1.0, ratio + radius**2 / 4, ratio**2
    law = laws.FreeSum(laws.MarchenkoPastur(ratio), laws.Semicircle(radius))
    return law, from_cumulants(*cumulants), {}


def free_product(rng):
    """S-transforms multiply: 1/((1+γ₁z)(1+γ₂z)), whose moments are γ₁+γ₂+1, …"""
    a, b = decades(rng, -2, 0), decades(rng, -2, 0)
    third = 1 + 3 * (a + b) + a**2 + b**2 + 3 * a * b
    law = laws.FreeProduct(laws.MarchenkoPastur(a), laws.MarchenkoPastur(b))
    return law, (1.0, a + b, third), {}


MAKERS = [
    marchenko_pastur, semicircle, jacobi, wachter, population, descent_ascent, spiked, free_sum,
    free_product,
]  # fmt: skip


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_moments_over_decades(make):
    rng = np.random.default_rng(1)
    for _ in range(2 if "free" in make.__name__ else 30):
        law, (mean, variance, third), atoms = make(rng)
        assert law.mean() == pytest.approx(mean, rel=1e-11, abs=1e-11 * variance**0.5), law
        assert law.var() == pytest.approx(variance, rel=1e-10, abs=0), law
        size = (abs(mean) + variance**0.5) ** 3
        if third is not None:
            assert law.moment(3) == pytest.approx(third, rel=1e-9, abs=1e-12 * size), law
        found = {x: mass for x, mass in law.atoms() if mass > 0.0}
        assert found.keys() == atoms.keys(), law
        for x, mass in atoms.items():
            assert found[x] == pytest.approx(mass, rel=1e-9, abs=1e-14), law
            # the distribution function jumps by it, and has all of the rest elsewhere
            jump = law.cdf(x) - law.cdf(np.nextafter(x, -np.inf))
            assert jump == pytest.approx(mass, abs=1e-9), law


def test_the_transposed_ratio_would_show():
    """n1/p written n1*p: the atom of Jacobi(4, 3, 2) at 0 vanished, and no test said so."""
    assert dict(laws.Jacobi(4, 3, 2).atoms()) == {0.0: 0.25, 1.0: 0.5}
    assert laws.Jacobi(4, 3, 2).cdf(0.0) == pytest.approx(0.25)


@pytest.mark.parametrize("seed", range(3))
def test_third_moment_of_the_free_product_is_that_of_matrices(seed):
    """An independent witness of the closed form above: large Wishart matrices."""
    rng = np.random.default_rng(seed)
    a, b, n = 0.5, 0.25, 400
    x, y = rng.standard_normal((n, int(n / a))), rng.standard_normal((n, int(n / b)))
    product = (x @ x.T * a / n) @ (y @ y.T * b / n)
    third = np.trace(product @ product @ product) / n
    assert third == pytest.approx(1 + 3 * (a + b) + a**2 + b**2 + 3 * a * b, rel=0.03)
