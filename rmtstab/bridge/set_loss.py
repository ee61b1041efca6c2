"""The loss of one set in many runs at once: batch gradients in the outputs, values, accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from rmtstab.bridge import answers
from rmtstab.bridge.curves import Reference
from rmtstab.bridge.softmax_loss import SoftmaxLoss
from rmtstab.kernels import cross_entropy as kernels

if TYPE_CHECKING:
    from rmtstab.bridge.losses import SampleLoss
    from rmtstab.bridge.samples import Samples


class PlainCrossEntropy:
    """Cross-entropy of one class label a sample, where the time of a large grid goes.

    The same numbers as `SoftmaxLoss`, three times as fast: `torch.softmax` over a short last
    axis is slow. On a CPU `rmtstab.kernels.cross_entropy` is faster still.
    """

    @staticmethod
    def values(outputs: Tensor, targets: Tensor) -> Tensor:
        """``log Σ exp f − f_y``, shape (n,)."""
        top = outputs.amax(dim=-1, keepdim=True)
        total = (outputs - top).exp_().sum(dim=-1).log_() + top[:, 0]
        return total - outputs.gather(-1, targets[:, None])[:, 0]

    @staticmethod
    def gradients(outputs: Tensor, targets: Tensor) -> Tensor:
        """``p − e_y``, shape (n, C)."""
        p = (outputs - outputs.amax(dim=-1, keepdim=True)).exp_()
        p /= p.sum(dim=-1, keepdim=True)
        return p.scatter_add_(-1, targets[:, None], p.new_full((1, 1), -1.0).expand(len(p), 1))

    @staticmethod
    def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
        """1 where the largest output is the target's."""
        return (outputs.argmax(dim=-1) == targets).double()

    @staticmethod
    def fits(loss: SampleLoss, targets: Any) -> bool:
        """Whether a loss is plain on these targets."""
        return (
            isinstance(loss, SoftmaxLoss)
            and loss.normalised
            and loss.weight is None
            and loss.smoothing == 0.0
            and len(loss.output_shape) == 1
            and isinstance(targets, Tensor)
            and not targets.is_floating_point()
            and not bool((targets == loss.ignore_index).any())
        )


