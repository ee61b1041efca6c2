"""Derivatives that are not finite where outputs are: refused, with the sample and the weight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from rmtstab.bridge.network import Network
from rmtstab.bridge.samples import Samples
from rmtstab.bridge.untouched import untouched

CHUNK = 64  # samples looked at together
ROWS = 256  # of a matrix looked at together: no second matrix of flags


Sets = Sequence[tuple[str, Samples | None]]


class DerivativeError(ValueError):
    """A Jacobian, or what is made of one, is not finite."""


def refuse_nonfinite(network: Network, sets: Sets, found: Tensor) -> None:
    """Refuse what was made of derivatives where it is not finite.

    Parameters
    ----------
    network : Network
    sets : sequence of (str, Samples or None)
        That it was made of, and what messages call them.
    found : Tensor

    Raises
    ------
    DerivativeError
        Naming sample and weight.
    """
    if not all(bool(rows.isfinite().all()) for rows in torch.split(found, ROWS)):
        raise DerivativeError(_words(network, sets))


@contextmanager
def naming(network: Network, sets: Sets) -> Iterator[None]:
    """Say in which of these sets a derivative was not finite.

    Parameters
    ----------
    network, sets
        As for `refuse_nonfinite`.
    """
    try:
        yield
    except DerivativeError:
        raise DerivativeError(_words(network, sets)) from None


def _words(network: Network, sets: Sets) -> str:
    """What is wrong with the derivatives, in one line."""
    for name, samples in sets:
        for chunk in () if samples is None else samples.to(network.device).chunks(CHUNK):
            if not _wrong(network, chunk):
                continue
            for sample in chunk.chunks(1):
                wrong = _wrong(network, sample)
                if wrong:
                    more = f" and {len(wrong) - 1} more weights" if len(wrong) > 1 else ""
                    place = f"{name} sample {int(sample.indices[0])}".lstrip()
                    return (
                        f"model must have finite derivatives, got NaN or infinity in {wrong[0]!r}"
                        f"{more} at {place}, where its outputs are finite: a square root, norm or "
                        "logarithm at 0? add a small number inside it"
                    )
    return (
        "model must have derivatives whose products and second derivatives are finite, got NaN or "
        f"infinity in {network.dtype} though the first are: use model.double(), or smooth what has "
        "no second derivative"
    )


def _wrong(network: Network, samples: Samples) -> list[str]:
    """Weights whose gradient of the summed outputs is not finite."""
    leaves = {name: weight.detach().requires_grad_() for name, weight in network.weights.items()}
    with torch.enable_grad(), untouched(network.model), network.differentiable():
        total = network.apply(leaves, samples.inputs).sum()
        slopes = torch.autograd.grad(total, list(leaves.values()), materialize_grads=True)
    return [name for name, s in zip(leaves, slopes, strict=True) if not bool(s.isfinite().all())]
