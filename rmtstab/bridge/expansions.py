"""A linearised network started away from its weights, or with its loss's curvature frozen too."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.bridge.linearised import LinearisedNetwork
from rmtstab.bridge.set_loss import FrozenSetLoss, SetLoss


def frozen(net: LinearisedNetwork) -> LinearisedNetwork:
    """Return a copy whose runs follow the curvature and gradients at w*, losses expanded there.

    Parameters
    ----------
    net : LinearisedNetwork

    Returns
    -------
    LinearisedNetwork
        Under half squared error its runs are those of ``net``: the loss is its own expansion.

    Raises
    ------
    ValueError
        If a loss is not convex in the outputs.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> from rmtstab.bridge.expansions import frozen
    >>> x, y = torch.eye(4), torch.tensor([1.0, -1.0, 1.0, -1.0])
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 1), torch.nn.Flatten(0))
    >>> net = bridge.linearise(model, bridge.logistic, (x[:3], y[:3]), (x[3:], y[3:]))
    >>> runs = [n.run(1.0, (1, 1), 0.9, 40, rng=0) for n in (net, frozen(net))]
    >>> runs[0].forget_loss.shape == runs[1].forget_loss.shape
    True
    """
    _checks.instance("net", net, LinearisedNetwork)
    losses: list[SetLoss | None] = []
    start = 0
    for loss in net.space.losses:
        if loss is None:
            losses.append(None)
            continue
        losses.append(FrozenSetLoss(loss, net.space.outputs[start : start + len(loss)]))
        start += len(loss)
    return _with(net, losses=tuple(losses))


def isotropic_move(
    net: LinearisedNetwork, rng: np.random.Generator | int
) -> tuple[FloatArray, Tensor]:
    """Draw a unit displacement, isotropic on the gradients' range, and its effect on the outputs.

    ``w − w* = Jᵀc`` with ``c = K^{-1/2} g / ‖g‖``, g normal on the range of ``K = JJᵀ``: other
    directions change no output to first order.

    Parameters
    ----------
    net : LinearisedNetwork
    rng : numpy.random.Generator or int

    Returns
    -------
    (ndarray, shape (n_parameters,); Tensor, shape (N, C))
        The displacement, and ``J (w − w*)`` at all samples.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from rmtstab import bridge
    >>> from rmtstab.bridge.expansions import isotropic_move
    >>> x, y = torch.eye(4), torch.tensor([1.0, -1.0, 1.0, -1.0])
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 1), torch.nn.Flatten(0))
    >>> net = bridge.linearise(model, bridge.logistic, (x[:3], y[:3]), (x[3:], y[3:]))
    >>> move, change = isotropic_move(net, 0)
    >>> round(float(np.linalg.norm(move)), 6), tuple(change.shape)
    (1.0, (4, 1))
    """
    _checks.instance("net", net, LinearisedNetwork)
    rng = _checks.generator("rng", rng)
    values, vectors = np.linalg.eigh(net.gram)
    inside = values > 1e-10 * values[-1]
    normal = rng.standard_normal(int(inside.sum()))
    c = vectors[:, inside] @ (normal / np.sqrt(values[inside])) / np.linalg.norm(normal)
    drawn = torch.as_tensor(c, dtype=net.space.gram.dtype, device=net.space.gram.device)
    change = (drawn @ net.space.gram.flatten(0, 1)).view(net.space.outputs.shape)
    at_start = net.weights(-c.reshape(-1, net.n_outputs))
    network = net.network
    assert network is not None  # net.weights needs it too
    move = torch.cat([(at_start[k] - w).flatten() for k, w in network.weights.items()])
    return move.cpu().double().numpy(), change


def started_at(net: LinearisedNetwork, change: Tensor) -> LinearisedNetwork:
    """Return a copy whose runs start at outputs ``f* + change``; skill is still judged against f*.

    Parameters
    ----------
    net : LinearisedNetwork
        Or what `frozen` made of it: its expansion stays at f*.
    change : Tensor, shape (N, C)

    Returns
    -------
    LinearisedNetwork
        Displacements of its runs count from the start.

    Raises
    ------
    ValueError
        If the change's shape does not fit.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> from rmtstab.bridge.expansions import isotropic_move, started_at
    >>> x, y = torch.eye(4), torch.tensor([1.0, -1.0, 1.0, -1.0])
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 1), torch.nn.Flatten(0))
    >>> net = bridge.linearise(model, bridge.logistic, (x[:3], y[:3]), (x[3:], y[3:]))
    >>> _, change = isotropic_move(net, 0)
    >>> run = started_at(net, 0.1 * change).run(1.0, (1, 1), 0.3, 4, rng=0)
    >>> float(run.displacement[0, 0])  # counted from the start
    0.0
    """
    _checks.instance("net", net, LinearisedNetwork)
    _checks.instance("change", change, Tensor)
    if change.shape != net.space.outputs.shape:
        raise ValueError(
            f"change must have the outputs' shape {tuple(net.space.outputs.shape)}, "
            f"got {tuple(change.shape)}"
        )
    _checks.array("change", change.cpu().numpy(), ndim=2)
    return _with(net, outputs=net.space.outputs + change)


def _with(net: LinearisedNetwork, **changes: object) -> LinearisedNetwork:
    other = copy.copy(net)
    other.space = replace(net.space, **changes)  # type: ignore[arg-type]
    return other
