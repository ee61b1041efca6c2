"""Products with a network's Jacobian, one forward and one backward pass each."""

from __future__ import annotations

import torch
from torch import Tensor

from rmtstab import _checks
from rmtstab.bridge.independence import check_network
from rmtstab.bridge.network import FORWARD_CHUNK, Network, Weights, untouched
from rmtstab.bridge.samples import Samples


def pullback(
    network: Network,
    samples: Samples,
    coefficients: Tensor,
    *,
    chunk_size: int = FORWARD_CHUNK,
) -> Weights:
    """Weights ``Jᵀ c`` of coefficients in function space: ``Σ_i Σ_a c_ia ∂f_ia/∂w``.

    J is the plain Jacobian; a move under a preconditioner is ``P Jᵀ c``.

    Parameters
    ----------
    network : Network
    samples : Samples
    coefficients : Tensor, shape (n, C) or (k, n, C)
        One set of coefficients, or k.
    chunk_size : int, optional
        Samples of a backward pass.

    Returns
    -------
    dict of Tensor
        As ``network.weights``, float64, with a leading axis k where coefficients have one.

    Raises
    ------
    ValueError
        If the coefficients' shape does not fit.

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.jacobian_products import pullback
    >>> from rmtstab.bridge.network import Network
    >>> from rmtstab.bridge.data_sets import read_samples
    >>> network = Network(torch.nn.Linear(3, 1, bias=False))
    >>> samples = read_samples("retain", (torch.eye(3)[:2], [0, 0]))
    >>> pullback(network, samples, torch.tensor([[2.0], [5.0]]))["weight"]
    tensor([[2., 5., 0.]], dtype=torch.float64)
    """
    _checks.instance("network", network, Network)
    chunk_size = _checks.integer("chunk_size", chunk_size, low=1)
    samples = _checks.instance("samples", samples, Samples).to(network.device)
    check_network(network, samples)
    expected = len(samples), network.n_outputs
    _checks.instance("coefficients", coefficients, Tensor)
    if coefficients.dim() not in (2, 3) or tuple(coefficients.shape[-2:]) != expected:
        raise ValueError(
            f"coefficients must have shape (n={expected[0]}, C={expected[1]}) or "
            f"(k, {expected[0]}, {expected[1]}), got {tuple(coefficients.shape)}"
        )
    sets = coefficients.detach().to(network.device).reshape(-1, *expected)
    total = {
        name: torch.zeros((len(sets), *w.shape), dtype=torch.float64, device=network.device)
        for name, w in network.weights.items()
    }
    start = 0
    with untouched(network.model), network.differentiable():
        for chunk in samples.chunks(chunk_size):
            at = slice(start, start + len(chunk))
            start = at.stop
            leaves = {name: w.detach().requires_grad_() for name, w in network.weights.items()}
            with torch.enable_grad():
                outputs = network.apply(leaves, chunk.inputs)
                values = [(outputs * c[at].to(outputs)).sum() for c in sets]
            for index, value in enumerate(values):
                slopes = torch.autograd.grad(
                    value, list(leaves.values()), retain_graph=True, allow_unused=True
                )
                for name, slope in zip(leaves, slopes, strict=True):
                    if slope is not None:
                        total[name][index] += slope
    _checks.instance("coefficients", coefficients, Tensor)
    if coefficients.dim() == 2:
        return {name: value[0] for name, value in total.items()}
    return total


def pushforward(
    network: Network, samples: Samples, tangent: Weights, *, chunk_size: int = FORWARD_CHUNK
) -> Tensor:
    """First-order change ``J v`` of all outputs along a direction of the weights.

    By differentiating the pullback ``c → vᵀJᵀc``, which is linear in c: reverse mode twice,
    for every layer that has a second derivative.

    Parameters
    ----------
    network : Network
    samples : Samples
    tangent : dict of Tensor
        As ``network.weights``.
    chunk_size : int, optional
        Samples of a pass.

    Returns
    -------
    Tensor, shape (n, C), float64

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.jacobian_products import pushforward
    >>> from rmtstab.bridge.network import Network
    >>> from rmtstab.bridge.data_sets import read_samples
    >>> network = Network(torch.nn.Linear(3, 1, bias=False))
    >>> samples = read_samples("retain", (torch.eye(3)[:2], [0, 0]))
    >>> pushforward(network, samples, {"weight": torch.tensor([[2.0, 3.0, 4.0]])})
    tensor([[2.],
            [3.]], dtype=torch.float64)
    """
    _checks.instance("network", network, Network)
    chunk_size = _checks.integer("chunk_size", chunk_size, low=1)
    samples = _checks.instance("samples", samples, Samples).to(network.device)
    check_network(network, samples)
    network.check_like_weights("tangent", tangent)
    parts = []
    with untouched(network.model), network.differentiable():
        for chunk in samples.chunks(chunk_size):
            leaves = {name: w.detach().requires_grad_() for name, w in network.weights.items()}
            with torch.enable_grad():
                outputs = network.apply(leaves, chunk.inputs)
                dual = torch.zeros_like(outputs, requires_grad=True)
                slopes = torch.autograd.grad(
                    (outputs * dual).sum(),
                    list(leaves.values()),
                    create_graph=True,
                    allow_unused=True,
                )
                pairs = zip(leaves, slopes, strict=True)
                along = [
                    (slope * tangent[name].to(slope)).sum()
                    for name, slope in pairs
                    if slope is not None
                ]
                total = torch.stack(along).sum()
            parts.append(torch.autograd.grad(total, dual)[0].double())
    return torch.cat(parts)
