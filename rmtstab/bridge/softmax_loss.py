"""Softmax cross-entropy in closed form: weights, smoothing, ignored and soft targets, tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rmtstab.bridge.autograd_loss import AutogradLoss
from rmtstab.bridge.sample_loss import OutputRoots, SampleLoss
from rmtstab.bridge.samples import Samples


@dataclass(eq=False)
class SoftmaxLoss(SampleLoss):
    r"""``ℓ_i = (1/m_i) Σ_t Σ_c a_tc (log Σ_b exp f_tb − f_tc)`` over the tokens t of sample i.

    A class index y gives ``a = (1−ε) v_y e_y + (ε/C) v`` with class weights v and smoothing
    ε, and the mass ``v_y`` (0 where ignored); soft labels q give ``a = v ∘ [(1−ε) q + ε/C]``
    and mass 1. ``m_i`` sums the masses of a sample's tokens.

    Attributes
    ----------
    output_shape : tuple of int
        Of one sample's output: classes and tokens.
    class_axis : int
        Axis of the classes in it: 0 for torch's convention, −1 for (…, C) logits.
    weight : Tensor, shape (C,), or None
    ignore_index : int
    smoothing : float
    """

    name: str
    output_shape: tuple[int, ...]
    class_axis: int = 0
    weight: Tensor | None = None
    ignore_index: int = -100
    smoothing: float = 0.0
    normalised: bool = True
    convex: bool = True
    has_accuracy: bool = True
    bound: float | None = 0.5

    @property
    def n_classes(self) -> int:
        """C."""
        return self.output_shape[self.class_axis]

    def values(self, outputs: Tensor, targets: Any) -> Tensor:
        """``ℓ_i``, shape (n,)."""
        aims, mass = self._aims(targets)
        return -(aims * self._tokens(outputs).log_softmax(dim=2)).sum(dim=(1, 2)) * _inverse(mass)

    def gradients(self, outputs: Tensor, targets: Any) -> Tensor:
        """``∇ℓ_i`` in the outputs, shape (n, C): ``(Σa p − a)/m`` a token."""
        aims, mass = self._aims(targets)
        p = self._tokens(outputs).softmax(dim=2)
        slopes = (aims.sum(dim=2, keepdim=True) * p - aims) * _inverse(mass)[:, None, None]
        shape = [d for k, d in enumerate(self.output_shape) if k != self._axis]
        return slopes.reshape(len(p), *shape, -1).movedim(-1, 1 + self._axis).reshape(len(p), -1)

    def roots(self, outputs: Tensor, targets: Any) -> OutputRoots:
        r"""Cholesky roots of ``diag p − ppᵀ`` in closed form: C − 1 columns, no cancellation.

        With tails ``t_k = Σ_{j>k} p_j``: ``R_kk = √(p_k t_k/t_{k−1})``,
        ``R_ik = −(p_i/t_k) R_kk`` for i > k.

        References
        ----------
        Tanabe and Sagae, J. R. Stat. Soc. B 54, 211 (1992), Theorem 1.
        """
        aims, mass = self._aims(targets)
        p = self._tokens(outputs).softmax(dim=2)
        tails = p.flip(2).cumsum(dim=2).flip(2)  # t_{k−1} at k
        before, after = tails[..., :-1], tails[..., 1:]
        diagonal = _ratio(p[..., :-1] * after, before).sqrt()
        below = -_ratio(p[..., :, None], after[..., None, :]) * diagonal[..., None, :]
        root = below.tril(-1) + torch.nn.functional.pad(torch.diag_embed(diagonal), (0, 0, 0, 1))
        scale = (aims.sum(dim=2) * _inverse(mass)[:, None]).sqrt()
        return OutputRoots(root * scale[..., None, None], self._index(outputs.device))

    def masses(self, targets: Any) -> Tensor:
        """Summed masses of a sample's tokens, shape (n,)."""
        return self._aims(targets)[1]

    def accuracy(self, outputs: Tensor, targets: Any) -> Tensor:
        """Share of a sample's tokens, weighted by mass, whose largest output is the target's."""
        if self._soft(targets):
            found = self._by_token(targets).argmax(dim=2)
            mass = torch.ones_like(found, dtype=torch.float64)
        else:
            found = targets.reshape(len(targets), -1)
            mass = (found != self.ignore_index).double()
        right = (self._tokens(outputs).argmax(dim=2) == found).double()
        return (right * mass).sum(dim=1) * _inverse(mass.sum(dim=1))

    @property
    def _axis(self) -> int:
        return self.class_axis % len(self.output_shape)

    def _soft(self, targets: Tensor) -> bool:
        return targets.is_floating_point()

    def _tokens(self, outputs: Tensor) -> Tensor:
        return self._by_token(outputs.double())

    def _by_token(self, values: Tensor) -> Tensor:
        """Reorder flat or shaped outputs to (n, T, C)."""
        shaped = values.reshape(len(values), *self.output_shape).movedim(1 + self._axis, -1)
        return shaped.reshape(len(values), -1, self.n_classes)

    def _index(self, device: torch.device) -> Tensor:
        places = torch.arange(torch.Size(self.output_shape).numel(), device=device)
        return self._by_token(places[None])[0]

    def _aims(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Masses a, shape (n, T, C), and m, shape (n,)."""
        c = self.n_classes
        weight = torch.ones(c, dtype=torch.float64, device=targets.device)
        if self.weight is not None:
            weight = self.weight.to(weight)
        if self._soft(targets):
            q = self._by_token(targets.double())
            aims = weight * ((1.0 - self.smoothing) * q + self.smoothing / c)
            return aims, torch.full(
                (len(q),), float(q.shape[1]), dtype=torch.float64, device=q.device
            )
        labels = targets.reshape(len(targets), -1)
        valid = labels != self.ignore_index
        own = torch.where(valid, labels, 0)
        mass = weight[own] * valid
        aims = (self.smoothing / c) * weight * valid[..., None].double()
        aims.scatter_add_(2, own[..., None], (1.0 - self.smoothing) * mass[..., None])
        return aims, mass.sum(dim=1)


class SummedSoftmax(SoftmaxLoss):
    """The same summed: ``ω_i ℓ_i`` is not divided by any mass, ``ω_i = 1``."""

    def _aims(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        aims, mass = super()._aims(targets)
        return aims, torch.ones_like(mass)


class RecognisedSoftmax(SoftmaxLoss):
    """A user's function that proved to be cross-entropy sample by sample, weighed its own way."""

    weigher: AutogradLoss

    def masses(self, targets: Any) -> Tensor:
        """``m_i`` of these targets as one batch, as the user's function weighs them."""
        return self.weigher.masses(targets)


def of_module(
    loss: Any, output_shape: tuple[int, ...], device: Any, class_axis: int = 0
) -> SoftmaxLoss | None:
    """Closed form of torch's cross-entropy, or of its NLL on log-probabilities, or None."""
    if type(loss) not in (nn.CrossEntropyLoss, nn.NLLLoss) or not output_shape:
        return None
    if loss.reduction not in ("mean", "sum"):
        return None
    form = SoftmaxLoss if loss.reduction == "mean" else SummedSoftmax
    return form(
        type(loss).__name__,
        output_shape,
        class_axis,
        weight=None if loss.weight is None else loss.weight.detach().double().to(device),
        ignore_index=loss.ignore_index,
        smoothing=float(getattr(loss, "label_smoothing", 0.0)),
        normalised=loss.reduction == "mean",
        bound=_bound(loss),
    )


def _bound(loss: Any) -> float | None:
    """κ: ½ of the mass on a token's classes relative to its own mass, at most."""
    if loss.reduction == "sum" or (loss.weight is not None and getattr(loss, "label_smoothing", 0)):
        return None
    return 0.5 if loss.weight is None else 0.5 * max(1.0, float(loss.weight.max()))


def recognise(loss: AutogradLoss, samples: Samples) -> SoftmaxLoss | None:
    """Find the cross-entropy that a user's function is, by values and gradients on all samples.

    Functions that flatten tokens, ``cross_entropy(f.flatten(0, 1), y.flatten())``, would cost
    a dense Hessian over tokens and classes. Compared at fixed random outputs, to rounding.
    """
    targets, shape = samples.targets, loss.output_shape
    if not isinstance(targets, Tensor) or targets.is_floating_point() or not shape:
        return None
    at = loss.reference(len(samples), targets.device)
    values, slopes = loss.values(at, targets), loss.gradients(at, targets)
    limit = 1e3 * loss.epsilon
    for axis in (-1, 0):
        tokens = [size for k, size in enumerate(shape) if k != axis % len(shape)]
        for ignored in {-100, int(targets.min()), int(targets.max())}:
            kept = targets[targets != ignored]
            outside = kept.numel() and not 0 <= int(kept.min()) <= int(kept.max()) < shape[axis]
            if list(targets.shape[1:]) != tokens or outside:
                continue
            tried = RecognisedSoftmax(
                loss.name, shape, axis, ignore_index=ignored, normalised=loss.normalised
            )
            apart = (tried.values(at, targets) - values).abs().max()
            gap = (tried.gradients(at, targets) - slopes).abs().max()
            if bool(apart <= limit * values.abs().max()) and bool(
                gap <= limit * slopes.abs().max()
            ):
                tried.weigher = loss
                return tried
    return None


def _inverse(mass: Tensor) -> Tensor:
    return _ratio(torch.ones_like(mass), mass)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Quotient; 0 where the denominator is."""
    safe = torch.where(denominator > 0, denominator, 1.0)
    return torch.where(denominator > 0, numerator / safe, 0.0)
