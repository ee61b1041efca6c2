"""Escape times from bounds on all moments: against the dense operator's spectrum and the walk."""

import numpy as np
import pytest

from rmtstab import UnlearningProblem
from rmtstab.dynamics import first_passage as passages
from rmtstab.dynamics import trajectory as walks
from rmtstab.dynamics.eigen import Krylov
from rmtstab.dynamics.moment_bounds import MomentBounds
from tests import naive
from tests.strategies import SAMPLINGS, hessians

LIMIT = 10_000


def dense(factors, n, step, batches, alpha, sampling, decay=0.0):
    h = hessians(factors)
    return naive.second_moment(h[:n], h[n:], step, batches, alpha, sampling, decay, 0.0)


def curve(operator, start, limit):
    """``tr Φᵏ(M)/tr M`` for k = 0 … limit from the operator's own eigenvectors."""
    values, vectors = np.linalg.eigh(0.5 * (operator + operator.T))
    weights = (np.eye(len(start)).ravel() @ vectors) * (start.ravel() @ vectors)
    steps = np.arange(limit + 1, dtype=float)
    with np.errstate(over="ignore", invalid="ignore"):
        terms = np.sign(values)[:, None] ** steps * np.exp(np.outer(np.log(abs(values)), steps))
        return (weights @ terms) / np.trace(start)


def first(path, level):
    above = np.flatnonzero(~(path < level))
    return float(above[0]) if above.size else np.inf


@pytest.mark.parametrize("low", [-1.0, -0.3, 0.0])
def test_both_sides_hold_at_every_power(low, rng):
    """Any measure on [−1, 1]: atoms at both ends, clusters at 1, negative ones."""
    steps = np.arange(2000)
    rounding = 1e-13 + 8.0 * np.finfo(float).eps * steps
    for _ in range(4):
        atoms = np.concatenate([rng.uniform(low, 1, 12), 1 - 10.0 ** -rng.uniform(2, 8, 6), [1.0]])
        if low < 0:
            atoms[0] = low
        start = rng.dirichlet(np.ones(19)) ** 0.5
        exact = (start**2) @ atoms[:, None] ** steps
        taken = Krylov(lambda m, a=atoms: np.diag(a * np.diag(m)), np.diag(start), 19)
        for m in range(1, 20):
            taken.extend(1)
            lower, upper = MomentBounds(*taken.jacobi(), 1.0).over(0, 2000)
            assert (lower <= exact + rounding).all() and (exact <= upper + rounding).all()
            exactly = slice(0, 2 * m, 2)  # Gauss: to the degree 2m − 1
            np.testing.assert_allclose(lower[exactly], exact[exactly], atol=1e-13)
        assert (upper - lower <= 1e-9).all()  # the space is whole


def test_a_bound_that_is_none_is_seen(rng):
    """Beside b < ρ the upper end falls below the moments: the test above can fail."""
    atoms, start = np.linspace(0, 1, 12), np.full(12, 12**-0.5)
    taken = Krylov(lambda m: np.diag(atoms * np.diag(m)), np.diag(start), 12)
    taken.extend(3)
    _, upper = MomentBounds(*taken.jacobi(), 0.97).over(0, 200)
    exact = start**2 @ (atoms[:, None] / 0.97) ** np.arange(200)
    assert (exact > upper).any()


@pytest.mark.parametrize(("sampling", "decay"), list(zip(SAMPLINGS, (0.0, 0.02, 0.0), strict=True)))
def test_escape_times_are_the_dense_operator_s(sampling, decay, rng):
    """Escapes from the first step to the last ones and none; three kinds of start."""
    found = []
    for alpha, step in (
        (0.0, 0.3),
        (0.002, 0.02),
        (0.01, 0.3),
        (0.4, 0.02),
        (0.4, 1.1),
        (1.0, 0.3),
    ):
        z = rng.standard_normal((7, 1, 4)) * 10.0 ** np.linspace(0, -1, 4)
        problem = UnlearningProblem.from_factors(z[:3], z[3:])
        dyn = problem.dynamics(step, (2, 1), alpha, sampling, decay)
        own = problem.factors.matrix.T.reshape(7, 1, -1)
        operator = dense(own, 3, step, (2, 1), alpha, sampling, decay)
        vector, r = rng.standard_normal(problem.rank), problem.rank
        moment = np.diag(rng.uniform(0, 1, r))
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
    assert np.isinf(found).any() and (found < 20).any() and ((found > 500) & (found < LIMIT)).any()


def test_what_does_not_escape_is_certified_in_a_few_steps(rng, monkeypatch):
    """ρ − 1 beyond 0, and yet no escape within the limit: no walk, a handful of Lanczos steps."""
    z = rng.standard_normal((40, 30)) * 10.0 ** np.linspace(0, -4, 30)
    problem = UnlearningProblem.from_factors(z[:20], z[20:])
    dyn = problem.dynamics(0.05, (16, 4), 1e-3)
    taken = []
    extend = Krylov.extend
    monkeypatch.setattr(Krylov, "extend", lambda self, n: (taken.append(n), extend(self, n))[1])
    monkeypatch.setattr(walks.Walker, "step", None)
    assert 1.0 < dyn.growth_factor() < 10.0 ** (2.0 / LIMIT)
    assert dyn.escape_time(10.0) == np.inf
    assert dyn.escape_time(10.0, rng.standard_normal(problem.rank)) == np.inf
    assert sum(taken) <= 12


