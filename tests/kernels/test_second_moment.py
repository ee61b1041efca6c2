"""Kernels of the second-moment operator and of coherence: against plain sums."""

import itertools

import numpy as np
import pytest

from rmtstab.kernels.coherence import block_norms
from rmtstab.kernels.second_moment import block_noise, diagonal_noise


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
    moved, out = rows @ m, np.empty((6, r))
    block_noise(rows, moved, offsets, weights, np.zeros(0), out)
    hs = [rows[a:b].T @ rows[a:b] for a, b in itertools.pairwise(offsets)]
    expected = sum(w * h @ m @ h for w, h in zip(weights, hs, strict=True))
    np.testing.assert_allclose(rows.T @ out, expected, atol=1e-12)
    block_noise(rows, moved, offsets, weights, np.ones(4) * 2.0, out)
    np.testing.assert_allclose(moved, 2.0 * (rows @ m))


def test_block_norms(rng):
    z = rng.standard_normal((6, 4))
    gram, offsets, out = z @ z.T, np.array([0, 2, 3, 6]), np.empty((3, 3))
    block_norms(gram, offsets, out)
    for i in range(3):
        for j in range(3):
            block = gram[offsets[i] : offsets[i + 1], offsets[j] : offsets[j + 1]]
            assert out[i, j] == pytest.approx(np.linalg.norm(block))
