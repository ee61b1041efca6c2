"""One model with the weights of many runs at once: proved before it is trusted, and sized."""

from __future__ import annotations

import functools
import inspect
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from rmtstab.bridge.network import Network, Weights
from rmtstab.bridge.recording import counted
from rmtstab.bridge.schedule import available_memory
from rmtstab.bridge.trees import map_tensors, tensors

KEPT_BYTES = 4e7  # by forward passes at once, on a CPU: more leave the cache, at twice the time
SIZED = 2  # samples whose forward pass is measured
APART = 0.1  # relative distance of the weights of a proof's runs
PASSES = 18  # of a sample in a proof: 2 x 2 runs together and two alone, forward and backward
SHARE = 0.125  # of the runs that their proof may cost
MOST = 512  # samples in a proof
EMBEDDING = inspect.signature(functional.embedding)


class PaddedLookups(TorchFunctionMode):
    """Keep the slopes of a table's padding row at zero in every run.

    torch's rule that batches a lookup over tables lays them end to end, where ``padding_idx`` is
    the row of the first alone.

    Attributes
    ----------
    met : bool
        Whether a lookup had such a row.
    """

    def __init__(self) -> None:
        super().__init__()
        self.met = False

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Look up in a table whose padding row is detached."""
        if function is not functional.embedding:
            return function(*args, **(kwargs or {}))
        given = EMBEDDING.bind(*args, **(kwargs or {})).arguments
        row, table = given.pop("padding_idx", None), given["weight"]
        if row is not None:
            self.met = True
            row = torch.arange(len(table), device=table.device) == row % len(table)
            given["weight"] = torch.where(row[:, None], table.detach(), table)
        return functional.embedding(**given)


class BatchedRuns:
    """Outputs of a network in many runs, as many at once as are proved right and fit in memory.

    Parameters
    ----------
    network : Network
    inputs : tree of Tensor
        Of all samples, on the network's device.
    runs : int
        Runs there are: one alone is not batched.
    work : float
        Passes of a sample through the model in all runs.

    Attributes
    ----------
    by_vmap : bool
        Whether runs are batched, else taken one by one, of which the network's notes tell.
    kept : float
        Bytes that a sample's forward pass keeps for the backward pass.
    budget : float
        Bytes that forward passes may keep at once.
    """

    def __init__(self, network: Network, inputs: Any, runs: int, work: float) -> None:
        self.network = network
        free = available_memory(network.device) / 4.0  # a backward pass doubles what is kept
        self.budget = free if network.device.type == "cuda" else min(KEPT_BYTES, free)
        with PaddedLookups() as lookups:
            self.kept = kept_bytes(network, inputs)
        self.padded = lookups.met
        self.by_vmap = runs > 1
        if self.by_vmap:
            n = len(tensors(inputs)[0])
            most = min(MOST, int(free / (8.0 * max(self.kept, 1.0))))
            reason = fault(network, inputs, proof_size(work, n, most))
            if reason:
                self.by_vmap = False
                network.notes.append(f"runs stepped one by one: {reason}")

    def runs_at_once(self, samples: int) -> int:
        """Runs that may be differentiated at once.

        Parameters
        ----------
        samples : int
            Of each run.
        """
        if not self.by_vmap:
            return 1
        return max(1, int(self.budget / max(samples * self.kept, 1.0)))

    def samples_at_once(self, runs: int) -> int:
        """Samples whose outputs may be computed at once in each of some runs.

        Parameters
        ----------
        runs : int
        """
        return max(1, int(self.budget / max((runs if self.by_vmap else 1) * self.kept, 1.0)))

    def outputs(self, weights: Weights, inputs: Any) -> Tensor:
        """Outputs of each replica's inputs in all its cells.

        Parameters
        ----------
        weights : dict of Tensor, shapes (replicas, cells, …)
        inputs : tree of Tensor, shapes (replicas, width, …)
            Shared by the cells of a replica.

        Returns
        -------
        Tensor, shape (replicas, cells, width, C)
        """
        return outputs_of_runs(self.network, weights, inputs, self.by_vmap, self.padded)


def spread(network: Network, *flat: Tensor) -> Weights:
    """Sum of flat weights (replicas, cells, d) as one tensor a moving weight, each on its own.

    Parameters
    ----------
    network : Network
    *flat : Tensor, shapes that broadcast to (replicas, cells, d)

    Returns
    -------
    dict of Tensor, shapes (replicas, cells, …)
    """
    shapes = [weight.shape for weight in network.weights.values()]
    sizes = [shape.numel() for shape in shapes]
    parts = [torch.split(one, sizes, dim=-1) for one in flat]
    sums = [functools.reduce(torch.add, terms) for terms in zip(*parts, strict=True)]
    return {
        name: part.reshape(*part.shape[:-1], *shape)
        for name, part, shape in zip(network.weights, sums, shapes, strict=True)
    }


def outputs_of_runs(
    network: Network, weights: Weights, inputs: Any, batched: bool, padded: bool = True
) -> Tensor:
    """Outputs of each replica's inputs in all its cells.

    Parameters
    ----------
    network : Network
    weights : dict of Tensor, shapes (replicas, cells, …)
    inputs : tree of Tensor, shapes (replicas, width, …)
        Shared by the cells of a replica.
    batched : bool
        By `torch.func.vmap`, else run by run.
    padded : bool, default True
        Whether lookups may have a padding row, which then needs care.

    Returns
    -------
    Tensor, shape (replicas, cells, width, C)
    """
    if batched:
        with PaddedLookups() if padded else nullcontext():
            found: Tensor = vmap(vmap(network.apply, in_dims=(0, None)))(weights, inputs)
        return found
    replicas, cells = next(iter(weights.values())).shape[:2]
    rows = []
    for k in range(replicas):
        batch = map_tensors(lambda t, r=k: t[r], inputs)
        own = [{name: w[k, cell] for name, w in weights.items()} for cell in range(cells)]
        rows.append(torch.stack([network.apply(one, batch) for one in own]))
    return torch.stack(rows)


def proof_size(work: float, n: int, most: int) -> int:
    """Samples of a proof's batches: what costs an eighth of the runs, at least two.

    Parameters
    ----------
    work : float
        Passes of a sample through the model in the runs.
    n : int
        Samples there are.
    most : int
        No more than these.
    """
    return max(2, min(int(SHARE * work / PASSES), n, most))


def fault(network: Network, inputs: Any, size: int) -> str:
    """Why `vmap` must not step this network's runs; empty where it may.

    Rules that batch an operation over weights can be wrong in silence, or fail in the backward
    pass (checkpoints). Two replicas of two cells, all of other weights, the second replica with
    the samples in opposite order, are differentiated together; outputs and gradients of two of
    them, that share neither replica nor cell, are compared with those of plain autograd.

    Parameters
    ----------
    network : Network
    inputs : tree of Tensor
        Of all samples; those of the proof are spread over them.
    size : int
        Samples of the proof.
    """
    n = len(tensors(inputs)[0])
    like: dict[str, Any] = {"dtype": network.dtype, "device": network.device}
    generator = torch.Generator().manual_seed(0)
    spread = torch.arange(size) * n // size
    places = torch.stack([spread, spread.flip(0)])
    drawn = map_tensors(lambda t: t[places.to(t.device)], inputs)
    centre = network.flatten(network.weights)
    noise = torch.rand(2, 2, network.n_parameters, generator=generator).mul_(2.0).sub_(1.0)
    noise = APART * noise.to(**like)
    leaf = (centre + noise * torch.where(centre == 0.0, APART, centre)).requires_grad_()
    try:
        found, outputs, roots = _together(network, leaf, drawn, generator)
        for replica, cell in ((0, 1), (1, 0)):
            own = leaf.detach()[replica, cell].clone().requires_grad_()
            batch = map_tensors(lambda t, r=replica: t[r], drawn)
            with torch.enable_grad():
                values = network.apply(network.unflatten(own), batch)
            (exact,) = torch.autograd.grad(values, own, roots[replica, cell])
            pairs = (found[replica, cell], exact), (outputs[replica, cell], values.detach())
            for batched, expected in pairs:
                gap = (batched - expected).norm()
                if bool(gap > torch.finfo(expected.dtype).eps ** 0.5 * expected.norm()):
                    return "vmap gives wrong derivatives of this model"
    except torch.OutOfMemoryError:
        raise
    except Exception:  # a model that is itself at fault says so when it is run
        return "vmap cannot batch this model"
    return ""


def _together(
    network: Network, leaf: Tensor, drawn: Any, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of random functions of the outputs of runs, those outputs and functions."""
    with torch.enable_grad():
        outputs = outputs_of_runs(network, spread(network, leaf), drawn, batched=True)
    roots = torch.randn(outputs.shape, generator=generator).to(outputs)
    (found,) = torch.autograd.grad(outputs, leaf, roots)
    return found, outputs.detach(), roots


def kept_bytes(network: Network, inputs: Any) -> float:
    """Bytes that a sample's forward pass keeps for the backward pass.

    Parameters
    ----------
    network : Network
    inputs : tree of Tensor
        Of all samples; the first two are run.
    """
    n = min(SIZED, len(tensors(inputs)[0]))
    leaves = {name: weight.detach().requires_grad_() for name, weight in network.weights.items()}
    with torch.enable_grad(), counted(network) as kept:
        network.apply(leaves, map_tensors(lambda t: t[:n].to(network.device), inputs))
    return sum(kept.values()) / n
