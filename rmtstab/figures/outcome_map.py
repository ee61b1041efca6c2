"""Observed outcomes over (batch size × mixing), with both predicted frontiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rmtstab.figures import _style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLASSES = {
    "resisted": ("#DCE9F5", "resisted (measured)"),
    "escaped": ("#F2B680", "escaped and forgot (measured)"),
    "escaped_not_forgot": ("#F7E3A1", "escaped, forget loss below its level (measured)"),
    "collapse": ("#555555", "collapse without forgetting, α = 0 (measured)"),
}


def classify(cell: dict[str, Any]) -> str:
    """Name the class of an observed cell: see `CLASSES`."""
    if not cell["escaped"]:
        return "resisted"
    if cell["alpha"] == 0.0:
        return "collapse"
    return "escaped" if cell["forgot"] else "escaped_not_forgot"


def outcome_map(ax: Axes, predicted: dict[str, Any], observed: list[dict[str, Any]]) -> Axes:
    """Draw one network's map: cells measured, lines theory, the heavy-tailed zone hatched.

    Parameters
    ----------
    ax : matplotlib Axes
    predicted : dict
        ``alphas`` (ascending, the first may be 0), ``batch_sizes`` (pairs),
        ``frontier_mean_square`` and ``frontier_typical`` (a mixing or None a batch size).
    observed : list of dict
        Cells with ``alpha``, ``batch_size``, ``escaped``, ``forgot``.

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib.colors import to_rgb

    alphas = np.array(predicted["alphas"])
    batches = [tuple(b) for b in predicted["batch_sizes"]]
    image = np.ones((len(alphas), len(batches), 3))
    for cell in observed:
        row = int(np.argmin(np.abs(alphas - cell["alpha"])))
        image[row, batches.index(tuple(cell["batch_size"]))] = to_rgb(CLASSES[classify(cell)][0])
    ax.imshow(image, origin="lower", aspect="auto", interpolation="nearest")
    ax.set_xticks(range(len(batches)), [f"{r}/{f}" for r, f in batches])
    ax.set_yticks(range(len(alphas)), [f"{a:.2g}" for a in alphas])
    ax.set_xlabel("batch size, retain/forget")
    ax.set_ylabel("mixing α")
    ax.set_xticks(np.arange(len(batches) - 1) + 0.5, minor=True)
    ax.set_yticks(np.arange(len(alphas) - 1) + 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=0.6)
    ax.tick_params(which="minor", length=0)

    x = np.arange(len(batches), dtype=float)
    mean_square = _rows(predicted["frontier_mean_square"], alphas)
    typical = _rows(predicted["frontier_typical"], alphas)
    ax.fill_between(
        x, mean_square, typical, facecolor="none", edgecolor=_style.PINK, hatch="/////",
        linewidth=0, label="heavy-tailed zone (theory)",
    )  # fmt: skip
    ax.plot(x, mean_square, "--", color=_style.VERMILION, label="mean-square frontier (theory)")
    ax.plot(x, typical, "-", color=_style.BLACK, label="typical frontier (theory)")
    ax.set_xlim(-0.5, len(batches) - 0.5)
    ax.set_ylim(-0.5, len(alphas) - 0.5)
    return ax


def class_handles(classes: set[str]) -> list[Any]:
    """Legend handles of the classes that occur, in a fixed order."""
    from matplotlib.patches import Patch

    return [
        Patch(facecolor=colour, label=label)
        for name, (colour, label) in CLASSES.items()
        if name in classes
    ]


def _rows(frontier: list[float | None], alphas: Any) -> Any:
    """Row coordinates of mixings: logarithmic between positive rows, clipped to the map."""
    positive = np.flatnonzero(alphas > 0)
    heights = np.interp(
        np.log([f if f else (1e-9 if f == 0.0 else 1e9) for f in frontier]),
        np.log(alphas[positive]),
        positive.astype(float),
        left=positive[0] - 0.5,
        right=len(alphas) - 0.5,
    )
    return heights
