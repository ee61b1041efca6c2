"""Problems read off networks, against explicit derivatives of the user's batch loss."""

import copy
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import rmtstab as rs  # noqa: E402
from rmtstab import bridge  # noqa: E402
from tests import naive_torch  # noqa: E402

CLASS_WEIGHTS = torch.tensor([10, 1, 1, 1, 0.1])


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def labels(n, classes=5, seed=1):
    return torch.randint(0, classes, (n,), generator=torch.Generator().manual_seed(seed))


def net(*last, outputs=5):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, outputs), *last)


class Squeezed(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner = net(outputs=1)

    def forward(self, x):
        return self.inner(x).squeeze()


def one_ignored():
    found = labels(20)
    found[7] = -100
    return found


CASES = {
    "class weights": (net, nn.CrossEntropyLoss(weight=CLASS_WEIGHTS), labels(20)),
    "one ignored": (net, nn.CrossEntropyLoss(), one_ignored()),
    "plain": (net, nn.CrossEntropyLoss(), labels(20)),
    "by hand": (net, lambda f, y: functional.cross_entropy(f, y, label_smoothing=0.1), labels(20)),
    "squeezed": (Squeezed, nn.MSELoss(), draw(20, seed=2)),
    "mse": (net, nn.MSELoss(), draw(20, 5, seed=2)),
    "huber": (net, nn.HuberLoss(), draw(20, 5, seed=2)),
    "bce": (net, nn.BCEWithLogitsLoss(pos_weight=CLASS_WEIGHTS), draw(20, 5).sigmoid().round()),
}


def assert_same_curvature(problem, retain, forget, rtol):
    """Spectra of H_R, H_F and of the signed mixture, which sees how the two lie."""
    h_retain, h_forget = problem.mean_curvatures
    for a, b in ((1.0, 0.0), (0.0, 1.0), (0.7, -0.3)):
        exact = np.linalg.eigvalsh((a * retain + b * forget).numpy())
        found = np.linalg.eigvalsh(a * h_retain + b * h_forget)
        padded = np.sort(np.concatenate([found, np.zeros(len(exact) - len(found))]))
        np.testing.assert_allclose(padded, exact, atol=rtol * np.abs(exact).max())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("case", CASES)
def test_curvature_and_gradients_are_those_of_the_batch_loss(case, dtype):
    """Batches of one would give .64 for 1.01 with class weights, 16/15 with an ignored target."""
    build, loss, targets = CASES[case]
    model, x = build().to(dtype), draw(20, 8).to(dtype)
    y = targets.to(dtype) if targets.is_floating_point() else targets
    problem = bridge.problem(model, loss, (x[:16], y[:16]), (x[16:], y[16:]))
    exact = copy.deepcopy(model).double()
    rtol = 1e-12 if dtype == torch.float64 else 2e-6
    user = copy.deepcopy(loss).double() if isinstance(loss, nn.Module) else loss
    sets = [
        (part_x.double(), part_y.double() if part_y.is_floating_point() else part_y)
        for part_x, part_y in ((x[:16], y[:16]), (x[16:], y[16:]))
    ]
    parts = [naive_torch.gauss_newton(exact, user, *data) for data in sets]
    assert_same_curvature(problem, *parts, rtol)
    slopes = [naive_torch.gradient(exact, user, *data) for data in sets]
    halves = np.split(problem.gradients, [16])
    products = [[float(g.mean(0) @ h.mean(0)) for g in halves] for h in halves]
    exact_products = [[float(g @ h) for g in slopes] for h in slopes]
    np.testing.assert_allclose(products, exact_products, rtol=0, atol=rtol * np.max(exact_products))
    assert problem.interpolation.gradient_norms[0] == pytest.approx(
        float(slopes[0].norm()), rel=10 * rtol
    )
    with torch.no_grad():
        whole = [float(user(exact(a), b)) for a, b in sets]
    np.testing.assert_allclose(problem.interpolation.losses, whole, rtol=10 * rtol)
    curved = problem.mean_curvatures[0] @ problem.gradients[:16, : problem.rank].mean(0)
    expected = float((parts[0] @ slopes[0]).norm())
    assert float(np.linalg.norm(curved)) == pytest.approx(expected, rel=10 * rtol)


def softmax_regression():
    """4 features, 3 classes, 48/12 samples, float64; reference values from a dense operator."""
    torch.manual_seed(0)
    model = nn.Linear(4, 3).double()
    x = torch.randn(60, 4, dtype=torch.float64)
    y = (model(x).detach() + 0.5 * torch.randn(60, 3, dtype=torch.float64)).argmax(1)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=300, tolerance_grad=1e-12)

    def closure():
        optimizer.zero_grad()
        penalty = 1e-3 * sum((q**2).sum() for q in model.parameters())
        loss = nn.CrossEntropyLoss()(model(x), y) + penalty
        loss.backward()
        return loss

    optimizer.step(closure)
    return model, (x[:48], y[:48]), (x[48:], y[48:])


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), lambda f, y: -f.log_softmax(1)[
    torch.arange(len(y)), y].mean()])  # fmt: skip
