"""Marchenko–Pastur law: reference values, routes that must agree, limits, bad input."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmtstab.laws import MarchenkoPastur
from tests import naive
from tests.laws.reference import entries, number

RATIOS = [1e-8, 1e-4, 0.07, 0.2, 0.27, 0.3, 0.5, 0.9, 0.9999, 1.0, 1.0001, 2.0, 50.0, 1e4, 1e8]


def tolerance(law, x, rtol=1e-12):
    """Return 1e-12, or 8 units in the last place of x times a bound on the condition number."""
    left, right = law.support()
    distance = min(abs(x - left), abs(right - x))
    condition = 1.5 * abs(x) / distance if distance else math.inf
    return max(rtol, 8 * 2.3e-16 * condition)


@pytest.mark.parametrize("entry", entries("mp_", ("pdf", "cdf", "sf")), ids=lambda e: e["id"])
def test_reference_functions(entry):
    law = MarchenkoPastur(float(entry["params"]["ratio"]))
    x = float(entry["params"]["x"])
    method = entry["id"].split("_")[1]
    assert getattr(law, method)(x) == pytest.approx(
        number(entry), rel=tolerance(law, x, 3e-14), abs=0
    )


@pytest.mark.parametrize("entry", entries("mp_ppf"), ids=lambda e: e["id"])
def test_reference_quantiles(entry):
    law = MarchenkoPastur(float(entry["params"]["ratio"]))
    assert law.ppf(float(entry["params"]["p"])) == pytest.approx(number(entry), rel=1e-14, abs=0)


@pytest.mark.parametrize("entry", entries("mp_stieltjes"), ids=lambda e: e["id"])
def test_reference_stieltjes(entry):
    law = MarchenkoPastur(float(entry["params"]["ratio"]))
    value = law.stieltjes(complex(*entry["params"]["z"]))
    part = value.real if "_re_" in entry["id"] else value.imag
    assert part == pytest.approx(number(entry), rel=1e-14, abs=0)


@pytest.mark.parametrize("entry", entries("mp_moment"), ids=lambda e: e["id"])
def test_reference_moments(entry):
    law = MarchenkoPastur(float(entry["params"]["ratio"]))
    assert law.moment(entry["params"]["k"]) == pytest.approx(number(entry), rel=1e-15, abs=0)


@pytest.mark.parametrize("ratio", RATIOS)
def test_against_thirty_digits(ratio):
    law = MarchenkoPastur(ratio)
    left, right = law.support()
    for part in (1e-12, 1e-6, 1e-3, 0.05, 0.3, 0.5, 0.7, 0.97, 1 - 1e-3, 1 - 1e-6):
        x = left + part * (right - left)
        pdf, cdf, sf = naive.marchenko_pastur(x, ratio)
        bound = 1e-14 if left < x < right else 0.0
        assert law.pdf(x) == pytest.approx(pdf, rel=bound, abs=0)
        assert law.cdf(x) == pytest.approx(cdf, rel=bound, abs=0)
        assert law.sf(x) == pytest.approx(sf, rel=bound, abs=0)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("q", [1e-150, 1e-9, 0.01, 0.3, 0.6, 0.99, 1 - 1e-9])
def test_quantiles_invert(ratio, q):
    law = MarchenkoPastur(ratio, scale=3.0)
    atom = sum(mass for _, mass in law.atoms())
    left, right = law.support()
    x = law.ppf(q)
    if q <= atom:
        assert x == 0.0
    else:
        assert left <= x <= right
        below, above = law.cdf(np.nextafter(x, [-1.0, 1e9]))
        assert below * (1 - 1e-13) <= q <= above * (1 + 1e-13)
    x = law.isf(q)
    if q >= 1 - atom:
        assert x == (left if atom == 0 else 0.0)
    else:
        above, below = law.sf(np.nextafter(x, [-1.0, 1e9]))
        assert below * (1 - 1e-13) <= q <= above * (1 + 1e-13)


@pytest.mark.parametrize("ratio", RATIOS)
def test_small_quantiles_are_those_of_the_edge(ratio):
    law = MarchenkoPastur(ratio)
    left, right = law.support()
    curvature = law.pdf(right - 1e-9 * (right - left)) / math.sqrt(1e-9 * (right - left))
    q = 1e-14 / max(1.0, ratio)
    assert right - law.isf(q) == pytest.approx(
        (1.5 * q / curvature) ** (2 / 3), rel=1e-6, abs=4e-16 * right
    )


def test_hard_edge():
    law = MarchenkoPastur(1.0)
    assert law.pdf(0.0) == math.inf
    assert law.cdf(0.0) == 0.0
    assert law.support() == (0.0, 4.0)
    tiny = np.array([1e-300, 1e-100, 1e-12])
    np.testing.assert_allclose(law.pdf(tiny), 1 / (math.pi * np.sqrt(tiny)), rtol=1e-12)
    np.testing.assert_allclose(law.cdf(tiny), 2 * np.sqrt(tiny) / math.pi, rtol=1e-12)
    np.testing.assert_allclose(law.ppf(law.cdf(tiny)), tiny, rtol=1e-12)
    assert np.isfinite(law.rvs(1000, rng=0)).all()


@pytest.mark.parametrize("ratio", [0.2, 1.0, 3.0])
def test_transform_is_the_integral(ratio):
    law = MarchenkoPastur(ratio, scale=2.0)
    left, right = law.support()
    angle, weight = np.polynomial.legendre.leggauss(300)
    angle = 0.5 * np.pi * (1 + angle)
    x = left + (right - left) * np.sin(0.5 * angle) ** 2
    mass = 0.5 * np.pi * weight * law.pdf(x) * 0.5 * (right - left) * np.sin(angle)
    atom = sum(m for _, m in law.atoms())
    assert mass.sum() + atom == pytest.approx(1.0, rel=1e-13)
    for z in (-3.0, 1.2 * right, 1 + 1j, 2 - 0.3j):
        expected = (mass / (x - z)).sum() - atom / z
        assert law.stieltjes(z) == pytest.approx(expected, rel=1e-12)
    for order in range(6):
        assert (mass * x**order).sum() + atom * (order == 0) == pytest.approx(
            law.moment(order), rel=1e-12
        )
    inner = np.linspace(left, right, 9)[1:-1]
    np.testing.assert_allclose(law.stieltjes(inner + 0j).imag, np.pi * law.pdf(inner), rtol=1e-12)
    assert np.isnan(law.stieltjes(inner)).all()


@given(
    st.floats(-8, 8).map(lambda e: 10.0**e),
    st.floats(-200, 200).map(lambda e: 10.0**e),
    st.floats(0, 1).map(lambda v: v if v > 1e-30 else 0.0),  # the witness has 80 digits
)
def test_methods_agree(ratio, scale, part):
    law = MarchenkoPastur(ratio, scale)
    left, right = law.support()
    x = left + part * (right - left)
    pdf, cdf, sf = naive.marchenko_pastur(x, ratio, scale)
    assert law.pdf(x) == pytest.approx(pdf, rel=3e-14, abs=0)
    assert law.cdf(x) == pytest.approx(cdf, rel=3e-14, abs=0)
    assert law.sf(x) == pytest.approx(sf, rel=3e-14, abs=0)
    if law.sf(x) > 0:
        assert law.logsf(x) == pytest.approx(math.log(law.sf(x)), rel=1e-12, abs=1e-15)
    if law.pdf(x) > 0:
        assert law.logpdf(x) == pytest.approx(math.log(law.pdf(x)), rel=1e-14)
    q = law.cdf(x)
    assert law.ppf(q) <= right


def test_sampled_spectra_converge():
    law = MarchenkoPastur(0.5)
    rng = np.random.default_rng(5)
    sizes, errors = [100, 200, 400], []
    for n in sizes:
        gaps = []
        for _ in range(4):
            matrix = rng.standard_normal((n // 2, n))
            values = np.linalg.eigvalsh(matrix @ matrix.T / n)
            ranks = (np.arange(values.size) + 0.5) / values.size
            gaps.append(np.abs(law.cdf(values) - ranks).mean())
        errors.append(np.mean(gaps))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert -1.3 < slope < -0.7


def test_shapes_and_types():
    law = MarchenkoPastur(0.5)
    assert type(law.pdf(1)) is float
    assert type(law.cdf(np.float32(1.0))) is float
    assert law.pdf(np.array([[1, 2]])).tolist() == law.pdf([[1.0, 2.0]]).tolist()
    assert law.pdf(np.array([1, 2], dtype=np.float32)).dtype == np.float64
    assert law.cdf([]).shape == (0,)
    assert law.cdf(np.zeros((0, 3))).shape == (0, 3)
    assert law.rvs((2, 3), rng=1).shape == (2, 3)
    assert type(law.rvs(rng=1)) is float
    assert law.rvs(5, rng=1).tolist() == law.rvs(5, rng=1).tolist()
    grid = np.arange(12.0).reshape(3, 4).T[::2]
    np.testing.assert_array_equal(law.cdf(grid), [[law.cdf(v) for v in row] for row in grid])


def test_nan_and_infinities():
    for ratio in (0.5, 1.0, 2.0):
        law = MarchenkoPastur(ratio)
        for method in ("pdf", "logpdf", "cdf", "logcdf", "sf", "logsf", "ppf", "isf"):
            assert math.isnan(getattr(law, method)(math.nan))
        assert (law.pdf(math.inf), law.pdf(-math.inf)) == (0.0, 0.0)
        assert (law.cdf(math.inf), law.cdf(-math.inf)) == (1.0, 0.0)
        assert (law.sf(math.inf), law.sf(-math.inf)) == (0.0, 1.0)
        assert (law.logcdf(-math.inf), law.logsf(math.inf)) == (-math.inf, -math.inf)
        assert math.isnan(law.stieltjes(math.nan))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"aspect_ratio": 0.0},
            ValueError,
            r"aspect_ratio must lie in \[1e-150, 1e\+150\], got 0.0",
        ),
        ({"aspect_ratio": -1}, ValueError, "aspect_ratio must lie in"),
        ({"aspect_ratio": math.inf}, ValueError, "aspect_ratio must lie in .*, got inf"),
        ({"aspect_ratio": math.nan}, ValueError, "aspect_ratio"),
        ({"aspect_ratio": [0.5, 1.0]}, TypeError, "aspect_ratio must be a real number"),
        ({"aspect_ratio": "1"}, TypeError, "aspect_ratio"),
        ({"aspect_ratio": 0.5, "scale": 0}, ValueError, "scale must lie in"),
    ],
)
def test_bad_parameters(arguments, error, message):
    with pytest.raises(error, match=message):
        MarchenkoPastur(**arguments)


def test_bad_arguments():
    law = MarchenkoPastur(0.5)
    with pytest.raises(ValueError, match=r"q must lie in \[0, 1\], got 1.5"):
        law.ppf([0.5, 1.5])
    with pytest.raises(ValueError, match=r"q must lie in \[0, 1\]"):
        law.isf(-1e-9)
    with pytest.raises(TypeError, match="x must hold real numbers"):
        law.pdf("a")
    with pytest.raises(ValueError, match="order must be >= 0"):
        law.moment(-1)


def test_is_frozen_and_hashable():
    law = MarchenkoPastur(0.5)
    with pytest.raises(AttributeError):
        law.aspect_ratio = 2.0
    assert hash(law) == hash(MarchenkoPastur(0.5)) and law == MarchenkoPastur(0.5)
    with pytest.raises(ValueError, match="read-only"):
        law._tables.low[0] = 0.0


NEAR_ONE = [0.8, 0.97, 0.99, 0.999, 1 - 1e-9, 1 - 2**-53, 1 + 2**-52, 1.001, 1.03]


@pytest.mark.parametrize("ratio", NEAR_ONE)
def test_panels_of_the_tails_by_a_hard_edge(ratio):
    """The nearer the ratio is to 1, the more octaves of panels: all of them, and their joints."""
    law = MarchenkoPastur(ratio)
    left, right = law.support()
    inner = (2.0 ** np.arange(-52.0, -2.0, 7.3)).tolist()
    for part in (1e-7, 3e-5, 1e-3, 0.02, 0.3, 0.4999, 0.5001, 0.9, *inner):
        x = left + part * (right - left)
        _, cdf, sf = naive.marchenko_pastur(x, ratio)
        assert law.cdf(x) == pytest.approx(cdf, rel=1e-14, abs=0)
        assert law.sf(x) == pytest.approx(sf, rel=1e-14, abs=0)
    x = np.linspace(left, right, 20_001)
    assert (np.diff(law.cdf(x)) > 0).all() and (np.diff(law.sf(x)) < 0).all()


def test_many_points_are_the_points_one_by_one():
    """Blocks of 512 have no edges: neither their sizes nor what lies beside a point matter."""
    law = MarchenkoPastur(1.5)
    x = np.random.default_rng(0).uniform(-0.5, 6.0, 1300)
    x[[0, 511, 512, 1299]] = [math.nan, 0.0, math.inf, -math.inf]
    for function in (law.cdf, law.sf):
        alone = [function(float(v)) for v in x]
        np.testing.assert_array_equal(function(x), alone)
        np.testing.assert_array_equal(function(x[:513]), alone[:513])
