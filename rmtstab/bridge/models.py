"""The two-layer ReLU CNN as a torch module."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooking

from rmtstab import _checks
from rmtstab.bridge.model_checks import check_tensor


class TwoLayerReLUCNN(nn.Module):
    r"""``f(W, x) = Σ_{j=±1} (j/m) Σ_r Σ_p relu⟨w_{j,r}, x^(p)⟩``, a scalar output.

    Parameters
    ----------
    dim : int
        Dimension of a patch.
    filters : int
        Number m of filters per sign.
    scale : float, default 0.1
        Standard deviation of the initial weights is ``scale/√dim``.
    seed : int, default 0
        Seed of the initial weights.

    References
    ----------
    Kou et al., arXiv:2303.04145, Section 2.

    See Also
    --------
    rmtstab.curvature.cnn_gram : its exact per-sample curvature in closed form.

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge import TwoLayerReLUCNN
    >>> TwoLayerReLUCNN(dim=5, filters=3)(torch.ones(4, 2, 5, dtype=torch.float64)).shape
    torch.Size([4])
    """

    signs: Tensor

    def __init__(self, dim: int, filters: int, *, scale: float = 0.1, seed: int = 0) -> None:
        super().__init__()
        dim, filters = (
            _checks.integer(name, value, low=1)
            for name, value in (("dim", dim), ("filters", filters))
        )
        scale = _checks.real("scale", scale, low=0.0, low_open=True)
        generator = torch.Generator().manual_seed(_checks.seed("seed", seed))
        weights = torch.randn(2, filters, dim, generator=generator, dtype=torch.float64)
        self.weights = nn.Parameter(weights * (scale / math.sqrt(dim)))
        self.register_buffer("signs", torch.tensor([1.0, -1.0], dtype=torch.float64) / filters)

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches (n, P, dim) to outputs (n,).

        Parameters
        ----------
        patches : Tensor, shape (n, P, dim)
        """
        responses = torch.relu(self._preactivations(patches)).sum(dim=(1, 3))
        outputs: Tensor = responses @ self.signs
        return outputs

    def activation_pattern(self, patches: Tensor) -> Tensor:
        """Return the boolean masks (n, P, 2, m); an exact zero is inactive.

        Parameters
        ----------
        patches : Tensor, shape (n, P, dim)
        """
        return self._preactivations(patches) > 0

    def _preactivations(self, patches: Tensor) -> Tensor:
        check_tensor("patches", patches, 3)
        n, n_patches, dim = patches.shape
        if dim != self.weights.shape[2]:
            raise ValueError(
                f"patches must have shape (n, P, dim={self.weights.shape[2]}), got "
                f"{tuple(patches.shape)}"
            )
        products = patches @ self.weights.flatten(0, 1).T
        return products.view(n, n_patches, 2, -1)


def computes_as_written(model: nn.Module) -> bool:
    """Whether a model is the network of this module in closed form: no subclass, nothing hooked on.

    Hooks, a forward replaced on the instance and other output weights make it another function.

    Parameters
    ----------
    model : torch.nn.Module

    Examples
    --------
    >>> from rmtstab.bridge.models import TwoLayerReLUCNN, computes_as_written
    >>> model = TwoLayerReLUCNN(dim=5, filters=3)
    >>> handle = model.register_forward_hook(lambda module, args, output: 2 * output)
    >>> computes_as_written(model)
    False
    """
    if type(model) is not TwoLayerReLUCNN:
        return False
    kinds = ("forward_hooks", "forward_pre_hooks")
    hooked = any(
        getattr(model, f"_{kind}") or getattr(hooking, f"_global_{kind}") for kind in kinds
    )
    own = torch.tensor([1.0, -1.0]).to(model.signs) / model.weights.shape[1]
    replaced = {"forward", "_preactivations"} & vars(model).keys()
    return not hooked and not replaced and torch.equal(model.signs, own)
