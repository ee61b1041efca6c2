"""Entry points refuse what they cannot read rightly, and leave everything as it was."""

import copy
import itertools
import random
import threading
from collections import OrderedDict

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from rmtstab import bridge  # noqa: E402


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


X, Y = draw(20, 8), torch.arange(20) % 3
RETAIN, FORGET = (X[:16], Y[:16]), (X[16:], Y[16:])
LOSS = nn.CrossEntropyLoss()


def net(*between, inputs=8):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 6), nn.Tanh(), *between, nn.Linear(6, 3))


class Centred(nn.Module):
    """Sees the rest of the batch."""

    def __init__(self, strength=1.0):
        super().__init__()
        self.inner, self.strength = net(), strength

    def forward(self, x):
        return self.inner(x - self.strength * x.mean(0))


class Noisy(nn.Module):
    """Draws from other generators than torch's."""

    def __init__(self, draw):
        super().__init__()
        self.inner, self.draw = net(), draw

    def forward(self, x):
        return self.inner(x) * (1.0 + self.draw())


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = net()

    def forward(self, x):
        return self.inner(x).detach()


def nan_weights():
    model = net()
    with torch.no_grad():
        model[2].weight[1, 1] = float("nan")
    return model


def problem(model, loss=LOSS, retain=RETAIN, forget=FORGET, **options):
    return bridge.problem(model, loss, retain, forget, **options)


def factors(model, loss=LOSS, retain=RETAIN, forget=FORGET, **options):
    return bridge.sample_factors(model, loss, retain, **options)


def sharpness(model, loss=LOSS, retain=RETAIN, forget=FORGET, **options):
    return bridge.largest_hessian_eigenvalue(model, loss, retain, **options)


def gram(model, loss=LOSS, retain=RETAIN, forget=FORGET, **options):
    network = bridge.Network(model, **options)
    return bridge.jacobian_gram(network, bridge.read_samples("data", retain))


def product(model, loss=LOSS, retain=RETAIN, forget=FORGET, **options):
    network = bridge.Network(model, **options)
    return bridge.pullback(network, bridge.read_samples("data", retain), torch.ones(16, 3))


def routes(model, loss=LOSS, retain=RETAIN, forget=FORGET, **options):
    network = bridge.Network(model, **options)
    return bridge.plan(network, bridge.read_samples("data", retain))


ENTRIES = pytest.mark.parametrize("entry", [problem, factors, sharpness])
REFUSED = {
    "dropout": (lambda: net(nn.Dropout(0.1)), "must be deterministic.*Dropout '2'"),
    "train mode": (lambda: net(nn.BatchNorm1d(6)), "must be deterministic.*BatchNorm1d '2'"),
    "no statistics": (
        lambda: net(nn.BatchNorm1d(6, track_running_stats=False)).eval(),
        "batch of one sample.*BatchNorm1d '2'",
    ),
    "centred": (Centred, "must treat samples independently, got outputs that change"),
    "slightly centred": (lambda: Centred(1e-5), "must treat samples independently"),
    "numpy noise": (lambda: Noisy(np.random.rand), "must be deterministic"),
    "python noise": (lambda: Noisy(random.random), "must be deterministic"),
    "NaN weights": (nan_weights, "must have finite weights, got NaN weights in '2.weight'"),
    "detached": (Detached, "must move the outputs, got none of 4 that does"),
    "overflow": (
        lambda: nn.Sequential(net(), nn.Threshold(1e9, float("inf"))),
        "must give finite outputs, got NaN or infinity at .* sample 0",
    ),
}


@pytest.mark.parametrize("entry", [problem, factors, sharpness, gram, product, routes])
@pytest.mark.parametrize("case", [case for case in REFUSED if case != "overflow"])
def test_models_that_are_no_function_of_a_sample_are_refused_everywhere(entry, case):
    build, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        entry(build())


@ENTRIES
def test_outputs_that_overflow_are_refused(entry):
    build, message = REFUSED["overflow"]
    with pytest.raises(ValueError, match=message):
        entry(build())


