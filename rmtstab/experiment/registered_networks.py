"""Experiments with networks that a TOML sweep can name; torch loads when one runs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.ensembles.signal_plus_noise import SignalPlusNoise
from rmtstab.experiment.registered import SETTING, problem_coherence
from rmtstab.sweeps.experiment import experiment
from rmtstab.unlearning import UnlearningProblem

if TYPE_CHECKING:
    from torch import Tensor, nn

P = ParamSpec("P")
R = TypeVar("R")
WIDTH, TRAINING_STEPS = 32, 3000  # of the perceptron on digits; at most so many steps
TRAINED = {
    "signal_plus_noise": (4.0, 1e-2),  # step size, and the loss at which training ends
    "digits": (0.5, 2e-2),
}


def one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Run on one torch thread, as sums depend on their number; the caller's comes back after."""

    @functools.wraps(function)
    def run(*args: P.args, **options: P.kwargs) -> R:
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return function(*args, **options)
        finally:
            torch.set_num_threads(before)

    return run


@functools.lru_cache(maxsize=4)  # cells of one instance share a process's network
def trained_network(
    data: str, n_retain: int, n_forget: int, dim: int, snr: float, filters: int, instance: int
) -> tuple[nn.Module, Any, tuple[Tensor, Tensor], tuple[Tensor, Tensor], Any]:
    """Draw data, train a classifier by gradient descent, linearise it.

    Parameters
    ----------
    data : {"signal_plus_noise", "digits"}
        A ReLU CNN under the logistic loss, or a tanh perceptron under cross-entropy.
    n_retain, n_forget, dim : int
    snr : float
    filters : int
    instance : int
        All that data and initial weights are drawn from.

    Returns
    -------
    (model, loss, retain, forget, linearised)

    Raises
    ------
    RuntimeError
        If training does not reach its loss.
    """
    import torch

    from rmtstab import bridge

    rng, total = np.random.default_rng(instance), n_retain + n_forget
    seed = int(rng.integers(2**31))
    model: nn.Module
    if data == "digits":
        from sklearn.datasets import load_digits

        images, targets = load_digits(return_X_y=True)
        chosen = rng.permutation(len(targets))[:total]
        x, y = torch.tensor(images[chosen] / 16.0), torch.tensor(targets[chosen])
        model = bridge.multilayer_perceptron([64, WIDTH, 10], seed=seed).double()
        loss: Any = torch.nn.CrossEntropyLoss()
    else:
        patches, labels = SignalPlusNoise(total, dim, snr).sample(rng)
        x, y = torch.tensor(patches), torch.tensor(labels)
        model, loss = bridge.TwoLayerReLUCNN(dim, filters, seed=seed), bridge.logistic
    step_size, tolerance = TRAINED[data]
    weights = list(model.parameters())
    for _ in range(TRAINING_STEPS):  # by hand: torch.optim takes seconds to load in each worker
        value = loss(model(x), y)
        if float(value.detach()) < tolerance:
            break
        slopes = torch.autograd.grad(value, weights)
        with torch.no_grad():
            for weight, slope in zip(weights, slopes, strict=True):
                weight.sub_(slope, alpha=step_size)
    else:
        raise RuntimeError(f"training must reach a loss of {tolerance}, got {float(value):.3g}")
    retain, forget = (x[:n_retain], y[:n_retain]), (x[n_retain:], y[n_retain:])
    return model, loss, retain, forget, bridge.linearise(model, loss, retain, forget)


