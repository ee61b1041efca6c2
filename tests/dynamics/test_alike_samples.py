"""Second moments of nearly alike samples, whose noise is what is left where their sum cancels."""

import mpmath as mp
import numpy as np
import pytest

from rmtstab import UnlearningProblem


def exact_growth(retain, forget, step, alpha):
    """``E w_{k+1}² / E w_k²`` in one dimension, batches of one with replacement, in 50 digits."""
    with mp.workdps(50):
        mean, noise = mp.mpf(0), mp.mpf(0)
        for sign, weight, rows in ((1, 1 - mp.mpf(alpha), retain), (-1, mp.mpf(alpha), forget)):
            h = [mp.mpf(float(z)) ** 2 for z in rows[:, 0]]
            middle = mp.fsum(h) / len(h)
            mean += sign * weight * middle
            noise += weight**2 / len(h) * mp.fsum((x - middle) ** 2 for x in h)
        eta = mp.mpf(float(step))
        return (1 - eta * mean) ** 2 + eta**2 * noise


@pytest.mark.parametrize("spread", [1e-5, 1e-8])
@pytest.mark.parametrize("alpha", [0.1, 0.4999, 0.5 - 1e-9])
@pytest.mark.parametrize("step", [0.5, 1e3, 1e6])
def test_trajectories_and_escape_times_keep_the_noise_of_alike_samples(spread, alpha, step):
    """Summed before it was centred, it moved a trajectory by 1e-4 of its value in three steps."""
    rng = np.random.default_rng(1)
    retain, forget = (1.0 + spread * rng.standard_normal((n, 1)) for n in (3, 2))
    problem = UnlearningProblem.from_factors(retain, forget)
    dynamics = problem.dynamics(step, (1, 1), alpha, sampling="with_replacement")
    growth = exact_growth(retain, forget, step, alpha)
    found = dynamics.trajectory(3).displacement
    # the mean's curvature, (1 − 2α) of a sample's, is itself rounded at 2⁻⁵²
    allowed = 1e-12 + 1e-15 * step / float(growth) ** 0.5
    np.testing.assert_allclose(found, [float(growth**k) for k in range(4)], rtol=allowed)
    if growth > 1.001:
        level = float(growth) ** 2.5
        assert dynamics.escape_time(level**0.5) == 3.0
