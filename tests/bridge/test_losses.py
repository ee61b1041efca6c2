"""Losses read as weighted sums over samples, against autograd of the user's batch loss."""

import itertools
from functools import partial

import mpmath
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.func import grad, jacrev  # noqa: E402
from torch.nn import functional  # noqa: E402

from rmtstab import bridge  # noqa: E402
from rmtstab.bridge.data_sets import read_samples  # noqa: E402
from rmtstab.bridge.loss_reading import read_loss  # noqa: E402
from rmtstab.bridge.network import Network  # noqa: E402
from rmtstab.bridge.softmax_loss import SoftmaxLoss  # noqa: E402

N = 9
CLASS_WEIGHTS = torch.tensor([10, 1, 1, 1, 0.1])


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def labels(*shape, ignored=()):
    found = torch.randint(0, 5, shape, generator=torch.Generator().manual_seed(1))
    for place in ignored:
        found[place] = -100
    return found


def as_read(loss, shape, targets):
    """The loss read on a network whose outputs have this shape, and those outputs."""
    count = int(torch.Size(shape).numel())
    torch.manual_seed(0)
    last = nn.Unflatten(1, shape) if shape else nn.Flatten(0)
    model = nn.Sequential(nn.Linear(4, count), last).double()
    network = Network(model)
    samples = read_samples("retain", (draw(N, 4), targets))
    outputs = 2.0 * network.outputs(samples)
    return read_loss(loss, network, samples, outputs), outputs, samples.targets


def token_loss(outputs, targets):  # as language models are trained: logits (n, T, C)
    return functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())


def weighted_by_hand(outputs, targets):
    each = functional.cross_entropy(outputs, targets, reduction="none")
    weight = CLASS_WEIGHTS.to(outputs)[targets]
    return (weight * each).sum() / weight.sum()


def masked(outputs, targets):  # control flow on the data: vmap cannot
    kept = targets != -100
    return functional.cross_entropy(outputs[kept], targets[kept])