class SetLoss:
    r"""``L(batch) = Σ_i ω_i ℓ_i`` of one set, for outputs whose leading axes are runs.

    Parameters
    ----------
    loss : SampleLoss
        Per-sample losses, gradients and the weights ω of a batch.
    targets : tree of Tensor
        First axis the samples.
    beside, leads
        Another set, and whether this one says how it is read: see `rmtstab.bridge.answers`.

    Attributes
    ----------
    skilled : bool
        Whether the targets tell right answers from wrong ones: classes, or for a loss that
        knows of none what `rmtstab.bridge.answers` reads.
    cut : float or None
        What parts the two classes of a single output.
    contrasted : int or None
        C, where only differences of the C outputs matter: outputs may then be given less the
        last one, without it, in `slopes` and in `measure`.
    """

    def __init__(
        self,
        loss: SampleLoss,
        targets: Any,
        *,
        beside: tuple[SampleLoss, Any] | None = None,
        leads: bool = True,
    ) -> None:
        self.loss, self.targets = loss, targets
        self.masses = loss.masses(targets)
        self.weights = loss.batch_weights(self.masses)
        lead = None if leads else beside
        self.cut = answers.cut(loss, targets, beside, leads)
        self.labelled = answers.is_labelled(loss, targets, lead)
        known = loss.has_accuracy or self.labelled or self.cut is not None
        self.skilled = known or answers.is_one_hot(targets, lead)
        self._fast = PlainCrossEntropy if PlainCrossEntropy.fits(loss, targets) else loss
        self.contrasted: int | None = None
        if isinstance(loss, SoftmaxLoss) and len(loss.output_shape) == 1 and loss.n_classes > 1:
            self.contrasted = loss.n_classes
        self._is_mean = self._fast is PlainCrossEntropy and bool(
            (self.masses == self.masses[0]).all()
        )
        self._counted = (self.masses > 0).to(self.masses.dtype)

    def __len__(self) -> int:
        return len(self.masses)

    def slopes(
        self, outputs: Tensor, indices: Tensor, present: Tensor | None, batch: float
    ) -> Tensor:
        """Gradient of the batch loss in the outputs of the batch.

        Parameters
        ----------
        outputs : Tensor, shape (replicas, cells, width, C), or C − 1 (see `contrasted`)
        indices : Tensor, shape (replicas, width)
            Samples of each replica's batch, shared by its cells.
        present : Tensor, shape (replicas, width), bool, or None
            Which of them count.
        batch : float
            Nominal batch size: under Bernoulli sampling a loss that averages is divided
            by it, not by the realised count.

        Returns
        -------
        Tensor, of the shape of outputs, float64
        """
        weights = self.batch_weights(indices, present, batch)
        if self._compiles(outputs):
            found = torch.empty(outputs.shape, dtype=outputs.dtype)
            kernels.slopes(
                outputs.contiguous().numpy(), self.targets[indices].numpy(), weights.numpy(),
                self._classes(outputs), found.numpy(),
            )  # fmt: skip
            return found
        whole = self._whole(outputs)
        gradients = self._fast.gradients(whole.flatten(0, 2), self._spread(indices, whole.shape[1]))
        slopes = gradients.view(whole.shape)[..., : outputs.shape[-1]]
        return slopes * weights[:, None, :, None]

    def batch_weights(self, indices: Tensor, present: Tensor | None, batch: float) -> Tensor:
        """Weights ω of each replica's batch; 0 for entries not present.

        Parameters
        ----------
        indices, present, batch
            As for `slopes`.

        Returns
        -------
        Tensor, shape (replicas, width)
        """
        masses = self.masses[indices]
        if present is None:
            return self.loss.batch_weights(masses)
        masses = masses * present
        weights = self.loss.batch_weights(masses)
        if self.loss.normalised:
            weights = weights * (present.to(weights.dtype).sum(dim=1, keepdim=True) / batch)
        return weights.nan_to_num()  # an empty batch

    def measure(self, outputs: Tensor, start: int = 0) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of runs on this set, as `values` and `accuracy`, in one pass.

        Parameters
        ----------
        outputs : Tensor, shape (…, N, C), or C − 1 (see `contrasted`)
            Of all samples.
        start : int, default 0
            Place of this set's first sample among them.
        """
        if not (self._is_mean and self._compiles(outputs)):
            own = self._whole(outputs[..., start : start + len(self), :])
            return self.values(own), self.accuracy(own)
        runs = outputs.contiguous().view(-1, *outputs.shape[-2:])
        losses, right = torch.empty(2, len(runs), dtype=outputs.dtype)
        kernels.evaluate(
            runs.numpy(), start, self.targets.numpy(), self._classes(outputs), losses.numpy(),
            right.numpy(),
        )  # fmt: skip
        return losses.view(outputs.shape[:-2]), right.view(outputs.shape[:-2])

    def values(self, outputs: Tensor) -> Tensor:
        """Loss of the whole set; NaN becomes inf.

        Parameters
        ----------
        outputs : Tensor, shape (…, n, C)

        Returns
        -------
        Tensor, shape (…,)
        """
        losses = self._each(self._fast.values, outputs)
        return (losses @ self.weights).nan_to_num(nan=torch.inf, posinf=torch.inf)

    def accuracy(self, outputs: Tensor) -> Tensor:
        """Share of right answers; NaN without a notion of right.

        A run with outputs that are not finite has none right.

        Parameters
        ----------
        outputs : Tensor, shape (…, n, C)

        Returns
        -------
        Tensor, shape (…,)
        """
        if not self.skilled:
            return outputs.new_full(outputs.shape[:-2], torch.nan)
        right = self._each(self._right, outputs) @ self._counted / self._counted.sum()
        finite = (outputs * 0.0).sum(dim=(-2, -1)) == 0.0  # an inf or a NaN makes it NaN
        return torch.where(finite, right, 0.0)

    def each(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of each sample, and whether it is right.

        Without a notion of right, right is a loss nearer to the best than to the worst.

        Parameters
        ----------
        outputs : Tensor, shape (n, C)

        Returns
        -------
        tuple of Tensor, shapes (n,) and (n,)
        """
        losses = self._each(self._fast.values, outputs)
        if self.skilled:
            return losses, self._each(self._right, outputs)
        middle = 0.5 * (losses.min() + losses.max())
        return losses, (losses <= middle).double()

    def reference(self, outputs: Tensor, pool: Tensor) -> Reference:
        """Describe the set before a run.

        Parameters
        ----------
        outputs : Tensor, shape (n, C)
        pool : Tensor, shape (N, C)
            Outputs of all samples, this set's among them.

        Returns
        -------
        Reference
        """
        return Reference(
            float(self.values(outputs)), self._chance(pool), float(self.accuracy(outputs))
        )

    def _classes(self, outputs: Tensor) -> int:
        """C, of outputs with or without the last one."""
        return self.contrasted or outputs.shape[-1]

    def _whole(self, outputs: Tensor) -> Tensor:
        """Outputs with the last one, 0 where they are given less it."""
        short = outputs.shape[-1] < self._classes(outputs)
        return torch.nn.functional.pad(outputs, (0, 1)) if short else outputs

    def _compiles(self, outputs: Tensor) -> bool:
        """Whether the kernels of cross-entropy are for this loss and these outputs."""
        return (
            self._fast is PlainCrossEntropy
            and outputs.device.type == "cpu"
            and outputs.dtype == torch.float64
            and self.targets.dtype == torch.int64
        )

    def _chance(self, pool: Tensor) -> float:
        """Mean loss of outputs (N, C) dealt to this set at random: no skill, for any loss."""
        generator = torch.Generator().manual_seed(0)
        dealt = torch.randint(len(pool), (16, len(self)), generator=generator).to(pool.device)
        return float(self.values(pool[dealt]).mean())

    def _right(self, outputs: Tensor, targets: Any) -> Tensor:
        """Share of right answers of each sample, also where a loss knows of no classes."""
        if self.loss.has_accuracy:
            return self._fast.accuracy(outputs, targets)
        if self.labelled:
            return PlainCrossEntropy.accuracy(outputs, targets)
        if self.cut is not None:
            right: Tensor = (outputs[:, 0] > self.cut) == (targets.reshape(-1) > self.cut)
        else:
            right = outputs.argmax(dim=-1) == targets.argmax(dim=-1)
        return right.double()

    def _each(self, function: Any, outputs: Tensor) -> Tensor:
        """Apply a function of (outputs, targets) to every sample of every run."""
        lead = outputs.shape[:-2]
        runs = int(torch.Size(lead).numel())
        spread = tree_map(
            lambda y: y.expand(runs, *y.shape).reshape(-1, *y.shape[1:]), self.targets
        )
        result: Tensor = function(outputs.reshape(-1, outputs.shape[-1]), spread)
        return result.view(*lead, len(self)).double()

    def _spread(self, indices: Tensor, cells: int) -> Any:
        """Targets of each replica's batch, repeated for every cell, flat."""

        def chosen(y: Tensor) -> Tensor:
            taken = y[indices][:, None]
            return taken.expand(-1, cells, *taken.shape[2:]).flatten(0, 2)

        return tree_map(chosen, self.targets)


