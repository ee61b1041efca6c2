"""Thresholds and shrinkers against references and against what they claim to minimise."""

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
    SingularValues,
    TracyWidom,
    Wachter,
    optimal_threshold,
    shrink_singular_values,
)
from rmtstab.laws.shrinkage import RULES
from tests.laws.reference import entries, number


@pytest.mark.parametrize("entry", entries("gd_"), ids=lambda e: e["id"])
def test_reference(entry):
    ratio, name = float(entry["params"]["beta"]), entry["id"].split("_b")[0]
    if name == "gd_omega":
        value = optimal_threshold(ratio)
    elif name == "gd_lambda_star":
        value = optimal_threshold(ratio, noise=1.0)
    elif name == "gd_mp_median":
        value = MarchenkoPastur(ratio).ppf(0.5)
    else:
        loss = {"gd_eta_fro": "frobenius", "gd_eta_op": "operator"}[name]
        value = shrink_singular_values(float(entry["params"]["y"]), ratio, loss=loss)
    assert value == pytest.approx(number(entry), rel=1e-14)


def test_thresholds_of_both_orientations():
    assert optimal_threshold(1.0, noise=1.0) == pytest.approx(4 / math.sqrt(3), rel=1e-15)
    # a transposed matrix has the same singular values: λ √n_samples is one number
    wide, tall = optimal_threshold(0.2, noise=3.0), optimal_threshold(5.0, noise=3.0)
    assert wide * math.sqrt(500) == pytest.approx(tall * math.sqrt(100), rel=1e-14)
    assert optimal_threshold(0.2) == optimal_threshold(5.0)
    assert optimal_threshold(0.25, 1.0, "soft") == 1.5
    with pytest.raises(ValueError, match="kind must be one of 'hard', 'soft'"):
        optimal_threshold(0.5, kind="firm")
    with pytest.raises(ValueError, match="noise must be > 0"):
        optimal_threshold(0.5, noise=0.0)


def test_hard_threshold_is_where_keeping_beats_dropping():
    """At the threshold the error of the kept direction equals the signal's size, θ²."""
    for ratio in (0.1, 0.5, 1.0):
        y = optimal_threshold(ratio, noise=1.0)
        theta = shrink_singular_values(y, ratio, loss="operator")
        left = 1 - ratio * (1 + theta**2) / (theta**2 * (theta**2 + ratio))
        right = 1 - (ratio + theta**2) / (theta**2 * (theta**2 + 1))
        assert y**2 - 2 * y * theta * math.sqrt(left * right) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("loss", ["frobenius", "operator", "nuclear"])
def test_singular_value_shrinkers_minimise_their_loss(loss):
    ratio, theta = (1.0 if loss == "operator" else 0.4), 1.7  # operator: square matrices
    y = math.sqrt((1 + theta**2) * (ratio + theta**2)) / theta
    left = math.sqrt(1 - ratio * (1 + theta**2) / (theta**2 * (theta**2 + ratio)))
    right = math.sqrt(1 - (ratio + theta**2) / (theta**2 * (theta**2 + 1)))
    u, v = np.array([left, math.sqrt(1 - left**2)]), np.array([right, math.sqrt(1 - right**2)])
    order = {"frobenius": "fro", "operator": 2, "nuclear": "nuc"}[loss]

    def error(size):
        return np.linalg.norm(np.diag([theta, 0.0]) - size * np.outer(u, v), order)

    best = shrink_singular_values(y, ratio, loss=loss)
    assert all(error(best) <= error(best + d) + 1e-12 for d in np.linspace(-1, 1, 401))


DISTANCES = {
    "stein": lambda a, b: np.trace(np.linalg.solve(a, b)) - math.log(np.linalg.det(b)),
    "entropy": lambda a, b: np.trace(np.linalg.solve(b, a)) + math.log(np.linalg.det(b)),
    "divergence": lambda a, b: np.trace(np.linalg.solve(a, b) + np.linalg.solve(b, a)),
    "frechet": lambda a, b: np.linalg.norm(root(a) - root(b)),
    "affinity": lambda a, b: math.log(np.linalg.det(a + b)) - 0.5 * math.log(np.linalg.det(b)),
}


def root(matrix):
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def pivot(a, b, name):
    half = np.linalg.inv(root(a))
    return {
        "": lambda: a - b,
        "precision": lambda: np.linalg.inv(a) - np.linalg.inv(b),
        "ratio": lambda: np.linalg.solve(a, b) - np.eye(2),
        "inverse_ratio": lambda: np.linalg.solve(b, a) - np.eye(2),
        "whitened": lambda: half @ b @ half - np.eye(2),
    }[name]()


@pytest.mark.parametrize("loss", RULES)
@pytest.mark.parametrize("spike", [1.9, 3.0, 12.0])
def test_eigenvalue_shrinkers_minimise_their_loss(loss, spike):
    ratio = 0.5
    m = spike - 1
    c = (1 - ratio / m**2) / (1 + ratio / m)
    direction = np.array([math.sqrt(c), math.sqrt(1 - c)])
    truth = np.diag([spike, 1.0])
    norm, _, name = loss.partition("_")
    order = {"frobenius": "fro", "operator": 2, "nuclear": "nuc"}.get(norm)

    def error(eta):
        estimate = np.eye(2) + (eta - 1) * np.outer(direction, direction)
        if loss in DISTANCES:
            return DISTANCES[loss](truth, estimate)
        return np.linalg.norm(pivot(truth, estimate, name), order)

    best = float(MarchenkoPastur(ratio).shrink(spike * (1 + ratio / m), loss))
    for step in (1e-3, 1e-2, 0.1):
        for eta in (best * (1 - step), best * (1 + step)):
            if eta >= 1.0:
                assert error(best) <= error(eta) + 1e-11


