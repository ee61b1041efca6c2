"""Grams accumulated over layers against explicit Jacobians by autograd, one row at a time."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from rmtstab import bridge  # noqa: E402
from rmtstab.bridge.contraction import add_kernel, add_pair, order_costs  # noqa: E402
from rmtstab.bridge.data_sets import read_samples  # noqa: E402
from rmtstab.bridge.gram import apply_roots, jacobian_gram  # noqa: E402
from rmtstab.bridge.jacobian_products import pullback, pushforward  # noqa: E402
from rmtstab.bridge.network import Network  # noqa: E402
from rmtstab.bridge.recording import trace  # noqa: E402
from rmtstab.bridge.separable import separate  # noqa: E402


def explicit_jacobian(model, inputs, names=None):
    """(n·C, d) by one backward pass a row of the whole batch's outputs: nothing of ours."""
    weights = [p for name, p in model.named_parameters() if names is None or name in names]
    outputs = model(inputs).reshape(len(inputs), -1)
    rows = [
        torch.autograd.grad(value, weights, retain_graph=True, materialize_grads=True)
        for value in outputs.flatten()
    ]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]).detach()


def read(model, inputs, **options):
    return Network(model, **options), read_samples("retain", (inputs, torch.zeros(len(inputs))))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


class Through(nn.Module):
    """A layer, then a nonlinear read-out of three outputs, so that slopes depend on everything."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        flat = torch.tanh(self.layer(x)).flatten(1)
        mix = torch.sin(torch.arange(3 * flat.shape[1], dtype=flat.dtype)).view(3, -1)
        return torch.sin(flat @ mix.T)


class Tied(nn.Module):
    """Token embedding shared with the output layer, and one layer applied three times."""

    def __init__(self):
        super().__init__()
        self.tokens, self.head = nn.Embedding(7, 5), nn.Linear(5, 7, bias=False)
        self.head.weight = self.tokens.weight
        self.again = nn.Linear(5, 5)

    def forward(self, x):
        states = self.tokens(x).mean(1)
        for _ in range(3):
            states = torch.tanh(self.again(states))
        return self.head(states)


class OutOfSight(nn.Module):
    """A weight used a second time where no layer sees it, and a free parameter."""

    def __init__(self):
        super().__init__()
        self.first, self.scale = nn.Linear(4, 4), nn.Parameter(torch.ones(4))

    def forward(self, x):
        return functional.linear(torch.tanh(self.first(x)) * self.scale, self.first.weight)


class SequenceFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(4, 5), nn.Linear(5, 2)

    def forward(self, x):  # (n, T, 4), inside as (T, n, 4)
        return self.head(torch.tanh(self.layer(x.transpose(0, 1))).sum(0))


class Frames(nn.Module):
    """Frames of a clip pass as further samples: n·T rows of a convolution."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Conv2d(1, 3, 2), nn.Linear(3, 2)

    def forward(self, x):
        clip = torch.tanh(self.layer(x.flatten(0, 1)[:, None])).mean((2, 3))
        return self.head(clip.view(len(x), -1, 3).square().mean(1))


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.head = nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.Linear(4, 3)

    def forward(self, x):
        states = functional.relu_(self.norm(functional.leaky_relu_(self.first(x), 0.2)))
        return self.head(states.mean(2).mul_(2.0))


def conv(kind, *args, **options):
    return lambda: Through(kind(*args, **options))


