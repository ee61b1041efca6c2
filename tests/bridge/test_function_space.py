"""Function-space runs against weights stepped one by one, with autograd of the batch loss."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rmtstab import bridge  # noqa: E402

N_RETAIN, N_FORGET, N_TEST = 9, 4, 3


def make_data(kind, seed=0):
    g = torch.Generator().manual_seed(seed)
    n = N_RETAIN + N_FORGET + N_TEST
    x = torch.randn(n, 5, generator=g, dtype=torch.float64)
    y = {
        "classes": torch.randint(3, (n,), generator=g),
        "real": torch.randn(n, 3, generator=g, dtype=torch.float64),
        "binary": torch.randint(2, (n, 3), generator=g).double(),
    }[kind]
    cuts = N_RETAIN, N_RETAIN + N_FORGET
    return [(part, y[at]) for part, at in ((x[: cuts[0]], slice(0, cuts[0])),
            (x[cuts[0] : cuts[1]], slice(*cuts)), (x[cuts[1] :], slice(cuts[1], n)))]  # fmt: skip


def make_model(kind):
    torch.manual_seed(1)
    if kind == "linear":
        return torch.nn.Linear(5, 3).double()
    return torch.nn.Sequential(
        torch.nn.Linear(5, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)
    ).double()


def stepped(model, loss, data, plan, cell, replica, preconditioner, forget_loss=None):
    """Step the linearised network's weights; yield outputs and weights at every step."""
    names = [name for name, _ in model.named_parameters()]
    start = torch.cat([p.detach().flatten() for p in model.parameters()])
    x = torch.cat([part[0] for part in data])

    def outputs(flat):
        parts = torch.split(flat, [p.numel() for p in model.parameters()])
        pairs = zip(names, parts, model.parameters(), strict=True)
        state = {name: part.view(p.shape) for name, part, p in pairs}
        return torch.func.functional_call(model, state, (x,))

    jacobian = torch.func.jacrev(outputs)(start)  # (N, C, d)
    at_start = outputs(start).detach()
    w, velocity = start.clone(), torch.zeros_like(start)
    p = torch.ones_like(start) if preconditioner is None else preconditioner
    eta, alpha = plan.step_size[cell], plan.alpha[cell]
    for step, batches in enumerate(plan.batches()):
        f = at_start + jacobian @ (w - start)
        yield f, w.clone()
        slope = torch.zeros_like(w)
        for k, drawn in enumerate(batches):
            if drawn is None:
                continue
            chosen = torch.as_tensor(drawn[0][replica])
            if drawn[1] is not None:
                chosen = chosen[torch.as_tensor(drawn[1][replica])]
            if not len(chosen):
                continue
            at = chosen + (0, N_RETAIN)[k]
            leaf = f[at].clone().requires_grad_()
            function = forget_loss if k and forget_loss else loss
            value = function(leaf, data[k][1][chosen])
            (own,) = torch.autograd.grad(value, leaf)
            if drawn[1] is not None and getattr(function, "reduction", "mean") == "mean":
                own = own * len(chosen) / plan.batch_size[k]
            sign = (1.0 - alpha, -alpha)[k]
            slope += sign * torch.einsum("nc,ncd->d", own, jacobian[at])
        velocity = plan.momentum * velocity + p * slope + plan.weight_decay * w
        w = w - eta * plan.schedule[step] * velocity
    yield at_start + jacobian @ (w - start), w


OPTIONS = [
    {},
    {"sampling": "with_replacement", "momentum": 0.7},
    {"sampling": "bernoulli", "weight_decay": 0.2},
    {"sampling": "shuffled", "momentum": 0.5, "weight_decay": 0.1},
    {"schedule": lambda step: 1.0 / (1.0 + step), "update": "alternating"},
    {"momentum": 0.8, "weight_decay": 0.3, "update": "alternating", "sampling": "bernoulli"},
]
LOSSES = {
    "cross entropy": (torch.nn.CrossEntropyLoss(), "classes"),
    "summed": (torch.nn.CrossEntropyLoss(reduction="sum"), "classes"),
    "class weights": (
        torch.nn.CrossEntropyLoss(weight=torch.tensor([9.0, 1.0, 0.2], dtype=torch.float64)),
        "classes",
    ),
    "smoothed": (torch.nn.CrossEntropyLoss(label_smoothing=0.2), "classes"),
    "mse": (torch.nn.MSELoss(), "real"),
    "half squared": (bridge.half_squared_error, "real"),
    "bce": (torch.nn.BCEWithLogitsLoss(), "binary"),
    "own": (lambda f, y: (f - y).abs().pow(1.5).mean(), "real"),
}


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o) or "plain")
def test_runs_are_those_of_the_linearised_network(options):
    check_against_weights("cross entropy", options, preconditioned="weight_decay" in options)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_the_user_s_own_batch_loss(name):
    # a weighted mean over a Bernoulli batch has no one definition
    options = {} if name == "class weights" else {"sampling": "bernoulli"}
    check_against_weights(name, options, preconditioned=False)


