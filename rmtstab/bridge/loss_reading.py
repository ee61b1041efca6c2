"""How any torch loss is read as a weighted sum over samples."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rmtstab.bridge import elementwise_loss, softmax_loss
from rmtstab.bridge.autograd_loss import AutogradLoss
from rmtstab.bridge.elementwise_loss import ElementwiseLoss
from rmtstab.bridge.losses import Loss, half_squared_error, logistic
from rmtstab.bridge.network import Network
from rmtstab.bridge.raised import first_line
from rmtstab.bridge.sample_loss import SampleLoss
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.softmax_loss import SoftmaxLoss
from rmtstab.bridge.trees import map_tensors, tensors
from rmtstab.bridge.untouched import repeated, untouched_generators

MODULES: dict[Any, type[nn.Module]] = {
    functional.mse_loss: nn.MSELoss,
    functional.cross_entropy: nn.CrossEntropyLoss,
    functional.nll_loss: nn.NLLLoss,
    functional.binary_cross_entropy: nn.BCELoss,
    functional.binary_cross_entropy_with_logits: nn.BCEWithLogitsLoss,
    functional.huber_loss: nn.HuberLoss,
    functional.smooth_l1_loss: nn.SmoothL1Loss,
    functional.gaussian_nll_loss: nn.GaussianNLLLoss,
}


def read_loss(
    loss: Any,
    network: Network,
    samples: Samples,
    outputs: Tensor,
    weights: Iterable[nn.Parameter] = (),
) -> SampleLoss:
    """Read a loss as ``L(batch) = Σ ω_i ℓ_i``, and hold it against itself on the actual data.

    Parameters
    ----------
    loss : callable
        ``loss(outputs, targets)`` → scalar: a torch module, a function of
        `torch.nn.functional` (`functools.partial` for its options), or any function.
        The known ones are read in closed form, any other by autograd.
    network : Network
        Gives the shape of outputs.
    samples : Samples
    outputs : Tensor, shape (n, C)
        Of the network on the samples.
    weights : iterable of Parameter, optional
        Of the model: a loss that reads them itself is refused.

    Returns
    -------
    SampleLoss

    Raises
    ------
    TypeError, ValueError
        If the loss is no scalar function, targets do not fit it, or its value on the data
        is not the weighted sum of the samples' own losses.

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.loss_reading import read_loss
    >>> from rmtstab.bridge.network import Network
    >>> from rmtstab.bridge.data_sets import read_samples
    >>> network = Network(torch.nn.Linear(3, 2))
    >>> samples = read_samples("retain", (torch.zeros(4, 3), [0, 1, 1, 0]))
    >>> outputs = network.outputs(samples)
    >>> read_loss(torch.nn.CrossEntropyLoss(), network, samples, outputs).name
    'CrossEntropyLoss'
    """
    with untouched_generators():
        return _read(as_module(loss), network.output_shape or (), samples, outputs, weights)


def _read(
    loss: Any,
    shape: tuple[int, ...],
    samples: Samples,
    outputs: Tensor,
    weights: Iterable[nn.Parameter],
) -> SampleLoss:
    last = _has_classes_last(loss, shape, samples)
    closed = _closed_form(loss, shape, samples, outputs, -1 if last else 0)
    call, dtype = _callable(loss, shape, samples, outputs, last)
    generic = AutogradLoss(loss_name(loss), call, shape, dtype)
    _check_repeats(generic, samples, outputs)
    _check_differentiable(loss_name(loss), call, dtype, shape, samples, outputs, weights)
    notes = ("read with its classes on the outputs' last axis",) if last else ()
    if is_normalised(outputs, shape) and (
        type(loss) is nn.NLLLoss or (closed is None and generic.is_linear(outputs, samples))
    ):
        # log-softmax of log-probabilities is the identity: let the loss have its curvature
        generic.call = lambda f, y: call(functional.log_softmax(f, dim=1), y)
        notes = (f"outputs are log-probabilities: {generic.name} read of their log-softmax",)
    found: SampleLoss
    if closed is None:
        _check_domain(generic, samples, outputs)
        generic.normalised = _is_mean(generic, samples, outputs)
        generic.masses(samples.targets)  # refuses a loss that couples samples
        found = softmax_loss.recognise(generic, samples) or generic
    else:
        found = closed
    found.notes, found.batch = notes, generic.batch
    _check_sum(generic, found, samples, outputs)
    return found


def _has_classes_last(loss: Any, shape: tuple[int, ...], samples: Samples) -> bool:
    """Whether cross-entropy fits logits (n, T, C) and labels (n, T), which torch itself refuses."""
    targets = samples.targets
    if type(loss) is not nn.CrossEntropyLoss or len(shape) < 2 or not isinstance(targets, Tensor):
        return False
    given = tuple(targets.shape[1:])
    return not targets.is_floating_point() and given == shape[:-1] and given != shape[1:]


def as_module(loss: Any, name: str = "loss") -> Any:
    """Turn a function of `torch.nn.functional`, with its options, into its module."""
    if isinstance(loss, type) or not callable(loss):
        hint = f"; pass {loss.__name__}()" if isinstance(loss, type) else ""
        raise TypeError(f"{name} must be callable, got {loss!r}{hint}")
    inner, options = loss, {}
    if isinstance(loss, functools.partial) and not loss.args:
        inner, options = loss.func, dict(loss.keywords)
    kind = MODULES.get(inner)
    if kind is None or "size_average" in options or "reduce" in options:
        return loss
    weight = options.pop("weight", None)
    module = kind(**options) if weight is None else kind(weight=weight, **options)
    return module


def loss_name(loss: Any) -> str:
    """How messages call a loss."""
    inner = loss.func if isinstance(loss, functools.partial) else loss
    return getattr(inner, "__name__", type(inner).__name__)


def _closed_form(
    loss: Any, shape: tuple[int, ...], samples: Samples, outputs: Tensor, class_axis: int
) -> SampleLoss | None:
    found: SampleLoss | None = None
    if loss is half_squared_error:
        found = elementwise_loss.squared(1.0, name="half_squared_error", bound=1.0)
    elif loss is logistic:
        count = outputs.shape[1]
        found = elementwise_loss.signed(name="logistic", weight=1.0 / count, bound=0.25 / count)
    elif isinstance(loss, nn.Module):
        found = softmax_loss.of_module(loss, shape, outputs.device, class_axis)
        found = found or elementwise_loss.of_module(loss, shape, outputs.device)
    if isinstance(found, ElementwiseLoss):
        _check_elementwise(found, shape, samples)
    if isinstance(found, SoftmaxLoss):
        _check_labels(found, samples)
        if type(loss) is nn.NLLLoss and not is_normalised(outputs, shape):
            return None  # linear in the outputs: no curvature of its own
    return found


def is_normalised(outputs: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether outputs are log-probabilities over axis 0 of ``shape``."""
    if not shape or shape[0] < 2:
        return False
    logs = outputs.reshape(len(outputs), *shape).double().logsumexp(dim=1)
    size = outputs.abs().max().clamp(min=1.0)
    return bool((logs.abs() <= 64.0 * torch.finfo(outputs.dtype).eps * size).all())


