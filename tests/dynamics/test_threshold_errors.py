"""Error bounds of critical step sizes, against 50 digits, where D and the noise cancel.

Samples nearly alike, mixings near ½, curvatures over fourteen decades, axes turned or not: a
bound must hold, and must not be one that nobody can use.
"""

from dataclasses import replace

import mpmath as mp
import numpy as np
import pytest

import rmtstab as rs
from rmtstab.dynamics.mean_curvature import MeanCurvature, resolution
from rmtstab.sampling import SAMPLINGS


def coefficient(n, batch, sampling):
    n, b = mp.mpf(n), mp.mpf(batch)
    if sampling == "without_replacement":
        return (n - b) / (n * b * (n - 1)) if n > 1 else mp.mpf(0)
    return 1 / (n * b) if sampling == "with_replacement" else (1 - b / n) / (n * b)


def exact_threshold(sets, batches, alpha, sampling):
    """``1/λ_max(L^{-1/2} N L^{-1/2})`` of these very floats, or 0 where D is not positive."""
    weights = 1 - mp.mpf(alpha), mp.mpf(alpha)
    each = [[mp.matrix(z.tolist()).T * mp.matrix(z.tolist()) for z in part] for part in sets]
    r = each[0][0].rows
    means = [sum(part, mp.zeros(r)) / len(part) for part in each]
    d, turn = mp.eigsy(weights[0] * means[0] - weights[1] * means[1])
    if min(d) <= 0:
        return mp.mpf(0)
    noise = []
    for a, part, mean, batch in zip(weights, each, means, batches, strict=True):
        c = a * a * coefficient(len(part), batch, sampling)
        centre = mean * (sampling != "bernoulli")
        noise += [(c, turn.T * (h - centre) * turn) for h in part]
    pairs = [(p, q) for p in range(r) for q in range(p, r)]
    matrix = mp.zeros(len(pairs))
    for j, (p, q) in enumerate(pairs):
        m = mp.zeros(r)
        m[p, q] = m[q, p] = (1 if p == q else 1 / mp.sqrt(2)) / mp.sqrt(d[p] + d[q])
        image = sum((c * (b * m * b) for c, b in noise), mp.zeros(r))
        for i, (x, y) in enumerate(pairs):
            size = (1 if x == y else mp.sqrt(2)) / mp.sqrt(d[x] + d[y])
            matrix[i, j] = size * (image[x, y] + d[x] * d[y] * m[x, y])
    return 1 / max(mp.eigsy((matrix + matrix.T) / 2, eigvals_only=True))


def draw(rng, hard=False):
    """Factors of two sets that nearly cancel in D at the mixing; hard ones small and turned."""
    d = int(rng.integers(1 + hard, 4))
    scales = 10.0 ** (rng.uniform(-6.5, -4.5, d) if hard else rng.uniform(-7, 0, d))
    spread = 10.0 ** (rng.uniform(-12, -9) if hard else rng.uniform(-12, -1))
    scales[0] = 1.0

    def some():
        shape = (int(rng.integers(2, 4)), d, d)
        return list(np.diag(scales) * (1.0 + spread * rng.standard_normal(shape)))

    sets = [some(), some()]
    if rng.random() < 0.5:  # one sample of each set lacks the small directions
        for part in sets:
            part[-1][1:] = 0.0
    if rng.random() < 0.5:
        sets[1] = [z.copy() for z in sets[0]]
    if hard or rng.random() < 0.6:
        turn = np.linalg.qr(rng.standard_normal((d, d)))[0]
        sets = [[z @ turn for z in part] for part in sets]
    gap = max(10.0 ** rng.uniform(-12, -1), min(spread * 10.0 ** rng.uniform(0, 2), 0.1))
    return sets, 0.5 - gap


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("hard", [False, True])
def test_thresholds_lie_within_their_bounds_where_everything_cancels(sampling, hard):
    """On turned axes a bound from the coordinates' own sizes fails."""
    rng = np.random.default_rng(0)
    with mp.workdps(50):
        for case in range(20):
            sets, alpha = draw(rng, hard)
            exact = exact_threshold(sets, (1, 1), alpha, sampling)
            problem = rs.UnlearningProblem.from_factors(*sets)
            found = problem.critical_step_size((1, 1), alpha, sampling=sampling)
            assert abs(found.value - exact) <= found.error_bound + 1e-12 * exact, case


