"""The real thing: descend on retain, ascend on forget, the network itself, in replicas."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray
from rmtstab.bridge.factors import Data, free_parameters
from rmtstab.bridge.losses import Loss, per_sample


@dataclass(frozen=True, repr=False)
class UnlearningRuns(Record):
    """Replicated runs of real unlearning; arrays end where the runs were stopped.

    Attributes
    ----------
    displacement : ndarray, shape (replicas, k + 1), float64
        ‖w_t − w*‖, in the units of the weights.
    retain_loss, forget_loss : ndarray, shape (replicas, k + 1), float64
        Mean loss of each set, t = 0 … k.
    final : ndarray, shape (replicas, n_parameters), float64
        Displacements w_k − w*.
    stopped_early : bool
        Whether ``until`` ended the runs before the horizon.
    flipped : ndarray, shape (replicas,), float64
        Share of ReLU masks that differ from those at w* after the last step;
        NaN for a model without ``activation_pattern``.
    """

    dimensions: ClassVar = {
        "displacement": ("replica", "step"),
        "retain_loss": ("replica", "step"),
        "forget_loss": ("replica", "step"),
        "final": ("replica", "parameter"),
        "flipped": ("replica",),
    }
    figure = "runs"

    displacement: FloatArray
    retain_loss: FloatArray
    forget_loss: FloatArray
    final: FloatArray
    stopped_early: bool
    flipped: FloatArray


def unlearn(
    model: nn.Module,
    loss: Loss,
    retain: Data,
    forget: Data,
    *,
    step_size: float,
    batch_size: int | tuple[int, int],
    alpha: float,
    steps: int,
    initial: Any,
    rng: np.random.Generator | int,
    parameters: Iterable[str] | None = None,
    until: Callable[[FloatArray, FloatArray, FloatArray], bool] | None = None,
) -> UnlearningRuns:
    r"""Run ``w⁺ = w − η[(1−α) ∇L_R(batch) − α ∇L_F(batch)]`` on the real network.

    Mini-batches are fresh uniform subsets without replacement, drawn for
    retain and forget independently, with a generator per replica: a replica's
    run does not depend on how many others there are.

    Parameters
    ----------
    model : torch.nn.Module
        The trained network at w*; it is not changed.
    loss : callable
        ``loss(outputs, targets)`` → scalar; called on batches of one.
    retain, forget : tuple of tensors
        Inputs and targets of each set.
    step_size : float
        η > 0.
    batch_size : int or (int, int)
        Sizes of the retain and forget batches.
    alpha : float
        Mixing in [0, 1].
    steps : int
        Horizon.
    initial : array_like, shape (replicas, n_parameters)
        Displacements w_0 − w* of the parameters that move, in the model's order.
    rng : numpy.random.Generator or int
    parameters : iterable of str, optional
        Names of the parameters that move; default all that require gradients, as
        in `rmtstab.bridge.problem`.
    until : callable, optional
        ``until(displacement, retain_loss, forget_loss)`` of the runs so far, each
        (replicas, t + 1); True ends them.

    Returns
    -------
    UnlearningRuns

    Raises
    ------
    ValueError
        If a batch exceeds its set, alpha lies outside [0, 1], or shapes do not fit.

    See Also
    --------
    rmtstab.UnlearningProblem.dynamics : the linearisation of these runs.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from rmtstab import bridge
    >>> model = bridge.TwoLayerReLUCNN(dim=20, filters=3)
    >>> x, y = torch.randn(6, 2, 20, dtype=torch.float64), torch.ones(6, dtype=torch.float64)
    >>> runs = bridge.unlearn(model, bridge.half_squared_error, (x[:4], y[:4]), (x[4:], y[4:]),
    ...                       step_size=0.1, batch_size=2, alpha=0.3, steps=5,
    ...                       initial=1e-3 * np.ones((3, 120)), rng=0)
    >>> runs.displacement.shape
    (3, 6)
    """
    step_size = _checks.real("step_size", step_size, low=0.0, low_open=True)
    alpha = _checks.real("alpha", alpha, low=0.0, high=1.0)
    steps = _checks.integer("steps", steps, low=0)
    rng = _checks.generator("rng", rng)
    start = _checks.array("initial", initial, ndim=2)
    sizes = len(retain[0]), len(forget[0])
    batches = batch_size if isinstance(batch_size, tuple) else (batch_size, batch_size)
    if alpha > 0.0 and not sizes[1]:
        raise ValueError(f"alpha must be 0 without a forget set, got {alpha}")
    for size, batch, label in zip(sizes, batches, ("n_retain", "n_forget"), strict=True):
        if label == "n_forget" and not size:
            continue
        _checks.integer("batch_size", batch, low=1, high=size, high_label=label)
    free, fixed = free_parameters(model, parameters)
    centre = torch.cat([p.flatten() for p in free.values()])
    if start.shape[1] != centre.numel():
        raise ValueError(
            f"initial must have shape (replicas, n_parameters={centre.numel()}), got {start.shape}"
        )
    inputs, targets = (torch.cat(pair) for pair in zip(retain, forget, strict=True))
    part_sizes = [p.numel() for p in free.values()]

    def objective(flat: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        parts = zip(free, torch.split(flat, part_sizes), strict=True)
        state = {name: part.view(free[name].shape) for name, part in parts}
        losses = per_sample(loss, functional_call(model, {**fixed, **state}, (inputs,)), targets)
        return weights @ losses, losses.detach()

    gradients = vmap(grad(objective, has_aux=True))
    displacement = torch.as_tensor(start, dtype=centre.dtype, device=centre.device).clone()
    draws = _batch_weights(sizes, batches, alpha, [*rng.spawn(len(start))])
    records = np.zeros((3, len(start), steps + 1))
    stopped = False
    for step in range(steps + 1):
        weights = torch.as_tensor(draws(), dtype=centre.dtype, device=centre.device)
        slope, losses = gradients(centre + displacement, weights)
        records[0, :, step] = displacement.norm(dim=1).cpu().numpy()
        records[1, :, step] = losses[:, : sizes[0]].mean(dim=1).cpu().numpy()
        if sizes[1]:
            records[2, :, step] = losses[:, sizes[0] :].mean(dim=1).cpu().numpy()
        if until is not None and step < steps:
            stopped = until(*records[:, :, : step + 1])
        if stopped or step == steps:
            break
        displacement -= step_size * slope
    return UnlearningRuns(
        displacement=records[0, :, : step + 1].copy(),
        retain_loss=records[1, :, : step + 1].copy(),
        forget_loss=records[2, :, : step + 1].copy(),
        final=displacement.cpu().numpy().astype(np.float64),
        stopped_early=stopped,
        flipped=_flipped_share(model, list(free), inputs, centre, displacement),
    )


def _batch_weights(
    sizes: tuple[int, int],
    batches: tuple[int, int],
    alpha: float,
    generators: list[np.random.Generator],
) -> Callable[[], FloatArray]:
    """Return a function that draws signed sample weights (replicas, n): one batch each."""
    coefficients = (1.0 - alpha) / batches[0], -alpha / batches[1]

    def draw() -> FloatArray:
        weights = np.zeros((len(generators), sum(sizes)))
        for row, generator in zip(weights, generators, strict=True):
            row[generator.permutation(sizes[0])[: batches[0]]] = coefficients[0]
            row[sizes[0] + generator.permutation(sizes[1])[: batches[1]]] = coefficients[1]
        return weights

    return draw


def _flipped_share(
    model: nn.Module, names: list[str], inputs: Tensor, centre: Tensor, displacement: Tensor
) -> FloatArray:
    pattern = getattr(model, "activation_pattern", None)
    if pattern is None:
        return np.full(len(displacement), np.nan)
    available = dict(model.named_parameters())
    weights = [available[name] for name in names]
    with torch.no_grad():
        at_rest = pattern(inputs)
        shares = []
        try:
            for change in displacement:
                nn.utils.vector_to_parameters(centre + change, weights)
                shares.append(float((pattern(inputs) != at_rest).double().mean()))
        finally:
            nn.utils.vector_to_parameters(centre, weights)
    return np.array(shares)
