"""The unlearning problem of the curvature at the weights where a network was linearised."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from rmtstab._results import FloatArray
from rmtstab.bridge.gram import apply_roots
from rmtstab.bridge.gram_rows import factor_rows
from rmtstab.bridge.sample_loss import SampleLoss
from rmtstab.bridge.samples import Samples
from rmtstab.unlearning.problem import UnlearningProblem


def frozen_problem(
    gram: FloatArray, sets: Iterable[tuple[SampleLoss, Samples, Tensor, Tensor]], n_retain: int
) -> UnlearningProblem:
    """Factors and per-sample gradients off the Gram matrix of the outputs' Jacobian.

    Parameters
    ----------
    gram : ndarray, shape (nC, nC)
        Of the retain and forget samples.
    sets : iterable of (SampleLoss, Samples, Tensor, Tensor)
        Loss, samples, outputs (n_s, C) and weights ``n ω_i`` (n_s,) of each set.
    n_retain : int

    Returns
    -------
    UnlearningProblem

    Raises
    ------
    ValueError
        If a loss is not convex in the outputs.
    """
    columns, width = [], 0
    for loss, part, outputs, weights in sets:
        if not loss.convex:
            raise ValueError(
                f"loss must be convex in the outputs for problem(), got {loss.name}; "
                "run() and diagnose() need no convexity"
            )
        roots = loss.roots(outputs, part.targets).dense() * weights.sqrt()[:, None, None]
        slopes = loss.gradients(outputs, part.targets) * weights[:, None]
        columns.append((roots, slopes))
        width = max(width, roots.shape[2])
    padded = torch.cat(
        [
            torch.cat([nn.functional.pad(r, (0, width - r.shape[2])), g[:, :, None]], dim=2)
            for r, g in columns
        ]
    )
    n, cut = len(padded), n_retain
    products = apply_roots(torch.as_tensor(gram), padded, padded)
    rows = factor_rows(products.numpy()).reshape(n, width + 1, -1)
    curved, pushed = rows[:, :width], rows[:, width]
    return UnlearningProblem.from_factors(
        curved[:cut], curved[cut:] if n > cut else (),
        gradients=(pushed[:cut], pushed[cut:] if n > cut else ()),
    )  # fmt: skip
