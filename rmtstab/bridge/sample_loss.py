"""What a loss is to the bridge: ``L(batch) = Σ ω_i ℓ_i(f_i)``, sample by sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class OutputRoots:
    r"""Roots of the output Hessians, ``∇²ℓ_i = R_i R_iᵀ``, block-diagonal over groups of outputs.

    Attributes
    ----------
    blocks : Tensor, shape (n, G, c, k), float64
        Root of each group: c outputs, k columns.
    index : Tensor, shape (G, c), int64
        Outputs that make each group; a permutation of all C.
    """

    blocks: Tensor
    index: Tensor

    @property
    def n_columns(self) -> int:
        """Columns of R_i, ``G k``: what bounds the rank a sample."""
        return int(self.blocks.shape[1] * self.blocks.shape[3])

    def pull(self, jacobian: Tensor) -> Tensor:
        """``R_iᵀ J_i``, in the precision of the Jacobians.

        Parameters
        ----------
        jacobian : Tensor, shape (n, C, …)

        Returns
        -------
        Tensor, shape (n, G k, …)
        """
        blocks = self.blocks.to(jacobian.dtype)
        grouped = jacobian[:, self.index]  # (n, G, c, …)
        if blocks.shape[2:] == (1, 1):
            return grouped[:, :, 0] * blocks[:, :, 0, 0].reshape(
                *grouped.shape[:2], *(1,) * (jacobian.ndim - 2)
            )
        pulled = torch.einsum("ngck,ngc...->ngk...", blocks, grouped)
        return pulled.flatten(1, 2)

    def dense(self) -> Tensor:
        """Every root as a matrix, shape (n, C, G k)."""
        n, groups, c, k = self.blocks.shape
        full = self.blocks.new_zeros(n, groups * c, groups, k)
        for g in range(groups):
            full[:, self.index[g], g] = self.blocks[:, g]
        return full.flatten(2)


class SampleLoss(ABC):
    r"""A loss as a function of a batch: ``L(batch) = Σ_i ω_i ℓ_i(f_i)``.

    ``ω_i = m_i / Σ_batch m_j`` with the masses m of a mean, ``ω_i = m_i`` of a sum. Class
    weights, ignored and padded targets live in the masses; ``ℓ_i`` is what the loss gives
    on sample i alone. Outputs are (n, C), flat a sample; all numbers float64.

    Attributes
    ----------
    name : str
    normalised : bool
        False for a sum over the batch.
    convex : bool
        In the outputs.
    has_accuracy : bool
    bound : float or None
        κ with ``∇²ℓ_i ⪯ κ I`` whatever the outputs, where it is known.
    notes : tuple of str
        What a user should know about how the loss was read.
    batch : callable
        The user's own ``L(outputs (n, C), targets)``, to be differentiated.
    """

    name: str
    normalised: bool = True
    convex: bool = True
    has_accuracy: bool = False
    bound: float | None = None
    notes: tuple[str, ...] = ()
    batch: Callable[[Tensor, Any], Tensor]

    @abstractmethod
    def values(self, outputs: Tensor, targets: Any) -> Tensor:
        """``ℓ_i`` of each sample.

        Parameters
        ----------
        outputs : Tensor, shape (n, C)
        targets : tree of Tensor
            First axis the samples.

        Returns
        -------
        Tensor, shape (n,)
        """

    @abstractmethod
    def gradients(self, outputs: Tensor, targets: Any) -> Tensor:
        """``∇ℓ_i`` in the outputs.

        Parameters
        ----------
        outputs : Tensor, shape (n, C)
        targets : tree of Tensor
            First axis the samples.

        Returns
        -------
        Tensor, shape (n, C)
        """

    @abstractmethod
    def roots(self, outputs: Tensor, targets: Any) -> OutputRoots:
        """Roots of ``∇²ℓ_i``.

        Parameters
        ----------
        outputs : Tensor, shape (n, C)
        targets : tree of Tensor
            First axis the samples.

        Returns
        -------
        OutputRoots

        Raises
        ------
        ValueError
            Where it has a negative eigenvalue.
        """

    @abstractmethod
    def masses(self, targets: Any) -> Tensor:
        """``m_i`` of each sample.

        Parameters
        ----------
        targets : tree of Tensor
            First axis the samples.

        Returns
        -------
        Tensor, shape (n,)
        """

    def batch_weights(self, masses: Tensor) -> Tensor:
        """``ω_i`` of batches; zero in a batch without mass.

        Parameters
        ----------
        masses : Tensor, shape (…, B)

        Returns
        -------
        Tensor, shape (…, B)
        """
        if not self.normalised:
            return masses
        total = masses.sum(dim=-1, keepdim=True)
        return torch.where(total > 0, masses / total, torch.zeros_like(masses))

    def accuracy(self, outputs: Tensor, targets: Any) -> Tensor:
        """Share of each sample's outputs that are right.

        Parameters
        ----------
        outputs : Tensor, shape (n, C)
        targets : tree of Tensor
            First axis the samples.

        Returns
        -------
        Tensor, shape (n,)

        Raises
        ------
        NotImplementedError
            If the loss knows of no right answers (``has_accuracy`` is false).
        """
        raise NotImplementedError(f"{self.name} has no accuracy")
