"""Chi variables, of which bidiagonal and band models are made."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmtstab._results import FloatArray


def chi(source: Any, degrees: FloatArray) -> FloatArray:
    """Draw chi variables; of 0 degrees, 0.

    Parameters
    ----------
    source : Generator or RandomState
    degrees : ndarray
        Degrees of freedom, at least 0.

    Returns
    -------
    ndarray, of the same shape, float64
    """
    return np.asarray(np.sqrt(2.0 * source.standard_gamma(0.5 * degrees)))
