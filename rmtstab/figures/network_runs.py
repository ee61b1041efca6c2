"""Figures of unlearning runs, predicted in function space or real: curves, and maps of outcomes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab import _checks
from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rmtstab.bridge import Diagnosis, OutcomeMap, Runs

SETS = ("retain", "forget", "test")


def learning_curves(
    ax: Axes, runs: Runs | Diagnosis, *, kind: str = "loss", cell: Any = None
) -> Axes:
    """Draw retain, forget and test curves of one cell: median and 10–90 % of its replicas.

    Parameters
    ----------
    ax : matplotlib Axes
    runs : Runs or Diagnosis
        Of `rmtstab.bridge`: `LinearisedNetwork.run`, `unlearn` or `diagnose`.
    kind : {"loss", "accuracy"}
    cell : int or tuple of int, optional
        Which of a grid of cells; default the first.

    Returns
    -------
    matplotlib Axes
        Losses on an axis that is linear below 0.01 and logarithmic above.

    Raises
    ------
    TypeError, ValueError
        If these are no runs, there is no such cell, or nothing of this kind was recorded.

    Examples
    --------
    >>> import torch
    >>> from matplotlib.figure import Figure
    >>> from rmtstab import bridge, figures
    >>> x, y = torch.eye(6, dtype=torch.float64), torch.arange(6) % 2
    >>> net = bridge.linearise(torch.nn.Linear(6, 2, dtype=torch.float64),
    ...                        torch.nn.CrossEntropyLoss(), (x[:4], y[:4]), (x[4:], y[4:]))
    >>> run = net.run(0.5, 1, 0.5, steps=4, rng=0)
    >>> figures.learning_curves(Figure().add_subplot(), run, kind="accuracy").get_ylabel()
    'accuracy'
    """
    _style.check_axes(ax)
    _checks.choice("kind", kind, ("loss", "accuracy"))
    found: Any = getattr(runs, "run", runs)
    if not hasattr(found, "plan") or not hasattr(found, "retain_loss"):
        raise TypeError(f"runs must be Runs or a Diagnosis, got {type(runs).__name__}")
    shape = found.plan.shape
    try:
        flat = 0 if cell is None else np.arange(np.prod(shape, dtype=int)).reshape(shape)[cell]
    except (IndexError, OverflowError, ValueError):
        flat = None
    if flat is None or np.ndim(flat) > 0:
        raise ValueError(f"cell must be an index into cells of shape {shape}, got {cell!r}")
    curves = {}
    for name in SETS:
        values = getattr(found, f"{name}_{kind}")
        curves[name] = values.reshape(-1, *values.shape[-2:])[int(flat)]
    if all(np.isnan(values).all() for values in curves.values()):
        raise ValueError(f"kind must be one that was recorded, got {kind!r}")
    _pictures().draw_curves(ax, found.steps, curves)
    if kind == "loss":
        ax.set_yscale("symlog", linthresh=1e-2)
    ax.set_ylabel(kind)
    ax.legend(frameon=False)
    return ax


def predicted_outcomes(ax: Axes, found: OutcomeMap, observed: Any = None) -> Axes:
    """Draw a map of predicted outcomes, with observed ones as points over it.

    Parameters
    ----------
    ax : matplotlib Axes
    found : OutcomeMap
        From `LinearisedNetwork.map`.
    observed : ndarray of str, optional
        Outcomes of real runs, of the map's shape; an empty text leaves a cell without a point.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, ValueError
        If it is no map, or the observed outcomes have another shape.

    Examples
    --------
    >>> import torch
    >>> from matplotlib.figure import Figure
    >>> from rmtstab import bridge, figures
    >>> x, y = torch.eye(6, dtype=torch.float64), torch.arange(6) % 2
    >>> net = bridge.linearise(torch.nn.Linear(6, 2, dtype=torch.float64),
    ...                        torch.nn.CrossEntropyLoss(), (x[:4], y[:4]), (x[4:], y[4:]))
    >>> found = net.map([0.1, 1.0], [0.2, 0.5], 1, 4, rng=0)
    >>> figures.predicted_outcomes(Figure().add_subplot(), found).get_xlabel()
    'step size'
    """
    if not hasattr(found, "outcome") or not hasattr(found, "names"):
        raise TypeError(f"found must be an OutcomeMap, got {type(found).__name__}")
    _style.check_axes(ax)
    if observed is not None:
        observed = _outcomes(observed, found.outcome.shape)
    drawn: Axes = _pictures().draw_map(ax, found, observed)
    return drawn


def _outcomes(observed: Any, shape: tuple[int, ...]) -> Any:
    try:
        names = np.asarray(observed)
    except ValueError:  # ragged
        names = np.empty(0)
    if names.shape != shape:
        raise ValueError(f"observed must have the map's shape {shape}, got {names.shape}")
    known = importlib.import_module("rmtstab.bridge.curves").OUTCOMES
    wrong = [name for name in names.flat if name not in known]
    if wrong:
        raise ValueError(f"observed must hold {', '.join(known)}, got {wrong[0]!r}")
    return names


def _pictures() -> Any:
    return importlib.import_module("rmtstab.bridge.pictures")  # torch is loaded by now