def test_softmax_regression_has_its_true_rank(loss):
    """Rank (C−1)(k+1) = 10; the null direction's rounding made it 15, growth 1, α .3075."""
    model, retain, forget = softmax_regression()
    problem = bridge.problem(model, loss, retain, forget)
    assert problem.rank == 10
    growth = problem.dynamics(0.5, (8, 2), 0.1).growth_factor()
    assert growth == pytest.approx(0.970261890493, abs=2e-12)
    assert float(problem.critical_alpha(0.5, (8, 2))) == pytest.approx(0.295504, abs=5e-7)


def test_float32_softmax_regression_is_right_to_its_rounding():
    model, retain, forget = softmax_regression()
    sets = [(x.float(), y) for x, y in (retain, forget)]
    problem = bridge.problem(model.float(), nn.CrossEntropyLoss(), *sets)
    assert problem.rank == 10
    growth = problem.dynamics(0.5, (8, 2), 0.1).growth_factor()
    assert growth == pytest.approx(0.970261890493, abs=1e-6)


REDUCTIONS = pytest.mark.parametrize("reduction", ["factors", "gram"])


@REDUCTIONS
def test_rounding_of_float32_makes_no_range(reduction):
    """A linear net of rank 18 with 60 outputs of 30 samples: float32 made it 60, growth 1."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 3, bias=False), nn.Linear(3, 2, bias=False))
    x, y = draw(30, 6), draw(30, 2, seed=2)
    sets = (x[:20], y[:20]), (x[20:], y[20:])
    found = bridge.problem(model, nn.MSELoss(), *sets, reduction=reduction)
    exact = bridge.problem(
        copy.deepcopy(model).double(), nn.MSELoss(), *[(a.double(), b.double()) for a, b in sets]
    )
    assert found.rank == exact.rank < 24
    growths = [p.dynamics(0.5, (8, 4), 0.05).growth_factor() for p in (found, exact)]
    assert growths[0] == pytest.approx(growths[1], abs=1e-5)


@REDUCTIONS
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_saturated_set_keeps_its_curvature_beside_a_heavy_one(reduction, dtype):
    """Retained at confidence 1 − 1e-12, forgotten mislabelled: H_R is 2e-8 of H_F, and exact."""
    torch.manual_seed(0)
    x, model = draw(12, 8).to(dtype), nn.Linear(8, 3, bias=False).to(dtype)
    with torch.no_grad():
        top = model(x).argmax(1)
        gap = model(x).topk(2, dim=1).values.diff(dim=1).abs()
        x = x * torch.cat([28.0 / gap[:9], 1.0 / gap[9:]])
    sets = (x[:9], top[:9]), (x[9:], (top[9:] + 1) % 3)
    problem = bridge.problem(model, nn.CrossEntropyLoss(), *sets, reduction=reduction)
    inputs = sets[0][0].double().numpy()
    p = torch.softmax(model(sets[0][0]).detach().double(), 1).numpy()
    exact = np.zeros((24, 24))
    for row, features in zip(p, inputs, strict=True):
        hessian = -np.outer(row, row)  # diag p − ppᵀ without its cancellation
        np.fill_diagonal(hessian, [row[c] * np.delete(row, c).sum() for c in range(3)])
        exact += np.kron(hessian, np.outer(features, features)) / 9
    h_retain, h_forget = (np.linalg.eigvalsh(h) for h in problem.mean_curvatures)
    assert h_retain[-1] < 1e-7 * h_forget[-1]
    top = np.linalg.eigvalsh(exact)[::-1][:4]
    rtol = 1e-5 if dtype == torch.float32 else 1e-10
    np.testing.assert_allclose(h_retain[::-1][:4], top, rtol=rtol)


def test_reductions_agree():
    """Factors against Gram: curvatures, gradients and what lies outside the range."""
    model, x, y = net(nn.Tanh(), nn.Linear(5, 5)).double(), draw(20, 8).double(), labels(20)
    sets = (x[:16], y[:16]), (x[16:], y[16:])
    loss = nn.CrossEntropyLoss(weight=CLASS_WEIGHTS)
    first, second = (
        bridge.problem(model, loss, *sets, reduction=reduction) for reduction in ("factors", "gram")
    )
    assert first.rank == second.rank == 80 and first.complement == second.complement
    a, b = (p.factors.matrix.T @ p.factors.matrix for p in (first, second))
    np.testing.assert_allclose(a, b, atol=1e-13)
    a, b = (p.gradients @ p.gradients.T for p in (first, second))
    np.testing.assert_allclose(a, b, atol=1e-12)
    a, b = (p.gradients[:, : p.rank] @ p.factors.matrix for p in (first, second))
    np.testing.assert_allclose(a, b, atol=1e-10)
    paths = [p.dynamics(0.1, (4, 2), 0.2).trajectory(20).displacement for p in (first, second)]
    np.testing.assert_allclose(*paths, rtol=1e-8)


@REDUCTIONS
@pytest.mark.parametrize("classes_last", [True, False])
def test_padded_tokens(reduction, classes_last):
    """Logits of every token, sequences of other lengths, one of padding alone."""

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.table, self.layer, self.head = nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, tokens):
            seen = torch.tanh(self.layer(self.table(tokens)).cumsum(1))
            return self.head(seen) if classes_last else self.head(seen).movedim(-1, 1)

    def loss(logits, targets):
        if classes_last:
            logits = logits.movedim(-1, 1)
        return functional.cross_entropy(logits, targets)

    model = Tagger().double()
    tokens = torch.randint(0, 9, (10, 5), generator=torch.Generator().manual_seed(0))
    targets = tokens.roll(1, 1) % 3
    targets[torch.arange(5) >= torch.arange(10)[:, None]] = -100  # sample 0 is all padding
    sets = (tokens[:7], targets[:7]), (tokens[7:], targets[7:])
    exact = [naive_torch.gauss_newton(model, loss, *data) for data in sets]
    for given in (loss, nn.CrossEntropyLoss()):
        problem = bridge.problem(model, given, *sets, reduction=reduction)
        assert_same_curvature(problem, *exact, 1e-12)
    assert any("weighs a sample by the batch" in note for note in problem.notes)


@REDUCTIONS
def test_weights_that_the_model_does_not_use_do_not_matter(reduction):
    model, x, y = net().double(), draw(20, 8).double(), labels(20)
    sets = (x[:16], y[:16]), (x[16:], y[16:])
    plain = bridge.problem(model, nn.CrossEntropyLoss(), *sets, reduction=reduction)
    model.unused, model.layer = nn.Parameter(draw(3).double()), nn.Linear(2, 2).double()
    model.forward = lambda x: model[2](model[1](model[0](x)))
    problem = bridge.problem(model, nn.CrossEntropyLoss(), *sets, reduction=reduction)
    np.testing.assert_allclose(
        *[np.linalg.eigvalsh(p.mean_curvatures[0]) for p in (plain, problem)], atol=1e-14
    )


class Partly(nn.Module):
    """A weight that is one number, and layers under no_grad that move nothing."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.temperature = net(), nn.Parameter(torch.tensor(1.3))

    def forward(self, x):
        with torch.no_grad():
            hidden = self.inner[1](self.inner[0](x))
        return self.inner[2](hidden) * self.temperature


