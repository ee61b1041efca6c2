"""Networks that do not interpolate, or whose curvature is another, are refused."""

import math

import pytest

from rmtstab.claims.networks import curvature


@pytest.mark.parametrize("wrong", [math.nan, 1e-19])
def test_one_network_that_does_not_interpolate_is_enough(wrong):
    training = [{"training": {"loss": x, "starts": 1}} for x in (1e-30, 1e-25, wrong)]
    assert curvature.interpolation({"networks": training[:2]}).holds
    assert not curvature.interpolation({"networks": training}).holds


@pytest.mark.parametrize("wrong", [math.nan, 1.0 + 1e-7])
def test_one_wrong_sharpness_is_enough(wrong):
    sharp = [{"sharpness_autograd": x, "sharpness_gram": 1.0} for x in (1.0, wrong)]
    assert curvature.curvature({"networks": sharp[:1]}).holds
    assert not curvature.curvature({"networks": sharp}).holds