@ENTRIES
@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (net().state_dict(), TypeError, r"got a state dict; build the model.*weights_only=True"),
        (lambda x: x, TypeError, "model must be a torch.nn.Module, got function"),
        (nn.Linear(8, 3, device="meta"), ValueError, "on one device that holds data, got meta"),
        (nn.DataParallel(net()), TypeError, "plain torch.nn.Module, got a DataParallel"),
        (nn.Tanh(), ValueError, "parameters must name at least one parameter, got none"),
    ],
)
def test_what_is_no_model_is_refused_everywhere(entry, model, error, message):
    with pytest.raises(error, match=message):
        entry(model)


@ENTRIES
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"retain": (X[:0], Y[:0])}, ValueError, "must hold at least one sample, got 0"),
        ({"retain": (X[:16], Y[:16] + 1)}, ValueError, r"labels must lie in \[0, 2\].*got 3"),
        ({"retain": (X[:16, :5], Y[:16])}, ValueError, "must accept .* batch .*cannot be multi"),
        ({"retain": (X[:16].double(), Y[:16])}, ValueError, "float64, got RuntimeError.*float32"),
        (
            {"retain": DataLoader(TensorDataset(X, Y), shuffle=True)},
            ValueError, "got a loader that shuffles",
        ),
        ({"device": "cuda:99"}, ValueError, "device must be one of cpu"),
        ({"parameters": ["0.wait"]}, ValueError, "parameters must be one of '0.weight'"),
        ({"output": "logits"}, ValueError, "output must be None .*, got .logits."),
        ({"preconditioner": 3.0}, TypeError, "preconditioner must be a dict"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_everywhere(entry, change, error, message):
    with pytest.raises(error, match=message):
        entry(net(), **change)


def test_sets_that_do_not_fit_one_another_are_refused():
    with pytest.raises(ValueError, match=r"must accept .* torch.float64, got RuntimeError"):
        problem(net(), forget=(X[16:].double(), Y[16:]))
    tokens = nn.Sequential(nn.Unflatten(1, (-1, 1)), nn.Linear(1, 3))
    with pytest.raises(ValueError, match=r"outputs of shape \(8, 3\) for every set, got \(5, 3\)"):
        problem(tokens, forget=(X[16:, :5], Y[16:]))


def test_the_check_for_noise_can_be_left_out_but_not_that_for_independence():
    with pytest.raises(ValueError, match=r"samples independently.*Dropout"):
        problem(net(nn.Dropout()), check_deterministic=False)


def test_shared_samples_are_named():
    forget = torch.cat([X[16:18], X[[3, 5]]]), Y[:4]
    with pytest.warns(UserWarning, match=r"forget 2 \(= retain 3\), 3 \(= retain 5\); they are"):
        problem(net(), forget=forget)


def test_outputs_that_cancel_are_not_taken_for_dependence():
    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 3)).double()
    with torch.no_grad():
        model[0].weight[1], model[0].bias[1] = model[0].weight[0], model[0].bias[0]
        model[0].weight[3], model[0].bias[3] = model[0].weight[2], model[0].bias[2]
        model[1].weight[:, 1], model[1].weight[:, 3] = (
            -model[1].weight[:, 0],
            -model[1].weight[:, 2],
        )
        model[1].bias.zero_()
    assert problem(model, retain=(X[:16].double(), Y[:16]), forget=()).n_retain == 16