def _check_elementwise(loss: ElementwiseLoss, shape: tuple[int, ...], samples: Samples) -> None:
    wanted = (len(samples), *shape)
    parts = samples.targets if isinstance(samples.targets, tuple) else (samples.targets,)
    if loss.name == "GaussianNLLLoss" and len(parts) != 2:
        raise ValueError("targets of GaussianNLLLoss must be a pair (values, variances)")
    shared = {wanted[:-1], (*wanted[:-1], 1)} if shape else set()  # a variance for the last axis
    for place, part in enumerate(parts):
        if tuple(part.shape) != wanted and not (place and tuple(part.shape) in shared):
            raise ValueError(
                f"targets must have the outputs' shape {wanted}, got {tuple(part.shape)}: "
                f"{loss.name} would broadcast them"
            )
    low, high = float(parts[0].min()), float(parts[0].max())
    if loss.name == "BCEWithLogitsLoss" and not parts[0].is_floating_point():
        raise ValueError(
            f"targets of {loss.name} must be real numbers, got {parts[0].dtype}; use "
            "targets.float()"
        )
    if loss.name == "BCEWithLogitsLoss" and not (low >= 0.0 and high <= 1.0):
        raise ValueError(f"targets of {loss.name} must lie in [0, 1], got {low:g} to {high:g}")
    if loss.name == "logistic" and not bool((parts[0].abs() == 1).all()):
        raise ValueError(f"targets of {loss.name} must be -1 or +1, got {low:g} to {high:g}")


