"""Measures of forgetting against counts by hand, and on networks that did and did not forget."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rmtstab import bridge  # noqa: E402


def test_auc_is_the_share_of_ordered_pairs(rng):
    inside, outside = np.round(rng.exponential(size=30), 1), np.round(rng.exponential(size=20), 1)
    pairs = inside[:, None] - outside[None, :]
    found = bridge.loss_threshold_attack(inside, outside)
    assert found.auc == pytest.approx((pairs < 0).mean() + 0.5 * (pairs == 0).mean())
    cuts = np.concatenate([inside, outside, [-1.0]])
    best = max(0.5 * ((inside <= c).mean() + (outside > c).mean()) for c in cuts)
    assert found.balanced_accuracy == pytest.approx(best)
    rates = [((outside <= c).mean(), (inside <= c).mean()) for c in cuts]
    assert found.true_positive_rate == max(hit for false, hit in rates if false <= 0.05)


def test_no_knowledge_is_one_half_within_its_error(rng):
    found = bridge.loss_threshold_attack(rng.exponential(size=400), rng.exponential(size=400))
    assert abs(found.auc - 0.5) < 5 * found.standard_error < 0.15
    assert bridge.loss_threshold_attack([1.0, 1.0], [1.0]).auc == 0.5


def test_shadow_models_see_through_samples_of_different_difficulty(rng):
    """Losses differ more between samples than by membership: one threshold is nearly blind."""
    n, shadows = 200, 16
    hard = 4.0 * rng.standard_normal(n)
    half = np.arange(shadows)[:, None] < shadows // 2
    seen = rng.permuted(np.tile(half, (1, n)), axis=0)
    truth = np.arange(n) < n // 2

    def losses(member):
        phi = hard + 1.5 * member + 0.7 * rng.standard_normal(member.shape)
        return np.logaddexp(0.0, -phi)

    attacked = losses(truth)
    plain = bridge.loss_threshold_attack(attacked[truth], attacked[~truth])
    likelihood = bridge.shadow_model_attack(attacked, losses(seen), seen, truth)
    # known mean and variance on both sides: AUC = Φ(1.5/(√2·.7)) = .935
    assert likelihood.auc > 0.88 > 0.7 > plain.auc


def test_function_distance():
    same = np.array([[1.0, 0.0], [0.0, 2.0]])
    zero = bridge.retraining_distance(same, same)
    assert (zero.disagreement, zero.total_variation, zero.output_distance) == (0.0, 0.0, 0.0)
    swapped = bridge.retraining_distance(same[:, ::-1], same)
    p = 1 / (1 + np.exp(-np.array([1.0, 2.0])))
    assert swapped.disagreement == 1.0
    assert swapped.total_variation == pytest.approx(np.mean(2 * p - 1))
    one = bridge.retraining_distance([1.0, -2.0], [-1.0, -2.0])
    assert one.disagreement == 0.5
    two = bridge.retraining_distance([[0.0, 1.0], [0.0, -2.0]], [[0.0, -1.0], [0.0, -2.0]])
    assert one.total_variation == pytest.approx(two.total_variation)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bridge.loss_threshold_attack([], [1.0]), "member_losses must hold at least one"),
        (lambda: bridge.loss_threshold_attack([1.0], [np.nan]), "other_losses must hold"),
        (lambda: bridge.retraining_distance([[1.0]], [1.0]), "retrained must have the outputs'"),
        (
            lambda: bridge.shadow_model_attack(
                [1.0, 1.0], np.ones((3, 2)), np.ones((3, 2), bool), np.array([True, False])
            ),
            "trained_on must have each sample in and out of at least two shadow models, got 2",
        ),
        (
            lambda: bridge.shadow_model_attack([1.0], np.ones((3, 2)), np.eye(3, 2) > 0, [True]),
            r"shadow_losses and trained_on must have shape \(n_shadows, n=1\)",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
