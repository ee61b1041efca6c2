"""Singular values: the quarter circle, matrices, and the eigenvalue law itself."""

import math

import numpy as np
import pytest

from rmtstab.laws import MarchenkoPastur, Semicircle, SingularValues, TracyWidom


def test_quarter_circle():
    law, whole = SingularValues(MarchenkoPastur(1.0, 0.25)), Semicircle(1.0)
    s = np.array([1e-9, 0.1, 0.5, 0.9, 0.999])
    np.testing.assert_allclose(law.pdf(s), 2 * whole.pdf(s), rtol=1e-12)
    np.testing.assert_allclose(law.sf(s), 2 * whole.sf(s), rtol=1e-12)
    assert law.pdf(0.0) == pytest.approx(4 / math.pi) and law.pdf(-0.5) == 0.0
    assert law.mean() == pytest.approx(4 / (3 * math.pi), rel=1e-12)
    assert law.moment(4) == pytest.approx(1 / 8, rel=1e-14)


def test_singular_values_of_matrices():
    x = np.random.default_rng(0).standard_normal((300, 200))
    values = np.sort(np.linalg.svd(x / math.sqrt(200), compute_uv=False))
    law = SingularValues(MarchenkoPastur(1.5))
    assert law.atoms() == ((0.0, pytest.approx(1 / 3)),)
    ranks = 1 / 3 + (np.arange(200) + 0.5) / 300
    assert np.abs(law.cdf(values) - ranks).max() < 0.01


def test_bad_arguments():
    with pytest.raises(TypeError, match="eigenvalues must be a spectral law, got TracyWidom"):
        SingularValues(TracyWidom(1))
    with pytest.raises(ValueError, match=r"eigenvalues must live on \[0, inf\)"):
        SingularValues(Semicircle())


def test_density_far_out_is_zero():
    law = SingularValues(MarchenkoPastur(0.5))
    assert law.pdf([1e200, 1.7e308]).tolist() == [0.0, 0.0]
    assert law.logpdf(1.7e308) == -math.inf
