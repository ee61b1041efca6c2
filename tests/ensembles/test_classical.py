"""Random matrices against their exact moments, dense draws and limit laws."""

import math

import numpy as np
import pytest

from rmtstab import laws
from rmtstab.ensembles import (
    Gaussian,
    Jacobi,
    SpikedMatrix,
    SpikedWishart,
    Wishart,
    correlated_entries,
    gaussian_entries,
    heavy_tailed_entries,
)


def close(sample, value, sigmas=5.0):
    """Whether a sample's mean is a value within five standard errors."""
    sample = np.asarray(sample)
    return abs(sample.mean() - value) < sigmas * sample.std() / math.sqrt(sample.size)


@pytest.mark.parametrize("beta", [1, 2, 4, 0.7])
def test_traces_of_gaussian_models(beta):
    # E tr H² = n (n - 1) + 2 n / beta; a diagonal of variance 2, or chi of beta i without
    # the square root, is the known mistake: it gives n² + n for every index
    n, rng = 12, np.random.default_rng(1)
    values = np.array([Gaussian(n, beta).eigenvalues(rng) for _ in range(3000)])
    exact = n * (n - 1) + 2 * n / beta
    assert close((values**2).sum(axis=1), exact)
    assert beta == 1 or not close((values**2).sum(axis=1), n * n + n)
    assert close(values.sum(axis=1), 0.0) and close(values.sum(axis=1) ** 2, 2 * n / beta)
    if beta in (1, 2):
        dense = [np.linalg.eigvalsh(Gaussian(n, beta).matrix(rng)) for _ in range(1500)]
        assert close((np.array(dense) ** 2).sum(axis=1), exact)


@pytest.mark.parametrize("beta", [1, 2, 3.5])
@pytest.mark.parametrize(("n", "p"), [(9, 5), (4, 7)])
def test_traces_of_wishart_models(beta, n, p):
    # E tr W = n p, Var tr W = 2 n p / beta, E tr W² = n p (n + p + 2/beta - 1)
    rng = np.random.default_rng(2)
    values = np.array([Wishart(n, p, beta).eigenvalues(rng) for _ in range(3000)])
    assert values.shape[1] == p and (values >= 0).all()
    assert close(values.sum(axis=1), n * p)
    assert close((values.sum(axis=1) - n * p) ** 2, 2 * n * p / beta)
    assert close((values**2).sum(axis=1), n * p * (n + p + 2 / beta - 1))
    if beta in (1, 2):
        dense = np.array([np.linalg.eigvalsh(Wishart(n, p, beta).matrix(rng)) for _ in range(1500)])
        assert close((dense**2).sum(axis=1), n * p * (n + p + 2 / beta - 1))


@pytest.mark.parametrize("beta", [1, 2])
def test_jacobi_models(beta):
    rng = np.random.default_rng(3)
    model = Jacobi(7, 5, 4, beta)
    values = np.array([model.eigenvalues(rng) for _ in range(3000)])
    dense = np.array([np.linalg.eigvalsh(model.matrix(rng)) for _ in range(3000)])
    assert close(values.sum(axis=1), 4 * 7 / 12)
    for power in (2, 3):
        a, b = (values**power).sum(axis=1), (dense**power).sum(axis=1)
        assert abs(a.mean() - b.mean()) < 5 * math.hypot(a.std(), b.std()) / math.sqrt(3000)
    top = [np.sort(v[:, -1]) for v in (values, dense)]
    assert np.abs(np.searchsorted(top[1], top[0]) / 3000 - np.arange(3000) / 3000).max() < 0.06


@pytest.mark.parametrize("model", [Gaussian(3000), Wishart(3000, 1500), Gaussian(2000, 0.5)])
@pytest.mark.parametrize("largest", [1, 4])
def test_a_corner_holds_the_top(model, largest, monkeypatch):
    from rmtstab.ensembles import classical

    with monkeypatch.context() as patch:  # the same draws, more rows than the corner keeps
        corner = classical._corner(2000, largest)
        patch.setattr(classical, "chi", lambda source, degrees: np.sqrt(degrees))
        patch.setattr(classical, "_corner", lambda n, k: min(n, 3 * corner))
        wide = model.eigenvalues(Still(), largest)
    with monkeypatch.context() as patch:
        patch.setattr(classical, "chi", lambda source, degrees: np.sqrt(degrees))
        narrow = model.eigenvalues(Still(), largest)
    np.testing.assert_allclose(narrow, wide, rtol=1e-12)


