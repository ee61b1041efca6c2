"""Bounds against growth, and a check's series: axes in, axes out, what is vacuous left out."""

import numpy as np
import pytest

import rmtstab
from rmtstab.claims.figure_data import figure_of, series


@pytest.fixture
def axes():
    from matplotlib.figure import Figure

    return Figure().add_subplot()


POINTS = [
    {"bound": "mean", "kind": "necessary", "exact": [1.0, 2.0], "value": [0.5, 2.0]},
    {"bound": "mean", "kind": "necessary", "exact": [4.0, 0.0], "value": [0.0, 0.0]},
    {"bound": "one step", "kind": "sufficient", "exact": [1.0, 2.0], "value": [1.5, 2.0]},
]


def line(ax, label):
    return next(found for found in ax.lines if found.get_label() == label)


def test_bounds_join_by_name_and_vacuous_ones_are_left_out(axes):
    assert rmtstab.figures.bound_sandwich(axes, POINTS) is axes
    assert line(axes, "mean (lower)").get_xydata().tolist() == [[1.0, 0.5], [2.0, 2.0]]
    assert line(axes, "exact").get_xydata().tolist() == [[1.0, 1.0], [2.0, 2.0]]
    assert line(axes, "one step (upper)").get_markerfacecolor() == "none"
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_ratio(axes):
    rmtstab.figures.bound_sandwich(axes, POINTS, ratio=True, floor=0.6)
    assert line(axes, "mean (lower)").get_ydata().tolist() == [1.0]
    assert line(axes, "exact").get_ydata().tolist() == [1.0, 1.0]
    assert line(axes, "one step (upper)").get_ydata().tolist() == [1.5, 1.0]


def test_nothing_to_draw(axes):
    assert rmtstab.figures.bound_sandwich(axes, []) is axes and not axes.lines


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "sharp"}, "kind must be one of 'necessary', 'sufficient'"),
        ({"value": [1.0]}, "exact and value must have the same length, got 2 and 1"),
        ({"value": [1.0, np.nan]}, "value must be finite"),
        ({"exact": [-1.0, 1.0]}, "exact must be >= 0, got -1"),
    ],
)
def test_bad_points(axes, change, message):
    with pytest.raises(ValueError, match=message):
        rmtstab.figures.bound_sandwich(axes, [{**POINTS[0], **change}])


def test_check_series(axes):
    entry = figure_of(
        "n", "gap",
        [series("holds", [40, 80], [0.2, 0.1], error=[0.01, 0.01]), series("fails", [40], [1])],
        logarithmic="y", levels=[0.5],
    )  # fmt: skip
    assert rmtstab.figures.check_series(axes, entry) is axes
    assert axes.get_legend_handles_labels()[1] == ["holds", "fails"]
    assert axes.get_yscale() == "log" and axes.get_xscale() == "linear"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("n", "gap")
    levels = [found.get_ydata()[0] for found in axes.lines if found.get_color() == "#999999"]
    assert levels == [0.5]
    with pytest.raises(ValueError, match="logarithmic must be one of"):
        rmtstab.figures.check_series(axes, {**entry, "logarithmic": "z"})