@REDUCTIONS
def test_scalar_weights_and_parts_without_gradient(reduction):
    """The gram route failed at both, with errors of torch's own."""
    model, x, y = Partly().double(), draw(20, 8).double(), labels(20)
    sets = (x[:16], y[:16]), (x[16:], y[16:])
    problem = bridge.problem(model, nn.CrossEntropyLoss(), *sets, reduction=reduction)
    exact = [naive_torch.gauss_newton(model, nn.CrossEntropyLoss(), *s) for s in sets]
    assert_same_curvature(problem, *exact, 1e-12)


def test_losses_of_other_widths_and_inputs_of_other_lengths_share_a_gram():
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.table, self.inner = nn.Embedding(9, 8), net()

        def forward(self, tokens):
            return self.inner(self.table(tokens).mean(1))

    model = Mean().double()
    tokens = torch.randint(0, 9, (20, 7), generator=torch.Generator().manual_seed(0))
    retain, forget = (tokens[:16], labels(16)), (tokens[16:, :4], draw(4, 5).double())
    problem = bridge.problem(
        model, nn.CrossEntropyLoss(), retain, forget, forget_loss=nn.MSELoss(), reduction="gram"
    )
    exact = (
        naive_torch.gauss_newton(model, nn.CrossEntropyLoss(), *retain),
        naive_torch.gauss_newton(model, nn.MSELoss(), *forget),
    )
    assert_same_curvature(problem, *exact, 1e-12)


