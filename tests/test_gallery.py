"""Each gallery example draws, closes with assertions, and runs."""

import ast
import runpy
from pathlib import Path

import pytest

GALLERY = sorted((Path(__file__).parents[1] / "docs" / "gallery").glob("plot_*.py"))
NUMBER = 16  # at least


def test_there_are_enough():
    assert len(GALLERY) >= NUMBER


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_an_example_has_a_title_a_figure_and_assertions_at_its_end(path):
    tree = ast.parse(path.read_text())
    title, line, *_ = ast.get_docstring(tree).splitlines()
    assert set(line) == {"="} and len(line) == len(title), "underline the title: it heads a page"
    assert "figure" in path.read_text()
    asserting = [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert asserting and max(node.lineno for node in asserting) > len(tree.body)


@pytest.mark.slow  # each build of the pages runs them, too
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_example(path, monkeypatch):
    import matplotlib.pyplot as plt

    if "import torch" in path.read_text():
        pytest.importorskip("torch")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    plt.switch_backend("Agg")
    plt.close("all")
    runpy.run_path(str(path), run_name="__main__")
    assert plt.get_fignums()
    plt.close("all")
