"""The figure that goes with a check: plain numbers, drawn by `rmtstab.figures.check_series`."""

from __future__ import annotations

from typing import Any


def series(
    label: str, x: Any, y: Any, error: Any = None, *, slope: float | None = None
) -> dict[str, Any]:
    """One labelled row of points of a check's figure.

    Parameters
    ----------
    label : str
        Marked "(fails)" where it shows the setting in which the claim fails.
    x, y : iterable
        Numbers; ``x`` may be words.
    error : iterable, optional
        Standard errors of ``y``.
    slope : float, optional
        Exponent of the power law that is claimed; drawn through the points.

    Returns
    -------
    dict
        JSON values.

    Examples
    --------
    >>> from rmtstab.claims.figure_data import series
    >>> series("gap", [40, 80], [0.1, 0.05])
    {'label': 'gap', 'x': [40.0, 80.0], 'y': [0.1, 0.05]}
    """
    found: dict[str, Any] = {
        "label": label,
        "x": [v if isinstance(v, str) else float(v) for v in x],
    }
    found["y"] = [float(v) for v in y]
    if error is not None:
        found["error"] = [float(v) for v in error]
    if slope is not None:
        found["slope"] = float(slope)
    return found


def figure_of(
    x_label: str,
    y_label: str,
    lines: list[dict[str, Any]],
    *,
    logarithmic: str = "",
    levels: Any = (),
) -> dict[str, Any]:
    """Build the entry ``"figure"`` of a check's record, which `rmtstab.figures.check_series` draws.

    Parameters
    ----------
    x_label, y_label : str
    lines : list of dict
        Made by `series`.
    logarithmic : {"", "x", "y", "xy"}
    levels : iterable of float
        Horizontal lines: what is claimed.

    Returns
    -------
    dict
        JSON values.

    Examples
    --------
    >>> from rmtstab.claims.figure_data import figure_of, series
    >>> figure_of("n", "gap", [series("gap", [40], [0.1])], levels=[0.2])["levels"]
    [0.2]
    """
    return {
        "x_label": x_label,
        "y_label": y_label,
        "series": lines,
        "logarithmic": logarithmic,
        "levels": [float(v) for v in levels],
    }
