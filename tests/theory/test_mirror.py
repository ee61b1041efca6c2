"""Mirror law: typical and mean square about the mean, to the order claimed; and shuffling."""

import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize

from rmtstab.theory import mirror
from rmtstab.theory.mirror import MirrorLaw
from tests import naive

SAMPLINGS = ("bernoulli", "without_replacement", "with_replacement")
RNG = np.random.default_rng(7)
Z = RNG.standard_normal((9, 2, 3)) + np.array([1.5, 0.0, 0.0])
H = np.einsum("nci,ncj->nij", Z, Z) / 4
RETAIN, FORGET = H[:5], H[5:]


def top(alpha):
    """Top eigenvector of I − ηD for small η: the least eigenvector of D(α)."""
    return np.linalg.eigh((1 - alpha) * RETAIN.mean(0) - alpha * FORGET.mean(0))[1][:, 0]


def scaled(hessians, spread):
    """The same mean, with deviations multiplied."""
    centre = hessians.mean(0)
    return centre + spread * (hessians - centre)


def test_moments_are_those_of_enumerated_batches():
    law = MirrorLaw.from_hessians(RETAIN, FORGET, top(0.4))
    alpha, batch = 0.4, (2, 3)
    draws = [
        (1 - alpha) * RETAIN[list(r)].mean(0) - alpha * FORGET[list(f)].mean(0)
        for r in itertools.combinations(range(5), 2)
        for f in itertools.combinations(range(4), 3)
    ]
    v = top(0.4)
    along = [v @ a @ v for a in draws]
    assert law.curvature(alpha) == pytest.approx(np.mean(along), rel=1e-12)
    found = law.variance(batch, alpha, "without_replacement")
    assert found == pytest.approx(np.var(along), rel=1e-12)
    second = law.second_moment(batch, alpha, "without_replacement")
    assert second == pytest.approx(np.mean([v @ a @ a @ v for a in draws]), rel=1e-12)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_mean_square_rate_to_second_order_in_the_noise(sampling):
    """½ log ρ − (log|j| + ν/2) falls with the square of the noise."""
    alpha, batch, eta = 0.5, (2, 2), 0.1
    errors, noises = [], []
    for spread in (1.0, 0.5, 0.25):
        if sampling == "bernoulli":  # less noise by larger batches
            sizes, sets = (5 - spread, 4 - spread), (RETAIN, FORGET)
        else:
            sizes, sets = batch, (scaled(RETAIN, spread), scaled(FORGET, spread))
        law = MirrorLaw.from_hessians(*sets, top(alpha))
        rates = law.rates(eta, sizes, alpha, sampling)
        matrix = naive.second_moment(*sets, eta, sizes, alpha, sampling)
        exact = 0.5 * math.log(np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[-1])
        errors.append(abs(exact - rates.mean_square))
        noises.append(rates.log_variance)
    order = np.polyfit(np.log(noises), np.log(errors), 1)[0]
    assert 1.7 < order < 2.4
    assert errors[-1] < 0.15 * noises[-1]


def lyapunov(draws, chances, steps, replicas, rng):
    """Mean and variance a step of log‖w_k‖ over runs of independent batches."""
    w = np.tile([0.6, 0.6, 0.52], (replicas, 1))
    logs = np.zeros(replicas)
    start = None
    for k in range(steps):
        index = rng.choice(len(draws), size=replicas, p=chances)
        w = np.einsum("kij,kj->ki", draws[index], w)
        norm = np.linalg.norm(w, axis=1, keepdims=True)
        w /= norm
        logs += np.log(norm[:, 0])
        if k == 199:
            start = logs.copy()
    gained = logs - start
    return (
        gained.mean() / (steps - 200),
        gained.var() / (steps - 200),
        gained.std() / ((steps - 200) * math.sqrt(replicas)),
    )


