"""Real runs: against torch's own optimisers, against function space, engine against engine."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.utils.checkpoint import checkpoint  # noqa: E402

from rmtstab import bridge  # noqa: E402
from rmtstab.bridge import batched_runs  # noqa: E402

LOSS = torch.nn.CrossEntropyLoss()
WEIGHTED = torch.nn.CrossEntropyLoss(weight=torch.tensor([10.0, 1.0, 0.1], dtype=torch.float64))


@pytest.fixture(scope="module")
def case():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(13, 5, generator=g, dtype=torch.float64)
    y = torch.randint(3, (13,), generator=g)
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh(), torch.nn.Dropout(0.5),
        torch.nn.Linear(4, 3),
    ).double()  # fmt: skip
    return model, (x[:9], y[:9]), (x[9:], y[9:])


def by_torch(case, runs, cell, replica, loss, optimiser, clip=None):
    """The same run by `torch.optim`, on a copy of the model in eval mode."""
    model, retain, forget = case
    model = copy.deepcopy(model).eval()
    own = optimiser(list(model.parameters()), float(runs.plan.step_size[cell]))
    alpha = runs.plan.alpha[cell]
    start = torch.cat([p.detach().flatten() for p in model.parameters()])
    path = []
    for batches in [*runs.plan.batches(), None]:
        with torch.no_grad():
            path.append([float(loss(model(x), y)) for x, y in (retain, forget)])
        if batches is None:
            break
        (r, _), (f, _) = batches
        r, f = (torch.as_tensor(i[replica]) for i in (r, f))
        own.zero_grad()
        value = (1 - alpha) * loss(model(retain[0][r]), retain[1][r])
        (value - alpha * loss(model(forget[0][f]), forget[1][f])).backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        own.step()
    end = torch.cat([p.detach().flatten() for p in model.parameters()])
    return np.array(path), (end - start).numpy()


@pytest.mark.parametrize(
    ("loss", "options", "optimiser"),
    [
        (
            WEIGHTED,
            {"momentum": 0.7, "weight_decay": 0.2, "sampling": "shuffled"},
            lambda p, lr: torch.optim.SGD(p, lr, momentum=0.7, weight_decay=0.2),
        ),
        (
            LOSS,
            {"optimizer": "adamw", "betas": (0.8, 0.95), "weight_decay": 0.3},
            lambda p, lr: torch.optim.AdamW(p, lr, betas=(0.8, 0.95), weight_decay=0.3),
        ),
        (LOSS, {"max_norm": 0.05, "sampling": "with_replacement"}, torch.optim.SGD),
    ],
    ids=["sgd", "adamw", "clipped"],
)
def test_steps_are_those_of_torch_s_optimisers(case, loss, options, optimiser):
    runs = bridge.unlearn(
        case[0], loss, *case[1:], step_size=[0.02, 0.1], batch_size=(4, 2), alpha=[0.2, 0.6],
        steps=6, rng=1, replicas=2, **options,
    )  # fmt: skip
    for cell, replica in ((0, 1), (1, 0)):
        path, end = by_torch(case, runs, cell, replica, loss, optimiser, options.get("max_norm"))
        np.testing.assert_allclose(runs.retain_loss[cell, replica], path[:, 0], rtol=1e-9)
        np.testing.assert_allclose(runs.forget_loss[cell, replica], path[:, 1], rtol=1e-9)
        np.testing.assert_allclose(runs.final[cell, replica], end, atol=1e-9)
    said = " ".join(runs.outside_theory)
    assert ("AdamW" in said) == ("optimizer" in options)
    assert ("clipping" in said) == ("max_norm" in options)


@pytest.mark.parametrize("options", [
    {}, {"sampling": "bernoulli", "momentum": 0.5}, {"update": "alternating", "weight_decay": 0.1},
])  # fmt: skip
def test_the_same_seed_gives_function_space_the_same_batches(case, options):
    """A network linear in its weights: prediction and run are the same numbers."""
    torch.manual_seed(1)
    model = torch.nn.Linear(5, 3).double()
    settings = {"rng": 7, "replicas": 3} | options
    net = bridge.linearise(model, WEIGHTED if not options else LOSS, *case[1:])
    predicted = net.run([0.1, 0.4], (4, 2), [[0.0], [0.5], [1.0]], 8, **settings)
    runs = bridge.unlearn(
        model, WEIGHTED if not options else LOSS, *case[1:], step_size=[0.1, 0.4],
        batch_size=(4, 2), alpha=[[0.0], [0.5], [1.0]], steps=8, **settings,
    )  # fmt: skip
    for name in ("retain_loss", "forget_loss", "retain_accuracy", "displacement"):
        np.testing.assert_allclose(getattr(runs, name), getattr(predicted, name), rtol=1e-9)
    np.testing.assert_array_equal(runs.outcome, predicted.outcome)


class Spare(torch.nn.Linear):
    """A linear model with a layer that its forward pass leaves out."""

    def __init__(self):
        super().__init__(5, 3, dtype=torch.float64)
        self.spare = torch.nn.Linear(2, 2, dtype=torch.float64)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_weights_without_a_gradient_do_not_decay(case, kind):
    torch.manual_seed(0)
    model, optimiser = Spare(), {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[kind]
    settings = {"step_size": [0.1, 0.3], "batch_size": 2, "alpha": 0.3, "steps": 5, "rng": 0,
                "weight_decay": 0.4, "replicas": 2}  # fmt: skip
    runs = bridge.unlearn(model, LOSS, *case[1:], optimizer=kind, **settings)
    _, end = by_torch(
        (model, *case[1:]), runs, 1, 0, LOSS, lambda p, lr: optimiser(p, lr, weight_decay=0.4)
    )
    np.testing.assert_allclose(runs.final[1, 0], end, atol=1e-12)
    assert not runs.final[..., 18:].any() and runs.final[..., :18].all()
    if kind == "sgd":  # a network linear in its weights: the prediction is the run
        net = bridge.linearise(model, LOSS, *case[1:])
        np.testing.assert_allclose(
            net.run(**settings).displacement, runs.displacement, rtol=1e-9, atol=1e-12
        )


def test_a_preconditioner_scales_the_clipped_gradient_and_the_displacement(case):
    torch.manual_seed(0)
    model = torch.nn.Linear(5, 3, dtype=torch.float64)
    scales = {name: torch.rand_like(p) + 0.5 for name, p in model.named_parameters()}
    (x, y), _ = case[1:]
    (slope, bias) = torch.autograd.grad(LOSS(model(x), y), list(model.parameters()))
    gradient = torch.cat([slope.flatten(), bias]).numpy()
    flat = torch.cat([p.flatten() for p in scales.values()]).numpy()
    settings = {"step_size": 0.2, "batch_size": 9, "alpha": 0.0, "steps": 1, "rng": 0,
                "replicas": 1, "preconditioner": scales}  # fmt: skip
    for limit, factor in ((None, 1.0), (0.1, 0.1 / np.linalg.norm(gradient))):
        assert factor == 1.0 or factor < 0.5
        runs = bridge.unlearn(model, LOSS, (x, y), None, max_norm=limit, **settings)
        expected = -0.2 * flat * gradient * factor
        np.testing.assert_allclose(runs.final[0], expected, rtol=1e-5 if limit else 1e-12)
        np.testing.assert_allclose(
            runs.displacement[0, -1], np.sqrt((runs.final[0] ** 2 / flat).sum()), rtol=1e-12
        )


def test_only_drawn_samples_are_differentiated(case):
    model, *data = case
    sizes = []
    handle = model[0].register_forward_hook(lambda _m, args, _out: sizes.append(len(args[0])))
    try:
        bridge.unlearn(
            model, LOSS, *data, step_size=0.1, batch_size=(3, 2), alpha=0.5, steps=7, rng=0,
            replicas=2, record_every=7,
        )  # fmt: skip
    finally:
        handle.remove()
    assert sizes.count(5) == 7  # a forward a step for all runs, of the batch alone
    assert sizes.count(13) == 2  # and one a record, of all samples


def test_chunks_and_sparse_records_change_nothing(case):
    model, *data = case
    common = {
        "step_size": [0.1, 0.2, 0.3], "batch_size": (3, 2), "alpha": 0.5, "steps": 7, "rng": 0,
        "replicas": 2,
    }  # fmt: skip
    whole = bridge.unlearn(model, LOSS, *data, **common)
    parts = bridge.unlearn(model, LOSS, *data, chunk_size=2, keep_final=False, **common)
    np.testing.assert_allclose(parts.retain_loss, whole.retain_loss, rtol=1e-12)
    assert parts.final.shape == (3, 2, 0) and whole.final.shape == (3, 2, whole.final.shape[2])
    sparse = bridge.unlearn(model, LOSS, *data, record_every=3, **common)
    np.testing.assert_array_equal(sparse.steps, [0, 3, 6, 7])
    np.testing.assert_allclose(sparse.forget_loss, whole.forget_loss[..., sparse.steps])


@pytest.mark.parametrize("until", [None, lambda *_: False], ids=["alone", "until"])
def test_runs_that_would_keep_too_much_are_split(case, until, monkeypatch):
    """Cells, then replicas, then samples of a record: as many at once as a budget holds."""
    model, *data = case
    common = {
        "step_size": [0.1, 0.2, 0.3], "batch_size": (3, 2), "alpha": 0.5, "steps": 2, "rng": 0,
        "replicas": 4, "record_every": 2, "until": until,
    }  # fmt: skip
    whole = bridge.unlearn(model, LOSS, *data, **common)
    network = bridge.Network(copy.deepcopy(model).eval())
    kept = batched_runs.kept_bytes(network, data[0][0])
    assert kept == 8 * (5 + 4 + 4)  # inputs of both layers and of the norm, what tanh gives
    for runs, step in ((12, 1), (8, 2), (3, 6), (0, 12)):
        monkeypatch.setattr(batched_runs, "KEPT_BYTES", 5.5 * runs * kept)
        sizes = []
        handle = model[0].register_forward_hook(lambda _m, args, _out: sizes.append(len(args[0])))  # noqa: B023
        parts = bridge.unlearn(model, LOSS, *data, **common)
        handle.remove()
        assert sizes.count(5) == 2 * step
        assert sizes.count(13) == (6 if runs == 12 else 0)  # a record a cell, of all samples
        for name in ("final", "retain_loss", "forget_accuracy"):
            np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-12)


def test_what_vmap_cannot_batch_is_run_in_a_loop(case):
    class Stubborn(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            result = self.inner(x)
            return result if float(result.sum()) > -1e9 else 0.0 * result

    model, *data = case
    common = {
        "step_size": [0.1, 0.2], "batch_size": (3, 2), "alpha": 0.5, "steps": 3, "rng": 0,
        "replicas": 2,
    }  # fmt: skip
    plain = bridge.unlearn(model, LOSS, *data, **common)
    looped = bridge.unlearn(Stubborn(model), LOSS, *data, **common)
    np.testing.assert_allclose(looped.final, plain.final, atol=1e-12)


class Mixed(torch.autograd.Function):
    """The identity, batched over runs as if all had the first one's values."""

    @staticmethod
    def forward(x):
        return x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, slope):
        return slope

    @staticmethod
    def vmap(info, in_dims, x):
        first = x.movedim(in_dims[0], 0)[:1].expand(info.batch_size, *x.shape[1:])
        return Mixed.apply(first.movedim(0, in_dims[0])), in_dims[0]


