"""Escape times with momentum: forms that bound all powers, against the dense operator's walk."""

import mpmath as mp
import numpy as np
import pytest

from rmtstab import UnlearningProblem
from rmtstab.dynamics import momentum_passage as passages
from rmtstab.dynamics import trajectory as walks
from rmtstab.dynamics.momentum import HeavyBall
from tests import naive
from tests.strategies import SAMPLINGS, hessians

LIMIT = 2_000


def draw(rng, step, alpha, sampling, decay, momentum):
    z = rng.standard_normal((7, 1, 3)) * 10.0 ** np.linspace(0, -1, 3)
    problem = UnlearningProblem.from_factors(z[:3], z[3:])
    dyn = problem.dynamics(step, (2, 1), alpha, sampling, decay, momentum)
    h = hessians(problem.factors.matrix.T.reshape(7, 1, -1))
    return dyn, naive.second_moment(h[:3], h[3:], step, (2, 1), alpha, sampling, decay, momentum)


def curve(operator, start, limit):
    """``E‖w_k‖²`` by walking, from rest."""
    r = len(start)
    state = np.kron(np.ones((2, 2)), start / np.trace(start)).ravel()
    path = []
    for _ in range(limit + 1):
        path.append(np.trace(state.reshape(2 * r, 2 * r)[:r, :r]))
        state = operator @ state if path[-1] < 1e200 else state
    return np.array(path)


def first(path, level):
    above = np.flatnonzero(path >= level)
    return float(above[0]) if above.size else np.inf


@pytest.mark.parametrize("momentum", [1e-6, 0.3, 0.9, 0.999])
@pytest.mark.parametrize(("sampling", "decay"), list(zip(SAMPLINGS, (0.0, 0.02, 0.0), strict=True)))
def test_a_bowl_holds_the_displacement_and_grows_by_its_level(sampling, decay, momentum, rng):
    """``P ⪰ E₁₁`` and ``Φ_β*(P) ⪯ λP``, by the dense operator's transpose."""
    found = 0
    for alpha, step in ((0.0, 0.3), (0.01, 0.1), (0.4, 0.02), (0.4, 0.4), (1.0, 0.3)):
        dyn, operator = draw(rng, step * (1 - momentum), alpha, sampling, decay, momentum)
        ball = HeavyBall(dyn, active=False)
        high = max(dyn.enclosure()[1], 1.0)
        bowl = passages.Bowl.of(ball, high * (1 + 1e-4)) if np.isfinite(high) else None
        if bowl is None:
            continue
        found += 1
        first, cross, last = bowl.blocks
        q = np.kron(np.eye(2), dyn.basis.vectors)
        p = q @ np.block([[first, cross], [cross.T, last]]) @ q.T
        r, size = len(first), np.linalg.norm(p)
        held = p.copy()
        held[:r, :r] -= np.eye(r)
        image = (operator.T @ p.ravel()).reshape(2 * r, 2 * r)
        assert np.linalg.eigvalsh(held)[0] >= -1e-14 * size
        assert np.linalg.eigvalsh(bowl.level * p - image)[0] >= -1e-14 * size
        too_low = 0.5 * np.linalg.eigvals(operator).real.max()
        assert np.linalg.eigvalsh(too_low * p - image)[0] < -1e-9  # the check can fail
        moment = np.diag(rng.uniform(0, 1, r))
        whole = np.kron(np.ones((2, 2)), dyn.basis.vectors @ moment @ dyn.basis.vectors.T)
        np.testing.assert_allclose(bowl.at_rest(moment), np.vdot(p, whole), rtol=1e-8)
    assert found >= 4