def check_against_weights(name, options, preconditioned):
    loss, kind = LOSSES[name]
    data, model = make_data(kind), make_model("tanh")
    p, given = None, None
    if preconditioned:
        given = {k: 0.3 + torch.rand_like(v) for k, v in model.named_parameters()}
        p = torch.cat([value.flatten() for value in given.values()])
    net = bridge.linearise(model, loss, *data, preconditioner=given)
    run = net.run([0.05, 0.4], (3, 2), [0.3, 0.6], 9, replicas=3, rng=2, **options)
    for cell, replica in ((0, 0), (1, 2)):
        path = list(stepped(model, loss, data, run.plan, cell, replica, p))
        for k, part in enumerate(("retain", "forget", "test")):
            cut = sum((N_RETAIN, N_FORGET, N_TEST)[:k])
            own = slice(cut, cut + (N_RETAIN, N_FORGET, N_TEST)[k])
            expected = [float(loss(f[own], data[k][1])) for f, _ in path]
            got = getattr(run, f"{part}_loss")[cell, replica]
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11)
        start = path[0][1]
        moved = [(w - start) ** 2 / (1.0 if p is None else p) for _, w in path]
        lengths = [float(m.sum()) ** 0.5 for m in moved]
        np.testing.assert_allclose(run.displacement[cell, replica], lengths, atol=1e-9)
        kept = net.coefficients(run, np.array([[4], [9]]), replica=replica)
        step = (4, 9)[cell]
        weights = net.weights(kept.values[cell, 0], float(kept.scale[cell, 0]))
        flat = torch.cat([weights[k].flatten() for k, _ in model.named_parameters()])
        np.testing.assert_allclose(flat.numpy(), path[step][1].numpy(), atol=1e-10)


def test_another_loss_on_the_forget_set_need_not_be_convex():
    """NPO, negated since the forget set is ascended, with a reference a sample in the targets."""
    data, model = make_data("classes"), make_model("tanh")
    retain, (x, y), test = data
    with torch.no_grad():
        reference = model(x).log_softmax(-1)

    def npo(f, target):
        labels, before = target[:, 0].long(), target[:, 1:]
        ratio = (f.log_softmax(-1) - before).gather(1, labels[:, None])[:, 0]
        return torch.nn.functional.logsigmoid(-2.0 * ratio).mean()

    targets = torch.cat([y[:, None].double(), reference], dim=1)
    loss = torch.nn.CrossEntropyLoss()
    net = bridge.linearise(model, loss, retain, (x, targets), forget_loss=npo)
    run = net.run(0.3, (3, 2), 0.5, 6, replicas=2, rng=0)
    own = [retain, (x, targets), test]
    path = list(stepped(model, loss, own, run.plan, 0, 1, None, forget_loss=npo))
    expected = [float(npo(f[N_RETAIN : N_RETAIN + N_FORGET], targets)) for f, _ in path]
    np.testing.assert_allclose(run.forget_loss[1], expected, rtol=1e-9)
    with pytest.raises(ValueError, match="convex"):
        net.problem()


