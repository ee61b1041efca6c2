"""The user's two objects: frozen, checked, and alike to the update that they hand down."""

import pickle

import numpy as np
import pytest

import rmtstab as rs
from rmtstab.dynamics.update import Update
from rmtstab.sampling import BERNOULLI


@pytest.fixture
def problem(rng):
    return rs.UnlearningProblem.from_factors(
        rng.standard_normal((6, 4)), rng.standard_normal((3, 4))
    )


def test_changed_hyper_parameters_are_those_of_a_new_dynamics(problem):
    dyn = problem.dynamics(0.1, (2, 1), 0.2, weight_decay=0.01)
    changed = dyn.at(step_size=0.3, sampling="bernoulli", batch_size=(2.5, 1.0))
    again = problem.dynamics(0.3, (2.5, 1.0), 0.2, "bernoulli", weight_decay=0.01)
    assert changed == again and isinstance(changed, rs.unlearning.Dynamics)
    assert changed.growth_factor() == again.growth_factor() != dyn.growth_factor()
    assert (dyn.step_size, dyn.sampling) == (0.1, "without_replacement")
    assert changed.problem is problem


def test_users_changes_are_checked_and_root_finders_are_not(problem):
    dyn = problem.dynamics(0.1, (2, 1), 0.2)
    with pytest.raises(TypeError, match="batch_size must be an integer"):
        dyn.at(batch_size=(2.5, 1))
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\]"):
        dyn.at(alpha=2)
    with pytest.raises(TypeError, match="unexpected keyword"):
        dyn.at(steps=3)
    update = Update.of(problem, 0.1, (2, 1), 0.2, "without_replacement", 0.0, 0.0)
    between = update.at(batch_size=(2.5, 1.0))
    ends = [update.at(batch_size=(b, 1.0)).second_moment()(np.eye(4)) for b in (2.0, 3.0)]
    middle = between.second_moment()(np.eye(4))
    # the noise is affine in 1/B
    share = (1 / 2.5 - 1 / 3) / (1 / 2 - 1 / 3)
    np.testing.assert_allclose(middle, share * ends[0] + (1 - share) * ends[1], rtol=1e-12)


def test_updates_of_one_problem_share_the_eigenbasis(problem):
    first, second = problem.dynamics(0.1, 1, 0.2), problem.dynamics(0.7, (3, 2), 0.2)
    assert first.basis is second.basis
    assert first.at(alpha=0.3).basis is not first.basis


def test_the_unknown_mixing_reads_both_batch_sizes(problem):
    with pytest.raises(ValueError, match=r"\[1, n_forget=3\], got 5"):
        problem.critical_alpha(0.1, 5)
    update = Update.of(problem, 0.1, 3, None, BERNOULLI.name, 0.0, 0.0)
    assert update.alpha == 0.0 and update.batch_size == (3.0, 3.0)


def test_problems_travel(problem, rng):
    again = pickle.loads(pickle.dumps(problem))
    assert type(again) is rs.UnlearningProblem and again.n_retain == 6
    dyn, copy = problem.dynamics(0.2, 2, 0.1), again.dynamics(0.2, 2, 0.1)
    assert copy.growth_factor() == dyn.growth_factor()
    seen = rs.UnlearningProblem.from_factors(np.eye(3)[:2], gradients=(np.eye(3)[1:], ()))
    again = pickle.loads(pickle.dumps(seen))
    assert again.complement == 1
    np.testing.assert_array_equal(again.gradients, seen.gradients)


def test_one_rule_for_growth_and_maps_beyond_the_critical_step():
    """ρ − 1 ≈ 4e-14 is below rounding: the critical step size decides for both."""
    problem = rs.UnlearningProblem.from_factors([[1.0, 0.0]], [[0.0, 1.5e-6]])
    dyn = problem.dynamics(0.02, 1, 0.5)
    assert dyn.mean_eigenvalues.min() < 0.0 and abs(dyn.growth_factor() - 1.0) < 1e-13
    assert (dyn.verdict(), dyn.reason()) == (rs.Verdict.ESCAPES, rs.Reason.ASCENT_DIRECTION)
    found = problem.frontier(0.02, [1], [0.5])
    assert found.verdicts[0, 0] is rs.Verdict.ESCAPES


def test_no_curvature_with_gradients_is_never_called_stable():
    """A loss that is linear in the outputs moves at first order: stability says nothing of it."""
    zeros, slopes = np.zeros((3, 2)), np.ones((3, 2))
    problem = rs.UnlearningProblem.from_factors(zeros, gradients=(slopes, ()))
    words = problem.dynamics(0.1, 1, 0.0).report()
    assert "no sample has curvature while gradients are not zero" in words
    assert "stable" not in words.replace("stability", "") and "critical step size" not in words


def test_the_reader_sees_that_nothing_is_ascended():
    """Plain SGD that was not asked for says so when made, in its verdict's words and its repr."""
    factors = np.eye(4)
    alone = rs.UnlearningProblem.from_factors(factors)
    both = rs.UnlearningProblem.from_factors(factors, factors[:1])
    for problem, batches, words in ((alone, 4, "no forget set"), (both, (4, 1), "is ascended")):
        with pytest.warns(UserWarning, match=f"alpha was not given.*{words}") as seen:
            dyn = problem.dynamics(0.01, batches)
        assert seen[0].filename == __file__
        assert dyn.verdict() is rs.Verdict.STABLE and dyn.alpha == 0.0
        for text in (repr(dyn), dyn.report(), dyn._repr_html_(), repr(dyn.growth())):
            assert "plain SGD on the retain set" in text and words in text
        assert "plain SGD" in dyn.growth().to_dict()["subject"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("alpha", "subject"), [(0.0, "plain SGD"), (0.5, "descent on the retain set, ascent"),
                           (1.0, "ascent on the forget set alone")],
)  # fmt: skip
def test_a_mixing_that_is_given_is_taken_without_a_warning(alpha, subject):
    problem = rs.UnlearningProblem.from_factors(np.eye(4), np.eye(4)[:1])
    dyn = problem.dynamics(0.01, (4, 1), alpha)
    assert dyn.growth().subject.startswith(subject)
    assert ("plain SGD" in repr(dyn)) == (alpha == 0.0)