def test_sketches_are_right_within_their_error_bar():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 200), nn.Tanh(), nn.Linear(200, 1)).double()
    x, y = draw(12, 8).double(), draw(12, 1, seed=2).double()
    sets = (x[:9], y[:9]), (x[9:], y[9:])
    exact = bridge.problem(model, nn.MSELoss(), *sets)
    found = bridge.problem(model, nn.MSELoss(), *sets, reduction="sketch", sketch_size=1500)
    a, b = (p.factors.matrix.T @ p.factors.matrix for p in (found, exact))
    size = np.sqrt(np.outer(np.diag(b), np.diag(b)))
    assert 0 < np.abs((a - b) / size).max() < 5 * np.sqrt(2 / 1500)
    assert any("within 3.7% (one s.e.)" in note for note in found.notes)


def test_memory_that_no_reduction_keeps_is_refused():
    model, x, y = net().double(), draw(20, 8).double(), labels(20)
    sets = (x[:16], y[:16]), (x[16:], y[16:])
    for reduction in ("factors", "gram", "auto"):
        with pytest.raises(ValueError, match="memory_budget must hold"):
            bridge.problem(
                model, nn.CrossEntropyLoss(), *sets, reduction=reduction, memory_budget=1e4
            )
    message = r"reduction='factors' .* 'sketch' 0.1 GB at sketch_size=4000\), got 1e-05 GB; raise"
    with pytest.raises(ValueError, match=message.replace("'sketch' 0", "reduction='sketch' 0")):
        bridge.problem(model, nn.CrossEntropyLoss(), *sets, memory_budget=1e4)
    with pytest.raises(ValueError, match="reduction must be one of 'auto'"):
        bridge.problem(model, nn.CrossEntropyLoss(), *sets, reduction="lanczos")