def test_a_level_met_exactly_counts():
    """|1 − η| = 2, 3: E‖w_k‖² is a power of it, met at the level itself."""
    problem = UnlearningProblem.from_factors(3.0**0.5 * np.eye(3))
    for step, times in ((3.0, 2.0), (4.0, 3.0)):
        dyn = problem.dynamics(step, 3, 0.0)
        for k in range(1, 40):
            assert dyn.escape_time(times**k) == k
            assert dyn.escape_time(times**k * (1 + 1e-9)) == k + 1


def test_what_is_not_decided_is_walked(rng, monkeypatch):
    z = rng.standard_normal((40, 30))
    dyn = UnlearningProblem.from_factors(z[:30], z[30:]).dynamics(0.05, (4, 2), 0.4)
    exact = dyn.escape_time(30.0)
    assert np.isfinite(exact)
    monkeypatch.setattr(passages, "WIDEST", 2)
    start = np.eye(30) / 30
    assert passages.first_passage(dyn, start, 900.0, LIMIT, dyn.enclosure()[1]) is None
    assert dyn.escape_time(30.0) == exact


def test_without_a_certificate_the_operator_bounds_itself(rng):
    z = rng.standard_normal((12, 6))
    dyn = UnlearningProblem.from_factors(z[:8], z[8:]).dynamics(0.1, (2, 1), 0.6)
    start = np.eye(6) / 6
    assert passages.first_passage(dyn, start, 1e4, LIMIT, np.inf) == dyn.escape_time(100.0)


@pytest.mark.slow
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_many_escape_times(sampling):
    """400 draws of steps up to four times the critical one, of levels from just above 1."""
    rng = np.random.default_rng(20261128)
    finite = 0
    for _ in range(400):
        c, r = int(rng.integers(1, 3)), int(rng.integers(1, 6))
        z = rng.standard_normal((7, c, r)) * 10.0 ** np.linspace(0, -rng.uniform(0, 4), r)
        problem = UnlearningProblem.from_factors(z[:3], z[3:])
        top = np.linalg.norm(z, axis=(1, 2)).max() ** 2
        step, alpha = 10.0 ** rng.uniform(-3, 0.6) / top, rng.choice([0, 1e-3, 0.1, 0.5, 1.0])
        dyn = problem.dynamics(step, (2, 1), alpha, sampling, rng.choice([0.0, 0.01]))
        own = problem.factors.matrix.T.reshape(7, c, -1)
        operator = dense(own, 3, step, (2, 1), alpha, sampling, dyn.weight_decay)
        vector = rng.standard_normal(problem.rank)
        for initial, start in ((None, np.eye(problem.rank)), (vector, np.outer(vector, vector))):
            path = curve(operator, start, LIMIT)
            for radius in 1 + 10.0 ** rng.uniform(-3, 2, 2):
                expected = first(path, radius**2)
                near = path[int(expected)] if np.isfinite(expected) else 0.0
                if abs(near / radius**2 - 1) > 1e-9:  # told apart by double precision
                    assert dyn.escape_time(radius, initial, LIMIT) == expected
                    finite += np.isfinite(expected)
    assert finite > 300


def test_a_loose_bound_on_the_growth_decides_nothing_by_underflow(rng):
    problem = UnlearningProblem.from_factors(rng.standard_normal((20, 8)), np.ones((4, 8)))
    step = 0.99 * float(problem.critical_step_size((2, 1), 0.0))
    dyn = problem.dynamics(step, (2, 1), 0.0)  # ρ < 1 < λ_max(Φ(I)): it never gets there
    start = np.eye(problem.rank) / problem.rank
    for bound in (np.inf, 1.001, 1.05, 1.5):
        assert passages.first_passage(dyn, start, 100.0, 10**6, bound) in (None, np.inf)
    assert passages.first_passage(dyn, start, 100.0, 10**6, 1.0) == np.inf


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_start_that_has_no_part_in_what_grows_never_escapes(momentum):
    """Growth cancels in the trace: its rounding was taken for the level, at steps 119 and 1670."""
    problem = UnlearningProblem.from_factors([[0.0, 1.0], [0.0, 1.2]], [[1.0, 0.0]])
    dyn = problem.dynamics(0.3, (1, 1), 0.5, momentum=momentum)
    retained = dyn.trajectory(200, initial=[1.0, 0.0]).displacement
    assert dyn.growth_factor() > 1.3 and retained[200] < 1e-30
    assert dyn.escape_time(10.0, [1.0, 0.0], limit=20_000) == np.inf
    slightly = [1.0, 1e-5]
    path = dyn.trajectory(200, initial=slightly).displacement
    assert dyn.escape_time(10.0, slightly) == np.argmax(path >= 100.0 * path[0]) > 60


def test_a_radius_whose_square_overflows_is_refused():
    dyn = UnlearningProblem.from_factors(np.eye(2), np.eye(2)).dynamics(0.3, 1, 0.9)
    assert np.isfinite(dyn.escape_time(1e150))
    with pytest.raises(ValueError, match=r"radius must .*1e\+?150.*got 1e\+?200"):
        dyn.escape_time(1e200)