def _check_labels(loss: SoftmaxLoss, samples: Samples) -> None:
    targets, shape, n = samples.targets, loss.output_shape, len(samples)
    if not isinstance(targets, Tensor):
        raise TypeError(f"targets of {loss.name} must be one tensor, got {type(targets).__name__}")
    if targets.is_floating_point():
        if tuple(targets.shape) != (n, *shape):
            raise ValueError(
                f"targets of {loss.name} must be integers {(n, *shape[1:])} or soft labels "
                f"{(n, *shape)}, got {targets.dtype} {tuple(targets.shape)}"
            )
        if bool((targets < 0).any()):
            raise ValueError(f"soft labels must be >= 0, got {float(targets.min()):g}")
        return
    tokens = [size for k, size in enumerate(shape) if k != loss.class_axis % len(shape)]
    if list(targets.shape) != [n, *tokens]:
        remedy = ""
        if list(targets.shape) == [n, *shape]:
            remedy = "; pass classes, targets.argmax(1), or soft labels, targets.float()"
        elif targets.squeeze(-1).shape == (n, *tokens):
            remedy = "; use targets.squeeze(-1)"
        raise ValueError(
            f"targets of {loss.name} must have shape {(n, *shape[1:])} for outputs of shape "
            f"{(n, *shape)} (classes on axis 1), got {tuple(targets.shape)}{remedy}"
        )
    kept = targets[targets != loss.ignore_index]
    if kept.numel() and not (int(kept.min()) >= 0 and int(kept.max()) < loss.n_classes):
        wrong = int(kept.min()) if int(kept.min()) < 0 else int(kept.max())
        raise ValueError(
            f"labels must lie in [0, {loss.n_classes - 1}] or be ignore_index="
            f"{loss.ignore_index}, got {wrong}"
        )


def _callable(
    loss: Any, shape: tuple[int, ...], samples: Samples, outputs: Tensor, classes_last: bool
) -> tuple[Loss, torch.dtype]:
    """Return the user's loss as called on float64 outputs, or on the network's where it must."""
    own = copy.deepcopy(loss) if isinstance(loss, nn.Module) else loss
    if isinstance(own, nn.Module):
        own = own.to(outputs.device)
    error: Exception | None = None
    for dtype in (torch.float64, outputs.dtype):
        tried = copy.deepcopy(own).to(dtype) if isinstance(own, nn.Module) else own

        def call(f: Tensor, y: Any, tried: Any = tried, dtype: torch.dtype = dtype) -> Tensor:
            y = map_tensors(lambda t: t.to(dtype) if t.is_floating_point() else t, y)
            f = f.movedim(-1, 1) if classes_last else f
            if type(tried) is nn.GaussianNLLLoss:
                return tried(f, *y)  # type: ignore[no-any-return]
            return tried(f, y)  # type: ignore[no-any-return]

        shaped = outputs.detach().to(dtype).reshape(len(outputs), *shape)
        try:
            value = call(shaped, samples.targets)
        except (RuntimeError, TypeError, ValueError, IndexError) as caught:
            error = error or caught
            continue
        if not isinstance(value, Tensor) or value.numel() != 1:
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"loss must return one number a batch, got {got}; use reduction='mean'"
            )
        return (lambda f, y: call(f, y).reshape(())), value.dtype
    raise ValueError(
        f"loss must accept outputs {(len(outputs), *shape)} and targets "
        f"{_shapes(samples.targets)}, got "
        f"{first_line(error)}"
    ) from error


def _check_repeats(loss: AutogradLoss, samples: Samples, outputs: Tensor) -> None:
    """Refuse a loss that draws random numbers."""
    first, second, draws = repeated(lambda: float(loss.batch(outputs, samples.targets).detach()))
    if draws or not (first == second or math.isnan(first)):
        raise ValueError(
            f"loss must be deterministic, got one that draws at random ({loss.name}); "
            "call loss.eval() or leave the noise out"
        )


