"""One sweep of backward passes over a set: the slopes or Jacobians of chosen weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rmtstab.bridge.network import Network
from rmtstab.bridge.recording import Call, Key, LayoutError, Records, Trace, recording
from rmtstab.bridge.samples import Samples


@dataclass(frozen=True)
class Side:
    """A set of samples and the functions of each one's outputs that are differentiated.

    Attributes
    ----------
    samples : Samples
    roots : Tensor, shape (n, C, R), or None
        Function r of sample i is ``Σ_c roots[i, c, r] f_ic``; None for the outputs themselves.
    n_functions : int
        R.
    """

    samples: Samples
    roots: Tensor | None
    n_functions: int

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def n_rows(self) -> int:
        """Rows n·R of the set's Jacobian."""
        return len(self) * self.n_functions

    def chunks(self, size: int) -> list[tuple[slice, Side]]:
        """Consecutive parts of at most ``size`` samples, with their places."""
        starts = range(0, len(self), size)
        parts = []
        for start, chunk in zip(starts, self.samples.chunks(size), strict=True):
            at = slice(start, start + len(chunk))
            roots = None if self.roots is None else self.roots[at]
            parts.append((at, Side(chunk, roots, self.n_functions)))
        return parts

    def cotangent(self, outputs: Tensor, function: int) -> Tensor:
        """Derivative (n, C) of one function of the outputs in the outputs."""
        if self.roots is not None:
            return self.roots[:, :, function].to(outputs)
        cotangent = torch.zeros_like(outputs)
        cotangent[:, function] = 1.0
        return cotangent


@dataclass
class Collected:
    """What a sweep keeps: Jacobians of some weights, inputs and slopes of some calls."""

    jacobians: dict[str, Tensor] = field(default_factory=dict)
    inputs: dict[Key, Tensor] = field(default_factory=dict)
    slopes: dict[Key, Tensor] = field(default_factory=dict)


def collect(
    network: Network,
    trace: Trace,
    side: Side,
    as_jacobian: Collection[str],
    as_factors: Collection[str],
    chunk_size: int,
) -> Collected:
    """Sweep a set once, with R backward passes for each chunk of samples.

    Parameters
    ----------
    network : Network
    trace : Trace
    side : Side
    as_jacobian : collection of str
        Weights whose Jacobians are kept, (n, R, w).
    as_factors : collection of str
        Weights of whose calls inputs (n, parts, …) and slopes (n, R, channels, T) are kept.
    chunk_size : int

    Returns
    -------
    Collected

    Raises
    ------
    LayoutError
        If the layers are called otherwise than in the trace.
    """
    n, n_functions = len(side), side.n_functions
    found = Collected(
        {
            name: network.weights[name].new_empty(n, n_functions, network.weights[name].numel())
            for name in as_jacobian
        }
    )
    stored = {key for name in as_factors for key, _ in trace.uses[name]}
    cheap: list[str] = []
    multiplied: list[str] = []
    for name in as_jacobian:
        is_cheap = all(trace.calls[key].is_cheap(local) for key, local in trace.uses[name])
        (cheap if is_cheap else multiplied).append(name)
    passing = {key for name in multiplied for key, _ in trace.uses[name]} - stored
    summed = {key for name in cheap for key, _ in trace.uses[name]}
    scaled = {key for key in summed if trace.calls[key].rule.form == "scale"}
    keys = [key for key in trace.calls if key in stored | passing | summed]
    buffers: dict[Key, Tensor] = {}  # one chunk's slopes, written over by the next chunk
    for at, chunk in side.chunks(chunk_size):
        outputs, records = _forward(network, trace, chunk)
        inputs = {key: trace.calls[key].inputs(records[key][0], len(chunk)) for key in keys}
        columns = {key: trace.calls[key].columns(inputs[key]) for key in keys if key in scaled}
        for function in range(n_functions):
            # a scalar: gradients of anything else make torch import its compiler stack, for seconds
            with torch.enable_grad():
                value = (outputs * chunk.cotangent(outputs, function)).sum()
            edges = [records[key][1] for key in keys]
            more = function + 1 < n_functions
            raws = torch.autograd.grad(value, edges, retain_graph=more, allow_unused=True)
            slopes: dict[Key, Tensor] = {}
            for key, raw in zip(keys, raws, strict=True):
                if raw is None:
                    raise LayoutError("model uses its layers differently on different samples")
                slopes[key] = slope = trace.calls[key].slopes(raw, len(chunk))
                if key not in stored and key not in passing:
                    continue
                target, rows = (found.slopes, at) if key in stored else (buffers, slice(len(chunk)))
                if key not in target:
                    length = n if key in stored else min(chunk_size, n)
                    target[key] = slope.new_empty(length, n_functions, *slope.shape[1:])
                target[key][rows, function] = slope
            for name in cheap:  # now, while the slopes are in the cache
                parts = [
                    trace.calls[key].jacobian(local, columns.get(key), slopes[key][:, None])
                    for key, local in trace.uses[name]
                ]
                found.jacobians[name][at, function, None] = sum(parts[1:], start=parts[0])
        for key in stored:
            if key not in found.inputs:
                found.inputs[key] = inputs[key].new_empty(n, *inputs[key].shape[1:])
            found.inputs[key][at] = inputs[key]
        for name in multiplied:
            shares = []
            for key, local in trace.uses[name]:
                held = found.slopes[key][at] if key in stored else buffers[key][: len(chunk)]
                shares.append((trace.calls[key], local, inputs[key], held))
            write_shares(found.jacobians[name][at], shares)
    return found


def write_shares(
    target: Tensor, shares: Sequence[tuple[Call, str, Tensor, Tensor]], rows: slice | None = None
) -> None:
    """Write a weight's Jacobian: the sum of its calls' shares.

    Parameters
    ----------
    target : Tensor, shape (n, R, w)
    shares : sequence of (call, local name, inputs, slopes)
    rows : slice, optional
        Of the weight's first axis; default all.
    """
    for place, (call, local, inputs, slopes) in enumerate(shares):
        columns = None if local == "bias" else call.columns(inputs)
        share = call.jacobian(local, columns, slopes, rows, None if place else target)
        if place:
            target += share
        elif share.data_ptr() != target.data_ptr():
            target.copy_(share)


def _forward(network: Network, trace: Trace, chunk: Side) -> tuple[Tensor, Records]:
    """Outputs of a chunk, with a graph, and the records of its layers' calls."""
    leaves = {name: w.detach().requires_grad_() for name, w in network.weights.items()}
    with (
        recording(network, trace.layers, len(chunk), trace.shared) as records,
        torch.enable_grad(),
    ):
        outputs = network.apply(leaves, chunk.samples.inputs)
    counts = Counter(path for path, _ in records)
    if any(counts[path] != trace.n_calls[path] for path in trace.layers):
        raise LayoutError("model calls its layers differently on different samples")
    return outputs, records
