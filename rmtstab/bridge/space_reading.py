"""One pass over the data: outputs, Jacobian Gram, ``J w*``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from rmtstab.bridge.curves import SETS
from rmtstab.bridge.derivatives import naming
from rmtstab.bridge.function_space import FunctionSpace
from rmtstab.bridge.gram import jacobian_gram, read_budget
from rmtstab.bridge.jacobian_products import pushforward
from rmtstab.bridge.model_checks import check_model
from rmtstab.bridge.network import FORWARD_CHUNK, Network, untouched
from rmtstab.bridge.planning import plan
from rmtstab.bridge.run_memory import NUMBER
from rmtstab.bridge.sample_loss import SampleLoss
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.schedule import BudgetError
from rmtstab.bridge.set_loss import set_losses
from rmtstab.bridge.trees import map_tensors


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in eval mode for a block; it and every global state are left as they were."""
    check_model(model)
    with untouched(model):
        model.eval()
        yield


def joined(parts: Sequence[Samples], names: Sequence[str] = SETS) -> Samples:
    """Inputs of several sets as one; targets, which may be of different kinds, are left out.

    Parameters
    ----------
    parts : sequence of Samples
    names : sequence of str
        What a message calls them.

    Raises
    ------
    ValueError
        If their inputs have different shapes.
    """
    shapes = [_shape_of(part.inputs) for part in parts]
    for name, shape in zip(names, shapes, strict=False):
        if shape != shapes[0]:
            raise ValueError(
                f"{names[0]} and {name} must have inputs of one shape a sample, got {shapes[0]} "
                f"and {shape}; pad both to one length"
            )
    inputs = tree_map(lambda *tensors: torch.cat(tensors), *(part.inputs for part in parts))
    n = sum(len(part) for part in parts)
    return Samples(inputs, torch.zeros(n), torch.arange(n), n)


def _shape_of(inputs: Any) -> str:
    """Shapes of one sample's inputs, and their names."""
    return str(map_tensors(lambda t: tuple(t.shape[1:]), inputs))


def unused(network: Network, samples: Samples) -> tuple[str, ...]:
    """Names of the moving weights that no output depends on: an optimiser leaves them alone.

    Parameters
    ----------
    network : Network
    samples : Samples
    """
    left = network.idle
    if not left:
        return ()
    with untouched(network.model), network.differentiable(), torch.enable_grad():
        for chunk in samples.chunks(FORWARD_CHUNK):
            leaves = {name: w.detach().requires_grad_() for name, w in network.weights.items()}
            value = network.apply(leaves, chunk.inputs).sum()
            if value.requires_grad:
                slopes = torch.autograd.grad(value, [leaves[n] for n in left], allow_unused=True)
                left = tuple(n for n, slope in zip(left, slopes, strict=True) if slope is None)
            if not left:
                break
    network.idle = left
    return left


def read_space(
    network: Network,
    samples: tuple[Samples | None, ...],
    losses: tuple[SampleLoss | None, ...],
    memory_budget: float | None = None,
    progress: bool = False,
    passes: int = 0,
) -> FunctionSpace:
    """Outputs, Gram and ``J w*`` of a network at its weights.

    Refused before the first Gram matrix where those of ``passes`` further ones, which a
    refinement keeps, would not fit beside it.
    """
    present = [part for part in samples if part is not None]
    names = [name for name, part in zip(SETS, samples, strict=True) if part is not None]
    everything = joined(present, names)
    drawn = joined([part for part in samples[:2] if part is not None])
    outputs = network.outputs(everything).double()
    has_room = _check_grams_fit(
        network, outputs, len(drawn), passes, samples[2] is not None, memory_budget
    )
    if progress:
        print(plan(network, drawn, memory_budget=memory_budget), file=sys.stderr)
    options: dict[str, Any] = {"memory_budget": memory_budget, "progress": progress}
    with naming(network, list(zip(SETS, samples, strict=True))):
        gram = jacobian_gram(network, drawn, **options)
        if samples[2] is not None:
            gram = torch.cat([gram, jacobian_gram(network, drawn, samples[2], **options)], dim=1)
    drift = None
    try:
        drift = pushforward(network, everything, network.weights).double().flatten()
    except torch.OutOfMemoryError:  # also a RuntimeError, and says nothing of the model
        raise
    except RuntimeError:
        network.notes.append("no second derivatives: weight decay cannot be followed")
    idle = unused(network, everything)
    square = sum(
        float((w.double() ** 2 / (1.0 if p is None else p.double())).sum())
        for w, p in (
            (w, None if network.preconditioner is None else network.preconditioner[name])
            for name, w in network.weights.items()
            if name not in idle  # weight decay does not move them
        )
    )
    return FunctionSpace(
        outputs, gram.reshape(len(drawn), outputs.shape[1], -1).contiguous(), drift,
        square**0.5, set_losses(losses, samples), has_room=has_room,
    )  # fmt: skip


def _check_grams_fit(
    network: Network, outputs: Tensor, drawn: int, passes: int, tested: bool, budget: float | None
) -> bool:
    """Raise where the Gram matrices that will be held at once exceed the budget.

    Returns whether runs may hold copies of them, see `FunctionSpace.contrasts`.
    """
    rows, columns = drawn * outputs.shape[1], outputs.numel()
    one = float(rows * columns * NUMBER)
    # runs keep each refinement in single precision too; that of a test set is joined to the rest
    needed = one * max(1.0 + 1.5 * passes, 2.0 if tested else 1.0)
    free = read_budget(budget, network)
    if needed > free:
        what = f"{1 + passes} Gram matrices" if passes else "the Gram matrix"
        remedy = "passes=0, or fewer samples" if passes else "no test set, or fewer samples"
        raise BudgetError(
            f"memory_budget must hold {what} of {rows} x {columns} ({needed / 1e9:.2g} GB), got "
            f"{free / 1e9:.2g} GB; take {remedy} (max_samples)"
        )
    return needed + one * (1 + passes) <= free
