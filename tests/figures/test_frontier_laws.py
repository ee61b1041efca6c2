"""The frontiers' laws over batch sizes, their range, and their curves on a map."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import rmtstab as rs

BATCHES = [(1, 1), (2, 1), (8, 2), (30, 10)]


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    return rs.UnlearningProblem.from_factors(
        rng.standard_normal((60, 6)), rng.standard_normal((20, 6))
    )


@pytest.mark.parametrize("sampling", ["bernoulli", "without_replacement", "with_replacement"])
def test_laws_are_those_of_each_batch_size(problem, sampling):
    found = problem.frontier_laws(0.05, BATCHES, sampling=sampling)
    for k, batch in enumerate(BATCHES):
        one = problem.frontier_law().frontiers(0.05, batch, sampling)
        assert found.mean == one.mean
        assert [found.mean_square[k], found.typical[k], found.shuffled[k]] == [
            one.mean_square, one.typical, one.shuffled,
        ]  # fmt: skip


def test_within_their_range_the_exact_frontier_is_near(problem):
    """13 % of the distance from the mean; beyond the range it is worse, and said to be."""
    valid = beyond = 0
    for share in (0.02, 0.1, 0.3, 0.6):
        step = share * float(problem.critical_step_size((1, 1), 0.0))
        found = problem.frontier_laws(step, BATCHES)
        for k, batch in enumerate(BATCHES):
            exact = float(problem.critical_alpha(step, batch)) - found.mean
            off = abs(exact / (found.mean_square[k] - found.mean) - 1.0)
            if found.is_valid[k]:
                valid += 1
                assert off < 0.13
            else:
                beyond += off > 0.13
    assert valid >= 8 and beyond >= 2


def test_an_overshooting_step_is_out_of_range(problem):
    step = 9.0 / float(np.linalg.eigvalsh(problem.mean_curvatures[0])[-1])
    assert problem.frontier_laws(step, [8]).noise.tolist() == [np.inf]


def test_curves_keep_a_maps_limits_and_are_solid_only_in_range(problem):
    step = 0.3 * float(problem.critical_step_size((1, 1), 0.0))
    laws = problem.frontier_laws(step, BATCHES)
    assert laws.is_valid.any() and not laws.is_valid.all()
    ax = Figure().add_subplot()
    rs.figures.stability_map(ax, problem.frontier(step, BATCHES, np.linspace(0.0, 0.2, 3)))
    limits = ax.get_xlim(), ax.get_ylim()
    assert rs.figures.frontier_laws(ax, laws) is ax
    assert (ax.get_xlim(), ax.get_ylim()) == limits
    solid = {line.get_label(): line for line in ax.lines if line.get_linestyle() == "-"}
    drawn = np.isfinite(np.asarray(solid["typical law"].get_ydata(), dtype=float))
    assert drawn.tolist() == laws.is_valid.tolist()
    dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert len(dotted) == 3 and all(np.isfinite(line.get_ydata()).all() for line in dotted)
    assert laws.plot().get_xlabel() == "batch size, retain/forget"


def test_arguments_are_checked(problem):
    with pytest.raises(TypeError, match="laws must be FrontierLaws, got float"):
        rs.figures.frontier_laws(Figure().add_subplot(), 1.0)
    with pytest.raises(ValueError, match="batch_sizes must hold at least one, got none"):
        problem.frontier_laws(0.1, [])
