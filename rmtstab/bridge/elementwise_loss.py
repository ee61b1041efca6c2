"""Losses that compare each output with its own target: closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from rmtstab.bridge.sample_loss import OutputRoots, SampleLoss

Scalar = Callable[..., Tensor]


@dataclass(eq=False)
class ElementwiseLoss(SampleLoss):
    """``ℓ_i = Σ_c v_c φ(f_ic, y_ic)``.

    Attributes
    ----------
    name : str
    phi, slope, curvature : callable
        φ, φ′ and φ″ of outputs and targets, each (n, C) float64.
    weight : Tensor, shape (C,), or float
        v_c: 1/C for torch's means.
    """

    name: str
    phi: Scalar
    slope: Scalar
    curvature: Scalar
    weight: Any = 1.0
    normalised: bool = True
    convex: bool = True
    has_accuracy: bool = False
    bound: float | None = None
    threshold: float = field(default=0.0, repr=False)  # label between the two of a binary target

    def values(self, outputs: Tensor, targets: Any) -> Tensor:
        """``ℓ_i``, shape (n,)."""
        each: Tensor = self.weight * self.phi(outputs.double(), *_flat(targets))
        return each.sum(dim=1)

    def gradients(self, outputs: Tensor, targets: Any) -> Tensor:
        """``∇ℓ_i`` in the outputs, shape (n, C)."""
        each: Tensor = self.weight * self.slope(outputs.double(), *_flat(targets))
        return each

    def roots(self, outputs: Tensor, targets: Any) -> OutputRoots:
        """Diagonal roots ``√(v_c φ″)``."""
        second = self.weight * self.curvature(outputs.double(), *_flat(targets))
        index = torch.arange(outputs.shape[1], device=outputs.device)[:, None]
        return OutputRoots(second.sqrt()[:, :, None, None], index)

    def masses(self, targets: Any) -> Tensor:
        """One each."""
        first = _flat(targets)[0]
        return torch.ones(len(first), dtype=torch.float64, device=first.device)

    def accuracy(self, outputs: Tensor, targets: Any) -> Tensor:
        """Share of a sample's labels on whose side its outputs lie."""
        right = (outputs > 0) == (_flat(targets)[0] > self.threshold)
        return right.double().mean(dim=1)


def squared(scale: float = 2.0, **options: Any) -> ElementwiseLoss:
    """``scale/2 (f − y)²``: torch's MSE at 2, the theory's at 1."""
    return ElementwiseLoss(
        phi=lambda f, y: 0.5 * scale * (f - y) ** 2,
        slope=lambda f, y: scale * (f - y),
        curvature=lambda f, y: torch.full_like(f, scale),
        **options,
    )


def gaussian(eps: float, full: bool, **options: Any) -> ElementwiseLoss:
    """``½ [log v + (f − y)²/v]`` with the variance v among the targets.

    One variance for the last axis of the outputs serves all of it, as torch has it.
    """
    constant = 0.5 * math.log(2.0 * math.pi) if full else 0.0

    def held(f: Tensor, v: Tensor) -> Tensor:
        return v.clamp(min=eps).repeat_interleave(f.shape[1] // v.shape[1], dim=1)

    return ElementwiseLoss(
        phi=lambda f, y, v: 0.5 * (held(f, v).log() + (f - y) ** 2 / held(f, v)) + constant,
        slope=lambda f, y, v: (f - y) / held(f, v),
        curvature=lambda f, y, v: 1.0 / held(f, v),
        **options,
    )


def huber(delta: float, scale: float, **options: Any) -> ElementwiseLoss:
    """``scale · ½ r²`` below ``|r| = delta``, linear beyond."""
    return ElementwiseLoss(
        phi=lambda f, y: scale * torch.where(
            (f - y).abs() < delta, 0.5 * (f - y) ** 2, delta * ((f - y).abs() - 0.5 * delta)
        ),
        slope=lambda f, y: scale * (f - y).clamp(-delta, delta),
        curvature=lambda f, y: scale * ((f - y).abs() < delta).double(),
        **options,
    )  # fmt: skip


def binary(pos_weight: Any = 1.0, **options: Any) -> ElementwiseLoss:
    """``−w y log σ(f) − (1 − y) log σ(−f)``, targets in [0, 1], w the positive weight."""
    return ElementwiseLoss(
        phi=lambda f, y: -(1.0 - y) * logsigmoid(-f) - pos_weight * y * logsigmoid(f),
        slope=lambda f, y: (1.0 - y) * torch.sigmoid(f) - pos_weight * y * torch.sigmoid(-f),
        curvature=lambda f, y: (1.0 - y + pos_weight * y) * torch.sigmoid(f) * torch.sigmoid(-f),
        has_accuracy=True,
        threshold=0.5,
        **options,
    )


def signed(**options: Any) -> ElementwiseLoss:
    """``log(1 + exp(−y f))``, labels ±1."""
    return ElementwiseLoss(
        phi=lambda f, y: -logsigmoid(y * f),
        slope=lambda f, y: -y * torch.sigmoid(-y * f),
        curvature=lambda f, y: y * y * torch.sigmoid(f * y) * torch.sigmoid(-f * y),
        has_accuracy=True,
        **options,
    )


def of_module(loss: Any, output_shape: tuple[int, ...], device: Any) -> ElementwiseLoss | None:
    """Closed form of a torch loss module, or None where it has none here."""
    kind: Any = type(loss)
    reduction = getattr(loss, "reduction", None)
    if reduction not in ("mean", "sum"):
        return None
    count = torch.Size(output_shape).numel()
    mean = reduction == "mean"
    weight: Any = 1.0 / count if mean else 1.0
    options: dict[str, Any] = {"name": kind.__name__, "normalised": mean}
    if kind is nn.MSELoss:
        return squared(weight=weight, bound=2.0 * weight, **options)
    if kind is nn.GaussianNLLLoss:
        return gaussian(loss.eps, loss.full, weight=weight, **options)
    if kind is nn.HuberLoss:
        return huber(loss.delta, 1.0, weight=weight, bound=weight, **options)
    if kind is nn.SmoothL1Loss and loss.beta > 0.0:
        return huber(loss.beta, 1.0 / loss.beta, weight=weight, bound=weight / loss.beta, **options)
    if kind is nn.BCEWithLogitsLoss:
        own = _per_output(loss.weight, output_shape, device)
        positive = _per_output(loss.pos_weight, output_shape, device)
        if own is None or positive is None:
            return None
        bound = 0.25 * float((own * positive.clamp(min=1.0)).max()) * weight
        return binary(positive, weight=weight * own, bound=bound, **options)
    return None


def _per_output(weight: Tensor | None, output_shape: tuple[int, ...], device: Any) -> Tensor | None:
    """Flat weight of each output, or None where it differs from sample to sample."""
    if weight is None:
        return torch.ones((), dtype=torch.float64, device=device)
    weight = weight.detach().double().to(device)
    if weight.ndim == len(output_shape) + 1 and weight.shape[0] == 1:
        weight = weight[0]
    if weight.ndim > len(output_shape):
        return weight if weight.numel() == 1 else None
    return weight.expand(output_shape).reshape(-1)


def _flat(targets: Any) -> tuple[Tensor, ...]:
    parts = targets if isinstance(targets, tuple) else (targets,)
    return tuple(part.double().reshape(len(part), -1) for part in parts)
