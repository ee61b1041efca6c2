"""Per-sample curvature factors of any torch model, and the unlearning problem they make."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vmap

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.bridge.losses import Loss
from rmtstab.unlearning.problem import UnlearningProblem

Data = tuple[Tensor, Tensor]


def sample_factors(
    model: nn.Module,
    loss: Loss,
    data: Data,
    *,
    parameters: Iterable[str] | None = None,
    chunk_size: int | None = None,
) -> FloatArray:
    r"""Generalised Gauss–Newton factors ``Z_i = J_iᵀ (∇²ℓ_i)^{1/2}`` at the current weights.

    ``H_i = Z_i Z_iᵀ`` with ``J_i`` the C × d Jacobian of the outputs and ``∇²ℓ_i``
    the Hessian of the loss in the outputs. The loss is taken as it is:
    ``torch.nn.MSELoss`` averages over C outputs, hence has output Hessian 2/C.

    Parameters
    ----------
    model : torch.nn.Module
        Maps inputs (n, …) to outputs (n,) or (n, C); no dependence between samples.
    loss : callable
        ``loss(outputs, targets)`` → scalar, convex in the outputs; called on batches of one.
    data : tuple of tensors
        Inputs and targets, first axis the samples.
    parameters : iterable of str, optional
        Names of the parameters to differentiate; default all that require gradients.
    chunk_size : int, optional
        Samples differentiated at a time (memory: chunk · C · d numbers).

    Returns
    -------
    ndarray, shape (n, C, d), float64
        Parameters flattened in the order of ``model.named_parameters()``.

    Raises
    ------
    ValueError
        If the loss is not convex in the outputs at some sample, a name is unknown, or
        no parameter moves.

    References
    ----------
    The factorisation is derived in docs/theory.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> model = torch.nn.Linear(3, 1, bias=False, dtype=torch.float64)
    >>> x = torch.eye(3, dtype=torch.float64)
    >>> bridge.sample_factors(model, torch.nn.MSELoss(), (x, x[:, :1])).shape
    (3, 1, 3)
    """
    inputs, targets = data
    free, fixed = free_parameters(model, parameters)
    names = list(free)

    def output(free: dict[str, Tensor], sample: Tensor) -> Tensor:
        result: Tensor = functional_call(model, {**fixed, **free}, (sample[None],))[0]
        return result

    def of_output(value: Tensor, target: Tensor) -> Tensor:
        return loss(value[None], target[None])

    def factor(sample: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        value = output(free, sample)
        # reverse over reverse: forward mode would import the compiler stack, for seconds
        curvature = jacrev(grad(of_output))(value, target)
        blocks = jacrev(output)(free, sample)
        width = value.numel()
        flat = torch.cat([blocks[name].reshape(width, -1) for name in names], dim=1)
        return flat, curvature.reshape(width, width)

    jacobians, curvatures = vmap(factor, chunk_size=chunk_size)(inputs, targets)
    values, vectors = torch.linalg.eigh(curvatures.double())
    lowest = float(values.min()) if values.numel() else 0.0
    if lowest < -1e-10 * max(float(values.abs().max()), 1e-300):
        raise ValueError(
            f"loss must be convex in the outputs, got an output Hessian eigenvalue {lowest:.3g}"
        )
    roots = vectors * values.clamp(min=0.0).sqrt()[:, None, :]
    factors: FloatArray = (roots.transpose(1, 2) @ jacobians.double()).cpu().numpy()
    return factors


def problem(
    model: nn.Module,
    loss: Loss,
    retain: Data,
    forget: Data,
    *,
    parameters: Iterable[str] | None = None,
    device: str | torch.device | None = None,
    chunk_size: int | None = None,
    check_deterministic: bool = True,
) -> UnlearningProblem:
    r"""Read the unlearning problem off a trained network.

    Parameters
    ----------
    model : torch.nn.Module
        The trained network; it is not changed.
    loss : callable
        As in `sample_factors`.
    retain, forget : tuple of tensors
        Inputs and targets of each set.
    parameters : iterable of str, optional
        Names of the parameters that unlearning moves; default all.
    device : str or torch.device, optional
        Where to differentiate; default where the model is.
    chunk_size : int, optional
        Samples differentiated at a time.
    check_deterministic : bool, default True
        Compare two forward passes first: dropout or batch statistics left on
        would give curvatures of a random network.

    Returns
    -------
    UnlearningProblem

    Raises
    ------
    ValueError
        If the retain set is empty, inputs are not finite, two forward passes differ,
        the loss is not convex in the outputs, or a device is not there.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> model = bridge.TwoLayerReLUCNN(dim=20, filters=3)
    >>> x, y = torch.randn(6, 2, 20, dtype=torch.float64), torch.ones(6, dtype=torch.float64)
    >>> bridge.problem(model, bridge.half_squared_error, (x[:4], y[:4]), (x[4:], y[4:])).n_forget
    2
    """
    if not len(retain[0]):
        raise ValueError("retain must hold at least one sample, got 0")
    home = next(model.parameters()).device
    place = home if device is None else resolve_device(device)
    try:
        model.to(place)
        sets = [(inputs.to(place), targets.to(place)) for inputs, targets in (retain, forget)]
        for name, (inputs, _) in zip(("retain", "forget"), sets, strict=True):
            if inputs.is_floating_point() and not inputs.isfinite().all():
                raise ValueError(f"{name} must be finite, got NaN or infinite inputs")
        if check_deterministic:
            _check_repeats(model, sets[0][0])
        factors = [
            sample_factors(model, loss, data, parameters=parameters, chunk_size=chunk_size)
            for data in sets
            if len(data[0])
        ]
    finally:
        model.to(home)
    return UnlearningProblem.from_factors(factors[0], factors[1] if len(factors) > 1 else ())


def free_parameters(
    model: nn.Module, parameters: Iterable[str] | None = None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the detached parameters that move (by default those that require gradients),
    and everything else of the model's state.
    """
    available = dict(model.named_parameters())
    names = [name for name, p in available.items() if p.requires_grad]
    if parameters is not None:
        wanted = list(parameters)
        for name in wanted:
            _checks.choice("parameters", name, list(available))
        names = [name for name in available if name in wanted]
    if not names:
        raise ValueError("parameters must name at least one parameter, got none that moves")
    fixed = {name: p.detach() for name, p in available.items() if name not in names}
    fixed |= {name: value.detach() for name, value in model.named_buffers()}
    return {name: available[name].detach() for name in names}, fixed


def _check_repeats(model: nn.Module, inputs: Tensor) -> None:
    """Refuse a model whose forward passes differ; its buffers are left as they were."""
    before = {name: value.clone() for name, value in model.named_buffers()}
    with torch.no_grad():
        first, second = model(inputs), model(inputs)
        changed = False
        for name, value in model.named_buffers():
            changed |= not torch.equal(value, before[name])
            value.copy_(before[name])
    if changed or not torch.equal(first, second):
        raise ValueError(
            "model must be deterministic, got two different forward passes on the retain set; "
            "call model.eval() or pass check_deterministic=False"
        )


def resolve_device(device: Any) -> torch.device:
    """Return a torch device that is there, or raise a `ValueError` that lists those that are."""
    present = ["cpu"] + [f"cuda:{k}" for k in range(torch.cuda.device_count())]
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError):
        place = None
    full = None if place is None else f"{place.type}:{place.index or 0}"
    if place is None or (place.type != "cpu" and full not in present):
        raise ValueError(f"device must be one of {', '.join(present)}, got {str(device)!r}")
    return place
