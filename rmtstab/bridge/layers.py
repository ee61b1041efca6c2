"""Layers whose per-sample gradients are products of what goes in and what comes back.

For every layer here the derivative of any function of the outputs in the layer's weights is a
sum over positions (pixels, tokens) of products of the layer's input and the slope at its output.
A rule turns both into a common form, positions last: *columns* of the input and *slopes* at the
output.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


@dataclass(frozen=True)
class LayerRule:
    """How a kind of layer is read.

    Attributes
    ----------
    form : {"product", "scale", "lookup"}
        ``∂/∂W`` is ``slopes · columnsᵀ`` summed over positions; ``Σ slopes ∘ columns``; or
        ``Σ_t`` slopes at row ``columns[t]`` of the table. Biases are ``Σ_t slopes``.
    columns : callable
        ``(layer, input (m, …)) → (m, groups, fan_in, T)``, ``(m, channels, T)`` or ``(m, T)``.
    slopes : callable
        ``(layer, slope at the output (m, …)) → (m, channels, T)``.
    """

    form: str
    columns: Callable[[Any, Tensor], Tensor]
    slopes: Callable[[Any, Tensor], Tensor]


def rule_of(layer: nn.Module) -> LayerRule | None:
    """Return the rule of a layer, or None where it is of no known kind.

    A subclass counts only if it keeps the forward pass of its kind; batch normalisation only
    where it uses its running statistics.

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.layers import rule_of
    >>> rule_of(torch.nn.Linear(2, 3)).form, rule_of(torch.nn.LSTM(2, 3))
    ('product', None)
    """
    for kind, rule in _RULES.items():
        if isinstance(layer, kind):
            kept = type(layer).forward is kind.forward
            samples_meet = isinstance(layer, BATCH_NORMS) and (
                layer.training or layer.running_mean is None
            )
            return rule if kept and not samples_meet else None
    return None


def weight_jacobian(
    rule: LayerRule, columns: Tensor, slopes: Tensor, rows: slice, out: Tensor | None = None
) -> Tensor:
    """Jacobian in ``weight[rows]`` from columns and slopes.

    Parameters
    ----------
    rule : LayerRule
    columns : Tensor
        As the rule makes them, first axis the n samples.
    slopes : Tensor, shape (n, R, channels, T)
        For R functions of each sample's outputs.
    rows : slice
        Of the weight's first axis; whole groups of a grouped convolution.
    out : Tensor, shape (n, R, rows · fan_in), optional
        Contiguous memory that a product without groups may be written to.

    Returns
    -------
    Tensor, shape (n, R, rows · fan_in)

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.layers import rule_of, weight_jacobian
    >>> columns, slopes = torch.ones(5, 1, 2, 1), torch.ones(5, 3, 1, 1)
    >>> weight_jacobian(rule_of(torch.nn.Linear(2, 1)), columns, slopes, slice(0, 1)).shape
    torch.Size([5, 3, 2])
    """
    n, n_functions = slopes.shape[:2]
    if rule.form == "scale":
        return (slopes[:, :, rows] * columns[:, None, rows]).sum(-1)
    if rule.form == "lookup":
        n_rows = rows.stop - rows.start
        inside = (columns >= rows.start) & (columns < rows.stop)
        places = torch.where(inside, columns - rows.start, n_rows)  # one row more, for the rest
        table = slopes.new_zeros(n, n_rows + 1, n_functions, slopes.shape[2])
        index = places[:, :, None, None].expand(-1, -1, n_functions, slopes.shape[2])
        table.scatter_add_(1, index, slopes.permute(0, 3, 1, 2))
        return table[:, :n_rows].transpose(1, 2).reshape(n, n_functions, -1)
    groups = columns.shape[1]
    if groups == 1:
        left = slopes[:, :, rows].flatten(1, 2)
        target = None if out is None else out.view(n, left.shape[1], -1)
        return torch.bmm(left, columns[:, 0].mT, out=target).view(n, n_functions, -1)
    width = slopes.shape[2] // groups
    first, last = rows.start // width, rows.stop // width
    parts = slopes[:, :, rows].reshape(n, n_functions, last - first, width, -1).transpose(1, 2)
    products = parts.flatten(2, 3) @ columns[:, first:last].mT
    by_function = products.reshape(n, last - first, n_functions, width, -1).transpose(1, 2)
    return by_function.reshape(n, n_functions, -1)


def _linear_columns(layer: nn.Linear, inputs: Tensor) -> Tensor:
    return inputs.reshape(len(inputs), 1, -1, layer.in_features).mT


def _last_axis_slopes(layer: nn.Module, slopes: Tensor) -> Tensor:
    return slopes.reshape(len(slopes), -1, slopes.shape[-1]).mT


def _channel_slopes(layer: nn.Module, slopes: Tensor) -> Tensor:
    return slopes.reshape(len(slopes), slopes.shape[1], -1)


def _patches(layer: Any, inputs: Tensor) -> Tensor:
    """Every patch that a convolution sees, (m, groups, fan_in, T), in the order of its weight."""
    size, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = functional.pad(inputs, _padding(layer), mode=mode).contiguous()
    places = [
        (length - d * (k - 1) - 1) // s + 1
        for length, k, s, d in zip(padded.shape[2:], size, stride, dilation, strict=True)
    ]
    steps = padded.stride()
    view = padded.as_strided(
        (*padded.shape[:2], *size, *places),
        (
            *steps[:2],
            *(step * d for step, d in zip(steps[2:], dilation, strict=True)),
            *(step * s for step, s in zip(steps[2:], stride, strict=True)),
        ),
    )
    return view.reshape(len(inputs), layer.groups, -1, math.prod(places))


def _padding(layer: Any) -> list[int]:
    """Padding of a convolution as `torch.nn.functional.pad` takes it: last axis first."""
    ends: list[int] = []
    for axis in reversed(range(len(layer.kernel_size))):
        if layer.padding == "same":
            total = layer.dilation[axis] * (layer.kernel_size[axis] - 1)
            ends += [total // 2, total - total // 2]
        elif layer.padding == "valid":
            ends += [0, 0]
        else:
            ends += [layer.padding[axis]] * 2
    return ends


def _standardised(layer: Any, inputs: Tensor) -> Tensor:
    """What a normalisation multiplies by its weight, (m, channels, T)."""
    if isinstance(layer, nn.GroupNorm):
        values = functional.group_norm(inputs, layer.num_groups, eps=layer.eps)
    elif isinstance(layer, INSTANCE_NORMS):
        use_own = layer.training or not layer.track_running_stats
        values = functional.instance_norm(
            inputs, layer.running_mean, layer.running_var, use_input_stats=use_own, eps=layer.eps
        )
    else:
        values = functional.batch_norm(
            inputs, layer.running_mean, layer.running_var, training=False, eps=layer.eps
        )
    return _channel_slopes(layer, values)


def _standardised_last(layer: Any, inputs: Tensor) -> Tensor:
    shape = tuple(layer.normalized_shape)
    if isinstance(layer, nn.LayerNorm):
        values = functional.layer_norm(inputs, shape, eps=layer.eps)
    else:
        values = functional.rms_norm(inputs, shape, eps=layer.eps)
    return _normalised_slopes(layer, values)


def _normalised_slopes(layer: Any, slopes: Tensor) -> Tensor:
    return slopes.reshape(len(slopes), -1, math.prod(layer.normalized_shape)).mT


def _tokens(layer: nn.Embedding, inputs: Tensor) -> Tensor:
    tokens = inputs.reshape(len(inputs), -1)
    return (
        tokens if layer.padding_idx is None else tokens.masked_fill(tokens == layer.padding_idx, -1)
    )


_CONVOLUTION = LayerRule("product", _patches, _channel_slopes)
_CHANNEL_NORM = LayerRule("scale", _standardised, _channel_slopes)
_LAST_NORM = LayerRule("scale", _standardised_last, _normalised_slopes)
_RULES: dict[type[nn.Module], LayerRule] = {
    nn.Linear: LayerRule("product", _linear_columns, _last_axis_slopes),
    nn.Conv1d: _CONVOLUTION,
    nn.Conv2d: _CONVOLUTION,
    nn.Conv3d: _CONVOLUTION,
    **dict.fromkeys((*BATCH_NORMS, *INSTANCE_NORMS), _CHANNEL_NORM),
    nn.GroupNorm: _CHANNEL_NORM,
    nn.LayerNorm: _LAST_NORM,
    nn.RMSNorm: _LAST_NORM,
    nn.Embedding: LayerRule("lookup", _tokens, _last_axis_slopes),
}
