"""Tracy–Widom laws of any index and of the next eigenvalues: three routes, and samples."""

import math

import numpy as np
import pytest
from scipy import integrate, linalg, special

from rmtstab.ensembles import Gaussian
from rmtstab.laws import TracyWidom, _airy_determinants, _airy_pfaffians, _stochastic_airy


@pytest.mark.parametrize("index", [1, 2, 4])
def test_the_general_solver_reproduces_the_classical_laws(index):
    x, cdf, pdf = _stochastic_airy.distribution(float(index), 1)
    law = TracyWidom(index, "stochastic_airy")
    assert np.abs(cdf - law.cdf(x)).max() < 1e-11 and np.abs(pdf - law.pdf(x)).max() < 1e-10


def test_neighbouring_indices_and_their_law():
    # no interpolation between 2 and 4, but continuous in the index
    near = TracyWidom(4.0001)
    assert near.scaling == "stochastic_airy"
    exact = TracyWidom(4, "stochastic_airy")
    x = np.linspace(-4.0, 1.0, 9)
    assert 1e-8 < np.abs(near.cdf(x) - exact.cdf(x)).max() < 1e-4
    average = 0.5 * (TracyWidom(2).cdf(x) + exact.cdf(x))
    assert np.abs(TracyWidom(3.0).cdf(x) - average).max() > 5e-3


def collocated(beta, at, size, rtol):
    """Solve for F at given places: Chebyshev's points, killed at the explosion, adaptive steps."""
    start = max((55.0 / beta) ** (2 / 3), 6.5)
    c, k = math.sqrt(start), np.arange(size + 1)
    x = np.cos(np.pi * k / size)
    w = np.where((k == 0) | (k == size), 2.0, 1.0) * (-1.0) ** k
    slope = np.outer(w, 1 / w) / (x[:, None] - x + np.eye(size + 1))
    slope = -2 / np.pi * (slope - np.diag(slope.sum(axis=1)))
    theta = 0.5 * np.pi * (1 - x)
    sine, cosine, noise = np.sin(theta), np.cos(theta), 2 / (beta * c * c)
    still = (c * cosine**2 + 2 * noise * sine**3 * cosine)[:, None] * slope
    still = (still + (noise * sine**4)[:, None] * (slope @ slope))[:-1, :-1]
    moving = (-(sine**2) / c)[:, None] * slope
    moving = moving[:-1, :-1]
    # at the start the critical path is Ai'/Ai, and the noise about it normal
    t = np.linspace(start, start + 6, 20_001)
    airy = special.airye(t)
    spread = (airy[0] / airy[0][0]) ** 4 * np.exp(-8 / 3 * (t**1.5 - start**1.5))
    width = math.sqrt(4 / beta * integrate.trapezoid(spread, t))
    with np.errstate(divide="ignore"):
        before = special.ndtr((c / np.tan(theta[:-1]) - airy[1][0] / airy[0][0]) / width)
    solution = integrate.solve_ivp(
        lambda s, u: (still + (start - s) * moving) @ u, (0, start - min(at)), before,
        method="Radau", jac=lambda s, u: still + (start - s) * moving, rtol=rtol, atol=rtol / 100,
        t_eval=start - np.sort(at)[::-1],
    )  # fmt: skip
    return solution.y[0][::-1]


@pytest.mark.parametrize(
    ("beta", "size", "rtol", "bound"),
    [
        (0.3, 120, 1e-9, 1e-9),  # was 6e-9 where one panel held 15 powers of e
        (6.0, 150, 1e-9, 1e-9),
        pytest.param(0.1, 150, 1e-10, 1e-10, marks=pytest.mark.slow),
        pytest.param(14.0, 220, 1e-10, 1e-10, marks=pytest.mark.slow),
        pytest.param(30.0, 300, 1e-10, 1e-10, marks=pytest.mark.slow),
        pytest.param(100.0, 500, 1e-10, 1e-8, marks=pytest.mark.slow),
    ],
)
def test_the_general_law_by_another_discretisation(beta, size, rtol, bound):
    law = TracyWidom(beta)
    q = 10.0 ** np.arange(-9.0, 0.0, 0.5)
    at = np.sort(np.concatenate([law.ppf(q), law.isf(q)]))
    found = collocated(beta, at, size, rtol)
    np.testing.assert_allclose(law.cdf(at), found, rtol=0, atol=bound)
    # the neighbouring index is told apart
    beside = TracyWidom(0.999 * beta if beta > 1.0 else 1.001 * beta)
    assert np.abs(beside.cdf(at) - found).max() > 1e-5