def test_exact_where_the_network_is_linear_in_its_weights():
    data, model, loss = make_data("classes"), make_model("linear"), torch.nn.CrossEntropyLoss()
    net = bridge.linearise(model, loss, *data)
    run = net.run(0.5, (3, 2), 0.4, 8, replicas=1, rng=0, momentum=0.6)
    velocity = [torch.zeros_like(p) for p in model.parameters()]
    for step, ((r, _), (f, _)) in enumerate(run.plan.batches()):
        for k, name in enumerate(("retain", "forget", "test")):
            with torch.no_grad():
                value = float(loss(model(data[k][0]), data[k][1]))
            assert getattr(run, f"{name}_loss")[0, step] == pytest.approx(value, rel=1e-10)
        value = 0.6 * loss(model(data[0][0][r[0]]), data[0][1][r[0]])
        value = value - 0.4 * loss(model(data[1][0][f[0]]), data[1][1][f[0]])
        slopes = torch.autograd.grad(value, list(model.parameters()))
        with torch.no_grad():
            for p, v, slope in zip(model.parameters(), velocity, slopes, strict=True):
                p -= 0.5 * v.mul_(0.6).add_(slope)


def test_cells_and_replicas_are_what_they_are_alone():
    net = bridge.linearise(make_model("tanh"), torch.nn.CrossEntropyLoss(), *make_data("classes"))
    grid = net.run([[0.1], [0.9]], (3, 2), [0.0, 0.5, 1.0], 7, replicas=4, rng=5)
    assert grid.retain_loss.shape == (2, 3, 4, 8)
    alone = net.run(0.9, (3, 2), 0.5, 7, replicas=2, rng=5)
    np.testing.assert_allclose(alone.retain_loss, grid.retain_loss[1, 1, :2], rtol=1e-12)
    small = net.run(
        [[0.1], [0.9]], (3, 2), [0.0, 0.5, 1.0], 7, replicas=4, rng=5, memory_budget=1.0
    )
    np.testing.assert_allclose(small.retain_loss, grid.retain_loss, rtol=1e-12)
    sparse = net.run(0.9, (3, 2), 0.5, 7, replicas=2, rng=5, record_every=3)
    np.testing.assert_array_equal(sparse.steps, [0, 3, 6, 7])
    np.testing.assert_allclose(sparse.forget_loss, alone.forget_loss[:, sparse.steps], rtol=1e-12)


def test_outputs_beyond_the_floating_point_range_collapse_and_forget():
    loss = bridge.half_squared_error
    net = bridge.linearise(make_model("linear"), loss, *make_data("real"))
    run = net.run([1e-3, 1e6], (9, 4), 0.9, 120, replicas=2, rng=0)
    assert np.isinf(run.retain_loss[1, :, -1]).all() and not np.isnan(run.retain_loss).any()
    assert np.isfinite(run.collapse_step[1]).all() and np.isfinite(run.forget_step[1]).all()
    assert np.isfinite(run.retain_loss[0]).all()  # the cell beside it is not touched


def set_loss(loss, y, outputs):
    """A set's loss as the bridge reads it, on outputs of a linear network."""
    from rmtstab.bridge.data_sets import read_samples
    from rmtstab.bridge.loss_reading import read_loss
    from rmtstab.bridge.network import Network
    from rmtstab.bridge.set_loss import SetLoss

    width = 1 if outputs.dim() == 1 else outputs.shape[1]
    layers = [torch.nn.Linear(2, width)] + [torch.nn.Flatten(0)] * (outputs.dim() == 1)
    network = Network(torch.nn.Sequential(*layers).double())
    samples = read_samples("retain", (torch.zeros(len(y), 2, dtype=torch.float64), y))
    network.learn_shape(samples)
    flat = outputs.reshape(len(outputs), -1)
    return SetLoss(read_loss(loss, network, samples, flat), samples.targets), flat


def test_fast_cross_entropy_is_the_closed_form_also_far_out():
    g = torch.Generator().manual_seed(0)
    y = torch.randint(4, (6,), generator=g)
    for scale in (1.0, 800.0):
        f = scale * torch.randn(6, 4, generator=g, dtype=torch.float64)
        own, flat = set_loss(torch.nn.CrossEntropyLoss(), y, f)
        assert float(own.values(flat)) == pytest.approx(
            float(torch.nn.functional.cross_entropy(f, y)), rel=1e-13
        )
        np.testing.assert_allclose(
            own._fast.gradients(flat, y), own.loss.gradients(flat, y), atol=1e-15
        )
        np.testing.assert_array_equal(own.each(flat)[1], own.loss.accuracy(flat, y))


