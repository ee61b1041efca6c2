"""The torch bridge against loops, closed forms and finite differences."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rmtstab import bridge  # noqa: E402
from rmtstab.curvature import cnn_gram, cnn_outputs  # noqa: E402
from rmtstab.ensembles import SignalPlusNoise  # noqa: E402
from tests import naive  # noqa: E402


@pytest.fixture(scope="module")
def trained():
    """A small interpolating CNN and its data, forget samples last."""
    patches, labels = SignalPlusNoise(20, 60, 0.5).sample(0)
    data = torch.tensor(patches), torch.tensor(labels)
    model = bridge.TwoLayerReLUCNN(60, 5, seed=1)
    bridge.gradient_descent(model, data, step_size=0.02, steps=2000)
    assert bridge.gauss_newton(model, data).converged
    return model, data, patches, labels


def split(data, n_retain):
    return tuple(t[:n_retain] for t in data), tuple(t[n_retain:] for t in data)


def test_model_is_the_closed_form_network(trained):
    model, data, patches, _ = trained
    weights = model.weights.detach().numpy()
    with torch.no_grad():
        np.testing.assert_allclose(model(data[0]).numpy(), cnn_outputs(weights, patches))
    masks = model.activation_pattern(data[0]).numpy()
    expected = np.einsum("ipd,jrd->ipjr", patches, weights) > 0
    np.testing.assert_array_equal(masks, expected)


def test_interpolation_leaves_no_residual(trained):
    model, data, _, labels = trained
    with torch.no_grad():
        np.testing.assert_allclose(model(data[0]).numpy(), labels, atol=1e-13)


@pytest.mark.parametrize("loss", ["mse", "logistic"])
def test_factors_give_the_closed_form_gram(trained, loss):
    model, data, patches, labels = trained
    function = {"mse": bridge.half_squared_error, "logistic": bridge.logistic}[loss]
    factors = bridge.sample_factors(model, function, data)[:, 0]
    gram = cnn_gram(model.weights.detach().numpy(), patches, labels, loss)
    np.testing.assert_allclose(factors @ factors.T, gram, atol=1e-12 * gram.max())
    chunked = bridge.sample_factors(model, function, data, chunk_size=7)[:, 0]
    np.testing.assert_allclose(chunked, factors, atol=1e-14)


def test_sharpness_by_hessian_vector_products(trained):
    model, data, patches, labels = trained
    gram = cnn_gram(model.weights.detach().numpy(), patches, labels)
    autograd = bridge.largest_hessian_eigenvalue(model, bridge.half_squared_error, data)
    assert autograd == pytest.approx(np.linalg.eigvalsh(gram)[-1] / len(labels), rel=1e-10)


def test_away_from_interpolation_the_hessian_is_not_the_gram(trained):
    _, data, _, labels = trained
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    model.double()
    inputs, targets = data[0][:, 0, :2] + 1.0, data[1][:, None] * 5
    factors = bridge.sample_factors(model, bridge.half_squared_error, (inputs, targets))[:, 0]
    gauss_newton = np.linalg.eigvalsh(factors @ factors.T)[-1] / len(labels)
    exact = bridge.largest_hessian_eigenvalue(model, bridge.half_squared_error, (inputs, targets))
    assert abs(exact / gauss_newton - 1) > 1e-3


def test_losses_are_taken_as_they_are():
    model = torch.nn.Linear(4, 3, dtype=torch.float64)
    inputs = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 1, 2, 0, 1])
    outputs = model(inputs).detach().numpy()
    factors = bridge.sample_factors(model, torch.nn.CrossEntropyLoss(), (inputs, targets))
    for i in range(5):
        p = np.exp(outputs[i]) / np.exp(outputs[i]).sum()
        curvature = np.diag(p) - np.outer(p, p)
        # parameters: weight rows, then bias; the Jacobian of output c touches row c only
        x = np.append(inputs[i].numpy(), 1.0)
        expected = np.kron(curvature, np.outer(x, x)).trace()
        assert np.sum(factors[i] ** 2) == pytest.approx(expected, rel=1e-10)
    real = torch.zeros(5, 3, dtype=torch.float64)
    half = bridge.sample_factors(model, bridge.half_squared_error, (inputs, real))
    mean = bridge.sample_factors(model, torch.nn.MSELoss(), (inputs, real))
    np.testing.assert_allclose(np.sum(mean**2), np.sum(half**2) * 2 / 3)


def test_selected_parameters(trained):
    model = torch.nn.Linear(4, 1, dtype=torch.float64)
    data = torch.ones(3, 4, dtype=torch.float64), torch.ones(3, 1, dtype=torch.float64)
    only = bridge.sample_factors(model, torch.nn.MSELoss(), data, parameters=["bias"])
    assert only.shape == (3, 1, 1)
    with pytest.raises(ValueError, match="parameters must be one of 'weight', 'bias', got 'b'"):
        bridge.sample_factors(model, torch.nn.MSELoss(), data, parameters=["b"])


def test_concave_loss_is_refused(trained):
    model, data, *_ = trained
    with pytest.raises(ValueError, match="loss must be convex in the outputs"):
        bridge.sample_factors(model, lambda f, y: -((f - y) ** 2).mean(), data)


def test_random_network_is_refused(trained):
    _, data, *_ = trained
    model = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(120, 1, dtype=torch.float64)
    )
    retain, forget = split((data[0], data[1][:, None]), 15)
    with pytest.raises(ValueError, match="model must be deterministic"):
        bridge.problem(model, torch.nn.MSELoss(), retain, forget)
    model.eval()
    assert bridge.problem(model, torch.nn.MSELoss(), retain, forget).n_forget == 5


def test_absent_device_is_named(trained):
    model, data, *_ = trained
    retain, forget = split(data, 15)
    for device in ("cuda:99", "nonsense"):
        with pytest.raises(ValueError, match=f"device must be one of cpu.*, got '{device}'"):
            bridge.problem(model, bridge.half_squared_error, retain, forget, device=device)


def test_empty_forget_set(trained):
    model, data, *_ = trained
    retain, forget = split(data, 20)
    problem = bridge.problem(model, bridge.half_squared_error, retain, forget)
    assert (problem.n_retain, problem.n_forget) == (20, 0)


def test_real_step_is_the_update_rule(trained):
    """One real step, full batches, against gradients by loops; a wrong sign of α would show."""
    model, data, patches, labels = trained
    retain, forget = split(data, 15)
    weights = model.weights.detach().numpy().copy()
    shift = 0.05 * np.random.default_rng(0).standard_normal((2, weights.size))
    runs = bridge.unlearn(
        model, bridge.half_squared_error, retain, forget, step_size=0.1, batch_size=(15, 5),
        alpha=0.4, steps=1, initial=shift, rng=0,
    )  # fmt: skip
    for k in range(2):
        moved = weights + shift[k].reshape(weights.shape)
        residual = naive.cnn_outputs(moved, patches) - labels
        slopes = naive.cnn_gradients(moved, patches) * residual[:, None]
        step = 0.6 * slopes[:15].mean(0) - 0.4 * slopes[15:].mean(0)
        np.testing.assert_allclose(runs.final[k], shift[k] - 0.1 * step, atol=1e-14)
        assert runs.retain_loss[k, 0] == pytest.approx(0.5 * np.mean(residual[:15] ** 2))
        assert runs.forget_loss[k, 0] == pytest.approx(0.5 * np.mean(residual[15:] ** 2))
    np.testing.assert_array_equal(model.weights.detach().numpy(), weights)  # left as it was
    assert np.isfinite(runs.flipped).all()


def test_batches_are_uniform_subsets(trained):
    """Mean and spread of drawn steps against without-replacement theory, 5 standard errors."""
    model, data, *_ = trained
    retain, forget = split(data, 15)
    replicas = 400
    shift = np.tile(1e-3 * np.random.default_rng(1).standard_normal(600), (replicas, 1))
    arguments = {"step_size": 0.1, "alpha": 0.4, "steps": 1, "initial": shift, "rng": 3}
    runs = bridge.unlearn(
        model, bridge.half_squared_error, retain, forget, batch_size=(4, 2), **arguments
    )
    moves = runs.final - shift
    full = bridge.unlearn(
        model, bridge.half_squared_error, retain, forget, batch_size=(15, 5),
        **(arguments | {"initial": shift[:1]}),
    )  # fmt: skip
    error = moves.std(axis=0, ddof=1) / np.sqrt(replicas)
    mean = full.final[0] - shift[0]
    assert (np.abs(moves.mean(0) - mean) <= 5 * error + 1e-18).all()
    assert moves.std(axis=0).max() > 0


def test_replicas_do_not_depend_on_one_another(trained):
    model, data, *_ = trained
    retain, forget = split(data, 15)
    shift = 1e-3 * np.random.default_rng(2).standard_normal((3, 600))
    common = {"step_size": 0.1, "batch_size": 2, "alpha": 0.2, "steps": 4, "rng": 5}
    three = bridge.unlearn(
        model, bridge.half_squared_error, retain, forget, initial=shift, **common
    )
    one = bridge.unlearn(
        model, bridge.half_squared_error, retain, forget, initial=shift[:1], **common
    )
    np.testing.assert_allclose(three.displacement[0], one.displacement[0], rtol=1e-12)


def test_runs_stop_when_told(trained):
    model, data, *_ = trained
    retain, forget = split(data, 15)
    runs = bridge.unlearn(
        model, bridge.half_squared_error, retain, forget, step_size=0.1, batch_size=2, alpha=0.2,
        steps=50, initial=1e-3 * np.ones((2, 600)), rng=0,
        until=lambda norms, retain, forget: norms.shape[1] > 3,
    )  # fmt: skip
    assert runs.stopped_early and runs.displacement.shape == (2, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": (16, 2)}, r"batch_size must lie in \[1, n_retain=15\], got 16"),
        ({"batch_size": 6}, r"batch_size must lie in \[1, n_forget=5\], got 6"),
        ({"alpha": 1.2}, r"alpha must lie in \[0, 1\], got 1.2"),
        ({"step_size": 0.0}, "step_size must be > 0"),
        ({"initial": np.ones((2, 3))}, r"initial must have shape \(replicas, n_parameters=600\)"),
        ({"initial": np.full((1, 600), np.nan)}, "initial must be finite"),
    ],
)
def test_bad_input_to_unlearn(trained, change, message):
    model, data, *_ = trained
    retain, forget = split(data, 15)
    arguments = {
        "step_size": 0.1, "batch_size": 2, "alpha": 0.2, "steps": 1,
        "initial": np.ones((1, 600)), "rng": 0,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        bridge.unlearn(model, bridge.half_squared_error, retain, forget, **(arguments | change))


def test_training_that_diverges_says_so(trained):
    _, data, *_ = trained
    model = bridge.TwoLayerReLUCNN(60, 5, seed=1)
    with pytest.raises(FloatingPointError, match=r"not finite after \d+ steps at step_size=1e"):
        bridge.gradient_descent(model, data, step_size=1e200, steps=50)


def test_data_that_cannot_be_interpolated_is_reported():
    model = bridge.TwoLayerReLUCNN(10, 2)
    same = torch.ones(2, 1, 10, dtype=torch.float64)
    result = bridge.gauss_newton(model, (same, torch.tensor([1.0, -1.0], dtype=torch.float64)))
    assert not result.converged and result.loss >= 0.5 - 1e-9


def test_shapes_that_would_broadcast_are_refused(trained):
    _, data, *_ = trained
    for loss in (bridge.half_squared_error, bridge.logistic):
        with pytest.raises(ValueError, match=r"targets must have the outputs' shape \(20, 1\)"):
            loss(torch.zeros(20, 1), data[1])


def test_empty_retain_set_is_refused(trained):
    model, data, *_ = trained
    retain, forget = split(data, 0)
    with pytest.raises(ValueError, match="retain must hold at least one sample, got 0"):
        bridge.problem(model, bridge.half_squared_error, retain, forget)


def test_frozen_parameters_stay_and_curvature_agrees():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    model.double()
    for p in model[0].parameters():
        p.requires_grad_(False)
    data = torch.randn(4, 6, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64)
    retain, forget = split(data, 3)
    assert bridge.sample_factors(model, torch.nn.MSELoss(), data).shape == (4, 1, 5)
    before = [p.clone() for p in model.parameters()]
    common = {"step_size": 0.1, "batch_size": 1, "alpha": 0.1, "steps": 2, "rng": 0}
    runs = bridge.unlearn(
        model, torch.nn.MSELoss(), retain, forget, initial=np.ones((2, 5)), **common
    )
    assert runs.final.shape == (2, 5)
    bias = bridge.unlearn(
        model, torch.nn.MSELoss(), retain, forget, initial=np.ones((2, 1)),
        parameters=["2.bias"], **common,
    )  # fmt: skip
    assert bias.final.shape == (2, 1)
    for p, q in zip(model.parameters(), before, strict=True):
        assert torch.equal(p, q)
    # the loss is quadratic in the last layer: its Hessian is the Gauss–Newton matrix
    factors = bridge.sample_factors(model, torch.nn.MSELoss(), data)[:, 0]
    sharpness = bridge.largest_hessian_eigenvalue(model, torch.nn.MSELoss(), data)
    assert sharpness == pytest.approx(np.linalg.eigvalsh(factors @ factors.T)[-1] / 4, rel=1e-9)
    for p in model[0].parameters():
        p.requires_grad_(True)
    with pytest.raises(ValueError, match="parameters must name at least one parameter"):
        bridge.sample_factors(model, torch.nn.MSELoss(), data, parameters=[])


def test_batch_statistics_are_refused_and_left_alone(trained):
    _, data, *_ = trained
    model = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.BatchNorm1d(120), torch.nn.Linear(120, 1)
    ).double()
    retain, forget = split((data[0], data[1][:, None]), 15)
    with pytest.raises(ValueError, match="model must be deterministic"):
        bridge.problem(model, torch.nn.MSELoss(), retain, forget)
    assert model[1].num_batches_tracked == 0 and not model[1].running_mean.any()


def test_nan_inputs_are_named(trained):
    model, data, *_ = trained
    retain, forget = split((data[0] * float("nan"), data[1]), 15)
    with pytest.raises(ValueError, match="retain must be finite, got NaN or infinite inputs"):
        bridge.problem(model, bridge.half_squared_error, retain, forget)


def test_unlearning_without_a_forget_set(trained):
    model, data, *_ = trained
    retain, forget = split(data, 20)
    common = {"step_size": 0.1, "batch_size": 2, "steps": 3, "initial": np.ones((2, 600)), "rng": 0}
    runs = bridge.unlearn(model, bridge.half_squared_error, retain, forget, alpha=0.0, **common)
    assert not runs.forget_loss.any() and np.isfinite(runs.displacement).all()
    with pytest.raises(ValueError, match=r"alpha must be 0 without a forget set, got 0\.5"):
        bridge.unlearn(model, bridge.half_squared_error, retain, forget, alpha=0.5, **common)
