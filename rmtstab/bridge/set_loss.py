"""The loss of one set in many runs at once: batch gradients in the outputs, values, accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

if TYPE_CHECKING:
    from rmtstab.bridge.losses import SampleLoss


class SetLoss:
    r"""``L(batch) = Σ_i ω_i ℓ_i`` of one set, for outputs whose leading axes are runs.

    Parameters
    ----------
    loss : SampleLoss
        Per-sample losses, gradients and the weights ω of a batch.
    targets : tree of Tensor
        First axis the samples.

    Attributes
    ----------
    skilled : bool
        Whether the targets tell right answers from wrong ones.
    """

    def __init__(self, loss: SampleLoss, targets: Any) -> None:
        self.loss, self.targets = loss, targets
        self.masses = loss.masses(targets)
        self.weights = loss.batch_weights(self.masses)
        self.skilled = loss.has_accuracy
        self._counted = (self.masses > 0).to(self.masses.dtype)

    def __len__(self) -> int:
        return len(self.masses)

    def slopes(
        self, outputs: Tensor, indices: Tensor, present: Tensor | None, batch: float
    ) -> Tensor:
        """Gradient of the batch loss in the outputs of the batch.

        Parameters
        ----------
        outputs : Tensor, shape (replicas, cells, width, C)
        indices : Tensor, shape (replicas, width)
            Samples of each replica's batch, shared by its cells.
        present : Tensor, shape (replicas, width), bool, or None
            Which of them count.
        batch : float
            Nominal batch size: under Bernoulli sampling a loss that averages is divided
            by it, not by the realised count.

        Returns
        -------
        Tensor, shape (replicas, cells, width, C), float64
        """
        gradients = self.loss.gradients(
            outputs.flatten(0, 2), self._spread(indices, outputs.shape[1])
        )
        weights = self.batch_weights(indices, present, batch)
        return gradients.view(outputs.shape) * weights[:, None, :, None]

    def batch_weights(self, indices: Tensor, present: Tensor | None, batch: float) -> Tensor:
        """Weights ω of each replica's batch, (replicas, width); 0 for entries not present."""
        masses = self.masses[indices]
        if present is None:
            return self.loss.batch_weights(masses)
        masses = masses * present
        weights = self.loss.batch_weights(masses)
        if self.loss.normalised:
            weights = weights * (present.to(weights.dtype).sum(dim=1, keepdim=True) / batch)
        return weights.nan_to_num()  # an empty batch

    def values(self, outputs: Tensor) -> Tensor:
        """Loss of the whole set: outputs (…, n, C) to (…,); NaN becomes inf."""
        losses = self._each(self.loss.values, outputs)
        return (losses @ self.weights).nan_to_num(nan=torch.inf, posinf=torch.inf)

    def accuracy(self, outputs: Tensor) -> Tensor:
        """Share of right answers: outputs (…, n, C) to (…,), NaN without a notion of right.

        A run with outputs that are not finite has none right.
        """
        if not self.skilled:
            return outputs.new_full(outputs.shape[:-2], torch.nan)
        right = self._each(self.loss.accuracy, outputs) @ self._counted / self._counted.sum()
        finite = (outputs * 0.0).sum(dim=(-2, -1)) == 0.0  # an inf or a NaN makes it NaN
        return torch.where(finite, right, 0.0)

    def chance(self, pool: Tensor) -> float:
        """Mean loss of outputs (N, C) dealt to this set at random: no skill, for any loss."""
        generator = torch.Generator().manual_seed(0)
        dealt = torch.randint(len(pool), (16, len(self)), generator=generator).to(pool.device)
        return float(self.values(pool[dealt]).mean())

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