class Fussy(nn.Module):
    """Everything that reading may disturb."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(10, 8, max_norm=0.5)
        self.clip = nn.ReLU(inplace=True)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(8, 3)

    def forward(self, x, index):
        return self.last(self.drop(self.norm(self.clip(x)) + self.table(index)))


def state_of(model, data):
    generators = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    return copy.deepcopy(
        {
            "weights": dict(model.state_dict()),
            "grads": [p.grad for p in model.parameters()],
            "flags": [p.requires_grad for p in model.parameters()],
            "modes": [m.training for m in model.modules()],
            "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
            "identities": [id(p) for p in model.parameters()],
            "dtype": torch.get_default_dtype(),
            "enabled": torch.is_grad_enabled(),
            "fast": torch.backends.mha.get_fastpath_enabled(),
            "data": data,
            "generators": [str(g) for g in generators],
        }
    )


def same(first, second):
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


@pytest.mark.parametrize("mode", ["eval", "train"])
@ENTRIES
def test_nothing_is_left_behind(entry, mode):
    """Weights under max_norm, inputs under in-place layers, gradients, buffers, modes, hooks,
    generators, also when the model is refused (train mode).
    """
    model = Fussy()
    model(X.clone(), Y).sum().backward()
    model.last.bias.requires_grad_(False)
    model.register_forward_hook(lambda *_: None)
    model = getattr(model, mode)()
    with torch.no_grad():
        model.table.weight.mul_(3.0)  # beyond max_norm again
    data = ((X.clone(), Y), Y)
    sets = [((a[:16], b[:16]), c[:16]) if k == 0 else ((a[16:], b[16:]), c[16:])
            for k, ((a, b), c) in enumerate([data, data])]  # fmt: skip
    before = state_of(model, data)
    if mode == "train":
        with pytest.raises(ValueError, match="must be deterministic"):
            entry(model, retain=sets[0], forget=sets[1])
    else:
        entry(model, retain=sets[0], forget=sets[1])
    assert same(before, state_of(model, data))


def test_the_default_dtype_does_not_matter():
    plain = problem(net())
    model = net()
    torch.set_default_dtype(torch.float64)
    try:
        again = problem(model)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(again.factors.matrix, plain.factors.matrix)


def test_wrapped_results_are_found():
    class Output(OrderedDict):
        """As language-model libraries return: a dict with attributes."""

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = net()

        def forward(self, x, mask=None):
            logits = self.inner(x)
            return Output(loss=logits.sum(), logits=logits, hidden=x)

    expected = problem(net()).factors.matrix
    model = Wrapped()
    as_dict = [{"x": x, "labels": y} for x, y in (RETAIN, FORGET)]
    for options in ({}, {"output": "logits"}, {"output": lambda result: result["logits"]}):
        for retain, forget in ((RETAIN, FORGET), as_dict):
            found = problem(model, retain=retain, forget=forget, **options)
            np.testing.assert_allclose(found.factors.matrix, expected, atol=1e-7)
    with pytest.raises(ValueError, match="output must be one of 'loss', 'logits', 'hidden', got"):
        problem(model, output="nothing")

    class Pair(Wrapped):
        def forward(self, x):
            return self.inner(x), x

    with pytest.raises(ValueError, match=r"output must choose one tensor .* a tuple of 2"):
        problem(Pair())
    found = problem(Pair(), output=lambda result: result[0])
    np.testing.assert_allclose(found.factors.matrix, expected, atol=1e-7)


def regularised(model):
    """Cross-entropy with a weight decay of its own, of the same model's weights."""
    return lambda f, y: LOSS(f, y) + 0.01 * sum(p.square().sum() for p in model.parameters())


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (nn.MultiMarginLoss(), "must be twice differentiable in the outputs, got .*MultiMargin"),
        (lambda f, y: LOSS(f.detach(), y), "must be differentiable in the outputs, got a value w"),
        (lambda f, y: (f.argmax(1) == y).double().mean(), "must be differentiable in the outputs"),
    ],
)
@ENTRIES
def test_losses_without_derivatives_are_refused(entry, loss, message):
    with pytest.raises(ValueError, match=message):
        entry(net(), loss=loss)


@ENTRIES
def test_a_loss_that_reads_the_weights_themselves_is_refused(entry):
    """Its Hessian has a part that no output sees: 0.02 on every weight here."""
    model = net()
    with pytest.raises(ValueError, match=r"through the outputs alone.*pass weight_decay="):
        entry(model, loss=regularised(model))
    assert all(p.grad is None for p in model.parameters())
    entry(net(), loss=regularised(nn.Linear(2, 2).requires_grad_(False)))  # a constant


@pytest.mark.parametrize("entry", [gram, product, routes])
def test_no_samples_are_refused_by_what_takes_samples(entry):
    with pytest.raises(ValueError, match="samples must hold at least one sample, got 0"):
        entry(net(), retain=(X[:0], Y[:0]))


