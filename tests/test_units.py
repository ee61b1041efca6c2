"""Curvature in other units: verdicts and pure numbers stay, steps scale, from 1e-20 to 1e20."""

import math

import numpy as np
import pytest

import rmtstab as rs
from rmtstab.bounds import NAMES

SCALES = (1e-20, 1e-8, 1e8, 1e20)  # of curvatures
SETTINGS = ((1, 1), 0.2, "without_replacement"), ((2, 1), 0.05, "bernoulli")


def problem(scale=1.0):
    """Two outputs a sample: 7 retained, 4 forgotten; curvatures times ``scale``."""
    z = np.random.default_rng(5).standard_normal((11, 2, 5)) * math.sqrt(scale)
    return rs.UnlearningProblem.from_factors(z[:7], z[7:])


def dynamics(scale, batch, alpha, sampling, step=0.05):
    decay = 0.1 * scale
    return problem(scale).dynamics(
        step / scale, batch, alpha, sampling=sampling, weight_decay=decay
    )


def close(found, expected, rel=1e-9):
    assert found == pytest.approx(expected, rel=rel, abs=0, nan_ok=True)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("step", [0.05, 1.0])
def test_every_bound(scale, setting, step):
    plain, scaled = (
        {b.name: b for b in dynamics(s, *setting, step).bounds(gap=False)} for s in (1.0, scale)
    )
    assert plain.keys() == scaled.keys() == set(NAMES)
    for name, bound in plain.items():
        other = scaled[name]
        assert other.satisfied is bound.satisfied, name
        close(other.rho_bound, bound.rho_bound)
        close(other.critical_step_size * scale, bound.critical_step_size, 1e-8)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_growth_verdict_and_what_the_escape_costs(scale, setting):
    for step in (0.05, 1.0):
        plain, scaled = (dynamics(s, *setting, step) for s in (1.0, scale))
        assert scaled.verdict() is plain.verdict()
        close(scaled.growth_factor(), plain.growth_factor())
        close(scaled.resistance(), plain.resistance(), 1e-7)
        lower, upper = scaled.enclosure()
        assert lower <= plain.growth_factor() * (1 + 1e-9)
        assert upper >= plain.growth_factor() * (1 - 1e-9)
    for found, expected in zip(
        dynamics(scale, *setting).trajectory(4).displacement,
        dynamics(1.0, *setting).trajectory(4).displacement,
        strict=True,
    ):
        close(found, expected)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_threshold(scale, setting):
    batch, alpha, sampling = setting
    plain, scaled = problem(), problem(scale)
    options = {"sampling": sampling}
    for decay in (0.0, 0.1):
        one = plain.critical_step_size(batch, alpha, weight_decay=decay, **options)
        other = scaled.critical_step_size(batch, alpha, weight_decay=decay * scale, **options)
        close(other.value * scale, one.value)
        assert (other.converged, other.status) == (one.converged, one.status)
        pair = [
            p.critical_alpha(0.05 / s, batch, weight_decay=decay * s, **options)
            for p, s in ((plain, 1.0), (scaled, scale))
        ]
        close(pair[1].value, pair[0].value)
        assert pair[1].status == pair[0].status
    sizes = [
        p.critical_batch_size(0.2 / s, alpha, **options).value
        for p, s in ((plain, 1.0), (scaled, scale))
    ]
    close(sizes[1], sizes[0])


@pytest.mark.parametrize("scale", SCALES)
def test_coherence_is_a_pure_number(scale):
    plain, scaled = (problem(s).coherence(0.3) for s in (1.0, scale))
    for name in ("retain", "forget", "cross", "total", "unlearning"):
        close(getattr(scaled, name), getattr(plain, name))


def test_an_absolute_floor_would_show():
    """With 1e-12 added to the curvatures, as a floor does, the smallest scale is far off."""
    z = np.random.default_rng(5).standard_normal((11, 2, 5)) * math.sqrt(1e-20)
    floored = rs.UnlearningProblem.from_factors(z[:7] + 1e-6, z[7:])
    found = float(floored.critical_step_size((1, 1), 0.2)) * 1e-20
    assert abs(float(found) / float(problem().critical_step_size((1, 1), 0.2)) - 1) > 0.1
