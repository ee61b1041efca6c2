"""Reduced factors: an isometric copy, accurate sample by sample."""

import tracemalloc

import mpmath as mp
import numpy as np
import pytest

import rmtstab as rs
from rmtstab import UnlearningProblem
from rmtstab.curvature import ReducedFactors, samples


@pytest.mark.parametrize("dim", [3, 6, 40])
def test_light_samples_keep_their_digits(dim):
    """Norms over nine decades: S Vᵀ would leave errors of the heaviest sample's rounding."""
    rng = np.random.default_rng(dim)
    z = rng.standard_normal((8, dim)) * 10.0 ** -np.linspace(0, 9, 8)[:, None]
    a = ReducedFactors.from_factors(z).matrix
    scale = np.linalg.norm(z, axis=1)
    np.testing.assert_allclose(
        (a.T @ a) / np.outer(scale, scale), (z @ z.T) / np.outer(scale, scale), atol=1e-14
    )


@pytest.mark.parametrize("seed", range(3))
def test_roots_of_a_gram_matrix_are_known_to_their_spread(seed):
    """An eigenvalue has the rounding of the largest, its root ``ε σ₁²/σ``; against 50 digits."""
    z = np.random.default_rng(seed).standard_normal((6, 6)) * 10.0 ** np.linspace(3, 0.5, 6)
    found = ReducedFactors.from_gram(z @ z.T)
    with mp.workdps(50):
        exact = [mp.sqrt(x) for x in mp.eigsy(mp.matrix((z @ z.T).tolist()), eigvals_only=True)]
        errors = np.abs(found.singular_values - np.array(exact[::-1])).astype(float)
    assert (errors <= np.sqrt(6) * np.finfo(float).eps * found.spread).all()
    # in other units
    other = ReducedFactors.from_gram(2.0**-40 * (z @ z.T))
    np.testing.assert_allclose(other.spread, 2.0**-20 * found.spread, rtol=1e-9)


def test_a_light_retain_set_has_the_growth_of_its_own():
    rng = np.random.default_rng(0)
    light, heavy = 1e-8 * rng.standard_normal((4, 3)), rng.standard_normal((3, 3))
    alone = rs.UnlearningProblem.from_factors(light).dynamics(1e15, 2, 0.0).growth_factor()
    beside = rs.UnlearningProblem.from_factors(light, heavy).dynamics(1e15, (2, 1), 0.0)
    assert beside.growth_factor() == pytest.approx(alone, rel=1e-12)


def test_a_set_without_curvature_has_no_range():
    rng = np.random.default_rng(1)
    problem = rs.UnlearningProblem.from_factors(np.zeros((2, 2, 4)), rng.standard_normal((4, 2, 4)))
    assert len(problem.dynamics(1.0, (1, 1), 0.0).mean_eigenvalues) == 0


@pytest.mark.parametrize(("n", "d"), [(2, 1), (8, 8)])
def test_kept_eigenbases_weigh_what_is_counted(n, d, monkeypatch, rng):
    """A small basis is mostly Python's own objects: the cap holds with them, and with numbers."""
    problem = UnlearningProblem.from_factors(rng.standard_normal((n, d)), np.ones((1, d)))
    monkeypatch.setattr(samples, "CACHE_BYTES", 1e6)
    problem.basis(0.5)
    tracemalloc.start()
    try:
        for alpha in np.linspace(0.0, 0.9, 3000 if d == 1 else 900):
            problem.basis(float(alpha))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 5e5 < kept < 1.1e6
