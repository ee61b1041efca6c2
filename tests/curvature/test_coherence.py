"""Coherence: from its definition, on the extremes, and its bound."""

import numpy as np
import pytest

from rmtstab import UnlearningProblem
from rmtstab.curvature import coherence_matrix


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


def test_large_problems_take_the_matrix_free_path(rng):
    z = rng.standard_normal((1100, 20))
    problem = UnlearningProblem.from_factors(z[:600], z[600:])
    found = problem.coherence(alpha=0.2)
    s = np.abs(z @ z.T)
    top = np.diag(s)
    assert found.total == pytest.approx(np.linalg.eigvalsh(s)[-1] / top.max(), rel=1e-9)
    cross = np.linalg.norm(s[:600, 600:], 2) / np.sqrt(top[:600].max() * top[600:].max())
    assert found.cross == pytest.approx(cross, rel=1e-9)
    value, shares = problem.coherence_contributions(0.2)
    w = np.repeat([0.8 / 600, 0.2 / 500], [600, 500])
    assert value == pytest.approx(found.unlearning * (w * top).max(), rel=1e-9)
    assert shares.sum() == pytest.approx(1.0)