class Recomputed(torch.nn.Module):
    """Its backward pass comes when the model has its own weights back."""

    def __init__(self, reentrant):
        super().__init__()
        self.inner, self.outer, self.reentrant = small(), torch.nn.Linear(5, 5).double(), reentrant

    def forward(self, x):
        return checkpoint(self.inner, self.outer(x).tanh(), use_reentrant=self.reentrant)


class Late(torch.nn.Sequential):
    """Its backward pass needs what `vmap` has forgotten by then."""

    def forward(self, x):
        hidden = self[0](x).detach()
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t + 0 * hidden.sum()):
            return super().forward(x)


class Between(torch.nn.Module):
    def forward(self, x):
        return Mixed.apply(x)


def small(*layers):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(5, 4), *layers, torch.nn.Tanh(), torch.nn.Linear(4, 3)
    ).double()


@pytest.mark.parametrize(
    ("build", "note"),
    [
        (lambda: small(Between()), "one by one: vmap gives wrong derivatives"),
        (lambda: Late(*small()), "one by one: vmap cannot batch"),
        (lambda: Recomputed(reentrant=False), ""),
        (lambda: Recomputed(reentrant=True), ""),
        (small, ""),
    ],
    ids=["wrong in silence", "late", "checkpoint", "reentrant", "plain"],
)
def test_what_vmap_batches_wrongly_or_cannot_differentiate_is_run_in_a_loop(case, build, note):
    model, data = build(), case[1:]
    runs = bridge.unlearn(
        model, LOSS, *data, step_size=[0.1, 0.5], batch_size=(3, 2), alpha=0.4, steps=4, rng=0,
        replicas=3,
    )  # fmt: skip
    for cell, replica in ((0, 0), (0, 2), (1, 1)):
        path, end = by_torch((model, *data), runs, cell, replica, LOSS, torch.optim.SGD)
        np.testing.assert_allclose(runs.retain_loss[cell, replica], path[:, 0], rtol=1e-12)
        np.testing.assert_allclose(runs.final[cell, replica], end, atol=1e-14)
    assert note in " ".join(runs.notes) and bool(note) == bool(runs.notes)


