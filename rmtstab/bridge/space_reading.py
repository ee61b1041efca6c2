"""One pass over the data: outputs, Jacobian Gram, ``J w*``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from rmtstab.bridge.derivatives import naming
from rmtstab.bridge.function_space import FunctionSpace
from rmtstab.bridge.gram import jacobian_gram, read_budget
from rmtstab.bridge.jacobian_products import pushforward
from rmtstab.bridge.model_checks import check_model
from rmtstab.bridge.network import Network, untouched
from rmtstab.bridge.planning import plan
from rmtstab.bridge.run_memory import NUMBER
from rmtstab.bridge.sample_loss import SampleLoss
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.schedule import BudgetError
from rmtstab.bridge.set_loss import set_losses


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in eval mode for a block; it and every global state are left as they were."""
    check_model(model)
    with untouched(model):
        model.eval()
        yield


def joined(parts: list[Samples]) -> Samples:
    """Inputs of several sets as one; targets, which may be of different kinds, are left out."""
    inputs = tree_map(lambda *tensors: torch.cat(tensors), *(part.inputs for part in parts))
    n = sum(len(part) for part in parts)
    return Samples(inputs, torch.zeros(n), torch.arange(n), n)


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
    drawn = joined([part for part in samples[:2] if part is not None])
    everything = joined(present)
    outputs = network.outputs(everything).double()
    has_room = _check_grams_fit(
        network, outputs, len(drawn), passes, samples[2] is not None, memory_budget
    )
    if progress:
        print(plan(network, drawn, memory_budget=memory_budget), file=sys.stderr)
    options: dict[str, Any] = {"memory_budget": memory_budget, "progress": progress}
    with naming(network, list(zip(("retain", "forget", "test"), samples, strict=True))):
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
    square = sum(
        float((w.double() ** 2 / (1.0 if p is None else p.double())).sum())
        for w, p in (
            (w, None if network.preconditioner is None else network.preconditioner[name])
            for name, w in network.weights.items()
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
