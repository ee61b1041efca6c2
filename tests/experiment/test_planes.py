"""Planes: their axes, the cells that a run makes of them, and one line against single runs."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from rmtstab.experiment import Plane, Preset
from rmtstab.experiment.cells import plane_cells, plane_specs
from rmtstab.experiment.presets import FULL, QUICK, TINY
from rmtstab.sweeps import Cell


@pytest.mark.parametrize(
    ("smallest", "n", "count"), [(4, 48, 12), (4, 48, 24), (2, 48, 24), (3, 9, 7)]
)
def test_batch_sizes_are_whole_distinct_and_spaced_by_ratio(smallest, n, count):
    found = Plane("p", columns=count).batch_sizes(smallest, n, 12)
    retain = [b for b, _ in found]
    assert retain[0] == smallest and retain[-1] == n and len(set(retain)) == count
    assert retain == sorted(retain)
    assert all(f == max(1, round(12 * r / n)) for r, f in found)
    steps = np.diff(np.log(retain))
    ratio = np.log(n / smallest) / (count - 1)
    assert all(step <= ratio + np.log(1 + 1.01 / b) for step, b in zip(steps, retain, strict=False))


def test_a_set_too_small_has_fewer_batches():
    assert Plane("p", columns=12).batch_sizes(3, 6, 2) == ((3, 1), (4, 1), (5, 2), (6, 2))


def test_mixings_start_at_zero_in_equal_steps():
    alphas = Plane("p", rows=16).alphas(0.2)
    assert alphas[0] == 0.0 and alphas[-1] == 0.28 and len(alphas) == 16
    assert np.ptp(np.diff(alphas)) < 2e-6
    assert Plane("p", rows=3).alphas(0.9) == (0.0, 0.5, 1.0)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"axes": ("alpha", "snr")}, ValueError, "axes must be one of"),
        ({"share": 1.0}, ValueError, "share must lie in"),
        ({"horizons": (100, 50)}, ValueError, "horizons must ascend"),
        ({"axes": ("snr", "alpha"), "snrs": (0.1,)}, ValueError, "snrs must hold columns=12"),
        (
            {"axes": ("snr", "alpha"), "snrs": (0.0, 1.0), "columns": 2},
            ValueError,
            "snrs must be > 0",
        ),
        ({"rows": 1}, ValueError, "rows must be >= 2"),
        ({"name": ""}, TypeError, "name must be a word"),
    ],
)  # fmt: skip
def test_bad_planes(changes, error, message):
    with pytest.raises(error, match=message):
        Plane(**({"name": "p"} | changes))


def test_presets_hold_planes_and_take_them_back_from_json():
    again = Preset(**QUICK.describe())
    assert again == QUICK
    with pytest.raises(ValueError, match="planes must have names of their own"):
        Preset("mine", planes=(Plane("a"), Plane("a")))
    with pytest.raises(TypeError, match="planes must be a tuple of Plane"):
        Preset("mine", planes=("a",))


def networks_of(preset):
    specs = plane_specs(preset) + [
        {"data": "signal_plus_noise", "snr": snr, "forget": "balanced", "index": k}
        for snr in preset.snrs
        for k in range(preset.repeats)
    ]
    keys = {f"{p.share:g}" for p in preset.planes}
    return [
        {**s, "n_retain": 48, "active_filters": [1] * 60, "threshold": 0.2,
         "map": {"batch_sizes": [[4, 1]]}, "mean_frontier": dict.fromkeys(keys, 0.1 + s["index"])}
        for s in specs
    ]  # fmt: skip


def run_steps(preset):
    found = plane_cells(preset, networks_of(preset), lambda n, **p: Cell.of("line", 0, **p, **n))
    return found, preset.map_replicas * sum(
        len(c["batch_sizes"]) * len(c["alphas"]) * c["horizons"][-1] for c in found
    )


def test_the_size_of_the_maps():
    """What the presets promise: 12 × 16 cells in quick, 24 × 24 in full, at most 6e7 steps."""
    cells, steps = run_steps(QUICK)
    assert len(cells) == 2 * 12 * 12 and all(len(c["alphas"]) == 16 for c in cells)
    assert steps == 2 * 12 * 192 * 4 * 100
    cells, steps = run_steps(FULL)
    assert 3e7 < steps <= 6e7
    assert {p.share for p in FULL.planes} == {0.5, 0.8, 0.95}
    assert [p.horizons for p in FULL.planes if p.horizons] == [(300,), (1000,)]
    for plane in FULL.planes:
        own = [c for c in cells if c["plane"] == plane.name]
        panels = len(plane.snrs) if plane.axes[0] == "batch_size" else 24
        lines = 24 if plane.axes[0] == "batch_size" else 1
        assert len(own) == 5 * panels * lines
        points = len(own) * len(own[0]["batch_sizes"]) * len(own[0]["alphas"])
        assert points == 5 * panels * 24 * (24 if plane.axes[0] == "batch_size" else 1)


def test_mixings_reach_as_far_as_the_plane_says():
    """An axis for a tenth of the frontier still has rows of its own, not one rounded value."""
    assert Plane("low", rows=3, reach=0.2).alphas(0.147) == (0.0, 0.0145, 0.029)
    assert Plane("all", rows=3).alphas(0.9) == (0.0, 0.5, 1.0)
    with pytest.raises(ValueError, match="reach must lie"):
        Plane("none", reach=0.0)


def test_one_axis_of_mixings_for_all_networks_of_a_map():
    cells, _ = run_steps(QUICK)
    axes = {(c["plane"], c["snr"]): set() for c in cells}
    for c in cells:
        axes[c["plane"], c["snr"]].add(tuple(c["alphas"]))
    assert all(len(found) == 1 for found in axes.values())
    (top,) = {max(a) for found in axes.values() for a in found}
    assert top == pytest.approx(min(1.0, 1.4 * 1.1))  # the middle network's frontier


def test_networks_that_only_planes_need():
    assert plane_specs(QUICK) == []
    assert {s["snr"] for s in plane_specs(TINY)} == {0.5}


def test_a_column_repeats_and_agrees_with_single_settings():
    """What is seen at one mixing is what a run of its own sees."""
    torch = pytest.importorskip("torch")
    from rmtstab.experiment import networks, observations, predictions

    torch.set_num_threads(1)
    spec = {"data": "signal_plus_noise", "snr": 1.0, "forget": "balanced", "index": 0, "seed": 1}
    network, _ = networks.train(TINY, spec, "cpu")
    call = partial(observations.column, network, TINY, 0.1, (3, 1))
    seen = call([0.0, 0.2, 0.9], [10, 20], np.random.default_rng(2))
    assert seen == call([0.0, 0.2, 0.9], [10, 20], np.random.default_rng(2))
    assert np.shape(seen["escaped"]) == (2, 3) and np.shape(seen["mean"]) == (2, 3)
    assert seen["escaped"][1] >= seen["escaped"][0]  # later counts more
    rng = np.random.default_rng(2)
    starts = network.starts(TINY.map_replicas, TINY.displacement, rng)
    runs = network.unlearn(
        step_size=0.1, batch_size=(3, 1), alpha=np.array([0.0, 0.9]), steps=20, initial=starts,
        rng=rng, record_every=1,
    )  # fmt: skip
    logs = np.log(runs.displacement / runs.displacement[..., :1])
    assert seen["mean"][1][0] == pytest.approx(logs[0, :, 20].mean(), abs=1e-4)
    assert seen["mean"][0][2] == pytest.approx(logs[1, :, 10].mean(), abs=1e-4)
    level = np.log(TINY.radius)
    assert seen["escaped"][1][2] == (logs[1].max(axis=1) >= level).sum()
    told = predictions.column(
        network.problem(), TINY, 0.1, (3, 1), [0.0, 0.2, 0.9], [10, 20], np.random.default_rng(3)
    )
    assert np.shape(told["peak"]) == (2, 3)
    assert all(
        a <= b for a, b in zip(told["probability"][1], told["probability_wrong"][1], strict=True)
    )
    path = network.problem().dynamics(0.1, (3, 1), 0.9, "without_replacement").trajectory(20)
    square = 0.5 * np.log(path.displacement[20] / path.displacement[0])
    assert told["mean_square"][1][2] == pytest.approx(square, abs=1e-4)


def test_the_median_error_is_that_of_many_medians(rng):
    from rmtstab.experiment.predictions import median_error

    draws = rng.standard_normal((2000, 400))
    medians = np.median(draws, axis=1)
    found = np.mean([median_error(row[:, None])[0] for row in draws])
    assert found == pytest.approx(medians.std(), rel=0.1)


def test_other_ratios_map_what_they_say():
    """Ratios in place of a preset's: no plane brings the old ones back."""
    own = replace(FULL, name="mine", snrs=(0.3, 5.0))
    cells, _ = run_steps(own)
    maps = {(c["plane"], c["snr"]) for c in cells if not c["plane"].startswith("snr-")}
    assert maps == {(plane, 0.3) for plane in ("half", "closer", "near", "300-steps", "1000-steps")}
    assert len({c["snr"] for c in cells if c["plane"] == "snr-alpha"}) == 24


@pytest.mark.parametrize(
    ("horizons", "step"),
    [((100,), 10), ((100, 300, 1000), 10), ((25,), 1), ((25, 30), 1), ((9,), 1)],
)
def test_runs_are_looked_at_at_every_horizon(horizons, step):
    from rmtstab.experiment.predictions import record_step

    assert record_step(horizons) == step