@pytest.mark.parametrize("turned", [False, True])
def test_a_small_directions_threshold_is_known_as_well_as_its_own_coordinates(turned):
    """2.0 of curvatures (1, 2⁻²²) and a mixing 2⁻²⁴ below ½: D's eigenvalues are 2⁻²³ and 2⁻⁴⁵."""
    h = 2.0**-21
    retain = [np.diag([1.0, h**0.5]), np.array([[1.0, 0.0]])]
    if turned:
        turn = np.linalg.qr(np.random.default_rng(0).standard_normal((2, 2)))[0]
        retain = [z @ turn for z in retain]
    found = rs.UnlearningProblem.from_factors(retain, retain).critical_step_size(1, 0.5 - 2.0**-24)
    with mp.workdps(50):
        exact = exact_threshold([retain, retain], (1, 1), 0.5 - 2.0**-24, "without_replacement")
    assert float(exact) == pytest.approx(2.0, rel=1e-4 if turned else 1e-12)
    assert abs(found.value - exact) <= found.error_bound
    # turned, a coordinate of 2^-10.5 is rounded like one of 1: that is in the data
    assert found.error_bound < (1e-3 if turned else 2e-7)


@pytest.mark.parametrize("unit", [2.0**-12, 1.0])
@pytest.mark.parametrize("spread", ["own", "unknown"])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_errors_of_coordinates_add_up_in_one_dimension(sampling, spread, unit):
    """``η* = 2d/(d² + ν)``: partial derivatives in every z_i and in d, times their errors.

    A coordinate is known to ``2ε√(N + r)`` of what its sum was made of: |z_i| and the spread.
    """
    alpha, batch = 0.25, (2, 1)
    z = unit * np.array([0.75, 0.5, 1.0, 0.5, 0.25])  # three to retain, two to forget
    problem = rs.UnlearningProblem.from_factors(z[:3, None], z[3:, None])
    if spread == "unknown":  # the largest singular value is taken
        problem = rs.UnlearningProblem(replace(problem.factors, spread=None), 3)
    h = z * z
    d = 0.75 * h[:3].mean() - 0.25 * h[3:].mean()
    noise, along = 0.0, np.zeros(5)  # ν, and h_i less the set's mean where the scheme centres
    for part, a, n, b in ((slice(0, 3), 0.75, 3, batch[0]), (slice(3, 5), 0.25, 2, batch[1])):
        c = a * a * float(coefficient(n, b, sampling))
        about = h[part] - (h[part].mean() if sampling != "bernoulli" else 0.0)
        noise += c * np.sum(about**2)
        along[part] = c * np.abs(about * z[part])
    step = 2.0 * d / (d * d + noise)
    update = problem.dynamics(step, batch, alpha, sampling)
    size = np.abs(z) + (problem.factors.spread if spread == "own" else np.linalg.norm(z))
    error = 2.0 * np.finfo(float).eps * np.sqrt(6.0) * size  # of each z_i, N + r = 6
    blur = 2.0 * np.repeat([0.25, 0.125], [3, 2]) @ (np.abs(z) * error)
    blur += 2.0 * d * 2.0 * np.finfo(float).eps * np.sqrt(6.0)  # the axis itself
    # ⟨M, LM⟩ = 2dM² = 1: of L, of the mean's part of N, of the noise's
    square = 0.5 / d
    expected = square * (2.0 * blur + 2.0 * step * d * blur + 4.0 * step * along @ error)
    mean = MeanCurvature.of(update, np.array([d]), resolution(update))
    found = mean.inherited(np.array([[np.sqrt(square)]]), step)
    assert found == pytest.approx(expected, rel=1e-9, abs=0.0)
    assert problem.critical_step_size(batch, alpha, sampling=sampling).value == pytest.approx(step)


def test_a_critical_mixing_at_a_long_step_is_within_its_error():
    """Without noise D = 0 is the threshold: the minorant's terms are 400 times what they leave."""
    h, f = -0.9762136287950618, 0.12222816259552444
    problem = rs.UnlearningProblem.from_factors([[h]] * 2, [[f]])
    with mp.workdps(50):
        exact = mp.mpf(h) ** 2 / (mp.mpf(h) ** 2 + mp.mpf(f) ** 2)
        for step in (424.40000032545925, 1.3, 1e5):
            found = problem.critical_alpha(step, (2, 1), sampling="bernoulli")
            assert abs(mp.mpf(found.value) - exact) <= found.error_bound <= 1e-12 * max(1.0, step)
