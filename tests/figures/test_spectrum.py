"""The spectrum figure: axes in, axes out, with every mark that the law asks for."""

import subprocess
import sys

import numpy as np
import pytest

import rmtstab
from rmtstab import laws


@pytest.fixture
def axes():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def labels(ax):
    return ax.get_legend_handles_labels()[1]


def test_marks_edges_outliers_and_atoms(axes):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 100))
    values = np.append(np.linalg.eigvalsh(X @ X.T / 100), 20.0)
    law = laws.MarchenkoPastur(2.0)
    assert rmtstab.figures.spectrum(axes, values, law) is axes
    assert {"eigenvalues", "law", "edges", "outliers"} <= set(labels(axes))
    marked = next(line for line in axes.lines if line.get_label() == "outliers")
    assert marked.get_xdata().tolist() == [20.0]
    assert [t.get_text() for t in axes.texts] == ["atom 0.5"]
    heights, cuts = axes.patches[0].get_data().values, axes.patches[0].get_data().edges
    assert (heights * np.diff(cuts)).sum() == pytest.approx(100 / 201)


def test_draws_a_law_alone(axes):
    rmtstab.figures.spectrum(axes, [], laws.MarchenkoPastur(1.0))
    assert labels(axes) == ["law", "edges"]
    assert np.isfinite(axes.get_ylim()).all()


def test_predicted_outliers(axes):
    rmtstab.figures.spectrum(axes, [], laws.Spiked(0.5, [4.0, 1.1]))
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in dotted] == [pytest.approx(4 * (1 + 0.5 / 3))]


def test_bad_input(axes):
    with pytest.raises(TypeError, match="law must be a SpectralLaw, got str"):
        rmtstab.figures.spectrum(axes, [1.0], "mp")
    with pytest.raises(ValueError, match="eigenvalues must be finite"):
        rmtstab.figures.spectrum(axes, [np.nan], laws.MarchenkoPastur(1.0))
    with pytest.raises(ValueError, match="eigenvalues must have 1 axes"):
        rmtstab.figures.spectrum(axes, np.eye(2), laws.MarchenkoPastur(1.0))


def test_import_stays_light():
    heavy = "scipy.stats", "scipy.optimize", "matplotlib", "torch", "mpmath"
    code = f"""import sys, rmtstab.laws, rmtstab.figures
print([m for m in {heavy} if m in sys.modules])"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
