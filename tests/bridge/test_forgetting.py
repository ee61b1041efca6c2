"""Measures of forgetting against counts by hand, and on networks that did and did not forget."""

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch")

from rmtstab import bridge  # noqa: E402

SHADOWS, SEEN = np.ones((4, 2)), np.arange(8).reshape(4, 2) % 4 < 2


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


def shadow_problem(rng, n=100, shadows=16, level=10.0):
    """Confidences φ of n samples of different difficulty, 3 higher where trained on; spread 2."""
    seen = rng.permuted(np.tile(np.arange(shadows)[:, None] < shadows // 2, (1, n)), axis=0)
    truth = np.arange(n) < n // 2
    hard = rng.normal(level, 2.0, n)
    own, others = (hard + 3.0 * x + rng.normal(0.0, 2.0, x.shape) for x in (truth, seen))
    return own, others, seen, truth


def cross_entropy(phi, dtype):
    """Of two logits φ and 0, as torch computes it in some precision."""
    margin = torch.tensor(phi.ravel(), dtype=dtype)
    logits = torch.stack([margin, torch.zeros_like(margin)], dim=1)
    zeros = torch.zeros(len(margin), dtype=torch.long)
    return torch.nn.functional.cross_entropy(logits, zeros, reduction="none").reshape(phi.shape)


def test_losses_that_rounded_to_zero_do_not_swallow_the_variance(rng):
    """One float32 loss of twenty is 0 here; they are judged like losses in double precision.

    A floor at 1e-15 whatever the dtype (φ = 34.5, where the others end at 16): AUC .789 for .856.
    """
    found = {"double": [], "single": [], "array": [], "items": [], "old": []}
    for _ in range(10):
        own, others, seen, truth = shadow_problem(rng)
        single = [cross_entropy(x, torch.float32) for x in (own, others)]
        losses = {
            "double": [cross_entropy(x, torch.float64) for x in (own, others)],
            "single": single,
            "array": [x.numpy() for x in single],
            "items": [x.tolist() for x in single],
            "old": [x.double().clamp(min=1e-15) for x in single],  # no zeros: as they are
        }
        for name, pair in losses.items():
            found[name].append(bridge.shadow_model_attack(*pair, seen, truth).auc)
    mean = {name: np.mean(values) for name, values in found.items()}
    assert abs(mean["single"] - mean["double"]) < 0.01
    assert found["single"] == found["array"] == found["items"]
    assert mean["old"] < mean["double"] - 0.04


@pytest.mark.parametrize(
    ("dtype", "floor"),
    [(torch.float32, 2.0**-24), (torch.float16, 2.0**-11), (torch.bfloat16, 2.0**-8),
     (torch.float64, 2.0**-53)],
)  # fmt: skip
def test_a_loss_of_zero_counts_as_the_resolution_of_its_dtype(rng, dtype, floor):
    own, others, seen, truth = shadow_problem(rng, n=30, level=-np.log(floor))
    own, others = (cross_entropy(x, dtype) for x in (own, others))
    assert (own == 0).any()
    lifted = [np.maximum(x.double().numpy(), floor) for x in (own, others)]
    found = bridge.shadow_model_attack(own, others, seen, truth)
    assert found == bridge.shadow_model_attack(*lifted, seen, truth)
    # mixed precision: the coarser of the two holds for both
    mixed = bridge.shadow_model_attack(own.double(), others, seen, truth)
    assert mixed == found


def test_small_losses_that_their_dtype_resolves_are_not_floored(rng):
    """Softplus in float32 resolves 1e-38: φ = 25 is no rounding."""
    own, others, seen, truth = shadow_problem(rng, level=25.0)
    single, double = (
        [np.logaddexp(0.0, -x.astype(dtype)) for x in (own, others)]
        for dtype in (np.float32, np.float64)
    )
    assert single[0].dtype == np.float32 and 0 < single[0].max() < 2.0**-24
    exact = bridge.shadow_model_attack(*double, seen, truth)
    assert bridge.shadow_model_attack(*single, seen, truth).auc == pytest.approx(
        exact.auc, abs=1e-3
    )
    assert exact.auc > 0.75


def test_large_and_infinite_losses_are_told_apart(rng):
    """Losses around 800, 20 smaller where trained on: no two tie."""
    seen = rng.permuted(np.tile(np.arange(16)[:, None] < 8, (1, 40)), axis=0)
    truth = np.arange(40) < 20
    shadows = 800.0 - 20.0 * seen + rng.normal(size=seen.shape)
    own = 800.0 - 20.0 * truth + rng.normal(size=40)
    assert bridge.shadow_model_attack(own, shadows, seen, truth).auc == 1.0
    own[-1] = np.inf  # as the largest of all: in the attack of order it is a sure non-member
    largest = np.append(own[:-1], max(own[:-1].max(), shadows.max()))
    found = bridge.shadow_model_attack(own, shadows, seen, truth)
    assert found == bridge.shadow_model_attack(largest, shadows, seen, truth)
    small = [x - 700.0 for x in (own, shadows)]
    counted = np.append(small[0][:-1], 745.0)
    assert bridge.shadow_model_attack(*small, seen, truth) == bridge.shadow_model_attack(
        counted, small[1], seen, truth
    )


def test_infinite_losses_have_an_order_in_the_threshold_attack():
    assert bridge.loss_threshold_attack([1.0], [-np.inf]).auc == 0.0
    assert bridge.loss_threshold_attack([-np.inf], [-np.inf]).auc == 0.5
    found = bridge.loss_threshold_attack([1.0, np.inf], [2.0, np.inf])
    assert (found.auc, found.true_positive_rate) == (0.625, 0.5)


@pytest.mark.parametrize("m", [1, 2, 5, 20])
def test_interval_covers_where_members_are_memorised_or_not_at_all(m):
    """The exact coverage with the greatest variance of all: a member is below all others, or above.

    Rule fixed before: 95 % at every true value, whatever the number of others. ±1.96 of Hanley
    and McNeil's standard errors, which vanish when the samples part, cover a fraction.
    """
    others = np.ones(m + 3)
    attacks = [
        bridge.loss_threshold_attack([0.0] * k + [2.0] * (m - k), others) for k in range(m + 1)
    ]
    inside = {"interval": 1.0, "normal": 1.0}
    for true in np.linspace(0.02, 0.98, 49):
        chance = stats.binom.pmf(np.arange(m + 1), m, true)
        low, high = np.array([a.interval for a in attacks]).T
        reach = 1.96 * np.nan_to_num([a.standard_error for a in attacks])
        near = np.abs(np.arange(m + 1) / m - true) <= reach
        inside["interval"] = min(inside["interval"], chance[(low <= true) & (true <= high)].sum())
        inside["normal"] = min(inside["normal"], chance[near].sum())
    assert inside["interval"] >= 0.95
    assert inside["normal"] < 0.7


def test_interval_covers_normal_losses_of_few_samples(rng):
    """Rule fixed before: at least 95 % less four standard errors of 600 draws, at AUC .9."""
    shift = np.sqrt(2.0) * stats.norm.ppf(0.9)
    draws = rng.normal(size=(600, 12))
    found = [bridge.loss_threshold_attack(x[:5], x[5:] + shift).interval for x in draws]
    covered = np.mean([low <= 0.9 <= high for low, high in found])
    assert covered >= 0.95 - 4.0 * np.sqrt(0.95 * 0.05 / 600)


def test_samples_that_part_completely_are_no_certainty():
    """Of k pairs the true value may be as small as .025^(1/k), at which they part in 1 of 40."""
    for m, n in ((1, 1), (1, 50), (5, 9), (20, 20)):
        found = bridge.loss_threshold_attack(np.zeros(m), np.ones(n))
        assert found.auc == 1.0 and np.isnan(found.standard_error)
        assert found.interval == pytest.approx((0.025 ** (1 / min(m, n)), 1.0), rel=1e-9)
        swapped = bridge.loss_threshold_attack(np.ones(m), np.zeros(n))
        assert swapped.interval == pytest.approx((0.0, 1 - 0.025 ** (1 / min(m, n))), rel=1e-9)
    assert np.isnan(bridge.loss_threshold_attack([1.5], [1.0, 2.0]).standard_error)
    # Hanley and McNeil: AUC ¾ of two and two: (¾·¼ + .6 − ¾² + 1.125/1.75 − ¾²)/4
    some = bridge.loss_threshold_attack([1.0, 3.0], [2.0, 4.0])
    assert some.standard_error == pytest.approx(np.sqrt((0.1875 + 0.6 + 9 / 14 - 1.125) / 4))


def test_each_token_is_a_sample():
    """Outputs (n, C, T…), the classes' axis where torch has it or where the model has it."""
    f = np.array([[2.0, 0, 0, 9, 0, 0, 0, 0]])
    g = np.array([[2.0, 0, 0, 8, 0, 1, 0, 0]])
    rows = bridge.retraining_distance(f.reshape(2, 4).T, g.reshape(2, 4).T)
    p = 1.0 / (1.0 + np.exp([-9.0, -8.0, 1.0]))
    assert rows.total_variation == pytest.approx((p[0] - p[1] + 0.5 - p[2]) / 4)
    tokens = [x.reshape(1, 2, 4) for x in (f, g)]
    assert bridge.retraining_distance(*tokens) == rows
    last = [x.transpose(0, 2, 1) for x in tokens]
    assert bridge.retraining_distance(*last, class_axis=-1) == rows
    images = [x.reshape(1, 2, 2, 2) for x in (f, g)]
    assert bridge.retraining_distance(*images) == rows
    flat = bridge.retraining_distance(f, g)  # one softmax over classes and tokens: not the same
    assert flat.total_variation < 0.2 * rows.total_variation
    # independent logits, one class axis of length 1
    single = bridge.retraining_distance([[[1.0, -2.0]]], [[[-1.0, -2.0]]])
    assert single == bridge.retraining_distance([1.0, -2.0], [-1.0, -2.0])


def test_predicted_token_outputs_are_reshaped_to_the_model_s_own():
    class Tagger(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 2)

        def forward(self, x):
            return self.layer(x).transpose(1, 2)  # (n, T, C) to (n, C, T)

    torch.manual_seed(0)
    model = Tagger()
    x, y = torch.randn(6, 4, 3), torch.randint(0, 2, (6, 4))
    net = bridge.linearise(model, torch.nn.CrossEntropyLoss(), (x[:4], y[:4]), (x[4:], y[4:]))
    run = net.run(0.1, 2, 0.5, steps=4, rng=0)
    start = net.predicted_outputs(run, (), 0)[1].reshape(2, 2, 4)
    real = model(x[4:])
    found = bridge.retraining_distance(start, real)
    assert found.disagreement == 0.0 and found.output_distance < 1e-5


def test_outputs_that_vanish_alike_are_not_apart():
    assert bridge.retraining_distance([[0.0, 0.0]], [[0.0, 0.0]]).output_distance == 0.0
    assert bridge.retraining_distance([[1.0, 0.0]], [[0.0, 0.0]]).output_distance == np.inf


def test_half_precision_outputs_are_read():
    outputs = torch.eye(3, dtype=torch.bfloat16, requires_grad=True)
    assert bridge.retraining_distance(outputs, torch.eye(3)).output_distance == 0.0


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
        (
            lambda: bridge.loss_threshold_attack([1.0], [3.0, np.nan, np.nan]),
            r"other_losses must hold no NaN, got 2 of 3, the first at \[1\]",
        ),
        (
            lambda: bridge.retraining_distance(np.ones((2, 3)), np.ones((2, 3)), class_axis=0),
            "class_axis must be an axis beside the samples', got 0",
        ),
        (
            lambda: bridge.retraining_distance(np.ones((2, 3)), np.ones((2, 3)), class_axis=2),
            r"class_axis must lie in \[-1, 1\], got 2",
        ),
        (lambda: bridge.retraining_distance(1.0, 1.0), "outputs must have an axis of samples"),
        (lambda: bridge.retraining_distance([[1.0]], [1.0]), "retrained must have the outputs'"),
        (
            lambda: bridge.shadow_model_attack(
                [1.0, 1.0], np.ones((3, 2)), np.ones((3, 2), bool), np.array([True, False])
            ),
            "trained_on must have each sample in and out of at least two shadow models, got 2",
        ),
        (
            lambda: bridge.shadow_model_attack([0.1, -0.3], SHADOWS, SEEN, [True, False]),
            r"losses must be cross-entropies.*got -0.3, 1 of 2, the first at \[1\]: clip at 0",
        ),
        (
            lambda: bridge.shadow_model_attack([0.1, 0.3], SHADOWS - 2.0, SEEN, [True, False]),
            r"shadow_losses must be cross-entropies.*8 of 8, the first at \[0, 0\].*"
            "give other losses to loss_threshold_attack",
        ),
        (
            lambda: bridge.shadow_model_attack(
                [0.1, 0.3], np.where(np.eye(4, 2) > 0, np.inf, SHADOWS), SEEN, [True, False]
            ),
            r"shadow_losses must be finite, got inf, 2 of 8, the first at \[0, 0\]: take them of",
        ),
        (
            lambda: bridge.shadow_model_attack([0.1, 0.3], SHADOWS, SEEN, [True, True]),
            "members must hold members and others",
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