def edge_sample(beta, n, k, draws, seed):
    """Return scaled k-th largest eigenvalues of the tridiagonal model of a Gaussian matrix."""
    rng = np.random.default_rng(seed)
    keep = min(n, int(12 * n ** (1 / 3)))  # the top eigenvectors live in these rows
    found = np.empty(draws)
    for i in range(draws):
        diagonal = rng.standard_normal(keep) * math.sqrt(2)
        off = np.sqrt(rng.chisquare(beta * np.arange(n - 1, n - keep, -1)))
        top = linalg.eigh_tridiagonal(
            diagonal, off, eigvals_only=True, select="i", select_range=(keep - k, keep - k)
        )[0]
        found[i] = (top / math.sqrt(beta) - 2 * math.sqrt(n)) * n ** (1 / 6)
    return found


@pytest.mark.parametrize(("beta", "k"), [(6.0, 1), (1, 2), (2, 3)])
def test_simulated_models(beta, k):
    law = TracyWidom(beta, k=k)
    sample = edge_sample(beta, 4000, k, 1000, seed=7)
    bias = 0.03  # of order n**(-1/3)
    assert sample.mean() == pytest.approx(law.mean(), abs=5 * law.std() / math.sqrt(1000) + bias)
    assert sample.std() == pytest.approx(law.std(), rel=5 / math.sqrt(2000) + bias)
    ranks = (np.arange(1000) + 0.5) / 1000
    assert np.abs(law.cdf(np.sort(sample)) - ranks).max() < 2.2 / math.sqrt(1000)


@pytest.mark.slow
def test_two_routes_to_the_second_eigenvalue():
    x, cdf, pdf = _stochastic_airy.distribution(1.0, 2)
    law = TracyWidom(1, k=2)
    assert np.abs(law.cdf(x) - cdf).max() < 1e-10 and np.abs(law.pdf(x) - pdf).max() < 1e-9


def test_decimation_and_order():
    # every second eigenvalue of index 1 is an eigenvalue of index 4
    x = np.linspace(-6.0, 0.0, 13)
    pair = TracyWidom(1, k=2), TracyWidom(4, "rmtstat")
    np.testing.assert_allclose(pair[0].cdf(x), pair[1].cdf(x), atol=2e-11)
    s = np.linspace(-6.0, -1.0, 6)
    assert (np.diff([TracyWidom(2, k=k).cdf(s) for k in (1, 2)], axis=0) > 0).all()
    first = _airy_determinants.below(s, 2, 1)
    np.testing.assert_allclose(first, TracyWidom(2).cdf(s), atol=1e-14)


def test_tenth_eigenvalues():
    # of two independent spectra of index 1 together, every second is one of index 2
    s = np.array([-13.0, -10.0, -8.0])
    below = np.array([_airy_determinants.below(s, 1, k) for k in range(1, 11)])
    exactly = np.diff(below, axis=0, prepend=0.0)
    for k in (1, 3, 5):
        both = sum(exactly[i] * exactly[j] for i in range(10) for j in range(10) if i + j < 2 * k)
        np.testing.assert_allclose(both, _airy_determinants.below(s, 2, k), atol=1e-13)
    # and the mean of the tenth lies by a zero of the Airy function
    law = TracyWidom(2, k=10)
    assert law.mean() == pytest.approx(-((1.5 * math.pi * 9.5) ** (2 / 3)), abs=0.1)


def test_joint_law_of_two():
    law = TracyWidom(2)
    assert law.joint_cdf(-1.0, -1.0) == pytest.approx(law.cdf(-1.0), abs=1e-13)
    for far in (8.0, 16.5, 30.0):
        assert law.joint_cdf(far, -3.0) == pytest.approx(TracyWidom(2, k=2).cdf(-3.0), abs=1e-11)
    assert law.joint_cdf(-2.0, 5.0) == pytest.approx(law.cdf(-2.0), abs=1e-14)
    assert law.joint_cdf(-1.0, -3.0) < min(law.cdf(-1.0), TracyWidom(2, k=2).cdf(-3.0))
    rng = np.random.default_rng(3)
    n, draws, hits = 60, 800, 0
    for _ in range(draws):
        a = rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n))
        second, first = np.linalg.eigvalsh((a + a.conj().T) / 2)[-2:]
        scaled = [(v / math.sqrt(n) - 2) * n ** (2 / 3) for v in (first, second)]
        hits += scaled[0] <= -1.5 and scaled[1] <= -3.5
    p = law.joint_cdf(-1.5, -3.5)
    assert hits / draws == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / draws) + 0.02)