@pytest.mark.parametrize("momentum", [0.3, 0.9])
@pytest.mark.parametrize(("sampling", "decay"), list(zip(SAMPLINGS, (0.0, 0.02, 0.0), strict=True)))
def test_escape_times_are_the_dense_operator_s(sampling, decay, momentum, rng, monkeypatch):
    """Escapes from the first steps to the last ones and none, three kinds of start; no walk."""
    monkeypatch.setattr(walks.Walker, "step", None)
    found = []
    for alpha, step in ((0.0, 0.3), (0.01, 0.3), (0.3, 0.01), (0.4, 1.1), (1.0, 0.3)):
        dyn, operator = draw(rng, step * (1 - momentum), alpha, sampling, decay, momentum)
        r = dyn.curvatures.rank
        vector, moment = rng.standard_normal(r), np.diag(rng.uniform(0, 1, r))
        for initial, start in (
            (None, np.eye(r)),
            (vector, np.outer(vector, vector)),
            (moment, moment),
        ):
            path = curve(operator, start, LIMIT)
            for radius in (1.02, 3.0, 30.0):
                found.append(first(path, radius**2))
                assert dyn.escape_time(radius, initial, LIMIT) == found[-1]
    found = np.array(found)
    assert np.isinf(found).any() and (found < 20).any() and ((found > 40) & (found < LIMIT)).any()


def test_what_does_not_escape_is_certified_without_a_step(rng, monkeypatch):
    """ρ > 1, and yet no escape within the limit: one form, no walk, no Arnoldi step."""
    z = rng.standard_normal((40, 30)) * 10.0 ** np.linspace(0, -4, 30)
    dyn = UnlearningProblem.from_factors(z[:20], z[20:]).dynamics(5e-3, (16, 4), 1e-3, momentum=0.9)
    monkeypatch.setattr(walks.Walker, "step", None)
    monkeypatch.setattr(passages, "Arnoldi", None)
    assert 1.0 < dyn.growth_factor() < 10.0 ** (2.0 / 100_000)
    assert dyn.escape_time(10.0) == np.inf
    assert dyn.escape_time(10.0, rng.standard_normal(30)) == np.inf


def test_momentum_near_one_keeps_its_digits():
    """β = .999, one curvature that ascends, no noise: ``w_k`` in 50 digits, levels 1e-10 beside it.

    In (w, w₋) a step's rounding is multiplied by (1−β)⁻²: 1e-9 of the value by then.
    """
    beta, step, h = 0.999, 1e-6, 1.0
    dyn = UnlearningProblem.from_factors([[0.0]], [[h]]).dynamics(step, 1, 1.0, momentum=beta)
    with mp.workdps(50):
        w = before = mp.mpf(1)
        path = []
        for _ in range(4001):
            path.append(float(w * w))
            w, before = w + mp.mpf(beta) * (w - before) + mp.mpf(step) * w, w
    for k in (500, 2000, 4000):
        assert dyn.escape_time(np.sqrt(path[k] * (1 - 1e-10)), limit=4000) == k
        assert dyn.escape_time(np.sqrt(path[k] * (1 + 1e-10)), limit=5000) == k + 1


def test_stiff_modes_do_not_spoil_the_powers():
    """``ηH`` of 3, β = .9: in other coordinates powers of T were rounding, nothing escaped."""
    retain = [[0.0, -2.0, 2.0], [-2.0, -1.0, -1.0], [1.0, 2.0, -2.0], [1.0, -2.0, -1.0]]
    problem = UnlearningProblem.from_factors(retain, [[-1.0, 0.0, 0.0]])
    arguments = 0.45, (1, 1), 0.4999993, "without_replacement", 0.9, 0.9
    dyn = problem.dynamics(*arguments)
    h = hessians(problem.factors.matrix.T.reshape(5, 1, -1))
    path = curve(naive.second_moment(h[:4], h[4:], *arguments), np.eye(3), 40)
    for k in range(5, 40):
        level = 0.95 * path[k]
        assert dyn.escape_time(level**0.5, limit=40) == first(path, level)


def test_what_is_not_decided_is_walked(rng, monkeypatch):
    z = rng.standard_normal((40, 30))
    problem = UnlearningProblem.from_factors(z[:30], z[30:])
    dyn = problem.dynamics(0.01, (4, 2), 0.4, momentum=0.8)
    exact = dyn.escape_time(30.0)
    assert np.isfinite(exact)
    monkeypatch.setattr(passages, "WIDEST", 2)
    start = np.kron(np.ones((2, 2)), np.eye(30) / 30)
    assert passages.first_passage(dyn, start, 900.0, LIMIT, dyn.enclosure()[1]) is None
    assert passages.first_passage(dyn, start, 900.0, LIMIT, np.inf) is None
    assert dyn.escape_time(30.0) == exact
