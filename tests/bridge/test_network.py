"""Networks as functions of their moving weights, against loops over autograd."""

import copy
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from rmtstab import bridge  # noqa: E402
from rmtstab.bridge.data_sets import read_samples  # noqa: E402
from rmtstab.bridge.network import Network  # noqa: E402
from tests import naive_torch  # noqa: E402


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


class Last(nn.Module):
    """A recurrent layer read at its last step."""

    def __init__(self, kind):
        super().__init__()
        self.layer, self.head = kind(4, 3, batch_first=True), nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.layer(x)[0][:, -1])


class Tied(nn.Module):
    """Embedding and output layer share their weight."""

    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
        self.out.weight = self.table.weight

    def forward(self, x):
        return self.out(torch.tanh(self.table(x).mean(1)))


def used_twice():
    """A layer at two places, whose weight is another layer's too."""
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    return nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), first, nn.Linear(4, 2))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(4, 12), nn.Linear(4, 2)

    def forward(self, x):
        q, k, v = self.qkv(x)[:, None].chunk(3, dim=-1)
        return self.out(functional.scaled_dot_product_attention(q, k, v)[:, 0].mean(1))


class Adapted(nn.Module):
    """A frozen layer with a low-rank adapter beside it."""

    def __init__(self):
        super().__init__()
        self.base = nn.Linear(4, 3)
        self.lora_a, self.lora_b = nn.Linear(4, 2, bias=False), nn.Linear(2, 3, bias=False)
        self.base.requires_grad_(False)

    def forward(self, x):
        return self.base(x) + self.lora_b(self.lora_a(x))


