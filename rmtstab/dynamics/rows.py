r"""Growth factors of a whole row of a map at once: one mixing and step size, many batch sizes.

At fixed α and η the operator is affine in the noise coefficients of the two
sets, ``Φ = J⊗J + t_R N_R + t_F N_F``. One subspace serves all columns. It starts
from the identity, which overlaps every top eigenmatrix; a column whose residual R is
not small adds ``R/(θ − j_p j_q)``, the residual as the mean dynamics alone would
correct it (Davidson). Each column's Ritz value is a lower bound on ρ. The same subspace
holds an approximate solution of ``(λ − Φ)X = I``; where ``X ≻ 0`` and ``λX − Φ(X) ≻ 0``
hold, checked explicitly, ρ < λ. Images of the subspace are kept, so that neither end costs
another application.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.dynamics.eigen import _is_certificate as is_certificate
from rmtstab.dynamics.sampling import Pair, noise_coefficients
from rmtstab.dynamics.second_moment import MixBasis, NoiseMap

if TYPE_CHECKING:
    from rmtstab.dynamics.linearised import Dynamics

WIDEST = 160
ROW_BYTES = 1e9
FLOOR = 1e-3  # of θ: the preconditioner's least denominator
GAPS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # relative widths of the enclosure that are tried
BELOW_ONE = 1.0 - 1e-12


@dataclass(frozen=True)
class Row:
    """Enclosures ``[values, uppers]`` of the growth factors; ``inf`` without a certificate."""

    values: FloatArray
    uppers: FloatArray


def row_growth(dyn: Dynamics, batches: Sequence[Pair], tolerance: float) -> Row | None:
    """Growth factors of one row; None when the subspace would not fit or converge.

    Parameters
    ----------
    dyn : Dynamics
        Mixing, step size, sampling and decay of the row (no momentum).
    batches : sequence of (float, float)
    tolerance : float
        Relative residual of every column.

    Returns
    -------
    Row or None
    """
    r = dyn.basis.n_active
    if r == 0:
        still = np.full(len(batches), (1.0 - dyn.step_size * dyn.weight_decay) ** 2)
        return Row(still, still)
    space = _Subspace(dyn, batches)
    pending = _spread_out(len(batches))
    space.add(np.eye(r).ravel()[space.flat] * space.packing)
    while pending:
        column = pending[0]
        theta, y = space.ritz(column)
        residual = space.image(column, y) - theta * (y @ space.vectors)
        size = float(np.linalg.norm(residual))
        if size <= tolerance * theta:
            pending.pop(0)
        elif not space.add(residual, np.maximum(theta - space.products, FLOOR * theta)):
            return None
    values = np.array([space.ritz(column)[0] for column in range(len(batches))])
    uppers = np.array([_upper(space, k, value) for k, value in enumerate(values)])
    return Row(values, uppers)


def _upper(space: _Subspace, column: int, value: float) -> float:
    """Smallest certified upper end among those tried."""
    shifts = [value * (1.0 + gap) for gap in GAPS]
    if value < BELOW_ONE < shifts[0]:
        shifts.insert(0, BELOW_ONE)
    for shift in shifts:
        y = space.resolvent(column, shift)
        x = y @ space.vectors
        image = shift * x - space.image(column, y)
        if is_certificate(space.unpacked(x), space.unpacked(image), shift):
            return float(shift)
    return np.inf


class _Subspace:
    """Orthonormal symmetric matrices, packed, with their images under the three maps."""

    def __init__(self, dyn: Dynamics, batches: Sequence[Pair]) -> None:
        basis, problem = dyn.basis, dyn.problem
        r = basis.n_active
        sizes = (problem.n_retain, problem.n_forget)
        self.parts = [_unit_noise(dyn, basis, s, sizes) for s in (0, 1)]
        eta, a = dyn.step_size, (1.0 - dyn.alpha, dyn.alpha)
        self.times = np.array(
            [
                [1.0]
                + [
                    eta**2 * a[s] ** 2 * noise_coefficients(sizes[s], b[s], dyn.sampling)[0]
                    for s in (0, 1)
                ]
                for b in batches
            ]
        )
        upper = np.triu_indices(r)
        self.flat = upper[0] * r + upper[1]
        self.place = np.empty((r, r), dtype=np.intp)
        self.place[upper] = self.place.T[upper] = np.arange(self.flat.size)
        # inner products of packed vectors are those of the matrices
        self.packing = np.where(upper[0] == upper[1], 1.0, np.sqrt(2.0))
        self.products = np.outer(dyn.mean_multipliers, dyn.mean_multipliers)[upper]
        width = int(min(WIDEST, self.flat.size, ROW_BYTES / (16.0 * r * r)))
        self._vectors = np.empty((width, self.flat.size))
        self._images = np.empty((3, width, self.flat.size))
        self._projected = np.zeros((3, width, width))
        self.size = 0

    @property
    def vectors(self) -> FloatArray:
        """The basis, one packed matrix a row."""
        return self._vectors[: self.size]

    def unpacked(self, vector: FloatArray) -> FloatArray:
        """Symmetric matrix of a packed vector."""
        result: FloatArray = (vector / self.packing)[self.place]
        return result

    def add(self, vector: FloatArray, weights: FloatArray | None = None) -> bool:
        """Add ``vector/weights``, or the vector where that is already there; False when full."""
        k = self.size
        if k == len(self._vectors):
            return False
        new = self._orthonormal(vector if weights is None else vector / weights)
        if new is None:
            new = self._orthonormal(vector)
        if new is None:
            return False
        self._vectors[k] = new
        self._images[0, k] = self.products * new
        matrix = self.unpacked(new)
        for s, part in enumerate(self.parts):
            image = 0.0 if part is None else part.apply(matrix).ravel()[self.flat] * self.packing
            self._images[s + 1, k] = image
        self.size = k + 1
        for t in range(3):
            overlaps = self.vectors @ self._images[t, k]
            self._projected[t, k, : k + 1] = self._projected[t, : k + 1, k] = overlaps
        return True

    def _orthonormal(self, vector: FloatArray) -> FloatArray | None:
        new = vector / np.linalg.norm(vector)
        for _ in range(2):
            new = new - (self.vectors @ new) @ self.vectors
            size = float(np.linalg.norm(new))
            if size < 1e-8:
                return None
            new = new / size
        return new

    def _small(self, column: int) -> FloatArray:
        k = self.size
        result: FloatArray = np.tensordot(self.times[column], self._projected[:, :k, :k], axes=1)
        return result

    def ritz(self, column: int) -> tuple[float, FloatArray]:
        """Top Ritz value of a column and its coefficients."""
        values, vectors = np.linalg.eigh(self._small(column))
        return float(values[-1]), vectors[:, -1]

    def image(self, column: int, y: FloatArray) -> FloatArray:
        """``Φ`` of a combination of the basis."""
        result: FloatArray = self.times[column, 0] * (y @ self._images[0, : self.size])
        for t in (1, 2):
            if self.times[column, t] and self.parts[t - 1] is not None:
                result += self.times[column, t] * (y @ self._images[t, : self.size])
        return result

    def resolvent(self, column: int, shift: float) -> FloatArray:
        """Galerkin solution of ``(shift − Φ)X = I``; the first basis vector is I/√r."""
        right = np.zeros(self.size)
        right[0] = np.sqrt(float(len(self.place)))
        matrix = -self._small(column)
        matrix.flat[:: self.size + 1] += shift
        return np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)


def _spread_out(n: int) -> list[int]:
    """Order of columns: both ends first, then the middles."""
    return sorted(range(n), key=lambda k: (k not in (0, n - 1), -((k & -k) if k else n), k))


def _unit_noise(dyn: Dynamics, basis: MixBasis, s: int, sizes: tuple[int, int]) -> NoiseMap | None:
    """``Σ_{i∈s} H_i M H_i − [fixed size] n_s H_s M H_s``, or None for a set without weight."""
    if (1.0 - dyn.alpha, dyn.alpha)[s] == 0.0 or sizes[s] == 0:
        return None
    offsets, n_retain = dyn.problem.factors.offsets, sizes[0]
    r, fixed = basis.n_active, dyn.sampling != "bernoulli"
    first, last = (0, n_retain) if s == 0 else (n_retain, n_retain + sizes[1])
    rows = np.ascontiguousarray(basis.rows[offsets[first] : offsets[last], :r])
    mean = (basis.retain, basis.forget)[s][:r, :r]
    return NoiseMap(
        rows,
        np.ascontiguousarray(offsets[first : last + 1] - offsets[first]),
        np.ones(sizes[s]),
        np.ones(len(rows)) if fixed else np.zeros(0),
        np.ascontiguousarray(mean) if fixed else np.zeros((0, 0)),
        float(sizes[s]) if fixed else 0.0,
        0.0,
    )
