"""Escape at measured masks: against another closed form, sampled matrices, and its limits."""

import numpy as np
import pytest

from rmtstab.theory import cnn, measured_masks, signal_plus_noise
from rmtstab.theory.escape import deepest


def labels_of(n):
    return np.tile([1.0, -1.0], n // 2)


@pytest.mark.parametrize("snr", [0.0, 0.05, 0.2, 2.0])
@pytest.mark.parametrize("alpha", [0.1, 0.3])
def test_all_filters_active_is_linear_data(snr, alpha):
    """One mask for all leaves noise that all samples share: solved by other equations."""
    n_retain, n_forget, dim, m = 64, 16, 160, 3
    n = n_retain + n_forget
    found = measured_masks.escape(
        np.ones((n, 2 * m)), labels_of(n), n_retain, dim, snr, alpha, signal_filters=(m, m)
    )
    known = deepest(
        n_retain, n_forget, dim, alpha, own=0.0, shared=2.0 * dim / m,
        signal=snr**2 * dim / m, classes=2,
    )  # fmt: skip
    assert found.through_signal == known.through_signal
    assert found.curvature == pytest.approx(known.curvature, rel=1e-6)
    assert found.resistance == pytest.approx(known.resistance, rel=1e-3)


def sampled(masks, labels, n_retain, dim, snr, alpha, signal_filters, draws, rng):
    """Mean and standard error of (x, Ψ) over noise drawn anew, by a dense eigenproblem."""
    m = masks.shape[1] / 2
    n = len(labels)
    weights = np.r_[np.full(n_retain, (1 - alpha) / n_retain),
                    np.full(n - n_retain, -alpha / (n - n_retain))]  # fmt: skip
    found = []
    for _ in range(draws):
        noise = rng.standard_normal((n, dim))
        gram = (noise @ noise.T) * (masks.astype(float) @ masks.T) / m**2
        for side, active in zip((1, -1), signal_filters, strict=True):
            inside = labels == side
            gram += snr**2 * dim * active / m**2 * np.outer(inside, inside)
        root = np.linalg.cholesky(gram)
        values, vectors = np.linalg.eigh(root.T @ (weights[:, None] * root))
        squares = (root @ vectors[:, 0]) ** 2
        found.append([-values[0], squares[:n_retain].mean() / squares[n_retain:].mean()])
    return np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(draws)


def test_uneven_dependent_masks_against_sampled_matrices(rng):
    """Masks that differ between classes; the form for independent ones is a tenth off."""
    n, n_retain, dim, m = 160, 128, 480, 4
    labels = labels_of(n)
    chance = np.where(labels[:, None] > 0, np.r_[[0.8] * m, [0.3] * m], np.r_[[0.3] * m, [0.8] * m])
    masks, active = rng.random((n, 2 * m)) < chance, (m + 1.0, m - 1.0)
    for snr in (0.0, 1.0):
        settings = (n_retain, dim, snr, 0.3)
        mean, error = sampled(masks, labels, *settings, active, 6, rng)
        found = measured_masks.escape(masks, labels, *settings, signal_filters=active)
        assert found.through_signal == (snr > 0)
        ratios = np.array([found.curvature, found.resistance]) / mean
        assert (np.abs(ratios - 1.0) < 0.06 + 3.0 * error / mean).all()
        wrong = cnn.escape(n_retain, n - n_retain, dim, snr, m, 0.3)
        assert abs(wrong.curvature / mean[0] - 1.0) > 0.1


def test_scale_of_the_mixing_and_the_limit_of_strong_signals():
    masks = np.random.default_rng(0).random((60, 16)) < 0.5
    found = measured_masks.escape(masks, labels_of(60), 48, 150, 1e4, 0.3)
    assert found.resistance == pytest.approx((0.3 / 0.7) ** 2, rel=0.05)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [1, -1, 2]}, "labels must be ±1, one of each of the 4 masks"),
        ({"noise_masks": np.full((4, 6), 0.5)}, "noise_masks must be 0 or 1 over 2m filters"),
        ({"noise_masks": np.ones((4, 5))}, "noise_masks must be 0 or 1 over 2m filters, got 5"),
        ({"noise_masks": [[1.0], [1.0, 0.0]]}, "noise_masks must be a rectangular array"),
        ({"n_retain": 4}, r"n_retain must lie in \[1, n - 1=3\], got 4"),
        ({"alpha": 1.0}, r"alpha must lie in \(0, 1\), got 1.0"),
        ({"signal_filters": (7.0, 1.0)}, r"signal_filters must lie in \[0, 6\]"),
    ],
)
def test_bad_input(changes, message):
    arguments = {"noise_masks": np.ones((4, 6)), "labels": [1, -1, 1, -1], "n_retain": 2,
                 "dim": 9, "snr": 1.0, "alpha": 0.3}  # fmt: skip
    with pytest.raises((TypeError, ValueError), match=message):
        measured_masks.escape(**(arguments | changes))


def test_a_strong_signal_has_a_limit(rng):
    """Beyond some SNR nothing changes, however large the signal's own curvature."""
    masks, labels = rng.random((24, 6)) < 0.5, labels_of(24)
    near, far = (measured_masks.escape(masks, labels, 18, 60, snr, 0.3) for snr in (1e5, 1e40))
    assert near.through_signal and far.through_signal
    assert far.curvature == pytest.approx(near.curvature, rel=1e-6)
    assert far.resistance == pytest.approx(near.resistance, rel=1e-4)


def test_masks_may_be_tensors(rng):
    torch = pytest.importorskip("torch")
    masks, labels = rng.random((12, 4)) < 0.5, labels_of(12)
    given = measured_masks.escape(torch.tensor(masks), torch.tensor(labels), 8, 30, 1.0, 0.3)
    assert given == measured_masks.escape(masks, labels, 8, 30, 1.0, 0.3)


def test_small_mixings_follow_their_limit(rng):
    """x ∝ α and Ψ ∝ α²; once 80 times too deep at 1e-6, at a negative price, and 0 at 1e-200."""
    masks, labels = rng.random((24, 8)) < 0.5, np.tile([1, -1], 12)
    found = {
        alpha: measured_masks.escape(masks, labels, 18, 100, 1.0, alpha)
        for alpha in (1e-3, 1e-4, 1e-5, 1e-7, 1e-12, 1e-100)
    }
    near = found[1e-5]
    assert near.curvature > 0.0 and near.resistance > 0.0
    for alpha, one in found.items():
        share = alpha / 1e-5
        assert one.curvature == pytest.approx(share * near.curvature, rel=5e-3)
        assert one.resistance == pytest.approx(share**2 * near.resistance, rel=0.05)
    with pytest.raises(ValueError, match=r"alpha must be at least n_forget/1e\+305"):
        signal_plus_noise.escape(48, 12, 150, 0.3, 1e-308)
