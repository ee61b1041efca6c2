"""Record what goes through a network's layers, and find out which weights that explains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from rmtstab.bridge.layers import LayerRule, rule_of, weight_jacobian
from rmtstab.bridge.network import Network
from rmtstab.bridge.samples import Samples

Key = tuple[str, int]  # path of a layer, and which of its calls in a forward pass
Records = dict[Key, tuple[Tensor, GradientEdge, torch.Size]]
PROBED = 3  # samples on which the layers are compared with autograd


@dataclass(frozen=True)
class Call:
    """One use of a layer in a forward pass.

    Attributes
    ----------
    key : (str, int)
        Path of the layer, and which of its calls this is.
    layer : torch.nn.Module
    rule : LayerRule
    layout : {"first", "second", "shared"}
        Where the samples are: along the first axis (alone, or as its major part), along the
        second, or nowhere, one input serving them all.
    channels, positions : int
        Of a sample's slopes.
    fan_in, groups : int
        Rows of a sample's columns, and groups of them; 1 unless the form is "product".
    input_size : int
        Numbers of a sample's input.
    """

    key: Key
    layer: nn.Module
    rule: LayerRule
    layout: str
    channels: int = 0
    positions: int = 0
    fan_in: int = 1
    groups: int = 1
    input_size: int = 0

    def measured(self, raw_input: Tensor, raw_slope: Tensor, n: int) -> Call:
        """Return the same call with the sizes of one sample's input and slopes."""
        inputs = self.inputs(raw_input, n)[:1]
        slopes = self.slopes(raw_slope, n)
        groups, fan_in = 1, 1
        if self.rule.form == "product":
            groups, fan_in = self.columns(inputs).shape[1:3]
        return replace(
            self,
            channels=slopes.shape[1],
            positions=slopes.shape[2],
            fan_in=fan_in,
            groups=groups,
            input_size=inputs.numel(),
        )

    def inputs(self, raw: Tensor, n: int) -> Tensor:
        """Bring the samples of the layer's input to the front, (n, parts, …)."""
        if self.layout == "shared":
            return raw.reshape(1, 1, -1).expand(n, -1, -1)
        first = self._first(raw, n)
        return first.reshape(n, len(first) // n, *first.shape[1:])

    def columns(self, inputs: Tensor) -> Tensor:
        """Columns of what `inputs` gave, (n, …, T)."""
        columns = self.rule.columns(self.layer, inputs.flatten(0, 1))
        return _fold(columns, len(inputs))

    def slopes(self, raw: Tensor, n: int) -> Tensor:
        """Slopes at the layer's output, (n, channels, T)."""
        return _fold(self.rule.slopes(self.layer, self._first(raw, n)), n)

    def is_cheap(self, local: str) -> bool:
        """Whether its Jacobian in that weight takes no product: biases and scales."""
        return local == "bias" or self.rule.form == "scale"

    def jacobian(
        self,
        local: str,
        columns: Tensor | None,
        slopes: Tensor,
        rows: slice | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Return this call's share (n, R, w) of the Jacobian in a bias, or in rows of a weight.

        A product may be written to ``out``, see `rmtstab.bridge.layers.weight_jacobian`.
        """
        if local == "bias" or columns is None:
            return slopes.sum(-1)
        if rows is None:
            is_table = isinstance(self.layer, nn.Embedding)
            rows = slice(0, self.layer.num_embeddings if is_table else slopes.shape[2])
        return weight_jacobian(self.rule, columns, slopes, rows, out)

    def _first(self, raw: Tensor, n: int) -> Tensor:
        raw = raw.transpose(0, 1) if self.layout == "second" else raw
        if len(raw) % n:
            raise LayoutError(f"layer {self.key[0]!r} got {len(raw)} rows for {n} samples")
        return raw.reshape(raw.shape)


class LayoutError(RuntimeError):
    """A layer's rows do not belong to samples as they did in the trace."""


@dataclass(frozen=True)
class Trace:
    """Which weights the known layers explain.

    Attributes
    ----------
    calls : dict of Call
    uses : dict of list of (key, str)
        For each explained weight, the calls it enters and its name there.
    rest : tuple of str
        Moving weights that no known layer explains.
    activation_bytes : float
        What the forward pass keeps for the backward pass, a sample.
    n_calls : dict of int
        How often each layer is called.
    """

    calls: dict[Key, Call]
    uses: dict[str, list[tuple[Key, str]]]
    rest: tuple[str, ...]
    activation_bytes: float
    n_calls: dict[str, int] = field(default_factory=dict)

    @property
    def layers(self) -> dict[str, nn.Module]:
        """The layers that are recorded, by path."""
        return {key[0]: call.layer for key, call in self.calls.items()}

    @property
    def shared(self) -> frozenset[str]:
        """Paths of the layers with one input for all samples."""
        return frozenset(k[0] for k, call in self.calls.items() if call.layout == "shared")


@contextmanager
def recording(
    network: Network, layers: dict[str, nn.Module], n: int, shared: frozenset[str] = frozenset()
) -> Iterator[Records]:
    """Record the calls of some layers; outputs of ``shared`` ones are given to each sample."""
    records: Records = {}
    counts = dict.fromkeys(layers, 0)
    handles = []

    def listen(path: str, layer: nn.Module) -> None:
        def hook(_: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor:  # type: ignore[type-arg]
            if not output.requires_grad:  # called under no_grad: it moves nothing
                return output
            if path in shared:
                output = output.reshape(output.shape[-2:]).expand(n, -1, -1)
            value = (args or tuple(kwargs.values()))[0].detach()
            records[path, counts[path]] = value, get_gradient_edge(output), output.shape
            counts[path] += 1
            return output

        handles.append(layer.register_forward_hook(hook, with_kwargs=True))

    try:
        for path, layer in layers.items():
            listen(path, layer)
        yield records
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def counted(network: Network) -> Iterator[dict[int, int]]:
    """Count bytes that forward passes keep for backward passes, by address; weights are free."""
    held = [*network.weights.values(), *network.fixed.values()]
    kept = dict.fromkeys((tensor.data_ptr() for tensor in held), 0)

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.data_ptr(), tensor.numel() * tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept


def trace(network: Network, samples: Samples) -> Trace:
    """Find the layers that explain a network's Jacobian, and prove it on a few samples.

    Each weight's share of the gradient of a random function of *one* sample's outputs is
    compared with autograd's, on a batch of several: a layer used out of sight, a weight that
    enters elsewhere, a batch laid out in another way are thereby found, and left to the rest.

    Parameters
    ----------
    network : Network
    samples : Samples
        The first three are run.

    Returns
    -------
    Trace
    """
    owners: dict[int, str] = {id(p): name for name, p in network.model.named_parameters()}
    layers: dict[str, nn.Module] = {}
    names: dict[str, dict[str, str]] = {}
    for path, layer in network.model.named_modules():
        own = {k: owners[id(p)] for k, p in layer.named_parameters(recurse=False)}
        own = {k: name for k, name in own.items() if name in network.weights}
        if own and rule_of(layer) is not None:
            layers[path], names[path] = layer, own
    probe = samples.take(range(min(PROBED, len(samples)))).to(network.device)
    found = _explained(network, layers, names, probe, frozenset())
    shared: frozenset[str] = frozenset()
    for path, layer in layers.items():
        rule = rule_of(layer)
        if rule is not None and rule.form == "lookup" and names[path]["weight"] in found.rest:
            try:  # one row of positions for all samples; a model may do more than add it
                other = _explained(network, layers, names, probe, shared | {path})
            except RuntimeError:
                continue
            if len(other.rest) < len(found.rest):
                found, shared = other, shared | {path}
    return found


def _explained(
    network: Network,
    layers: dict[str, nn.Module],
    names: dict[str, dict[str, str]],
    probe: Samples,
    shared: frozenset[str],
) -> Trace:
    n = len(probe)
    leaves = {name: weight.detach().requires_grad_() for name, weight in network.weights.items()}
    with (
        recording(network, layers, n, shared) as records,
        torch.enable_grad(),
        counted(network) as kept,
    ):
        outputs = network.apply(leaves, probe.inputs)
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(outputs.shape[1], generator=generator, dtype=torch.float64)
    cotangent = torch.zeros_like(outputs)
    cotangent[-1] = direction.to(outputs)
    uses: dict[str, list[tuple[Key, str]]] = {}
    for key in records:
        for local, name in names[key[0]].items():
            uses.setdefault(name, []).append((key, local))
    targets: list[Any] = [
        *(edge for _, edge, _ in records.values()),
        *(leaves[name] for name in uses),
    ]
    if not targets:
        return Trace({}, {}, network.names, sum(kept.values()) / n)
    with torch.enable_grad():
        value = (outputs * cotangent).sum()  # a scalar, see collecting
    slopes = torch.autograd.grad(value, targets, allow_unused=True)
    raw: dict[Key, Tensor | None] = dict(zip(records, slopes, strict=False))
    exact = dict(zip(uses, slopes[len(records) :], strict=True))
    calls: dict[Key, Call] = {}
    trial: dict[Key, Call] = {}
    explained: dict[str, list[tuple[Key, str]]] = {}
    for layout in ("first", "second"):
        for name, its in uses.items():
            if name in explained:
                continue
            for key, _ in its:
                value, _, shape = records[key]
                place = "shared" if key[0] in shared else _layout(value, shape, n, layout)
                rule = rule_of(layers[key[0]])
                assert rule is not None  # only layers with a rule were recorded
                trial[key] = Call(key, layers[key[0]], rule, place)
            if _agrees(trial, its, records, raw, exact[name], n):
                explained[name] = [(key, local) for key, local in its if raw[key] is not None]
                for key, _ in its:
                    slope = raw[key]
                    if slope is not None:
                        calls[key] = trial[key].measured(records[key][0], slope, n)
    rest = tuple(name for name in network.names if name not in explained)
    counts = Counter(path for path, _ in records)
    return Trace(calls, explained, rest, sum(kept.values()) / n, counts)


def _layout(value: Tensor, shape: torch.Size, n: int, layout: str) -> str:
    """Return the layout if the sizes of a layer's input and output allow it, else "none"."""
    if layout == "second":
        fits = min(value.dim(), len(shape)) > 2 and value.shape[1] == shape[1] == n
    else:
        fits = value.dim() > 0 and len(value) == shape[0] and len(value) % n == 0
    return layout if fits else "none"


def _agrees(
    calls: dict[Key, Call],
    uses: list[tuple[Key, str]],
    records: Records,
    raw: Mapping[Key, Tensor | None],
    exact: Tensor | None,
    n: int,
) -> bool:
    """Whether the layers give autograd's gradient to the last sample, and none to the others."""
    if exact is None or any(calls[key].layout == "none" for key, _ in uses):
        return False
    total: Tensor | float = 0.0
    size: Tensor | float = 0.0
    for key, local in uses:
        slope = raw[key]
        if slope is None:
            continue
        call = calls[key]
        try:
            slopes = call.slopes(slope, n)[:, None]
            columns = call.columns(call.inputs(records[key][0], n))
            part = call.jacobian(local, columns, slopes)[:, 0]
        except RuntimeError:
            return False
        total, size = total + part, size + part.abs().sum()
    if isinstance(total, float):
        return not bool(exact.any())
    expected = torch.zeros_like(total)
    expected[-1] = exact.flatten()
    tolerance = torch.finfo(exact.dtype).eps ** 0.5
    return bool((total - expected).norm() <= tolerance * (total.norm() + exact.norm()))


def _fold(values: Tensor, n: int) -> Tensor:
    """Join a sample's parts along the positions: (n · parts, …, T) → (n, …, parts · T)."""
    if len(values) == n:
        return values
    parts = values.reshape(n, len(values) // n, *values.shape[1:])
    return parts.movedim(1, -2).flatten(-2)
