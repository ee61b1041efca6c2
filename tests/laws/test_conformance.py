"""What every law must satisfy: each way of computing a thing agrees with every other.

The laws are those of ``rmtstab.laws.__all__``, at the parameters of the examples in their
docstrings: a new law is tested here without a line written.
"""

import ast
import dataclasses
import doctest
import inspect
import math
import pickle
from functools import lru_cache

import numpy as np
import pytest
from scipy import integrate, stats

from rmtstab import laws


def classes():
    """Return the concrete laws that the package lists."""
    listed = (getattr(laws, name) for name in laws.__all__)
    return [
        c
        for c in listed
        if inspect.isclass(c) and issubclass(c, laws.Law) and not inspect.isabstract(c)
    ]


def examples(cls):
    """Build every instance that the examples of a docstring build."""
    found = []
    names = {name: getattr(laws, name) for name in laws.__all__}
    for example in doctest.DocTestParser().get_examples(inspect.getdoc(cls)):
        for node in ast.walk(ast.parse(example.source)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == cls.__name__:
                law = eval(compile(ast.Expression(node), "example", "eval"), dict(names))
                if law not in found:
                    found.append(law)
    return found


LAWS = [law for cls in classes() for law in examples(cls)]
SHIFTED = [
    dataclasses.replace(law, loc=law.loc + 0.75)
    for law in LAWS
    if any(f.name == "loc" and f.init for f in dataclasses.fields(law))
]
every_law = pytest.mark.parametrize("law", LAWS + SHIFTED, ids=repr)


@lru_cache
def quantiles(law):
    """Return points spread over the continuous part and through both tails."""
    q = np.concatenate([[1e-9, 1e-5, 1e-3], np.linspace(0.02, 0.98, 25)])
    x = np.unique(np.concatenate([law.ppf(q), law.isf(q[:3])]))
    inside = np.zeros(x.shape, dtype=bool)
    for left, right in law.edges():
        inside |= (x > left) & (x < right)
    return x[inside]


def test_every_law_has_an_example():
    assert len(classes()) >= 8
    for cls in classes():
        assert examples(cls), f"{cls.__name__} builds nothing in its docstring's example"


@every_law
def test_tails_add_up_and_logarithms_agree(law):
    x = quantiles(law)
    np.testing.assert_allclose(law.cdf(x) + law.sf(x), 1.0, rtol=0, atol=3e-14)
    for name in ("pdf", "cdf", "sf"):
        value = getattr(law, name)(x)
        np.testing.assert_allclose(
            getattr(law, "log" + name)(x), np.log(value), rtol=1e-10, atol=1e-13
        )
    assert (np.diff(law.cdf(x)) >= 0).all() and (np.diff(law.sf(x)) <= 0).all()


@every_law
def test_quantiles_invert(law):
    x = quantiles(law)
    density = law.pdf(x)
    for tail, quantile in ((law.cdf, law.ppf), (law.sf, law.isf)):
        q = tail(x)
        slack = 4e-16 * (np.abs(x) + abs(law.loc) + 1.0 / density) + 1e-14 * q / density
        keep = (slack < 1e-6) & (q > 0) & (q < 1)
        assert keep.any()
        np.testing.assert_array_less(np.abs(quantile(q) - x)[keep], (1e3 * slack)[keep])
    assert law.median() == law.ppf(0.5)
    low, high = law.interval(0.8)
    assert (low, high) == (law.ppf(0.1), law.isf(0.1)) or low == pytest.approx(law.ppf(0.1))
    assert law.cdf(low) >= 0.1 - 1e-12 and law.sf(high) <= 0.1 + 1e-12


@every_law
def test_density_is_the_slope_of_the_distribution_function(law):
    x = quantiles(law)
    ends = law.edges().ravel()
    ends = ends[np.isfinite(ends)]
    room = np.min(np.abs(x[:, None] - ends), axis=1) if ends.size else np.ones(x.size)
    h = 1e-3 * np.minimum(room, 1.0 + 0.0 * x)
    keep = h > 1e-6 * np.abs(x)
    x, h = x[keep], h[keep]
    slope = (8 * (law.cdf(x + h) - law.cdf(x - h)) - law.cdf(x + 2 * h) + law.cdf(x - 2 * h)) / (
        12 * h
    )
    noise = law.accuracy / h
    np.testing.assert_array_less(np.abs(slope - law.pdf(x)), 1e-9 * law.pdf(x) + 10 * noise)


@every_law
def test_moments_are_integrals(law):
    points = law.edges()
    atoms = law.atoms()
    scale = max(abs(law.mean()), law.std())

    def integral(power):
        total = sum(m * (at / scale) ** power for at, m in atoms)
        for left, right in points:
            left = law.ppf(1e-15) if math.isinf(left) else left
            right = law.isf(1e-15) if math.isinf(right) else right
            # x = left + width sin²(t/2): no square root at the edges
            width = right - left

            def f(t, left=left, width=width):
                x = left + width * math.sin(t / 2) ** 2
                return law.pdf(x) * (x / scale) ** power * width * math.sin(t) / 2

            total += integrate.quad(f, 0, math.pi, epsabs=1e-12, epsrel=1e-11, limit=400)[0]
        return total

    assert integral(0) == pytest.approx(1.0, abs=2e-9)
    for order in (1, 2, 3):
        assert law.moment(order) / scale**order == pytest.approx(
            integral(order), rel=1e-7, abs=1e-7
        )
    assert law.mean() == pytest.approx(law.moment(1), rel=1e-12, abs=1e-14 * scale)
    assert law.var() == pytest.approx(
        law.moment(2) - law.mean() ** 2, rel=1e-9, abs=max(1e-12, 10 * law.accuracy) * scale**2
    )
    assert law.std() == math.sqrt(law.var())
    assert law.expect() == pytest.approx(law.mean(), rel=1e-10, abs=1e-10 * scale)
    assert law.expect(lambda x: 1.0) == pytest.approx(1.0, rel=1e-12)
    mean, variance, skewness, _ = law.stats("mvsk")
    assert (mean, variance) == (law.mean(), law.var())
    third = law.moment(3) - 3 * mean * law.moment(2) + 2 * mean**3
    assert skewness == pytest.approx(
        third / law.std() ** 3, rel=1e-7, abs=1e-7 * scale**3 / law.std() ** 3
    )


@pytest.mark.parametrize("infinity", [np.float32(np.inf), np.array(np.inf)])
def test_infinities_of_any_kind_are_no_bounds(infinity):
    law = LAWS[0]
    assert law.expect(lambda x: 1.0, lb=-infinity, ub=infinity) == pytest.approx(1.0, rel=1e-12)


@every_law
def test_expectations_on_a_range(law):
    middle = float(quantiles(law)[quantiles(law).size // 2])
    below = law.expect(lambda x: 1.0, ub=middle)
    assert below == pytest.approx(law.cdf(middle), rel=1e-11)
    assert law.expect(lambda x: 1.0, lb=middle) == pytest.approx(law.sf(middle), rel=1e-11)
    assert law.expect(lambda x: 1.0, ub=middle, conditional=True) == pytest.approx(1.0)
    entropy = law.entropy()
    if law.atoms():
        assert entropy == -math.inf
    else:
        draws = law.rvs(20_000, random_state=3)
        terms = -law.logpdf(draws)
        assert entropy == pytest.approx(terms.mean(), abs=5 * terms.std() / math.sqrt(20_000))


@every_law
def test_transform(law):
    if not isinstance(law, laws.SpectralLaw):
        assert not hasattr(law, "stieltjes")
        return
    x = quantiles(law)
    above, below = law.stieltjes(x + 0j), law.stieltjes(x + 0j).conj()
    np.testing.assert_allclose(above.imag / math.pi, law.pdf(x), rtol=1e-9)
    np.testing.assert_array_equal(law.stieltjes(np.conj(x + 0j)), below)
    left, right = law.support()
    width = right - left
    for z in (right + width, left - width, complex(law.mean(), width), complex(left, -0.3 * width)):
        exact = law.expect(lambda v, z=z: (1 / (v - z)).real)
        assert law.stieltjes(z).real == pytest.approx(exact, rel=1e-9, abs=1e-12 / width)
    for far in (1e12, -1e30, 1e30j, 1e200 - 1e200j):  # -1/z (1 + mean/z) there
        z = far * max(width, abs(left), abs(right))
        assert -law.stieltjes(z) * z == pytest.approx(1.0 + law.mean() / z, rel=1e-14)
    inner = x[np.isclose(x, law.median(), atol=width)]
    assert np.isnan(law.stieltjes(inner)).all()
    for infinity in (math.inf, -math.inf, complex(0, math.inf), complex(0, -math.inf)):
        assert law.stieltjes(infinity) == 0


@every_law
def test_samples_of_every_source_follow_the_law(law):
    draws = law.rvs(5000, random_state=11)
    if not law.atoms():
        assert stats.kstest(draws, law.cdf).pvalue > 1e-4
    else:
        for at, mass in law.atoms():
            spread = 5 * math.sqrt(mass * (1 - mass) / draws.size)
            assert (draws == at).mean() == pytest.approx(mass, abs=spread + 1e-12)
    np.testing.assert_array_equal(draws, law.rvs(5000, np.random.default_rng(11)))
    np.testing.assert_array_equal(draws, law.rvs(5000, rng=np.random.SeedSequence(11)))
    np.testing.assert_array_equal(draws, law.rvs(5000, np.random.PCG64(11)))
    legacy = np.random.RandomState(11)
    first, second = law.rvs(4, legacy), law.rvs(4, legacy)
    assert (first != second).any() or law.atoms()
    np.testing.assert_array_equal(first, law.ppf(np.random.RandomState(11).random_sample(4)))
    assert law.rvs(random_state=0) == law.rvs(1, 0)[0] and law.rvs((2, 3), 0).shape == (2, 3)
    with pytest.raises(TypeError, match="random_state"):
        law.rvs(3, "seed")
    with pytest.raises(TypeError, match="give one"):
        law.rvs(3, 1, rng=1)


@every_law
def test_a_law_is_a_value(law):
    names = {name: getattr(laws, name) for name in laws.__all__}
    twin = eval(repr(law), dict(names))
    assert twin == law and hash(twin) == hash(law) and twin.cdf(0.5) == law.cdf(0.5)
    assert dataclasses.replace(law) == law and pickle.loads(pickle.dumps(law)) == law
    with pytest.raises(dataclasses.FrozenInstanceError):
        law.loc = 1.0


@every_law
def test_shapes_types_and_bad_arguments(law):
    methods = [law.pdf, law.logpdf, law.cdf, law.logcdf, law.sf, law.logsf, law.ppf, law.isf]
    for method in methods:
        assert type(method(0.5)) is float and math.isnan(method(math.nan))
        assert method([]).shape == (0,) and method(np.full((2, 3), 0.5)).shape == (2, 3)
        assert method(np.float32(0.5)) == method(0.5) == method(np.array(0.5))
        with pytest.raises(ValueError, match="must have no masked entries"):
            method(np.ma.array([0.5, 0.5], mask=[True, False]))
        with pytest.raises(TypeError, match="must hold real numbers"):
            method("0.5")
    assert (law.cdf(-math.inf), law.cdf(math.inf), law.sf(10**400)) == (0.0, 1.0, 0.0)
    for bad in (-0.1, 1.1):
        with pytest.raises(ValueError, match=r"q must lie in \[0, 1\]"):
            law.ppf(bad)
    with pytest.raises(ValueError, match="order must be >= 0"):
        law.moment(-1)
    with pytest.raises(ValueError, match="'mvsk'"):
        law.stats("x")


@pytest.mark.parametrize("law", SHIFTED, ids=repr)
def test_loc_shifts_everything(law):
    base = dataclasses.replace(law, loc=0.0)
    x = quantiles(base)
    np.testing.assert_allclose(law.edges(), base.edges() + law.loc)
    np.testing.assert_allclose(law.pdf(x + law.loc), base.pdf(x), rtol=1e-6)
    np.testing.assert_allclose(law.ppf([0.2, 0.7]), base.ppf([0.2, 0.7]) + law.loc)
    assert law.mean() == pytest.approx(base.mean() + law.loc) and law.var() == pytest.approx(
        base.var(), rel=1e-12
    )
    if isinstance(law, laws.SpectralLaw):
        assert law.stieltjes(1 + 2j + law.loc) == pytest.approx(base.stieltjes(1 + 2j))


@every_law
def test_scale_stretches_everything(law):
    if not any(f.name in ("scale", "radius") for f in dataclasses.fields(law)):
        return
    name = "scale" if hasattr(law, "scale") else "radius"
    # the variance of a Wigner matrix's entries stretches its spectrum by the root
    factor = 4.0 if getattr(law, "kind", "") == "wigner" else 2.0
    wide = dataclasses.replace(law, **{name: factor * getattr(law, name)})
    x = quantiles(law) - law.loc
    np.testing.assert_allclose(wide.cdf(law.loc + 2 * x), law.cdf(law.loc + x), rtol=1e-12)
    np.testing.assert_allclose(wide.pdf(law.loc + 2 * x), law.pdf(law.loc + x) / 2, rtol=1e-7)
    assert wide.var() == pytest.approx(4 * law.var())