images, signals, volumes = (4, 7, 6), (4, 9), (4, 4, 5, 3)
LAYERS = {
    "linear": (conv(nn.Linear, 4, 3), (4,)),
    "linear on tokens": (conv(nn.Linear, 4, 3), (5, 4)),
    "linear without bias": (conv(nn.Linear, 4, 3, bias=False), (2, 3, 4)),
    "conv1d": (conv(nn.Conv1d, 4, 3, 3, stride=2, padding=2), signals),
    "conv1d reflect": (conv(nn.Conv1d, 4, 3, 3, padding=2, padding_mode="reflect"), signals),
    "conv2d": (conv(nn.Conv2d, 4, 3, 3, bias=False), images),
    "conv2d strided": (conv(nn.Conv2d, 4, 3, (3, 2), stride=(2, 1), padding=(1, 0)), images),
    "conv2d dilated": (conv(nn.Conv2d, 4, 3, 2, dilation=(2, 3), padding=1), images),
    "conv2d same": (conv(nn.Conv2d, 4, 3, (4, 3), padding="same", dilation=(1, 2)), images),
    "conv2d valid": (conv(nn.Conv2d, 4, 3, 3, padding="valid"), images),
    "conv2d circular": (conv(nn.Conv2d, 4, 3, 3, padding=1, padding_mode="circular"), images),
    "conv2d replicate": (conv(nn.Conv2d, 4, 3, 3, padding=1, padding_mode="replicate"), images),
    "conv2d in groups": (conv(nn.Conv2d, 4, 6, 3, groups=2, stride=2), images),
    "conv2d depthwise": (conv(nn.Conv2d, 4, 8, 3, groups=4, bias=False), images),
    "conv3d": (conv(nn.Conv3d, 4, 2, 2, stride=(1, 2, 1), padding=(0, 1, 0)), volumes),
    "transposed": (conv(nn.ConvTranspose2d, 4, 2, 2), images),
    "batch norm": (conv(nn.BatchNorm2d, 4), images),
    "batch norm of vectors": (conv(nn.BatchNorm1d, 4), (4,)),
    "layer norm": (conv(nn.LayerNorm, 4), (5, 4)),
    "layer norm of two axes": (conv(nn.LayerNorm, (7, 6)), images),
    "rms norm": (conv(nn.RMSNorm, 4), (5, 4)),
    "group norm": (conv(nn.GroupNorm, 2, 4), images),
    "instance norm": (conv(nn.InstanceNorm2d, 4, affine=True), images),
    "instance norm, running": (
        conv(nn.InstanceNorm1d, 4, affine=True, track_running_stats=True),
        signals,
    ),
    "parametrized": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), (4,)),
    "prelu": (conv(nn.PReLU, 4), images),
    "attention": (
        lambda: Through(nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True)),
        (5, 4),
    ),
    "sequence first": (SequenceFirst, (6, 4)),
    "sequence as long as the batch": (SequenceFirst, (3, 4)),
    "frames": (Frames, (4, 3, 5)),
    "in place": (InPlace, (2, 6)),
    "out of sight": (OutOfSight, (4,)),
    "multilayer perceptron": (lambda: bridge.multilayer_perceptron([4, 6, 3]), (4,)),
    "convolutional net": (lambda: bridge.convolutional_net(2, 5, 3), (2, 5, 5)),
    "two-layer CNN": (lambda: bridge.TwoLayerReLUCNN(4, 3), (2, 4)),
}
TOKENS = {
    "embedding": lambda: Through(nn.Embedding(7, 3)),
    "embedding with padding": lambda: Through(nn.Embedding(7, 3, padding_idx=2)),
    "tied": Tied,
    "transformer": lambda: bridge.Transformer(7, 4, width=4, layers=1, heads=2),
    "every token": lambda: bridge.Transformer(
        7, 4, width=2, layers=1, heads=1, every_token=True
    ),
    "recurrent": lambda: bridge.Recurrent(7, 4, 3, layers=2),
}  # fmt: skip
EXPLAINED_BY_NONE = {"transposed", "parametrized", "prelu", "attention", "recurrent"}


