"""Every validator names the argument, the rule and the value."""

import numpy as np
import pytest

from rmtstab import _checks


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: _checks.real("alpha", 1.5, low=0, high=1),
            ValueError,
            r"alpha must lie in \[0, 1\], got 1.5",
        ),
        (lambda: _checks.real("snr", -1, low=0), ValueError, "snr must be >= 0 and finite, got -1"),
        (lambda: _checks.real("q", np.nan), ValueError, "q must be finite, got nan"),
        (lambda: _checks.real("q", "1"), TypeError, "q must be a real number, got '1'"),
        (lambda: _checks.real("q", True), TypeError, "q must be a real number"),
        (
            lambda: _checks.real("B", 9, low=0, high=8, low_open=True, high_label="n"),
            ValueError,
            r"B must lie in \(0, n=8\], got 9",
        ),
        (lambda: _checks.integer("seed", 1.0), TypeError, "seed must be an integer, got 1.0"),
        (
            lambda: _checks.integer("batch_size", 64, low=1, high=48, high_label="n_retain"),
            ValueError,
            r"batch_size must lie in \[1, n_retain=48\], got 64",
        ),
        (
            lambda: _checks.choice("loss", "hinge", ("mse",)),
            ValueError,
            "loss must be one of 'mse', got 'hinge'",
        ),
        (
            lambda: _checks.array("K", [1.0, np.inf]),
            ValueError,
            "K must be finite, got 1 NaN or infinite of 2",
        ),
        (lambda: _checks.array("K", ["a"]), TypeError, "K must hold real numbers"),
        (
            lambda: _checks.array("K", [1.0], ndim=2),
            ValueError,
            r"K must have 2 axes, got shape \(1,\)",
        ),
        (
            lambda: _checks.labels("labels", [1, 0], 2),
            ValueError,
            "labels must hold only -1 and \\+1, got",
        ),
        (lambda: _checks.labels("labels", [1], 2), ValueError, r"labels must have shape \(2,\)"),
        (
            lambda: _checks.generator("rng", None),
            TypeError,
            "rng must be a numpy Generator or an integer seed",
        ),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_accepted_values_pass_through_as_float64():
    assert _checks.real("x", np.float32(0.5)) == 0.5
    assert _checks.integer("n", np.int64(3), low=0) == 3
    assert _checks.array("x", np.arange(3, dtype=np.int32)).dtype == np.float64
    assert _checks.array("x", np.array(2.0)).shape == ()
