"""Bounds against growth, and a check's series: axes in, axes out, what is vacuous left out."""

from itertools import pairwise

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


def test_claimed_slopes_are_drawn(axes):
    lines = [{**series("gap", [40, 160], [0.2, 0.05]), "slope": -1.0}]
    rmtstab.figures.check_series(axes, figure_of("n", "gap", lines, logarithmic="xy"))
    assert axes.get_legend_handles_labels()[1] == ["gap (claimed slope −1)"]
    (guide,) = (found for found in axes.lines if found.get_linestyle() == "--")
    x, y = guide.get_xydata().T
    np.testing.assert_allclose(x, [40, 160])
    np.testing.assert_allclose(y, [0.2, 0.05])  # the points follow the claim exactly
    edge = {**series("edge", [40, 160], [0.2, 0.05]), "slope": -2 / 3}
    other = axes.figure.add_subplot()
    rmtstab.figures.check_series(other, figure_of("n", "gap", [edge], logarithmic="xy"))
    assert other.get_legend_handles_labels()[1] == ["edge (claimed slope −2/3)"]


@pytest.mark.parametrize("largest", [900, 20_480, 65_536])
def test_labels_beside_each_other_do_not_meet(largest):
    """One journal column wide; numbers of five digits met at 80 to 20,480."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sizes = np.geomspace(80, largest, 5)
    figure = Figure(figsize=(3.4, 3.0), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    lines = [series("edge", sizes, sizes**-0.5, slope=-0.5)]
    rmtstab.figures.check_series(axes, figure_of("n", "error", lines, logarithmic="xy"))
    canvas.draw()
    low, high = axes.get_xlim()
    labels = [
        t for t in axes.get_xticklabels() if t.get_text() and low <= t.get_position()[0] <= high
    ]
    boxes = [label.get_window_extent(canvas.get_renderer()) for label in labels]
    assert len(boxes) >= 2
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_a_box_a_bound(axes):
    rng = np.random.default_rng(0)
    points = [
        {"bound": "loose", "kind": "necessary", "exact": np.ones(99), "value": rng.random(99)},
        {"bound": "tight", "kind": "necessary", "exact": np.ones(99), "value": np.full(99, 0.99)},
        {"bound": "above", "kind": "sufficient", "exact": [1.0, 2.0], "value": [1.5, 2.5]},
        {"bound": "vacuous", "kind": "necessary", "exact": [1.0], "value": [0.0]},
    ]  # fmt: skip
    assert rmtstab.figures.bound_tightness(axes, points, floor=0.5) is axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["tight", "loose", "above"]
    colours = [label.get_color() for label in axes.get_yticklabels()]
    assert colours[0] == colours[1] != colours[2]  # of lower bounds, and of upper ones
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert len(ticks) == len(set(ticks))
    share = 100 * np.mean(np.asarray(points[0]["value"]) < 0.5)
    assert [text.get_text() for text in axes.texts] == [f"vacuous: {share:.0f} %"]


NETWORKS = [
    {
        "snr": snr,
        "coherence": {"retain": 2.0 + snr, "forget": 1.0, "cross": 0.5},
        "protocols": {
            name: {"resistance": 0.1 + snr, "finite_resistance": 0.1 + snr, "escape_time": 9.0}
            for name in ("sgd_scaled", "sharpness_scaled", "common")
        },
    }
    for snr in (0.0, 0.2, 3.0)
]
ESCAPES = [{"snr": 0.2, "protocol": "common", "resistance": 0.3, "escape_time": None}]
CURVES = [
    {
        "snr": snr, "resistance": 0.1 + snr,
        "escape_time": {name: 9.0 for name in ("sgd_scaled", "sharpness_scaled", "common")},
        "coherence": {"retain": 2.0, "forget": 1.0, "cross": 0.5},
    }
    for snr in (0.02, 0.2, 3.0)
]  # fmt: skip


def test_any_grid_of_ratios(axes):
    figures = rmtstab.figures
    assert figures.resistance_against_snr(axes, NETWORKS, ESCAPES, CURVES) is axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "0.2", "3"]
    assert len(axes.get_legend().get_texts()) == 7  # three protocols and four kinds of number
    curve = axes.lines[-1].get_xdata()
    assert curve.tolist() == [0.2, 3.0]  # nothing of the closed form beyond the break
    other = axes.figure.add_subplot()
    figures.escape_against_snr(other, NETWORKS[1:], ESCAPES, CURVES)
    assert [label.get_text() for label in other.get_xticklabels()] == ["0.2", "3"]
    assert "break" not in other.get_xlabel()
    figures.coherence_against_snr(other, NETWORKS[1:], CURVES)


def test_a_map_shows_what_was_computed_and_no_more(axes):
    problem = rmtstab.UnlearningProblem.from_factors(np.eye(4), np.eye(4)[:2])
    found = problem.frontier(1.0, [(1, 1), (4, 2)], [0.0, 0.1, 1.0])
    rmtstab.figures.stability_map(axes, found)
    dashes, critical = axes.collections
    drawn = [(segment[:, 0].mean(), *set(segment[:, 1])) for segment in dashes.get_segments()]
    np.testing.assert_allclose(
        drawn, [[column, alpha] for alpha in (0.0, 0.1, 1.0) for column in (0, 1)], atol=1e-12
    )
    assert np.max(dashes.get_linewidths()) < 12.1  # points: a gap to the next dash
    levels = [segment[0, 1] for segment in critical.get_segments()]
    np.testing.assert_allclose(levels, found.critical_alpha)
    red, _, blue = dashes.cmap(dashes.norm(np.log10([found.values.max(), 1.0, 0.5])))[:, :3].T
    assert red[0] > blue[0] and blue[2] > red[2]
    assert axes.get_ylim()[0] < 0.0 and axes.get_ylim()[1] > 1.0
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words[:2] == ["stable", "escapes"] and "critical mixing α*" in words
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1/1", "4/2"]
    calm = problem.frontier(0.1, [(4, 2)], [0.0, 0.05])  # nothing escapes: no word or colour for it
    other = axes.figure.add_subplot()
    rmtstab.figures.stability_map(other, calm)
    words = [text.get_text() for text in other.get_legend().get_texts()]
    assert words[0] == "stable" and "escapes" not in words
    assert other.get_ylim()[1] > calm.critical_alpha[0]
    with pytest.raises(TypeError, match="frontier must be a Frontier, got dict"):
        rmtstab.figures.stability_map(axes, {})


def test_what_lies_beyond_a_spectrums_axis_is_said(axes):
    theory = {
        "grid": np.linspace(0, 10, 50), "limit": np.ones(50), "finite": np.ones(50),
        "outliers": [4.0, 99.0],
    }  # fmt: skip
    rmtstab.figures.gram_spectrum(axes, [1.0, 2.0, 3.0, 55.5, 70.25], theory)
    assert [text.get_text() for text in axes.texts] == [
        "beyond, measured: 70.2, 55.5", "beyond, theory: 99"
    ]  # fmt: skip
    assert 3.75 <= axes.get_xlim()[1] <= 5.0  # where the bulk ends, not where the grid does


def test_wrong_results_are_named(axes):
    for name in ("trajectory", "runs", "participation"):
        with pytest.raises(TypeError, match=r"must .*, got int"):
            getattr(rmtstab.figures, name)(axes, 3)


def test_curves_and_maps_of_networks(axes):
    torch = pytest.importorskip("torch")
    from rmtstab import bridge, figures

    x, y = torch.eye(6, dtype=torch.float64), torch.arange(6) % 2
    model = torch.nn.Linear(6, 2, dtype=torch.float64)
    net = bridge.linearise(model, torch.nn.CrossEntropyLoss(), (x[:4], y[:4]), (x[4:], y[4:]))
    run = net.run([0.5, 1.0], 1, 0.5, steps=4, rng=0)
    figures.learning_curves(axes, run, cell=1)
    np.testing.assert_array_equal(
        line(axes, "forget").get_ydata(),
        np.quantile(run.forget_loss[1], 0.5, axis=0, method="inverted_cdf"),
    )
    with pytest.raises(ValueError, match=r"cell must be an index into cells .*, got 7"):
        figures.learning_curves(axes, run, cell=7)
    with pytest.raises(TypeError, match="runs must be Runs or a Diagnosis, got int"):
        figures.learning_curves(axes, 3)
    found = net.map([0.1, 1.0], [0.2, 0.5, 0.9], 1, 4, rng=0)
    other = axes.figure.add_subplot()
    figures.predicted_outcomes(other, found, found.outcome)
    assert [label.get_text() for label in other.get_yticklabels()] == ["0.2", "0.5", "0.9"]
    with pytest.raises(ValueError, match=r"observed must have the map's shape \(3, 2\)"):
        figures.predicted_outcomes(other, found, found.outcome.T)


LINE, RISING = [0.0, 0.1], [1.0, 1.1]
LAW = {"grid": [0.0, 1.0], "limit": [1.0, 1.0], "finite": [1.0, 1.0], "outliers": [2.0]}
RUNS = {
    "log_quantiles": [LINE] * 3, "mean_square": RISING, "mean_square_predicted": RISING,
    "linear_median": LINE, "lyapunov": 0.1,
}  # fmt: skip
LOSSES = {
    f"{name}_loss{kind}": RISING
    for name in ("retain", "forget")
    for kind in ("", "_error", "_predicted")
}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resistance_against_snr", ({}, ESCAPES, CURVES), "networks"),
        ("resistance_against_snr", ([{"snr": 1.0}], ESCAPES, CURVES), r"networks\[0\] must have p"),
        ("escape_against_snr", (NETWORKS, [{"snr": 1.0}], CURVES), r"escapes\[0\] must have proto"),
        (
            "escape_against_snr",
            (NETWORKS, ESCAPES, [{"snr": 1.0, "escape_time": {"sgd_scaled": "9"}}]),
            r"curves\[0\]\['escape_time'\]\['sgd_scaled'\] must be a real number",
        ),
        ("coherence_against_snr", (NETWORKS, [{"snr": -1.0}]), r"curves\[0\]\['snr'\] must be >= "),
        ("gram_spectrum", ([], LAW), "eigenvalues must hold one number or more, got none"),
        ("gram_spectrum", ([1.0], LAW | {"grid": [0.0]}), "theory must hold series of one length"),
        ("gram_spectrum", ([1.0], {"grid": [1.0]}), "theory must have limit, finite, got"),
        ("trajectories", (RUNS | {"log_quantiles": [LINE]},), r"must have shape \(3, 2\), got"),
        ("trajectories", (RUNS | {"lyapunov": "0"},), r"data\['lyapunov'\] must be a real number"),
        ("losses", (LOSSES | {"retain_loss": [1.0]},), "data must hold series of one length"),
        ("losses", ([1.0],), "data must be a dictionary with text keys"),
    ],
)
def test_evidence_that_is_none_is_refused_by_name(axes, name, arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        getattr(rmtstab.figures, name)(axes, *arguments)


def test_runs_and_losses_are_drawn_as_they_are(axes):
    rmtstab.figures.trajectories(axes, RUNS)
    median, mean, *_, slope = (line.get_ydata() for line in axes.get_lines())
    np.testing.assert_allclose(median, np.exp(LINE))
    np.testing.assert_allclose(mean, np.sqrt(RISING))
    np.testing.assert_allclose(slope, np.exp(LINE), rtol=1e-12)  # at this rate, through the end
    other = axes.figure.add_subplot()
    rmtstab.figures.losses(other, LOSSES)
    np.testing.assert_allclose(other.get_lines()[1].get_ydata(), RISING)
