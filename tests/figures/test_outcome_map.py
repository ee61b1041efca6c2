"""Maps: cells where they lie, in their extent; frontiers, classes and what is off, as told."""

import dataclasses

import numpy as np
import pytest

from rmtstab.claims.networks import map_cells
from rmtstab.figures.agreement import binned
from rmtstab.figures.maps import map_drawings
from rmtstab.figures.outcome_map import map_handles, outcome_map
from rmtstab.figures.validation import render
from tests.claims.networks.test_maps import right, truth  # noqa: F401 (a fixture)


@pytest.fixture
def ax():
    from matplotlib.figure import Figure

    return Figure().add_subplot()


@pytest.fixture
def panel(right):  # noqa: F811
    lines = [x for x in right["maps"] if x["plane"] == "half" and x["snr"] == 0.5]
    return map_cells.panel(right, lines, 100)


def test_cells_lie_where_they_are(ax, panel):
    mesh = outcome_map(ax, panel)
    corners = mesh.get_coordinates()
    assert corners.shape == (17, 13, 2) and ax.get_xscale() == "log"
    x, y = corners[0, :, 0], corners[:, 0, 1]
    assert (x[:-1] < panel.x).all() and (panel.x < x[1:]).all()
    np.testing.assert_allclose(x[1:-1] ** 2, panel.x[1:] * panel.x[:-1])  # half-way in the log
    np.testing.assert_allclose(np.diff(y), panel.y[1], rtol=1e-9)
    np.testing.assert_array_equal(np.asarray(mesh.get_array()), panel.share)


def test_frontiers_are_the_middle_network_and_the_range(ax, panel):
    outcome_map(ax, panel)
    drawn = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    own = np.array([map_cells.frontier(p, panel.y, panel.level) for p in panel.peaks])
    np.testing.assert_allclose(drawn["typical frontier (theory)"], np.median(own, axis=0))
    assert (drawn["mean-square frontier (theory)"] <= drawn["typical frontier (theory)"]).all()


def test_a_network_beyond_the_axis_moves_the_frontier_by_one_rank(ax, panel):
    peaks = panel.peaks.copy()
    peaks[0, :, 5] = panel.level - 1.0  # one of three never escapes there
    peaks[:2, :, 7] = panel.level - 1.0  # nor do two of three
    outcome_map(ax, dataclasses.replace(panel, peaks=peaks))
    line = next(x for x in ax.get_lines() if x.get_label() == "typical frontier (theory)")
    own = np.array([map_cells.frontier(p, panel.y, panel.level) for p in panel.peaks[1:]])
    drawn = line.get_ydata()
    assert drawn[5] == own[:, 5].max() and np.isnan(drawn[7])
    assert np.isfinite(np.delete(drawn, 7)).all()


def test_marks_occur_where_their_classes_do(ax, panel):
    outcome_map(ax, panel)
    labels = {h.get_label() for h in map_handles([panel], "share")}
    assert "forgot without escaping" in labels and "escaped without forgetting" not in labels
    assert "off the prediction" not in labels
    off = np.zeros_like(panel.off)
    off[3, 4] = True
    wrong = dataclasses.replace(panel, off=off)
    assert "off the prediction" in {h.get_label() for h in map_handles([wrong], "share")}


def test_every_plane_has_its_two_figures_and_a_caption_from_the_data(right):  # noqa: F811
    found = map_drawings(right)
    assert set(found) == {
        "maps_agreement",
        "maps_half",
        "maps_half_displacement",
        "maps_near",
        "maps_near_displacement",
    }
    draw, caption = found["maps_half"]
    assert "768 cells, 3 networks a panel, 12 runs a cell" in caption and "grew 10 times" in caption
    svg, _ = render(draw)
    assert render(found["maps_agreement"][0])[0].startswith(b"<?xml")
    assert b"SNR 0.5" in svg and b"share of runs that escaped" in svg


def test_bins_hold_their_cells(right):  # noqa: F811
    cells = map_cells.read(right)
    said, seen, error = binned(cells, "probability")
    assert (np.diff(said) > 0).all() and (error > 0).any()
    assert (np.abs(seen - said) <= 5 * error + 0.02).all()
    wrong = binned(cells, "probability_wrong")
    assert (np.abs(wrong[1] - wrong[0]) > 5 * wrong[2] + 0.02).any()
