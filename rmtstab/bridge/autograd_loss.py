"""Any other loss, by autograd on batches of one; its weights by comparing gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, jacrev, vmap

from rmtstab.bridge.sample_loss import OutputRoots, SampleLoss
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.trees import map_tensors

Loss = Callable[[Tensor, Any], Tensor]
REFERENCE_SEED = 20240229


class AutogradLoss(SampleLoss):
    r"""``ℓ_i = L({i})``, and ``ω_i`` from ``∂L/∂f_i = ω_i ∂ℓ_i/∂f_i`` at random outputs.

    Parameters
    ----------
    name : str
    call : callable
        ``call(outputs (n, …), targets)`` → scalar: the user's loss.
    output_shape : tuple of int
    dtype : torch.dtype
        In which the loss is differentiated: float64 where it allows.
    """

    def __init__(
        self, name: str, call: Loss, output_shape: tuple[int, ...], dtype: torch.dtype
    ) -> None:
        self.name, self.call, self.output_shape, self.dtype = name, call, output_shape, dtype
        self.loops = False
        self.epsilon = torch.finfo(dtype).eps

    def batch(self, outputs: Tensor, targets: Any) -> Tensor:
        """Evaluate the user's loss on a batch of flat outputs."""
        shaped = outputs.to(self.dtype).reshape(len(outputs), *self.output_shape)
        return self.call(shaped, targets)

    def values(self, outputs: Tensor, targets: Any) -> Tensor:
        """``ℓ_i``, shape (n,); 0 where the loss of the sample alone is undefined (0/0).

        NaN where it is undefined at these outputs only: of runs that have diverged.
        """
        return self._where_defined(self._alone, outputs, targets)

    def gradients(self, outputs: Tensor, targets: Any) -> Tensor:
        """``∇ℓ_i``, shape (n, C); 0 and NaN as for `values`."""
        return self._where_defined(grad(self._alone), outputs, targets)

    def hessians(self, outputs: Tensor, targets: Any) -> Tensor:
        """``∇²ℓ_i``, shape (n, C, C)."""
        # reverse over reverse: forward mode would import the compiler stack, for seconds
        return self._each(jacrev(grad(self._alone)), outputs, targets)

    def is_linear(self, outputs: Tensor, samples: Samples) -> bool:
        """Whether the loss has no curvature in the outputs of a few samples, but a slope."""
        few = samples.take(range(min(len(samples), 4)))
        at = outputs[: len(few)]
        return not bool(self.hessians(at, few.targets).any()) and bool(
            self.gradients(at, few.targets).any()
        )

    def roots(self, outputs: Tensor, targets: Any) -> OutputRoots:
        r"""Symmetric-eigenvalue roots, what is rounding taken for zero.

        Eigenvalues below ``C ε`` of the largest that the sample has here or at random outputs
        are rounding of the terms that cancelled in them, ε that of the dtype in which the
        loss was differentiated.
        """
        width, n = outputs.shape[1], len(outputs)
        natural = self.reference(n, outputs.device)
        diagonal = self._diagonal(outputs, targets)
        if diagonal is not None:
            values, size = diagonal, self._product(natural, targets, torch.ones_like(outputs))
            size = size.abs().amax(dim=1)
        else:
            values, vectors = torch.linalg.eigh(self._symmetric(outputs, targets))
            size = torch.linalg.matrix_norm(self._symmetric(natural, targets), ord=2)
        scale = torch.maximum(size, values.abs().amax(dim=1))[:, None] * width * self.epsilon
        if bool((values < -32.0 * scale).any()):
            raise ValueError(
                "loss must be convex in the outputs, got an output Hessian eigenvalue "
                f"{float(values.min()):.3g} ({self.name}); only convex losses are covered: "
                "KL(reference || model) is, KL(model || reference) and preference losses are not"
            )
        roots = torch.where(values > scale, values, 0.0).sqrt()
        index = torch.arange(width, device=outputs.device)
        if diagonal is not None:
            return OutputRoots(roots[:, :, None, None], index[:, None])
        return OutputRoots((vectors * roots[:, None, :])[:, None], index[None])

    def _diagonal(self, outputs: Tensor, targets: Any) -> Tensor | None:
        """Diagonal (n, C) of Hessians that have nothing else, or None: by products with vectors."""
        if outputs.shape[1] == 1:
            return self._product(outputs, targets, torch.ones_like(outputs))
        diagonal = self._product(outputs, targets, torch.ones_like(outputs))
        for seed in (1, 2):
            vector = self.reference(len(outputs), outputs.device, seed)
            gap = self._product(outputs, targets, vector) - diagonal * vector
            if bool(gap.abs().max() > 1e3 * self.epsilon * (diagonal * vector).abs().max()):
                return None
        return diagonal

    def _product(self, outputs: Tensor, targets: Any, vectors: Tensor) -> Tensor:
        """``∇²ℓ_i v_i``, shape (n, C)."""

        def slope(output: Tensor, target: Any, vector: Tensor) -> Tensor:
            along: Tensor = grad(self._alone)(output, target) * vector.to(output)
            return along.sum()

        product: Tensor = self._each(grad(slope), outputs, targets, vectors)
        return product

    def masses(self, targets: Any) -> Tensor:
        """``m_i`` of these targets as one batch, by gradients at random outputs."""
        first = _first(targets)
        n = len(first)
        normal = self.reference(n, first.device)
        weights, steepest = torch.zeros_like(normal[:, 0]), torch.zeros_like(normal[:, 0])
        found: list[tuple[Tensor, Tensor]] = []
        for where in (normal, -normal, 5.0 * normal, -5.0 * normal):  # a hinge is flat at some
            with torch.enable_grad():
                leaf = where.to(self.dtype).requires_grad_()
                value = self.batch(leaf, targets)
                (whole,) = torch.autograd.grad(value, leaf, materialize_grads=True)
            if not bool(whole.isfinite().all()) and found:
                continue  # too far out for this loss
            whole, own = whole.double(), self.gradients(where, targets)
            size = (own * own).sum(dim=1)
            ratio = (whole * own).sum(dim=1) / size.clamp(min=1e-300)
            weights = torch.where(size > steepest, ratio, weights)
            steepest = torch.maximum(size, steepest)
            found.append((whole, own))
        for whole, own in found:
            gap = (whole - weights[:, None] * own).abs().amax(dim=1)
            limit = 1e4 * self.epsilon * whole.abs().max()
            if bool((gap > limit).any()) or not bool(whole.isfinite().all()):
                raise ValueError(
                    "loss must be a weighted mean or sum of the samples' own losses, got one whose "
                    f"gradient at sample {int(gap.argmax())} depends on the rest of the batch; "
                    f"outputs have shape {(n, *self.output_shape)}, targets {tuple(first.shape)}"
                )
        even = float(weights.mean())
        if bool((weights - even).abs().max() <= 64.0 * self.epsilon * abs(even)):
            weights = torch.full_like(weights, 1.0 / n if self.normalised else even)
        return weights * n if self.normalised else weights

    def reference(self, n: int, device: torch.device, seed: int = REFERENCE_SEED) -> Tensor:
        """Fixed random outputs (n, C), float64; no global generator is used."""
        width = torch.Size(self.output_shape).numel()
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(n, width, generator=generator, dtype=torch.float64).to(device)

    def _alone(self, output: Tensor, target: Any) -> Tensor:
        single = map_tensors(lambda t: t[None], target)
        return self.call(output.reshape(1, *self.output_shape), single)

    def _symmetric(self, outputs: Tensor, targets: Any) -> Tensor:
        found = self.hessians(outputs, targets)
        return 0.5 * (found + found.mT)

    def _where_defined(self, function: Any, outputs: Tensor, targets: Any) -> Tensor:
        """Apply a function to every sample; 0 of those of which it is NaN whatever the outputs."""
        found = self._every(function, outputs, targets)
        if bool(found.isnan().any()):
            usual = self.reference(len(outputs), outputs.device)
            found = torch.where(self._every(function, usual, targets).isnan(), 0.0, found)
        return found

    def _each(self, function: Any, outputs: Tensor, targets: Any, *more: Tensor) -> Tensor:
        """Apply a function of a sample's output, target and more to every sample; 0 for NaN."""
        found = self._every(function, outputs, targets, *more)
        return torch.where(found.isnan(), 0.0, found)  # a mean over nothing (0/0) counts nothing

    def _every(self, function: Any, outputs: Tensor, targets: Any, *more: Tensor) -> Tensor:
        """Apply a function of a sample's output, target and more, in float64, detached."""
        outputs = outputs.to(self.dtype)
        if not self.loops:
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="There is a performance drop")
                    found: Tensor = vmap(function)(outputs, targets, *more)
                    return found.detach().double()
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:  # control flow on the data: one sample at a time
                self.loops = True
        rows = [
            function(output, map_tensors(lambda t, i=i: t[i], targets), *(m[i] for m in more))
            for i, output in enumerate(outputs)
        ]
        return torch.stack(rows).detach().double()


def _first(targets: Any) -> Tensor:
    while not isinstance(targets, Tensor):
        targets = next(iter(targets.values() if isinstance(targets, dict) else targets))
    return targets
