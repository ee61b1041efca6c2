"""Is a model a function of one sample: the same at every call, in whatever batch?"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from rmtstab.bridge.layers import BATCH_NORMS
from rmtstab.bridge.network import Network
from rmtstab.bridge.raised import first_line
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.untouched import repeated, untouched

TRIED = 4  # samples held against themselves alone
REPEATED = 16  # samples whose forward pass is made twice
ROUNDED = 2.0**-17  # between the rounding of float16 and of float32


def check_network(
    network: Network, samples: Samples, *, repeats: bool = True, optional: bool = True
) -> None:
    """Check once that a network is a function of one sample, and remember it.

    Parameters
    ----------
    network : Network
    samples : Samples
    repeats : bool, default True
        Whether to compare two forward passes.
    optional : bool, default True
        Whether the caller's user may do without, by ``check_deterministic=False``.

    Raises
    ------
    ValueError
        As the checks below.
    """
    if not len(samples) and not network.is_checked:
        raise ValueError("samples must hold at least one sample, got 0")
    network.meet(samples)
    if network.is_checked:
        return
    if repeats:
        check_repeats(network, samples, optional)
    check_independent(network, samples)
    check_moves(network, samples)
    network.is_checked = True


def check_repeats(network: Network, samples: Samples, optional: bool = True) -> None:
    """Refuse a model whose two forward passes differ, or that writes into its buffers.

    Raises
    ------
    ValueError
        Naming the modules in training mode that draw or average.
    """
    samples = _spread(samples, REPEATED)
    before = {name: value.clone() for name, value in network.fixed.items()}
    with torch.no_grad(), untouched(network.model), network.differentiable():
        # all passes inside one block: generators must move on between them
        first, second, draws = repeated(lambda: network.forward(samples, network.weights))
    changed = [name for name, value in network.fixed.items() if not _same(value, before[name])]
    network.fixed.update(before)
    gap = float((first - second).nan_to_num(0.0).abs().max())  # NaN outputs are refused later
    limit = 1e2 * torch.finfo(first.dtype).eps * float(first.abs().max().nan_to_num(0.0))
    if changed or draws or not gap <= limit:
        what = (
            "a forward pass that draws random numbers"
            if gap <= limit
            else "two different forward passes"
        )
        what = f"buffer {changed[0]!r} that changes" if changed else what
        remedy = (
            "call model.eval() or pass check_deterministic=False"
            if optional
            else "take out of its forward what draws, counts or averages in eval mode too"
        )
        raise ValueError(
            f"model must be deterministic, got {what}{_suspects(network.model)}; {remedy}"
        )


def check_independent(network: Network, samples: Samples) -> None:
    """Refuse a model whose output for a sample depends on the rest of the batch.

    A few samples together and one by one, in float64 where the model allows it.

    Raises
    ------
    ValueError
        Naming the likely modules.
    """
    some = _spread(samples, TRIED) if len(samples) > 1 else samples.take([0, 0])
    backwards = some.take(range(len(some) - 1, -1, -1))
    found: Exception | None = None
    for tried in (network.in_dtype(torch.float64), network):
        try:
            together = tried.outputs(some)
            # last one first, so that noise does not repeat itself sample by sample
            alone = tried.outputs(backwards, chunk_size=1).flip(0)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever a model makes of a batch that it was not built for
            found = error
            continue
        break
    else:
        assert found is not None
        raise ValueError(
            f"model must accept a batch of one sample, got {first_line(found)}"
            f"{_suspects(network.model)}; normalisation needs running statistics and eval mode"
        ) from found
    finite = together.isfinite()  # infinite outputs are refused later
    gap, scale = _largest((together - alone)[finite]), _largest(together[finite])
    relative = 1e-9 if together.dtype == torch.float64 else 1e3 * torch.finfo(together.dtype).eps
    if not gap <= relative * scale and not gap <= _largest(
        _shaken(tried, some, relative, together)
    ):
        raise ValueError(
            "model must treat samples independently, got outputs that change with the batch "
            f"(by {gap:.2g} of {scale:.2g}){_suspects(network.model)}; call model.eval(), give "
            "normalisation layers running statistics, or centre inputs by fixed numbers"
        )
    if tried is not network and network.dtype != torch.float64:
        check_precision(network, some, together)


def check_precision(network: Network, samples: Samples, exact: Tensor) -> None:
    """Refuse a model that rounds to less than the precision of its weights.

    Parameters
    ----------
    network : Network
    samples : Samples
    exact : Tensor, shape (n, C)
        Its outputs in float64.

    Raises
    ------
    ValueError
        If every sample's outputs part from them by more than weights and outputs rounded to
        half precision would make them: directions of rounding would count as curvature.
    """
    gap = (network.outputs(samples).double() - exact).abs().amax(dim=1)
    relative = ROUNDED * exact.abs().amax(dim=1)
    shaken = _shaken(network.in_dtype(torch.float64), samples, ROUNDED, exact)
    if bool((gap > relative + shaken.amax(dim=1)).all()):
        raise ValueError(
            "model must compute in the precision of its weights, got outputs "
            f"{_largest(gap):.2g} of {_largest(exact):.2g} away from those in float64: autocast in "
            "its forward pass? leave it out, or pass model.double() and float64 inputs"
        )


def check_moves(network: Network, samples: Samples) -> None:
    """Refuse a model whose outputs no moving weight reaches, or whose gradients are no derivatives.

    Raises
    ------
    ValueError
        If the outputs of a sample do not require gradients, or cannot be differentiated.
    """
    for name, module in network.model.named_modules():
        if getattr(module, "scale_grad_by_freq", False) is True and module.weight.requires_grad:
            raise ValueError(
                "model must have gradients that are derivatives of its outputs, got "
                f"{type(module).__name__} {name!r} with scale_grad_by_freq=True"
            )
    leaves = {name: weight.detach().requires_grad_() for name, weight in network.weights.items()}
    with torch.enable_grad(), untouched(network.model), network.differentiable():
        outputs = network.apply(leaves, samples.take([0]).inputs)
        if not outputs.requires_grad:
            raise ValueError(
                f"parameters must move the outputs, got none of {len(leaves)} that does: is the "
                "forward pass detached or under no_grad, or are they unused?"
            )
        try:
            slopes = torch.autograd.grad(outputs.sum(), list(leaves.values()), allow_unused=True)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise ValueError(
                f"model must be differentiable by torch.autograd.grad, got {first_line(error)}; "
                "look for autograd functions and hooks of its own"
            ) from error
    network.idle = tuple(n for n, s in zip(leaves, slopes, strict=True) if s is None)


def _shaken(network: Network, samples: Samples, relative: float, outputs: Tensor) -> Tensor:
    """Size (n, C) of the outputs' change when each weight moves by a share of itself.

    Where outputs cancel, rounding is large beside them, but not beside this.
    """
    generator = torch.Generator().manual_seed(0)
    moved = {
        name: w + relative * w * torch.randn(w.shape, generator=generator).to(w)
        for name, w in network.weights.items()
    }
    return (network.outputs(samples, moved) - outputs).abs()


def _largest(values: Tensor) -> float:
    return float(values.abs().max()) if values.numel() else 0.0


def _suspects(model: nn.Module) -> str:
    """Name modules that draw random numbers or average over the batch, as a clause."""
    found = []
    for name, module in model.named_modules():
        averages = isinstance(module, BATCH_NORMS) and (
            module.training or module.running_mean is None
        )
        if averages or (isinstance(module, _DropoutNd) and module.training and module.p > 0.0):
            found.append(f"{type(module).__name__} {name!r}")
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return f" (likely {', '.join(found[:3])}{more})" if found else ""


def _spread(samples: Samples, most: int) -> Samples:
    """At most so many samples, evenly spaced over the set."""
    n = len(samples)
    return samples if n <= most else samples.take(torch.linspace(0, n - 1, most).long())


def _same(first: Tensor, second: Tensor) -> bool:
    return torch.equal(first, second) or bool((first.isnan() & second.isnan()).any())
