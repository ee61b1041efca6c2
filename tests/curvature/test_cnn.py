"""The closed-form Gram matrix against loops, and its invariants."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose

from rmtstab.curvature import cnn_gram, cnn_outputs, kink_margin
from tests import naive


def network(seed, n, n_patches, dim, m):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(2, m, dim))
    return weights, rng.normal(size=(n, n_patches, dim)), rng.choice([-1.0, 1.0], size=n)


sizes = st.tuples(
    st.integers(0, 2**32 - 1),
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(1, 5),
)


@given(sizes, st.sampled_from(["mse", "logistic"]))
def test_gram_is_that_of_looped_gradients(size, loss):
    weights, patches, labels = network(*size)
    gradients = naive.cnn_gradients(weights, patches)
    if loss == "logistic":
        p = 1 / (1 + np.exp(-naive.cnn_outputs(weights, patches)))
        gradients *= np.sqrt(p * (1 - p))[:, None]
    expected = gradients @ gradients.T
    scale = max(expected.max(), 1e-300)
    assert_allclose(cnn_gram(weights, patches, labels, loss), expected, atol=1e-13 * scale)


@given(sizes)
def test_outputs(size):
    weights, patches, _ = network(*size)
    assert_allclose(cnn_outputs(weights, patches), naive.cnn_outputs(weights, patches), atol=1e-12)


def test_panels_do_not_show(monkeypatch):
    weights, patches, labels = network(0, 23, 3, 7, 4)
    whole = cnn_gram(weights, patches, labels)
    monkeypatch.setattr("rmtstab.curvature.cnn._PANEL", 5)
    assert_allclose(cnn_gram(weights, patches, labels), whole, rtol=1e-13)
    assert_allclose(whole, whole.T, rtol=0)


def test_rotation_and_order_of_patches_do_not_matter():
    weights, patches, labels = network(1, 8, 3, 5, 4)
    gram = cnn_gram(weights, patches, labels)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(5, 5)))[0]
    assert_allclose(cnn_gram(weights @ rotation, patches @ rotation, labels), gram, rtol=1e-12)
    assert_allclose(cnn_gram(weights, patches[:, ::-1], labels), gram, rtol=1e-12)


def test_an_exact_zero_is_inactive():
    weights = np.array([[[0.0, 1.0]], [[0.0, 1.0]]])
    patches = np.array([[[1.0, 0.0]]])
    assert cnn_gram(weights, patches, [1.0])[0, 0] == 0.0


def test_logistic_does_not_overflow():
    weights = np.full((2, 1, 1), [[[2e3]], [[1.0]]])
    gram = cnn_gram(weights, np.ones((1, 1, 1)), [1.0], loss="logistic")
    assert gram[0, 0] == 0.0


def test_kink_margin_is_where_a_mask_changes():
    weights, patches, labels = network(3, 6, 2, 4, 3)
    margin = kink_margin(weights, patches)
    products = np.einsum("jrd,ipd->jrip", weights, patches) / np.linalg.norm(patches, axis=2)
    assert margin == pytest.approx(np.abs(products).min(), rel=1e-12)
    j, r, i, p = np.unravel_index(np.abs(products).argmin(), products.shape)
    towards = -np.sign(products[j, r, i, p]) * patches[i, p] / np.linalg.norm(patches[i, p])
    for factor, changes in ((0.999, False), (1.001, True)):
        moved = weights.copy()
        moved[j, r] += factor * margin * towards
        differs = not np.allclose(
            cnn_gram(moved, patches, labels), cnn_gram(weights, patches, labels)
        )
        assert differs is changes


def test_zero_patches_have_no_kink():
    assert kink_margin(np.ones((2, 1, 2)), np.zeros((3, 1, 2))) == np.inf


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"weights": np.ones((3, 2, 4))},
            ValueError,
            r"weights must have shape \(2, m >= 1, dim\)",
        ),
        ({"patches": np.ones((5, 2, 3))}, ValueError, r"patches must have shape \(n, P, dim=4\)"),
        ({"patches": np.full((5, 2, 4), np.nan)}, ValueError, "patches must be finite, got 40 NaN"),
        ({"labels": [0, 1, 1, 1, 1]}, ValueError, "labels must hold only -1 and"),
        ({"labels": [1, 1]}, ValueError, r"labels must have shape \(5,\), got \(2,\)"),
        ({"loss": "hinge"}, ValueError, "loss must be one of 'mse', 'logistic', got 'hinge'"),
    ],
)
def test_bad_input(change, error, message):
    arguments = {"weights": np.ones((2, 2, 4)), "patches": np.ones((5, 2, 4)), "labels": np.ones(5)}
    with pytest.raises(error, match=message):
        cnn_gram(**(arguments | change))
