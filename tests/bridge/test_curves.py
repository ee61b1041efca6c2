"""Curves put together: of the same steps, for as many cells as a shape has."""

import numpy as np
import pytest

pytest.importorskip("torch")
from rmtstab.bridge.curves import Curves, Reference, SetCurves, turns

START = Reference(loss=0.0, chance=2.0, accuracy=1.0)


def curves(cells, steps=3):
    numbers = np.arange(2.0 * cells * steps).reshape(cells, 2, steps)
    each = SetCurves(numbers, numbers + 0.5)
    return Curves(np.arange(steps), each, each, each, numbers)


def test_blocks_of_cells_are_joined_and_given_their_shape():
    whole = Curves.concatenate([curves(2), curves(4)]).reshaped((2, 3))
    assert whole.displacement.shape == (2, 3, 2, 3)
    np.testing.assert_array_equal(whole.retain.loss[0, 2], curves(4).retain.loss[0])
    judged = turns(Curves.concatenate([curves(6)]), START, START).reshaped((3, 2))
    assert judged.outcome.shape == (3, 2) and judged.forget_step.shape == (3, 2, 2)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Curves.concatenate([curves(2), curves(2, 4)]), ValueError, "parts must hold"),
        (lambda: Curves.concatenate([]), ValueError, "parts must hold"),
        (lambda: Curves.concatenate([0]), TypeError, r"parts\[0\] must be a Curves"),
        (lambda: curves(6).reshaped((-1, 2)), ValueError, r"shape\[0\] must be >= 0"),
        (lambda: curves(6).reshaped((2, 2)), ValueError, "shape must hold 6 cells"),
        (lambda: turns(curves(2), None, START), TypeError, "retain must be a Reference"),
    ],
)
def test_others_are_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()