class Branching(nn.Module):
    """Control flow on the data: vmap cannot follow."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        rows = [self.layer(row) if row.sum() > 0 else torch.tanh(self.layer(row)) for row in x]
        return torch.stack(rows)


def convolutional():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Flatten(), nn.Linear(16, 3),
    ).eval()  # fmt: skip


TOKENS = torch.randint(0, 7, (3, 5), generator=torch.Generator().manual_seed(0))
MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 3)), draw(3, 4)),
    "in place": (lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 3)), draw(3, 4)),
    "scalar": (lambda: nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)), draw(3, 4)),
    "convolution": (convolutional, draw(3, 2, 4, 4)),
    "lstm": (lambda: Last(nn.LSTM), draw(3, 5, 4)),
    "gru": (lambda: Last(nn.GRU), draw(3, 5, 4)),
    "tied": (Tied, TOKENS),
    "attention": (Attention, draw(3, 5, 4)),
    "encoder": (
        lambda: nn.Sequential(
            nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), nn.Flatten(), nn.Linear(20, 2)
        ).eval(),
        draw(3, 5, 4),
    ),
    "adapter": (Adapted, draw(3, 4)),
    "branching": (Branching, draw(3, 4)),
    "sparse": (
        lambda: nn.Sequential(nn.Embedding(7, 2, sparse=True), nn.Flatten(), nn.Linear(10, 2)),
        TOKENS,
    ),
    "tied and used twice": (used_twice, draw(3, 4)),
    "prelu": (lambda: nn.Sequential(nn.Linear(4, 5), nn.PReLU(5), nn.Linear(5, 3)), draw(3, 4)),
    "max norm": (
        lambda: nn.Sequential(nn.Embedding(7, 2, max_norm=0.5), nn.Flatten(), nn.Linear(10, 2)),
        TOKENS,
    ),
}


@pytest.fixture(params=MODELS)
def case(request):
    build, inputs = MODELS[request.param]
    torch.manual_seed(0)
    return request.param, build().double(), inputs


def test_jacobians_are_those_of_loops(case):
    name, model, inputs = case
    samples = read_samples("retain", (inputs, torch.zeros(len(inputs))))
    network = Network(model)
    with torch.no_grad():
        expected_outputs = copy.deepcopy(model)(inputs.clone()).reshape(len(inputs), -1)
    torch.testing.assert_close(network.outputs(samples), expected_outputs, rtol=1e-12, atol=1e-14)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = network.jacobian(samples)
    moving = copy.deepcopy(model)
    if name == "sparse":
        assert moving[0].sparse
        moving[0].sparse = False
    expected = naive_torch.jacobian(moving, inputs.clone(), network.names)
    np.testing.assert_allclose(found.flatten(0, 1), expected, atol=1e-13)
    chunked = network.jacobian(samples, chunk_size=2)
    torch.testing.assert_close(chunked, found, rtol=1e-12, atol=1e-14)
    assert network.n_parameters == found.shape[2]
    looped = any("one by one" in note for note in network.notes)
    assert looped == network.vmap_fails and (looped or name not in ("branching", "prelu"))


def test_curvature_of_every_kind_of_network(case):
    name, model, inputs = case
    targets = torch.arange(len(inputs)) % 2
    if name == "scalar":
        loss, targets = nn.MSELoss(), targets.double()
    else:
        loss = nn.CrossEntropyLoss()
    z = bridge.sample_factors(model, loss, (inputs, targets))
    z = z.reshape(-1, z.shape[2])
    names = Network(model).names
    if name == "sparse":
        model[0].sparse = False
    exact = naive_torch.gauss_newton(copy.deepcopy(model), loss, inputs.clone(), targets, names)
    np.testing.assert_allclose(z.T @ z / len(inputs), exact, atol=1e-13)


@pytest.mark.parametrize("name", ["attention", "encoder", "lstm", "gru", "tied", "adapter", "mlp"])
def test_sharpness_of_every_kind_of_network(name):
    """Second derivatives of fused kernels do not exist: the plain ones are chosen."""
    build, inputs = MODELS[name]
    torch.manual_seed(0)
    model, targets = build().double(), torch.arange(3) % 2
    found = bridge.largest_hessian_eigenvalue(model, nn.CrossEntropyLoss(), (inputs, targets))
    if name == "encoder":
        torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            exact = naive_torch.hessian(model, nn.CrossEntropyLoss(), inputs, targets)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert found == pytest.approx(float(torch.linalg.eigvalsh(exact)[-1]), rel=1e-8)


def subset(parameters):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    return Network(model, parameters=parameters(model)).names


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (lambda m: None, "0.weight 0.bias 2.weight 2.bias"),
        (lambda m: ["2.bias", "0.weight"], "0.weight 2.bias"),
        (lambda m: (name for name in ["2.bias"]), "2.bias"),
        (lambda m: "2", "2.weight 2.bias"),
        (lambda m: {"0", "2.bias"}, "0.weight 0.bias 2.bias"),
        (lambda m: lambda name, p: p.ndim == 1, "0.bias 2.bias"),
        (lambda m: m[2].parameters(), "2.weight 2.bias"),
        (lambda m: m[0].weight, "0.weight"),
        (lambda m: m.named_parameters(), "0.weight 0.bias 2.weight 2.bias"),
    ],
)
def test_weights_that_move_are_chosen_in_any_way(parameters, expected):
    assert " ".join(subset(parameters)) == expected


def test_choices_that_name_nothing_are_refused():
    for parameters, error, message in (
        (lambda m: [], ValueError, "parameters must name at least one parameter"),
        (lambda m: lambda name, p: False, ValueError, "parameters must name at least one"),
        (lambda m: ["3"], ValueError, "parameters must be one of '0.weight'"),
        (lambda m: 3, TypeError, "parameters must be names, module prefixes, Parameters or a"),
        (lambda m: [3], TypeError, "parameters must hold names or Parameters, got int"),
        (lambda m: nn.Linear(2, 2).parameters(), ValueError, "must belong to the model"),
    ):
        with pytest.raises(error, match=message):
            subset(parameters)


def test_two_precisions_are_refused():
    class Raised(nn.Module):
        def forward(self, x):
            return x.double()

    model = nn.Sequential(nn.Linear(4, 3), Raised(), nn.Linear(3, 2, dtype=torch.float64))
    message = "one precision, got torch.float64 in '2.weight' and torch.float32 in '0.weight'; use"
    with pytest.raises(ValueError, match=message):
        Network(model)
    assert Network(model, parameters="0").dtype == torch.float32
    half = nn.Sequential(nn.Linear(4, 3, dtype=torch.bfloat16), nn.Linear(3, 2))
    assert Network(half).dtype == torch.float32  # half precision is raised anyway


def test_a_tied_weight_answers_to_each_of_its_names():
    model = Tied()
    assert Network(model).names == Network(model, parameters="out").names == ("table.weight",)


def test_ties_hold_at_every_call_and_leave_the_model_alone():
    torch.manual_seed(0)
    model = used_twice().double()
    network, x = Network(model), draw(3, 4)
    moved = {name: weight + 0.1 for name, weight in network.weights.items()}
    held = [id(p) for p in model.parameters()]
    values = [network.apply(moved, x) for _ in range(3)]
    assert [id(p) for p in model.parameters()] == held
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.1
        for value in values:
            torch.testing.assert_close(value, other(x), rtol=1e-13, atol=0)


def test_a_subset_moves_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    samples = read_samples("retain", (draw(5, 4), torch.zeros(5)))
    whole = Network(model).jacobian(samples)
    for parameters, columns in (("2", slice(15, 23)), (["0.bias"], slice(12, 15))):
        part = Network(model, parameters=parameters).jacobian(samples)
        torch.testing.assert_close(part, whole[..., columns])
    flat = torch.arange(23.0).double()
    network = Network(model)
    assert torch.equal(network.flatten(network.unflatten(flat)), flat)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_batches_of_one_that_are_squeezed_keep_their_shape(shape):
    class Squeezed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, int(torch.Size(shape).numel())).double()

        def forward(self, x):
            return self.layer(x).reshape(len(x), 1, *shape).squeeze()

    network = Network(Squeezed())
    samples = read_samples("retain", (draw(1, 4), torch.zeros(1)))
    assert network.outputs(samples).shape == (1, max(1, torch.Size(shape).numel()))
    assert network.output_shape == shape
    assert network.jacobian(samples).shape == (1, network.n_outputs, network.n_parameters)


def test_outputs_without_a_sample_axis_are_refused():
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x):
            return self.layer(x).mean(0)

    with pytest.raises(ValueError, match=r"one output a sample, .* got shape \(3,\) from a batch"):
        Network(Pooled()).outputs(read_samples("retain", (torch.zeros(4, 4), torch.zeros(4))))


def test_weights_are_copies():
    model = nn.Linear(4, 2)
    network = Network(model)
    before = network.weights["weight"].clone()
    with torch.no_grad():
        model.weight.zero_()
    assert torch.equal(network.weights["weight"], before)


def test_weights_and_inputs_of_two_precisions_are_named():
    network = Network(torch.nn.Linear(3, 2))
    weights = {name: weight.double() for name, weight in network.weights.items()}
    x = torch.zeros(4, 3)
    calls = [
        (network, network.weights, x.double()),
        (network, weights, x),
        (network, {"weight": weights["weight"]}, x.double()),
        (network.in_dtype(torch.float64), network.weights, x),  # which raises its inputs
    ]
    for own, given, inputs in calls:
        with pytest.raises(
            ValueError, match=r"one precision, got torch\.float32 and torch\.float64"
        ):
            own.raw(given, inputs)
