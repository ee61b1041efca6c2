"""The compiled engine of the two-layer ReLU CNN: against the general one, and what is not its."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rmtstab import bridge  # noqa: E402
from rmtstab.bridge import cnn_runs  # noqa: E402
from rmtstab.ensembles import SignalPlusNoise  # noqa: E402


@pytest.fixture(scope="module")
def cnn():
    patches, labels = SignalPlusNoise(14, 30, 0.5).sample(0)
    model = bridge.TwoLayerReLUCNN(30, 3, seed=1)
    x, y = torch.tensor(patches), torch.tensor(labels)
    return model, (x[:10], y[:10]), (x[10:], y[10:])


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        (bridge.half_squared_error, {}),
        (bridge.logistic, {"sampling": "bernoulli"}),
        (torch.nn.MSELoss(), {"update": "alternating", "schedule": lambda t: 1 / (1 + t)}),
    ],
    ids=["half squared", "logistic", "mse"],
)
def test_compiled_engine_is_the_general_one(cnn, loss, options, monkeypatch):
    arguments = {
        "step_size": [0.02, 0.1], "batch_size": (3, 2), "alpha": [0.3, 0.6], "steps": 70, "rng": 2,
        "initial": 0.01 * np.random.default_rng(0).standard_normal((3, 180)), "record_every": 4,
    }  # fmt: skip
    fast = bridge.unlearn(*cnn[:1], loss, *cnn[1:], **arguments, **options)
    monkeypatch.setattr(cnn_runs, "applies", lambda *_: False)
    slow = bridge.unlearn(*cnn[:1], loss, *cnn[1:], **arguments, **options)
    for name in ("retain_loss", "forget_loss", "retain_accuracy", "forget_accuracy", "final"):
        np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(fast.displacement, slow.displacement, rtol=1e-7)
    np.testing.assert_array_equal(fast.flipped, slow.flipped)


@pytest.mark.parametrize("compiled", [True, False])
def test_runs_stop_at_the_step_that_until_says(cnn, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(cnn_runs, "applies", lambda *_: False)
    shapes = []

    def until(displacement, retain, forget):
        shapes.append((displacement.shape, retain.shape, forget.shape))
        return displacement.shape[-1] > 40

    common = {"step_size": [0.02, 0.05], "batch_size": 2, "alpha": 0.3, "replicas": 2, "rng": 0}
    runs = bridge.unlearn(
        *cnn[:1], bridge.half_squared_error, *cnn[1:], steps=60, until=until, **common
    )
    assert runs.stopped_early and runs.retain_loss.shape == (2, 2, 41)
    assert shapes[-1] == ((2, 2, 41),) * 3
    whole = bridge.unlearn(*cnn[:1], bridge.half_squared_error, *cnn[1:], steps=40, **common)
    np.testing.assert_allclose(runs.final, whole.final, atol=1e-14)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_gives_the_numbers_of_the_cpu(cnn):
    settings = {"step_size": [0.05, 0.1], "batch_size": (4, 2), "alpha": 0.2, "steps": 60}
    here, there = (
        bridge.unlearn(
            cnn[0], bridge.half_squared_error, *cnn[1:], device=device, replicas=5, rng=1,
            **settings,
        )
        for device in ("cpu", "cuda")
    )  # fmt: skip
    np.testing.assert_allclose(there.retain_loss, here.retain_loss, rtol=1e-8)
    np.testing.assert_allclose(there.displacement, here.displacement, rtol=1e-8)


class Subclassed(bridge.TwoLayerReLUCNN):
    """The same function; the general engine's."""


def both_engines(model, loss, retain, forget, **settings):
    """Runs of the compiled and of the general engine."""
    other = Subclassed(model.weights.shape[-1], model.weights.shape[1])
    other.load_state_dict(model.state_dict())
    settings = {"batch_size": (3, 2), "steps": 30, "rng": 0, "replicas": 3, **settings}
    return [bridge.unlearn(m, loss, retain, forget, **settings) for m in (model, other)]


def test_compiled_runs_that_overflow_have_collapsed(cnn):
    """A NaN among the weights is no ReLU that is off."""
    settings = {"step_size": 3.0, "alpha": 0.9, "steps": 2000, "record_every": 500}
    for runs in both_engines(cnn[0], bridge.half_squared_error, *cnn[1:], **settings):
        assert runs.outcome.item() == "collapses"
        assert np.isinf(runs.retain_loss[:, -1]).all() and not runs.retain_accuracy[:, -1].any()


def test_compiled_runs_tell_right_from_wrong_in_each_set(cnn):
    model, (x, y), (u, _) = cnn
    settings = {"step_size": 0.1, "alpha": 0.9}
    for targets in (torch.tensor([0.3, -0.2, 1.7, 0.1]), torch.tensor([0.0, 1.0, 1.0, 0.0])):
        compiled, general = both_engines(
            model, bridge.half_squared_error, (x, y), (u, targets.double()), **settings
        )
        for name in ("retain_accuracy", "forget_accuracy", "collapse_step"):
            np.testing.assert_array_equal(getattr(compiled, name), getattr(general, name))
    assert np.isfinite(compiled.collapse_step).all()


def test_what_is_hooked_on_a_network_is_run_and_read(cnn):
    """The closed forms of the CNN are for what it computes as written."""
    settings = {"step_size": 0.1, "batch_size": (3, 2), "alpha": 0.3, "steps": 5, "rng": 0}
    loss = bridge.half_squared_error
    hooks = {
        "register_forward_hook": lambda module, args, output: 3 * output,
        "register_forward_pre_hook": lambda module, args: (3 * args[0],),  # it is homogeneous
    }
    for hook, function in hooks.items():
        model = bridge.TwoLayerReLUCNN(30, 3, seed=1)
        plain = bridge.unlearn(model, loss, *cnn[1:], **settings)
        gram = bridge.linearise(model, loss, *cnn[1:]).gram
        handle = getattr(model, hook)(function)
        hooked = bridge.unlearn(model, loss, *cnn[1:], **settings)
        tripled = bridge.linearise(model, loss, *cnn[1:]).gram
        handle.remove()
        np.testing.assert_allclose(tripled, 9 * gram, rtol=1e-12)
        as_output = bridge.unlearn(model, loss, *cnn[1:], output=lambda f: 3 * f, **settings)
        np.testing.assert_allclose(hooked.final, as_output.final, rtol=1e-10)
        assert not np.allclose(hooked.final, plain.final, rtol=0.1)
    model.signs.mul_(3)
    np.testing.assert_allclose(bridge.linearise(model, loss, *cnn[1:]).gram, 9 * gram, rtol=1e-12)


def test_a_summed_loss_of_the_forget_set_alone_is_summed(cnn):
    model, retain, forget = cnn
    runs = bridge.unlearn(
        model, torch.nn.MSELoss(), retain, forget, step_size=0.05, batch_size=2, alpha=0.4,
        steps=2, rng=0, replicas=2, forget_loss=torch.nn.MSELoss(reduction="sum"),
    )  # fmt: skip
    expected = len(forget[1]) * torch.nn.functional.mse_loss(model(forget[0]), forget[1]).item()
    np.testing.assert_allclose(runs.forget_loss[:, 0], expected, rtol=1e-12)