def _check_differentiable(
    name: str,
    call: Loss,
    dtype: torch.dtype,
    shape: tuple[int, ...],
    samples: Samples,
    outputs: Tensor,
    weights: Iterable[nn.Parameter],
) -> None:
    """Refuse a loss without two derivatives in the outputs, or with one in the weights."""
    few = samples.take(range(min(len(samples), 2)))
    here = outputs[: len(few)].detach().to(dtype).reshape(len(few), *shape).requires_grad_()
    with torch.enable_grad():
        value = call(here, few.targets)
        if not value.requires_grad:
            raise ValueError(
                f"loss must be differentiable in the outputs, got a value without gradient ({name})"
            )
        moving = [p for p in weights if p.requires_grad]
        slope, *own = torch.autograd.grad(
            value, [here, *moving], create_graph=True, allow_unused=True
        )
        if any(g is not None for g in own):
            raise ValueError(
                "loss must depend on the weights through the outputs alone, got a term of the "
                f"weights themselves ({name}); leave it out and pass weight_decay= to the dynamics"
            )
        try:
            if slope is not None and slope.requires_grad:
                torch.autograd.grad(slope.sum(), here, allow_unused=True)
        except RuntimeError as error:
            raise ValueError(
                f"loss must be twice differentiable in the outputs, got {name}: {first_line(error)}"
            ) from None


def _check_domain(loss: AutogradLoss, samples: Samples, outputs: Tensor) -> None:
    """Refuse a loss that is not defined at all real outputs."""
    where = loss.reference(len(outputs), outputs.device)
    try:
        value = float(loss.batch(where, samples.targets).detach())
    except (RuntimeError, ValueError) as error:
        value, reason = float("nan"), first_line(error)
    else:
        reason = f"{value:g}"
    if not math.isfinite(value):
        raise ValueError(
            f"loss must be defined at any real outputs, got {reason} at random ones ({loss.name}); "
            "if the model ends in a sigmoid or softmax, return logits and use "
            "BCEWithLogitsLoss or CrossEntropyLoss"
        )


def _is_mean(loss: AutogradLoss, samples: Samples, outputs: Tensor) -> bool:
    """Whether a batch twice over has the same loss (a mean) or twice it (a sum)."""
    where = loss.reference(len(outputs), outputs.device)
    twice = map_tensors(lambda t: torch.cat([t, t]), samples.targets)
    once = float(loss.batch(where.to(loss.dtype), samples.targets).detach())
    double = float(loss.batch(torch.cat([where, where]).to(loss.dtype), twice).detach())
    limit = 1e4 * loss.epsilon * max(abs(once), abs(double))
    if abs(double - once) <= limit:
        return True
    if abs(double - 2.0 * once) <= limit:
        return False
    raise ValueError(
        "loss must be a weighted mean or sum over the batch, got "
        f"{once:.6g} on the data and {double:.6g} on the data twice over ({loss.name})"
    )


def _check_sum(user: AutogradLoss, found: SampleLoss, samples: Samples, outputs: Tensor) -> None:
    """Refuse where ``loss(f, Y)`` and ``Σ ω_i ℓ_i`` part.

    At actual and at random outputs, on the whole set and on every other sample.
    """
    n = len(outputs)
    masses = found.masses(samples.targets)
    for step in (1, 2) if n > 2 else (1,):
        at = torch.arange(0, n, step, device=outputs.device)
        part = samples.take(at)
        weights = found.batch_weights(masses[at])
        if not bool(weights.any()):  # nothing counts in this batch: torch's mean is NaN
            if step == 1 and found.normalised:
                raise ValueError(
                    f"targets must count in the loss, got {n} that are all ignored or of weight 0 "
                    f"({found.name} of them is NaN)"
                )
            continue
        for where in (outputs[at], user.reference(len(at), outputs.device)):
            whole = float(user.batch(where.to(user.dtype), part.targets).detach())
            terms = weights * found.values(where, part.targets)
            total, size = float(terms.sum()), float(terms.abs().sum() + where.abs().max())
            if not abs(whole - total) <= 1e3 * user.epsilon * size:
                raise ValueError(
                    "loss must be a weighted mean or sum of the samples' own losses, got "
                    f"{whole:.10g} on a batch of {len(at)} where they give {total:.10g} "
                    f"({found.name}, outputs {(n, *user.output_shape)}, targets "
                    f"{_shapes(samples.targets)}); likely causes: class weights of another batch, "
                    "a sum, padding, or samples that see each other"
                )


def _shapes(targets: Any) -> str:
    return ", ".join(str(tuple(t.shape)) for t in tensors(targets))