@pytest.mark.parametrize("call", [bridge.linearise, bridge.unlearn, bridge.diagnose])
def test_state_dicts_are_refused_also_where_the_model_is_put_in_eval_mode(call):
    options = {"step_size": 0.1, "batch_size": 2, "alpha": 0.1, "steps": 2, "rng": 0}
    options = {} if call is bridge.linearise else options
    with pytest.raises(TypeError, match=r"got a state dict; build the model"):
        call(net().state_dict(), LOSS, RETAIN, FORGET, **options)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"chunk_size": 0}, ValueError, "chunk_size must be >= 1"),
        ({"seed": -1, "max_samples": 3}, ValueError, "seed must be >= 0"),
        ({"retain": (X[:16].to("meta"), Y[:16])}, ValueError, "retain must lie .*, got meta"),
        ({"retain": (X[:16].double(), Y[:16])}, ValueError, r"use inputs\.to\(torch\.float32\)"),
        ({"forget": (X[16:].double(), Y[16:])}, ValueError, "forget: model must accept the samp"),
        ({"output": "real"}, ValueError, "output must be None where the model returns one tensor"),
        ({"parameters": lambda *_: False}, ValueError, "parameters must name .* got none"),
    ],
)
def test_more_bad_arguments_of_problem(change, error, message):
    with pytest.raises(error, match=message):
        problem(net(), **change)


def test_a_frozen_model_is_told_how_to_thaw():
    with pytest.raises(ValueError, match=r"requires gradients; call model\.requires_grad_\(\)"):
        problem(net().requires_grad_(False))


class Scaled(nn.Module):
    """Divides by the spread of the batch: NaN for a batch of one."""

    def __init__(self):
        super().__init__()
        self.inner = net()

    def forward(self, x):
        outputs = self.inner(x)
        return outputs / outputs.std(0)


class Mixed(nn.Module):
    """Autocast inside the forward pass."""

    def __init__(self, raised):
        super().__init__()
        self.inner, self.raised = net(), raised

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = self.inner(x)
        return outputs.float() if self.raised else outputs


class OneWay(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, slope):
        raise RuntimeError("no way back")


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slope):
        return slope


def test_what_the_jacobian_s_reading_found_is_told():
    net_of = bridge.linearise(Of(Once.apply), LOSS, RETAIN, FORGET)
    assert "no second derivatives: weight decay cannot be followed" in net_of.notes
    with pytest.raises(ValueError, match="weight_decay must be 0 for a model without second"):
        net_of.run(0.1, 2, 0.5, 2, rng=0, weight_decay=0.1)


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = net()

    def forward(self, x):
        hidden = self.inner[1](self.inner[0](x))
        return torch.utils.checkpoint.checkpoint(self.inner[2], hidden, use_reentrant=True)


def test_checkpoints_are_read_as_the_layers_inside():
    """Of the kind that torch.autograd.grad refuses."""
    found, plain = (bridge.sample_factors(build(), LOSS, RETAIN) for build in (Checkpointed, net))
    assert plain.any() and np.array_equal(found, plain)


class Of(nn.Module):
    """What a function makes of a small net's outputs."""

    def __init__(self, function):
        super().__init__()
        self.inner, self.function = net(), function

    def forward(self, x):
        return self.function(self.inner(x))


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(8, 8, scale_grad_by_freq=True)
        self.inner = net()

    def forward(self, x):
        return self.inner(self.table(x.argmax(1)))


def at_least_two(outputs):
    assert len(outputs) > 1
    return outputs


@ENTRIES
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: net(nn.Dropout(1e-9)), "must be deterministic, got a .* draws .*Dropout '2'"),
        (
            lambda: Of(lambda f: nn.functional.dropout(f, 1e-9)),
            "deterministic, got a .* draws random",
        ),
        (Scaled, "must treat samples independently"),
        (lambda: Mixed(False), "must compute in the precision of its weights, .*autocast"),
        (lambda: Mixed(True), "must compute in the precision of its weights, .*autocast"),
        (lambda: nn.Sequential(nn.LazyLinear(3)), "initialised weights, got lazy '0.weight'"),
        (
            lambda: Of(OneWay.apply),
            "differentiable by torch.autograd.grad, got RuntimeError: no way back; look",
        ),
        (Words, "derivatives of its outputs, got Embedding 'table' with scale_grad_by_freq"),
        (lambda: Of(lambda f: f.argmax(1)), "must return real numbers, got torch.int64"),
        (lambda: Of(lambda f: f * 1j), "must return real numbers, got torch.complex64"),
        (lambda: Of(lambda f: {}["logits"]), "must accept the samples' inputs, .* KeyError"),
        (lambda: Of(at_least_two), "must accept a batch of one sample, got AssertionError"),
    ],
)
def test_more_models_are_refused_by_name(entry, model, message):
    with pytest.raises(ValueError, match=message):
        entry(model())


