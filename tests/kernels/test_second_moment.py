"""Kernels of the second-moment operator and of coherence: against plain sums."""

import itertools

import numpy as np
import pytest

from rmtstab import UnlearningProblem
from rmtstab.dynamics.second_moment import NoiseMap
from rmtstab.kernels.coherence import block_norms
from rmtstab.kernels.second_moment import block_noise, diagonal_noise
from rmtstab.kernels.symmetric import pack, unpack


@pytest.mark.parametrize("r", [1, 4, 7])
def test_diagonal_noise(r, rng):
    rows, weights, subtract = rng.standard_normal((5, r)), rng.random(5), rng.random(5)
    m = rng.standard_normal((r, r))
    moved, out = rows @ m, np.empty((5, r))
    diagonal_noise(rows, moved, weights, subtract, out)
    expected = sum(w * (h @ m @ h) * np.outer(h, h) for w, h in zip(weights, rows, strict=True))
    np.testing.assert_allclose(rows.T @ out, expected, atol=1e-12)
    np.testing.assert_allclose(moved, subtract[:, None] * (rows @ m))


@pytest.mark.parametrize("r", [3, 6])
def test_block_noise_of_ragged_samples(r, rng):
    offsets, rows = np.array([0, 2, 2, 5, 6]), rng.standard_normal((6, r))
    weights, m = rng.random(4), rng.standard_normal((r, r))
    hs = [rows[a:b].T @ rows[a:b] for a, b in itertools.pairwise(offsets)]
    for folded, middle in ((False, m), (True, m + m.T)):
        out = np.empty((6, r))
        block_noise(rows, rows @ m, offsets, weights, folded, out)
        expected = sum(w * h @ middle @ h for w, h in zip(weights, hs, strict=True))
        np.testing.assert_allclose(rows.T @ out, expected, atol=1e-12)


@pytest.mark.parametrize("r", [1, 5, 70])
def test_packed_vectors_keep_inner_products(r, rng):
    a, b = (m + m.T for m in rng.standard_normal((2, r, r)))
    packed = np.empty((2, r * (r + 1) // 2))
    pack(np.triu(a), packed[0])
    pack(b, packed[1])
    assert packed[0] @ packed[1] == pytest.approx(np.sum(a * b))
    back = np.empty((r, r))
    unpack(packed[0], back)
    np.testing.assert_allclose(back, a, rtol=1e-15)
    np.testing.assert_array_equal(back, back.T)


def test_block_norms(rng):
    z = rng.standard_normal((6, 4))
    gram, offsets, out = z @ z.T, np.array([0, 2, 3, 6]), np.empty((3, 3))
    block_norms(gram, offsets, offsets, out)
    for i in range(3):
        for j in range(3):
            block = gram[offsets[i] : offsets[i + 1], offsets[j] : offsets[j + 1]]
            assert out[i, j] == pytest.approx(np.linalg.norm(block))


@pytest.mark.parametrize("widths", [(1, 1), (3, 3), (1, 4)])
@pytest.mark.parametrize("surplus", [0, 80])
@pytest.mark.parametrize("kappa", [0.0, 0.4])
def test_symmetric_arguments_take_half_the_work_and_give_the_same(widths, surplus, kappa, rng):
    # r = 150 is above the side where the two routes part
    sizes = rng.integers(widths[0], widths[1] + 1, 400)
    sizes = sizes[: np.searchsorted(np.cumsum(sizes), 150 + surplus)]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    rows = rng.standard_normal((offsets[-1], 150))
    w = rng.random(offsets[-1])
    square = rows.T @ (w[:, None] * rows)
    noise = NoiseMap(rows, offsets, rng.random(len(sizes)), kappa * w, square, kappa, 0.0)
    m = rng.standard_normal((150, 150))
    m += m.T
    blocks = [rows[a:b].T @ rows[a:b] for a, b in itertools.pairwise(offsets)]
    expected = sum(c * h @ m @ h for c, h in zip(noise.weights, blocks, strict=True))
    expected = expected - kappa * square @ m @ square
    size = np.abs(expected).max()
    found = noise.apply_symmetric(m)
    np.testing.assert_allclose(found / size, expected / size, atol=1e-13)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(noise.apply(m) / size, expected / size, atol=1e-13)


@pytest.mark.parametrize("sampling", ["without_replacement", "with_replacement"])
@pytest.mark.parametrize(
    ("n_retain", "n_forget", "split"), [(60, 7, 1), (7, 60, 0), (40, 40, None)]
)
def test_a_set_of_few_rows_spares_the_product_of_the_means(
    n_retain, n_forget, split, sampling, rng
):
    factors = rng.standard_normal((n_retain + n_forget, 4, 180)) * np.logspace(0, -3, 180)
    problem = UnlearningProblem.from_factors(factors[:n_retain], factors[n_retain:])
    lengths = set()
    for alpha in (0.1, 0.5, 0.9):
        noise = problem.dynamics(0.1, (4, 3), alpha, sampling).noise()
        m = rng.standard_normal((180, 180))
        m += m.T
        offsets = itertools.pairwise(noise.offsets)
        blocks = [noise.rows[a:b].T @ noise.rows[a:b] for a, b in offsets]
        square = (noise.rows.T * noise.row_weights) @ noise.rows / noise.kappa
        expected = sum(c * h @ m @ h for c, h in zip(noise.weights, blocks, strict=True))
        expected = expected - noise.kappa * square @ m @ square
        found, size = noise.apply_symmetric(m), np.abs(expected).max()
        np.testing.assert_allclose(found / size, expected / size, atol=2e-14)
        np.testing.assert_array_equal(found, found.T)
        if noise.split is not None:  # where its terms do not cancel
            lengths.add(len(noise.split.rows))
        keep = np.arange(20, 170)
        inner = noise.restricted(keep).apply_symmetric(m[np.ix_(keep, keep)])
        padded = np.zeros_like(m)
        padded[np.ix_(keep, keep)] = m[np.ix_(keep, keep)]
        np.testing.assert_allclose(
            inner, noise.apply(padded)[np.ix_(keep, keep)], atol=1e-13 * size
        )
    assert lengths == (set() if split is None else {4 * (n_retain, n_forget)[split]})
