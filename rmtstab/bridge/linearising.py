"""Linearise a network: one pass over the data, after which runs need it no more."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from rmtstab import _checks
from rmtstab.bridge.fingerprint import fingerprint
from rmtstab.bridge.linearised import LinearisedNetwork
from rmtstab.bridge.reading import read, read_held_out
from rmtstab.bridge.space_reading import evaluating, read_space


def linearise(
    model: nn.Module,
    loss: Any,
    retain: Any,
    forget: Any = None,
    test: Any = None,
    *,
    forget_loss: Any = None,
    parameters: Any = None,
    output: Any = None,
    preconditioner: Any = None,
    device: torch.device | str | None = None,
    max_samples: int | None = None,
    seed: int = 0,
    memory_budget: float | None = None,
    progress: bool = False,
    passes: int = 0,
) -> LinearisedNetwork:
    r"""Read what function-space dynamics need off a network, in one pass over the data.

    Parameters
    ----------
    model : torch.nn.Module
        The trained network; read in eval mode, left as it was.
    loss : callable
        ``loss(outputs, targets)`` → scalar; as for `rmtstab.bridge.problem`.
    retain, forget, test : pair of tensors, Dataset or DataLoader
        ``forget`` and ``test`` may be None.
    forget_loss : callable, optional
        What ascent raises on the forget set; any differentiable loss, convex or not.
        Default ``loss``. To descend on a loss there (NPO, KL to a reference), give its
        negative.
    parameters, output, preconditioner, device, max_samples, seed
        As for `rmtstab.bridge.problem`; the preconditioner is held as it is.
    memory_budget : float, optional
        Bytes for the Gram; what cannot fit is refused before anything runs.
    progress : bool, default False
        Print memory and time of the plan before it starts, and show a bar.
    passes : int, default 0
        Further passes that `LinearisedNetwork.refine` will make: what would not fit beside
        theirs is refused before the first.

    Returns
    -------
    LinearisedNetwork

    Raises
    ------
    TypeError, ValueError
        As `rmtstab.bridge.problem`, save for losses that are not convex.

    See Also
    --------
    rmtstab.bridge.diagnose : the answer in words.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> x = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    >>> y = torch.arange(12) % 3
    >>> bridge.linearise(torch.nn.Linear(4, 3), torch.nn.CrossEntropyLoss(),
    ...                  (x[:8], y[:8]), (x[8:], y[8:]))
    LinearisedNetwork(n_retain=8, n_forget=4, n_test=0, outputs=3)
    """
    progress = _checks.flag("progress", progress)
    passes = _checks.integer("passes", passes, low=0)
    with evaluating(model):
        reading = read(
            model, loss, retain, forget, forget_loss=forget_loss, parameters=parameters,
            output=output, preconditioner=preconditioner, device=device,
            max_samples=max_samples, seed=seed, check_deterministic=None,
        )  # fmt: skip
        network = reading.network
        held_out, found = read_held_out(reading, test, max_samples=max_samples, seed=seed)
        samples = (*reading.samples, held_out)
        losses = (*reading.losses, None if held_out is None else reading.losses[0])
        space = read_space(network, samples, losses, memory_budget, progress, passes)
    return LinearisedNetwork(
        space, samples, losses, network=network, output_shape=network.output_shape or (),
        fingerprint=fingerprint(model),
        notes=tuple(dict.fromkeys((*reading.notes, *found, *network.notes))),
    )  # fmt: skip
