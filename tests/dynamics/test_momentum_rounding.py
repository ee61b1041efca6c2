"""Growth with momentum near critical damping, where rounding moves ρ by its square or cube root."""

import mpmath as mp
import numpy as np
import pytest

from rmtstab import UnlearningProblem
from rmtstab.dynamics.certificate import ROUNDING
from tests.strategies import SAMPLINGS

DIGITS = 50


def exact(retain, forget, step, alpha, momentum, sampling):
    """ρ of ``Φ_β`` in one dimension, batches of one: a 3 × 3 matrix in 50 digits."""
    with mp.workdps(DIGITS):
        mean, noise = mp.mpf(0), mp.mpf(0)
        for sign, weight, rows in ((1, 1 - mp.mpf(alpha), retain), (-1, mp.mpf(alpha), forget)):
            h = [mp.mpf(float(z)) ** 2 for z in rows]
            n, middle = len(h), mp.fsum(h) / len(h)
            mean += sign * weight * middle
            if sampling == "bernoulli":
                noise += weight**2 * (1 - mp.mpf(1) / n) / n * mp.fsum(x * x for x in h)
            else:
                noise += weight**2 / mp.mpf(n) * mp.fsum((x - middle) ** 2 for x in h)
        eta, beta = mp.mpf(float(step)), mp.mpf(momentum)
        a = 1 + beta - eta * mean
        rows = [[a * a + eta**2 * noise, -2 * a * beta, beta**2], [a, -beta, 0], [1, 0, 0]]
        return max(abs(x) for x in mp.eig(mp.matrix(rows), left=False, right=False))


@pytest.mark.parametrize(
    ("sampling", "momentum"), list(zip(SAMPLINGS, (0.99, 0.5, 0.9999), strict=True))
)
def test_what_rounding_becomes_is_in_the_error_bound(sampling, momentum):
    """Alike samples, so that there is next to no noise, at and beside ``a² = 4β``.

    Noise of 1e-15 moves ρ by 1e-5 there: it was dropped, beside a stated error of 1e-13.
    """
    rng = np.random.default_rng(3)
    widths = []
    for decade, alpha in ((2, 0.1), (8, 0.4999), (16, 0.4999)):
        for off in (0.0, 1e-12, -1e-6, 1e-2):
            retain = 1.0 + 10.0**-decade * rng.standard_normal((3, 1))
            forget = 1.0 + 10.0**-decade * rng.standard_normal((2, 1))
            problem = UnlearningProblem.from_factors(retain, forget)
            mean = (1 - alpha) * np.mean(retain**2) - alpha * np.mean(forget**2)
            step = (1 + momentum - 2 * momentum**0.5) / mean * (1 + off)
            low, high = problem.dynamics(
                step, (1, 1), alpha, sampling, momentum=momentum
            ).enclosure()
            true = exact(retain[:, 0], forget[:, 0], step, alpha, momentum, sampling)
            assert low * (1 - ROUNDING) <= true <= high
            if sampling != "bernoulli":
                widths.append((high - low) / low)
    assert max(widths, default=0.0) < 1e-3  # at the double root 1e-5; elsewhere 1e-9


def test_without_noise_and_away_from_the_double_root_rounding_stays_small():
    problem = UnlearningProblem.from_factors(np.ones((2, 1)))
    low, high = problem.dynamics(0.5, 2, 0.0, momentum=0.2).enclosure()
    true = exact([1.0], [1.0], 0.5, 0.0, 0.2, "without_replacement")
    assert low <= true <= high <= low * (1 + 1e-12)
