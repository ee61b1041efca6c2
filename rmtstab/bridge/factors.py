"""Per-sample curvature factors of any torch model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rmtstab._results import FloatArray
from rmtstab.bridge.devices import resolve_device
from rmtstab.bridge.network import Network
from rmtstab.bridge.reading import Reading, read

__all__ = ["Data", "free_parameters", "resolve_device", "sample_factors"]

Data = tuple[Tensor, Tensor]
CHUNK_BYTES = 2.5e8  # of Jacobians at a time


def sample_factors(
    model: nn.Module,
    loss: Any,
    data: Any,
    *,
    parameters: Any = None,
    output: Any = None,
    preconditioner: Any = None,
    device: str | torch.device | None = None,
    chunk_size: int | None = None,
    check_deterministic: bool = True,
) -> FloatArray:
    r"""Generalised Gauss–Newton factors ``Z_i = P^{1/2} J_iᵀ (n ω_i ∇²ℓ_i)^{1/2}``.

    ``(1/n) Σ_i Z_i Z_iᵀ`` is the Gauss–Newton matrix of the loss on the whole set, with
    ``L = Σ ω_i ℓ_i``, ``J_i`` the C × d Jacobian of the outputs and ``∇²ℓ_i`` the Hessian
    of a sample's loss in them. The loss is taken as it is: ``torch.nn.MSELoss`` averages
    over C outputs, hence has output Hessian 2/C.

    Parameters
    ----------
    model, loss, parameters, output, preconditioner, device, check_deterministic
        As for `rmtstab.bridge.problem`.
    data : pair, Dataset or DataLoader
        As for `rmtstab.bridge.problem`.
    chunk_size : int, optional
        Samples differentiated at a time (memory: chunk · C · d numbers).

    Returns
    -------
    ndarray, shape (n, k, d), float64
        k columns a sample: C, or C − 1 a token of a softmax; parameters flattened in the
        order of ``model.named_parameters()``.

    Raises
    ------
    TypeError, ValueError
        As for `rmtstab.bridge.problem`.

    References
    ----------
    The factorisation is derived in docs/theory.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> model = torch.nn.Linear(3, 1, bias=False, dtype=torch.float64)
    >>> x = torch.eye(3, dtype=torch.float64)
    >>> bridge.sample_factors(model, torch.nn.MSELoss(), (x, x[:, :1])).shape
    (3, 1, 3)
    """
    reading = read(
        model,
        loss,
        data,
        parameters=parameters,
        output=output,
        preconditioner=preconditioner,
        device=device,
        check_deterministic=check_deterministic,
        names=("data", "data"),
    )
    return factors_and_gradients(reading, 0, chunk_size)[0]


def factors_and_gradients(
    reading: Reading, which: int, chunk_size: int | None = None
) -> tuple[FloatArray, FloatArray]:
    r"""Factors (n, k, d) and gradients ``n ω_i P^{1/2} J_iᵀ ∇ℓ_i`` (n, d) of one set, float64.

    Parameters
    ----------
    reading : Reading
    which : {0, 1}
        Retain or forget.
    chunk_size : int, optional
        Samples differentiated at a time.

    Returns
    -------
    factors : ndarray, shape (n, k, d)
    gradients : ndarray, shape (n, d)
    """
    samples, loss, network = reading.samples[which], reading.losses[which], reading.network
    if samples is None or loss is None:
        return np.zeros((0, 1, network.n_parameters)), np.zeros((0, network.n_parameters))
    roots = loss.roots(reading.outputs[which], samples.targets)
    blocks = roots.blocks * reading.weights[which].sqrt()[:, None, None, None]
    slopes = reading.weights[which][:, None] * loss.gradients(
        reading.outputs[which], samples.targets
    )
    size = chunk_size or max(
        1, int(CHUNK_BYTES / (8 * max(network.n_outputs * network.n_parameters, 1)))
    )
    factors = np.empty((len(samples), roots.n_columns, network.n_parameters))
    gradients = np.empty((len(samples), network.n_parameters))
    for start in range(0, len(samples), size):
        at = slice(start, start + size)
        jacobian = network.jacobian(samples.take(range(len(samples))[at]), chunk_size=size).double()
        factors[at] = type(roots)(blocks[at], roots.index).pull(jacobian).cpu().numpy()
        gradients[at] = torch.einsum("nc,ncd->nd", slopes[at], jacobian).cpu().numpy()
    return factors, gradients


def free_parameters(
    model: nn.Module, parameters: Any = None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the detached parameters that move (by default those that require gradients),
    and everything else of the model's state.
    """
    network = Network(model, parameters=parameters)
    return network.weights, network.fixed