@pytest.mark.parametrize(
    ("targets", "right"),
    [
        ([1.0, -1.0, 1.0], [True, True, False]),  # signs of labels ±1
        ([1.0, 0.0, 1.0], [True, True, False]),  # sides of one half
        ([0.3, -2.0, 1.0], None),  # a regression has no right and wrong
    ],
)
def test_accuracy_of_squared_losses(targets, right):
    f = torch.tensor([0.8, -0.7, -0.2], dtype=torch.float64)
    own, flat = set_loss(torch.nn.MSELoss(), torch.tensor(targets, dtype=torch.float64), f)
    found = float(own.accuracy(flat))
    assert np.isnan(found) if right is None else found == np.mean(right)


def test_accuracy_of_one_hot_targets():
    f = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]], dtype=torch.float64)
    y = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    own, flat = set_loss(torch.nn.MSELoss(), y, f)
    assert float(own.accuracy(flat)) == 0.5
    assert float(own.accuracy(flat * float("nan"))) == 0.0


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("moves", [False, True])
def test_differences_of_outputs_are_enough_for_softmax(monkeypatch, classes, moves):
    """The same runs with all C outputs; what the kernel changes by is held in single precision."""
    g = torch.Generator().manual_seed(3)
    x, y = torch.randn(14, 4, generator=g).double(), torch.randint(classes, (14,), generator=g)
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, classes)
    ).double()
    net = bridge.linearise(
        model, torch.nn.CrossEntropyLoss(label_smoothing=0.1), (x[:9], y[:9]), (x[9:12], y[9:12]),
        (x[12:], y[12:]),
    )  # fmt: skip
    settings = {"replicas": 3, "rng": 0, "momentum": 0.5, "weight_decay": 0.1}
    if moves:
        net = net.refine(net.run([0.1, 0.5], (3, 2), 0.6, 12, **settings))
        assert net.space.bends
    assert net.space.contrasts.outputs.shape == (14, classes - 1)
    found = net.run([0.1, 0.5], (3, 2), 0.6, 12, **settings)
    monkeypatch.setattr(bridge.function_space, "CONTRASTED", 0)
    del net.space.__dict__["contrasts"]
    expected = net.run([0.1, 0.5], (3, 2), 0.6, 12, **settings)
    assert net.space.contrasts is net.space
    for name in ("retain_loss", "forget_loss", "test_loss", "displacement"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name),
                                   rtol=1e-6 if moves else 1e-11)  # fmt: skip
    np.testing.assert_array_equal(found.retain_accuracy, expected.retain_accuracy)


@pytest.mark.parametrize("kind", ["classes", "real"])
def test_products_in_single_precision(kind):
    loss = torch.nn.CrossEntropyLoss() if kind == "classes" else torch.nn.MSELoss()
    net = bridge.linearise(make_model("tanh"), loss, *make_data(kind))
    runs = [
        net.run([0.05, 0.3], (3, 2), 0.3, 20, replicas=2, rng=0, momentum=0.4, precision=p)
        for p in ("double", "single")
    ]
    apart = np.abs(runs[1].retain_loss / runs[0].retain_loss - 1.0).max()
    assert 1e-12 < apart < 1e-5
    np.testing.assert_array_equal(net.check(runs[1]).steps, net.check(runs[0]).steps)
    with pytest.raises(ValueError, match="precision must be one of 'double', 'single', got 'half'"):
        net.run(0.1, 2, 0.3, 2, rng=0, precision="half")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_gives_the_numbers_of_the_cpu():
    data, model = make_data("classes"), make_model("tanh")
    runs = []
    for device in ("cpu", "cuda"):
        net = bridge.linearise(model, torch.nn.CrossEntropyLoss(), *data, device=device)
        runs.append(net.run([0.1, 0.5], (3, 2), 0.5, 20, rng=0, momentum=0.5))
        net.check(runs[-1])
    np.testing.assert_allclose(runs[1].retain_loss, runs[0].retain_loss, rtol=1e-9)


def test_lack_of_memory_is_not_read_as_lack_of_second_derivatives(monkeypatch):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr("rmtstab.bridge.space_reading.pushforward", full)
    torch.manual_seed(0)
    model, x, y = torch.nn.Linear(3, 2), torch.randn(6, 3), torch.tensor([0, 1, 0, 1, 1, 0])
    with pytest.raises(torch.OutOfMemoryError):
        bridge.linearise(model, torch.nn.CrossEntropyLoss(), (x[:4], y[:4]), (x[4:], y[4:]))