def test_layers_that_do_not_fit_beside_the_gram_are_sketched(monkeypatch):
    """Room for the matrix but not for one sweep: ``"auto"`` raised an error there."""
    from rmtstab.bridge import from_network

    torch.manual_seed(0)
    model, x = (
        nn.Sequential(nn.Conv2d(1, 64, 5), nn.Flatten(), nn.Linear(36864, 2)),
        draw(8, 1, 28, 28),
    )
    sets = (x[:6], labels(6, 2)), (x[6:], labels(2, 2))
    budget = 1.03e8
    monkeypatch.setattr(from_network, "SMALL_BYTES", 0.0)
    with pytest.raises(ValueError, match=r"memory_budget must be .*reduction='sketch'"):
        bridge.problem(model, nn.CrossEntropyLoss(), *sets, memory_budget=budget, reduction="gram")
    found = bridge.problem(
        model, nn.CrossEntropyLoss(), *sets, memory_budget=budget, sketch_size=64
    )
    assert any("sketched" in note for note in found.notes)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_the_function_of_its_weights(dtype):
    model, x, y = net().to(dtype), draw(20, 8).to(dtype), labels(20)
    problem = bridge.problem(model, nn.CrossEntropyLoss(), (x[:16], y[:16]), (x[16:], y[16:]))
    exact = copy.deepcopy(model).double()
    parts = [
        naive_torch.gauss_newton(exact, nn.CrossEntropyLoss(), x[a:b].double(), y[a:b])
        for a, b in ((0, 16), (16, 20))
    ]
    assert_same_curvature(problem, *parts, 2e-6)
    assert any("differentiated in float32" in note for note in problem.notes)


def test_log_softmax_inside_the_model_is_given_back_to_the_loss():
    x, y = draw(20, 8).double(), labels(20)
    sets = (x[:16], y[:16]), (x[16:], y[16:])
    plain = bridge.problem(net().double(), nn.CrossEntropyLoss(), *sets)
    exact = [naive_torch.gauss_newton(net().double(), nn.CrossEntropyLoss(), *s) for s in sets]
    for loss in (nn.NLLLoss(), functional.nll_loss, lambda f, t: functional.nll_loss(f, t)):
        problem = bridge.problem(net(nn.LogSoftmax(1)).double(), loss, *sets)
        assert_same_curvature(problem, *exact, 1e-12)
        np.testing.assert_allclose(
            problem.gradients @ problem.gradients.T, plain.gradients @ plain.gradients.T, atol=1e-12
        )
        assert any("log-probabilities" in note for note in problem.notes)


@pytest.mark.parametrize("scale", [1.0, 30.0])  # 30: probabilities of 1 to the last bit
def test_sigmoid_inside_the_model_is_given_back_to_the_loss(scale):
    logits = net(nn.Flatten(0), outputs=1).double()
    with torch.no_grad():
        logits[2].weight.mul_(scale)
    model = nn.Sequential(*copy.deepcopy(logits)[:3], nn.Sigmoid(), nn.Flatten(0))
    x = draw(20, 8).double()
    y = (draw(20, seed=2) > 0).double()
    sets = (x[:16], y[:16]), (x[16:], y[16:])
    problem = bridge.problem(model, nn.BCELoss(), *sets)
    exact = [naive_torch.gauss_newton(logits, nn.BCEWithLogitsLoss(), *s) for s in sets]
    assert_same_curvature(problem, *exact, 1e-11)
    assert not model[3]._forward_hooks


def test_a_model_that_is_linear_in_its_weights_has_its_hessian():
    """No Gauss–Newton approximation is left: the exact Hessian of the user's loss."""
    model, x, y = nn.Linear(8, 5).double(), draw(20, 8).double(), labels(20)
    loss = nn.CrossEntropyLoss(weight=CLASS_WEIGHTS.double())
    sets = (x[:16], y[:16]), (x[16:], y[16:])
    problem = bridge.problem(model, loss, *sets)
    exact = [naive_torch.hessian(model, loss, *s) for s in sets]
    assert_same_curvature(problem, *exact, 1e-12)
    top = bridge.largest_hessian_eigenvalue(model, loss, sets[0])
    assert top == pytest.approx(float(torch.linalg.eigvalsh(exact[0])[-1]), rel=1e-10)


def test_forget_loss_of_its_own():
    model, x = net().double(), draw(20, 8).double()
    retain, forget = (x[:16], labels(16)), (x[16:], draw(4, 5).double())
    problem = bridge.problem(model, nn.CrossEntropyLoss(), retain, forget, forget_loss=nn.MSELoss())
    exact = (
        naive_torch.gauss_newton(model, nn.CrossEntropyLoss(), *retain),
        naive_torch.gauss_newton(model, nn.MSELoss(), *forget),
    )
    assert_same_curvature(problem, *exact, 1e-12)


