"""Gram matrices of a network's Jacobian, without the Jacobian."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from rmtstab import _checks
from rmtstab.bridge.accumulation import accumulated
from rmtstab.bridge.collecting import Side
from rmtstab.bridge.derivatives import refuse_nonfinite
from rmtstab.bridge.independence import check_network
from rmtstab.bridge.models import computes_as_written
from rmtstab.bridge.network import Network, untouched
from rmtstab.bridge.recording import LayoutError, Trace, trace
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.schedule import MARGIN, BudgetError, available_memory, gram_bytes
from rmtstab.curvature.cnn import cnn_gram

ROUTES = ("auto", "layers", "jacobian", "closed form")
Route = Literal["auto", "layers", "jacobian", "closed form"]


def jacobian_gram(
    network: Network,
    samples: Samples,
    other: Samples | None = None,
    *,
    roots: Tensor | None = None,
    other_roots: Tensor | None = None,
    route: Route = "auto",
    memory_budget: float | None = None,
    progress: bool = False,
) -> Tensor:
    r"""Gram matrix ``K = J P Jᵀ`` of the outputs' Jacobian, or ``Rᵀ J P Jᵀ R`` with roots R.

    Accumulated over the weights: nothing of size n·C·d is held. Products are made in the
    network's precision and added up in float64.

    Parameters
    ----------
    network : Network
        P is its frozen preconditioner, 1 by default.
    samples : Samples
        The n samples of the rows.
    other : Samples, optional
        The n' samples of the columns; default the same, for a symmetric Gram.
    roots, other_roots : Tensor, shape (n, C, R) and (n', C, R'), optional
        Functions ``Σ_c roots[i, c, r] f_ic`` of each sample's outputs to differentiate
        instead of the outputs: roots of the output Hessian give the Gauss–Newton Gram,
        gradients of the loss the inner products of the per-sample gradients. Without
        ``other``, ``other_roots`` are further functions of the same samples.
    route : {"auto", "layers", "jacobian", "closed form"}, default "auto"
        Contraction layer by layer where layers are known, and Jacobians of blocks of weights
        for the rest; Jacobians throughout; or the two-layer ReLU CNN's formula.
    memory_budget : float, optional
        Bytes that the call may add to the process; default four fifths of what is free.
    progress : bool, default False
        Show a bar.

    Returns
    -------
    Tensor, shape (n·R, n'·R'), float64
        On the network's device; row i·R + r is function r of sample i.

    Raises
    ------
    ValueError
        If shapes do not fit, the route is not for this network, the memory budget is too
        small (the message says what would fit), or a derivative is not finite.

    See Also
    --------
    plan : routes, memory and time before anything runs.
    sketch : what fits when n·C is too large for any Gram matrix.

    Notes
    -----
    The three orders of a layer's contraction are derived in `rmtstab.bridge.contraction`.
    Outputs of a sample must not depend on other samples.

    References
    ----------
    Novak et al., arXiv:2206.08720, for contractions of the same kind; derived in docs/bridge_gram.

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.gram import jacobian_gram
    >>> from rmtstab.bridge.network import Network
    >>> from rmtstab.bridge.data_sets import read_samples
    >>> network = Network(torch.nn.Linear(3, 2, bias=False))
    >>> samples = read_samples("retain", (torch.eye(3)[:2], [0, 0]))
    >>> jacobian_gram(network, samples).diagonal()
    tensor([1., 1., 1., 1.], dtype=torch.float64)
    """
    _checks.choice("route", route, ROUTES)
    progress = _checks.flag("progress", progress)
    sides, scales = read_sides(network, samples, other, roots, other_roots)
    budget = read_budget(memory_budget, network)
    check_gram_fits(sides, network, budget)
    if route == "closed form" or (route == "auto" and has_closed_form(network)):
        total = _closed_form(network, sides)
    else:
        with untouched(network.model), network.differentiable():
            known = trace(network, sides[0].samples)
            if route == "jacobian":
                known = Trace({}, {}, network.names, known.activation_bytes)
            try:
                total = accumulated(network, known, sides, budget, progress)
            except LayoutError as error:
                if route == "layers":
                    raise ValueError(f"route must be 'jacobian' for this model: {error}") from None
                network.notes.append(f"Jacobians by automatic differentiation: {error}")
                known = Trace({}, {}, network.names, known.activation_bytes)
                total = accumulated(network, known, sides, budget, progress)
    for axis, scale in enumerate((scales[0], scales[-1])):
        if scale is not None:
            total *= scale[:, None] if axis == 0 else scale
    refuse_nonfinite(network, [("", samples), ("other", other)], total)
    return total


def apply_roots(gram: Tensor, roots: Tensor | None, other_roots: Tensor | None = None) -> Tensor:
    """Return ``Rᵀ K R'`` of a plain Gram K, so that one sweep gives both Grams.

    Parameters
    ----------
    gram : Tensor, shape (n·C, n'·C), float64
    roots, other_roots : Tensor, shape (n, C, R) and (n', C, R'), or None
        None leaves its side as it is. Pass the same roots twice for a symmetric Gram.

    Returns
    -------
    Tensor, shape (n·R, n'·R'), float64

    Examples
    --------
    >>> import torch
    >>> from rmtstab.bridge.gram import apply_roots
    >>> roots = torch.ones(1, 2, 1, dtype=torch.float64)
    >>> apply_roots(torch.eye(2, dtype=torch.float64), roots, roots)
    tensor([[2.]], dtype=torch.float64)
    """
    _checks.instance("gram", gram, Tensor)
    for columns in (roots, other_roots):
        if columns is not None and _checks.instance("roots", columns, Tensor).dim() != 3:
            raise ValueError(f"roots must have 3 axes, got shape {tuple(columns.shape)}")
    for columns in (roots, other_roots):  # each turn takes one side and transposes
        if columns is None:
            gram = gram.mT
            continue
        columns = columns.to(gram)
        n, width = columns.shape[:2]
        blocks_of = gram.reshape(n, width, -1)
        gram = (columns.mT @ blocks_of).reshape(n * columns.shape[2], -1).mT
    return gram.contiguous()


def read_sides(
    network: Network,
    samples: Samples,
    other: Samples | None = None,
    roots: Tensor | None = None,
    other_roots: Tensor | None = None,
) -> tuple[list[Side], list[Tensor | None]]:
    """Check samples and roots; return the sides, and the scales their roots were divided by.

    Roots of a saturated loss are tiny; scaled to 1 they lose nothing in float32.
    """
    _checks.instance("network", network, Network)
    for name, given in (("samples", samples), ("other", other)):
        if given is not None or name == "samples":
            _checks.instance(name, given, Samples)
    for name, root in (("roots", roots), ("other_roots", other_roots)):
        if root is not None:
            _checks.instance(name, root, Tensor)
    check_network(network, samples.to(network.device))
    pairs = [(samples, roots, "roots")]
    if other is not None or other_roots is not None:
        pairs.append((samples if other is None else other, other_roots, "other_roots"))
    sides: list[Side] = []
    scales: list[Tensor | None] = []
    for part, columns, name in pairs:
        if not len(part):
            raise ValueError(f"{'samples' if not sides else 'other'} must hold a sample, got none")
        part = part.to(network.device)
        if columns is None:
            sides.append(Side(part, None, network.n_outputs))
            scales.append(None)
            continue
        expected = len(part), network.n_outputs
        if columns.dim() != 3 or tuple(columns.shape[:2]) != expected:
            raise ValueError(
                f"{name} must have shape (n={expected[0]}, C={expected[1]}, R), "
                f"got {tuple(columns.shape)}"
            )
        columns = columns.detach().to(network.device, torch.float64)
        scale = columns.abs().amax((1, 2), keepdim=True)
        scale = torch.where(scale > 0, scale, 1.0)
        sides.append(Side(part, columns / scale, columns.shape[2]))
        scales.append(scale.flatten().repeat_interleave(columns.shape[2]))
    return sides, scales


def read_budget(memory_budget: float | None, network: Network) -> float:
    """Return the budget in bytes, by default four fifths of the free memory."""
    if memory_budget is None:
        return available_memory(network.device)
    return _checks.real("memory_budget", memory_budget, low=0.0, low_open=True)


def check_gram_fits(sides: Sequence[Side], network: Network, budget: float) -> None:
    """Refuse a Gram matrix that the budget cannot hold."""
    needed = gram_bytes(sides, network.dtype.itemsize) + MARGIN
    if needed > budget:
        rows, columns = sides[0].n_rows, sides[-1].n_rows
        raise BudgetError(
            f"memory_budget must hold the Gram matrix of {rows} x {columns} "
            f"({needed / 1e9:.2g} GB), got {budget / 1e9:.2g} GB; use bridge.sketch "
            "(reduction='sketch'; rows times size numbers) or fewer samples (max_samples)"
        )


def has_closed_form(network: Network) -> bool:
    """Whether the network is the two-layer ReLU CNN with all its filters moving, as float64."""
    return (
        computes_as_written(network.model)
        and network.output is None
        and network.preconditioner is None
        and network.dtype == torch.float64
    )


def _closed_form(network: Network, sides: Sequence[Side]) -> Tensor:
    if not has_closed_form(network):
        raise ValueError(
            "route must be 'auto', 'layers' or 'jacobian' for this network, got 'closed form', "
            "which is for TwoLayerReLUCNN in float64 without preconditioner"
        )
    patches = torch.cat([side.samples.inputs for side in sides]).cpu().numpy()
    weights = network.weights["weights"].cpu().numpy()
    n = len(sides[0])
    gram = torch.from_numpy(cnn_gram(weights, patches, [1.0] * len(patches)))
    gram = gram[:n, n:] if len(sides) > 1 else gram
    for axis, side in enumerate((sides[0], sides[-1])):
        if side.roots is not None:  # C = 1: roots (n, 1, R)
            rows = gram.movedim(axis, 0)
            rows = side.roots[:, 0, :, None].cpu() * rows[:, None]
            gram = rows.flatten(0, 1).movedim(0, axis)
    return gram.contiguous().to(network.device)