class Still(np.random.RandomState):
    """A source whose normal variables vanish: the model's mean."""

    def standard_normal(self, size=None):
        return np.zeros(size)


def test_limits():
    values = Gaussian(500, 2).eigenvalues(0) / math.sqrt(500)
    ranks = (np.arange(500) + 0.5) / 500
    assert np.abs(laws.Semicircle().cdf(values) - ranks).max() < 0.01
    values = Wishart(1000, 400, 4).eigenvalues(1) / 1000
    ranks = (np.arange(400) + 0.5) / 400
    assert np.abs(laws.MarchenkoPastur(0.4).cdf(values) - ranks).max() < 0.01
    values = Jacobi(900, 1500, 300).eigenvalues(2)
    ranks = (np.arange(300) + 0.5) / 300
    assert np.abs(laws.Jacobi(300, 900, 1500).cdf(values) - ranks).max() < 0.015


def test_spikes_go_where_theory_says():
    n, p = 800, 200
    data = SpikedMatrix(n, [6.0, 1.1], p=p).matrix(4)
    top = np.linalg.eigvalsh(data @ data.T / n)[-1]
    law = laws.Spiked(0.25, [6.0, 1.1])
    assert top == pytest.approx(law.outliers()[0], abs=5 * law.fluctuation()[0] / math.sqrt(n))
    top = np.linalg.eigvalsh(SpikedMatrix(400, [3.0], kind="wigner").matrix(5))[-1]
    assert top == pytest.approx(3 + 1 / 3, abs=5 * math.sqrt(2 * (1 - 1 / 9) / 400))
    value = np.linalg.svd(SpikedMatrix(n, [2.0], p=p, kind="rectangular").matrix(6))[1][0]
    assert value == pytest.approx(math.sqrt((1 + 4) * (0.25 + 4)) / 2, abs=0.1)