def test_report_says_how_far_the_network_is_from_interpolation():
    x, y = draw(8, 8).double(), draw(8, 1, seed=2).double()
    model = nn.Linear(8, 1, bias=False).double()
    far = bridge.problem(model, bridge.half_squared_error, (x[:6], y[:6]), (x[6:], y[6:]))
    with torch.no_grad():
        model.weight.copy_(torch.linalg.solve(x, y).T)
    near = bridge.problem(model, bridge.half_squared_error, (x[:6], y[:6]), (x[6:], y[6:]))
    assert near.interpolation.interpolates and not far.interpolation.interpolates
    assert "does not interpolate: retain loss" in far.dynamics(0.1, 2, 0.1).report()
    dyn = far.dynamics(0.1, 2, 0.1)
    pushed = dyn.trajectory(5).displacement
    given = dyn.trajectory(5, gradients=far.gradients).displacement
    plain = rs.UnlearningProblem.dynamics(far, 0.1, 2, 0.1)
    np.testing.assert_allclose(pushed, given)
    free = super(type(dyn), dyn).trajectory(5).displacement
    assert abs(pushed[-1] / free[-1] - 1) > 1e-3
    assert "<td>does not interpolate" in dyn._repr_html_() and plain.step_size == 0.1
    again = pickle.loads(pickle.dumps(far))
    assert again.interpolation == far.interpolation and again.rank == far.rank
    assert isinstance(again.dynamics(0.1, 2, 0.0), type(dyn))


def test_report_of_a_saturated_network_claims_neither_rest_nor_stability():
    """Softmax at logits of 2,000: curvature and gradients are 0 in float64."""
    x, y = draw(8, 4).double(), torch.zeros(8, dtype=torch.long)
    model = nn.Linear(4, 3).double()
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(torch.tensor([2e3, 0.0, 0.0]))
    problem = bridge.problem(model, nn.CrossEntropyLoss(), (x[:6], y[:6]), (x[6:], y[6:]))
    said = problem.dynamics(0.1, 2, 0.1).report()
    assert problem.rank == 0 and "no curvature" in said
    assert "stable" not in said and "nothing escapes" not in said


def test_reports_compare_gauss_newton_with_the_hessian():
    x, y = draw(20, 8).double(), draw(20, 5, seed=2).double()
    sets = (x[:16], y[:16]), (x[16:], y[16:])
    problem = bridge.problem(net().double(), nn.MSELoss(), *sets)
    report = problem.dynamics(0.1, 2, 0.1).report()
    exact = torch.linalg.eigvalsh(naive_torch.hessian(net().double(), nn.MSELoss(), *sets[0]))
    assert problem.curvature_gap.hessian == pytest.approx(float(exact[-1]), rel=1e-6)
    assert problem.curvature_gap.lowest == pytest.approx(float(exact[0]), rel=1e-6)
    assert "the exact Hessian is indefinite (lowest eigenvalue" in report
    linear = bridge.problem(nn.Linear(8, 5).double(), nn.MSELoss(), *sets)
    assert "0.00% from the exact Hessian" in linear.dynamics(0.1, 2, 0.1).report()
    again = pickle.loads(pickle.dumps(problem))
    assert again.curvature_gap == problem.curvature_gap
    again = pickle.loads(pickle.dumps(bridge.problem(net().double(), nn.MSELoss(), *sets)))
    assert "was not measured" in again.dynamics(0.1, 2, 0.1).report()


