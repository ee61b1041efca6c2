"""The trade-off between flags and agreement."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from rmtstab import figures

CURVE = {"kind": "mlp", "flagged": [0.5, 0.3, 0.1], "agreement": [1.0, np.nan, 0.9], "chosen": 2}


def test_curves_markers_and_corner():
    ax = figures.trust_tradeoff(Figure().add_subplot(), [CURVE, {**CURVE, "kind": "cnn"}])
    drawn = [line for line in ax.lines if len(line.get_xdata())]
    assert len(drawn) == 4 and drawn[1].get_xdata() == [0.1]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["mlp", "cnn"]
    assert ax.get_ylim()[0] < 0.9


def test_too_many_kinds():
    curves = [{**CURVE, "kind": str(k)} for k in range(6)]
    with pytest.raises(ValueError, match="curves must be of at most 5 kinds, got 6"):
        figures.trust_tradeoff(Figure().add_subplot(), curves)