@pytest.mark.parametrize("row", [0, -2])
def test_padding_keeps_its_row_in_every_run(row):
    """torch's batching over tables holds the row of the first run alone."""

    class Bag(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Parameter(torch.randn(9, 4, dtype=torch.float64))
            self.head = torch.nn.Linear(20, 3, dtype=torch.float64)

        def forward(self, tokens):
            table = torch.nn.functional.embedding(tokens, self.table, padding_idx=row)
            return self.head(table.flatten(1))

    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Embedding(9, 4, padding_idx=row), torch.nn.Flatten(), torch.nn.Linear(20, 3)
    ).double()
    tokens, labels = torch.randint(0, 9, (17, 5)), torch.randint(3, (17,))
    data = (tokens[:11], labels[:11]), (tokens[11:], labels[11:])
    for model in (Bag(), module):
        runs = bridge.unlearn(
            model, LOSS, *data, step_size=[0.1, 0.2], batch_size=3, alpha=0.3, steps=5, rng=0,
            replicas=3,
        )  # fmt: skip
        tables = runs.final[..., :36].reshape(2, 3, 9, 4)
        assert not tables[:, :, row].any() and tables.any(axis=-1).sum() > 24
        for cell, replica in np.ndindex(2, 3):
            _, end = by_torch((model, *data), runs, cell, replica, LOSS, torch.optim.SGD)
            np.testing.assert_allclose(runs.final[cell, replica], end, atol=1e-14)
        assert not runs.notes  # batched all the same


