"""Each gallery example runs and its closing assertions hold."""

import runpy
from pathlib import Path

import pytest

GALLERY = sorted((Path(__file__).parents[1] / "docs" / "gallery").glob("plot_*.py"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_example(path, monkeypatch):
    import matplotlib.pyplot as plt

    if "import torch" in path.read_text():
        pytest.importorskip("torch")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    plt.switch_backend("Agg")
    runpy.run_path(str(path), run_name="__main__")
    plt.close("all")
