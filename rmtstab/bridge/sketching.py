"""Random projections of a network's Jacobian: what fits when no Gram matrix does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray
from rmtstab.bridge.collecting import Side, collect
from rmtstab.bridge.derivatives import refuse_nonfinite
from rmtstab.bridge.gram import read_budget, read_sides
from rmtstab.bridge.jacobian_rows import jacobian_rows
from rmtstab.bridge.network import Network, untouched
from rmtstab.bridge.panels import Scratch, preconditioned, row_panels
from rmtstab.bridge.recording import Trace, trace
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.schedule import CHUNK, MARGIN

PANEL = 100_000  # columns projected at a time


@dataclass(frozen=True, repr=False)
class Sketch(Record):
    r"""Projected factors ``F = J S`` with ``E[S Sᵀ] = I``, so that ``E[F Fᵀ] = J Jᵀ``.

    Attributes
    ----------
    factors : Tensor, shape (n, R, size), float64
    size : int
        Numbers a row is projected to.
    """

    factors: Tensor
    size: int

    def gram(self) -> Tensor:
        """Unbiased estimate ``F Fᵀ`` of the Gram matrix, (n·R, n·R), float64."""
        rows = self.factors.flatten(0, 1)
        return rows @ rows.mT

    def standard_error(self) -> FloatArray:
        r"""Bound on the standard error of each entry of `gram`.

        ``Var(F Fᵀ)_ij ≤ (K_ii K_jj + K_ij²)/size`` for every Jacobian; K is replaced by its
        estimate.

        Returns
        -------
        ndarray, shape (n·R, n·R), float64
        """
        gram = self.gram()
        norms = gram.diagonal()
        bound: FloatArray = ((norms[:, None] * norms + gram**2) / self.size).sqrt().cpu().numpy()
        return bound

    @property
    def relative_error(self) -> float:
        """Standard error of ``K_ij`` relative to ``√(K_ii K_jj)``: at most ``√(2/size)``."""
        return math.sqrt(2.0 / self.size)


def sketch(
    network: Network,
    samples: Samples,
    size: int,
    *,
    roots: Tensor | None = None,
    seed: int = 0,
    memory_budget: float | None = None,
    progress: bool = False,
) -> Sketch:
    r"""Project each row of the Jacobian ``J P^{1/2}`` on ``size`` numbers, in one sweep.

    Each weight is added, with a random sign, to one of ``size`` random buckets; neither the
    Jacobian nor a Gram matrix is held. Sketches of two sets with the same seed and size share
    their projection: ``F F'ᵀ`` estimates the cross-Gram.

    Parameters
    ----------
    network : Network
    samples : Samples
    size : int
        Numbers kept a row; the error falls as ``1/√size``.
    roots : Tensor, shape (n, C, R), optional
        Functions of each sample's outputs, as in `jacobian_gram`.
    seed : int, default 0
        Seed of the projection.
    memory_budget : float, optional
        Bytes that the call may add to the process; default four fifths of what is free.
    progress : bool, default False

    Returns
    -------
    Sketch

    Raises
    ------
    ValueError
        If the projected factors do not fit the budget, shapes do not fit, or a derivative is
        not finite.

    References
    ----------
    Charikar, Chen and Farach-Colton (2002), Theorem 1 (count sketch); Weinberger et al.,
    arXiv:0902.2206, Lemma 2 for the variance of inner products.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> network = bridge.Network(bridge.convolutional_net())
    >>> samples = bridge.read_samples("samples", (torch.ones(2, 1, 8, 8), [0, 1]))
    >>> bridge.sketch(network, samples, 200).factors.shape
    torch.Size([2, 10, 200])
    """
    size = _checks.integer("size", size, low=1)
    progress = _checks.flag("progress", progress)
    (side,), (scale,) = read_sides(network, samples, roots=roots)
    budget = read_budget(memory_budget, network)
    needed = kept_bytes(network, side.n_rows, size)
    if needed > budget:
        raise ValueError(
            f"memory_budget must hold {side.n_rows} x {size} projected factors "
            f"({needed / 1e9:.2g} GB), got {budget / 1e9:.2g} GB; lower size or the samples"
        )
    generator = torch.Generator().manual_seed(_checks.seed("seed", seed))
    buckets = torch.randint(size, (network.n_parameters,), generator=generator)
    signs = torch.randint(2, (network.n_parameters,), generator=generator) * 2 - 1
    places = network.unflatten(buckets.to(network.device))
    turns = network.unflatten(signs.to(network.device, network.dtype))
    factors = torch.zeros(
        (len(side), side.n_functions, size), dtype=torch.float64, device=network.device
    )
    with untouched(network.model), network.differentiable():
        known = trace(network, side.samples)
        scratch = Scratch()
        chunk_size = _chunk_size(network, known, side, budget - needed)
        small = [name for name in known.uses if network.weights[name].numel() <= PANEL]
        large = [name for name in known.uses if name not in small]
        for at, chunk in tqdm(
            side.chunks(chunk_size), desc="sketch", disable=None if progress else True
        ):
            target = factors[at].flatten(0, 1)
            found = collect(network, known, chunk, small, large, len(chunk))
            for name in large:
                start = 0
                for (panel,) in row_panels(network, known, name, [found], PANEL, [scratch]):
                    part = slice(start, start + panel.shape[1])
                    start = part.stop
                    _project(target, panel, places[name], turns[name], part)
            rows = found.jacobians | jacobian_rows(network, known.rest, chunk, len(chunk))
            for name, values in rows.items():
                panel = preconditioned(network, name, values.flatten(0, 1))
                _project(target, panel, places[name], turns[name], slice(None))
    if scale is not None:
        factors *= scale.view(len(side), side.n_functions, 1)
    refuse_nonfinite(network, [("", samples)], factors)
    return Sketch(factors, size)


def _project(target: Tensor, panel: Tensor, places: Tensor, turns: Tensor, part: slice) -> None:
    """Add columns to their buckets, with their signs."""
    signed = panel * turns.flatten()[part]
    index = places.flatten()[part].expand(len(signed), -1)
    target += torch.zeros_like(target, dtype=signed.dtype).scatter_add_(1, index, signed)


def sketch_bytes(network: Network, known: Trace, side: Side, size: int, budget: float) -> float:
    """Bytes that a sketch adds to the process: as many samples at a time as a budget holds."""
    kept, a_sample = kept_bytes(network, side.n_rows, size), _sample_bytes(network, known, side)
    return kept + a_sample * min(len(side), _chunk_size(network, known, side, budget - kept))


def kept_bytes(network: Network, n_rows: int, size: int) -> float:
    """Bytes of the projected factors and of the projection."""
    return 8.0 * n_rows * size + 24.0 * network.n_parameters + MARGIN


def _sample_bytes(network: Network, known: Trace, side: Side) -> float:
    """Slopes, activations and Jacobians of one sample."""
    slopes = sum(call.channels * call.positions for call in known.calls.values())
    small = sum(min(network.weights[name].numel(), PANEL) for name in known.uses)
    rest = sum(network.weights[name].numel() for name in known.rest)
    a_row = (slopes + small + 3 * PANEL + 3 * rest) * network.dtype.itemsize
    return side.n_functions * a_row + 3.0 * known.activation_bytes


def _chunk_size(network: Network, known: Trace, side: Side, free: float) -> int:
    return int(min(CHUNK, max(1.0, free // _sample_bytes(network, known, side))))