def test_structured_entries():
    noise = heavy_tailed_entries(7, (400, 500), 6.0)
    assert close(noise, 0.0) and close(noise**2, 1.0)
    assert close(noise**4, 3 * 4 / 2, sigmas=8)  # 3 (d - 2)/(d - 4)
    x = correlated_entries(8, (600, 500), rows=0.6, columns=-0.3)
    assert x.var() == pytest.approx(1.0, abs=0.02)
    assert (x[1:] * x[:-1]).mean() == pytest.approx(0.6, abs=0.02)
    assert (x[:, 2:] * x[:, :-2]).mean() == pytest.approx(0.09, abs=0.02)
    z = gaussian_entries(9, (300, 300), 2)
    assert close(np.abs(z) ** 2, 1.0) and close((z**2).real, 0.0)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Gaussian(0), ValueError, "n must be >= 1"),
        (lambda: Gaussian(3, 4).matrix(0), ValueError, "dyson_index 1 or 2, got 4"),
        (lambda: Wishart(5, 3).eigenvalues(0, 4), ValueError, r"largest must lie in \[1, min"),
        (lambda: Jacobi(2, 9, 3), ValueError, "n1 must be >= 3"),
        (lambda: Gaussian(3).eigenvalues("a"), TypeError, "rng must be a numpy Generator"),
        (lambda: SpikedMatrix(5, [1.0], p=3, kind="wigner"), ValueError, "p must be n=5"),
        (lambda: heavy_tailed_entries(0, (2, 2), 2.0), ValueError, "degrees must be > 2"),
        (
            lambda: correlated_entries(0, (2, 2), rows=1.0),
            ValueError,
            r"rows must lie in \(-1, 1\)",
        ),
    ],
)
def test_bad_arguments(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize(("n1", "n2", "p"), [(7, 5, 4), (100, 200, 80), (44, 42, 40)])
def test_the_top_of_a_jacobi_model_comes_from_its_corner(n1, n2, p):
    rng, draws = np.random.default_rng(8), 400
    model = Jacobi(n1, n2, p)
    whole = np.array([model.eigenvalues(rng)[-2:] for _ in range(draws)])
    corner = np.array([model.eigenvalues(rng, largest=2) for _ in range(draws)])
    assert corner.shape == (draws, 2) and (np.diff(corner, axis=1) > 0).all()
    error = np.sqrt((whole.var(axis=0) + corner.var(axis=0)) / draws)
    assert (abs(whole.mean(axis=0) - corner.mean(axis=0)) < 5 * error).all()
    with pytest.raises(ValueError, match="largest must lie in"):
        model.eigenvalues(rng, largest=p + 1)


SPIKED = [
    (9, 5, (3.0, 0.5), ()),
    (4, 7, (), (10.0, 2.0)),  # more rows than columns: zeros
    (6, 6, (2.0,), (3.0, -1.0, 4.0)),
    (3, 2, (4.0,), (1.0, 5.0)),
    (1, 3, (), ()),
]


@pytest.mark.parametrize(("n", "p", "spikes", "shifts"), SPIKED)
def test_spiked_bands_have_the_eigenvalues_of_dense_matrices(n, p, spikes, shifts):
    rng, draws = np.random.default_rng(9), 1500
    model = SpikedWishart(n, p, spikes, shifts)
    band = np.array([model.eigenvalues(rng) for _ in range(draws)])
    dense = np.linalg.eigvalsh(np.array([model.matrix(rng) for _ in range(draws)]))
    # a chi of one degree less, or a Gaussian left out, moves a mean or a product of these
    for moment in (lambda v: v, lambda v: v * v[:, [-1]]):
        a, b = moment(band), moment(dense)
        error = np.sqrt((a.var(axis=0) + b.var(axis=0)) / draws) + 1e-9
        assert (abs(a.mean(axis=0) - b.mean(axis=0)) < 5 * error).all()


@pytest.mark.parametrize("shifts", [(), (900.0, 300.0)])  # an edge, outliers
def test_corners_of_spiked_bands_are_the_whole(shifts):
    model = SpikedWishart(600, 300, shifts=shifts)
    rows = model._rows(np.random.default_rng(3), 0, 300)
    whole = model._top(rows, 300)
    seen = []

    class Replayed(SpikedWishart):
        def _rows(self, source, start, stop):
            seen.append(stop)
            return rows[start:stop]

    top = Replayed(600, 300, shifts=shifts).eigenvalues(0, largest=2)
    assert top == pytest.approx(whole[-2:], rel=1e-13)
    assert seen[-1] <= (300 if not shifts else 256)


def test_spiked_outliers_lie_where_their_law_says():
    model = SpikedWishart(20_000, 10_000, spikes=[6.0, 3.5])
    found = np.mean([model.eigenvalues(k, largest=2) for k in range(40)], axis=0) / 20_000
    assert found == pytest.approx([3.5 * (1 + 0.5 / 2.5), 6.0 * (1 + 0.5 / 5.0)], rel=0.01)
    wide = SpikedWishart(7, 400).eigenvalues(0, largest=8)
    assert 0.0 <= wide[0] < 1e-9 < 1.0 < wide[1]  # beyond the rank


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0, "p": 3}, "n must"),
        ({"n": 4, "p": 2, "spikes": [1.0, 2.0, 3.0]}, "spikes must number at most p=2"),
        ({"n": 4, "p": 2, "shifts": [1.0, 2.0, 3.0]}, "shifts must number at most p=2"),
        ({"n": 4, "p": 2, "spikes": [-1.0]}, "spikes must be > 0"),
        ({"n": 4, "p": 2, "shifts": [float("nan")]}, "shifts must be finite"),
    ],
)
def test_spiked_parameters_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        SpikedWishart(**arguments)