@pytest.mark.parametrize(("index", "scaling"), [(1, None), (4, None), (4, "rmtstat")])
def test_joint_law_has_the_right_margins(index, scaling):
    law, second = TracyWidom(index, scaling), TracyWidom(index, scaling, k=2)
    for q in (1e-3, 0.2, 0.5, 0.9):
        x, y = law.ppf(q), second.ppf(q)
        assert law.joint_cdf(x, x) == pytest.approx(q, abs=1e-13)
        assert law.joint_cdf(x, x - 1e-9) == pytest.approx(q, abs=1e-8)
        assert law.joint_cdf(30.0, y) == pytest.approx(q, abs=1e-11)
    assert law.joint_cdf(0.0, -15.0) < 1e-15 and law.joint_cdf(-15.0, 3.0) < 1e-15
    shifted = TracyWidom(index, scaling, loc=2.0, scale=3.0)
    assert shifted.joint_cdf(2.0 - 3.0, 2.0 - 9.0) == pytest.approx(law.joint_cdf(-1.0, -3.0))


def test_joint_law_of_index_four_is_that_of_second_and_fourth_of_index_one():
    """P(at most one beyond x, at most three beyond y), from the determinant of index 1."""
    x, y = -2.0, -4.0
    kernel, between = _airy_pfaffians.discretise(x, y, 1)
    one, eye = np.exp(2j * np.pi * np.arange(8) / 8), np.eye(len(kernel))
    two, values = np.exp(2j * np.pi * np.arange(16) / 16), np.empty((8, 16), dtype=complex)

    def root(j, k, before):
        value = np.sqrt(np.linalg.det(eye - kernel * np.where(between, 1 - two[k], 1 - one[j])))
        return value if (value * np.conj(before)).real >= 0 else -value

    for j in range(8):
        values[j, 0] = root(j, 0, values[j - 1, 0] if j else 1.0)
        for k in range(1, 16):
            values[j, k] = root(j, k, values[j, k - 1])
    chances = np.fft.fft2(values).real / values.size  # (beyond x, between)
    assert chances.sum() == pytest.approx(1, abs=1e-12) and chances.min() > -1e-12
    expected = chances[0, :4].sum() + chances[1, :3].sum()
    assert TracyWidom(4, "rmtstat").joint_cdf(x, y) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("index", [1, 4])
def test_joint_law_of_sampled_spectra(index):
    n, draws, rng = 1000, 1500, np.random.default_rng(index)
    model, law = Gaussian(n, index), TracyWidom(index, "stochastic_airy")
    top = np.array([model.eigenvalues(rng, largest=2) for _ in range(draws)])
    second, first = (np.sort(top, axis=1) / math.sqrt(n) - 2).T * n ** (2 / 3)
    beside = TracyWidom(index, "stochastic_airy", k=2)
    x, y = law.ppf(0.5), beside.ppf(0.5)
    p = law.joint_cdf(x, y)
    error = math.sqrt(p * (1 - p) / draws)
    assert abs(np.mean((first <= x) & (second <= y)) - p) < 5 * error
    # independent, or decided by the second alone, they would be seen
    assert p - 0.25 > 5 * error and 0.5 - p > 5 * error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dyson_index": 0.05}, r"dyson_index must lie in \[0.1, 100\]"),
        ({"dyson_index": 3, "k": 2}, r"k must be 1 for dyson_index 3.0"),
        ({"dyson_index": 2, "k": 11}, r"k must lie in \[1, 10\]"),
        ({"dyson_index": 3, "scaling": "rmtstat"}, "scaling must be 'stochastic_airy'"),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(ValueError, match=message):
        TracyWidom(**arguments)
    for law in (TracyWidom(6), TracyWidom(1, k=2)):
        with pytest.raises(ValueError, match="joint_cdf needs dyson_index 1, 2 or 4"):
            law.joint_cdf(0.0, -1.0)
