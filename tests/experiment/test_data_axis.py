"""Settings, samples and forget sets of the data axis; images of the real data."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from rmtstab.experiment import PRESETS, data, data_axis  # noqa: E402 (needs torch)
from rmtstab.experiment.data_axis import Setting, describe, mean_escape, variations  # noqa: E402

SMALL = Setting(n=20, n_forget=6, dim=40, filters=4, snr=2.0)


def test_samples_are_what_the_setting_says(rng):
    setting = Setting(n=50, positive=0.8, snr=3.0)
    patches, labels = data_axis._sample(setting, 50, 0.2, rng)
    true = np.sign(patches[:, 0, 0])
    assert (true > 0).sum() == 40 and (true != labels).sum() == 10


@pytest.mark.parametrize("kind", data_axis.FORGET_KINDS)
def test_forget_sets(kind, rng):
    setting = Setting(n=20, n_forget=6, dim=40, filters=4, snr=2.0, forget=kind)
    patches, labels = data_axis._sample(setting, 20, 0.0, rng)
    model = data_axis._model(setting, 0)
    data_axis._train(model, patches, labels)
    chosen = data_axis._forget_set(setting, model, patches, labels, rng)
    assert chosen.sum() == 6
    losses = data_axis._losses(data_axis._outputs(model, patches), labels)
    if kind == "hardest":
        assert losses[chosen].min() >= losses[~chosen].max()
    elif kind == "easiest":
        assert losses[chosen].max() <= losses[~chosen].min()
    elif kind == "class":
        assert (labels[chosen] > 0).all()
    else:
        assert (labels[chosen] > 0).sum() == 3


def test_a_class_that_is_too_small_is_not_filled_up_with_the_other():
    setting = Setting(n=20, n_forget=6, dim=30, filters=2, positive=0.2, forget="class")
    with pytest.raises(ValueError, match="n_forget must be at most the positive samples=4 with"):
        describe(setting, 0)


def test_a_record_is_repeatable_and_forgets():
    found = describe(SMALL, [1, 0])
    assert found == describe(SMALL, [1, 0])
    assert found["steps"] is not None and found["forget_accuracy"] <= 0.5
    assert found["retain_accuracy"] > 0.7 and found["test_accuracy"] > 0.9
    assert 0.0 < found["resistance"] < 1.0


def test_mean_escape_is_that_of_the_problem(rng):
    from rmtstab import UnlearningProblem

    rows = rng.standard_normal((9, 14))
    gram = rows @ rows.T
    curvature, resistance = mean_escape(gram, 6, 0.3)
    dyn = UnlearningProblem.from_gram(gram, 6).dynamics(
        step_size=1e-7, batch_size=(6, 3), alpha=0.3
    )
    assert -curvature == pytest.approx(float(np.min(dyn.mean_eigenvalues)), rel=1e-9)
    assert resistance == pytest.approx(dyn.resistance(), rel=1e-5)
    assert mean_escape(np.eye(2), 1, 0.3)[0] == pytest.approx(0.3)


def test_one_field_at_a_time():
    found = variations(SMALL, snr=(2.0, 0.0), forget=("random", "class"))
    assert found[0] == SMALL and len(found) == 3
    with pytest.raises(ValueError, match="forget must be one of"):
        Setting(forget="oldest")
    with pytest.raises(ValueError, match=r"n_forget must lie in \[2, n - 2=18\], got 19"):
        Setting(n=20, n_forget=19)
    assert len(data_axis.of_preset(PRESETS["tiny"])) == 5


@pytest.mark.parametrize("name", ["photographs", "textures"])
def test_images_of_both_classes(name):
    if name == "photographs":
        pytest.importorskip("sklearn")
    spec = {"data": name, "snr": None, "forget": "class", "index": 0, "seed": 0}
    preset = PRESETS["tiny"]
    patches, labels, n_retain = data.load(preset, spec)
    assert patches.shape == (30, 4, 36) and n_retain == 27
    assert (labels[n_retain:] > 0).all() and abs(labels.sum()) <= 2
    again = data.load(preset, {**spec, "index": 1})[0]
    assert np.abs(again - patches).max() > 0.1
    images, _, kept = data.load_images(preset, spec)
    assert images.shape == (30, 8, 8) and kept == 27


def test_textures_differ_by_direction():
    images, labels = data.textures(400, np.random.default_rng(0))
    across = np.abs(np.diff(images, axis=2)).mean(axis=(1, 2))  # along x: the upright ones vary
    down = np.abs(np.diff(images, axis=1)).mean(axis=(1, 2))
    assert np.mean((across > down) == (labels > 0)) > 0.95


SPEC = {"data": "digits", "forget": "random", "index": 0, "seed": 0}


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [  # each was taken, and gave fewer samples, a random forget set, half of a matrix
        (lambda: data.digits(1798, 0), ValueError, r"n must lie in \[4, 1797\], got 1798"),
        (
            lambda: data.load(PRESETS["tiny"], SPEC | {"forget": "seven"}), ValueError,
            r"spec\['forget'\] must be one of 'random', 'sevens', got 'seven'",
        ),
        (lambda: mean_escape([[1.0, 9.0], [0.0, 1.0]], 1, 0.5), ValueError, "must be symmetric"),
        (lambda: mean_escape(np.eye(2), 2, 0.5), ValueError, "n_retain must lie in"),
        (lambda: variations(Setting(), ratio=(1.0,)), ValueError, "axes must be one of 'snr'"),
        (lambda: variations(None), TypeError, "base must be a Setting"),
        (lambda: describe(Setting(), 1.5), TypeError, "seed must be a numpy Generator"),
        (lambda: describe(Setting(), [-1]), ValueError, r"seed\[0\] must be >= 0"),
        (lambda: data_axis.table([{"snr": 1}], "snr", ["steps"]), ValueError, "must have steps"),
    ],
)  # fmt: skip
def test_what_is_no_setting_is_refused(build, error, message):
    if "digits" in build.__code__.co_names or "load" in build.__code__.co_names:
        pytest.importorskip("sklearn")
    with pytest.raises(error, match=message):
        build()


def test_a_gram_of_zeros_moves_nowhere():
    assert mean_escape(np.zeros((3, 3)), 1, 0.5) == (0.0, None)