def test_typical_rate_and_spread_are_those_of_runs(rng):
    alpha, eta, batch = 0.5, 0.2, (1, 1)
    law = MirrorLaw.from_hessians(RETAIN, FORGET, top(alpha))
    predicted = law.rates(eta, batch, alpha, "without_replacement")
    pairs = itertools.product(RETAIN, FORGET)
    draws = np.array([np.eye(3) - eta * ((1 - alpha) * r - alpha * f) for r, f in pairs])
    chances = np.full(len(draws), 1 / len(draws))
    rate, spread, error = lyapunov(draws, chances, 2200, 800, rng)
    nu = predicted.log_variance
    assert nu > 50 * error  # the test sees the correction, not only the mean
    assert rate == pytest.approx(predicted.typical, abs=5 * error + 0.15 * nu)
    assert abs(rate - predicted.mean) > 0.3 * nu
    assert spread == pytest.approx(nu, rel=0.25)


def generalised():
    values, vectors = scipy.linalg.eigh(FORGET.mean(0), RETAIN.mean(0))
    return values[-1], vectors[:, -1]


def test_mean_frontier_is_that_of_the_pencil():
    b, v = generalised()
    law = MirrorLaw.from_hessians(RETAIN, FORGET, v)
    assert law.mean_frontier == pytest.approx(1 / (1 + b), rel=1e-12)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_mean_square_frontier_leaves_the_mean_linearly_in_the_step(sampling):
    _, v = generalised()
    law = MirrorLaw.from_hessians(RETAIN, FORGET, v)
    batch = (2, 2)
    errors = []
    steps = np.array([0.04, 0.02, 0.01])
    for eta in steps:

        def excess(alpha, eta=eta):
            m = naive.second_moment(RETAIN, FORGET, eta, batch, alpha, sampling)
            return np.linalg.eigvalsh(0.5 * (m + m.T))[-1] - 1.0

        start = law.mean_frontier
        exact = scipy.optimize.brentq(excess, 0.2 * start, start, xtol=1e-13)
        found = law.frontiers(eta, batch, sampling)
        shift = found.mean - found.mean_square
        assert shift > 0.0
        errors.append(abs(exact - found.mean_square))
        assert errors[-1] < 0.5 * shift
    assert 1.7 < np.polyfit(np.log(steps), np.log(errors), 1)[0] < 2.3


def shuffled_growth(retain, forget, alpha, eta, start, rng):
    """Log growth a step under shuffled epochs of batches of one."""
    w, total = start, 0.0
    for epoch in range(2200):
        for i, j in zip(rng.permutation(4), rng.permutation(4), strict=True):
            w = w - eta * ((1 - alpha) * retain[i] @ w - alpha * forget[j] @ w)
        norm = np.linalg.norm(w)
        w /= norm
        if epoch >= 200:
            total += math.log(norm)
    return total / (2000 * 4)


def test_shuffled_rate_of_epochs(rng):
    alpha = 0.45
    retain, forget = RETAIN[:4], FORGET[:4]
    mix = (1 - alpha) * retain.mean(0) - alpha * forget.mean(0)
    v = np.linalg.eigh(mix)[1][:, 0]
    law = MirrorLaw.from_hessians(retain, forget, v)
    errors = []
    for eta in (0.16, 0.08):
        found = law.shuffled_rate(eta, (1, 1), alpha)
        second = law.second_moment((1, 1), alpha, "without_replacement")
        exact = shuffled_growth(retain, forget, alpha, eta, v, rng)
        correction = 0.5 * eta**2 * second
        errors.append(abs(exact - found))
        assert errors[-1] < 0.25 * correction
    typical = law.rates(0.08, (1, 1), alpha, "without_replacement").typical
    assert found < typical
    assert errors[1] < 0.3 * errors[0]


def test_wrong_signs_would_be_seen():
    found = mirror.rates(1.1, 0.05)
    assert found.typical < found.mean < found.mean_square
    assert found.mean_square - found.mean == pytest.approx(found.mean - found.typical)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mirror.rates(0.0, 0.1), "mean_growth must not be 0"),
        (lambda: mirror.rates(1.0, -0.1), "noise must be >= 0"),
        (lambda: MirrorLaw.from_hessians(RETAIN, FORGET, np.zeros(3)), "direction must not be 0"),
        (
            lambda: MirrorLaw.from_hessians(RETAIN, (), [1, 0, 0]).frontiers(0.1, (1, 1), "x"),
            "forget must have curvature",
        ),
        (
            lambda: MirrorLaw.from_hessians(RETAIN[:, :2], FORGET, [1, 0, 0]),
            r"retain must have shape \(n, 3, 3\)",
        ),
    ],
)  # fmt: skip
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
