"""Semicircle, Jacobi and Wachter laws: quadrature at 30 digits, limits, samples, bad input."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rmtstab.laws import Jacobi, MarchenkoPastur, Semicircle, Wachter
from tests import naive
from tests.laws.reference import entries, number

JACOBI = [(1, 3, 5), (1, 1.5, 4), (1, 0.7, 0.6), (1, 1, 2.5), (1, 3, 1), (1, 1, 1), (1, 40, 1.001)]
WACHTER = [(0.5, 0.2), (1.0, 0.3), (3.0, 0.9), (1e-4, 1e-3), (0.999, 0.5), (200.0, 0.01)]
PARTS = [1e-10, 1e-5, 1e-3, 0.02, 0.3, 0.5, 0.77, 0.99, 1 - 1e-4, 1 - 1e-8]


def exact(law):
    """Return (left, right, norm, poles, atom at 0, atom at the top) in mpmath numbers."""
    one = mp.mpf(1)
    if isinstance(law, Semicircle):
        r = mp.mpf(law.radius)
        return -r, r, 2 / (mp.pi * r * r), lambda x: one, mp.mpf(0), mp.mpf(0)
    if isinstance(law, Jacobi):
        p, n1, n2 = mp.mpf(law.p), mp.mpf(law.n1), mp.mpf(law.n2)
        n = n1 + n2
        roots = mp.sqrt(n1 * (n - p)), mp.sqrt(p * n2)
        edges = [((roots[0] + s * roots[1]) / n) ** 2 for s in (-1, 1)]
        atoms = max(mp.mpf(0), 1 - n1 / p), max(mp.mpf(0), 1 - n2 / p)
        return *edges, n / (2 * mp.pi * p), lambda x: x * (1 - x), *atoms
    a, b = mp.mpf(law.numerator_ratio), mp.mpf(law.denominator_ratio)
    h = mp.sqrt(a + b - a * b)
    edges = [((1 + s * h) / (1 - b)) ** 2 for s in (-1, 1)]
    atoms = max(mp.mpf(0), 1 - 1 / a), mp.mpf(0)
    return *edges, (1 - b) / (2 * mp.pi), lambda x: x * (a + b * x), *atoms


LAWS = [
    Semicircle(),
    Semicircle(7.3),
    *(Jacobi(*v) for v in JACOBI),
    *(Wachter(*v) for v in WACHTER),
]


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_against_thirty_digits(law):
    with mp.workdps(30):
        left, right, norm, poles, at_low, at_high = exact(law)
    lo, hi = law.support()
    assert (lo, hi) == (float(left), float(right))
    for part in PARTS:
        x = lo + part * (hi - lo)
        with mp.workdps(30):
            if not left < mp.mpf(x) < right:
                continue
        pdf, below, above = naive.two_poles(x, left, right, norm, poles)
        assert law.pdf(x) == pytest.approx(pdf, rel=1e-14, abs=0)
        assert law.cdf(x) == pytest.approx(below + float(at_low), rel=3e-14, abs=0)
        assert law.sf(x) == pytest.approx(above + float(at_high), rel=3e-14, abs=0)


@pytest.mark.parametrize("entry", entries("jacobi_"), ids=lambda e: e["id"])
def test_reference_jacobi(entry):
    p, kind = entry["params"], entry["id"].split("_")[4]
    law = Jacobi(p["p"], p["n1"], p["n2"])
    if kind in ("lower", "upper"):
        assert law.support()[kind == "upper"] == pytest.approx(number(entry), rel=1e-15, abs=0)
    else:
        assert getattr(law, kind)(float(p["x"])) == pytest.approx(number(entry), rel=1e-14, abs=0)


@pytest.mark.parametrize("entry", entries("semicircle_"), ids=lambda e: e["id"])
def test_reference_semicircle(entry):
    x, kind = float(entry["params"]["x"]), entry["id"].split("_")[1]
    law = Semicircle(entry["params"]["radius"])
    rounding = 2.3e-16 * abs(x) * 1.5 / (2 - abs(x))  # the entry's x is the decimal shown
    assert getattr(law, kind)(x) == pytest.approx(number(entry), rel=1e-14 + rounding, abs=0)


@pytest.mark.parametrize("law", [v for v in LAWS if v.support()[1] != 1.0], ids=repr)
def test_moments_and_transform_are_integrals(law):
    lo, hi = law.support()
    assert law.moment(1) == pytest.approx(law.mean(), rel=1e-12, abs=1e-15)
    node, gauss = np.polynomial.legendre.leggauss(24)
    inner = np.logspace(-9, 0, 40) * np.pi / 2  # panels graded towards both edges
    cuts = np.unique(np.concatenate([[0.0, np.pi], inner, np.pi - inner]))
    angle = (0.5 * (cuts[1:] + cuts[:-1])[:, None] + 0.5 * np.diff(cuts)[:, None] * node).ravel()
    weights = (0.5 * np.diff(cuts)[:, None] * gauss).ravel()
    x = lo + (hi - lo) * np.sin(angle / 2) ** 2
    keep = (x > lo) & (x < hi)
    mass = (law.pdf(x) * weights * 0.5 * (hi - lo) * np.sin(angle))[keep]
    x = x[keep]
    atoms = law.atoms()
    for order in range(5):
        value = (mass * x**order).sum() + sum(m * at**order for at, m in atoms)
        assert law.moment(order) == pytest.approx(value, rel=2e-8, abs=1e-10 * hi**order)
    for z in (-1.5 * hi, 2 * hi, 0.4 * hi + 1j * hi, 0.5 * hi - 0.3j * hi):
        value = (mass / (x - z)).sum() + sum(m / (at - z) for at, m in atoms)
        assert law.stieltjes(z) == pytest.approx(value, rel=2e-8)
    inner = lo + (hi - lo) * np.array([0.1, 0.4, 0.8])
    np.testing.assert_allclose(law.stieltjes(inner + 0j).imag, np.pi * law.pdf(inner), rtol=1e-13)
    assert np.isnan(law.stieltjes(inner)).all()


@pytest.mark.parametrize("law", LAWS, ids=repr)
@pytest.mark.parametrize("q", [1e-12, 1e-4, 0.2, 0.5, 0.8, 1 - 1e-6])
def test_quantiles_invert(law, q):
    atoms = dict(law.atoms())
    for quantile, tail in ((law.ppf, law.cdf), (law.isf, law.sf)):
        x = quantile(q)
        if x in atoms:
            continue
        near = sorted(tail(np.nextafter(x, [-math.inf, math.inf])))
        assert near[0] * (1 - 1e-13) - 1e-16 <= q <= near[1] * (1 + 1e-13) + 1e-16


def test_atoms_and_ends():
    law = Jacobi(1, 0.7, 0.6)
    assert law.atoms() == ((0.0, pytest.approx(0.3)), (1.0, pytest.approx(0.4)))
    assert (law.ppf(0.2), law.ppf(0.9), law.isf(0.3), law.isf(0.95)) == (0.0, 1.0, 1.0, 0.0)
    assert (law.cdf(-0.1), law.cdf(0.0), law.cdf(0.9999), law.cdf(1.0)) == pytest.approx(
        (0.0, 0.3, 0.6, 1.0)
    )
    assert Wachter(4.0, 0.5).atoms() == ((0.0, 0.75),)
    assert Jacobi(1, 1, 1).pdf(0.0) == Jacobi(1, 1, 1).pdf(1.0) == math.inf
    assert Wachter(1.0, 0.5).pdf(0.0) == math.inf


def test_limits_and_relations():
    x = np.array([0.4, 1.0, 2.1])
    np.testing.assert_allclose(Wachter(0.5, 1e-12).cdf(x), MarchenkoPastur(0.5).cdf(x), rtol=1e-10)
    law, beta = Wachter(0.5, 0.2), Jacobi(1, 2, 5)
    y = 0.4 * x  # n1/n2 = 2/5
    np.testing.assert_allclose(law.cdf(x), beta.cdf(y / (1 + y)), rtol=1e-13)
    mirrored = Jacobi(1, 5, 2)
    np.testing.assert_allclose(beta.cdf([0.1, 0.3]), mirrored.sf([0.9, 0.7]), rtol=1e-13)
    assert Jacobi(10, 20, 50).cdf(0.3) == beta.cdf(0.3)


@given(st.floats(-6, 6), st.floats(0.001, 0.999), st.floats(0.0, 1.0))
def test_wachter_methods_agree(log_ratio, bottom, q):
    law = Wachter(10.0**log_ratio, bottom)
    x = law.ppf(q)
    assert law.cdf(x) + law.sf(x) == pytest.approx(1.0, abs=1e-14)
    atom = sum(m for _, m in law.atoms())
    left, right = law.support()
    assume(q > atom and left < x < right)
    near = law.cdf(np.nextafter(x, [-1.0, math.inf]))
    assert near[0] * (1 - 1e-12) <= q <= near[1] * (1 + 1e-12)
    assert law.stieltjes(complex(x, 0.0)).imag / math.pi == pytest.approx(law.pdf(x), rel=1e-12)


def test_sampled_f_matrices():
    law = Wachter(0.5, 0.25)
    rng = np.random.default_rng(2)
    sizes, errors = [40, 80, 160], []
    for d in sizes:
        gaps = []
        for _ in range(6):
            a, b = rng.standard_normal((d, 2 * d)), rng.standard_normal((d, 4 * d))
            root = np.linalg.cholesky(b @ b.T / (4 * d))
            half = np.linalg.solve(root, a)
            values = np.linalg.eigvalsh(half @ half.T / (2 * d))
            gaps.append(np.abs(law.cdf(values) - (np.arange(d) + 0.5) / d).mean())
        errors.append(np.mean(gaps))
    assert -1.4 < np.polyfit(np.log(sizes), np.log(errors), 1)[0] < -0.7


@pytest.mark.parametrize(
    ("build", "arguments", "error", "message"),
    [
        (Semicircle, (0.0,), ValueError, "radius must lie in"),
        (Semicircle, ([2.0],), TypeError, "radius must be a real number"),
        (Jacobi, (0, 1, 1), ValueError, "p must be > 0"),
        (Jacobi, (2, 1, 1), ValueError, "n1 [+] n2 must exceed p=2.0"),
        (Jacobi, (1, math.nan, 1), ValueError, "n1 must be > 0 and finite"),
        (Wachter, (0.0, 0.5), ValueError, "numerator_ratio must lie in"),
        (Wachter, (0.5, 1.0), ValueError, r"denominator_ratio must lie in \[1e-150, 1\), got 1.0"),
    ],
)
def test_bad_parameters(build, arguments, error, message):
    with pytest.raises(error, match=message):
        build(*arguments)


@pytest.mark.parametrize("law", LAWS[:4] + LAWS[-2:], ids=repr)
def test_nan_infinities_and_shapes(law):
    for method in ("pdf", "logpdf", "cdf", "logcdf", "sf", "logsf", "ppf", "isf", "stieltjes"):
        assert math.isnan(getattr(law, method)(math.nan))
    assert (law.cdf(-math.inf), law.cdf(math.inf)) == (0.0, 1.0)
    assert (law.sf(-math.inf), law.sf(math.inf)) == (1.0, 0.0)
    assert (law.pdf(-math.inf), law.pdf(math.inf)) == (0.0, 0.0)
    assert law.cdf(np.zeros((2, 0))).shape == (2, 0) and type(law.cdf(1)) is float
    assert law.rvs((2, 3), rng=0).shape == (2, 3)


@given(st.floats(-4, 4), st.floats(-4, 4), st.floats(0.001, 0.999))
def test_jacobi_methods_agree(log_n1, log_n2, q):
    n1, n2 = 10.0**log_n1, 10.0**log_n2
    assume(n1 + n2 > 1.0 + 1e-9)
    law = Jacobi(1.0, n1, n2)
    x = law.ppf(q)
    assert law.cdf(x) + law.sf(x) == pytest.approx(1.0, abs=1e-14)
    left, right = law.support()
    assume(x not in dict(law.atoms()) and left < x < right)
    near = law.cdf(np.nextafter(x, [-1.0, math.inf]))
    assert near[0] * (1 - 1e-12) - 1e-16 <= q <= near[1] * (1 + 1e-12) + 1e-16
    assert law.stieltjes(complex(x, 0.0)).imag / math.pi == pytest.approx(law.pdf(x), rel=1e-12)


@pytest.mark.parametrize("kind", ["wigner", "beta"])
def test_sampled_spectra(kind):
    law = Semicircle() if kind == "wigner" else Jacobi(1, 2, 3)
    rng = np.random.default_rng(6)
    sizes, errors = [50, 100, 200], []
    for d in sizes:
        gaps = []
        for _ in range(6):
            if kind == "wigner":
                a = rng.standard_normal((d, d))
                values = np.linalg.eigvalsh((a + a.T) / math.sqrt(2 * d))
            else:
                a, b = rng.standard_normal((d, 2 * d)), rng.standard_normal((d, 3 * d))
                root = np.linalg.cholesky(a @ a.T + b @ b.T)
                half = np.linalg.solve(root, a)
                values = np.linalg.eigvalsh(half @ half.T)
            gaps.append(np.abs(law.cdf(values) - (np.arange(d) + 0.5) / d).mean())
        errors.append(np.mean(gaps))
    assert -1.4 < np.polyfit(np.log(sizes), np.log(errors), 1)[0] < -0.7


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 4.0, 8.0])
@pytest.mark.parametrize("n1", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("n2", [0.4, 2.0, 5.0])
def test_atoms_and_variance_of_jacobi(p, n1, n2):
    if n1 + n2 <= p:
        return
    law = Jacobi(p, n1, n2)
    expected = [(0.0, 1.0 - n1 / p), (1.0, 1.0 - n2 / p)]
    found = dict(law.atoms())
    for place, mass in expected:
        assert found.get(place, 0.0) == pytest.approx(max(mass, 0.0), abs=1e-15)
    n = n1 + n2
    assert law.mean() == pytest.approx(n1 / n, rel=1e-13)
    assert law.var() == pytest.approx(p * n1 * n2 / n**3, rel=1e-12)
