"""Curvature of each sample by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from rmtstab._record import Record
from rmtstab._results import FloatArray
from rmtstab.bridge.gram import jacobian_gram
from rmtstab.bridge.reading import read

CHUNK = 16  # samples whose Gram is made together; only its diagonal blocks are used


@dataclass(frozen=True, repr=False)
class SampleSharpness(Record):
    """Gauss–Newton curvature ``H_i = n ω_i J_iᵀ ∇²ℓ_i J_i`` of each sample.

    Attributes
    ----------
    largest : ndarray, shape (n,), float64
        λ_max(H_i).
    trace : ndarray, shape (n,), float64
        tr H_i.
    """

    dimensions: ClassVar = {
        "largest": ("sample",),
        "trace": ("sample",),
    }

    largest: FloatArray
    trace: FloatArray


def sample_sharpness(
    model: nn.Module, loss: Any, data: Any, *, parameters: Any = None, **options: Any
) -> SampleSharpness:
    """Largest eigenvalue and trace of each sample's Gauss–Newton matrix.

    Parameters
    ----------
    model, loss, data, parameters, **options
        As for `gauss_newton_operator`.

    Returns
    -------
    SampleSharpness

    Raises
    ------
    TypeError, ValueError
        As for `rmtstab.bridge.problem`.

    Examples
    --------
    >>> import torch
    >>> from rmtstab import bridge
    >>> model = torch.nn.Linear(2, 1, bias=False, dtype=torch.float64)
    >>> x = torch.diag(torch.tensor([1.0, 2.0], dtype=torch.float64))
    >>> bridge.sample_sharpness(model, bridge.half_squared_error, (x, x[:, :1])).largest
    array([1., 4.])
    """
    reading = read(model, loss, data, parameters=parameters, names=("data", "data"), **options)
    samples, batch_loss = reading.samples[0], reading.losses[0]
    largest, traces = [], []
    start = 0
    for chunk in samples.chunks(CHUNK):
        at = slice(start, start + len(chunk))
        start = at.stop
        roots = batch_loss.roots(reading.outputs[0][at], chunk.targets).dense()
        roots = roots * reading.weights[0][at].sqrt()[:, None, None]
        n, width = len(chunk), roots.shape[2]
        gram = jacobian_gram(reading.network, chunk, roots=roots).view(n, width, n, width)
        blocks = gram.diagonal(dim1=0, dim2=2).permute(2, 0, 1)
        largest.append(torch.linalg.eigvalsh(blocks)[:, -1])
        traces.append(blocks.diagonal(dim1=1, dim2=2).sum(1))
    top, total = (torch.cat(parts).cpu().numpy() for parts in (largest, traces))
    return SampleSharpness(np.maximum(top, 0.0), total)
