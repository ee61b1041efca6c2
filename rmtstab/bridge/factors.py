"""Per-sample curvature factors of any torch model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.bridge.derivatives import naming, refuse_nonfinite
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
    model, loss
        As for `rmtstab.bridge.problem`.
    data : pair, Dataset or DataLoader
        As for `rmtstab.bridge.problem`.
    parameters, output, preconditioner, device
        As for `rmtstab.bridge.problem`.
    chunk_size : int, optional
        Samples differentiated at a time (memory: chunk · C · d numbers).
    check_deterministic : bool, default True
        As for `rmtstab.bridge.problem`.

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
    if chunk_size is not None:
        chunk_size = _checks.integer("chunk_size", chunk_size, low=1)
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
    with naming(reading.network, [("data", reading.samples[0])]):
        return pulled_back(reading, 0, functions_of(reading, 0)[..., :-1], chunk_size)


def functions_of(reading: Reading, which: int) -> Tensor:
    r"""Functions of each sample's outputs whose gradients make a set's part of the problem.

    Parameters
    ----------
    reading : Reading
    which : {0, 1}
        Retain or forget.

    Returns
    -------
    Tensor, shape (n, C, k + 1), float64
        k columns of ``(n ω_i ∇²ℓ_i)^{1/2}``, then ``n ω_i ∇ℓ_i``.
    """
    samples, loss, outputs = reading.samples[which], reading.losses[which], reading.outputs[which]
    if samples is None or loss is None:
        return torch.zeros(0, outputs.shape[1], 1, dtype=torch.float64, device=outputs.device)
    weights = reading.weights[which][:, None, None]
    roots = loss.roots(outputs, samples.targets).dense() * weights.sqrt()
    if not roots.shape[2]:  # a softmax over one class
        roots = roots.new_zeros(*roots.shape[:2], 1)
    slopes = loss.gradients(outputs, samples.targets)[..., None] * weights
    return torch.cat([roots, slopes], dim=2)


def pulled_back(
    reading: Reading, which: int, functions: Tensor, chunk_size: int | None = None
) -> FloatArray:
    """Gradients ``P^{1/2} J_iᵀ φ`` of functions φ of each sample's outputs.

    Parameters
    ----------
    reading : Reading
    which : {0, 1}
        Retain or forget.
    functions : Tensor, shape (n, C, R), float64
    chunk_size : int, optional
        Samples differentiated at a time.

    Returns
    -------
    ndarray, shape (n, R, d), float64
    """
    samples, network = reading.samples[which], reading.network
    found = np.empty((len(functions), functions.shape[2], network.n_parameters))
    if samples is None:
        return found
    a_sample = 8 * (functions.shape[1] + functions.shape[2]) * network.n_parameters
    size = chunk_size or max(1, int(CHUNK_BYTES / a_sample))
    for start in range(0, len(samples), size):
        part = samples.take(range(start, min(start + size, len(samples))))
        # in float64 also for float32 networks: what the functions annihilate stays annihilated
        jacobian = network.jacobian(part, chunk_size=size).double()
        refuse_nonfinite(network, [("", part)], jacobian)
        columns = functions[start : start + size]
        rows = torch.einsum("ncr,ncd->nrd", columns, jacobian)
        # a row that its own terms cancel to rounding is zero: its direction would be noise
        terms = torch.einsum("ncr,nc->nr", columns.abs(), jacobian.norm(dim=2))
        rows *= (rows.norm(dim=2) > 4.0 * torch.finfo(network.dtype).eps * terms)[..., None]
        found[start : start + size] = rows.cpu().numpy()
    return found


def free_parameters(
    model: nn.Module, parameters: Any = None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the detached parameters that move (by default those that require gradients),
    and everything else of the model's state.
    """
    network = Network(model, parameters=parameters)
    return network.weights, network.fixed