class FrozenSetLoss(SetLoss):
    """A loss whose gradient is its expansion at w*: ``∇ℓ_i + ∇²ℓ_i (f − f*)``.

    What is recorded stays the true loss. With it, function space is the linearised dynamics of
    the frozen curvature, with the gradients at w*.

    Parameters
    ----------
    known : SetLoss
    outputs : Tensor, shape (n, C)
        f*.

    Attributes
    ----------
    start : Tensor, shape (n, C)
        f*.
    """

    def __init__(self, known: SetLoss, outputs: Tensor) -> None:
        vars(self).update(vars(known))
        self.contrasted = None  # slopes are expanded in all C outputs
        self.start = outputs
        self.slope = known.loss.gradients(outputs, known.targets)
        root = known.loss.roots(outputs, known.targets).dense()
        self.curvature = root @ root.transpose(1, 2)

    def slopes(
        self, outputs: Tensor, indices: Tensor, present: Tensor | None, batch: float
    ) -> Tensor:
        """Gradient of the expanded batch loss.

        Parameters
        ----------
        outputs, indices, present, batch
            As for `SetLoss.slopes`.

        Returns
        -------
        Tensor, shape (replicas, cells, width, C), float64
        """
        moved = outputs - self.start[indices][:, None]
        pulled = torch.einsum("rwij,rcwj->rcwi", self.curvature[indices], moved)
        weights = self.batch_weights(indices, present, batch)
        result: Tensor = (self.slope[indices][:, None] + pulled) * weights[:, None, :, None]
        return result


def set_losses(
    losses: Sequence[SampleLoss | None], samples: Sequence[Samples | None]
) -> tuple[SetLoss | None, ...]:
    """Losses of sets that are read together, the retain set first; None where there is no set.

    Parameters
    ----------
    losses : sequence of SampleLoss or None
    samples : sequence of Samples or None
    """
    pairs = [
        None if loss is None or part is None else (loss, part.targets)
        for loss, part in zip(losses, samples, strict=True)
    ]
    retain, forget = pairs[:2]
    return tuple(
        None if pair is None else SetLoss(*pair, beside=retain if k else forget, leads=not k)
        for k, pair in enumerate(pairs)
    )
