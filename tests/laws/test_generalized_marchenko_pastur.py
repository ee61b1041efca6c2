"""Generalised Marchenko–Pastur: reference values, all roots as a witness, splits, bad input."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rmtstab.laws import GeneralizedMarchenkoPastur, MarchenkoPastur
from tests import naive
from tests.laws.reference import entries, number

LAWS = {}


def law_of(entry):
    p = entry["params"]
    key = (p["gamma"], tuple(p["t"]), tuple(p["w"]))
    if key not in LAWS:
        LAWS[key] = GeneralizedMarchenkoPastur(
            float(p["gamma"]), p["t"], [float(w) for w in p["w"]]
        )
    return LAWS[key]


def kind_of(entry):
    return entry["id"].split(f"_g{entry['params']['gamma']}_")[1].split("_")[0]


ENTRIES = entries("gmp_")


def select(*kinds):
    found = [e for e in ENTRIES if kind_of(e).rstrip("0123456789") in kinds]
    assert found
    return found


@pytest.mark.parametrize("entry", select("edge"), ids=lambda e: e["id"])
def test_reference_edges(entry):
    edge = law_of(entry).edges().ravel()[int(kind_of(entry)[4:])]
    assert edge == pytest.approx(number(entry), rel=1e-14, abs=0)


@pytest.mark.parametrize("entry", select("pdf", "cdf"), ids=lambda e: e["id"])
def test_reference_functions(entry):
    value = getattr(law_of(entry), kind_of(entry))(float(entry["params"]["x"]))
    assert value == pytest.approx(number(entry), rel=1e-13, abs=0)


@pytest.mark.parametrize("entry", select("stieltjes", "rem"), ids=lambda e: e["id"])
def test_reference_stieltjes(entry):
    p = entry["params"]
    z = complex(*p["z"]) if "z" in p else complex(float(p["x"]), 0.0)
    value = law_of(entry).stieltjes(z)
    part = value.imag if "_im_" in entry["id"] else value.real
    assert part == pytest.approx(number(entry), rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("entry", select("moment", "bulk", "atom", "tw"), ids=lambda e: e["id"])
def test_reference_numbers(entry):
    law, kind = law_of(entry), kind_of(entry)
    if kind.startswith("moment"):
        value = law.moment(entry["params"]["k"])
    elif kind.startswith("bulk"):
        value = law.masses()[int(kind[4:])]
    elif kind == "atom":
        value = sum(mass for _, mass in law.atoms())
    elif "sigma" in entry["id"]:
        value = law.edge_scale()
    else:
        value = law.support()[1]
    assert value == pytest.approx(number(entry), rel=1e-14, abs=0)


@pytest.mark.parametrize("ratio", [1e-8, 1e-4, 0.3, 0.99999999, 1.0, 1.0001, 3.0, 1e4, 1e8])
def test_one_atom_is_marchenko_pastur(ratio):
    law, plain = GeneralizedMarchenkoPastur(ratio, [2.0], [1.0]), MarchenkoPastur(ratio, 2.0)
    left, right = plain.support()
    np.testing.assert_array_equal(law.edges(), plain.edges())
    x = left + (right - left) * np.array([1e-13, 1e-9, 1e-5, 1e-3, 0.1, 0.4, 0.9, 0.999, 1 - 1e-10])
    np.testing.assert_allclose(law.pdf(x), plain.pdf(x), rtol=2e-15)
    np.testing.assert_allclose(law.cdf(x), plain.cdf(x), rtol=2e-11)
    np.testing.assert_allclose(law.sf(x), plain.sf(x), rtol=2e-11)
    q = np.array([0.0, 1e-12, 1e-5, 0.01, 0.3, 0.7, 0.99, 1 - 1e-9, 1.0])
    np.testing.assert_allclose(law.ppf(q), plain.ppf(q), rtol=1e-11)
    np.testing.assert_allclose(law.isf(q), plain.isf(q), rtol=1e-11)
    z = np.array([-1.0, 2 * right, left + 0.3 * (right - left) + 1j, left + 1e-3j, right - 1e-9j])
    np.testing.assert_allclose(law.stieltjes(z), plain.stieltjes(z), rtol=1e-12)


@pytest.mark.parametrize("ratio", [0.02, 0.4, 1.0, 5.0])
@pytest.mark.parametrize("weights", [(0.3, 0.7), (1e-6, 1 - 1e-6), (1 - 1e-6, 1e-6)])
def test_against_all_roots(ratio, weights):
    atoms = (1.0, 5.0)
    law = GeneralizedMarchenkoPastur(ratio, atoms, weights)
    total = math.fsum(weights)
    rates = [naive_exact(ratio, w, total) for w in weights]
    for left, right in law.edges():
        for part in (1e-8, 1e-3, 0.2, 0.5, 0.9, 1 - 1e-6):
            x = left + part * (right - left)
            if not left < x < right:
                continue
            expected = naive.free_poisson_density(x, rates, atoms, naive_exact(1, 1, ratio))
            slack = 4 * 2.3e-16 * x / min(x - left, right - x)
            assert law.pdf(x) == pytest.approx(expected, rel=1e-13 + slack, abs=0)


def naive_exact(a, b, c):
    import mpmath as mp

    with mp.workdps(40):
        return mp.mpf(a) * mp.mpf(b) / mp.mpf(c)


@pytest.mark.parametrize("ratio", [0.1, 2.0])
def test_cdf_is_the_integral(ratio):
    atoms, weights = (1.0, 2.0, 10.0), (0.25, 0.25, 0.5)
    law = GeneralizedMarchenkoPastur(ratio, atoms, weights)
    left, right = law.edges()[0]
    rates = [ratio * w for w in weights]
    for part in (1e-6, 0.3):
        x = left + part * (right - left)
        mass = naive.free_poisson_mass(left, x, rates, atoms, 1 / ratio)
        atom = sum(m for _, m in law.atoms())
        assert law.cdf(x) - atom == pytest.approx(mass, rel=1e-10, abs=2e-16 if atom else 0)


@pytest.mark.parametrize(("low", "high", "weight"), [(1, 1.1, 0.5), (1, 3, 1e-6), (0.1, 50, 0.99)])
def test_intervals_split_where_they_should(low, high, weight):
    cubes = (weight * low**2) ** (1 / 3) + ((1 - weight) * high**2) ** (1 / 3)
    critical = (high - low) ** 2 / cubes**3
    for factor, count in ((1 - 1e-9, 2), (1 + 1e-9, 1)):
        law = GeneralizedMarchenkoPastur(critical * factor, [low, high], [weight, 1 - weight])
        assert len(law.edges()) == count
        assert law.masses().sum() + sum(m for _, m in law.atoms()) == pytest.approx(1, abs=1e-15)
        x = np.linspace(*law.support(), 101)
        assert (np.diff(law.cdf(x)) >= 0).all()
        q = np.array([0.1, weight, 0.9])
        np.testing.assert_allclose(law.cdf(law.ppf(q)), np.maximum(q, law.cdf(0.0)), rtol=1e-10)


@pytest.mark.parametrize("ratio", [0.0005, 0.02, 0.5, 3.0])
def test_fifty_atoms(ratio):
    rng = np.random.default_rng(1)
    atoms, weights = np.sort(rng.uniform(0.1, 10, 50)), rng.random(50)
    weights /= weights.sum()
    law = GeneralizedMarchenkoPastur(ratio, atoms, weights)
    atom = sum(m for _, m in law.atoms())
    assert law.masses().sum() + atom == pytest.approx(1.0, abs=1e-14)
    node, gauss = np.polynomial.legendre.leggauss(12)  # on 400 panels: cusps are near
    node = ((np.arange(400)[:, None] + 0.5 + 0.5 * node) / 200 - 1).ravel()
    gauss = np.tile(gauss / 400, 400)
    mean = 0.0
    for (left, right), mass in zip(law.edges(), law.masses(), strict=True):
        angle = 0.5 * np.pi * (1 + node)
        x = left + (right - left) * np.sin(angle / 2) ** 2
        jacobian = 0.25 * np.pi * (right - left) * np.sin(angle) * gauss
        assert (law.pdf(x) * jacobian).sum() == pytest.approx(mass, rel=1e-7)
        mean += (x * law.pdf(x) * jacobian).sum()
    assert mean == pytest.approx(law.mean(), rel=1e-7)
    assert law.mean() == pytest.approx(atoms @ weights, rel=1e-14)
    q = np.linspace(atom, 1, 23)[1:-1]
    np.testing.assert_allclose(law.cdf(law.ppf(q)), q, rtol=1e-11)
    np.testing.assert_allclose(law.sf(law.isf(1 - q)), 1 - q, rtol=1e-11)


@given(
    st.floats(-6, 6),
    st.lists(st.tuples(st.floats(-3, 3), st.floats(-6, 0)), min_size=1, max_size=5),
    st.floats(0.01, 0.99),
)
def test_methods_agree(log_ratio, pairs, q):
    atoms, weights = (10.0 ** np.array(v) for v in zip(*pairs, strict=True))
    law = GeneralizedMarchenkoPastur(10.0**log_ratio, atoms, weights / weights.sum())
    edges = law.edges().ravel()
    assert (np.diff(edges) >= 0).all()
    x = law.ppf(q)
    atom = sum(m for _, m in law.atoms())
    if q <= atom:
        assert x == 0.0
    else:
        slack = 4 * 2.3e-16 * x * law.pdf(x) if np.isfinite(law.pdf(x)) else 0.0
        assert law.cdf(x) == pytest.approx(q, rel=1e-10, abs=slack)
        assert law.cdf(x) + law.sf(x) == pytest.approx(1.0, abs=1e-11)
        inside = law.stieltjes(complex(x, 0.0))
        assert inside.imag / np.pi == pytest.approx(law.pdf(x), rel=1e-10, abs=0)


def test_population_at_zero_and_merging():
    law = GeneralizedMarchenkoPastur(0.5, [0.0, 1.0, 1.0], [0.2, 0.3, 0.5])
    assert law.population == ((0.0, 0.2), (1.0, 0.8))
    assert law.atoms() == ((0.0, 0.2),)
    inner = MarchenkoPastur(0.4)
    np.testing.assert_allclose(law.edges(), inner.edges(), rtol=1e-15)
    x = np.array([0.3, 1.0, 2.0])
    np.testing.assert_allclose(law.pdf(x), 0.8 * inner.pdf(x), rtol=1e-14)
    z = np.array([-1.0, 0.5 + 1j])
    np.testing.assert_allclose(law.stieltjes(z), 0.8 * inner.stieltjes(z) - 0.2 / z, rtol=1e-13)


def test_integer_points_near_an_edge():
    # a density elsewhere gives 1e-9 for 0.511 next to an edge, and zeros for integer arrays
    law = GeneralizedMarchenkoPastur(0.1, [1, 8], [0.5, 0.5])
    assert law.pdf(1) == law.pdf(1.0) == law.pdf(np.array([1]))[0] > 0.1
    left = law.edges()[0, 0]
    assert law.pdf(left + 1e-6) == pytest.approx(
        naive.free_poisson_density(left + 1e-6, ["0.05", "0.05"], [1, 8], 10), rel=1e-9
    )


def test_sampled_spectrum():
    law = GeneralizedMarchenkoPastur(0.4, [1.0, 9.0], [0.5, 0.5])
    rng = np.random.default_rng(3)
    sizes, errors = [100, 200, 400], []
    for n in sizes:
        d = int(0.4 * n)
        root = np.sqrt(np.repeat([1.0, 9.0], d // 2))[:, None]
        gaps = []
        for _ in range(4):
            x = root * rng.standard_normal((d, n))
            values = np.linalg.eigvalsh(x @ x.T / n)
            gaps.append(np.abs(law.cdf(values) - (np.arange(d) + 0.5) / d).mean())
        errors.append(np.mean(gaps))
    assert -1.4 < np.polyfit(np.log(sizes), np.log(errors), 1)[0] < -0.7


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0.0, [1], [1]), ValueError, r"aspect_ratio must lie in \[1e-50, 1e[+]50\]"),
        (([0.5], [1], [1]), TypeError, "aspect_ratio must be a real number"),
        ((0.5, [-1.0], [1]), ValueError, "atoms must be >= 0, got -1.0"),
        ((0.5, [0.0], [1]), ValueError, "atoms must hold a positive value"),
        ((0.5, [1, 2], [0.5, 0.6]), ValueError, "weights must sum to 1, got 1.1"),
        ((0.5, [1, 2], [1.5, -0.5]), ValueError, "weights must be >= 0, got -0.5"),
        ((0.5, [1, 2], [1]), ValueError, r"weights must have the shape of atoms, \(2,\)"),
        ((0.5, [1, np.nan], [0.5, 0.5]), ValueError, "atoms must be finite"),
        ((0.5, [1e-60, 1], [0.5, 0.5]), ValueError, "atoms must be 0 or lie in"),
        ((0.5, 1.0, 1.0), ValueError, "atoms must have 1 axes"),
    ],
)
def test_bad_parameters(arguments, error, message):
    with pytest.raises(error, match=message):
        GeneralizedMarchenkoPastur(*arguments)


def test_nan_and_infinities():
    for ratio in (0.1, 1.0, 2.0):
        law = GeneralizedMarchenkoPastur(ratio, [1, 8], [0.5, 0.5])
        for method in ("pdf", "logpdf", "cdf", "logcdf", "sf", "logsf", "ppf", "isf", "stieltjes"):
            assert math.isnan(getattr(law, method)(math.nan))
        assert (law.cdf(-math.inf), law.cdf(math.inf)) == (0.0, 1.0)
        assert (law.sf(-math.inf), law.sf(math.inf)) == (1.0, 0.0)
        assert law.pdf([]).shape == (0,) and type(law.pdf(1)) is float
        assert law == GeneralizedMarchenkoPastur(ratio, [8, 1], [0.5, 0.5])


@pytest.mark.parametrize("ratio", [0.05, 0.3, 4.0])
def test_transform_in_the_gaps_is_the_integral(ratio):
    law = GeneralizedMarchenkoPastur(ratio, [1.0, 10.0, 60.0], [0.5, 0.3, 0.2])
    node, gauss = np.polynomial.legendre.leggauss(300)
    angle = 0.5 * np.pi * (1 + node)
    edges = law.edges()
    gaps = [-5.0, -1e-3, *(0.5 * (edges[1:, 0] + edges[:-1, 1])), 1.01 * edges[-1, 1], 1e6]
    gaps += [edges[0, 0] * 0.5]
    expected = -sum(m for _, m in law.atoms()) / np.array(gaps)
    for left, right in edges:
        x = left + (right - left) * np.sin(angle / 2) ** 2
        mass = law.pdf(x) * 0.25 * np.pi * (right - left) * np.sin(angle) * gauss
        expected += [(mass / (x - z)).sum() for z in gaps]
    result = law.stieltjes(np.array(gaps))
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, expected, rtol=1e-10)
    inner = edges.mean(axis=1)
    assert np.isnan(law.stieltjes(inner)).all()
    if ratio < 1:  # finite at zero below the support
        assert law.stieltjes(0.0) == pytest.approx(law.stieltjes(1e-9), rel=1e-8)


@given(st.floats(-3, 3), st.floats(-12, 2), st.floats(0.01, 0.99))
def test_transform_close_to_the_axis(log_ratio, log_height, q):
    law = GeneralizedMarchenkoPastur(10.0**log_ratio, [1.0, 5.0], [0.5, 0.5])
    x = law.ppf(q)
    assume(x > 0.0)
    z = complex(x, 10.0**log_height)
    value = law.stieltjes(z)
    assert value.imag > 0 and law.stieltjes(z.conjugate()) == value.conjugate()
    v = law.aspect_ratio * value - (1 - law.aspect_ratio) / z  # and it solves its equation
    back = -1 / v + law.aspect_ratio * sum(0.5 * t / (1 + t * v) for t in (1.0, 5.0))
    assert abs(back - z) <= 1e-9 * (1 + law.aspect_ratio) * (abs(z) + 1 / abs(v))
