"""Per-sample Jacobians by automatic differentiation alone, for weights no known layer explains."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import vjp, vmap

from rmtstab.bridge.collecting import Side
from rmtstab.bridge.network import Network, Weights
from rmtstab.bridge.trees import map_tensors

ONE_BY_ONE = "samples differentiated one by one: "


def jacobian_rows(
    network: Network, names: Sequence[str], side: Side, chunk_size: int
) -> dict[str, Tensor]:
    """Jacobians in some weights.

    Samples are batched by `torch.func.vmap`. Where it cannot batch the model, or where its
    result is not that of plain autograd on a sample of each chunk, they are differentiated
    one by one, and the network's notes say so.

    Parameters
    ----------
    network : Network
    names : sequence of str
    side : Side
    chunk_size : int
        Samples at a time.

    Returns
    -------
    dict of Tensor, shape (n, R, w)
    """
    parts: dict[str, list[Tensor]] = {name: [] for name in names}
    if not names:
        return {}
    for _, chunk in side.chunks(chunk_size):
        roots = chunk.roots
        if roots is None:
            identity = torch.eye(network.n_outputs, dtype=network.dtype, device=network.device)
            roots = identity.expand(len(chunk), -1, -1)
        found = _batched(network, names, chunk, roots)
        if found is None:
            found = _one_by_one(network, names, chunk, roots)
        for name in names:
            parts[name].append(found[name])
    return {name: torch.cat(rows) for name, rows in parts.items()}


def _batched(
    network: Network, names: Sequence[str], chunk: Side, roots: Tensor
) -> dict[str, Tensor] | None:
    """Jacobians of a chunk by `vmap`, or None where that does not work."""
    if network.vmap_fails:
        return None
    moving = {name: network.weights[name] for name in names}

    def rows(inputs: object, roots: Tensor) -> Weights:
        def function(weights: Weights) -> Tensor:
            batch = map_tensors(lambda t: t[None], inputs)
            return network.apply({**network.weights, **weights}, batch)[0]

        outputs, pull = vjp(function, moving)[:2]
        result: Weights = vmap(lambda root: pull(root.to(outputs.dtype))[0], in_dims=1)(roots)
        return result

    try:
        found = vmap(rows)(chunk.samples.inputs, roots)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        network.vmap_fails = True
        network.notes.append(ONE_BY_ONE + "vmap cannot batch this model")
        return None
    flat = {name: value.detach().reshape(*value.shape[:2], -1) for name, value in found.items()}
    shape = len(chunk), roots.shape[2], tuple(names)
    if shape in network.vmap_proved:
        return flat
    # nested vmap is silently wrong for some layers (PReLU where samples and outputs are as many)
    mix = torch.randn(roots.shape[2], 1, generator=torch.Generator().manual_seed(0))
    mix = mix.to(roots)
    last = Side(chunk.samples.take([len(chunk) - 1]), roots[-1:] @ mix, 1)
    exact = _one_by_one(network, names, last, roots[-1:] @ mix)
    gaps = [(mix.T.to(flat[w]) @ flat[w][-1] - exact[w][0]).norm() for w in names]
    error, size = (torch.stack(parts).sum() for parts in (gaps, [exact[w].norm() for w in names]))
    if not bool(error <= torch.finfo(network.dtype).eps ** 0.5 * size):
        network.vmap_fails = True
        network.notes.append(ONE_BY_ONE + "vmap gives wrong derivatives of this model")
        return None
    network.vmap_proved.add(shape)
    return flat


def _one_by_one(
    network: Network, names: Sequence[str], chunk: Side, roots: Tensor
) -> dict[str, Tensor]:
    leaves = {name: network.weights[name].detach().requires_grad_() for name in names}
    stacks: dict[str, list[Tensor]] = {name: [] for name in names}
    for sample, root in zip(chunk.samples.chunks(1), roots, strict=True):
        with torch.enable_grad():
            outputs = network.apply({**network.weights, **leaves}, sample.inputs)[0]
            values = [(outputs * column.to(outputs)).sum() for column in root.T]
        moving = list(leaves.values())
        slopes = [
            torch.autograd.grad(value, moving, retain_graph=True, materialize_grads=True)
            if value.requires_grad  # else the model uses none of these weights
            else [torch.zeros_like(weight) for weight in moving]
            for value in values
        ]
        for name, rows in zip(names, zip(*slopes, strict=True), strict=True):
            stacks[name].append(torch.stack([row.flatten() for row in rows]))
    return {name: torch.stack(rows) for name, rows in stacks.items()}
