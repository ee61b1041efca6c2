"""Noise with structure: spikes, correlated and heavy-tailed entries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray


@dataclass(frozen=True, init=False)
class SpikedMatrix:
    r"""A few directions of known strength in Gaussian noise.

    ``kind="covariance"``: data ``X`` of shape ``(p, n)`` whose columns have covariance
    :math:`I + \sum_k (\ell_k - 1)u_ku_k^\top`. ``"wigner"``: ``sum_k θ_k u_k u_k^T + H/√n``,
    `H` a real Gaussian matrix of size `n`. ``"rectangular"``: ``sum_k θ_k u_k v_k^T + Z/√n``, `Z`
    standard of shape ``(p, n)``. Directions are the first coordinates.

    Parameters
    ----------
    n : int
        Number of columns.
    spikes : array_like, shape (n_spikes,)
        Strengths: :math:`\ell_k > 0` for covariance, any :math:`\theta_k` else.
    p : int, optional
        Number of rows; `n` for ``"wigner"``.
    kind : {"covariance", "wigner", "rectangular"}
        What a spike is.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong kind or outside its range.

    See Also
    --------
    rmtstab.laws.Spiked : where the outliers of covariance spikes go.

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.ensembles import SpikedMatrix
    >>> X = SpikedMatrix(2000, [9.0], p=500).matrix(0)
    >>> float(round(np.linalg.eigvalsh(X @ X.T / 2000)[-1]))
    9.0
    """

    n: int
    spikes: tuple[float, ...]
    p: int
    kind: str

    def __init__(self, n: int, spikes: Any, p: int | None = None, kind: str = "covariance") -> None:
        _checks.choice("kind", kind, ("covariance", "wigner", "rectangular"))
        size = _checks.integer("n", n, low=1)
        rows = size if p is None else _checks.integer("p", p, low=1)
        if kind == "wigner" and rows != size:
            raise ValueError(f"p must be n={size} for kind 'wigner', got {rows}")
        values = _checks.array("spikes", spikes, ndim=1)
        if values.size > min(rows, size):
            raise ValueError(f"spikes must number at most min(n, p), got {values.size}")
        if kind == "covariance" and (values <= 0.0).any():
            raise ValueError(f"spikes must be > 0, got {float(values.min())!r}")
        for name, value in (("n", size), ("spikes", tuple(values.tolist())), ("p", rows)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "kind", kind)

    def matrix(self, rng: Any) -> FloatArray:
        """Draw one matrix.

        Parameters
        ----------
        rng : Generator, RandomState, SeedSequence or int
            Source of randomness.

        Returns
        -------
        ndarray, shape (p, n), float64
            The data for ``"covariance"``, the perturbed matrix else.
        """
        noise = _checks.random_source("rng", rng).standard_normal((self.p, self.n))
        spikes, count = np.array(self.spikes), len(self.spikes)
        if self.kind == "covariance":
            noise[:count] *= np.sqrt(spikes)[:, None]
            return np.asarray(noise)
        if self.kind == "wigner":
            noise = (noise + noise.T) / math.sqrt(2.0)
        noise /= math.sqrt(self.n)
        noise[np.arange(count), np.arange(count)] += spikes
        return np.asarray(noise)


def heavy_tailed_entries(rng: Any, shape: tuple[int, ...], degrees: float) -> FloatArray:
    """Draw independent Student entries of unit variance.

    Parameters
    ----------
    rng : Generator, RandomState, SeedSequence or int
        Source of randomness.
    shape : tuple of int
        Shape of the array.
    degrees : float
        Degrees of freedom, above 2; the fourth moment (and with it the edge's limit) is
        finite above 4.

    Returns
    -------
    ndarray, shape `shape`, float64

    Raises
    ------
    TypeError, ValueError
        If ``degrees`` is not a number above 2.

    Examples
    --------
    >>> from rmtstab.ensembles import heavy_tailed_entries
    >>> heavy_tailed_entries(0, (100, 200), degrees=5.0).shape
    (100, 200)
    """
    shape = _checks.integers("shape", shape)
    freedom = _checks.real("degrees", degrees, low=2.0, low_open=True)
    draw = _checks.random_source("rng", rng).standard_t(freedom, size=shape)
    return np.asarray(draw * math.sqrt((freedom - 2.0) / freedom))


def correlated_entries(
    rng: Any, shape: tuple[int, int], rows: float = 0.0, columns: float = 0.0
) -> FloatArray:
    r"""Draw Gaussian entries of unit variance, correlated along rows and columns.

    .. math:: E\,x_{ij}x_{kl} = r^{|i-k|}\,c^{|j-l|}

    Parameters
    ----------
    rng : Generator, RandomState, SeedSequence or int
        Source of randomness.
    shape : tuple of two ints
        Shape of the array.
    rows, columns : float
        `r` between neighbouring rows and `c` between neighbouring columns, in ``(-1, 1)``.

    Returns
    -------
    ndarray, shape `shape`, float64

    Raises
    ------
    TypeError, ValueError
        If a correlation is not a number in ``(-1, 1)``.

    Examples
    --------
    >>> from rmtstab.ensembles import correlated_entries
    >>> correlated_entries(0, (50, 80), columns=0.9).shape
    (50, 80)
    """
    from scipy.signal import lfilter

    shape = _checks.integers("shape", shape, 2)
    draw = np.asarray(_checks.random_source("rng", rng).standard_normal(shape))
    for axis, (name, value) in enumerate((("rows", rows), ("columns", columns))):
        r = _checks.real(name, value, low=-1.0, high=1.0, low_open=True, high_open=True)
        if r:  # a stationary autoregression of order 1
            draw = np.moveaxis(draw, axis, 0)
            draw[1:] *= math.sqrt(1.0 - r * r)
            draw = np.moveaxis(lfilter([1.0], [1.0, -r], draw, axis=0), 0, axis)
    return np.asarray(draw)
