"""Fixed-size noise of samples that are nearly alike: centred before it is summed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rmtstab._results import FloatArray
from rmtstab.dynamics.certificate import EPS
from rmtstab.dynamics.second_moment import NoiseMap, SecondMoment
from rmtstab.dynamics.update import Update

ENTRIES = 4_000_000  # of all centred Hessians, up to which they are formed
SHOWS = 1e-11  # of the mean's ρ: rounding of fixed-size noise beyond which it is centred


def noise(
    update: Update, active: bool = True, extra: int = 0
) -> tuple[NoiseMap | CentredNoise, float]:
    """Noise map in D's eigenbasis, centred first where the rounding of its sum would show.

    Parameters
    ----------
    update : Update
    active, extra
        As for `Update.noise`.

    Returns
    -------
    noise : NoiseMap or CentredNoise
    rounding : float
        Absolute, of ``⟨M, η²N(M)⟩`` with ‖M‖ = 1.
    """
    rounding = update.roundings[1]
    top = float(np.square(update.mean_multipliers).max(initial=0.0))
    if not (rounding > SHOWS * top and CentredNoise.affordable(update)):
        return update.noise(active, extra), rounding
    found = CentredNoise.build(update, active, extra)
    side = math.sqrt(found.matrices.shape[1])
    return found, 4.0 * EPS * side * update.step_size**2 * found.products


def second_moment(
    update: Update, active: bool = True, extra: int = 0
) -> tuple[SecondMoment, float]:
    """Φ, its noise centred first where the rounding would show.

    Parameters
    ----------
    update : Update
        Without momentum.
    active, extra
        As for `Update.noise`.

    Returns
    -------
    phi : SecondMoment
    rounding : float
        Absolute, of ``⟨M, Φ(M)⟩`` with ‖M‖ = 1.
    """
    found, rounding = noise(update, active, extra)
    basis = update.basis.padded(extra)
    mix = basis.mix[: basis.n_active] if active else basis.mix
    phi = SecondMoment.of(found, mix, update.multipliers(mix), update.step_size**2)
    return phi, update.roundings[0] + rounding


@dataclass(frozen=True)
class CentredNoise:
    """``N(M) = Σ_i w_i B_i M B_i`` with ``B_i = H_i − H_s`` formed sample by sample.

    `NoiseMap` subtracts the means' term from the sum, which loses what alike samples leave.

    Attributes
    ----------
    matrices : ndarray, shape (n, r, r)
        B_i in D's eigenbasis.
    weights : ndarray, shape (n,)
        ``a_s² c_s`` of each sample.
    uncentred : NoiseMap
        ``Σ_i w_i H_i M H_i``.
    """

    matrices: FloatArray
    weights: FloatArray
    uncentred: NoiseMap

    shift = 0.0  # no part of the noise is left to an elementwise term

    @staticmethod
    def affordable(update: Update) -> bool:
        """Whether the scheme centres its noise, and the matrices are few and small enough.

        Parameters
        ----------
        update : Update

        Returns
        -------
        bool
        """
        return update.scheme.fixed_size and sum(update.sizes) * update.basis.n_active**2 <= ENTRIES

    @classmethod
    def build(cls, update: Update, active: bool = True, extra: int = 0) -> CentredNoise:
        """Centre the Hessians of the sets with weight.

        Parameters
        ----------
        update : Update
        active, extra
            As for `Update.noise`.

        Returns
        -------
        CentredNoise
        """
        basis, offsets = update.basis.padded(extra), update.curvatures.factors.offsets
        rows = basis.rows[:, : basis.n_active] if active else basis.rows
        parts, weights, first = [], [], 0
        for a, n, batch in zip(update.weights, update.sizes, update.batch_size, strict=True):
            if a and n:
                blocks = np.split(rows, offsets[first + 1 : first + n])
                blocks[0] = blocks[0][offsets[first] :]
                blocks[-1] = blocks[-1][: offsets[first + n] - offsets[first + n - 1]]
                hessians = np.stack([block.T @ block for block in blocks])
                parts.append(hessians - hessians.mean(axis=0))
                weights.append(np.full(n, a * a * update.scheme.coefficients(n, batch)[0]))
            first += n
        return cls(
            np.concatenate(parts), np.concatenate(weights), update.noise(active, extra).summed()
        )

    @property
    def products(self) -> float:
        """``Σ w_i ‖B_i‖(‖B_i‖ + 2‖H‖)``, ‖H‖ the largest: what rounding of N is relative to."""
        sizes = np.linalg.norm(self.matrices, axis=(1, 2))
        rows = self.uncentred.rows
        width = int(np.diff(self.uncentred.offsets).max(initial=0))
        largest = width * float(np.einsum("ik,ik->i", rows, rows).max(initial=0.0))
        return float(self.weights @ (sizes * (sizes + 2.0 * largest)))

    def apply(self, m: FloatArray) -> FloatArray:
        """``N(M)``.

        Parameters
        ----------
        m : ndarray, shape (r, r)

        Returns
        -------
        ndarray, shape (r, r), float64
        """
        moved = self.matrices @ m
        moved *= self.weights[:, None, None]
        r = len(m)
        # Σ_i (w_i B_i M) B_i as one product: B_i is symmetric
        result: FloatArray = moved.transpose(1, 0, 2).reshape(r, -1) @ self.matrices.reshape(-1, r)
        return result

    def apply_symmetric(self, m: FloatArray) -> FloatArray:
        """``N(M)`` of a symmetric M, symmetric to the last digit.

        Parameters
        ----------
        m : ndarray, shape (r, r)

        Returns
        -------
        ndarray, shape (r, r), float64
        """
        result = self.apply(m)
        return 0.5 * (result + result.T)

    def restricted(self, keep: NDArray[np.int64]) -> CentredNoise:
        """The same on some eigenvectors of D.

        Parameters
        ----------
        keep : ndarray of int

        Returns
        -------
        CentredNoise
        """
        chosen = self.matrices[np.ix_(np.arange(len(self.matrices)), keep, keep)]
        return replace(
            self, matrices=np.ascontiguousarray(chosen), uncentred=self.uncentred.restricted(keep)
        )

    def turned(self, turn: FloatArray, part: NDArray[np.bool_]) -> CentredNoise:
        """The same with some eigenvectors of D turned among themselves.

        Parameters
        ----------
        turn : ndarray, shape (k, k)
        part : ndarray of bool, shape (r,)

        Returns
        -------
        CentredNoise
        """
        matrices = self.matrices.copy()
        matrices[:, :, part] = matrices[:, :, part] @ turn
        matrices[:, part] = turn.T @ matrices[:, part]
        return replace(self, matrices=matrices, uncentred=self.uncentred.turned(turn, part))

    def summed(self) -> NoiseMap:
        """The samples' sum before it is centred.

        Returns
        -------
        NoiseMap
        """
        return self.uncentred

    def cancelled(self, m: FloatArray) -> float:
        """What the samples' sum loses to the means' term: nothing.

        Parameters
        ----------
        m : ndarray, shape (r, r)

        Returns
        -------
        float
        """
        return 0.0