@experiment(
    "function_space",
    {
        **{k: u for k, u in SETTING.items() if k not in ("weight_decay",)},
        "data": "1", "filters": "1", "steps": "steps", "replicas": "runs", "outcome": "1",
        "observed": "1", "forget_step": "steps", "collapse_step": "steps", "retain_loss": "loss",
        "forget_loss": "loss", "retain_accuracy": "1", "forget_accuracy": "1",
        "displacement": "‖w − w*‖",
    },
)  # fmt: skip
@one_thread
def function_space(
    rng: np.random.Generator,
    data: str = "signal_plus_noise",
    n_retain: int = 24,
    n_forget: int = 6,
    dim: int = 60,
    snr: float = 0.5,
    filters: int = 8,
    step_size: float = 4.0,
    batch_size: Any = (8, 2),
    alpha: float = 0.5,
    sampling: str = "without_replacement",
    momentum: float = 0.0,
    steps: int = 100,
    replicas: int = 8,
    instance: int = 0,
    observe: bool = False,
) -> dict[str, Any]:
    """Function-space map: outcome and turns of a linearised network, and those observed."""
    from rmtstab import bridge
    from rmtstab.bridge.curves import majority

    _checks.choice("data", data, tuple(TRAINED))
    model, loss, retain, forget, net = trained_network(
        data, n_retain, n_forget, dim, snr, filters, instance
    )
    pair = batch_size if isinstance(batch_size, int) else tuple(batch_size)
    settings: dict[str, Any] = {
        "step_size": step_size, "batch_size": pair, "alpha": alpha, "steps": steps,
        "replicas": replicas, "sampling": sampling, "momentum": momentum,
        "rng": int(rng.integers(2**63)),
    }  # fmt: skip
    run = net.run(**settings)
    found = {
        "outcome": str(run.outcome),
        "forget_step": majority(run.forget_step),
        "collapse_step": majority(run.collapse_step),
        **{
            name: np.median(getattr(run, name)[..., -1])
            for name in ("retain_loss", "forget_loss", "retain_accuracy", "forget_accuracy",
                         "displacement")
        },
    }  # fmt: skip
    if observe:  # the same batches on the network itself
        real = bridge.unlearn(model, loss, retain, forget, keep_final=False, **settings)
        found["observed"] = str(real.outcome)
    return found


@experiment(
    "cnn_unlearning",
    {
        **SETTING, "filters": "1", "relative_step": "SGD's critical step", "displacement": "‖w*‖",
        "steps": "steps", "replicas": "runs", "step_size": "inverse curvature",
        "growth": "1 a step", "log_peak": "1", "log_forget_peak": "1", "escaped": "share of runs",
        "radius": "1", "training_loss": "½ mean (f − y)²",
    },
)  # fmt: skip
@one_thread
def cnn_unlearning(
    rng: np.random.Generator,
    n_retain: int = 24,
    n_forget: int = 6,
    dim: int = 60,
    snr: float = 0.5,
    filters: int = 8,
    relative_step: float = 0.5,
    batch_size: Any = (4, 1),
    alpha: float = 0.3,
    displacement: float = 1e-6,
    steps: int = 50,
    replicas: int = 8,
    radius: float = 10.0,
) -> dict[str, Any]:
    """Real networks: train a ReLU CNN to interpolation, unlearn, and what theory says of it."""
    import torch

    from rmtstab import bridge, curvature

    patches, labels = SignalPlusNoise(n_retain + n_forget, dim, snr).sample(rng)
    data = torch.tensor(patches), torch.tensor(labels)
    model = bridge.TwoLayerReLUCNN(dim, filters, scale=0.1, seed=int(rng.integers(2**31)))

    def gram() -> FloatArray:
        return curvature.cnn_gram(model.weights.detach().numpy(), patches, labels)

    slope = 0.5 * len(labels) / float(np.linalg.eigvalsh(gram())[-1])
    bridge.gradient_descent(model, data, step_size=slope, steps=2000, tolerance=1e-4)
    training = bridge.gauss_newton(model, data)
    if not training.converged:
        raise RuntimeError(f"training must interpolate, got a loss of {training.loss:.3g}")
    matrix = gram()
    problem = UnlearningProblem.from_gram(matrix, n_retain)
    pair = (batch_size, batch_size) if isinstance(batch_size, int) else tuple(batch_size)
    step_size = relative_step * float(problem.critical_step_size(pair, 0.0))
    found = problem.dynamics(step_size, pair, alpha).growth()
    factors = bridge.sample_factors(model, bridge.half_squared_error, data)[:, 0]
    basis = np.linalg.svd(factors, full_matrices=False)[2][: problem.rank]
    starts = rng.standard_normal((replicas, len(basis))) @ basis
    size = displacement * float(np.linalg.norm(model.weights.detach().numpy()))
    starts *= size / np.linalg.norm(starts, axis=1, keepdims=True)
    runs = bridge.unlearn(
        model, bridge.half_squared_error,
        (data[0][:n_retain], data[1][:n_retain]), (data[0][n_retain:], data[1][n_retain:]),
        step_size=step_size, batch_size=pair, alpha=alpha, steps=steps, initial=starts, rng=rng,
    )  # fmt: skip
    peaks = np.max(runs.displacement / runs.displacement[:, :1], axis=1)
    forget = np.max(runs.forget_loss / runs.forget_loss[:, :1], axis=1)
    return {
        "step_size": step_size,
        "growth": found.value,
        "verdict": found.verdict.value,
        "log_peak": np.median(np.log(peaks)),
        "log_forget_peak": np.median(np.log(forget)),
        "escaped": np.mean(peaks >= radius),
        "training_loss": training.loss,
        **problem_coherence(problem, alpha),
    }
