"""Sampling schemes: their coefficients are the covariance of the inclusion counts."""

import numpy as np
import pytest

from rmtstab.sampling import SAMPLINGS, SCHEMES, Scheme
from rmtstab.theory.noise import weighted_sets
from rmtstab.theory.volterra import noise_scale
from tests import naive


@pytest.mark.parametrize("scheme", SCHEMES, ids=SAMPLINGS)
@pytest.mark.parametrize(("n", "b"), [(1, 1), (2, 1), (7, 3), (7, 7)])
def test_coefficients_are_the_covariance_of_inclusion(n, b, scheme):
    c, e = scheme.coefficients(n, b)
    expected = naive.batch_covariance(n, b, scheme.name) / b**2
    np.testing.assert_allclose(c * np.eye(n) - e / n, expected, atol=1e-15)


@pytest.mark.parametrize("scheme", SCHEMES, ids=SAMPLINGS)
def test_every_form_of_the_coefficients_agrees(scheme):
    for n, b in [(1, 1), (2, 1), (7, 3), (7, 7), (40, 39)]:
        c, e = scheme.coefficients(n, b)
        kappa, offset = scheme.inverse_batch(n)
        assert kappa * (1 / b - offset) == pytest.approx(c, rel=1e-12, abs=1e-16)
        assert e == (c if scheme.fixed_size else 0.0)
        assert (c == 0.0) == (n == b and (scheme.exhausts))
        noise, damping = noise_scale(n, b, scheme.name)
        assert noise == n * c and damping == 1 - n * e
        assert weighted_sets(0.0, (n, 0), (b, 0), scheme.name) == [(0, 1.0, c, e, n)]
    assert scheme.coefficients(0, 3) == (0.0, 0.0)


def test_real_batch_sizes_are_for_schemes_that_draw_no_fixed_number():
    for scheme in SCHEMES:
        if scheme.fixed_size:
            assert scheme.least_batch == 1.0
            assert scheme.check_batch("batch_size", 2.0, 4) == 2.0
            with pytest.raises(TypeError, match=r"batch_size must be an integer, got 2\.5"):
                scheme.check_batch("batch_size", 2.5, 4)
        else:
            assert scheme.least_batch == 0.0
            assert scheme.check_batch("batch_size", 0.3, 4) == 0.3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: weighted_sets(0, (4, 0), (5, 0), "bernoulli"),
            r"must lie in \(0, n=4\]",
        ),
        (lambda: weighted_sets(0, (4, 0), (0, 0), "with_replacement"), r"in \[1, n=4\], got 0"),
        (lambda: Scheme.named("epochs"), "sampling must be one of 'bernoulli', 'without_repl"),
        (lambda: Scheme.named(None), "sampling must be one of"),
        (lambda: SCHEMES[0].check_batches((1, 2, 3), 4, 4, 0.5), "one number or a pair"),
        (lambda: SCHEMES[1].check_batches(3, 4, 2, 0.5), r"\[1, n_forget=2\], got 3"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_has_no_weight_is_not_read():
    scheme = SCHEMES[1]
    assert scheme.check_batches(3, 4, 2, 0.0) == (3.0, 2.0)
    assert scheme.check_batches(3, 4, 0, None) == (3.0, 0.0)
    assert scheme.check_batches((3, 9), 4, 0, 0.0) == (3.0, 0.0)


def test_a_set_of_one_sample_has_no_choice():
    """Without replacement its batch is the set: no noise, and none to divide by n − 1."""
    assert Scheme.named("without_replacement").inverse_batch(1) == (0.0, 1.0)
    assert Scheme.named("with_replacement").inverse_batch(1) == (1.0, 0.0)
    assert Scheme.named("bernoulli").inverse_batch(1) == (1.0, 1.0)
