r"""Growth factors of a whole row of a map at once: one mixing and step size, many batch sizes.

At fixed α and η the operator is affine in the noise coefficients of the two
sets, ``Φ = J⊗J + t_R N_R + t_F N_F``. One subspace serves all columns: for each,
the Rayleigh–Ritz value in it is a lower bound on ρ; columns whose residual is
not small contribute it as the next direction (Davidson), starting from the
identity, which overlaps every top eigenmatrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.dynamics.sampling import Pair, noise_coefficients
from rmtstab.dynamics.second_moment import MixBasis, NoiseMap

if TYPE_CHECKING:
    from rmtstab.dynamics.linearised import Dynamics

WIDEST = 160
ROW_BYTES = 1e9


def row_growth(dyn: Dynamics, batches: Sequence[Pair], tolerance: float) -> FloatArray | None:
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
    ndarray, shape (n_batches,), or None
    """
    basis, problem = dyn.basis, dyn.problem
    r = basis.n_active
    if r == 0:
        return np.full(len(batches), (1.0 - dyn.step_size * dyn.weight_decay) ** 2)
    width = int(min(WIDEST, r * (r + 1) // 2, ROW_BYTES / (16.0 * r * r)))
    sizes = (problem.n_retain, problem.n_forget)
    parts = [_unit_noise(dyn, basis, s, sizes) for s in (0, 1)]
    a = (1.0 - dyn.alpha, dyn.alpha)
    times = np.array(
        [
            [1.0]
            + [
                dyn.step_size**2 * a[s] ** 2 * noise_coefficients(sizes[s], b[s], dyn.sampling)[0]
                for s in (0, 1)
            ]
            for b in batches
        ]
    )
    upper = np.triu_indices(r)
    packing = np.where(upper[0] == upper[1], 1.0, np.sqrt(2.0))  # keeps inner products
    products = np.outer(dyn.mean_multipliers, dyn.mean_multipliers)[upper]
    space = np.empty((width, packing.size))
    images = np.empty((3, width, packing.size))
    projected = np.zeros((3, width, width))
    new = np.eye(r)[upper]
    matrix = np.empty((r, r))
    pending = _spread_out(len(batches))
    for k in range(width):
        for _ in range(2):
            new = new - (space[:k] @ new) @ space[:k]
            new /= np.linalg.norm(new)
        space[k] = new
        images[0, k] = products * new
        matrix[upper] = new / packing
        matrix.T[upper] = matrix[upper]
        for s in (0, 1):
            part = parts[s]
            images[s + 1, k] = 0.0 if part is None else part.apply(matrix)[upper] * packing
        for t in range(3):
            projected[t, k, : k + 1] = projected[t, : k + 1, k] = space[: k + 1] @ images[t, k]
        while pending:
            column = pending[0]
            small = np.tensordot(times[column], projected[:, : k + 1, : k + 1], axes=1)
            values, vectors = np.linalg.eigh(small)
            y, theta = vectors[:, -1], float(values[-1])
            new = -theta * (y @ space[: k + 1])
            for t in range(3):
                new += times[column, t] * (y @ images[t, : k + 1])
            size = float(np.linalg.norm(new))
            if size > tolerance * theta:
                new /= size
                break
            pending.pop(0)
        if not pending:
            small = np.tensordot(times, projected[:, : k + 1, : k + 1], axes=1)
            result: FloatArray = np.linalg.eigvalsh(small)[:, -1]
            return result
    return None


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