def test_runs_tell_how_their_model_was_read(case):
    model = torch.nn.Linear(5, 3, dtype=torch.bfloat16)
    data = [(x.bfloat16(), y) for x, y in case[1:]]
    runs = bridge.unlearn(model, LOSS, *data, step_size=0.1, batch_size=2, alpha=0.5, steps=1,
                          rng=0)  # fmt: skip
    assert runs.notes == ("torch.bfloat16 weights, differentiated in float32",)
    assert runs.to_dict()["notes"] == list(runs.notes)


def test_the_model_is_left_in_its_mode(case):
    model, *data = case
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    bridge.unlearn(model, LOSS, *data, step_size=0.1, batch_size=2, alpha=0.5, steps=2, rng=0)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_cannot_be_held_is_refused_before_a_step(case, monkeypatch):
    from rmtstab.bridge import run_memory

    monkeypatch.setattr(run_memory, "available_memory", lambda _: 2e7)
    common = {
        "step_size": np.full(40_000, 0.1),
        "batch_size": 2,
        "alpha": 0.5,
        "steps": 1,
        "rng": 0,
    }
    with pytest.raises(ValueError, match="keep_final must fit in memory, got 40000 displacements"):
        bridge.unlearn(case[0], LOSS, *case[1:], replicas=1, **common)
    with pytest.raises(
        ValueError, match="replicas must fit in memory, got 40000 cells x 1 runs of"
    ):
        bridge.unlearn(
            case[0], LOSS, *case[1:], replicas=1, keep_final=False, chunk_size=90_000, **common
        )