def test_labels_that_are_all_one_are_parted_where_those_of_the_other_set_are():
    """Forgetting class 1 of labels 0/1 under a squared error: half way, not 0."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, generator=g, dtype=torch.float64)
    y = (x[:, :1] > 0).double()
    model = torch.nn.Linear(6, 1).double()
    with torch.no_grad():
        solution = torch.linalg.lstsq(torch.cat([x, torch.ones(40, 1)], dim=1).double(), y).solution
        model.weight.copy_(solution[:6].T)
        model.bias.copy_(solution[6])
    forget = torch.where(y[:, 0] == 1)[0][:8]
    retain = torch.tensor([i for i in range(40) if i not in forget])
    data = (x[retain], y[retain]), (x[forget], y[forget])
    net = bridge.linearise(model, torch.nn.MSELoss(), *data)
    settings = {"step_size": 0.02, "batch_size": (10, 8), "alpha": 0.5, "steps": 60, "rng": 0}
    predicted = net.run(replicas=1, **settings)
    real = bridge.unlearn(model, torch.nn.MSELoss(), *data, replicas=1, **settings)
    outputs = net.predicted_outputs(predicted, (), 30)[1]
    assert predicted.forget_accuracy[0, 30] == np.mean(outputs > 0.5) < 1.0
    np.testing.assert_array_equal(predicted.forget_accuracy, real.forget_accuracy)
    np.testing.assert_array_equal(predicted.forget_step, real.forget_step)


def test_class_labels_tell_right_from_wrong_whatever_the_loss():
    """A negative cross-entropy that is ascended learns the forget set."""
    net = bridge.linearise(
        make_model("tanh"), torch.nn.CrossEntropyLoss(), *make_data("classes"),
        forget_loss=lambda f, y: -torch.nn.functional.cross_entropy(f, y),
    )  # fmt: skip
    run = net.run(0.5, (9, 4), 0.5, 60, replicas=1, rng=0)
    labels = make_data("classes")[1][1].numpy()
    for step in (0, 5, 60):
        outputs = net.predicted_outputs(run, (), step)[1]
        assert run.forget_accuracy[0, step] == np.mean(outputs.argmax(axis=1) == labels)
    assert run.forget_accuracy[0, -1] == 1.0


def test_whole_numbers_that_are_no_classes_are_not_taken_for_them():
    """Levels under an ordinal loss of C − 1 outputs; a forget set without the top level."""

    def ordinal(f, level):
        above = level[:, None] > torch.arange(f.shape[1])
        return torch.nn.functional.binary_cross_entropy_with_logits(f, above.to(f))

    g = torch.Generator().manual_seed(0)
    x = torch.randn(30, 4, generator=g).double()
    level = (x[:, 0] > -0.5).long() + (x[:, 0] > 0.5).long()
    low = torch.where(level < 2)[0]
    data = (x, level), (x[low[:6]] + 0.01, level[low[:6]])
    net = bridge.linearise(torch.nn.Linear(4, 2).double(), ordinal, *data)
    assert all(np.isnan(reference.accuracy) for reference in net.references[:2])


@pytest.mark.parametrize(
    ("retain", "forget", "cuts"),
    [
        ([0.0, 1.0, 1.0], [1.0, 1.0], [0.5, 0.5]),
        ([-1.0, 1.0, 1.0], [1.0, 1.0], [0.0, 0.0]),
        ([1.0, 1.0, 1.0], [0.0, 1.0], [0.5, 0.5]),
        ([0.3, 2.0, -1.0], [1.0, 0.0], [None, None]),  # real numbers, two of which are 0 and 1
        ([1.0, 1.0, 1.0], [1.0, 1.0], [0.0, 0.0]),
    ],
)
def test_where_labels_are_parted(retain, forget, cuts):
    model, loss = torch.nn.Linear(2, 1).double(), torch.nn.MSELoss()
    sets = [torch.tensor(t).double()[:, None] for t in (retain, forget, [0.0, 1.0])]
    data = [(torch.randn(len(t), 2).double(), t) for t in sets]
    for test in ((), data[2:]):  # which has no say
        net = bridge.linearise(model, loss, *data[:2], *test)
        assert [own.cut for own in net.space.losses[:2]] == cuts


def test_labels_of_two_outputs_are_not_read_off_the_first():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(12, 4, generator=g).double()
    y = (x[:, 0] > 0).double()
    net = bridge.linearise(
        torch.nn.Linear(4, 2).double(),
        lambda f, t: torch.nn.functional.cross_entropy(f, t.long()), (x[:8], y[:8]), (x[8:], y[8:]),
    )  # fmt: skip
    assert np.isnan(net.references[0].accuracy)


def test_logits_under_a_loss_of_one_s_own_are_parted_at_zero():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(12, 4, generator=g).double()
    y = (x[:, :1] > 0).double()
    data = (x[:8], y[:8]), (x[8:], y[8:])
    model = torch.nn.Linear(4, 1).double()
    for loss in (
        torch.nn.BCEWithLogitsLoss(),
        lambda f, t: torch.nn.functional.softplus((1.0 - 2.0 * t) * f).mean(),
    ):
        net = bridge.linearise(model, loss, *data)
        right = ((model(x[:8]) > 0) == (y[:8] > 0.5)).double().mean()
        assert net.references[0].accuracy == pytest.approx(float(right))


def test_a_test_set_changes_no_verdict():
    """Chance, for a loss that knows of no right answers, is that of what is trained on."""
    data, loss = make_data("real"), torch.nn.MSELoss()
    far = 10.0 * data[2][0], 10.0 * data[2][1]
    nets = [bridge.linearise(make_model("tanh"), loss, *data[:2], part) for part in (None, far)]
    for own, other in zip(nets[0].references[:2], nets[1].references[:2], strict=True):
        assert own[:2] == other[:2]


def wandering(classes=4):
    """A network whose long steps depend on every digit."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 10, generator=g).double(), torch.randint(classes, (60,), generator=g)
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(10, 16), torch.nn.Tanh(), torch.nn.Linear(16, classes)
    ).double()
    loss = torch.nn.CrossEntropyLoss()
    return bridge.linearise(model, loss, (x[:40], y[:40]), (x[40:], y[40:])), y[:40]


