"""Compiled cross-entropy against NumPy, one sample at a time."""

import numpy as np
import pytest

from rmtstab.kernels import cross_entropy as kernels


def naive(outputs, labels):
    """Losses and right answers of (n, C) outputs."""
    top = outputs.max(axis=1)
    losses = np.log(np.exp(outputs - top[:, None]).sum(axis=1)) + top
    return losses - outputs[np.arange(len(labels)), labels], outputs.argmax(axis=1) == labels


def evaluate(outputs, labels, first=0, classes=None):
    losses, right = np.empty((2, len(outputs)))
    kernels.evaluate(outputs, first, labels, classes or outputs.shape[2], losses, right)
    return losses, right


def test_exponentials_are_those_of_libm(rng):
    values = -np.abs(np.concatenate([10.0 ** rng.uniform(-300, 2.8, 4000), [0.0, 707.9]]))
    found = values.copy()
    kernels._exponentials(found)
    np.testing.assert_allclose(found, np.exp(values), rtol=4.5e-16)
    far = np.array([-709.0, -1e4, -np.inf])
    kernels._exponentials(far)
    assert (far < 1e-300).all()


@pytest.mark.parametrize("classes", [2, 3, 17])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 900.0])
def test_losses_and_answers(rng, classes, scale):
    outputs = scale * rng.standard_normal((3, 13, classes))
    labels = rng.integers(classes, size=9)
    losses, right = evaluate(outputs, labels, first=2)
    for run in range(3):
        expected = naive(outputs[run, 2:11], labels)
        assert losses[run] == pytest.approx(expected[0].mean(), rel=1e-13)
        assert right[run] == expected[1].mean()


def test_the_first_of_equal_outputs_is_the_answer():
    outputs = np.zeros((1, 3, 3))
    assert evaluate(outputs, np.array([0, 1, 2]))[1] == pytest.approx(1 / 3)
    outputs[0, :, 1:] = 1.0
    assert evaluate(outputs, np.array([0, 1, 2]))[1] == pytest.approx(1 / 3)


def test_a_saturated_loss_keeps_its_digits():
    outputs = np.array([[[0.0, -30.0]] * 20])
    losses, _ = evaluate(outputs, np.zeros(20, dtype=np.int64))
    assert losses[0] == pytest.approx(np.log1p(np.exp(-30.0)), rel=3e-3)  # 1 + 1e-13 has no more


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite(rng, value):
    outputs = rng.standard_normal((2, 4, 3))
    outputs[0, 2, 1] = value
    losses, right = evaluate(outputs, np.array([0, 1, 2, 0]))
    assert (losses[0], right[0]) == (np.inf, 0.0)
    assert np.isfinite(losses[1])
    found = np.empty((1, 2, 4, 3))
    kernels.slopes(outputs[None], np.array([[0, 1, 2, 0]]), np.ones((1, 4)), 3, found)
    assert np.isnan(found[0, 0, 2]).all() and np.isfinite(found[0, 0, [0, 1, 3]]).all()
    assert np.isfinite(found[0, 1]).all()


def test_slopes_are_differences_of_the_loss(rng):
    outputs, labels = rng.standard_normal((2, 3, 4, 5)), rng.integers(5, size=(2, 4))
    weights, found = rng.random((2, 4)), np.empty((2, 3, 4, 5))
    kernels.slopes(outputs, labels, weights, 5, found)
    for place in [(0, 0, 0, 0), (1, 2, 3, 4), (1, 0, 2, labels[1, 2])]:
        replica, _, b, _ = place
        values = []
        for step in (1e-6, -1e-6):
            moved = outputs.copy()
            moved[place] += step
            values.append(naive(moved[replica, place[1]], labels[replica])[0][b])
        slope = weights[replica, b] * (values[0] - values[1]) / 2e-6
        assert found[place] == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 900.0])
def test_outputs_less_the_last_one(rng, scale):
    """Softmax sees differences: the last output may be taken for 0 and left out."""
    outputs, labels = scale * rng.standard_normal((3, 9, 4)), rng.integers(4, size=9)
    less = np.ascontiguousarray(outputs[..., :-1] - outputs[..., -1:])
    for found, expected in zip(
        evaluate(less, labels, classes=4), evaluate(outputs, labels), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-13)
    weights = rng.random((1, 9))
    whole, part = np.empty((1, 3, 9, 4)), np.empty((1, 3, 9, 3))
    kernels.slopes(outputs[None], labels[None], weights, 4, whole)
    kernels.slopes(less[None], labels[None], weights, 4, part)
    np.testing.assert_allclose(part, whole[..., :-1], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(-part.sum(axis=-1), whole[..., -1], rtol=1e-12, atol=1e-15)
