"""Nearly alike samples, whose noise is what is left where their sum cancels."""

import itertools

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


def batches(retain, forget, step, alpha, size):
    """``1 − ηĥ`` of each pair of batches drawn with replacement, one dimension, 50 digits."""
    means = [
        [mp.fsum(drawn) / size for drawn in itertools.product(map(mp.mpf, z), repeat=size)]
        for z in ([mp.mpf(float(x)) ** 2 for x in rows[:, 0]] for rows in (retain, forget))
    ]
    eta, a = mp.mpf(float(step)), mp.mpf(float(alpha))
    return [1 - eta * ((1 - a) * h - a * g) for h in means[0] for g in means[1]]


def alike(spread):
    rng = np.random.default_rng(3)
    retain, forget = (0.9 + spread * rng.standard_normal((n, 1)) for n in (3, 2))
    return retain, forget, UnlearningProblem.from_factors(retain, forget)


@pytest.mark.parametrize("share", [0.3, 0.99])
def test_the_typical_rate_stays_below_its_upper_bound(share):
    """Tilted batches gave −.0465 above a rate of −.0410: rounding, taken for noise."""
    retain, forget, problem = alike(1e-8)
    alpha = 0.5 - 4e-8
    step = share * float(problem.critical_step_size((2, 2), alpha, sampling="with_replacement"))
    found = problem.dynamics(step, (2, 2), alpha, "with_replacement").lyapunov_bounds()
    with mp.workdps(50):
        factors = batches(retain, forget, step, alpha, 2)
        rate = mp.fsum(mp.log(abs(x)) for x in factors) / len(factors)
    rounding = 1e-15 * step  # of 1 − ηĥ
    assert found.lower - rounding <= rate <= found.upper + rounding
    assert found.upper <= found.mean_square


def test_what_cancels_is_in_the_error_of_a_critical_mixing():
    """1.5e-10 off beside a stated 2e-15, at a step that resolves alike samples."""
    retain, forget, problem = alike(1e-8)
    step = float(problem.critical_step_size((2, 2), 0.5 - 4e-8, sampling="with_replacement"))
    found = problem.critical_alpha(step, (2, 2), sampling="with_replacement")
    assert found.status == "interior"

    def excess(alpha):
        factors = batches(retain, forget, step, alpha, 2)
        return mp.fsum(x * x for x in factors) / len(factors) - 1

    with mp.workdps(50):
        assert excess(found.value - found.error_bound) < 0 < excess(found.value + found.error_bound)
    plain = UnlearningProblem.from_factors([[1.0], [2.0]], [[0.7], [1.1]])
    assert plain.critical_alpha(0.3, (1, 1)).error_bound < 1e-9  # honest, and no wider than that


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("spread", [1e-5, 1e-8])
def test_gradients_of_alike_samples_keep_their_noise(spread, momentum):
    """The affine moments in 50 digits: alike curvatures, alike gradients, steps to ``ηH = 1e6``."""
    rng = np.random.default_rng(7)
    alpha, size = 0.5 - 1e-9, 1.0 + 0.3 * spread
    retain, forget = (size + spread * rng.standard_normal((n, 1)) for n in (3, 2))
    problem = UnlearningProblem.from_factors(retain, forget)
    raw = [1.0 + spread * rng.standard_normal(n) for n in (3, 2)]
    for step in (0.5, 1e3, 1e6):
        dyn = problem.dynamics(step, (1, 1), alpha, "with_replacement", momentum=momentum)
        found = dyn.trajectory(
            3, np.zeros(1), gradients=problem.sample_gradients(np.concatenate(raw) / size)
        )
        with mp.workdps(50):
            eta, a, beta = mp.mpf(step), mp.mpf(alpha), mp.mpf(momentum)
            values = [mp.mpf(float(x)) for x in np.concatenate([retain, forget])[:, 0]]
            slopes = [
                z * mp.mpf(float(x))
                for z, x in zip(values, np.concatenate(raw) / size, strict=True)
            ]
            pairs = [
                (
                    1 + beta - eta * ((1 - a) * values[i] ** 2 - a * values[j] ** 2),
                    -eta * ((1 - a) * slopes[i] - a * slopes[j]),
                )
                for i in range(3)
                for j in (3, 4)
            ]
            m = mp.zeros(3)  # of (w, w₋, 1)
            m[2, 2] = 1
            for k in range(1, 4):
                total = mp.zeros(3)
                for gain, push in pairs:
                    matrix = mp.matrix([[gain, -beta, push], [1, 0, 0], [0, 0, 1]])
                    total += matrix * m * matrix.T
                m = total / len(pairs)
                allowed = 1e-9 + 1e-15 * step / spread / max(1.0, spread * step)
                assert abs(found.displacement[k] / m[0, 0] - 1) < allowed, (step, k)