@pytest.mark.parametrize(
    ("model", "loss", "message"),
    [
        (net(), nn.L1Loss(), "loss must curve in the outputs, got none at any retain sample"),
        (net(), nn.MSELoss(reduction="sum"), "loss must be a mean over the batch, got a sum on"),
        (
            net(nn.Softmax(1)),
            lambda f, y: -(f * y).sum(1).mean(),
            "loss must curve in the outputs",
        ),
        (net(), lambda f, y: -((f - y) ** 2).mean(), "loss must be convex in the outputs"),
        (
            net(nn.Sigmoid()),
            lambda f, y: functional.binary_cross_entropy(f, y),
            "defined at any real outputs, got RuntimeError: all elements .* return logits",
        ),
        (
            net(nn.Softmax(1)),
            lambda f, y: -(y * f.log()).sum(1).mean(),
            "defined at any real outputs, got nan",
        ),
        (net(), nn.BCELoss(), "does not end in a torch.nn.Sigmoid module; return logits"),
    ],
)
def test_what_has_no_frozen_curvature_is_refused(model, loss, message):
    x, y = draw(20, 8), draw(20, 5).sigmoid()
    with pytest.raises(ValueError, match=message):
        bridge.problem(model, loss, (x[:16], y[:16]), (x[16:], y[16:]))


def test_samples_that_push_without_curvature_are_counted():
    model, x, y = net().double(), draw(20, 8).double(), draw(20, 5, seed=2).double()
    y[[3, 8]] += 100.0
    problem = bridge.problem(model, nn.HuberLoss(delta=10.0), (x[:16], y[:16]), (x[16:], y[16:]))
    assert "retain: 2 of 16 samples push without curvature" in problem.notes


def test_subsamples_tell_how_far_they_disagree():
    model, x, y = nn.Linear(8, 5).double(), draw(600, 8).double(), labels(600)
    sets = (x[:500], y[:500]), (x[500:], y[500:])
    problem = bridge.problem(model, nn.CrossEntropyLoss(), *sets, max_samples=200)
    assert (problem.n_retain, problem.n_forget) == (200, 100)
    assert set(problem.disagreement) == {"retain"}
    gap = problem.disagreement["retain"]
    whole = bridge.problem(model, nn.CrossEntropyLoss(), *sets)
    assert not whole.disagreement
    # halves of 100 of a trace whose samples scatter by s part by 2s/√200 on average: within 5
    traces = np.array(
        [np.sum(z**2) for z in bridge.sample_factors(model, nn.CrossEntropyLoss(), sets[0])]
    )
    assert 0 < gap.trace <= 5 * 2 * traces.std() / traces.mean() / np.sqrt(200)
    assert 0 < gap.largest < 1
    assert "retain subsample: disjoint halves part by" in problem.dynamics(0.1, 20, 0.1).report()
    other = bridge.problem(model, nn.CrossEntropyLoss(), *sets, max_samples=200, seed=5)
    assert other.disagreement["retain"] != gap


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@REDUCTIONS
def test_cuda_agrees_with_the_cpu(reduction):
    x, y, loss = draw(20, 8).double(), one_ignored(), nn.CrossEntropyLoss(weight=CLASS_WEIGHTS)
    sets = (x[:16], y[:16]), (x[16:], y[16:])
    here = bridge.problem(net().double(), loss, *sets, reduction=reduction)
    there = bridge.problem(net().double(), loss, *sets, reduction=reduction, device="cuda")
    a, b = (p.factors.matrix.T @ p.factors.matrix for p in (here, there))
    np.testing.assert_allclose(a, b, atol=1e-12)
    np.testing.assert_allclose(
        here.gradients @ here.gradients.T, there.gradients @ there.gradients.T, atol=1e-12
    )


def test_sets_of_one_sample_and_none():
    model, x, y = net().double(), draw(2, 8).double(), labels(2)
    problem = bridge.problem(model, nn.CrossEntropyLoss(), (x[:1], y[:1]), (x[1:], y[1:]))
    assert (problem.n_retain, problem.n_forget, problem.rank) == (1, 1, 8)
    alone = bridge.problem(model, nn.CrossEntropyLoss(), (x[:1], y[:1]), (x[:0], y[:0]))
    assert alone.n_forget == 0 and np.isnan(alone.interpolation.losses[1])
    assert "forget" not in alone.interpolation.words
    one = bridge.problem(nn.Linear(8, 1), nn.CrossEntropyLoss(), (draw(4, 8), labels(4, 1)), ())
    assert one.rank == 0 and one.interpolation.interpolates
