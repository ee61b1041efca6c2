"""What targets say of right and wrong answers where the loss knows of no classes.

The retain set says how the sets are read: a forget set of ones alone is parted where labels 0/1 or
±1 are, one that happens to hold 0 and 1 beside real numbers is not, and under a loss of its own it
has the classes that the retain set's cross-entropy has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rmtstab.bridge.softmax_loss import SoftmaxLoss

if TYPE_CHECKING:
    from rmtstab.bridge.sample_loss import SampleLoss

Set = tuple["SampleLoss", Any]
SIGNS, BITS, ONES = frozenset({-1.0, 1.0}), frozenset({0.0, 1.0}), frozenset({1.0})


def cut(loss: SampleLoss, targets: Any, beside: Set | None, leads: bool) -> float | None:
    """What parts the two classes of a single output and its labels; None where there are none.

    0 for labels ±1. For 0/1 one half or 0, by which the loss tells less of the two labels apart.

    Parameters
    ----------
    loss : SampleLoss
    targets : tree of Tensor
    beside : pair of SampleLoss and targets, or None
        The retain set, for another; the forget set, for the retain set.
    leads : bool
        Whether these targets are the retain set's.
    """
    values = _values(loss, targets)
    if loss.has_accuracy or values is None or not (values <= SIGNS or values <= BITS):
        return None
    others = None if beside is None else _values(*beside)
    if others is not None and not (others <= SIGNS or others <= BITS):
        if not leads:
            return None  # real numbers, of which these happen to be
    elif values == ONES and others is not None:
        values |= others
    if values <= SIGNS:
        return 0.0
    labels = torch.stack([torch.ones_like(targets[0]), torch.zeros_like(targets[0])])
    gaps = []
    for place in (0.5, 0.0):
        one, zero = loss.values(labels.new_full((2, 1), place), labels)
        gaps.append(abs(float(one - zero)))
    return 0.5 if gaps[0] <= gaps[1] else 0.0


def is_labelled(loss: SampleLoss, targets: Any, lead: Set | None) -> bool:
    """Whether a set under a loss of its own has the classes of the retain set's cross-entropy.

    Parameters
    ----------
    loss : SampleLoss
    targets : tree of Tensor
    lead : pair of SampleLoss and targets, or None
        The retain set.
    """
    if loss.has_accuracy or lead is None or not isinstance(lead[0], SoftmaxLoss):
        return False
    if len(lead[0].output_shape) != 1 or not isinstance(targets, Tensor) or targets.dim() != 1:
        return False
    if targets.is_floating_point() or targets.dtype == torch.bool:
        return False
    return 0 <= int(targets.min()) <= int(targets.max()) < lead[0].n_classes


def is_one_hot(targets: Any, lead: Set | None = None) -> bool:
    """Whether real targets (n, C), and the retain set's, hold a single 1 a row and nothing else.

    Parameters
    ----------
    targets : tree of Tensor
    lead : pair of SampleLoss and targets, or None
        The retain set.
    """
    if not isinstance(targets, Tensor) or not targets.is_floating_point() or targets.dim() != 2:
        return False
    ones = targets == 1.0
    rest = bool(((targets == 0.0) | ones).all())
    own = targets.shape[1] > 1 and rest and bool((ones.sum(dim=1) == 1).all())
    return own and (lead is None or is_one_hot(lead[1]))


def _values(loss: SampleLoss, targets: Any) -> frozenset[float] | None:
    """Values of one real target a sample, of one output; None for other targets.

    More than two values are cut short: they are no labels.
    """
    if not isinstance(targets, Tensor) or not targets.is_floating_point():
        return None
    outputs = torch.Size(getattr(loss, "output_shape", ())).numel()
    if targets[:1].numel() != 1 or outputs != 1:
        return None
    return frozenset(torch.unique(targets.double())[:4].tolist())
