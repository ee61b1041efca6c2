"""Function space started away from w*, and with the loss expanded at w*."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from rmtstab import bridge  # noqa: E402 (needs torch)
from rmtstab.bridge.expansions import frozen, isotropic_move, started_at  # noqa: E402


def problem(loss):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(10, 6, generator=generator).double()
    y = torch.tensor([1.0, -1.0] * 5).double()
    model = torch.nn.Sequential(torch.nn.Linear(6, 1), torch.nn.Flatten(0)).double()
    net = bridge.linearise(model, loss, (x[:7], y[:7]), (x[7:], y[7:]))
    return model, x, y, net


HOW = {"step_size": 0.3, "batch_size": (3, 2), "alpha": [0.2, 0.6], "steps": 12, "rng": 5}


@pytest.mark.parametrize("loss", [bridge.logistic, bridge.half_squared_error])
def test_a_linear_model_follows_its_function_space_from_anywhere(loss):
    model, x, y, net = problem(loss)
    move, change = isotropic_move(net, np.random.default_rng(1))
    assert np.linalg.norm(move) == pytest.approx(1.0)
    predicted = started_at(net, 2.0 * change).run(replicas=3, **HOW)
    real = bridge.unlearn(
        model, loss, (x[:7], y[:7]), (x[7:], y[7:]), initial=np.tile(2.0 * move, (3, 1)), **HOW
    )
    np.testing.assert_allclose(predicted.forget_loss, real.forget_loss, rtol=1e-9)
    with pytest.raises(ValueError, match="change must have the outputs' shape"):
        started_at(net, change[:3])


def test_frozen_runs_follow_the_expansion():
    """Against weights stepped by hand with gradients and curvatures at w*."""
    model, x, y, net = problem(bridge.logistic)
    found = frozen(net).run(0.7, (7, 3), 0.4, 6, replicas=1, rng=0)  # whole sets: no chance
    with torch.no_grad():
        start = model(x)
    p = torch.sigmoid(-y * start)
    slope, curvature = -y * p, p * (1 - p)
    features = torch.cat([x, torch.ones(10, 1)], dim=1).double()
    weights, losses = torch.zeros(7).double(), []
    omega = torch.tensor([0.6 / 7] * 7 + [-0.4 / 3] * 3, dtype=torch.float64)
    for _ in range(7):
        moved = features @ weights
        losses.append(float(bridge.logistic((start + moved)[7:], y[7:])))
        weights = weights - 0.7 * features.T @ (omega * (slope + curvature * moved))
    np.testing.assert_allclose(found.forget_loss.ravel(), losses, rtol=1e-9)
    kept = net.run(0.7, (7, 3), 0.4, 6, replicas=1, rng=0)
    assert abs(kept.forget_loss.ravel()[-1] / losses[-1] - 1.0) > 1e-3


def test_half_squared_error_is_its_own_expansion():
    _, _, _, net = problem(bridge.half_squared_error)
    runs = [n.run(replicas=2, **HOW) for n in (net, frozen(net))]
    np.testing.assert_allclose(runs[0].retain_loss, runs[1].retain_loss, rtol=1e-10)


def test_frozen_runs_of_classes_follow_the_expansion():
    """Softmax's slopes expanded at w*, by hand, from full batches."""
    generator = torch.Generator().manual_seed(2)
    x, y = torch.randn(10, 4, generator=generator).double(), torch.arange(10) % 3
    model, loss = torch.nn.Linear(4, 3).double(), torch.nn.CrossEntropyLoss()
    net = bridge.linearise(model, loss, (x[:7], y[:7]), (x[7:], y[7:]))
    found = frozen(net).run(0.7, (7, 3), 0.4, 6, replicas=1, rng=0)
    with torch.no_grad():
        start = model(x)
    p = start.softmax(dim=1)
    slope = p - torch.nn.functional.one_hot(y, 3)
    features = torch.cat([x, torch.ones(10, 1)], dim=1).double()
    omega = torch.tensor([0.6 / 7] * 7 + [-0.4 / 3] * 3, dtype=torch.float64)[:, None]
    weights, losses = torch.zeros(5, 3).double(), []
    for _ in range(7):
        moved = features @ weights
        losses.append(float(loss((start + moved)[7:], y[7:])))
        turned = p * moved - p * (p * moved).sum(dim=1, keepdim=True)
        weights = weights - 0.7 * features.T @ (omega * (slope + turned))
    np.testing.assert_allclose(found.forget_loss[0], losses, rtol=1e-12)
