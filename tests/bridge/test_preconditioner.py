"""Frozen diagonal preconditioners: ``H → P^{1/2} H P^{1/2}``."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from rmtstab import bridge  # noqa: E402
from rmtstab.bridge.network import Network  # noqa: E402
from tests import naive_torch  # noqa: E402

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(20, 4, generator=GENERATOR, dtype=torch.float64)
Y = torch.randint(0, 3, (20,), generator=GENERATOR)
SETS = (X[:16], Y[:16]), (X[16:], Y[16:])
LOSS = nn.CrossEntropyLoss()
OPTIMIZERS = {
    "Adam": (torch.optim.Adam, {}),
    "amsgrad": (torch.optim.Adam, {"amsgrad": True, "betas": (0.8, 0.95)}),
    "AdamW": (torch.optim.AdamW, {"eps": 1e-3}),
    "RMSprop": (torch.optim.RMSprop, {"alpha": 0.8}),
    "centred": (torch.optim.RMSprop, {"centered": True}),
}


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3)).double()


def flat(diagonal, model):
    return torch.cat([diagonal[name].flatten() for name, _ in model.named_parameters()])


def test_a_dict_scales_curvatures_and_gradients():
    model = net()
    diagonal = {name: 0.1 + torch.rand(p.shape).double() for name, p in model.named_parameters()}
    problem = bridge.problem(model, LOSS, *SETS, preconditioner=diagonal)
    root = flat(diagonal, model).sqrt()
    exact = [root[:, None] * naive_torch.gauss_newton(model, LOSS, *s) * root for s in SETS]
    for found, expected in zip(problem.mean_curvatures, exact, strict=True):
        top = np.linalg.eigvalsh(expected.numpy())[::-1][: problem.rank]
        np.testing.assert_allclose(np.linalg.eigvalsh(found)[::-1][: len(top)], top, atol=1e-13)
    slope = root * naive_torch.gradient(model, LOSS, *SETS[0])
    assert problem.interpolation.gradient_norms[0] == pytest.approx(float(slope.norm()), rel=1e-12)
    sharp = bridge.largest_hessian_eigenvalue(model, LOSS, SETS[0], preconditioner=diagonal)
    hessian = root[:, None] * naive_torch.hessian(model, LOSS, *SETS[0]) * root
    assert sharp == pytest.approx(float(torch.linalg.eigvalsh(hessian)[-1]), rel=1e-9)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_optimizers_step_along_their_diagonal(kind):
    """One more step with second moments held moves by −η P m: read P off that step."""
    build, options = OPTIMIZERS[kind]
    model = net()
    optimizer = build(model.parameters(), lr=1e-2, weight_decay=0.0, **options)
    for _ in range(4):
        optimizer.zero_grad()
        LOSS(model(X), Y).backward()
        optimizer.step()
    found = Network(model, preconditioner=optimizer).preconditioner
    # hold the second moments: betas that keep v, and the step count of the bias correction
    for group in optimizer.param_groups:
        if "betas" in group:
            group["betas"] = (0.0, group["betas"][1])
        else:
            group["alpha"] = 1.0
    for entry in optimizer.state.values():
        if "step" in entry and "betas" in optimizer.param_groups[0]:
            beta = optimizer.param_groups[0]["betas"][1]
            entry["exp_avg_sq"] /= beta  # the coming step multiplies by beta
            entry["step"] -= 1
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()  # so that the step is all that is left
            p.grad = torch.full_like(p, 1e-30)  # adds nothing to the second moments
    optimizer.step()
    for name, p in model.named_parameters():
        np.testing.assert_allclose(p.detach() / (-1e-2 * 1e-30), found[name], rtol=1e-12)


def test_groups_with_other_rates_are_scaled():
    model = net()
    groups = [
        {"params": list(model[0].parameters()), "lr": 1e-2},
        {"params": list(model[2].parameters()), "lr": 3e-2},
    ]
    optimizer = torch.optim.RMSprop(groups)
    LOSS(model(X), Y).backward()
    optimizer.step()
    found = Network(model, preconditioner=optimizer).preconditioner
    for name, factor in (("0.weight", 1.0), ("2.weight", 3.0)):
        weight = dict(model.named_parameters())[name]
        root = optimizer.state[weight]["square_avg"].sqrt()
        np.testing.assert_allclose(found[name], factor / (root + 1e-8))


def other_optimizer():
    optimizer = torch.optim.Adam(nn.Linear(2, 2).parameters())
    return optimizer


@pytest.mark.parametrize(
    ("preconditioner", "error", "message"),
    [
        (lambda m: torch.optim.SGD(m.parameters()), TypeError, r"Adam, AdamW, RMSprop .* got SGD"),
        (
            lambda m: torch.optim.Adam(m.parameters()),
            ValueError,
            r"\(Adam\) that never stepped",
        ),
        (lambda m: other_optimizer(), ValueError, "without '0.weight'; build it on"),
        (lambda m: {"0.weight": 1.0}, ValueError, "nothing for '0.bias'"),
        (lambda m: {**ones(m), "head": 1.0}, ValueError, "unknown 'head'"),
        (lambda m: {**ones(m), "0.bias": torch.ones(2)}, ValueError, r"shape \(3,\), got \(2,\)"),
        (lambda m: {**ones(m), "0.bias": 0.0}, ValueError, "positive and finite, got 0"),
        (lambda m: {**ones(m), "0.bias": float("nan")}, ValueError, "must be positive and finite"),
        (lambda m: 2.0, TypeError, "must be a dict of tensors or a torch Adam"),
    ],
)
def test_what_is_no_preconditioner_is_refused(preconditioner, error, message):
    model = net()
    with pytest.raises(error, match=message):
        Network(model, preconditioner=preconditioner(model))


def ones(model):
    return {name: 1.0 for name, _ in model.named_parameters()}
