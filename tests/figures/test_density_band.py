"""The figure of a spectral density draws what was estimated, and the law smoothed alike."""

import numpy as np
import pytest

pytest.importorskip("torch")

from matplotlib.figure import Figure
from scipy.sparse.linalg import aslinearoperator

from rmtstab import bridge, figures, laws


@pytest.fixture(scope="module")
def density():
    x = np.random.default_rng(0).standard_normal((200, 400)) / 20
    return bridge.spectral_density(aslinearoperator(x @ x.T), 6, 40)


def axes():
    return Figure().add_subplot()


def test_law_lies_in_the_band(density):
    ax = figures.spectral_density(axes(), density, laws.MarchenkoPastur(0.5), width=0.1)
    estimate, law = ax.lines
    value, error = density.pdf(estimate.get_xdata(), 0.1)
    np.testing.assert_array_equal(estimate.get_ydata(), value)
    assert np.abs(value - law.get_ydata()).max() < 5 * error.max()
    assert np.trapezoid(law.get_ydata(), law.get_xdata()) == pytest.approx(1.0, abs=2e-3)
    assert len(ax.collections) == 1
    wrong = figures.spectral_density(axes(), density, laws.MarchenkoPastur(0.05), width=0.1).lines[
        1
    ]
    assert np.abs(value - wrong.get_ydata()).max() > 10 * error.max()


def test_logarithmic_and_single_probe():
    one = bridge.spectral_density(aslinearoperator(np.diag(np.arange(20.0))), 1, 10)
    ax = figures.spectral_density(axes(), one, logarithmic=True)
    assert ax.get_yscale() == "log" and not ax.collections
    with pytest.raises(TypeError, match="law must be a SpectralLaw"):
        figures.spectral_density(axes(), one, law="MP")
    with pytest.raises(ValueError, match="width must be > 0"):
        figures.spectral_density(axes(), one, width=0.0)
