r"""Growth factors of a whole row of a map at once: one mixing and step size, many batch sizes.

At fixed α and η the operator is affine in the noise coefficients of the two
sets, ``Φ = J⊗J + t_R N_R + t_F N_F``: one Davidson subspace serves all columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rmtstab._results import FloatArray
from rmtstab.dynamics.davidson import Subspace
from rmtstab.dynamics.sampling import Pair, noise_coefficients
from rmtstab.dynamics.second_moment import MixBasis, NoiseMap

if TYPE_CHECKING:
    from rmtstab.dynamics.linearised import Dynamics

FINEST = 1e-4  # relative width of the enclosures
EXTRA = 16  # directions added for their sake


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
    if dyn.basis.n_active == 0:
        still = np.full(len(batches), (1.0 - dyn.step_size * dyn.weight_decay) ** 2)
        return Row(still, still)
    sizes = (dyn.problem.n_retain, dyn.problem.n_forget)
    eta, a = dyn.step_size, (1.0 - dyn.alpha, dyn.alpha)
    parts = [_unit_noise(dyn, dyn.basis, s, sizes) for s in (0, 1)]
    sets = [s for s in (0, 1) if parts[s] is not None]
    noise = [
        [eta**2 * a[s] ** 2 * noise_coefficients(sizes[s], b[s], dyn.sampling)[0] for s in sets]
        for b in batches
    ]
    times = np.column_stack([np.ones(len(batches)), np.array(noise)])
    maps = [None, *(part.apply for part in parts if part is not None)]
    space = Subspace(maps, times, np.outer(dyn.mean_multipliers, dyn.mean_multipliers))
    order = _spread_out(len(batches))
    for column in order:
        if not space.refine(column, tolerance):
            return None
    uppers, limit = np.empty(len(batches)), space.size + EXTRA
    for column in order:  # what one column's certificate adds, the others find there
        uppers[column] = space.upper(column, FINEST, patience=limit - space.size)
    values = np.array([space.ritz(column)[0] for column in range(len(batches))])
    return Row(values, np.maximum(uppers, values))


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
