"""Coherence: from its definition, on the extremes, and its bound."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given

from rmtstab import UnlearningProblem
from rmtstab.curvature import (
    CoherenceMap,
    ReducedFactors,
    coherence_map,
    coherence_matrix,
    per_sample,
    top_eigenvalue,
)
from tests.strategies import instances

AXES = ("retain", "forget", "cross", "total", "unlearning")
ALPHAS = np.array([0.0, 0.05, 0.3, 0.5, 0.9, 1.0])


def reduced(matrix, offsets):
    return ReducedFactors(matrix, offsets, np.ones(6), 0.0)


def definition(h):
    """``S_ij = √tr(H_i H_j)`` by loops."""
    n = len(h)
    return np.array([[np.sqrt(np.trace(h[i] @ h[j])) for j in range(n)] for i in range(n)])


@pytest.mark.parametrize("c", [1, 3])
def test_axes_follow_the_definition(c, rng):
    z = rng.standard_normal((9, c, 6))
    h = np.einsum("nci,ncj->nij", z, z)
    s, top = definition(h), np.linalg.eigvalsh(h)[:, -1]
    found = UnlearningProblem.from_factors(z[:5], z[5:]).coherence(alpha=0.3)
    lead = lambda m: np.linalg.eigvalsh(m)[-1]  # noqa: E731
    assert found.retain == pytest.approx(lead(s[:5, :5]) / top[:5].max())
    assert found.forget == pytest.approx(lead(s[5:, 5:]) / top[5:].max())
    assert found.total == pytest.approx(lead(s) / top.max())
    cross = np.linalg.norm(s[:5, 5:], 2) / np.sqrt(top[:5].max() * top[5:].max())
    assert found.cross == pytest.approx(cross)
    w = np.repeat([0.7 / 5, 0.3 / 4], [5, 4])
    weighted = lead(np.sqrt(w)[:, None] * s * np.sqrt(w))
    assert found.unlearning == pytest.approx(weighted / (w * top).max())
    unsigned = np.einsum("n,nij->ij", w, h)
    assert lead(unsigned) <= weighted * (1 + 1e-12)


def test_extremes_and_empty_sets():
    aligned = UnlearningProblem.from_factors(np.ones((4, 3))).coherence(alpha=0.0)
    assert aligned.retain == pytest.approx(4.0) and np.isnan(aligned.forget)
    assert aligned.unlearning == pytest.approx(4.0)
    split = UnlearningProblem.from_factors(np.eye(5)[:3], np.eye(5)[3:]).coherence()
    assert (split.retain, split.forget, split.cross) == (1.0, 1.0, 0.0)
    assert np.isnan(split.unlearning)


def test_matrix_of_rank_one_blocks_can_overwrite(rng):
    k = rng.standard_normal((4, 4))
    k = k @ k.T
    expected = np.abs(k)
    assert coherence_matrix(k, np.arange(5), overwrite=True) is k
    np.testing.assert_array_equal(k, expected)


def loops(z, n_retain, alpha):
    """Every axis and λ_max(S^α), from the definition: z is (n, C, d)."""
    n = len(z)
    s = np.array([[np.linalg.norm(z[i] @ z[j].T) for j in range(n)] for i in range(n)])
    top = np.array([np.linalg.norm(m, 2) ** 2 for m in z])
    w = np.repeat([(1 - alpha) / n_retain, alpha / (n - n_retain)], [n_retain, n - n_retain])
    lead = lambda m: np.linalg.eigvalsh(m)[-1]  # noqa: E731
    r, f = slice(0, n_retain), slice(n_retain, n)
    weighted = lead(np.sqrt(w)[:, None] * s * np.sqrt(w))
    peaks = np.sqrt(top[r].max() * top[f].max())
    with np.errstate(invalid="ignore"):
        values = (
            lead(s[r, r]) / top[r].max(),
            lead(s[f, f]) / top[f].max(),
            np.linalg.norm(s[r, f], 2) / peaks if peaks else np.float64(0.0),
            lead(s) / top.max(),
            weighted / (w * top).max(),
        )
    return dict(zip(AXES, map(float, values), strict=True)), float(weighted)


def read(coherence):
    return {axis: getattr(coherence, axis) for axis in AXES}


@given(instances())
def test_matrix_free_is_dense_is_loops(x):
    z, n_retain = np.concatenate([x["retain"], x["forget"]]), len(x["retain"])
    problem = UnlearningProblem.from_factors(x["retain"], x["forget"])
    assume(problem.rank > 0)
    expected, weighted = loops(z, n_retain, x["alpha"])
    for free in (False, True):
        found = read(problem.coherence(x["alpha"], matrix_free=free))
        assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)
        value, shares = problem.coherence_contributions(x["alpha"], matrix_free=free)
        assert value == pytest.approx(weighted, rel=1e-12)
        assert shares.sum() == pytest.approx(1.0)
        many = problem.unlearning_coherence(ALPHAS, matrix_free=free)
        each = [loops(z, n_retain, a)[0]["unlearning"] for a in ALPHAS]
        np.testing.assert_allclose(many, each, rtol=1e-12)


@given(instances())
def test_coherence_ignores_order_sign_rotation_and_scale(x):
    z, n_retain = np.concatenate([x["retain"], x["forget"]]), len(x["retain"])
    assume(np.abs(z).max() > 0)
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.standard_normal((z.shape[2], z.shape[2])))
    moved = 3.0 * z * rng.choice([-1.0, 1.0], (len(z), 1, 1)) @ turn
    moved = moved[:, rng.permutation(z.shape[1])]  # the columns of each Z_i
    sets = rng.permutation(moved[:n_retain]), rng.permutation(moved[n_retain:])
    given_, changed = (
        UnlearningProblem.from_factors(a, b).coherence(x["alpha"], matrix_free=True)
        for a, b in ((x["retain"], x["forget"]), sets)
    )
    assert read(given_) == pytest.approx(read(changed), rel=1e-11, nan_ok=True)


@given(instances())
def test_bounds_of_the_unlearning_coherence(x):
    problem = UnlearningProblem.from_factors(x["retain"], x["forget"])
    both = [np.abs(x[k]).max() > 0 for k in ("retain", "forget")]
    assume(all(both))
    whole, many = problem.coherence(), problem.unlearning_coherence(ALPHAS)
    n, c = problem.n_retain + problem.n_forget, x["retain"].shape[1]
    assert (many >= 1 - 1e-12).all() and (many <= n * np.sqrt(c) * (1 + 1e-12)).all()
    assert many[0] == pytest.approx(whole.retain, rel=1e-12)
    assert many[-1] == pytest.approx(whole.forget, rel=1e-12)
    value, _ = problem.coherence_contributions(0.3)
    sharpness = 0.7 * problem.mean_curvatures[0] + 0.3 * problem.mean_curvatures[1]
    assert np.linalg.eigvalsh(sharpness)[-1] <= value * (1 + 1e-12)


@pytest.mark.parametrize("c", [1, 3])
def test_large_problems_share_one_subspace(c, rng):
    z = rng.standard_normal((560, c, 20)) * 10.0 ** rng.uniform(-1, 0, (560, 1, 1))
    problem = UnlearningProblem.from_factors(z[:300], z[300:])
    expected, weighted = loops_fast(z, 300, 0.2)
    for free in (False, True):
        found = read(problem.coherence(0.2, matrix_free=free))
        assert found == pytest.approx(expected, rel=1e-12)
        value, shares = problem.coherence_contributions(0.2, matrix_free=free)
        assert value == pytest.approx(weighted[0], rel=1e-12)
        np.testing.assert_allclose(shares, weighted[1] ** 2, atol=1e-10)
    alphas = np.array([[0.0, 0.2], [0.7, 1.0]])
    many = problem.unlearning_coherence(alphas, matrix_free=True)
    each = [loops_fast(z, 300, a)[0]["unlearning"] for a in alphas.ravel()]
    np.testing.assert_allclose(many.ravel(), each, rtol=1e-12)


def loops_fast(z, n_retain, alpha):
    """The same as `loops` with S from one einsum, and the Perron vector."""
    n, c, d = z.shape
    flat = z.reshape(n * c, d)
    s = np.sqrt(((flat @ flat.T) ** 2).reshape(n, c, n, c).sum(axis=(1, 3)))
    top = np.linalg.norm(z, 2, axis=(1, 2)) ** 2
    w = np.repeat([(1 - alpha) / n_retain, alpha / (n - n_retain)], [n_retain, n - n_retain])
    lead = lambda m: np.linalg.eigvalsh(m)[-1]  # noqa: E731
    r, f = slice(0, n_retain), slice(n_retain, n)
    values, vectors = np.linalg.eigh(np.sqrt(w)[:, None] * s * np.sqrt(w))
    found = (
        lead(s[r, r]) / top[r].max(),
        lead(s[f, f]) / top[f].max(),
        np.linalg.norm(s[r, f], 2) / np.sqrt(top[r].max() * top[f].max()),
        lead(s) / top.max(),
        values[-1] / (w * top).max(),
    )
    return dict(zip(AXES, map(float, found), strict=True)), (float(values[-1]), vectors[:, -1])


def test_slow_members_are_finished_by_arpack(rng, monkeypatch):
    # 700 nearly equal orthogonal pairs: no gap, and the subspace is not allowed to grow
    z = np.kron(np.eye(350), np.ones((2, 1))) * (1 + 1e-3 * rng.random((700, 1)))
    problem = UnlearningProblem.from_factors(z[:400], z[400:])
    expected, _ = loops_fast(z[:, None, :], 400, 0.4)
    monkeypatch.setattr(coherence_map, "CAPACITY", 12)
    found = read(problem.coherence(0.4, matrix_free=True))
    assert found == pytest.approx(expected, rel=1e-10)


def test_tiles_cover_ragged_samples(rng, monkeypatch):
    widths = rng.integers(1, 4, 30)
    offsets = np.concatenate([[0], np.cumsum(widths)])
    a = rng.standard_normal((5, offsets[-1]))
    blocks = [a[:, i:j] for i, j in itertools.pairwise(offsets)]
    s = np.array([[np.linalg.norm(p.T @ q) for q in blocks] for p in blocks])
    monkeypatch.setattr(coherence_map, "TILE", 11)
    vectors = rng.standard_normal((30, 3))
    for free in (False, True):
        made = CoherenceMap(a, offsets, free)
        assert (made.stored is None) == free
        np.testing.assert_allclose(made @ vectors, s @ vectors, atol=1e-12)
    assert top_eigenvalue(s) == pytest.approx(np.linalg.eigvalsh(s)[-1], rel=1e-13)


def test_mixings_are_checked(rng):
    problem = UnlearningProblem.from_factors(rng.standard_normal((3, 2)))
    assert problem.unlearning_coherence(0.0) == pytest.approx(problem.coherence().retain)
    with pytest.raises(ValueError, match="alpha must be 0 when there is no forget set"):
        problem.unlearning_coherence([0.0, 0.1])
    with pytest.raises(ValueError, match="alpha must lie in"):
        problem.unlearning_coherence([1.5])


def test_memory_is_one_array_or_none(rng):
    z = rng.standard_normal((2500, 10))
    problem = UnlearningProblem.from_factors(z[:2000], z[2000:])
    problem.coherence(0.2, matrix_free=True)  # compiles and imports
    array = 8 * 2500**2
    for free, least, most in ((True, 0.0, 0.6), (False, 1.0, 1.6)):
        tracemalloc.start()
        problem.coherence(0.2, matrix_free=free)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert least * array <= peak <= most * array


@pytest.mark.parametrize(
    "offsets",
    [[0, 2, 4, 10**8], [0, 2, 4, 9], [0, 2, 4], [1, 6], [0, 4, 2, 6], [-1, 6], [], [[0, 6]]],
)
@pytest.mark.parametrize("build", [coherence_matrix, CoherenceMap, per_sample, reduced])
def test_offsets_outside_the_matrix_never_reach_compiled_code(build, offsets):
    with pytest.raises(ValueError, match=r"offsets must (rise from 0 to 6|have shape)"):
        build(np.eye(6), np.array(offsets, dtype=np.int64))


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_a_matrix_that_is_not_square_is_refused(shape):
    with pytest.raises(ValueError, match=rf"gram must be square, got \({shape[0]}, {shape[1]}\)"):
        coherence_matrix(np.ones(shape), np.arange(shape[0] + 1))


@pytest.mark.parametrize("build", [coherence_matrix, CoherenceMap, per_sample, reduced])
def test_offsets_are_integers(build):
    with pytest.raises(TypeError, match="offsets must hold integers, got dtype float64"):
        build(np.eye(6), [0.0, 6.0])


def test_offsets_of_any_integer_kind_give_the_same_blocks():
    gram = np.arange(16.0).reshape(4, 4)
    for kind in (np.int32, np.uint8, list):
        offsets = [0, 2, 4] if kind is list else np.array([0, 2, 4], dtype=kind)
        np.testing.assert_allclose(
            coherence_matrix(gram, offsets) ** 2,
            [[(gram[i : i + 2, j : j + 2] ** 2).sum() for j in (0, 2)] for i in (0, 2)],
        )


def test_a_product_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match=r"vectors must have shape \(n=3, k\), got \(2, 1\)"):
        CoherenceMap(np.eye(3), np.arange(4)) @ np.ones((2, 1))
