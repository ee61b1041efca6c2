"""Maps of what unlearning does, and when, over two of step size, mixing and batch size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rmtstab import _checks
from rmtstab._results import FloatArray
from rmtstab.bridge.curves import majority
from rmtstab.bridge.linearisation import Linearisation

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class OutcomeMap:
    """Predicted outcomes over two axes; rows are the second, columns the first.

    Attributes
    ----------
    names : (str, str)
        Which two of ``step_size``, ``alpha`` and ``batch_size`` vary: columns, rows.
    columns, rows : tuple
        Their values; batch sizes are pairs.
    outcome : ndarray of str, shape (n_rows, n_columns)
    forget_step, collapse_step : ndarray, shape (n_rows, n_columns), float64
        Of the median replica; inf where it never happens.
    steps : int
    """

    names: tuple[str, str]
    columns: tuple[Any, ...]
    rows: tuple[Any, ...]
    outcome: NDArray[np.str_]
    forget_step: FloatArray
    collapse_step: FloatArray
    steps: int

    def draw(self, ax: Axes, observed: NDArray[np.str_] | None = None) -> Axes:
        """Draw the map, with observed outcomes of the same shape as points over it.

        Parameters
        ----------
        ax : matplotlib Axes
        observed : ndarray of str, optional
            Of the map's shape.
        """
        from rmtstab.bridge.pictures import draw_map

        return draw_map(ax, self, observed)


def outcome_map(
    net: Linearisation,
    step_sizes: Any,
    alphas: Any,
    batch_sizes: Any,
    steps: int,
    **options: Any,
) -> OutcomeMap:
    """Run one grid a batch size; see `LinearisedNetwork.map`."""
    etas = np.atleast_1d(_checks.array("step_sizes", step_sizes, ndim=(0, 1)))
    mixings = np.atleast_1d(_checks.array("alphas", alphas, ndim=(0, 1)))
    pairs = _pairs(batch_sizes)
    axes = [("step_size", etas.tolist()), ("alpha", mixings.tolist()), ("batch_size", pairs)]
    varying = [axis for axis in axes if len(axis[1]) > 1]
    if len(varying) > 2:
        raise ValueError(
            "one of step_sizes, alphas and batch_sizes must hold a single value, got "
            f"{len(etas)}, {len(mixings)} and {len(pairs)}"
        )
    for axis in axes:  # a map has two axes, however short
        if len(varying) < 2 and axis not in varying:
            varying.append(axis)
    names = [name for name, _ in varying]
    options["rng"] = _checks.generator("rng", options["rng"])
    runs = [net.run(etas[:, None], pair, mixings, steps, **options).turns for pair in pairs]
    order = [["step_size", "alpha", "batch_size"].index(name) for name in reversed(names)]
    rest = ({0, 1, 2} - set(order)).pop()

    def arranged(values: list[Any]) -> Any:
        return np.stack(values, axis=2).transpose(*order, rest)[..., 0]

    return OutcomeMap(
        (names[0], names[1]),
        tuple(varying[0][1]),
        tuple(varying[1][1]),
        arranged([found.outcome for found in runs]),
        arranged([majority(found.forget_step) for found in runs]),
        arranged([majority(found.collapse_step) for found in runs]),
        _checks.integer("steps", steps),
    )


def _pairs(batch_sizes: Any) -> list[Any]:
    """A list of batch sizes, each a number or a pair; a tuple of two is one pair."""
    if isinstance(batch_sizes, tuple) and len(batch_sizes) == 2:
        return [batch_sizes]
    if not isinstance(batch_sizes, list | tuple | np.ndarray):
        return [batch_sizes]
    return [tuple(size) if isinstance(size, list | np.ndarray) else size for size in batch_sizes]
