"""Batches of many replicas: their distribution, their independence of one another, their epochs."""

from itertools import islice

import numpy as np
import pytest

pytest.importorskip("torch")

from rmtstab.bridge.batches import SCHEMES, draw
from rmtstab.bridge.run_plan import plan_runs
from tests import naive


def batches(n, batch, sampling, replicas, steps, seed=0):
    return list(islice(draw(n, batch, sampling, replicas, np.random.SeedSequence(seed)), steps))


def counts(n, drawn):
    """Inclusion counts, (steps, replicas, n)."""
    result = np.zeros((len(drawn), len(drawn[0][0]), n))
    for step, (indices, present) in enumerate(drawn):
        for replica, row in enumerate(indices):
            kept = row if present is None else row[present[replica]]
            np.add.at(result[step, replica], kept, 1.0)
    return result


@pytest.mark.parametrize("sampling", SCHEMES)
def test_inclusion_counts_have_the_scheme_s_moments(sampling):
    """Mean and covariance of the counts within 5 standard errors of the scheme's definition."""
    n, batch = 6, 2
    drawn = counts(n, batches(n, batch, sampling, 40, 300)).reshape(-1, n)
    assert np.abs(drawn.mean(axis=0) - batch / n).max() < 5 * drawn.std() / len(drawn) ** 0.5
    # one step of shuffled epochs, alone, is a uniform subset
    scheme = "without_replacement" if sampling == "shuffled" else sampling
    expected = naive.batch_covariance(n, batch, scheme)
    error = np.abs(np.cov(drawn.T) - expected)
    assert error.max() < 5 * 2.0 / len(drawn) ** 0.5


@pytest.mark.parametrize("sampling", SCHEMES)
def test_a_replica_depends_neither_on_the_others_nor_on_the_horizon(sampling):
    many = counts(7, batches(7, 3, sampling, 5, 30))
    few = counts(7, batches(7, 3, sampling, 2, 12))
    np.testing.assert_array_equal(many[:12, :2], few)
    assert not np.array_equal(many[:, 0], many[:, 1])


def test_shuffled_epochs_visit_each_sample_once_and_drop_the_last_partial_batch():
    drawn = counts(7, batches(7, 3, "shuffled", 3, 40))
    epochs = drawn.reshape(20, 2, 3, 7).sum(axis=1)
    assert epochs.max() == 1 and (epochs.sum(axis=-1) == 6).all()
    assert len({tuple(row) for row in epochs[:, 0]}) > 3  # another sample is left out each time


def test_alternating_epochs_ascend_first():
    plan = plan_runs(
        (9, 4), step_size=0.1, batch_size=(3, 2), alpha=0.5, steps=12, replicas=1, rng=0,
        update="alternating",
    )  # fmt: skip
    present = [(r is not None, f is not None) for r, f in plan.batches()]
    epoch = [(False, True)] * 2 + [(True, False)] * 3
    assert present == (epoch * 3)[:12]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step_size": [0.1, -1.0]}, r"step_size must be > 0 and finite, got -1\.0"),
        ({"alpha": 1.5}, r"alpha must lie in \[0, 1\], got 1\.5"),
        ({"batch_size": (10, 2)}, r"batch_size must lie in \[1, n_retain=9\], got 10"),
        ({"batch_size": 5}, r"batch_size must lie in \[1, n_forget=4\], got 5"),
        ({"steps": -1}, "steps must be >= 0"),
        ({"sampling": "epochs"}, "sampling must be one of 'bernoulli'"),
        ({"update": "both"}, "update must be one of 'simultaneous', 'alternating'"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\), got 1\.0"),
        ({"weight_decay": -0.1}, "weight_decay must be >= 0"),
        ({"schedule": [1.0]}, "schedule must hold a factor for each of 5 steps, got 1"),
        ({"schedule": -np.ones(5)}, r"schedule must be >= 0, got -1\.0"),
        ({"step_size": np.ones(2), "alpha": np.ones(3)}, "step_size and alpha must broadcast"),
        ({"record_every": 0}, "record_every must be >= 1"),
        ({"replicas": 0}, "replicas must be >= 1"),
    ],
)
def test_bad_input(change, message):
    arguments = {
        "step_size": 0.1, "batch_size": 2, "alpha": 0.5, "steps": 5, "replicas": 2, "rng": 0,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        plan_runs((9, 4), **(arguments | change))


def test_without_a_forget_set_there_is_no_ascent():
    with pytest.raises(ValueError, match=r"alpha must be 0 without a forget set, got 0\.5"):
        plan_runs((9, 0), step_size=0.1, batch_size=2, alpha=0.5, steps=1, replicas=1, rng=0)


@pytest.mark.parametrize("settings", [{"sampling": "bernoulli"}, {"update": "alternating"}])
def test_batches_that_go_to_a_device_together_are_those_that_were_drawn(settings):
    torch = pytest.importorskip("torch")
    from rmtstab.bridge.batch_transfer import _together, transferred

    plan = plan_runs(
        (9, 4), step_size=0.1, batch_size=(3, 2), alpha=0.5, steps=12, replicas=3, rng=0,
        **settings,
    )  # fmt: skip
    drawn, device = list(plan.batches()), torch.device("cpu")
    alone = list(transferred(iter(drawn), device))
    together = list(_together(drawn, device))
    assert len(alone) == len(together) == 12
    for pair, *moved in zip(drawn, alone, together, strict=True):
        for own, *tensors in zip(pair, *moved, strict=True):
            for found in tensors:
                if own is None:
                    assert found is None
                    continue
                np.testing.assert_array_equal(found[0], own[0])
                assert (found[1] is None) == (own[1] is None)
                if own[1] is not None:
                    assert found[1].dtype == torch.bool
                    np.testing.assert_array_equal(found[1], own[1])
