"""Tracy–Widom laws: determinants as an independent witness, both tails, scalings, bad input."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmtstab.laws import TracyWidom
from rmtstab.laws import _tracy_widom_tails as tails
from tests import naive
from tests.laws.reference import entries, number

LEFT = {1: -25.4, 2: -20.2, 4: -18.2}  # where the cdf is about 1e-300, and the sf
RIGHT = {1: 102.0, 2: 64.0, 4: 45.0}
SCALED = [(1, None), (2, None), (4, None), (4, "stochastic_airy"), (4, "rmtstat")]


@pytest.mark.parametrize(
    "entry",
    [e for b in (1, 2, 4) for e in entries(f"tw{b}_", ("pdf", "cdf", "sf"))],
    ids=lambda e: e["id"],
)
def test_reference_functions(entry):
    law = TracyWidom(entry["params"]["beta"])
    s = float(entry["params"]["s"])
    method = entry["id"].split("_")[1]
    slope = abs(law.pdf(s) / getattr(law, "sf" if s > -2 else "cdf")(s))
    bound = max(4e-15, 2 * 2.3e-16 * abs(s) * slope)
    assert getattr(law, method)(s) == pytest.approx(number(entry), rel=bound, abs=0)


@pytest.mark.parametrize(
    "entry",
    [e for b in (1, 2, 4) for e in entries(f"tw{b}_", ("ppf", "isf"))],
    ids=lambda e: e["id"],
)
def test_reference_quantiles(entry):
    method = "isf" if entry["params"]["tail"] == "upper" else "ppf"
    value = getattr(TracyWidom(entry["params"]["beta"]), method)(float(entry["params"]["p"]))
    assert value == pytest.approx(number(entry), rel=2e-14, abs=0)


def test_reference_moments():
    _, _, skewness, kurtosis = TracyWidom(1).stats("mvsk")
    assert skewness == pytest.approx(0.29346452408652331050, rel=1e-13)
    assert kurtosis == pytest.approx(0.16524293845555974582, rel=1e-12)
    assert TracyWidom(2).stats("k") == pytest.approx(0.093448087660983140718, rel=1e-12)
    assert TracyWidom(4).var() == pytest.approx(0.51772372077267580835, rel=1e-14)
    assert TracyWidom(4, "stochastic_airy").var() == pytest.approx(
        0.41091758949171797239, rel=1e-14
    )


@pytest.mark.parametrize("s", [-7.3, -2.5, 0.7, 5.2])
def test_against_the_airy_determinant(s):
    law = TracyWidom(2)
    pdf, cdf, sf = naive.tracy_widom(s, 2, nodes=50)
    assert law.pdf(s) == pytest.approx(pdf, rel=1e-14, abs=0)
    assert law.cdf(s) == pytest.approx(cdf, rel=1e-14, abs=0)
    assert law.sf(s) == pytest.approx(sf, rel=1e-14, abs=0)


@pytest.mark.parametrize("index", [1, 2, 4])
def test_against_determinants_in_double_precision(index):
    law = TracyWidom(index, "rmtstat")
    s = np.linspace(-8.0, 4.0, 37)
    expected = [naive.tracy_widom_cdf(v, index) for v in s]
    np.testing.assert_allclose(law.cdf(s), expected, rtol=0, atol=5e-14)


@pytest.mark.slow
@pytest.mark.parametrize("index", [1, 4])
@pytest.mark.parametrize("s", [-5.4, -3.1, 1.3, 6.2])
def test_against_determinants(index, s):
    law = TracyWidom(index, "rmtstat")
    pdf, cdf, sf = naive.tracy_widom(s, index)
    assert law.pdf(s) == pytest.approx(pdf, rel=1e-13, abs=0)
    assert law.cdf(s) == pytest.approx(cdf, rel=1e-13, abs=0)
    assert law.sf(s) == pytest.approx(sf, rel=1e-13, abs=0)


@pytest.mark.parametrize(("index", "scaling"), SCALED)
def test_table_continues_into_the_expansions(index, scaling):
    law = TracyWidom(index, scaling)
    factor = law._factor
    t = np.array([-21.9, -19.0])
    np.testing.assert_allclose(law.logcdf(t / factor), tails.log_cdf(t, index), rtol=5e-14)
    np.testing.assert_allclose(
        law.logpdf(t / factor), tails.log_left_density(t, index) + math.log(factor), rtol=5e-14
    )
    t = np.array([52.0, 60.0, 68.9])
    np.testing.assert_allclose(law.logsf(t / factor), tails.log_sf(t, index), rtol=5e-14)
    np.testing.assert_allclose(
        law.logpdf(t / factor), tails.log_right_density(t, index) + math.log(factor), rtol=5e-14
    )


@pytest.mark.parametrize("index", [1, 2, 4])
def test_logarithms_never_underflow(index):
    law = TracyWidom(index)
    assert law.logcdf(-1e3) < -1e7 and law.logsf(1e3) < -1e4
    assert np.isfinite([law.logcdf(-1e100), law.logsf(1e100), law.logpdf(-1e100)]).all()
    assert law.cdf(-1e3) == 0.0 and law.sf(1e3) == 0.0
    grid = np.concatenate([-np.logspace(6, 1, 400), np.linspace(-9.9, 10, 400)])
    assert (np.diff(law.logcdf(grid)) > 0).all()
    grid = np.concatenate([np.linspace(-5, 10, 400), np.logspace(1.02, 6, 400)])
    assert (np.diff(law.logsf(grid)) < 0).all()


@pytest.mark.parametrize(("index", "scaling"), SCALED)
def test_density_is_the_derivative(index, scaling):
    law = TracyWidom(index, scaling)
    h = 1e-3
    for s in np.linspace(LEFT[index] * 0.5, RIGHT[index] * 0.5, 41):
        steps = s + h * np.array([-3, -2, -1, 1, 2, 3])
        weights = np.array([-1, 9, -45, 45, -9, 1]) / 60 / h
        tail, sign = (law.logsf, -1) if s > -1.5 else (law.logcdf, 1)
        slope = sign * (weights @ tail(steps))
        assert law.pdf(s) == pytest.approx(slope * math.exp(tail(s)), rel=1e-9)


@given(st.sampled_from(SCALED), st.floats(-300, 0), st.booleans())
def test_quantiles_invert(kind, exponent, upper):
    law, q = TracyWidom(*kind), 10.0**exponent
    x, tail = (law.isf(q), law.sf) if upper else (law.ppf(q), law.cdf)
    if q == 1.0:
        assert x == (-math.inf if upper else math.inf)
    else:
        # two units in the last place of the quantile, times the condition number
        bound = 1e-13 + 2 * 2.3e-16 * abs(x) * law.pdf(x) / q
        assert tail(x) == pytest.approx(q, rel=bound, abs=0)


@given(st.sampled_from(SCALED), st.floats(-40, 110))
def test_methods_agree(kind, s):
    law = TracyWidom(*kind)
    assert law.cdf(s) + law.sf(s) == pytest.approx(1.0, abs=3e-16)
    for value, logarithm in ((law.cdf, law.logcdf), (law.sf, law.logsf), (law.pdf, law.logpdf)):
        if value(s) > 1e-300:
            assert math.exp(logarithm(s)) == pytest.approx(value(s), rel=3e-13)
        else:
            assert logarithm(s) < -690


def test_scalings():
    assert TracyWidom(4).mean() == pytest.approx(-2.30688489, abs=5e-9)
    assert TracyWidom(4, scaling="stochastic_airy").mean() == pytest.approx(-2.05520, abs=5e-6)
    assert TracyWidom(4, scaling="rmtstat").mean() == pytest.approx(-3.26243, abs=5e-6)
    for index in (1, 2):
        means = {TracyWidom(index, s).mean() for s in (None, "stochastic_airy", "rmtstat")}
        assert len(means) == 1


def test_limit_of_the_largest_eigenvalue():
    # index 2, n^{2/3}(λ₁ - 2): the mean approaches that of the law, within Monte Carlo error
    rng = np.random.default_rng(11)
    n, replicas = 60, 400
    values = np.empty(replicas)
    for k in range(replicas):
        a = rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n))
        values[k] = np.linalg.eigvalsh((a + a.conj().T) / 2 / math.sqrt(n))[-1]
    scaled = n ** (2 / 3) * (values - 2.0)
    law = TracyWidom(2)
    bias = 3.0 * n ** (-2 / 3)
    assert abs(scaled.mean() - law.mean()) < 5 * law.std() / math.sqrt(replicas) + bias
    assert abs(scaled.std() / law.std() - 1) < 5 / math.sqrt(2 * replicas) + bias


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0,), ValueError, r"dyson_index must lie in \[0.1, 100\], got 0"),
        ((-1,), ValueError, "dyson_index must lie in"),
        ((math.nan,), ValueError, "dyson_index"),
        (("2",), TypeError, "dyson_index must be a real number"),
        ((4, "mathematica"), ValueError, "scaling must be one of None, 'tracy_widom'"),
    ],
)
def test_bad_parameters(arguments, error, message):
    with pytest.raises(error, match=message):
        TracyWidom(*arguments)


def test_nan_infinities_and_ends():
    for index in (1, 2, 4):
        law = TracyWidom(index)
        for method in ("pdf", "logpdf", "cdf", "logcdf", "sf", "logsf", "ppf", "isf"):
            assert math.isnan(getattr(law, method)(math.nan))
        assert (law.cdf(-math.inf), law.cdf(math.inf)) == (0.0, 1.0)
        assert (law.logcdf(-math.inf), law.logsf(math.inf)) == (-math.inf, -math.inf)
        assert (law.logpdf(-math.inf), law.logpdf(math.inf)) == (-math.inf, -math.inf)
        assert (law.ppf(0), law.ppf(1)) == (-math.inf, math.inf)
        assert (law.isf(0), law.isf(1)) == (math.inf, -math.inf)
        assert math.isfinite(law.ppf(5e-324)) and math.isfinite(law.isf(5e-324))
        assert law.support() == (-math.inf, math.inf) and law.atoms() == ()
        assert law.rvs((2, 2), rng=3).shape == (2, 2)
        assert type(law.cdf(0)) is float
