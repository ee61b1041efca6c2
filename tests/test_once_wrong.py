"""Calls that once gave NaN, infinity, zero or a crash in silence, as they were found."""

import warnings
from fractions import Fraction

import numpy as np
import pytest

import rmtstab as rs
from rmtstab import _checks, theory
from rmtstab.curvature import CoherenceMap, ReducedFactors, coherence_matrix
from rmtstab.curvature.coherence import per_sample
from rmtstab.dynamics import Update
from rmtstab.laws import Semicircle, TracyWidom
from rmtstab.sweeps import Cell, experiment
from rmtstab.theory import sufficient


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def problem(rng):
    return rs.UnlearningProblem.from_factors(
        rng.standard_normal((8, 3)), rng.standard_normal((5, 3))
    )


def test_a_trajectory_beyond_the_floats_is_infinite(problem):
    """The displacement grows by 1e120 a step: two steps are finite."""
    path = problem.dynamics(1e60, (2, 2), 0.2).trajectory(6).displacement
    assert np.isfinite(path[:3]).all() and (path[3:] == np.inf).all()
    assert 1e119 < path[1] < 1e122 and path[2] / path[1] > 1e119


def test_moments_of_a_high_order_overflow_where_they_are_large():
    """``x²⁵⁵ exp(−2/3 x^1.5)`` is 1e335 at x = 40; up to the order 230 it is a double."""
    law = TracyWidom(1)
    assert law.moment(255) == np.inf and law.moment(254) == np.inf
    assert np.isfinite(law.moment(230)) and law.moment(230) > 1e280


def test_laws_in_the_smallest_units():
    assert Semicircle(1e-150).pdf(0.5) == 0.0
    assert Semicircle(1e-150).pdf(0.0) == pytest.approx(2e150 / np.pi)
    with pytest.raises(ValueError, match=r"radius must lie in \[1e-150, 1e\+150\]"):
        Semicircle(1e-300)


def test_escape_at_a_tiny_mixing():
    """Curvature and price are proportional to α and α²: nothing overflows on the way."""
    near, far = (theory.cnn.escape(48, 12, 150, 0.3, 8, alpha) for alpha in (1e-10, 1e-150))
    assert far.curvature == pytest.approx(1e-140 * near.curvature, rel=1e-9)
    assert far.resistance == pytest.approx(1e-280 * near.resistance, rel=1e-6)
    tiny = theory.cnn.escape(48, 12, 150, 0.3, 8, 1e-160)
    assert tiny.curvature == pytest.approx(1e-150 * near.curvature, rel=1e-9)
    assert np.isfinite(tiny.resistance)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda: rs.UnlearningProblem.from_gram(np.eye(4), 3, tolerance=1e50), ValueError,
            r"tolerance must lie in \[0, 1\), got 1e\+50",
        ),
        (lambda: ReducedFactors.from_gram(np.eye(2), 1, 1.0), ValueError, r"in \[0, 1\), got 1\.0"),
        (
            lambda: rs.UnlearningProblem.from_factors(np.eye(3), (), rank_tolerance=1.0),
            ValueError, r"rank_tolerance must lie in \[0, 1\), got 1\.0",
        ),
        (lambda: Cell.of("t", 0, x=np.longdouble(1)), TypeError, "parameters must be JSON values"),
        (
            lambda: sufficient.sgd_step_size(np.ma.masked, 4.0, 4, 2, "bernoulli"), ValueError,
            "sharpness must have no masked entries",
        ),
        (
            lambda: theory.mean.growth(np.ma.array([1, 2, 1e9], mask=[0, 0, 1]), 1.0), ValueError,
            "eigenvalues must have no masked entries, got 1 of 3",
        ),
        (lambda: coherence_matrix(np.eye(6), [0, 2, 4, 10**8]), ValueError, "offsets must rise"),
        (lambda: coherence_matrix(np.eye(6), [0, 2, 9]), ValueError, "offsets must rise from 0"),
        (lambda: CoherenceMap(np.eye(6), [0, 2, 4, 10**8], 2), ValueError, "offsets must rise"),
        (lambda: per_sample(np.eye(4), [0, 2, 9]), ValueError, "offsets must rise from 0 to 4"),
    ],
)  # fmt: skip
def test_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_other_forms_of_batches_and_counts(problem, rng):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of the class
        matrix = np.asmatrix([[2, 1]])
        maps = [problem.frontier(0.1, batches, [0.1]).values for batches in ([(2, 1)], matrix)]
    assert [list(pair) for pair in _checks.each("batch_sizes", matrix)] == [[2, 1]]
    np.testing.assert_array_equal(*maps)
    assert problem.critical_step_size(Fraction(2), 0.1) == problem.critical_step_size(2, 0.1)
    with pytest.raises(TypeError, match=r"batch_size must be an integer, got Fraction\(3, 2\)"):
        problem.critical_step_size(Fraction(3, 2), 0.1)
    update = problem.dynamics(0.1, 2, 0.1)
    moments = [update.second_moment(extra=kind(1)) for kind in (int, np.uint16)]
    probe = rng.standard_normal((moments[0].side,) * 2)
    np.testing.assert_array_equal(*(moment(probe) for moment in moments))


