"""Maps of what unlearning does, and when, over two of step size, mixing and batch size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rmtstab import _checks
from rmtstab._record import Record
from rmtstab._results import FloatArray
from rmtstab.bridge.curves import OUTCOMES, majority
from rmtstab.bridge.linearisation import Linearisation

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class OutcomeMap(Record):
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

    dimensions: ClassVar = {
        name: ("row", "column") for name in ("outcome", "forget_step", "collapse_step")
    }
    drawn_by = "predicted_outcomes"

    names: tuple[str, str]
    columns: tuple[Any, ...]
    rows: tuple[Any, ...]
    outcome: NDArray[np.str_]
    forget_step: FloatArray
    collapse_step: FloatArray
    steps: int

    def to_xarray(self) -> xarray.Dataset:
        """Return the map as a labelled dataset, its axes named and labelled by what varies.

        Returns
        -------
        xarray.Dataset
            Batch sizes that are pairs are labelled as text, such as ``"16/8"``.
        """
        found = super().to_xarray()
        for name in ("names", "columns", "rows"):
            found.attrs.pop(name, None)
        column, row = self.names
        labels = {column: _labels(self.columns), row: _labels(self.rows)}
        return found.rename_dims(column=column, row=row).assign_coords(labels)

    def draw(self, ax: Axes, observed: NDArray[np.str_] | None = None) -> Axes:
        """Draw the map, with observed outcomes of the same shape as points over it.

        Parameters
        ----------
        ax : matplotlib Axes
        observed : ndarray of str, shape (n_rows, n_columns), optional
            Outcomes of real runs; an empty string leaves a cell without a point.

        Raises
        ------
        ValueError
            If it is of another shape, or holds what is no outcome.
        """
        from matplotlib.axes import Axes

        from rmtstab.bridge.pictures import draw_map

        _checks.instance("ax", ax, Axes, words="matplotlib Axes")
        if observed is not None:
            observed = np.asarray(observed)
            if observed.shape != self.outcome.shape:
                turned = "; transpose it" if observed.shape == self.outcome.T.shape else ""
                raise ValueError(
                    f"observed must have the map's shape ({self.names[1]}, {self.names[0]}) = "
                    f"{self.outcome.shape}, got {observed.shape}{turned}"
                )
            strange = sorted({str(name) for name in observed.flat} - {*OUTCOMES, ""})
            if strange:
                raise ValueError(f"observed must be of {OUTCOMES}, or '', got {strange[0]!r}")
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
    _checks.no_mask("batch_sizes", batch_sizes)
    pairs = _pairs(batch_sizes)
    if not pairs:
        raise ValueError("batch_sizes must hold at least one, got none")
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
    if (
        not isinstance(batch_sizes, list | tuple | np.ndarray)
        or getattr(batch_sizes, "ndim", 1) == 0
    ):
        return [batch_sizes]
    return [tuple(size) if isinstance(size, list | np.ndarray) else size for size in batch_sizes]


def _labels(values: tuple[Any, ...]) -> list[Any]:
    """Numbers as they are; where some are pairs, all as text."""
    if not any(isinstance(value, tuple) for value in values):
        return list(values)
    return ["/".join(f"{v:g}" for v in np.atleast_1d(value)) for value in values]