def test_shrinking_leaves_noise_at_its_level():
    law = MarchenkoPastur(0.5, scale=3.0)
    top = law.support()[1] * (1 - 1e-12)
    assert law.shrink([0.1, 3.0, top]).tolist() == [3.0, 3.0, 3.0]
    assert law.shrink(1e9, "operator") == pytest.approx(1e9 - 1.5, rel=1e-12)
    with pytest.raises(ValueError, match="loss must be one of 'frobenius'"):
        law.shrink([1.0], "huber")


@pytest.mark.parametrize("entry", entries("gmp_", {"oracle"}), ids=lambda e: e["id"])
def test_rotation_invariant_reference(entry):
    p = entry["params"]
    law = GeneralizedMarchenkoPastur(float(p["gamma"]), p["t"], [float(w) for w in p["w"]])
    value = law.shrink(float(p["x"]))
    assert value == pytest.approx(number(entry), rel=1e-12)


def test_rotation_invariant_shrinkage_of_samples(rng):
    """uᵀΣu of sampled eigenvectors, below and above the bulk's edge and at zero."""
    p, n = 120, 60
    population = np.repeat([1.0, 5.0], 60)
    law = GeneralizedMarchenkoPastur(p / n, [1, 5], [0.5, 0.5])
    found, zero = [], []
    for _ in range(12):
        x = rng.standard_normal((p, n)) * np.sqrt(population)[:, None]
        values, vectors = np.linalg.eigh(x @ x.T / n)
        quadratic = (vectors**2).T @ population
        zero.append(quadratic[:n].mean())
        found.append([quadratic[n:].mean(), law.shrink(values[n:]).mean()])
    error = 5 * np.std(zero) / math.sqrt(12) + 2 / n
    assert abs(np.mean(zero) - law.shrink(0.0)) < error
    seen, expected = np.mean(found, axis=0)
    assert abs(seen - expected) < 0.02 * seen


@pytest.mark.parametrize(
    "law",
    [
        Semicircle(3.0),
        Wachter(0.5, 0.2),
        Jacobi(1, 3, 5),
        DescentAscent(0.3, 0.5, 0.3),
        DescentAscent(0.2, 5.0, 0.7),
        FreeSum(MarchenkoPastur(0.5), Semicircle(1.0)),
        FreeProduct(MarchenkoPastur(0.25), Wachter(0.5, 0.2)),
        SingularValues(Semicircle(0.5, loc=2.0)),
    ],
    ids=repr,
)
def test_edge_scale_is_that_of_the_density(law):
    left, right = law.support()
    step = 1e-7 * (right - left)
    rise = math.pi * law.pdf(right - step) / math.sqrt(step)
    assert law.edge_scale() == pytest.approx(rise ** (-2 / 3), rel=1e-6)


def test_edge_scales_of_free_convolutions_with_another_name():
    mp = MarchenkoPastur
    for law, exact in (
        (FreeSum(mp(0.2), mp(0.5), 0.7, -0.3), DescentAscent(0.2, 0.5, 0.3)),
        (FreeSum(mp(5.0), mp(5.0), 0.5, -0.5), DescentAscent(5.0, 5.0, 0.5)),
        (FreeSum(Semicircle(1.0), Semicircle(2.0)), Semicircle(math.sqrt(5.0))),
    ):
        assert law.edge_scale() == pytest.approx(exact.edge_scale(), rel=1e-11)
    # the other convention: of a sample covariance it is the number of samples that is scaled by
    law = FreeSum(mp(0.5), mp(2.0), 4.0, 1.0)
    assert law.edge_scale() == pytest.approx(0.4 ** (2 / 3) * mp(0.4, 5.0).edge_scale(), rel=1e-11)


def test_top_of_a_free_sum_follows_tracy_and_widom():
    """A sample covariance plus noise: mean and deviation of the scaled largest eigenvalue."""
    n, draws, rng = 50, 400, np.random.default_rng(0)
    law, limit = FreeSum(MarchenkoPastur(0.5), Semicircle(1.0)), TracyWidom(1)
    x, g = rng.standard_normal((draws, n, 2 * n)), rng.standard_normal((draws, n, n))
    g = (g + g.transpose(0, 2, 1)) / math.sqrt(8 * n)
    top = np.linalg.eigvalsh(x @ x.transpose(0, 2, 1) / (2 * n) + g)[:, -1]
    scaled = (top - law.support()[1]) * n ** (2 / 3) / law.edge_scale()
    error = limit.std() / draws**0.5
    assert abs(scaled.mean() - limit.mean()) < 5 * error + n ** (-1 / 3)  # the next order
    assert scaled.std() == pytest.approx(limit.std(), rel=5 * 0.8 / draws**0.5)


def test_edge_scales_of_sample_covariances():
    for ratio in (0.1, 1.0, 7.0):
        general = GeneralizedMarchenkoPastur(ratio, [2], [1])
        law = MarchenkoPastur(ratio, 2.0)
        assert law.edge_scale() == pytest.approx(general.edge_scale(), rel=1e-13)
    entry = entries("gmp_two_point_0.9x1_0.1x3_g0.2_tw_edge_sigma")[0]
    law = GeneralizedMarchenkoPastur(0.2, [1, 3], [0.9, 0.1])
    assert law.edge_scale() == pytest.approx(number(entry), rel=1e-13)
    with pytest.raises(ValueError, match="n2 must differ from p for a soft top edge"):
        Jacobi(1, 3, 1).edge_scale()