def case(name):
    """A model in float64, with weights and buffers away from their special values, and inputs."""
    if name in LAYERS:
        build, shape = LAYERS[name]
        inputs = normal(3, *shape, seed=1)
    else:
        build = TOKENS[name]
        inputs = torch.randint(0, 7, (3, 4), generator=generator(1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build().double().eval()
    with torch.no_grad():
        for seed, p in enumerate(model.parameters()):
            p += 0.1 * normal(*p.shape, seed=seed)
        for seed, b in enumerate(model.buffers()):
            if b.is_floating_point() and b.dim() and not isinstance(model, bridge.TwoLayerReLUCNN):
                b += 0.3 * normal(*b.shape, seed=seed).abs()
    return model, inputs


AUTOGRAD = ["conv2d", "layer norm of two axes", "attention", "tied", "recurrent", "out of sight"]


@pytest.mark.parametrize(
    ("name", "route"),
    [(n, "layers") for n in (*LAYERS, *TOKENS)] + [(n, "jacobian") for n in AUTOGRAD],
)
def test_gram_of_every_layer(name, route):
    model, inputs = case(name)
    network, samples = read(model, inputs)
    jacobian = explicit_jacobian(model, inputs)
    gram = jacobian_gram(network, samples, route=route)
    scale = float((jacobian @ jacobian.T).abs().max())
    assert gram.dtype == torch.float64
    torch.testing.assert_close(gram, jacobian @ jacobian.T, atol=1e-10 * scale, rtol=0)
    other = samples.take([2, 0])
    across = jacobian_gram(network, samples, other, route=route)
    few = jacobian.view(3, -1, jacobian.shape[1])[[2, 0]].flatten(0, 1)
    torch.testing.assert_close(across, jacobian @ few.T, atol=1e-10 * scale, rtol=0)


@pytest.mark.parametrize("name", [*LAYERS, *TOKENS])
def test_layers_explain_what_they_should(name):
    """Without this a route that explained nothing would pass every other test."""
    model, inputs = case(name)
    found = trace(*read(model, inputs))
    assert found.activation_bytes > 0 or name in ("linear", "embedding")
    if name == "two-layer CNN":
        assert found.rest == ("weights",)
    elif name == "out of sight":
        assert found.rest == ("scale", "first.weight")
    elif name in EXPLAINED_BY_NONE:
        assert found.rest
    else:
        assert found.rest == ()


def test_no_hook_stays_behind_also_after_an_error():
    model, inputs = case("conv2d")
    network, samples = read(model, inputs)
    jacobian_gram(network, samples)

    def fail(*_):
        raise RuntimeError("interrupted")

    network.outputs(samples)
    handle = model.layer.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="interrupted"):
        jacobian_gram(network, samples)
    handle.remove()
    assert not model.layer._forward_hooks
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("positions", [1, 3])
@pytest.mark.parametrize("add", [add_kernel, add_pair])
def test_orders_agree(add, positions, monkeypatch):
    from rmtstab.bridge import contraction
    from rmtstab.bridge.accumulator import Accumulator

    monkeypatch.setattr(contraction, "TILE", 200)  # several tiles
    x, y = normal(5, 4, positions, seed=1), normal(3, 4, positions, seed=2)
    g, h = normal(5, 2, 6, positions, seed=3), normal(3, 3, 6, positions, seed=4)
    left = torch.einsum("nrot,nit->nroi", g, x).reshape(10, -1)
    right = torch.einsum("nrot,nit->nroi", h, y).reshape(9, -1)
    square = Accumulator(10, None, torch.device("cpu"))
    add(square, (x, g), None)
    torch.testing.assert_close(square.finish(), left @ left.T, rtol=1e-12, atol=1e-12)
    across = Accumulator(10, 9, torch.device("cpu"))
    add(across, (x, g), (y, h))
    torch.testing.assert_close(across.finish(), left @ right.T, rtol=1e-12, atol=1e-12)


def test_each_order_is_the_cheapest_somewhere():
    def best(*sizes):
        costs = order_costs(32.0, 8.0, (10, 10), sizes)
        return min(costs, key=costs.get)

    assert best(16, 144, 1024) == "jacobian"
    assert best(512, 4608, 16) == "pair"
    assert best(100, 1000, 1) == "kernel"


class Pooled(nn.Module):
    """Two convolutions, pooled or flattened into a linear head."""

    def __init__(self, pooled):
        super().__init__()
        self.first, self.last = nn.Conv2d(2, 8, 3, padding=1), nn.Conv2d(8, 6, 3, padding=1)
        self.norm, self.pooled = nn.BatchNorm2d(6), pooled
        self.head = nn.Linear(6 if pooled else 96, 3)

    def forward(self, x):
        h = torch.relu(self.norm(self.last(torch.tanh(self.first(x)))))
        return self.head(h.mean((2, 3)) if self.pooled else h.flatten(1))


def separating(monkeypatch):
    """How often the order for separable slopes is taken."""
    from rmtstab.bridge import accumulation

    taken = []
    add = accumulation.add_separable
    monkeypatch.setattr(
        accumulation, "add_separable", lambda *given: (taken.append(given[-1]), add(*given))
    )
    return taken


@pytest.mark.parametrize("tile", [1, 4_000_000])
@pytest.mark.parametrize("scaled", [False, True])
def test_slopes_that_separate_are_multiplied_once(scaled, tile, monkeypatch):
    """Before global pooling all functions' Jacobians are multiples of one, channel by channel."""
    from rmtstab.bridge import separable

    monkeypatch.setattr(separable, "TILE", tile)
    taken = separating(monkeypatch)
    torch.manual_seed(0)
    model, inputs = Pooled(pooled=True).double().eval(), normal(5, 2, 4, 4)
    diagonal = {k: normal(*p.shape, seed=9).exp() for k, p in model.named_parameters()}
    flat = torch.cat([diagonal[k].flatten() for k, _ in model.named_parameters()])
    network, samples = read(model, inputs, preconditioner=diagonal if scaled else None)
    jacobian = explicit_jacobian(model, inputs) * (flat.sqrt() if scaled else 1.0)
    rounding = {"rtol": 1e-10, "atol": 1e-12}
    torch.testing.assert_close(jacobian_gram(network, samples), jacobian @ jacobian.T, **rounding)
    roots, gradients = normal(5, 3, 2, seed=5), normal(5, 3, 1, seed=6)
    roots[1] *= 1e-30  # a saturated sample
    factors = torch.einsum("ncr,ncd->nrd", roots, jacobian.view(5, 3, -1)).flatten(0, 1)
    slopes = torch.einsum("ncr,ncd->nrd", gradients, jacobian.view(5, 3, -1)).flatten(0, 1)
    across = jacobian_gram(network, samples, roots=roots, other_roots=gradients)
    torch.testing.assert_close(across, factors @ slopes.T, rtol=1e-9, atol=0)
    assert len(taken) == 2


def test_slopes_that_do_not_separate_are_multiplied_out(monkeypatch):
    taken = separating(monkeypatch)
    torch.manual_seed(0)
    model, inputs = Pooled(pooled=False).double().eval(), normal(5, 2, 4, 4)
    jacobian = explicit_jacobian(model, inputs)
    gram = jacobian_gram(*read(model, inputs))
    torch.testing.assert_close(gram, jacobian @ jacobian.T, rtol=1e-10, atol=1e-12)
    assert not taken


def test_separable_slopes_in_float32_are_right_to_its_rounding(monkeypatch):
    taken = separating(monkeypatch)
    torch.manual_seed(0)
    model, inputs = Pooled(pooled=True).double().eval(), normal(5, 2, 4, 4)
    exact = jacobian_gram(*read(model, inputs))
    rounded = jacobian_gram(*read(model.float(), inputs.float()))
    error = float((rounded - exact).abs().max() / exact.abs().max())
    assert len(taken) == 2 and error < 20 * torch.finfo(torch.float32).eps


def test_one_entry_off_does_not_separate():
    a, b = normal(12, 4, 5, 1), normal(12, 1, 5, 6, seed=1)
    slopes = a * b
    assert separate(slopes) is not None
    slopes[11, 3, 4, 5] *= 1.0 + 1e-12
    assert separate(slopes) is None


def test_roots_pick_functions_of_the_outputs():
    model, inputs = case("transformer")
    network, samples = read(model, inputs)
    jacobian = explicit_jacobian(model, inputs).view(3, 7, -1)
    roots, gradients = normal(3, 7, 2, seed=5), normal(3, 7, 1, seed=6)
    roots[1] *= 1e-30  # a saturated sample
    factors = torch.einsum("ncr,ncd->nrd", roots, jacobian).flatten(0, 1)
    slopes = torch.einsum("ncr,ncd->nrd", gradients, jacobian).flatten(0, 1)
    gram = jacobian_gram(network, samples, roots=roots)
    torch.testing.assert_close(gram, factors @ factors.T, rtol=1e-9, atol=0)
    across = jacobian_gram(network, samples, roots=roots, other_roots=gradients)
    torch.testing.assert_close(across, factors @ slopes.T, rtol=1e-9, atol=0)
    plain = jacobian_gram(network, samples)
    torch.testing.assert_close(apply_roots(plain, roots, roots), gram, rtol=1e-9, atol=0)
    torch.testing.assert_close(apply_roots(plain, roots, gradients), across, rtol=1e-9, atol=0)


def test_roots_keep_their_digits_in_float32():
    """Roots of 1e-30 square to nothing in float32; the Gram must not."""
    model, inputs = case("multilayer perceptron")
    model, inputs = model.float(), inputs.float()
    roots = 1e-30 * normal(3, 3, 1)
    gram = jacobian_gram(*read(model, inputs), roots=roots)
    jacobian = explicit_jacobian(model, inputs).double().view(3, 3, -1)
    factors = torch.einsum("ncr,ncd->nrd", roots, jacobian).flatten(0, 1)
    torch.testing.assert_close(gram, factors @ factors.T, rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", ["conv2d in groups", "transformer", "attention", "tied"])
def test_a_preconditioner_enters_every_block(name):
    model, inputs = case(name)
    diagonal = {k: normal(*p.shape, seed=9).exp() for k, p in model.named_parameters()}
    network, samples = read(model, inputs, preconditioner=diagonal)
    flat = torch.cat([diagonal[k].flatten() for k, _ in model.named_parameters()])
    jacobian = explicit_jacobian(model, inputs)
    gram = jacobian_gram(network, samples)
    torch.testing.assert_close(gram, (jacobian * flat) @ jacobian.T, rtol=1e-9, atol=1e-9)


def test_parameters_may_be_few():
    model, inputs = case("transformer")
    names = ["blocks.0.attention.bias", "norm.weight", "positions.weight"]
    network, samples = read(model, inputs, parameters=names)
    jacobian = explicit_jacobian(model, inputs, names)
    torch.testing.assert_close(
        jacobian_gram(network, samples), jacobian @ jacobian.T, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("name", ["transformer", "convolutional net", "recurrent"])
def test_small_panels_and_many_sweeps_change_nothing(name, monkeypatch):
    """Blocks in pieces, as a small memory budget makes them."""
    from rmtstab.bridge import gram, schedule

    model, inputs = case(name)
    network, samples = read(model, inputs)
    whole = jacobian_gram(network, samples)
    monkeypatch.setattr(schedule, "MARGIN", 0)
    monkeypatch.setattr(gram, "MARGIN", 0)
    gram_size = whole.numel() * 16
    found = trace(network, samples)
    sides, _ = gram.read_sides(network, samples)
    parts = schedule.blocks(found, network, sides)
    largest = max(schedule.schedule(found, network, sides, [b], 1e9).memory for b in parts)
    tight = schedule.schedule(found, network, sides, parts, 1.2 * largest)
    assert len(tight.sweeps) > 1 or name != "transformer"
    pieces = jacobian_gram(network, samples, memory_budget=1.2 * largest)
    torch.testing.assert_close(pieces, whole, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match=r"memory_budget must .* bridge\.sketch"):
        jacobian_gram(network, samples, memory_budget=gram_size + 10)


def test_float32_within_its_rounding():
    """Products in float32, sums in float64: within a few units of rounding of the largest."""
    for name in ("convolutional net", "transformer"):
        model, inputs = case(name)
        exact = jacobian_gram(*read(model, inputs))
        inputs = inputs.float() if inputs.is_floating_point() else inputs
        rounded = jacobian_gram(*read(model.float(), inputs))
        error = float((rounded - exact).abs().max() / exact.abs().max())
        assert 1e-10 < error < 20 * torch.finfo(torch.float32).eps, name


def test_half_precision_is_differentiated_in_float32():
    model, inputs = case("multilayer perceptron")
    half = model.to(torch.bfloat16)
    gram = jacobian_gram(*read(half, inputs.to(torch.bfloat16)))
    full = jacobian_gram(*read(half.double(), inputs.to(torch.bfloat16).double()))
    torch.testing.assert_close(gram, full, rtol=1e-4, atol=1e-5)


def test_closed_form_of_the_two_layer_cnn():
    model, inputs = case("two-layer CNN")
    network, samples = read(model, inputs)
    roots = normal(3, 1, 2)
    for options in ({}, {"other": samples.take([1])}, {"roots": roots}):
        closed = jacobian_gram(network, samples, route="closed form", **options)
        torch.testing.assert_close(
            closed, jacobian_gram(network, samples, route="jacobian", **options), rtol=1e-12, atol=0
        )
    with pytest.raises(ValueError, match="route must be"):
        jacobian_gram(*read(*case("linear")), route="closed form")


def test_pullback_and_pushforward_are_the_jacobian():
    for name in ("transformer", "convolutional net"):
        model, inputs = case(name)
        network, samples = read(model, inputs)
        jacobian = explicit_jacobian(model, inputs)
        coefficients = normal(2, 3, jacobian.shape[0] // 3)
        pulled = pullback(network, samples, coefficients, chunk_size=2)
        flat = torch.stack([network.flatten({k: v[i] for k, v in pulled.items()}) for i in (0, 1)])
        torch.testing.assert_close(flat, coefficients.flatten(1) @ jacobian)
        one = network.flatten(pullback(network, samples, coefficients[1]))
        torch.testing.assert_close(one, flat[1])
        tangent = normal(network.n_parameters)
        moved = pushforward(network, samples, network.unflatten(tangent), chunk_size=2)
        torch.testing.assert_close(moved.flatten(), jacobian @ tangent)
    with pytest.raises(ValueError, match=r"coefficients must have shape \(n=3, C=3\)"):
        pullback(network, samples, coefficients[0, :1])


def test_wrong_derivatives_of_vmap_are_noticed():
    """Nested vmap of PReLU is silently wrong where samples and outputs are equally many."""
    model, inputs = case("prelu")
    network, samples = read(model, inputs)
    jacobian = explicit_jacobian(model, inputs)
    gram = jacobian_gram(network, samples)
    torch.testing.assert_close(gram, jacobian @ jacobian.T, rtol=1e-9, atol=1e-9)
    assert any("one by one" in note for note in network.notes)


def test_layers_called_differently_fall_back_to_autograd():
    """A second layer that only some samples reach: not what the trace on the first ones saw."""

    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x):
            states = self.first(x)
            if bool((x[:, 0] > 0).any()):
                states = torch.tanh(self.first(states))
            return self.second(states)

    torch.manual_seed(0)
    model, inputs = Gate().double(), normal(40, 3)
    inputs[:, 0] = -inputs[:, 0].abs()
    inputs[20:, 0] *= -1  # chunks of 16: the first sees none, the others do
    network, samples = read(model, inputs)
    network.learn_shape(samples)
    network.is_checked = True  # batches do matter here; alone, each sample has its own path
    with pytest.raises(ValueError, match="route must be 'jacobian'"):
        jacobian_gram(network, samples, route="layers")
    exact = torch.cat([explicit_jacobian(model, x[None]) for x in inputs])
    gram = jacobian_gram(network, samples)
    torch.testing.assert_close(gram, exact @ exact.T, rtol=1e-9, atol=1e-12)
    assert any("differently" in note for note in network.notes)


def test_roots_of_a_wrong_shape_are_refused():
    network, samples = read(*case("linear"))
    with pytest.raises(ValueError, match=r"roots must have shape \(n=3, C=3, R\), got \(3, 2\)"):
        jacobian_gram(network, samples, roots=torch.ones(3, 2))
    with pytest.raises(ValueError, match="route must be one of"):
        jacobian_gram(network, samples, route="fast")
    with pytest.raises(ValueError, match="memory_budget must be > 0"):
        jacobian_gram(network, samples, memory_budget=0.0)


def test_gram_symmetric_to_the_bit():
    gram = jacobian_gram(*read(*case("transformer"))).numpy()
    np.testing.assert_array_equal(gram, gram.T)