@ENTRIES
def test_inference_mode_is_refused_and_autocast_left_out(entry):
    plain = entry(net())
    with torch.inference_mode(), pytest.raises(ValueError, match=r"outside torch.inference_mode"):
        entry(net())
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        found = entry(net())
    if entry is problem:
        plain, found = plain.factors.matrix, found.factors.matrix
    np.testing.assert_array_equal(found, plain)


@pytest.mark.parametrize("precision", ["medium", "new"])
@ENTRIES
def test_products_are_not_rounded_further_whatever_the_program_allows(entry, precision):
    """torch rounds convolutions to TF32 on CUDA by default, products after this call."""
    places = [torch.backends.mkldnn.matmul, torch.backends.cudnn.conv]
    before = [place.fp32_precision for place in places]
    plain = entry(net())
    try:
        if precision == "medium":
            torch.set_float32_matmul_precision("medium")
        else:
            for place in places:
                place.fp32_precision = "tf32"
        allowed = [place.fp32_precision for place in places]
        found = entry(net())
        assert [place.fp32_precision for place in places] == allowed != before
    finally:
        if precision == "medium":
            torch.set_float32_matmul_precision("highest")
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value
    if entry is problem:
        plain, found = plain.factors.matrix, found.factors.matrix
    np.testing.assert_array_equal(found, plain)
    with bridge.Network(net()).differentiable():
        assert {place.fp32_precision for place in places} == {"ieee"}


class Remembering(nn.Module):
    """Keeps what it saw, as caches and counters do."""

    def __init__(self):
        super().__init__()
        self.inner, self.calls, self.seen, self.last = net(), 0, [], None

    def forward(self, x):
        self.calls += 1
        self.seen.append(len(x))
        self.last = self.inner(x)
        self.cached = self.last
        return self.last


@ENTRIES
def test_what_a_model_remembers_of_its_calls_is_left_as_it_was(entry):
    """A cached output would be a tensor of a batch that is gone; copies of the model failed."""
    model = Remembering()
    entry(model)
    assert model.calls == 0 and model.seen == [] and model.last is None
    assert not hasattr(model, "cached")


def test_a_loss_that_draws_leaves_the_generators_alone():
    before = torch.get_rng_state()
    for noise in (torch.randn_like, lambda f: 0.0 * torch.randn_like(f)):
        with pytest.raises(ValueError, match="loss must be deterministic, got one that draws"):
            problem(net(), loss=lambda f, y, noise=noise: LOSS(f + noise(f), y))
    assert torch.equal(torch.get_rng_state(), before)


def beside(draw, place):
    """What another thread draws during one call of many, as a scheduler's or a loader's may."""
    calls = itertools.count()

    def pass_on(first, *_):
        if next(calls) == place:
            thread = threading.Thread(target=draw)
            thread.start()
            thread.join()
        return first

    return pass_on


@pytest.mark.parametrize("draw", [random.random, np.random.rand, lambda: torch.rand(1)])
def test_what_another_thread_draws_is_not_the_models(draw):
    """A model was refused where a scheduler's thread drew during its first pass."""
    usual = problem(net())
    for place in range(4):  # the passes of the checks are among them
        turned = beside(draw, place)
        assert problem(Of(turned)).rank == usual.rank
        other = beside(draw, place)
        noisy = problem(net(), loss=lambda f, y, other=other: LOSS(other(f), y))
        assert noisy.rank == usual.rank


def test_gradient_hooks_are_noted():
    model = net()
    model[0].weight.register_hook(lambda gradient: 0.0 * gradient)
    plain, found = problem(net()), problem(model)
    np.testing.assert_array_equal(found.factors.matrix, plain.factors.matrix)
    assert any("gradient hooks of '0.weight' are not applied" in note for note in found.notes)


def test_a_loader_that_drops_samples_is_in_the_notes():
    loader = DataLoader(TensorDataset(*RETAIN), batch_size=5, drop_last=True)
    with pytest.warns(UserWarning, match="leaves out 1 of 16"):
        found = problem(net(), retain=loader)
    assert found.n_retain == 15
    assert any("retain: its loader has drop_last=True" in note for note in found.notes)
