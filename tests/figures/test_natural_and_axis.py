"""The figures of natural size and of the data axis draw what they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from rmtstab.figures.data_axis import along_axis
from rmtstab.figures.natural_size import natural_map, prediction_errors


@pytest.fixture
def ax():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_errors_are_drawn_as_factors(ax):
    series = {"theory": {0.1: [0.0, 0.2], 1.0: [0.5, 0.7]}, "other": {0.1: [0.3]}}
    prediction_errors(ax, series, 1.5)
    line = ax.lines[0].get_xydata()
    np.testing.assert_allclose(line, [[10.0, np.exp(0.1)], [100.0, np.exp(0.6)]])


def test_a_cross_marks_a_collapse_foretold_wrongly(ax):
    def cell(batch, alpha, real, said):
        return {
            "batch_size": [batch, 1], "alpha": alpha,
            "real": {"outcome": "collapses" if real else "keeps", "collapses": real},
            "function_space": {"collapses": said},
        }  # fmt: skip

    cells = [
        cell(4, 0.0, None, None),
        cell(4, 0.5, 7, 9),
        cell(8, 0.0, None, 3),
        cell(8, 0.5, 2, 2),
    ]
    natural_map(ax, cells, "function_space")
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[1.0, 0.0]])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["4/1", "8/1"]


def test_means_along_an_axis_leave_out_what_is_missing(ax):
    records = [{"snr": s, "steps": v} for s, v in ((0.0, 2.0), (0.0, 4.0), (1.0, None), (2.0, 5.0))]
    along_axis(ax, records, "snr", {"steps": "steps"}, "steps")
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0.0, 3.0], [2.0, 5.0]])