def test_what_one_run_keeps_is_refused_before_a_step(monkeypatch):
    from rmtstab.bridge import run_memory

    model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3), torch.nn.Tanh(), torch.nn.Flatten())
    data = [(torch.randn(n, 1, 202, 202), torch.zeros(n, 40_000)) for n in (3, 2)]
    monkeypatch.setattr(run_memory, "available_memory", lambda _: 2e6)
    common = {"step_size": np.full(99, 0.1), "alpha": 0.5, "steps": 1, "rng": 0, "replicas": 1}
    with pytest.raises(
        ValueError, match=r"batch_size must fit in memory, got what one run's .* keeps of 4 samples"
    ):
        bridge.unlearn(model, torch.nn.MSELoss(), *data, batch_size=2, **common)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "adam"}, "optimizer must be one of 'sgd', 'adamw', got 'adam'"),
        ({"max_norm": 0.0}, "max_norm must be > 0"),
        (
            {"betas": (0.9, 1.0), "optimizer": "adamw"},
            r"betas\[1\] must lie in \[0, 1\), got 1\.0",
        ),
        ({"betas": (0.9, 0.99)}, r"betas must be None with optimizer='sgd', got \(0\.9, 0\.99\)"),
        ({"epsilon": 1e-8}, "epsilon must be None with optimizer='sgd', got 1e-08"),
        (
            {"momentum": 0.9, "optimizer": "adamw"},
            "momentum must be 0.0 with optimizer='adamw', got 0.9",
        ),
        (
            {"preconditioner": {}, "optimizer": "adamw"},
            "preconditioner must be None with optimizer='adamw', got dict",
        ),
        ({"chunk_size": 0}, "chunk_size must be >= 1 and finite, got 0"),
        ({"chunk_size": -3}, "chunk_size must be >= 1 and finite, got -3"),
        ({"chunk_size": 2, "until": lambda *_: True}, "chunk_size must be None with until"),
        ({"initial": np.zeros((2, 5))}, r"initial must have shape \(replicas, n_parameters="),
        ({"initial": np.zeros((2, 5)), "replicas": 3}, "replicas must be that of initial, 2, got"),
        ({"sampling": "some"}, "sampling must be one of"),
        ({"batch_size": (10, 2)}, r"batch_size must lie in \[1, n_retain=9\], got 10"),
        ({"step_size": [0.1, 0.0]}, "step_size must be > 0"),
    ],
)
def test_bad_input(case, change, message):
    arguments = {"step_size": 0.1, "batch_size": 2, "alpha": 0.5, "steps": 2, "rng": 0}
    with pytest.raises(ValueError, match=message):
        bridge.unlearn(case[0], LOSS, *case[1:], **(arguments | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chunk_size": 1.5}, "chunk_size must be an integer, got 1.5"),
        ({"chunk_size": "a"}, "chunk_size must be an integer, got 'a'"),
        ({"forget_loss": "ce"}, "forget_loss must be callable, got 'ce'"),
        (
            {"until": lambda norms, *_: norms > 3},
            r"until must return .* an array of shape \(8, 1\)",
        ),
        ({"until": lambda *_: None}, "what until returns must be True or False, got None"),
    ],
)
def test_input_of_the_wrong_kind(case, change, message):
    arguments = {"step_size": 0.1, "batch_size": 2, "alpha": 0.5, "steps": 2, "rng": 0}
    with pytest.raises(TypeError, match=message):
        bridge.unlearn(case[0], LOSS, *case[1:], **(arguments | change))


class Averaged(torch.nn.Module):
    """It takes tokens of any length."""

    def __init__(self):
        super().__init__()
        self.table, self.head = torch.nn.Embedding(9, 4), torch.nn.Linear(4, 3)

    def forward(self, tokens):
        return self.head(self.table(tokens).mean(1))


class Counting(torch.nn.Linear):
    def __init__(self):
        super().__init__(5, 3, dtype=torch.float64)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


@pytest.mark.parametrize("change", [{"forget_loss": LOSS}, {"update": "alternating"}])
def test_what_speaks_of_a_forget_set_needs_one(case, change):
    arguments = {"step_size": 0.1, "batch_size": 2, "alpha": 0.0, "steps": 2, "rng": 0}
    with pytest.raises(ValueError, match=f"{next(iter(change))} must be .* without a forget set"):
        bridge.unlearn(case[0], LOSS, case[1], None, **(arguments | change))


def test_what_cannot_be_run_is_named_with_its_remedy(case):
    arguments = {"step_size": 0.1, "batch_size": 2, "alpha": 0.5, "steps": 2, "rng": 0}
    sets = [(torch.zeros(n, length).long(), torch.arange(n) % 3) for n, length in ((7, 5), (4, 7))]
    message = r"retain and forget must have inputs of one shape .* \(5,\) and \(7,\); pad both"
    for entry in (bridge.linearise, lambda *given: bridge.unlearn(*given, **arguments)):
        with pytest.raises(ValueError, match=message):
            entry(Averaged(), LOSS, *sets)
    for entry in (bridge.linearise, lambda *given: bridge.unlearn(*given, **arguments)):
        with pytest.raises(ValueError, match="got buffer 'calls' that changes; take out of its"):
            entry(Counting(), LOSS, *case[1:])


