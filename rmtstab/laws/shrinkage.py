"""Shrinkage of sample eigenvalues: optimal for a loss under spikes, or for any population."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab.laws.base import FloatArray, SpectralLaw, evaluate

Rule = Callable[[Any, Any, Any], Any]


def _at_least_one(value: Any) -> Any:
    return np.maximum(value, 1.0)


# Of a spike l, the squared cosine c of its eigenvector and s = 1 - c: the eigenvalue that
# minimises the loss between diag(l, 1) and its estimate in the plane of the two directions.
RULES: dict[str, Rule] = {
    # norm of A - B
    "frobenius": lambda l, c, s: l * c + s,
    "operator": lambda l, c, s: l + 0.0 * c,
    "nuclear": lambda l, c, s: _at_least_one(1.0 + (l - 1.0) * (1.0 - 2.0 * s)),
    # of inv(A) - inv(B)
    "frobenius_precision": lambda l, c, s: l / (c + l * s),
    "operator_precision": lambda l, c, s: l + 0.0 * c,
    "nuclear_precision": lambda l, c, s: _at_least_one(l / (c + (2.0 * l - 1.0) * s)),
    # of inv(A) B - I
    "frobenius_ratio": lambda l, c, s: (l * c + l * l * s) / (c + l * l * s),
    "nuclear_ratio": lambda l, c, s: _at_least_one(l / (c + l * l * s)),
    # of inv(B) A - I
    "frobenius_inverse_ratio": lambda l, c, s: (l * l * c + s) / (l * c + s),
    "nuclear_inverse_ratio": lambda l, c, s: _at_least_one((l * l * c + s) / l),
    # of A^(-1/2) B A^(-1/2) - I
    "frobenius_whitened": lambda l, c, s: 1.0 + (l - 1.0) * c / (c + l * s) ** 2,
    "nuclear_whitened": lambda l, c, s: _at_least_one(
        1.0 + (l - 1.0) * (c - l * s) / (c + l * s) ** 2
    ),
    # statistical distances of Gaussians
    "stein": lambda l, c, s: l / (c + l * s),
    "entropy": lambda l, c, s: l * c + s,
    "divergence": lambda l, c, s: np.sqrt((l * l * c + l * s) / (c + l * s)),
    "frechet": lambda l, c, s: (np.sqrt(l) * c + s) ** 2,
    "affinity": lambda l, c, s: ((1.0 + c) * l + s) / (1.0 + c + l * s),
}


def shrink_spikes(eigenvalues: Any, aspect_ratio: float, scale: float, loss: str) -> Any:
    """Shrink eigenvalues above a Marchenko–Pastur bulk; the others become `scale`."""
    _checks.choice("loss", loss, RULES)
    values = _checks.array("eigenvalues", eigenvalues)
    _checks.ratio("eigenvalues", values, "scale", scale)
    root = math.sqrt(aspect_ratio)

    def shrink(given: FloatArray) -> FloatArray:
        y = given / scale
        above = y > (1.0 + root) ** 2
        y = np.where(above, y, (2.0 + root) ** 2)
        m = 0.5 * (y - 1.0 - aspect_ratio + np.sqrt((y - (1 + root) ** 2) * (y - (1 - root) ** 2)))
        c = (m - root) * (m + root) / (m * (m + aspect_ratio))
        return np.where(above, scale * RULES[loss](1.0 + m, c, 1.0 - c), scale)

    return evaluate(shrink, values)


def shrink_rotation(law: SpectralLaw, aspect_ratio: float, eigenvalues: Any, zero: float) -> Any:
    r"""Ledoit and Péché's :math:`x/|1-\gamma-\gamma x m(x)|^2`; `zero` is its value at 0."""
    values = _checks.array("eigenvalues", eigenvalues)
    if (values < 0.0).any():
        raise ValueError(f"eigenvalues must be >= 0, got {float(values.min())!r}")

    def shrink(x: FloatArray) -> FloatArray:
        positive = x > 1e-12 * law.support()[1]
        y = np.where(positive, x, law.support()[1])
        m = law.stieltjes(y.astype(complex))
        return np.where(positive, y / np.abs(1.0 - aspect_ratio - aspect_ratio * y * m) ** 2, zero)

    return evaluate(shrink, values)