ONE_IGNORED, A_ROW_IGNORED = labels(N, ignored=[3]), labels(N, 3, ignored=[(2, slice(1, 3)), 5])
CASES = {
    "cross-entropy": (nn.CrossEntropyLoss(), (5,), labels(N)),
    "functional": (functional.cross_entropy, (5,), labels(N)),
    "ignored": (nn.CrossEntropyLoss(), (5,), ONE_IGNORED),
    "class weights": (nn.CrossEntropyLoss(weight=CLASS_WEIGHTS), (5,), ONE_IGNORED),
    "partial": (partial(functional.cross_entropy, weight=CLASS_WEIGHTS), (5,), ONE_IGNORED),
    "smoothing": (nn.CrossEntropyLoss(label_smoothing=0.1), (5,), ONE_IGNORED),
    "smoothing, weights": (
        nn.CrossEntropyLoss(weight=CLASS_WEIGHTS, label_smoothing=0.2), (5,), ONE_IGNORED,
    ),
    "soft": (nn.CrossEntropyLoss(), (5,), draw(N, 5, seed=2).softmax(1)),
    "soft, weights": (
        nn.CrossEntropyLoss(weight=CLASS_WEIGHTS, label_smoothing=0.2), (5,),
        draw(N, 5, seed=2).softmax(1),
    ),
    "tokens": (nn.CrossEntropyLoss(), (5, 3), A_ROW_IGNORED),
    "tokens, weights": (nn.CrossEntropyLoss(weight=CLASS_WEIGHTS), (5, 3), A_ROW_IGNORED),
    "tokens last": (token_loss, (3, 5), A_ROW_IGNORED),
    "tokens padded with 0": (
        lambda f, y: functional.cross_entropy(f.flatten(0, 1), y.flatten(), ignore_index=0),
        (3, 5), labels(N, 3),
    ),
    "tokens, smoothing": (
        lambda f, y: functional.cross_entropy(f.flatten(0, 1), y.flatten(), label_smoothing=0.1),
        (3, 5), A_ROW_IGNORED,
    ),
    "tokens per sample": (lambda f, y: token_loss(f, y) * y.numel() / len(y), (3, 5), labels(N, 3)),
    "masked": (masked, (5,), ONE_IGNORED),
    "by hand": (weighted_by_hand, (5,), labels(N)),
    "summed": (nn.CrossEntropyLoss(reduction="sum", weight=CLASS_WEIGHTS), (5,), ONE_IGNORED),
    "mse": (nn.MSELoss(), (5,), draw(N, 5, seed=3)),
    "mse of a scalar": (nn.MSELoss(), (), draw(N, seed=3)),
    "mse of images": (nn.MSELoss(), (2, 3), draw(N, 2, 3, seed=3)),
    "mse by hand": (lambda f, y: (f - y).square().mean(), (5,), draw(N, 5, seed=3)),
    "mse summed": (nn.MSELoss(reduction="sum"), (5,), draw(N, 5, seed=3)),
    "half squared": (bridge.half_squared_error, (5,), draw(N, 5, seed=3)),
    "logistic": (bridge.logistic, (), draw(N, seed=3).sign()),
    "bce": (nn.BCEWithLogitsLoss(), (5,), draw(N, 5, seed=3).sigmoid().round()),
    "bce, weights": (
        nn.BCEWithLogitsLoss(pos_weight=CLASS_WEIGHTS, weight=CLASS_WEIGHTS.flip(0)), (5,),
        draw(N, 5, seed=3).sigmoid(),
    ),
    "huber": (nn.HuberLoss(delta=0.5), (5,), draw(N, 5, seed=3)),
    "smooth l1": (nn.SmoothL1Loss(beta=0.5), (5,), draw(N, 5, seed=3)),
    "gaussian": (
        nn.GaussianNLLLoss(full=True), (5,), (draw(N, 5, seed=3), draw(N, 5, seed=4).square() + 0.1)
    ),
    "gaussian, one variance a sample": (
        nn.GaussianNLLLoss(), (5,), (draw(N, 5, seed=3), draw(N, seed=4).square() + 0.1)
    ),
    "gaussian, one variance a row": (
        nn.GaussianNLLLoss(), (2, 3),
        (draw(N, 2, 3, seed=3), draw(N, 2, 1, seed=4).square() + 0.1),
    ),
    "gaussian by hand": (
        lambda f, y: functional.gaussian_nll_loss(f, y, torch.full_like(f, 0.3)), (5,),
        draw(N, 5, seed=3),
    ),
    "squared hinge": (
        lambda f, y: functional.relu(1.0 - y * f).square().mean(), (), draw(N, seed=3).sign(),
    ),
    "log cosh": (lambda f, y: (f - y).cosh().log().mean(), (2, 3), draw(N, 2, 3, seed=3)),
    "kl to a reference": (
        lambda f, y: functional.kl_div(f.log_softmax(1), y, reduction="batchmean"), (5,),
        draw(N, 5, seed=2).softmax(1),
    ),
    "poisson": (nn.PoissonNLLLoss(), (5,), draw(N, 5, seed=3).exp().round()),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_derivatives_are_those_of_the_batch_loss(case):
    """Gradients and Hessian of the whole batch, off-diagonal blocks included: read as
    batches of one, class weights and padding would miss by 10 % and more.
    """
    loss, shape, targets = CASES[case]
    found, outputs, targets = as_read(loss, shape, targets)
    user = loss.double() if isinstance(loss, nn.Module) else loss
    if isinstance(loss, partial):
        user = partial(functional.cross_entropy, weight=CLASS_WEIGHTS.double())
    if isinstance(targets, tuple):
        batch = lambda f: user(f.reshape(N, *shape), *targets)  # noqa: E731
    else:
        batch = lambda f: user(f.reshape(N, *shape), targets)  # noqa: E731
    slopes = torch.autograd.functional.jacobian(batch, outputs).numpy()
    hessian = jacrev(grad(batch))(outputs).numpy()
    omega = found.batch_weights(found.masses(targets)).numpy()
    roots = found.roots(outputs, targets).dense().numpy()
    ours = np.zeros_like(hessian)
    ours[np.arange(N), :, np.arange(N)] = omega[:, None, None] * (roots @ roots.swapaxes(1, 2))
    np.testing.assert_allclose(ours, hessian, atol=1e-14 * np.abs(hessian).max())
    gradients = omega[:, None] * found.gradients(outputs, targets).numpy()
    np.testing.assert_allclose(gradients, slopes, atol=1e-14 * np.abs(slopes).max())
    total = float(omega @ found.values(outputs, targets).numpy())
    assert total == pytest.approx(float(batch(outputs)), rel=1e-13)
    if found.bound is not None and found.normalised:
        assert np.linalg.eigvalsh(roots @ roots.swapaxes(1, 2)).max() <= found.bound + 1e-12


@pytest.mark.parametrize("case", ["class weights", "tokens", "by hand", "summed", "masked"])
def test_weights_of_any_batch(case):
    """ω of drawn batches from masses of the whole set, all batches at once."""
    loss, shape, targets = CASES[case]
    found, outputs, targets = as_read(loss, shape, targets)
    batches = torch.tensor([[0, 1, 2], [6, 3, 7], [4, 8, 1]])
    weights = found.batch_weights(found.masses(targets)[batches])
    values = found.values(outputs, targets)
    for omega, at in zip(weights, batches, strict=True):
        whole = loss(outputs[at].reshape(3, *shape), targets[at])
        assert float(omega @ values[at]) == pytest.approx(float(whole), rel=1e-12)


def test_token_losses_are_recognised():
    """Flattened tokens as the cross-entropy that they are: no dense Hessian over T·C outputs."""
    for case in ("tokens last", "tokens padded with 0", "masked", "by hand"):
        assert CASES[case] and isinstance(as_read(*CASES[case])[0], SoftmaxLoss)
    for case in ("tokens, smoothing", "tokens per sample", "poisson"):
        assert not isinstance(as_read(*CASES[case])[0], SoftmaxLoss)


def test_logits_with_classes_last_are_read_by_torch_modules_too():
    """(n, T, C) logits and (n, T) labels, which torch's own module refuses."""
    weight = CLASS_WEIGHTS
    found, outputs, targets = as_read(nn.CrossEntropyLoss(weight=weight), (3, 5), A_ROW_IGNORED)
    first = functional.cross_entropy(
        outputs.reshape(N, 3, 5).movedim(-1, 1), targets, weight=weight.double()
    )
    omega = found.batch_weights(found.masses(targets))
    assert float(omega @ found.values(outputs, targets)) == pytest.approx(float(first), rel=1e-13)
    assert "last axis" in found.notes[0]


def test_softmax_roots_have_one_column_less_and_no_cancellation():
    """At confidence 1 − 1e-30 the root of diag p − ppᵀ is right to the last digits."""
    logits = torch.tensor([[0.0, -69.0, -70.0], [30.0, 0.0, -800.0]], dtype=torch.float64)
    found, *_ = as_read(nn.CrossEntropyLoss(), (3,), torch.zeros(N, dtype=torch.int64))
    root = found.roots(logits, torch.tensor([0, 1])).dense().numpy()
    assert root.shape == (2, 3, 2)
    with mpmath.workdps(80):
        for row, r in zip(logits.tolist(), root, strict=True):
            e = [mpmath.exp(x) for x in row]
            p = [x / mpmath.fsum(e) for x in e]
            for i, j in itertools.product(range(3), repeat=2):
                exact = float((p[i] if i == j else 0) - p[i] * p[j])
                size = float(mpmath.sqrt(p[i] * (1 - p[i]) * p[j] * (1 - p[j])))
                assert abs(float(r[i] @ r[j]) - exact) <= 1e-14 * size + 1e-320


def test_autograd_roots_drop_the_null_direction():
    """A saturated softmax written by hand: rounding is no curvature, and no refusal."""
    found, outputs, targets = as_read(
        lambda f, y: functional.cross_entropy(f, y, label_smoothing=0.1), (5,), labels(N)
    )
    for scale in (1.0, 20.0):
        roots = found.roots(scale * outputs, targets).dense()
        ranks = torch.linalg.matrix_rank(roots, rtol=1e-14)
        assert int(ranks.max()) <= 4 and bool((roots[..., 0] == 0).all())


@pytest.mark.parametrize(
    ("loss", "shape", "targets", "error", "message"),
    [
        (nn.CrossEntropyLoss, (5,), labels(N), TypeError, r"pass CrossEntropyLoss\(\)"),
        ("mse", (5,), labels(N), TypeError, "loss must be callable, got 'mse'"),
        (nn.MSELoss(reduction="none"), (5,), draw(N, 5), ValueError, "one number a batch"),
        (nn.MSELoss(), (), draw(N, 1), ValueError, r"outputs' shape \(9,\), got \(9, 1\)"),
        (nn.CrossEntropyLoss(), (5,), labels(N) + 2, ValueError, r"\[0, 4\] or be ignore.* got"),
        (nn.CrossEntropyLoss(), (5,), labels(N) - 7, ValueError, "labels must lie in .* got -7"),
        (nn.CrossEntropyLoss(), (5,), draw(N), ValueError, "must be integers .* or soft labels"),
        (nn.CrossEntropyLoss(), (4, 5), labels(N, 3), ValueError, "classes on axis 1"),
        (nn.CrossEntropyLoss(), (5,), -draw(N, 5).abs(), ValueError, "soft labels must be >= 0"),
        (nn.BCEWithLogitsLoss(), (), draw(N).sign(), ValueError, r"must lie in \[0, 1\], got -1"),
        (bridge.logistic, (), (draw(N) > 0).double(), ValueError, "must be -1 or [+]1, got 0"),
        (nn.GaussianNLLLoss(), (5,), draw(N, 5), ValueError, "must be a pair"),
        (
            nn.GaussianNLLLoss(), (5,), (draw(N, 1), draw(N, 5).exp()),
            ValueError, r"outputs' shape \(9, 5\), got \(9, 1\)",
        ),
        (nn.BCEWithLogitsLoss(), (), labels(N) % 2, ValueError, r"int64; use targets.float\(\)"),
        (nn.CrossEntropyLoss(), (5,), labels(N)[:, None], ValueError, r"targets.squeeze\(-1\)"),
        (
            nn.CrossEntropyLoss(), (5,), functional.one_hot(labels(N), 5),
            ValueError, r"pass classes, targets.argmax\(1\)",
        ),
        (
            lambda f, y: functional.cross_entropy(functional.dropout(f, 1e-9), y),
            (5,), labels(N), ValueError, "loss must be deterministic, got one that draws",
        ),
        (lambda f, y: f.norm(), (5,), draw(N, 5), ValueError, "weighted mean or sum"),
        (
            lambda f, y: functional.cross_entropy(f - f.mean(0), y),
            (5,), labels(N), ValueError, "depends on the rest of the batch",
        ),
        (lambda f, y: (f - y).square().mean(), (), draw(N, 1), ValueError, r"targets \(9, 1\)"),
        (lambda f, y: f @ y, (5,), draw(N, 5), ValueError, "loss must accept outputs"),
        (
            nn.CrossEntropyLoss(), (5,), 0 * labels(N) - 100,
            ValueError, "targets must count in the loss, got 9 that are all ignored",
        ),
        (
            nn.CrossEntropyLoss(weight=torch.eye(5)[4].double()), (5,), 0 * labels(N),
            ValueError, "targets must count in the loss, got 9 that are all ignored or of weight 0",
        ),
    ],
)  # fmt: skip
def test_losses_that_cannot_be_read_are_refused(loss, shape, targets, error, message):
    with pytest.raises(error, match=message):
        as_read(loss, shape, targets)


def test_losses_that_are_not_convex_are_refused():
    def preference(outputs, targets):  # negative preference optimisation
        gap = functional.cross_entropy(outputs, targets, reduction="none")
        return -functional.logsigmoid(gap).mean()

    found, outputs, targets = as_read(preference, (5,), labels(N))
    with pytest.raises(ValueError, match=r"convex in the outputs, got .* only convex losses"):
        found.roots(outputs, targets)


def test_kl_is_convex_one_way_only():
    """KL(reference || model) is cross-entropy with soft labels; the other way is refused."""
    reference = draw(N, 5, seed=2).log_softmax(1)
    found, outputs, targets = as_read(
        lambda f, y: functional.kl_div(f.log_softmax(1), y, log_target=True, reduction="batchmean"),
        (5,),
        reference,
    )
    p = outputs.softmax(1)
    roots = found.roots(outputs, targets).dense()
    torch.testing.assert_close(roots @ roots.mT, p.diag_embed() - p[:, :, None] * p[:, None])
    found, outputs, targets = as_read(
        lambda f, y: (f.softmax(1) * (f.log_softmax(1) - y)).sum(1).mean(), (5,), reference
    )
    with pytest.raises(ValueError, match=r"only convex .*KL\(model \|\| reference\) .* are not"):
        found.roots(outputs, targets)


def test_a_plain_mean_in_float32_weighs_samples_evenly():
    """Rounding of the loss was taken for weights of the batch, and a note said so."""
    found, _, targets = as_read(
        lambda f, y: functional.cross_entropy(f.float(), y), (5,), labels(N)
    )
    assert bool((found.masses(targets) == 1.0).all())


def test_elementwise_functions_cost_no_dense_hessian():
    found, outputs, targets = as_read(*CASES["log cosh"])
    assert found.roots(outputs, targets).blocks.shape == (N, 6, 1, 1)
    found, outputs, targets = as_read(*CASES["tokens, smoothing"])
    assert found.roots(outputs, targets).blocks.shape == (N, 1, 15, 15)


def test_a_loss_that_keeps_float32_inside_is_read_in_float32():
    weight = CLASS_WEIGHTS.clone()
    found, outputs, targets = as_read(
        lambda f, y: functional.cross_entropy(f.float(), y, weight=weight, label_smoothing=0.1),
        (5,),
        labels(N),
    )
    exact, *_ = as_read(nn.CrossEntropyLoss(weight=weight, label_smoothing=0.1), (5,), labels(N))
    assert found.epsilon == torch.finfo(torch.float32).eps
    r, s = (loss.roots(outputs, targets).dense().numpy() for loss in (found, exact))
    np.testing.assert_allclose(r @ r.swapaxes(1, 2), s @ s.swapaxes(1, 2), atol=1e-6)
    assert int(torch.linalg.matrix_rank(torch.tensor(r)).max()) == 4
