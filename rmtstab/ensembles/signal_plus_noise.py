"""Signal-plus-noise images: one patch carries the class, the other only noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rmtstab import _checks
from rmtstab._results import FloatArray


@dataclass(frozen=True)
class SignalPlusNoise:
    r"""Two-patch data ``x = (yμ, ξ)`` with ``ξ ~ N(0, σ_p²(I − μμᵀ/‖μ‖²))``.

    The signal-to-noise ratio is ``snr = ‖μ‖/(σ_p √dim)``; μ lies along the
    first coordinate, and the noise is orthogonal to it. ``snr = 0`` is the
    memorisation limit: the signal patch is zero and only noise tells samples
    apart. Labels ±1 are balanced (up to one) in random order.

    Parameters
    ----------
    n : int
        Number of samples, at least 2.
    dim : int
        Dimension of a patch, at least 2.
    snr : float
        Signal-to-noise ratio, ≥ 0 (dimensionless).
    noise : float, default 1.0
        Standard deviation σ_p of a noise coordinate, > 0.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong kind or outside its range.

    References
    ----------
    Kou, Chen, Chen, Gu, *Benign overfitting in two-layer ReLU convolutional
    neural networks*, arXiv:2303.04145, Definition 1.1 (labels are Rademacher
    there, balanced here; the order of the patches is immaterial to a CNN that
    sums over them).

    Examples
    --------
    >>> import numpy as np
    >>> from rmtstab.ensembles import SignalPlusNoise
    >>> patches, labels = SignalPlusNoise(6, 50, snr=0.5).sample(np.random.default_rng(0))
    >>> patches.shape, labels.shape, float(labels.sum())
    ((6, 2, 50), (6,), 0.0)
    >>> bool(np.allclose(patches[:, 0, 0], labels * 0.5 * np.sqrt(50)))
    True
    """

    n: int
    dim: int
    snr: float
    noise: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", _checks.integer("n", self.n, low=2))
        object.__setattr__(self, "dim", _checks.integer("dim", self.dim, low=2))
        object.__setattr__(self, "snr", _checks.real("snr", self.snr, low=0.0))
        noise = _checks.real("noise", self.noise, low=0.0, low_open=True)
        object.__setattr__(self, "noise", noise)

    @property
    def signal_norm(self) -> float:
        """``‖μ‖ = snr · σ_p · √dim``, in the units of a patch coordinate times √dim."""
        return self.snr * self.noise * math.sqrt(self.dim)

    def sample(self, rng: np.random.Generator | int) -> tuple[FloatArray, FloatArray]:
        """Draw a data set.

        Parameters
        ----------
        rng : numpy.random.Generator or int
            Source of randomness, or a seed for one.

        Returns
        -------
        patches : ndarray, shape (n, 2, dim), float64
            Signal patch first.
        labels : ndarray, shape (n,), float64
            ±1.
        """
        rng = _checks.generator("rng", rng)
        labels = rng.permutation(np.where(np.arange(self.n) % 2, 1.0, -1.0))
        patches = np.zeros((self.n, 2, self.dim))
        patches[:, 0, 0] = labels * self.signal_norm
        patches[:, 1, 1:] = self.noise * rng.standard_normal((self.n, self.dim - 1))
        return patches, labels