def test_lookups_that_rescale_moving_weights_are_refused():
    """torch's training keeps what a lookup wrote into the weights, which no gradient tells."""
    table = torch.nn.Embedding(7, 3, max_norm=0.5)
    model = torch.nn.Sequential(table, torch.nn.Flatten(), torch.nn.Linear(6, 2))
    data = torch.arange(14).reshape(7, 2) % 7, torch.arange(7) % 2
    arguments = {"step_size": 0.1, "batch_size": 2, "alpha": 0.0, "steps": 2, "rng": 0}
    with pytest.raises(ValueError, match=r"got Embedding '0' .max_norm=0.5., whose"):
        bridge.unlearn(model, torch.nn.CrossEntropyLoss(), data, None, **arguments)


def test_a_user_s_own_class_weights_count_in_what_is_recorded():
    torch.manual_seed(1)
    x, y = torch.randn(17, 5).double(), torch.randint(3, (17,))
    model, weight = torch.nn.Linear(5, 3).double(), torch.tensor([0.2, 1.0, 5.0]).double()

    def loss(f, t):
        return torch.nn.functional.cross_entropy(f, t, weight=weight)

    data = (x[:11], y[:11]), (x[11:], y[11:])
    settings = {"step_size": 0.1, "batch_size": 3, "alpha": 0.3, "steps": 4, "rng": 0}
    real = bridge.unlearn(model, loss, *data, **settings)
    predicted = bridge.linearise(model, loss, *data).run(**settings)
    for name, (inputs, targets) in zip(("retain_loss", "forget_loss"), data, strict=True):
        expected = float(loss(model(inputs), targets))
        np.testing.assert_allclose(getattr(real, name)[:, 0], expected, rtol=1e-12)
        np.testing.assert_allclose(getattr(predicted, name), getattr(real, name), rtol=1e-10)


def test_a_test_set_is_followed_as_it_is_predicted():
    g = torch.Generator().manual_seed(2)
    x, y = torch.randn(16, 5, generator=g).double(), torch.randint(3, (16,), generator=g)
    model, parts = torch.nn.Linear(5, 3).double(), (slice(8), slice(8, 12), slice(12, 16))
    data = [(x[part], y[part]) for part in parts]
    scale = {name: torch.rand_like(p) + 0.5 for name, p in model.named_parameters()}
    settings = {"step_size": [0.1, 0.5], "batch_size": (3, 2), "alpha": 0.4, "steps": 6, "rng": 0}
    real = bridge.unlearn(model, LOSS, *data, preconditioner=scale, **settings)
    predicted = bridge.linearise(model, LOSS, *data, preconditioner=scale).run(**settings)
    for name in ("test_loss", "test_accuracy", "retain_loss", "forget_accuracy", "displacement"):
        np.testing.assert_allclose(getattr(real, name), getattr(predicted, name), rtol=1e-10)
    moved = bridge.displaced(model, real.final[1, 2])
    value = float(LOSS(moved(data[2][0]), data[2][1]))
    assert real.test_loss[1, 2, -1] == pytest.approx(value, rel=1e-12)
    with pytest.raises(ValueError, match=r"displacement must have shape \(n_parameters=18,\), got"):
        bridge.displaced(model, real.final[0, 0, 1:])
    with pytest.raises(ValueError, match="test must hold at least one sample"):
        bridge.unlearn(model, LOSS, *data[:2], (x[:0], y[:0]), **settings)


def test_a_network_in_half_precision_ends_where_its_run_did():
    torch.manual_seed(0)
    x, y = torch.randn(20, 4).bfloat16(), torch.arange(20) % 3
    model = torch.nn.Linear(4, 3).bfloat16()
    runs = bridge.unlearn(model, LOSS, (x[:15], y[:15]), (x[15:], y[15:]), step_size=1e-4,
                          batch_size=5, alpha=0.3, steps=20, rng=0, replicas=1)  # fmt: skip
    after = bridge.displaced(model, runs.final[0])
    value = LOSS(after(x[:15].float()), y[:15]).item()
    assert value == pytest.approx(runs.retain_loss[0, -1], rel=1e-6)
    assert model.weight.dtype == torch.bfloat16
