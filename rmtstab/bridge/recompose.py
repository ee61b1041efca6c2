"""Give a saturating last layer back to the loss: BCE of a sigmoid is a loss of logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rmtstab.bridge.network import Network
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.untouched import untouched


def without_sigmoid(network: Network, loss: nn.BCELoss, samples: Samples) -> nn.Module:
    """Take the model's last sigmoid off the network, and return the loss of its logits.

    ``BCELoss(σ(z)) = BCEWithLogitsLoss(z)``: the same function of the weights, split so
    that its curvature is that of the loss. The sigmoid must be a module at the end.

    Raises
    ------
    ValueError
        If no `torch.nn.Sigmoid` gives the model's output.
    """
    name = _last_sigmoid(network, samples)
    if name is None:
        raise ValueError(
            "loss must be a function of logits, got BCELoss of a model that does not end in a "
            "torch.nn.Sigmoid module; return logits and use BCEWithLogitsLoss"
        )
    if name not in network.bypassed:
        network.bypassed = (*network.bypassed, name)
        network.notes.append(f"BCELoss of Sigmoid {name!r} read as BCEWithLogitsLoss of its input")
    return nn.BCEWithLogitsLoss(weight=loss.weight, reduction=loss.reduction)


def _last_sigmoid(network: Network, samples: Samples) -> str | None:
    """Name of the sigmoid whose result is the model's output, were it squeezed or reshaped."""
    found: dict[str, Tensor] = {}

    def remember(name: str) -> Any:
        return lambda _module, _args, result: found.__setitem__(name, result)

    if network.bypassed:
        return network.bypassed[0]
    names = [str(n) for n, m in network.model.named_modules() if isinstance(m, nn.Sigmoid)]
    pair = samples.take([0, min(1, len(samples) - 1)])
    with torch.no_grad(), untouched(network.model), network.differentiable():
        handles = [network.model.get_submodule(n).register_forward_hook(remember(n)) for n in names]
        try:
            result = network.raw(network.weights, pair.inputs)
        finally:
            for handle in handles:
                handle.remove()
    same = [n for n in names if n in found and torch.equal(found[n].flatten(), result.flatten())]
    return same[-1] if same else None
