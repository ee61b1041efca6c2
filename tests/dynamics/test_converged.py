"""What ``converged`` means, and forget sets of one sample."""

import math
from dataclasses import replace

import numpy as np
import pytest

import rmtstab as rs
from rmtstab.dynamics.growth import growth
from rmtstab.dynamics.verdict import assess
from tests import naive

SAMPLINGS = ("bernoulli", "without_replacement", "with_replacement")


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_converged_is_a_small_residual_under_a_certificate(rng, scale):
    """Both: a millionth of the value, whatever its size, and a finite upper end."""
    problem = rs.UnlearningProblem.from_factors(
        rng.standard_normal((6, 3)), rng.standard_normal((4, 3))
    )
    dyn = problem.dynamics(0.3, 2, 0.2)
    found = growth(dyn)
    assert dyn.growth().converged and found.certified
    value = scale * found.value
    sure = replace(found, value=value, upper=2.0 * value, residual=0.9e-6 * value)
    assert assess(dyn, sure).converged
    assert not assess(dyn, replace(sure, residual=1.1e-6 * value)).converged
    assert not assess(dyn, replace(sure, upper=math.inf)).converged
    assert assess(dyn, sure).error_bound == pytest.approx(value)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("batch", [(1, 1), (2, 1), (3, 1)])
@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_a_forget_set_of_one_sample(rng, sampling, batch, alpha):
    """Its batch is the sample: without noise, but for Bernoulli of B < 1."""
    retain, forget = rng.standard_normal((3, 2)), rng.standard_normal((1, 2))
    hessians = [np.einsum("ip,iq->ipq", z, z) for z in (retain, forget)]
    problem = rs.UnlearningProblem.from_factors(retain, forget)
    exact = naive.growth_factor(*hessians, 0.4, batch, alpha, sampling)
    # at mixing 1 what the forget set does not see stays where it is
    assert problem.dynamics(0.4, batch, alpha, sampling).growth_factor() == pytest.approx(
        exact, rel=1e-11
    )
    if sampling == "bernoulli":
        half = (batch[0], 0.5)
        exact = naive.growth_factor(*hessians, 0.4, half, alpha, sampling)
        assert problem.dynamics(0.4, half, alpha, sampling).growth_factor() == pytest.approx(
            exact, rel=1e-11
        )


def test_batches_of_a_forget_set_of_one_sample():
    problem = rs.UnlearningProblem.from_factors(np.eye(3), np.eye(3)[:1])
    assert problem.dynamics(0.1, 1, 0.2).batch_size == (1.0, 1.0)
    assert problem.dynamics(0.1, 2, 0.0).batch_size[0] == 2.0  # the forget batch is not drawn
    with pytest.raises(ValueError, match=r"must lie in \[1, n_forget=1\], got 2"):
        problem.dynamics(0.1, 2, 0.2)
    with pytest.raises(ValueError, match=r"n_forget=1\], got 2"):
        problem.dynamics(0.1, (1, 2), 0.0)
    with pytest.raises(ValueError, match=r"must lie in \(0, n_forget=1\], got 1\.5"):
        problem.dynamics(0.1, (1, 1.5), 0.2, "bernoulli")
