"""The data model: geometry exactly, moments within Monte Carlo error."""

import numpy as np
import pytest

from rmtstab.ensembles import SignalPlusNoise


@pytest.mark.parametrize("n", [6, 7])
def test_geometry(n):
    patches, labels = SignalPlusNoise(n, 30, snr=0.7, noise=2.0).sample(1)
    assert abs(labels.sum()) == n % 2
    np.testing.assert_allclose(patches[:, 0, 0], labels * 0.7 * 2.0 * np.sqrt(30))
    assert not patches[:, 0, 1:].any()
    np.testing.assert_array_equal(np.einsum("id,id->i", patches[:, 0], patches[:, 1]), 0.0)


def test_noise_moments():
    patches, _ = SignalPlusNoise(400, 50, snr=0.0, noise=3.0).sample(np.random.default_rng(0))
    noise = patches[:, 1, 1:]
    draws = noise.size
    assert abs(noise.mean()) < 5 * 3.0 / np.sqrt(draws)
    assert abs((noise**2).mean() - 9.0) < 5 * 9.0 * np.sqrt(2 / draws)
    assert not patches[:, 0].any()


def test_same_seed_same_data():
    model = SignalPlusNoise(5, 4, 1.0)
    np.testing.assert_array_equal(model.sample(3)[0], model.sample(np.random.default_rng(3))[0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((1, 4, 0.0), ValueError, "n must be >= 2 and finite, got 1"),
        ((4, 1, 0.0), ValueError, "dim must be >= 2"),
        ((4, 4, -0.1), ValueError, "snr must be >= 0 and finite, got -0.1"),
        ((4, 4, np.nan), ValueError, "snr must be >= 0 and finite, got nan"),
        ((4, 4, 1.0, 0.0), ValueError, "noise must be > 0 and finite, got 0.0"),
        ((4.0, 4, 1.0), TypeError, "n must be an integer, got 4.0"),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=message):
        SignalPlusNoise(*arguments)