def test_what_was_refused_from_inside(problem, tmp_path):
    pytest.importorskip("flint")
    alone = rs.UnlearningProblem.from_factors(np.eye(3))
    with pytest.raises(ValueError, match="n_forget must be at least 1 for a frontier, got 0"):
        alone.frontier_laws(0.1, [1, 2])
    for path in (0, None, [], b"certificate"):
        with pytest.raises(TypeError, match="path must be"):
            problem.dynamics(0.1, 2, 0.1).certificate().save(path)
    for names in ([], ("a", "b"), (1,), "a"):
        with pytest.raises((TypeError, ValueError), match="names must"):
            ReducedFactors.from_factors(np.eye(3), names=names)


SMALL = np.uint8


def test_small_unsigned_integers_are_the_numbers_that_they_are():
    """Fields and arguments kept as they came overflowed: 200 + 100 is 44 in eight bits."""
    plain, small = (
        theory.coherence_bounds.CoherenceBound((kind(200), kind(100)), 1.0, 250.0)
        for kind in (int, SMALL)
    )
    asked = 0.5, (16, 8), 0.1, "bernoulli"
    assert small == plain and small.growth(*asked) == plain.growth(*asked)
    for ensemble in (rs.ensembles.Gaussian(200), rs.ensembles.Wishart(200, 100)):
        other = type(ensemble)(*map(SMALL, (200, 100)[: 1 + hasattr(ensemble, "p")]))
        assert other == ensemble and type(other.n) is int
        top = other.eigenvalues(0, largest=SMALL(2))
        np.testing.assert_array_equal(top, ensemble.eigenvalues(0, largest=2))
    jacobi = rs.ensembles.Jacobi(*map(SMALL, (200, 150, 100)))
    expected = rs.ensembles.Jacobi(200, 150, 100).eigenvalues(0)
    np.testing.assert_array_equal(jacobi.eigenvalues(0), expected)


def test_a_heavy_sample_at_the_ends():
    """η²κw² beyond the floats needs more than any batch; one set has no critical mixing."""
    heavy = theory.coherence_bounds.HeavySample((8, 4), (2.0, 1.0), (1.0, 0.5))
    assert np.isnan(heavy.critical_batch_size(1e308, 0.1, "bernoulli"))
    assert np.isnan(heavy.critical_batch_size(1e10, 0.1, "bernoulli"))
    alone = theory.coherence_bounds.HeavySample((8, 0), (2.0, 0.0), (1.0, 0.0))
    with pytest.raises(ValueError, match=r"sizes must be of two sets .* got \(8, 0\)"):
        alone.critical_alpha(0.1, (2, 1), "bernoulli")
    eye, zero = np.eye(2), np.zeros((2, 2))
    step = theory.one_step.OneStepBound((8, 0), eye, zero, eye, zero)
    gone = theory.coherence_bounds.ConvergenceBound((0, 4), (0.0, 1.0), coherence=2.0)
    for bound in (step, gone):
        with pytest.raises(ValueError, match="sizes must"):
            bound.critical_alpha(0.1, (2, 1), "bernoulli")


def test_an_update_and_an_experiment_take_what_they_are_told_or_say_no(problem):
    """Both kept anything: text as a step size, a number as a name."""
    update = Update.of(problem, 0.1, 2, 0.1, "without_replacement", 0.0, 0.0)
    assert update.at(step_size=np.float32(0.5), batch_size=[1, 1.5]).batch_size == (1.0, 1.5)
    for name in ("step_size", "alpha", "weight_decay", "momentum"):
        with pytest.raises(TypeError, match=f"{name} must be a real number, got 'text'"):
            update.at(**{name: "text"})
    for name in ("scheme", "curvatures"):
        with pytest.raises(TypeError, match=f"{name} must be a"):
            update.at(**{name: "bernoulli"})
    with pytest.raises(TypeError, match="name must be text, got 3"):
        experiment(3, {})
    with pytest.raises(TypeError, match=r"units\['x'\] must be a str, got 1"):
        experiment("new", {"x": 1})
    with pytest.raises(TypeError, match="dimensions must be a list or tuple, got 'step'"):
        experiment("new", {}, {"x": "step"})
    with pytest.raises(TypeError, match="function must be a function, got 1"):
        experiment("new", {})(1)


def test_an_expectation_given_what_cannot_be():
    law = Semicircle()
    with pytest.raises(
        ValueError, match=r"conditional needs a probability between lb and ub, got 0"
    ):
        law.expect(lb=3.0, conditional=True)
    assert law.expect(lb=3.0) == 0.0 and law.expect(lb=0.0, conditional=True) > 0.0
