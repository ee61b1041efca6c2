"""Crossings from few looks: functions with known zeros, smooth ones and hard ones."""

import math

import pytest

from rmtstab.dynamics.crossing import Shape, smallest_crossing

GRID = (0.0, 0.1, 0.3, 0.6)


def looked(function, grid, slack=1e-13):
    """Crossing, error, and how many values were asked for."""
    asked = []

    def excess(x):
        asked.append(x)
        return function(x)

    return *smallest_crossing(excess, {x: function(x) for x in grid}, slack)[:2], len(asked)


@pytest.mark.parametrize(
    ("function", "root", "most"),
    [
        (lambda x: x * x - 0.16, 0.4, 2),
        (lambda x: math.expm1(3.0 * (x - 0.35)), 0.35, 5),
        (lambda x: math.log1p(x) - math.log1p(0.55), 0.55, 5),
        (lambda x: math.expm1(3.0 * (x - 0.85)), 0.85, 6),  # beyond what is known
        (lambda x: max(min(1e5 * (x - 0.37), 700.0), -700.0), 0.37, 25),  # cut, as ratios are
        (lambda x: math.copysign(abs(x - 0.45) ** 0.2, x - 0.45), 0.45, 120),  # no slope there
        (lambda x: (x - 0.2) * (x - 0.5) * (x - 0.55) - 0.001, None, 20),
    ],
)
def test_a_zero_lies_within_its_error(function, root, most):
    found, error, looks = looked(function, GRID)
    if root is not None:
        assert abs(found - root) <= error + 1e-15
        assert error <= 2e-10
    assert looks <= most
    assert function(found - 2.0 * error) <= 0.0 <= function(found + 2.0 * error)


@pytest.mark.parametrize("count", [21, 41])
def test_of_many_known_values_the_nearest_are_used(count):
    """A polynomial through those far away, where tanh is flat, takes six or seven looks."""
    grid = [k / (count - 1) for k in range(count)]
    found, error, looks = looked(lambda x: math.tanh(8.0 * (x - 0.62)), grid)
    assert abs(found - 0.62) <= error <= 2e-10
    assert looks <= 4


def test_the_smallest_crossing_that_the_values_show():
    found, _, _ = looked(lambda x: math.sin(10.0 * x - 2.0), (0.0, 0.3, 0.6, 0.9))
    assert found == pytest.approx(0.2, rel=1e-9)


def test_ends():
    assert looked(lambda x: x + 1.0, GRID)[:2] == (0.0, 0.0)
    assert looked(lambda x: x - 2.0, GRID) == (1.0, 0.0, 1)
    assert looked(lambda x: x - 0.5, (0.3,))[0] == pytest.approx(0.5, rel=1e-9)


def test_values_that_are_uncertain_leave_an_error():
    found, error, _ = looked(lambda x: 0.01 * (x - 0.4) + 1e-9, GRID, slack=1e-8)
    assert abs(found - 0.4) <= error
    assert error >= 1e-6


def test_the_shape_of_a_like_function_saves_looks():
    def kinked(x):
        return math.log(math.exp(-4.8) + math.exp(50.0 * (x - 0.42)))

    grid, asked = (0.0, 0.05, 0.2, 0.5), []

    def later(x):
        asked.append(x)
        return kinked(x + 0.003) + 0.01 * x

    *_, shape = smallest_crossing(kinked, {x: kinked(x) for x in grid}, 1e-12)
    known = {x: later(x) for x in grid}
    apart = smallest_crossing(later, known, 1e-12)[:2], len(asked)
    asked.clear()
    after = smallest_crossing(later, known, 1e-12, shape)[:2], len(asked)
    assert abs(later(after[0][0])) < 1e-8 and after[0][0] == pytest.approx(apart[0][0], rel=1e-9)
    assert after[1] <= 4 < apart[1] - len(grid)
    # a shape that fits nothing still leaves a bracket that shrinks
    wrong = smallest_crossing(later, known, 1e-12, Shape({0.0: 3.0, 0.4: -9.0, 1.0: 2.0}, 0.2, 0.5))
    assert wrong[0] == pytest.approx(apart[0][0], rel=1e-9)
