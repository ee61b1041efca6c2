"""Which singular values to keep, and what to make of them: thresholds and shrinkers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab.laws.base import FloatArray, evaluate
from rmtstab.laws.marchenko_pastur import MarchenkoPastur


def optimal_threshold(aspect_ratio: float, noise: float | None = None, kind: str = "hard") -> float:
    r"""Gavish and Donoho's threshold for singular values of a noisy low-rank matrix.

    For ``Y = signal + noise * Z``, `Y` of shape ``(n_features, n_samples)``, `Z` standardised:
    keep the singular values above :math:`\lambda(\gamma)\,\sigma\sqrt{n_{samples}}`,

    .. math:: \lambda(\gamma) = \sqrt{2(\gamma+1) + \frac{8\gamma}{\gamma+1+
        \sqrt{\gamma^2+14\gamma+1}}}\ \text{(hard)}, \qquad 1 + \sqrt\gamma\ \text{(soft)}.

    Parameters
    ----------
    aspect_ratio : float
        :math:`\gamma` = n_features / n_samples, in ``(0, inf)``.
    noise : float, optional
        :math:`\sigma`, the standard deviation of the noise. Unknown when not given.
    kind : {"hard", "soft"}
        What is done with the singular values above: kept, or moved down by the threshold.

    Returns
    -------
    float
        With `noise`: :math:`\lambda(\gamma)\sigma`, to be multiplied by
        ``sqrt(n_samples)`` (a threshold for the singular values of ``Y / sqrt(n_samples)``
        as it stands). Without: the multiple :math:`\omega(\gamma)` of the median of the
        ``min(Y.shape)`` singular values of `Y` that is the threshold.

    Raises
    ------
    TypeError, ValueError
        If an argument is outside its range.

    Notes
    -----
    Optimal in mean square, in the limit of large matrices of fixed rank; the hard
    threshold loses at most a factor of 3 (in a square, white-noise setting 4/√3)
    to any shrinker. Where the rank is large the median is not that of the noise: see
    `MarchenkoPastur.fit`.

    References
    ----------
    M. Gavish and D. L. Donoho, IEEE Trans. Inform. Theory 60 (2014), 5040, eqs. (3)-(11);
    D. L. Donoho and M. Gavish, Ann. Statist. 42 (2014), 2413 (soft).

    See Also
    --------
    shrink_singular_values : better than any threshold.

    Examples
    --------
    >>> from rmtstab.laws import optimal_threshold
    >>> round(optimal_threshold(1.0, noise=1.0), 6), round(optimal_threshold(1.0), 6)
    (2.309401, 2.858362)
    """
    gamma = _checks.real("aspect_ratio", aspect_ratio, low=0.0, low_open=True)
    _checks.choice("kind", kind, ("hard", "soft"))
    small = min(gamma, 1.0 / gamma)
    if kind == "soft":
        level = 1.0 + math.sqrt(small)
    else:
        root = math.sqrt(small * small + 14.0 * small + 1.0)
        level = math.sqrt(2.0 * (small + 1.0) + 8.0 * small / (small + 1.0 + root))
    if noise is None:
        return level / math.sqrt(MarchenkoPastur(small).ppf(0.5))
    sigma = _checks.real("noise", noise, low=0.0, low_open=True)
    return level * sigma * math.sqrt(max(gamma, 1.0))


def shrink_singular_values(
    singular_values: Any, aspect_ratio: float, noise: float = 1.0, loss: str = "frobenius"
) -> Any:
    r"""Shrink singular values of ``signal + noise * Z / sqrt(n_samples)`` optimally.

    With :math:`y` in units of the noise, :math:`\gamma` the aspect ratio and
    :math:`\theta^2 = \tfrac12\big(y^2-1-\gamma+\sqrt{(y^2-1-\gamma)^2-4\gamma}\big)`,

    .. math:: \eta_F = \sqrt{(y^2-\gamma-1)^2-4\gamma}\,/\,y, \quad \eta_{op} = \theta, \quad
        \eta_* = (\theta^4-\gamma-\sqrt\gamma\,\theta y)_+/(\theta^2y),

    and 0 for :math:`y \le 1 + \sqrt\gamma`.

    Parameters
    ----------
    singular_values : array_like of real numbers, any shape
        Of the matrix divided by ``sqrt(n_samples)``; at least 0.
    aspect_ratio : float
        :math:`\gamma` = n_features / n_samples.
    noise : float
        Standard deviation :math:`\sigma` of the noise.
    loss : {"frobenius", "operator", "nuclear"}
        Norm of the error that is least in the limit (``"operator"``: for square matrices; it
        undoes the noise's inflation whatever the shape).

    Returns
    -------
    float or ndarray, shape of `singular_values`, float64

    Raises
    ------
    TypeError, ValueError
        If an argument is outside its range.

    References
    ----------
    M. Gavish and D. L. Donoho, IEEE Trans. Inform. Theory 63 (2017), 2137, eqs. (7)-(9).

    Examples
    --------
    >>> from rmtstab.laws import shrink_singular_values
    >>> shrink_singular_values([1.5, 2.5, 4.0], aspect_ratio=1.0).round(6).tolist()
    [0.0, 1.5, 3.464102]
    """
    gamma = _checks.real("aspect_ratio", aspect_ratio, low=0.0, low_open=True)
    sigma = _checks.real("noise", noise, low=0.0, low_open=True)
    _checks.choice("loss", loss, ("frobenius", "operator", "nuclear"))
    values = _checks.array("singular_values", singular_values)
    if (values < 0.0).any():
        raise ValueError(f"singular_values must be >= 0, got {float(values.min())!r}")
    _checks.ratio("singular_values", values, "noise", sigma)
    root = math.sqrt(gamma)

    def shrink(given: FloatArray) -> FloatArray:
        y = given / sigma
        above = y > 1.0 + root
        y = np.where(above, y, 2.0 + root)
        # (y² − (1+√γ)²)(y² − (1−√γ)²), factored: nothing cancels at the edge
        product = (y - 1.0 - root) * (y + 1.0 + root) * (y - 1.0 + root) * (y + 1.0 - root)
        gap = np.sqrt(product)
        strength = 0.5 * (y * y - 1.0 - gamma + gap)
        if loss == "frobenius":
            result = gap / y
        elif loss == "operator":
            result = np.sqrt(strength)
        else:
            rest = strength**2 - gamma - root * np.sqrt(strength) * y
            result = np.maximum(rest, 0.0) / (strength * y)
        return sigma * np.where(above, result, 0.0)

    return evaluate(shrink, values)