@pytest.mark.parametrize("precision", ["double", "single"])
def test_what_is_kept_of_a_run_is_of_that_run(precision):
    net, y = wandering()
    run = net.run(20.0, 5, 0.0, 150, rng=0, replicas=2, precision=precision)
    outputs = torch.as_tensor(net.predicted_outputs(run, (), 150)[0])
    value = float(torch.nn.functional.cross_entropy(outputs, y))
    assert value == pytest.approx(
        run.retain_loss[0, -1], rel=1e-3 if precision == "single" else 1e-9
    )


def test_a_masked_class_leaves_the_others_their_digits():
    class Masked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(4, 3)

        def forward(self, x):
            lowest = torch.finfo(torch.float32).min
            return self.linear(x).masked_fill(torch.tensor([False, False, True]), lowest)

    g = torch.Generator().manual_seed(0)
    x, y = 3.0 * torch.randn(12, 4, generator=g), torch.arange(12) % 2
    data = (x[:8], y[:8]), (x[8:], y[8:])
    model, loss = Masked(), torch.nn.CrossEntropyLoss()
    run = bridge.linearise(model, loss, *data).run(0.3, 4, 0.0, 30, rng=0, replicas=2)
    real = bridge.unlearn(model, loss, *data, step_size=0.3, batch_size=4, alpha=0.0, steps=30,
                          rng=0, replicas=2)  # fmt: skip
    np.testing.assert_allclose(run.retain_loss, real.retain_loss, rtol=1e-4)
    assert run.retain_loss[0, -1] < 0.9 * run.retain_loss[0, 0]


def test_decay_does_not_move_the_kernel_before_the_step():
    """With momentum as small as nothing the same run, on the path that keeps a velocity."""
    net, _ = wandering()
    settings = {"step_size": 1.0, "batch_size": 5, "alpha": 0.2, "steps": 20, "rng": 0,
                "replicas": 2, "weight_decay": 0.05}  # fmt: skip
    fine = net.refine(net.run(**settings))
    assert fine.space.bends
    runs = [fine.run(momentum=beta, **settings) for beta in (0.0, 1e-15)]
    np.testing.assert_allclose(runs[0].retain_loss, runs[1].retain_loss, rtol=1e-6)
